/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes records (record.h) of the bytes of one channel. Bytes are read straight into its buffer
 * (drv_encoder_room(), drv_encoder_commit()); the owner closes a batch when it is full or when
 * the input pauses, and then nothing is left inside. It never waits, starts no threads, and takes
 * all its memory when it is made. Used by one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/codec/bale.h"
#include "relay/codec/cache.h"
#include "relay/codec/older.h"
#include "relay/codec/record.h"

/* From a plain copy (0) over references alone (1) to zstd -5, -3, -1, 1, 2 and 3. */
#define DRV_EFFORTS 8u
#define DRV_EFFORT_PLAIN 0u
#define DRV_EFFORT_STORED 1u
#define DRV_EFFORT_FIRST 5u

/* Tricks that may be left out: for measurements and for what is no QEMU stream. */
enum drv_codec_trick {
    DRV_TRICK_RAM = 1,   /* look for guest pages */
    DRV_TRICK_SAME = 2,  /* refer to pages that were sent before */
    DRV_TRICK_DELTA = 4, /* send what has changed of a page */
    DRV_TRICKS_ALL = 7,
    DRV_TRICK_NBD = 8, /* look for blocks of a disk, instead of guest pages */
    DRV_TRICKS_DISK = DRV_TRICK_NBD | DRV_TRICK_SAME | DRV_TRICK_DELTA,
};

struct drv_encoder_config {
    size_t cache_pages; /* as at the decoder; 0: nothing is remembered */
    unsigned lanes;     /* as at the decoder, at most DRV_LANES_MAX; 0: one */
    unsigned tricks;    /* enum drv_codec_trick */
    uint64_t seed;      /* of hashes: random, and known to the decoder */
};

struct drv_encoder_stats {
    uint64_t raw_bytes, encoded_bytes;                           /* the latter: by drv_encoder_close() only */
    uint64_t content_bytes;                                      /* that there were for zstd: ops and literals */
    uint64_t literal_pages, same_pages, delta_pages, zero_pages; /* or blocks of a disk */
    uint64_t other_pages;                                        /* that another stream had brought */
    uint64_t older_pages;                                        /* that the target has in an older image of the disk */
};

typedef struct drv_encoder drv_encoder;

/** drv_encoder_new() - Return: 0 or -ENOMEM. */
int drv_encoder_new(drv_encoder **encoder, const struct drv_encoder_config *config, struct drv_error *err);

/** drv_encoder_free() - NULL is allowed. */
void drv_encoder_free(drv_encoder *encoder);

/** drv_encoder_memory() - bytes that such an encoder takes at most, its cache included. */
size_t drv_encoder_memory(size_t cache_pages, unsigned lanes);

/** drv_encoder_reset() - a new stream begins, at the decoder as well: forget all. */
void drv_encoder_reset(drv_encoder *encoder, uint64_t seed);

/** drv_encoder_set_tricks() - other ones than those it was made with; before the first byte. */
void drv_encoder_set_tricks(drv_encoder *encoder, unsigned tricks);

/**
 * drv_encoder_keep() - what it remembers stays until there is no place left, so that encoders of
 * other streams may refer to it, here as at the decoder; before the first byte.
 */
void drv_encoder_keep(drv_encoder *encoder);

/** drv_encoder_refer() - pages that @other keeps may be referred to; before the first byte.
 * @number: its coder's, the same at the decoder; less than DRV_CODERS_MAX
 * @other:  outlives this one's last use
 */
void drv_encoder_refer(drv_encoder *encoder, unsigned number, const drv_encoder *other);

/**
 * drv_encoder_disk() - the export that an NBD client has asked for; NULL: it has not yet.
 * @reached: receives how far on the disk it has written
 */
const char *drv_encoder_disk(const drv_encoder *encoder, uint64_t *reached);

/** drv_encoder_set_older() - blocks that the target has may be referred to. @older: outlives the last use. */
void drv_encoder_set_older(drv_encoder *encoder, struct drv_older *older);

/** drv_encoder_remembered() - how many pages the records made so far have added to the cache. */
uint64_t drv_encoder_remembered(const drv_encoder *encoder);

/** drv_encoder_shared() - as drv_encoder_share() has said. Any thread. */
uint64_t drv_encoder_shared(const drv_encoder *encoder);

/**
 * drv_encoder_share() - the decoder has that many of them: others may refer to them from now on.
 * At most drv_encoder_remembered(), and not less than before. Any thread, one at a time.
 */
void drv_encoder_share(drv_encoder *encoder, uint64_t pages);

/** drv_encoder_cache() - what it remembers; before its first byte pages may be put there. */
struct drv_cache *drv_encoder_cache(drv_encoder *encoder);

/** drv_encoder_set_effort() - from the next batch on; less than DRV_EFFORTS. */
void drv_encoder_set_effort(drv_encoder *encoder, unsigned effort);

/** drv_encoder_set_batch() - how many bytes of content to compress together (16 to 128 KiB). */
void drv_encoder_set_batch(drv_encoder *encoder, size_t bytes);

/**
 * drv_encoder_room() - where the next bytes of the channel are to be written.
 * @at: receives the place
 * Return: how many there may be; 0: the batch is full.
 */
size_t drv_encoder_room(drv_encoder *encoder, uint8_t **at);

/** drv_encoder_commit() - @size bytes, at most the room, were written there. */
void drv_encoder_commit(drv_encoder *encoder, size_t size);

/**
 * drv_encoder_missing() - how many more bytes would complete the page at hand: worth waiting for
 * a moment before the batch is closed; ask again when they have come, as only then it may be
 * known how long the page is. There is room for them although drv_encoder_room() says 0.
 * @at: receives where they go
 */
size_t drv_encoder_missing(drv_encoder *encoder, uint8_t **at);

/** drv_encoder_held() - bytes of the channel in the batch at hand. */
size_t drv_encoder_held(const drv_encoder *encoder);

/**
 * drv_encoder_pack() - close the batch at hand; the next may begin while it is pressed (bale.h).
 * @out: room for DRV_RECORD_MAX, where drv_bale_press() will make the record
 * Return: false when there is nothing.
 */
bool drv_encoder_pack(drv_encoder *encoder, struct drv_bale *bale, uint8_t *out);

/** drv_encoder_lane() - number @number, less than the configuration's. */
struct drv_squeezer *drv_encoder_lane(drv_encoder *encoder, unsigned number);

/** drv_encoder_pressed() - what became of bales: sums of their fields of these names. */
void drv_encoder_pressed(drv_encoder *encoder, uint64_t fresh_raw, uint64_t fresh_encoded);

/**
 * drv_encoder_close() - all of that at once, by the first lane.
 * @out: room for DRV_RECORD_MAX
 * Return: the record's length; 0 when there is nothing.
 */
size_t drv_encoder_close(drv_encoder *encoder, uint8_t *out);

/** drv_encoder_close_by() - the same by another lane. */
size_t drv_encoder_close_by(drv_encoder *encoder, unsigned lane, uint8_t *out);

/* How QEMU's copy of the guest's memory stands. */
struct drv_encoder_copy {
    unsigned rounds; /* that have begun */
    bool stopped;    /* the last one: the guest stands still at the source */
    /*
     * Of what the guest has written lately: pages that went before, whose content had changed;
     * before there are any: pages as they are. Bytes of the channel, and what they became.
     */
    uint64_t fresh_bytes, fresh_encoded_bytes;
};

/** drv_encoder_copy() - as of the last batch that was closed. */
void drv_encoder_copy(const drv_encoder *encoder, struct drv_encoder_copy *copy);

/** drv_encoder_hurry() - no byte should wait for others: the guest waits for pages already. */
bool drv_encoder_hurry(const drv_encoder *encoder);

const struct drv_encoder_stats *drv_encoder_stats(const drv_encoder *encoder);
