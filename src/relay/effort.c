/* SPDX-License-Identifier: Apache-2.0 */
/* How hard the encoder of a stream tries: see effort.h. */
#include "relay/effort.h"

/* A processor should be able to do so much more than the link takes. */
#define SPARE 1.15
/* What must be gained for a change, and below what efforts are taken for equal. */
#define WORTH 1.03
#define EQUAL 0.99
/* Weights of a look: for what it has measured, and for what it says of other efforts. */
#define NEW 0.4
#define SLOW 0.1 /* for how crowded the processors are: one thread that has to wait is not all of them */
#define CROWD_MAX 8.0
#define DRIFT (1.0 / 32)
/* A plain copy needs no more of what reading and searching takes. */
#define PLAIN_SHARE 0.2
/* What was raised and lowered again within so many looks is not raised for as many, then twice … */
#define SOON 16u
#define HOLD_MAX 1024u
/* A link that was never full: so many looks without waiting for it, and it is one step less. */
#define EASY 3u
/* One that was full once: so many such looks, then twice as many …, and one step less for some. */
#define TRIAL_FIRST 32u
#define TRIAL_MAX 2048u
#define TRIAL_LOOKS 64u
/* So many looks without compression, and it is tried again. */
#define BLIND 32u
#define HOPED 0.9 /* what references may leave */

/* Of a real guest's memory on one core: only their proportions matter for long. */
static const double table_press_ns[DRV_EFFORTS] = {0.0, 0.1, 1.5, 1.65, 1.85, 2.4, 3.1, 4.0};
static const double table_gain[DRV_EFFORTS] = {0.0, 0.0, 0.62, 0.65, 0.70, 0.73, 0.745, 0.755};

static double mix(double before, double now, double weight)
{
    return before + (now - before) * weight;
}

void drv_effort_init(struct drv_effort *effort)
{
    *effort = (struct drv_effort){.now = DRV_EFFORT_FIRST,
                                  .alone_ns = 1.0,
                                  .content = 1.0,
                                  .send_ns = 1.0,
                                  .crowd = 1.0,
                                  .next_hold = SOON,
                                  .next_trial = TRIAL_FIRST,
                                  .since_up = SOON};
    for (unsigned i = 0; i < DRV_EFFORTS; i++) {
        effort->press_ns[i] = table_press_ns[i];
        effort->left[i] = 1.0 - table_gain[i];
    }
}

/* Other efforts, in proportion: at once when they were never seen, or else slowly. */
static void learn_of_others(struct drv_effort *effort)
{
    unsigned now = effort->now;
    double speed = effort->press_ns[now] / table_press_ns[now];
    double gain = (1.0 - effort->left[now]) / table_gain[now];

    for (unsigned i = DRV_EFFORT_STORED + 1; i < DRV_EFFORTS; i++) {
        double left = 1.0 - table_gain[i] * gain;

        if (i == now)
            continue;
        effort->press_ns[i] = mix(effort->press_ns[i], table_press_ns[i] * speed, effort->seen[i] ? DRIFT : 1.0);
        /* The data are the same for all of them. */
        effort->left[i] = left > 0.01 ? left : 0.01;
    }
}

static void learn(struct drv_effort *effort, const struct drv_effort_look *look)
{
    double raw = (double)look->raw_bytes, content = (double)look->content_bytes;
    double weight = effort->known ? NEW : 1.0;
    unsigned now = effort->now;
    double left, crowd;

    effort->send_ns = mix(effort->send_ns, (double)look->send_us * 1e3 / (double)look->encoded_bytes, weight);
    if (now == DRV_EFFORT_PLAIN || !look->content_bytes)
        return;
    effort->alone_ns = mix(effort->alone_ns, (double)look->alone_us * 1e3 / raw, weight);
    effort->content = mix(effort->content, content / raw, weight);
    effort->known = true;
    if (now == DRV_EFFORT_STORED)
        return;
    if (look->press_us) {
        crowd = (double)look->pressed_us / (double)look->press_us;
        effort->crowd = mix(effort->crowd, crowd < CROWD_MAX ? crowd : CROWD_MAX, SLOW);
    }
    weight = effort->seen[now] ? NEW : 1.0;
    effort->press_ns[now] = mix(effort->press_ns[now], (double)look->press_us * 1e3 / content, weight);
    left = (double)look->encoded_bytes / content;
    effort->left[now] = mix(effort->left[now], left < 1.0 ? left : 1.0, weight);
    effort->seen[now] = true;
    effort->blind = 0;
    learn_of_others(effort);
}

/* What a byte of the channel becomes. */
static double encoded(const struct drv_effort *effort, unsigned at)
{
    return at == DRV_EFFORT_PLAIN ? 1.0 : effort->content * effort->left[at];
}

/* Bytes of the channel a nanosecond, as far as the processors can. */
static double made(const struct drv_effort *effort, unsigned at, unsigned senders)
{
    double alone = effort->alone_ns * (at == DRV_EFFORT_PLAIN ? PLAIN_SHARE : 1.0);
    double press = effort->content * effort->press_ns[at] * effort->crowd;
    double all = (alone + press + effort->send_ns * encoded(effort, at)) / senders;
    double most = alone > all ? alone : all;

    return 1.0 / (most > 1e-3 ? most : 1e-3);
}

/* The same, as far as the link can, too. */
static double speed(const struct drv_effort *effort, unsigned at, unsigned senders)
{
    double cpu = made(effort, at, senders) / SPARE;
    double left = encoded(effort, at);
    double link = (double)effort->link_bps / 1e9 / (left > 1e-3 ? left : 1e-3);

    return cpu < link ? cpu : link;
}

/* It remembers nothing for later moves: it has to be faster, not only as fast. */
static bool plain_pays(const struct drv_effort *effort, unsigned senders)
{
    return speed(effort, DRV_EFFORT_PLAIN, senders) > speed(effort, DRV_EFFORT_STORED, senders) * WORTH;
}

/* The least effort of those that are fastest. */
static unsigned choose(const struct drv_effort *effort, unsigned senders, unsigned least)
{
    unsigned end = effort->hold ? effort->below : DRV_EFFORTS;
    double best = 0.0;
    unsigned i;

    if (least == DRV_EFFORT_PLAIN && !plain_pays(effort, senders))
        least = DRV_EFFORT_STORED;
    for (i = least; i < end; i++) {
        double here = speed(effort, i, senders);

        best = here > best ? here : best;
    }
    for (i = least; i + 1 < end; i++)
        if (speed(effort, i, senders) >= best * EQUAL)
            break;
    return i;
}

/* Without compression nobody sees whether there would be something to compress: now and then, try. */
static bool wonder(struct drv_effort *effort, unsigned senders)
{
    unsigned now = effort->now;

    if (now > DRV_EFFORT_STORED || speed(effort, now, senders) * SPARE * 1.01 >= made(effort, now, senders)) {
        effort->blind = 0;
        return false;
    }
    if (++effort->blind < BLIND)
        return false;
    effort->blind = effort->hold = 0;
    if (now == DRV_EFFORT_PLAIN)
        effort->content = HOPED;
    for (unsigned i = DRV_EFFORT_STORED + 1; i < DRV_EFFORTS; i++)
        effort->left[i] = 1.0 - table_gain[i];
    return true;
}

/* It is faster, or as fast with less work and hardly more bytes, or no slower than a plain copy. */
static bool is_worth_it(const struct drv_effort *effort, unsigned best, unsigned senders)
{
    unsigned now = effort->now;

    if (best < now && encoded(effort, best) * EQUAL <= encoded(effort, now))
        return true;
    if (now == DRV_EFFORT_PLAIN && best > now && speed(effort, best, senders) >= speed(effort, now, senders) * EQUAL)
        return true;
    return best != now && speed(effort, best, senders) > speed(effort, now, senders) * WORTH;
}

static void change(struct drv_effort *effort, unsigned to)
{
    if (to > effort->now) {
        effort->since_up = 0;
    } else if (effort->since_up < SOON) {
        effort->below = effort->now;
        effort->hold = effort->next_hold;
        effort->next_hold = effort->next_hold < HOLD_MAX ? effort->next_hold * 2 : HOLD_MAX;
        effort->since_up = SOON;
    }
    effort->now = to;
}

/* Another link, so to say: what was found too hard may be right now. */
static void follow_link(struct drv_effort *effort, uint64_t link_bps)
{
    if (link_bps < effort->link_bps / 5 * 4 || link_bps > effort->link_bps / 4 * 5) {
        effort->hold = 0;
        effort->next_hold = SOON;
    }
    effort->link_bps = link_bps;
}

static void count_easy(struct drv_effort *effort, const struct drv_effort_look *look)
{
    uint64_t work_us = look->alone_us + look->pressed_us + look->send_us;

    effort->easy = look->blocked_us < work_us / 8 ? effort->easy + 1 : 0;
}

/* Is a trial going on? It ends as soon as the link was measured anew. */
static bool tries(struct drv_effort *effort)
{
    if (!effort->trial)
        return false;
    if (effort->link_bps == effort->trial_bps && --effort->trial)
        return true;
    effort->trial = effort->easy = 0;
    if (effort->link_bps > effort->trial_bps / 8 * 9)
        effort->next_trial = TRIAL_FIRST;
    else if (effort->next_trial < TRIAL_MAX)
        effort->next_trial *= 2;
    return false;
}

static unsigned step_down(struct drv_effort *effort, unsigned after, unsigned least)
{
    if (effort->easy < after || effort->now <= least)
        return effort->now;
    effort->easy = 0;
    effort->trial = TRIAL_LOOKS;
    effort->trial_bps = effort->link_bps;
    return effort->now - 1;
}

unsigned drv_effort_look(struct drv_effort *effort, const struct drv_effort_look *look, unsigned senders,
                         uint64_t link_bps, unsigned least, bool near)
{
    unsigned best;
    bool wonders;

    if (!look->raw_bytes || !look->encoded_bytes)
        return effort->now;
    if (near && effort->now > least)
        least = effort->now;
    follow_link(effort, link_bps);
    learn(effort, look);
    count_easy(effort, look);
    if (effort->since_up < SOON)
        effort->since_up++;
    if (effort->hold)
        effort->hold--;
    if (!link_bps)
        return effort->now = step_down(effort, EASY, least);
    wonders = wonder(effort, senders);
    if (tries(effort) && effort->now >= least)
        return effort->now;
    best = choose(effort, senders, least);
    if (effort->now < least || is_worth_it(effort, best, senders))
        change(effort, best);
    else if (best >= effort->now)
        effort->now = step_down(effort, effort->next_trial, least);
    if (wonders)
        effort->since_up = SOON; /* it was no mistake */
    return effort->now;
}
