/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any input of a channel: split anywhere, at any effort, what the decoder gives is what the
 * encoder took. For the fuzzers of each kind of channel.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "relay/codec/decoder.h"
#include "relay/codec/encoder.h"

struct fuzz_channel {
    drv_encoder *encoder;
    drv_decoder *decoder;
};

/** fuzz_channel_begin() - made once, then forgets all. */
void fuzz_channel_begin(struct fuzz_channel *channel, unsigned tricks);

/**
 * fuzz_channel_run() - @data goes through.
 * @cut: what its bits, and then bytes here and there, say is how it is cut up
 */
void fuzz_channel_run(struct fuzz_channel *channel, uint32_t cut, const uint8_t *data, size_t size);

/** fuzz_require() - abort when it does not hold. */
void fuzz_require(int condition);
