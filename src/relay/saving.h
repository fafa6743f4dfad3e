/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what a session adds to the cache, as a pack (pack/pack.h): while it passes, and the rest when the
 * session is over. So a migration back that begins at once finds nearly all of it written.
 *
 * While the session runs a thread of low weight copies whole segments out of the ring and seals them. It does so
 * only as long as nobody else wants the processors: whenever it had to wait for one it pauses for longer. Three
 * quarters of the pack are for that; the last quarter is for what is newest in the end.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pack/pack.h"
#include "relay/codec/cache.h"

struct drv_saving {
    int fd; /* the part; borrowed */
    const struct drv_seal_key *key;
    unsigned most; /* segments */
    struct drv_cache *cache;
    struct drv_pack_manifest manifest;
    bool begun;              /* `next` counts */
    uint64_t next;           /* of the cache: the first segment that is not saved */
    struct drv_error failed; /* code 0: nothing has failed; else no more is written */
    uint8_t *pages;          /* a copy of a segment, and of its addresses */
    uint64_t *addresses;
    int passed, over;      /* eventfds: another segment is whole; the session is over */
    _Atomic uint64_t told; /* segments that drv_saving_pass() has told of */
};

/** drv_saving_open() - its events, before the sandbox. Return: 0 or -errno. */
int drv_saving_open(struct drv_saving *saving, struct drv_error *err);

/**
 * drv_saving_init() - memory for it.
 * @fd, @key, @cache: outlive it
 * @most: segments that the pack may have
 * Return: 0 or -ENOMEM; drv_saving_done() in any case.
 */
int drv_saving_init(struct drv_saving *saving, int fd, const struct drv_seal_key *key, unsigned most,
                    struct drv_cache *cache, struct drv_error *err);

/** drv_saving_memory() - bytes that drv_saving_init() takes, the manifest left out. */
size_t drv_saving_memory(void);

/** drv_saving_pass() - pages may have been added to the cache. Who adds them; never waits. */
void drv_saving_pass(struct drv_saving *saving);

/** drv_saving_run() - write what passes until drv_saving_stop(). A thread of its own. */
void drv_saving_run(struct drv_saving *saving);

/** drv_saving_stop() - the session is over: drv_saving_run() returns soon. Any thread. */
void drv_saving_stop(struct drv_saving *saving);

/**
 * drv_saving_rest() - what is not saved yet; drv_saving_run() has returned, and nobody uses the cache. Ruins
 * the cache. What cannot be written is counted in the manifest, and `failed` says why.
 * Return: segments that it has written
 */
unsigned drv_saving_rest(struct drv_saving *saving);

/** drv_saving_done() - free; a zeroed one must have its events set to -1. */
void drv_saving_done(struct drv_saving *saving);
