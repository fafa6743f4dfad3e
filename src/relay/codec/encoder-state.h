/* SPDX-License-Identifier: Apache-2.0 */
/* What an encoder consists of: private to encoder.c and encoder-pages.c. */
#pragma once

#include "relay/codec/bale.h"
#include "relay/codec/cache.h"
#include "relay/codec/encoder.h"
#include "relay/codec/fresh.h"
#include "relay/codec/index.h"
#include "relay/codec/nbd-parser.h"
#include "relay/codec/ram-parser.h"
#include "relay/codec/squeeze.h"

struct drv_encoder {
    struct drv_ram_parser ram;
    struct drv_nbd_parser nbd;
    struct drv_cache cache;
    struct drv_index contents, addresses;
    const drv_encoder *other[DRV_CODERS_MAX];
    struct drv_older *older; /* NULL: the target has none */
    unsigned lanes;
    struct drv_squeezer lane[DRV_LANES_MAX];
    struct drv_bale bale; /* drv_encoder_close()'s */
    unsigned tricks;
    unsigned effort, next_effort;
    size_t batch, next_batch;
    uint64_t seed;

    /* the batch at hand */
    uint8_t *raw; /* the channel's bytes */
    size_t raw_used;
    size_t raw_at; /* bytes before it have become ops */
    uint8_t *body; /* room for ops, then literals */
    size_t ops_used, literals_used;

    /* the op in the making: the same thing several times */
    enum drv_op run;
    size_t run_count;   /* 0: there is none */
    uint64_t run_back;  /* OTHER, OLDER: the number of the first page */
    unsigned run_coder; /* OTHER */

    uint64_t address; /* of the page before, as the decoder knows it */
    bool bare;        /* the decoder knows that pages have no headers */
    struct drv_encoder_stats stats;
    struct drv_fresh fresh;
};
