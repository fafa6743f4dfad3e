/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What samples of a guest's memory say of all of it: how much is zero, how much it will be on
 * the wire, which pages change, and what those will be on the wire. Pure; nothing of the
 * guest's is kept beyond drv_sample_free().
 */
#pragma once

#include "plan/estimate.h"

typedef struct drv_sample drv_sample;

/** drv_sample_new() - of @count chunks of @chunk_bytes (a multiple of 4096) out of @memory_bytes. */
drv_sample *drv_sample_new(guint count, guint chunk_bytes, guint64 memory_bytes);
void drv_sample_free(drv_sample *sample);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_sample, drv_sample_free)

/** drv_sample_choose() - numbers of the chunks to look at, evenly spread and random, of @total. Sorted. */
void drv_sample_choose(guint *chunks, guint count, guint total, GRand *rand);

/**
 * drv_sample_see() - what chunk @index has now. Seen first it is kept; later it is compared with that.
 * @sweep: from 0 on; all chunks are seen once in a sweep, at most DRV_ESTIMATE_WINDOWS more after the first
 */
void drv_sample_see(drv_sample *sample, guint sweep, guint index, const guint8 *bytes, gint64 now_us);

/** drv_sample_fill() - what was seen into the input: sampled, shares and ratios, windows. */
void drv_sample_fill(const drv_sample *sample, drv_estimate_input *in);
