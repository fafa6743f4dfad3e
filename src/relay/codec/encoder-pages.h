/* SPDX-License-Identifier: Apache-2.0 */
/* From what was recognised in a channel to ops and literals: the tricks of encoder.h. */
#pragma once

#include <stdint.h>

#include "relay/codec/encoder.h"
#include "relay/codec/span.h"

/** drv_encoder_add_span() - what the parser has recognised becomes ops and literals. */
void drv_encoder_add_span(drv_encoder *encoder, const struct drv_span *span, const uint8_t *bytes);

/** drv_encoder_end_run() - write the op in the making. */
void drv_encoder_end_run(drv_encoder *encoder);

/**
 * drv_encoder_know() - page @number of the cache, which was put there, may be referred to.
 * @address: where it was in an earlier session, or UINT64_MAX
 * @next:    how many pages there will be when all are there
 * Before the first byte. Pages that in the end are not there at both ends must be zeros at both.
 */
void drv_encoder_know(drv_encoder *encoder, uint64_t number, uint64_t address, uint64_t next);
