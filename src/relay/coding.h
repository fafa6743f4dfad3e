/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec at work in a session: which streams are encoded on their way from source to target,
 * how long a batch waits for more, and how hard the encoder tries.
 *
 * A session has a fixed number of coders, made when it starts, the first of them for the stream
 * of memory, the others for disks, and each with a part of the cache. Each serves one stream and is not used
 * again, so that a stream that is over at one end only cannot confuse the next. What the others remember they
 * keep: memory may refer to it, and disks to each other.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "relay/codec/decoder.h"
#include "relay/codec/encoder.h"
#include "relay/codec/older.h"
#include "relay/control/control.h"
#include "relay/effort.h"
#include "relay/frame.h"
#include "relay/pace.h"

#define DRV_CODER_COST_MIN 8192u /* less credit than this is not worth a batch */

/* What drv_encoder_stats() says, for other threads. */
struct drv_coder_counters {
    _Atomic uint64_t literal, delta, same, other, older, zero;
};

struct drv_ahead;

struct drv_coder {
    drv_encoder *encoder;                   /* at the source; whoever has the stream's token `reading` uses it */
    drv_decoder *decoder;                   /* at the target; `delivering` */
    _Atomic enum drv_relay_channel channel; /* whose stream it has */
    struct drv_coder_counters counters;
    struct drv_ahead *ahead;      /* of the session, if there are older images (ahead.h) */
    struct drv_older *older;      /* source: its window; NULL: none */
    _Atomic unsigned older_image; /* which one the stream is about, from 1 on; 0: not known yet */
    struct drv_effort effort;     /* how hard to try; as `encoder` */
    bool kept;                    /* what it remembers serves later sessions, too; before the first byte */
    unsigned fast;                /* looks in a row at which a fast link took what it got */
    unsigned lanes;               /* batches that may be pressed at the same time (bale.h) */
    pthread_mutex_t lock;
    uint64_t fresh_raw, fresh_encoded; /* lock: of bales, not told to the encoder yet */
    struct drv_effort_look look;       /* lock: full batches at the present effort */
    unsigned batches;                  /* lock: how many */
    unsigned look_effort;              /* lock: that effort */
    struct drv_pace pace;              /* of the stream of memory */
};

/* What a sender has done for one batch. */
struct drv_batch {
    size_t raw;          /* bytes of the channel */
    size_t encoded;      /* bytes of its record; before it is pressed: at most */
    size_t content;      /* bytes that zstd had of it */
    bool full;           /* it was closed because it was full */
    unsigned effort;     /* that it was made with */
    uint64_t alone_us;   /* reading and searching */
    uint64_t press_us;   /* compressing: processor time */
    uint64_t pressed_us; /* the same by the clock */
    uint64_t waited_us;  /* for more of it, or until it might be read */
};

struct drv_coding {
    bool on; /* both ends can, since before any stream */
    size_t cache_pages;
    bool used[DRV_CODERS]; /* source: main thread; target: receiver of link 0 */
    struct drv_coder coder[DRV_CODERS];
};

/** drv_coding_offer() - MiB of cache that this host gives: 1/16 of its memory, 4 GiB at most. */
uint16_t drv_coding_offer(void);

/** drv_coding_agree() - what both ends have said in their HELLO. */
void drv_coding_agree(struct drv_coding *coding, const struct drv_hello *here, const struct drv_hello *there);

/** drv_coding_is_shared() - may other streams refer to what the coder of that number remembers? */
static inline bool drv_coding_is_shared(unsigned number)
{
    return number > 1;
}

/** drv_coding_count() - what became of pages so far: into the channels' counters. Any thread. */
void drv_coding_count(const struct drv_coding *coding, struct drv_relay_status *status);

/** drv_coding_memory() - bytes that all coders of an end take, but for the cache and its index. */
uint64_t drv_coding_memory(enum drv_relay_role role);

/** drv_coding_cache_memory() - bytes of caches of so many pages, and their index at the source. */
uint64_t drv_coding_cache_memory(enum drv_relay_role role, size_t cache_pages);

/** drv_coding_start() - make the coders, if it was agreed. @seed: the same at both ends. */
int drv_coding_start(struct drv_coding *coding, enum drv_relay_role role, uint64_t seed, struct drv_error *err);

/** drv_coding_take() - source: a coder for a new stream. Return: its number from 1 on, or 0. */
unsigned drv_coding_take(struct drv_coding *coding, enum drv_relay_channel channel);

/** drv_coding_claim() - target: the coder with that number, or NULL: it may not be used. */
struct drv_coder *drv_coding_claim(struct drv_coding *coding, unsigned number);

/**
 * drv_coder_read() - read a batch.
 * @fd:     local socket, not blocking; read until the batch is full or the socket pauses
 * @credit: what may be sent, at least DRV_CODER_COST_MIN
 * @urgent: a descriptor; when it is readable there is other work, and the batch is closed
 * @bale:   receives the batch
 * @out:    room for DRV_RECORD_MAX, for drv_coder_press()
 * @batch:  receives what became of it
 *
 * Return: how many bytes its record will have at most; 0: the socket is at its end or broken, -EAGAIN:
 * nothing there, or there is other work before it may be read (pace.h).
 */
ssize_t drv_coder_read(struct drv_coder *coder, int fd, uint64_t credit, int urgent, struct drv_bale *bale,
                       uint8_t *out, struct drv_batch *batch);

/**
 * drv_coder_press() - make a record of it. Any thread that has the lane to itself.
 * Return: bytes of the record
 */
size_t drv_coder_press(struct drv_coder *coder, unsigned lane, struct drv_bale *bale, uint8_t *out,
                       struct drv_batch *batch);

/**
 * drv_coder_sent() - a batch has gone. Any sender.
 * @work_us:    that its thread was busy with it
 * @blocked_us: that it waited for the link
 */
void drv_coder_sent(struct drv_coder *coder, const struct drv_batch *batch, uint64_t work_us, uint64_t blocked_us);

/**
 * drv_coder_adapt() - before a batch: how large it may be, and how hard to try (effort.h).
 * @senders:     how many may send batches at the same time
 * @chunk_bytes: what the link takes in about 5 ms
 */
void drv_coder_adapt(struct drv_coder *coder, unsigned senders, size_t chunk_bytes);

/** drv_coding_link_bps() - what all links together were seen to take, bytes a second; 0: not known. */
uint64_t drv_coding_link_bps(const struct drv_coding *coding);

/** drv_coding_when() - how near the switch is. Any thread. */
enum drv_pace_when drv_coding_when(const struct drv_coding *coding);

/** drv_coder_cost() - how much of the credit a record takes. Units: bytes. */
static inline uint64_t drv_coder_cost(size_t record, size_t raw)
{
    return record > raw ? record : raw;
}
