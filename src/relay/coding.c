/* SPDX-License-Identifier: Apache-2.0 */
/* The codec at work in a session: see coding.h. */
#include "relay/coding.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/codec/index.h"
#include "relay/control/settings.h"

#define PAGES_PER_MIB 256

/* A batch that is not full waits for more as long as bytes keep coming, but not for ever. */
#define PAUSE_NS 500000
#define AGE_US 3000

/* Full batches between two looks at the effort: a megabyte or less. */
#define LOOK_BATCHES 8u
/* A link that takes so much, look after look, is faster than what is remembered is worth. */
#define FAST_MB_S 150u
#define FAST_LOOKS 64u

uint16_t drv_coding_offer(void)
{
    return drv_relay_cache_mib();
}

void drv_coding_agree(struct drv_coding *coding, const struct drv_hello *here, const struct drv_hello *there)
{
    uint16_t mib = here->cache_mib < there->cache_mib ? here->cache_mib : there->cache_mib;

    coding->on = here->codec == DRV_WIRE_CODEC && there->codec == DRV_WIRE_CODEC;
    coding->cache_pages = coding->on ? (size_t)mib * PAGES_PER_MIB : 0;
}

/* Memory gets most of them, and disks two each: a decoder keeps a window for every lane. */
static unsigned lanes_of(unsigned coder)
{
    return coder == 0 ? DRV_LANES_MAX : 2;
}

uint64_t drv_coding_memory(enum drv_relay_role role)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < DRV_CODERS; i++)
        bytes += role == DRV_RELAY_SOURCE ? drv_encoder_memory(0, lanes_of(i)) : drv_decoder_memory(0, lanes_of(i));
    return bytes;
}

/*
 * A coder's part of the cache: three quarters are for memory, and half of the rest for one disk. Whole
 * segments: a piece of the ring that is kept for later does not go over its end.
 */
static size_t share(size_t cache_pages, unsigned coder)
{
    static const unsigned sixteenths[DRV_CODERS] = {12, 2, 1, 1};

    return cache_pages / 16 * sixteenths[coder] / DRV_CACHE_SEGMENT * DRV_CACHE_SEGMENT;
}

uint64_t drv_coding_cache_memory(enum drv_relay_role role, size_t cache_pages)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < DRV_CODERS; i++) {
        size_t pages = share(cache_pages, i);

        bytes += drv_cache_memory(pages);
        if (role == DRV_RELAY_SOURCE)
            bytes += 2 * (uint64_t)drv_index_memory(pages);
    }
    return bytes;
}

/* What each remembers that keeps it may be referred to by all others. */
static void refer_to_each_other(struct drv_coding *coding, enum drv_relay_role role)
{
    for (unsigned i = 1; i < DRV_CODERS; i++) {
        struct drv_coder *kept = &coding->coder[i];

        if (role == DRV_RELAY_SOURCE)
            drv_encoder_keep(kept->encoder);
        else
            drv_decoder_keep(kept->decoder);
        for (unsigned j = 0; j < DRV_CODERS; j++) {
            struct drv_coder *coder = &coding->coder[j];

            if (i == j)
                continue;
            if (role == DRV_RELAY_SOURCE)
                drv_encoder_refer(coder->encoder, i + 1, kept->encoder);
            else
                drv_decoder_refer(coder->decoder, i + 1, kept->decoder);
        }
    }
}

int drv_coding_start(struct drv_coding *coding, enum drv_relay_role role, uint64_t seed, struct drv_error *err)
{
    for (unsigned i = 0; coding->on && i < DRV_CODERS; i++) {
        struct drv_coder *coder = &coding->coder[i];
        struct drv_encoder_config config = {
            .cache_pages = share(coding->cache_pages, i), .lanes = lanes_of(i), .seed = seed};
        int rc;

        coder->lanes = config.lanes;
        drv_effort_init(&coder->effort);
        coder->look_effort = coder->effort.now;
        (void)pthread_mutex_init(&coder->lock, NULL);
        if (role == DRV_RELAY_SOURCE)
            rc = drv_encoder_new(&coder->encoder, &config, err);
        else
            rc = drv_decoder_new(&coder->decoder, config.cache_pages, config.lanes, seed, err);
        if (rc)
            return rc;
    }
    if (coding->on)
        refer_to_each_other(coding, role);
    return 0;
}

/* What to look for: of several streams of memory only the first is understood. */
static unsigned tricks_for(enum drv_relay_channel channel, unsigned coder)
{
    if (channel == DRV_CHANNEL_DISK)
        return DRV_TRICKS_DISK;
    return coder == 0 ? DRV_TRICKS_ALL : 0;
}

unsigned drv_coding_take(struct drv_coding *coding, enum drv_relay_channel channel)
{
    if (!coding->on || channel == DRV_CHANNEL_CONTROL)
        return 0;
    for (unsigned i = channel == DRV_CHANNEL_RAM ? 0 : 1; i < DRV_CODERS; i++) {
        if (coding->used[i])
            continue;
        coding->used[i] = true;
        coding->coder[i].channel = channel;
        drv_encoder_set_tricks(coding->coder[i].encoder, tricks_for(channel, i));
        return i + 1;
    }
    return 0;
}

struct drv_coder *drv_coding_claim(struct drv_coding *coding, unsigned number)
{
    if (!coding->on || !number || number > DRV_CODERS || coding->used[number - 1])
        return NULL;
    coding->used[number - 1] = true;
    return &coding->coder[number - 1];
}

/* ---- what became of pages ---- */

static void count(struct drv_coder *coder)
{
    const struct drv_encoder_stats *stats = drv_encoder_stats(coder->encoder);
    struct drv_coder_counters *counters = &coder->counters;

    atomic_store_explicit(&counters->literal, stats->literal_pages, memory_order_relaxed);
    atomic_store_explicit(&counters->delta, stats->delta_pages, memory_order_relaxed);
    atomic_store_explicit(&counters->same, stats->same_pages, memory_order_relaxed);
    atomic_store_explicit(&counters->other, stats->other_pages, memory_order_relaxed);
    atomic_store_explicit(&counters->older, stats->older_pages, memory_order_relaxed);
    atomic_store_explicit(&counters->zero, stats->zero_pages, memory_order_relaxed);
}

void drv_coding_count(const struct drv_coding *coding, struct drv_relay_status *status)
{
    for (unsigned i = 0; i < DRV_CODERS; i++) {
        const struct drv_coder *coder = &coding->coder[i];
        const struct drv_coder_counters *counters = &coder->counters;
        struct drv_relay_pages *pages = &status->channel[coder->channel].pages;

        pages->literal += atomic_load(&counters->literal);
        pages->delta += atomic_load(&counters->delta);
        pages->same += atomic_load(&counters->same);
        pages->other += atomic_load(&counters->other);
        pages->older += atomic_load(&counters->older);
        pages->zero += atomic_load(&counters->zero);
        pages->shared += coder->encoder ? drv_encoder_shared(coder->encoder) : 0;
    }
}

/* ---- batches ---- */

/* A moment's wait for more of this batch. Return: whether it has come, and nothing else calls. */
static bool more_comes(int fd, int urgent)
{
    struct pollfd wait[2] = {{.fd = fd, .events = POLLIN}, {.fd = urgent, .events = POLLIN}};
    struct timespec pause = {.tv_nsec = PAUSE_NS};

    return ppoll(wait, 2, &pause, NULL) > 0 && wait[0].revents && !wait[1].revents;
}

/* Waits until so many bytes may be read. Return: false: there is other work. */
static bool may_read(struct drv_coder *coder, int urgent, struct drv_batch *batch, size_t *enough)
{
    struct pollfd other = {.fd = urgent, .events = POLLIN};
    struct drv_encoder_copy copy;
    int64_t began_us = drv_clock_us(), now_us = began_us, wait_us;

    drv_encoder_copy(coder->encoder, &copy);
    while ((wait_us = drv_pace_wait_us(&coder->pace, now_us, copy.stopped, enough)) > 0) {
        struct timespec pause = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};

        if (ppoll(&other, 1, &pause, NULL) > 0)
            return false;
        now_us = drv_clock_us();
    }
    batch->waited_us = (uint64_t)(now_us - began_us);
    return true;
}

/* What may be read now: nothing when the batch is full; a page is completed beyond @enough. */
static size_t room_for(drv_encoder *encoder, uint64_t most, size_t enough, uint8_t **at)
{
    size_t held = drv_encoder_held(encoder);
    size_t room = held < enough ? drv_encoder_room(encoder, at) : 0;

    if (room && room > enough - held)
        room = enough - held;
    if (!room)
        room = drv_encoder_missing(encoder, at);
    return most - held < room ? (size_t)(most - held) : room;
}

ssize_t drv_coder_read(struct drv_coder *coder, int fd, uint64_t credit, int urgent, struct drv_bale *bale,
                       uint8_t *out, struct drv_batch *batch)
{
    drv_encoder *encoder = coder->encoder;
    /* The worst that becomes of bytes: a JUMP and a ZEROS of a zero page, 10 bytes for 9. */
    uint64_t most = (credit - DRV_CODER_COST_MIN / 2) / 9 * 8;
    int64_t began_us = 0, paused_us, entered_us, now_us;
    bool more = true;
    size_t enough;

    *batch = (struct drv_batch){.effort = coder->effort.now};
    if (!may_read(coder, urgent, batch, &enough))
        return -EAGAIN;
    entered_us = drv_clock_us() - (int64_t)batch->waited_us;
    while (more) {
        uint8_t *at;
        size_t room = room_for(encoder, most, enough, &at);
        ssize_t got;

        if (!room) {
            batch->full = true;
            break;
        }
        got = recv(fd, at, room, MSG_DONTWAIT);
        if (got > 0) {
            drv_encoder_commit(encoder, (size_t)got);
            if (!began_us)
                began_us = drv_clock_us();
            continue;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            if (!drv_encoder_held(encoder))
                return 0;
            break; /* the end is still there when the record is sent */
        }
        if (!drv_encoder_held(encoder))
            return -EAGAIN;
        paused_us = drv_clock_us();
        if (drv_encoder_hurry(encoder) || paused_us - began_us >= AGE_US)
            break;
        more = more_comes(fd, urgent);
        batch->waited_us += (uint64_t)(drv_clock_us() - paused_us);
    }
    batch->raw = drv_encoder_held(encoder);
    if (!drv_encoder_pack(encoder, bale, out))
        return -EAGAIN;
    count(coder);
    now_us = drv_clock_us();
    batch->alone_us = (uint64_t)(now_us - entered_us) - batch->waited_us;
    batch->content = bale->record.expanded;
    batch->encoded = drv_bale_most(bale);
    drv_pace_read(&coder->pace, now_us, batch->raw);
    return (ssize_t)batch->encoded;
}

size_t drv_coder_press(struct drv_coder *coder, unsigned lane, struct drv_bale *bale, uint8_t *out,
                       struct drv_batch *batch)
{
    int64_t began_us = drv_clock_us(), cpu_us = drv_clock_thread_us();

    batch->encoded = drv_bale_press(bale, drv_encoder_lane(coder->encoder, lane), lane, out);
    batch->press_us = (uint64_t)(drv_clock_thread_us() - cpu_us);
    batch->pressed_us = (uint64_t)(drv_clock_us() - began_us);
    pthread_mutex_lock(&coder->lock);
    coder->fresh_raw += bale->fresh_raw;
    coder->fresh_encoded += bale->fresh_encoded;
    pthread_mutex_unlock(&coder->lock);
    return batch->encoded;
}

void drv_coder_sent(struct drv_coder *coder, const struct drv_batch *batch, uint64_t work_us, uint64_t blocked_us)
{
    uint64_t done_us;

    drv_pace_sent(&coder->pace, batch->encoded, blocked_us);
    if (!batch->full)
        return; /* it is QEMU that we wait for */
    done_us = batch->alone_us + batch->pressed_us;
    pthread_mutex_lock(&coder->lock);
    if (batch->effort == coder->look_effort) {
        coder->look.raw_bytes += batch->raw;
        coder->look.content_bytes += batch->content;
        coder->look.encoded_bytes += batch->encoded;
        coder->look.alone_us += batch->alone_us;
        coder->look.press_us += batch->press_us;
        coder->look.pressed_us += batch->pressed_us;
        coder->look.send_us += work_us > done_us ? work_us - done_us : 0;
        coder->look.blocked_us += blocked_us;
        coder->batches++;
    }
    pthread_mutex_unlock(&coder->lock);
}

uint64_t drv_coding_link_bps(const struct drv_coding *coding)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < DRV_CODERS; i++) {
        uint64_t bps = atomic_load(&coding->coder[i].pace.link_bps);

        most = bps > most ? bps : most;
    }
    return most;
}

enum drv_pace_when drv_coding_when(const struct drv_coding *coding)
{
    const struct drv_pace *pace = &coding->coder[0].pace;

    return atomic_load(&pace->hurry) ? DRV_PACE_HURRY : atomic_load(&pace->near) ? DRV_PACE_NEAR : DRV_PACE_FAR;
}

/* Full batches that all were made at the present effort, once there are enough. */
static bool take_look(struct drv_coder *coder, struct drv_effort_look *look)
{
    bool enough;

    pthread_mutex_lock(&coder->lock);
    enough = coder->batches >= LOOK_BATCHES;
    if (enough) {
        *look = coder->look;
        coder->look = (struct drv_effort_look){0};
        coder->batches = 0;
    }
    pthread_mutex_unlock(&coder->lock);
    return enough;
}

/* More than a gigabit a second went out, and not only into the buffers of TCP. */
static bool is_fast(struct drv_coder *coder, const struct drv_effort_look *look, unsigned senders)
{
    uint64_t us = look->alone_us + look->pressed_us + look->send_us + look->blocked_us;
    uint64_t link_bps = atomic_load(&coder->pace.link_bps);

    coder->fast = look->encoded_bytes * senders > us * FAST_MB_S ? coder->fast + 1 : 0;
    return coder->fast >= FAST_LOOKS && (!link_bps || link_bps > FAST_MB_S * 1000000);
}

/*
 * References cost less than to encrypt, send and decrypt what they stand for. What a disk
 * brings must be remembered in any case, as memory refers to it later; and so must all that is kept for a later
 * session, which costs more without it than a plain copy ever gains, unless the link is so fast that it is the
 * processors alone that both wait for.
 */
static unsigned least_effort(struct drv_coder *coder, const struct drv_effort_look *look, unsigned senders)
{
    bool fast = is_fast(coder, look, senders);

    return coder->channel == DRV_CHANNEL_DISK || (coder->kept && !fast) || look->encoded_bytes < look->raw_bytes / 4 * 3
               ? DRV_EFFORT_STORED
               : DRV_EFFORT_PLAIN;
}

/* What became of bales since: the encoder is ours now. */
static void tell_pressed(struct drv_coder *coder)
{
    uint64_t raw, encoded;

    pthread_mutex_lock(&coder->lock);
    raw = coder->fresh_raw;
    encoded = coder->fresh_encoded;
    coder->fresh_raw = coder->fresh_encoded = 0;
    pthread_mutex_unlock(&coder->lock);
    drv_encoder_pressed(coder->encoder, raw, encoded);
}

void drv_coder_adapt(struct drv_coder *coder, unsigned senders, size_t chunk_bytes)
{
    struct drv_encoder_copy copy;
    struct drv_effort_look look;
    unsigned effort;
    size_t batch;

    tell_pressed(coder);
    drv_encoder_copy(coder->encoder, &copy);
    drv_pace_look(&coder->pace, drv_clock_us(), senders, &copy);
    atomic_store(&coder->pace.hurry, drv_encoder_hurry(coder->encoder));
    batch = drv_pace_batch(&coder->pace, senders);
    /* What goes out is about half of it, or less. */
    drv_encoder_set_batch(coder->encoder, batch < 2 * chunk_bytes ? batch : 2 * chunk_bytes);
    if (!take_look(coder, &look))
        return;
    effort = drv_effort_look(&coder->effort, &look, senders < coder->lanes ? senders : coder->lanes,
                             atomic_load(&coder->pace.link_bps), least_effort(coder, &look, senders),
                             atomic_load(&coder->pace.near));
    drv_encoder_set_effort(coder->encoder, effort);
    pthread_mutex_lock(&coder->lock);
    if (effort != coder->look_effort) {
        coder->look = (struct drv_effort_look){0};
        coder->batches = 0;
    }
    coder->look_effort = effort;
    pthread_mutex_unlock(&coder->lock);
}
