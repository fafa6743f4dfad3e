/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of a disk of which the target has an older image, as the source's encoder sees them: keyed
 * digests of that image's blocks, which the target sends ahead of the copy, for a window that
 * moves along with it. Blocks of which no digest is known are sent as any others.
 *
 * The window is a ring of slots, each with the number of the block it is about. Whoever encodes looks up
 * and moves the window; what is to be asked for, and what was answered, is under the stream's lock. A slot is
 * only asked for anew when the window has left the block that it was about, and answers come in
 * the order of the questions: so one who looks up never reads what is just written.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/codec/span.h"

#define DRV_OLDER_KEY 32u
#define DRV_OLDER_DIGEST 16u
#define DRV_OLDER_STEP 256u     /* blocks of a question: 1 MiB of the disk, 4 KiB of digests */
#define DRV_OLDER_SLOTS 24576u  /* blocks of the window: 96 MiB of the disk */
#define DRV_OLDER_BEHIND 8192u  /* of which behind the copy, for what comes out of order */
#define DRV_OLDER_QUESTIONS 64u /* that are not answered yet, at most */

typedef struct drv_digester drv_digester;

/** drv_digester_new() - for one thread at a time. @key: the same at both ends. Return: 0 or -ENOMEM. */
int drv_digester_new(drv_digester **digester, const uint8_t key[DRV_OLDER_KEY], struct drv_error *err);

/** drv_digester_free() - NULL is allowed. */
void drv_digester_free(drv_digester *digester);

/**
 * drv_digester_block() - of a block of DRV_PAGE_SIZE bytes: AES-GMAC (NIST SP 800-38D) with one nonce for all. That is
 * no signature, as tags with one nonce can be forged by who sees them; but nobody does outside the session, and two
 * blocks chosen without the key are alike in it with a chance of 2^-120 at most. Return: 0, or -EIO.
 */
int drv_digester_block(drv_digester *digester, const uint8_t *block, uint8_t digest[DRV_OLDER_DIGEST]);

struct drv_older {
    drv_digester *digester;
    uint8_t *digest;          /* of each slot */
    _Atomic uint64_t *number; /* of the block that it is about; UINT64_MAX: none */
    uint64_t low;             /* who encodes: blocks below it are not looked up any more */

    /* the stream's lock */
    uint64_t from, until;                   /* blocks to be asked for, not beyond */
    uint64_t question[DRV_OLDER_QUESTIONS]; /* first blocks of those that are not answered */
    unsigned oldest, questions;
    uint64_t reached;  /* by the copy */
    uint64_t answered; /* blocks */
    int64_t asked_us;  /* so long ago would be the first question, if there had always been one; 0: not yet */
    int64_t idle_us;   /* since when there is none */
    int64_t held_us;   /* since when the copy waits for an answer; 0: it does not */
    bool impatient;    /* it has waited long enough for the next one */
};

/** drv_older_new() - with all its memory. Return: 0 or -ENOMEM. */
int drv_older_new(struct drv_older **older, const uint8_t key[DRV_OLDER_KEY], struct drv_error *err);

/** drv_older_free() - NULL is allowed. */
void drv_older_free(struct drv_older *older);

/** drv_older_memory() - bytes that it takes. */
static inline size_t drv_older_memory(void)
{
    return sizeof(struct drv_older) + (size_t)DRV_OLDER_SLOTS * (DRV_OLDER_DIGEST + sizeof(uint64_t));
}

/** drv_older_has() - who encodes: has the target this block, at that byte of its older image? */
bool drv_older_has(struct drv_older *older, uint64_t address, const uint8_t *block);

/**
 * drv_older_move() - who encodes, with the stream's lock: the copy has got to that byte of the disk.
 * Return: whether something is to be asked.
 */
bool drv_older_move(struct drv_older *older, uint64_t address);

/** drv_older_is_due() - the stream's lock: is something to be asked? */
bool drv_older_is_due(const struct drv_older *older);

/** drv_older_ask() - the stream's lock: the next question. Return: false: there is none now. @first: a block. */
bool drv_older_ask(struct drv_older *older, int64_t now_us, uint64_t *first);

/**
 * drv_older_holds() - the stream's lock: should the copy wait for the answer to what was asked? Not where the link
 * is faster than the answers come, nor beyond drv_older_lose_patience().
 * @link_bps: bytes a second that the link is known to take; 0: it is not known
 */
bool drv_older_holds(const struct drv_older *older, uint64_t link_bps, int64_t now_us);

/** drv_older_lose_patience() - the stream's lock: go on without, until an answer comes. Return: was it held for so long? */
bool drv_older_lose_patience(struct drv_older *older, int64_t now_us);

/**
 * drv_older_answer() - the stream's lock: the answer to the oldest question.
 * @now_us: as for drv_older_ask()
 * @size: bytes of @digests; fewer than asked for: the image ends there, or could not be read
 * Return: 0 or -EPROTO.
 */
int drv_older_answer(struct drv_older *older, uint64_t first, const uint8_t *digests, size_t size, int64_t now_us,
                     struct drv_error *err);
