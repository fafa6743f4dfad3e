/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known content in a session: what both hosts kept of earlier ones is put into the codec's cache
 * before its first byte, and what this one leaves in the cache is kept for later.
 *
 * A thread opens what the brief (pack/brief.h) names, while libvirt prepares. Both
 * ends tell each other what they could open; what only one of them has is zeros at both. Until that
 * is settled the source takes no stream of memory or disks: QEMU's bytes wait in their socket.
 * A time limit bounds it. Then the thread writes the pack (saving.h), of which the rest is written when the session
 * is over and all else is closed.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "pack/agreement.h"
#include "pack/brief.h"
#include "relay/coding.h"
#include "relay/saving.h"

struct drv_known {
    bool on; /* droverd gave a brief: both ends will say what they have */
    struct drv_brief brief;
    int pack[1 + DRV_PACKS_MAX]; /* descriptors: the one to write, those to read */
    enum drv_relay_role role;
    struct drv_coding *coding;
    pthread_t thread; /* loads, and then saves */
    bool started;
    struct drv_saving saving; /* its cache is NULL when nothing is kept */
    int wake;                 /* eventfd of link 0 */
    _Atomic bool stop;
    struct drv_pack_use use[DRV_PACKS_MAX]; /* the thread's, and then who saves */
    uint64_t load_us;

    pthread_mutex_t lock;
    struct drv_agreement here, there; /* lock */
    bool ready, sent, heard;          /* lock: loaded; told to the other end; heard from it */
    _Atomic bool due;                 /* link 0 has to tell it */
    _Atomic bool settled;             /* the cache is as it will be at both ends */
};

/** drv_known_init() - nothing is known, and nothing is to be kept. */
int drv_known_init(struct drv_known *known, enum drv_relay_role role, struct drv_error *err);

/** drv_known_take() - what droverd has handed over: the brief and @files descriptors from @first on. */
int drv_known_take(struct drv_known *known, int brief, int first, unsigned files, struct drv_error *err);

/** drv_known_pack_bytes() - how large the file that this end writes may become; 0: none. */
uint64_t drv_known_pack_bytes(const struct drv_known *known);

/**
 * drv_known_go_on() - whether loading may go on: the guest's owner waits. What is not there when it ends is not
 * used. Two seconds at least; eight at most, if it is quicker than a gigabit link (125 bytes a us) would be.
 */
static inline bool drv_known_go_on(uint64_t passed_us, uint64_t loaded_bytes)
{
    return passed_us < 2000 * 1000 || (passed_us < 8000 * 1000 && loaded_bytes >= passed_us * 125);
}

/**
 * drv_known_start() - the coders are made: begin to load, in a thread.
 * @wake: an eventfd, raised when there is something to tell
 */
int drv_known_start(struct drv_known *known, struct drv_coding *coding, int wake, struct drv_error *err);

/** drv_known_tell() - link 0: is it due? Return: bytes of the CONTENT frame's payload, or 0. */
size_t drv_known_tell(struct drv_known *known, uint8_t out[DRV_AGREEMENT_MAX]);

/** drv_known_told() - link 0: the frame has gone. Return: is it settled now? */
bool drv_known_told(struct drv_known *known);

/** drv_known_hear() - from the other end. Return: 1 when it is settled now, 0, or -EPROTO. */
int drv_known_hear(struct drv_known *known, const uint8_t *bytes, size_t size, struct drv_error *err);

/** drv_known_pass() - who has the first coder may have added pages to its cache. Never waits. */
static inline void drv_known_pass(struct drv_known *known)
{
    drv_saving_pass(&known->saving);
}

/** drv_known_stop() - let the thread end; nobody waits for it yet. */
void drv_known_stop(struct drv_known *known);

/** drv_known_bytes() - of the channel, that were references to what earlier sessions left. Any thread. */
uint64_t drv_known_bytes(const struct drv_known *known);

/** drv_known_save() - the session is over, nothing else runs: write the rest of the pack. Ruins the cache. */
void drv_known_save(struct drv_known *known, const char *session);

/** drv_known_done() - close and free. */
void drv_known_done(struct drv_known *known);
