/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Older images of disks in a session (docs/codec.rst). The source asks, as the copy of a disk goes on, for
 * digests of what comes next (codec/older.h); the target reads its older image, answers, and gives the
 * blocks that are then referred to.
 *
 * At the target a thread reads and digests, one question after the other; link 0 sends the answer. What it has
 * read it keeps for a while: those that decode mostly find it there when it is referred to. What is
 * not kept any more they read themselves; who reads an image does so alone.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/coding.h"
#include "relay/control/control.h"
#include "relay/frame.h"
#include "relay/nbd-read.h"

#define DRV_AHEAD_QUESTIONS (DRV_CODERS * DRV_OLDER_QUESTIONS)
/* That are kept: as far as questions may be ahead of the copy, and what is being decoded. */
#define DRV_AHEAD_PIECES ((DRV_OLDER_SLOTS - DRV_OLDER_BEHIND) / DRV_OLDER_STEP + 8u)

struct drv_ahead_question {
    uint32_t stream;
    unsigned image;
    uint64_t first;
};

/* What was read at once, and answered a question. */
struct drv_ahead_piece {
    unsigned image;
    uint64_t first;
    unsigned blocks; /* 0: it is none, or is just being read */
};

struct drv_ahead {
    unsigned count; /* of images; 0: there are none */
    enum drv_relay_role role;
    char name[DRV_OLDER_IMAGES][DRV_OLDER_NAME_MAX + 1]; /* source: exports, by image */

    /* target */
    int fd[DRV_OLDER_IMAGES];
    pthread_mutex_t image_lock; /* guards the next */
    struct drv_nbd_read image[DRV_OLDER_IMAGES];
    bool open[DRV_OLDER_IMAGES];   /* hands were shaken */
    bool failed[DRV_OLDER_IMAGES]; /* and it was said that some of it cannot be read */

    pthread_t reader;
    bool started;
    int wake;               /* eventfd of link 0 */
    drv_digester *digester; /* the reader's */
    uint8_t *blocks;        /* of the pieces; the reader writes those of a piece that is none */
    _Atomic bool stop;
    pthread_mutex_t kept_lock; /* guards the next */
    struct drv_ahead_piece piece[DRV_AHEAD_PIECES];
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct drv_ahead_question question[DRV_AHEAD_QUESTIONS];
    unsigned oldest, questions;
    struct drv_ahead_question answered; /* stream 0: no answer waits to be sent */
    uint8_t answer[DRV_OLDER_STEP * DRV_OLDER_DIGEST];
    size_t answer_size;
};

/** drv_ahead_init() - there are none. */
int drv_ahead_init(struct drv_ahead *ahead, enum drv_relay_role role, struct drv_error *err);

/** drv_ahead_memory() - bytes that it takes at an end beyond the struct. */
uint64_t drv_ahead_memory(const struct drv_ahead *ahead);

/**
 * drv_ahead_start() - the coders are made. @key: the same at both ends
 * @wake: an eventfd, raised when there is an answer to send
 */
int drv_ahead_start(struct drv_ahead *ahead, struct drv_coding *coding, const uint8_t key[DRV_OLDER_KEY], int wake,
                    struct drv_error *err);

/** drv_ahead_abort() - whoever reads an image hears at once that it cannot. Any thread. */
void drv_ahead_abort(struct drv_ahead *ahead);

/** drv_ahead_stop() - end the thread and wait for it. */
void drv_ahead_stop(struct drv_ahead *ahead);

/** drv_ahead_done() - close and free; the coders are not used any more. */
void drv_ahead_done(struct drv_ahead *ahead, struct drv_coding *coding);

/** drv_ahead_follow() - source, with the stream's lock, nobody encodes: is something to be asked? */
bool drv_ahead_follow(struct drv_ahead *ahead, struct drv_coder *coder);

/** drv_ahead_asked() - target: a question has come. Return: 0 or -EPROTO. */
int drv_ahead_asked(struct drv_ahead *ahead, struct drv_coder *coder, uint32_t stream, unsigned image, uint64_t offset,
                    struct drv_error *err);

/** drv_ahead_tell() - target, link 0: fill in @frame and its @payload. Return: is there one to send? */
bool drv_ahead_tell(struct drv_ahead *ahead, struct drv_frame *frame, uint8_t *payload);
