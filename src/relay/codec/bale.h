/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch on its way from the encoder to the link: closed, and not compressed yet. While one thread
 * presses it another may fill the next, and a third press that: what an encoder remembers is settled
 * when a batch is closed. Records go in the order in which their batches were closed.
 *
 * Each is pressed with a *lane* of the encoder's (squeeze.h), which goes on where the last record of that
 * lane ended: who has closed a batch keeps a lane to itself until all records before are sent.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/codec/record.h"
#include "relay/codec/squeeze.h"

/* Room for ops, then literals. */
#define DRV_BALE_BODY ((size_t)DRV_RECORD_OPS_MAX + DRV_RECORD_LITERALS_MAX)

struct drv_bale {
    uint8_t *memory; /* DRV_BALE_BODY bytes, which the encoder has filled; it has got ours */
    const uint8_t *body;
    struct drv_record record; /* without the length of its body, unless it is plain */
    int level;                /* 0: it is not compressed */
    size_t fresh_raw, fresh_body;
    uint64_t fresh_encoded; /* pressed: what became of the former */
    uint64_t remembered;    /* pages that this record and those before add to the cache */
};

/** drv_bale_init() - Return: 0 or -ENOMEM. */
int drv_bale_init(struct drv_bale *bale, struct drv_error *err);

/** drv_bale_done() - free; a zeroed one is allowed. */
void drv_bale_done(struct drv_bale *bale);

/** drv_bale_most() - bytes that the record will have at most. */
static inline size_t drv_bale_most(const struct drv_bale *bale)
{
    return DRV_RECORD_HEADER_SIZE +
           (bale->record.method == DRV_RECORD_PLAIN ? bale->record.body : bale->record.expanded);
}

/**
 * drv_bale_press() - make the record. Any thread that has bale and lane to itself.
 * @lane: of the encoder that has closed it, and its number
 * @out:  room for DRV_RECORD_MAX; a plain record is there already
 * Return: the record's length
 */
size_t drv_bale_press(struct drv_bale *bale, struct drv_squeezer *lane, unsigned number, uint8_t *out);
