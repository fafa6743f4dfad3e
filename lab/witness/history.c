/* SPDX-License-Identifier: Apache-2.0 */
/* What a client has seen of a witness; see history.h. */
#include "history.h"

#include <string.h>

void witness_history_init(struct witness_history *h, uint64_t now_ns, uint64_t remember_over_ns)
{
    memset(h, 0, sizeof(*h));
    h->start_ns = h->last_ns = now_ns;
    h->remember_over_ns = remember_over_ns;
}

static void note_gap(struct witness_history *h, uint64_t now_ns)
{
    struct witness_gap gap = {h->last_ns - h->start_ns, now_ns - h->last_ns};

    h->last_ns = now_ns;
    if (gap.length_ns > h->longest.length_ns)
        h->longest = gap;
    if (gap.length_ns <= h->remember_over_ns)
        return;
    if (h->gaps < WITNESS_MAX_GAPS)
        h->gap[h->gaps++] = gap;
    else
        h->gaps_left_out++;
}

/* A question's second answer: the network's copy of the first, or another guest's. */
static bool seen_before(struct witness_history *h, const struct witness_answer *a)
{
    struct witness_answer *old = &h->recent[a->seq % WITNESS_RECENT];

    if (!old->nonce || old->seq != a->seq) {
        *old = *a;
        return false;
    }
    if (old->number == a->number && old->nonce == a->nonce && old->clock_ns == a->clock_ns)
        h->network_duplicates++;
    else
        h->answered_twice++;
    return true;
}

/*
 * Packets overtake each other where a host's processors share the work. Such an answer is older
 * by its number and by its clock, and its number was never given before; a guest that went
 * back gives numbers again, or its number and its clock contradict each other.
 */
static bool was_overtaken(const struct witness_history *h, unsigned boot, const struct witness_answer *a)
{
    return a->number < h->boot[boot].number && a->clock_ns < h->boot[boot].clock_ns &&
           h->boot[boot].number - a->number <= WITNESS_OVERTAKEN && h->given[a->number % WITNESS_RECENT] != a->number;
}

static void note_boot(struct witness_history *h, uint64_t now_ns, const struct witness_answer *a)
{
    unsigned i = 0;

    while (i < h->boots && h->boot[i].nonce != a->nonce)
        i++;
    if (i == h->boots) {
        if (i == WITNESS_MAX_BOOTS)
            return;
        h->boots++;
        h->boot[i].nonce = a->nonce;
        h->boot[i].at_ns = now_ns - h->start_ns;
        memset(h->given, 0, sizeof(h->given));
    } else if (i + 1 < h->boots) {
        h->boots_returned++;
    } else if (was_overtaken(h, i, a)) {
        h->overtaken++;
        h->given[a->number % WITNESS_RECENT] = a->number;
        return;
    } else if (a->number <= h->boot[i].number || a->clock_ns + WITNESS_CLOCK_SLACK_NS < h->boot[i].clock_ns) {
        h->backwards++;
        return;
    }
    h->given[a->number % WITNESS_RECENT] = a->number;
    h->boot[i].number = a->number;
    if (a->clock_ns > h->boot[i].clock_ns)
        h->boot[i].clock_ns = a->clock_ns;
}

void witness_history_answer(struct witness_history *h, uint64_t now_ns, const struct witness_answer *a)
{
    if (seen_before(h, a))
        return;
    h->answered++;
    note_gap(h, now_ns);
    note_boot(h, now_ns, a);
    if (a->acknowledged > h->acknowledged)
        h->acknowledged = a->acknowledged;
}

void witness_history_end(struct witness_history *h, uint64_t now_ns)
{
    note_gap(h, now_ns);
}

bool witness_history_split(const struct witness_history *h)
{
    return h->backwards || h->answered_twice || h->boots_returned;
}
