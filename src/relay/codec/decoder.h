/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives back the bytes of a channel from records (record.h). Nothing in them is trusted: each
 * length is checked before it is used, each reference must be to a page that is there, and no
 * byte of a record comes out before the check over all its bytes was found right. All memory
 * is taken when it is made. Used by one thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/codec/cache.h"
#include "relay/codec/record.h"

typedef struct drv_decoder drv_decoder;

/**
 * drv_decoder_new() - @cache_pages, @lanes (at most DRV_LANES_MAX) and @seed as at the encoder.
 * Return: 0 or -ENOMEM.
 */
int drv_decoder_new(drv_decoder **decoder, size_t cache_pages, unsigned lanes, uint64_t seed, struct drv_error *err);

/** drv_decoder_free() - NULL is allowed. */
void drv_decoder_free(drv_decoder *decoder);

/** drv_decoder_memory() - bytes that such a decoder takes at most, its cache included. */
size_t drv_decoder_memory(size_t cache_pages, unsigned lanes);

/** drv_decoder_reset() - a new stream begins: forget all. */
void drv_decoder_reset(drv_decoder *decoder, uint64_t seed);

/** drv_decoder_keep() - as drv_encoder_keep(). */
void drv_decoder_keep(drv_decoder *decoder);

/** drv_decoder_refer() - as drv_encoder_refer(). */
void drv_decoder_refer(drv_decoder *decoder, unsigned number, const drv_decoder *other);

/** Reads @size bytes of an older image of the disk, at @offset. Return: 0 or -errno. */
typedef int (*drv_decoder_read)(void *data, uint64_t offset, uint8_t *to, size_t size, struct drv_error *err);

/** drv_decoder_set_older() - where blocks of an older image are to be had; before the first byte. */
void drv_decoder_set_older(drv_decoder *decoder, drv_decoder_read read, void *data);

/**
 * drv_decoder_remembered() - how many pages whole records have added to the cache. When it is
 * kept, others may refer to these. Any thread.
 */
uint64_t drv_decoder_remembered(const drv_decoder *decoder);

/** drv_decoder_cache() - what it remembers; before its first byte pages may be put there. */
struct drv_cache *drv_decoder_cache(drv_decoder *decoder);

/**
 * drv_decoder_feed() - take bytes up to the end of a record; not before the output is taken.
 * @used: receives how many of @size bytes were taken
 *
 * Return: 1 when there is output, 0 when a record is not complete yet, or -EPROTO: the peer
 * lies or something is broken, and the decoder is of no more use.
 */
int drv_decoder_feed(drv_decoder *decoder, const uint8_t *bytes, size_t size, size_t *used, struct drv_error *err);

/** drv_decoder_output() - bytes of the channel that were not taken yet. */
size_t drv_decoder_output(const drv_decoder *decoder, const uint8_t **bytes);

/** drv_decoder_take() - @size bytes of the output have been taken. */
void drv_decoder_take(drv_decoder *decoder, size_t size);

/** drv_decoder_record() - of the last record that came out: bytes in, bytes out. */
void drv_decoder_record(const drv_decoder *decoder, size_t *encoded, size_t *raw);

/** drv_decoder_is_between() - it is at the end of a record, and all was taken. */
int drv_decoder_is_between(const drv_decoder *decoder);
