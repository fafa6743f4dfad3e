/* SPDX-License-Identifier: Apache-2.0 */
/* Any input of a channel comes out as it went in: see channel.h. */
#include "channel.h"

#include <stdlib.h>
#include <string.h>

#define LANES 2
#define CACHE_PAGES 8

static uint8_t record[DRV_RECORD_MAX];

void fuzz_require(int condition)
{
    if (!condition)
        abort();
}

void fuzz_channel_begin(struct fuzz_channel *channel, unsigned tricks)
{
    struct drv_encoder_config config = {.cache_pages = CACHE_PAGES, .lanes = LANES, .tricks = tricks, .seed = 1};
    struct drv_error err;

    if (!channel->encoder) {
        fuzz_require(drv_encoder_new(&channel->encoder, &config, &err) == 0);
        fuzz_require(drv_decoder_new(&channel->decoder, CACHE_PAGES, LANES, 1, &err) == 0);
    }
    drv_encoder_reset(channel->encoder, 1);
    drv_decoder_reset(channel->decoder, 1);
}

/* Return: how many bytes of the channel came out, which are compared to @expected. */
static size_t flush(struct fuzz_channel *channel, const uint8_t *expected, size_t left)
{
    size_t size = drv_encoder_close_by(channel->encoder, (unsigned)left % LANES, record), used, came;
    struct drv_error err;
    const uint8_t *out;

    if (!size)
        return 0;
    fuzz_require(size <= DRV_RECORD_MAX);
    fuzz_require(drv_decoder_feed(channel->decoder, record, size, &used, &err) == 1 && used == size);
    came = drv_decoder_output(channel->decoder, &out);
    fuzz_require(came <= left && memcmp(out, expected, came) == 0);
    drv_decoder_take(channel->decoder, came);
    fuzz_require(drv_decoder_is_between(channel->decoder));
    return came;
}

void fuzz_channel_run(struct fuzz_channel *channel, uint32_t cut, const uint8_t *data, size_t size)
{
    size_t fed = 0, came = 0;

    while (fed < size) {
        uint8_t *at;
        size_t room;

        if (cut & 1)
            drv_encoder_set_effort(channel->encoder, (cut >> 3) % DRV_EFFORTS);
        room = drv_encoder_room(channel->encoder, &at);
        if (!room && !(cut & 2))
            room = drv_encoder_missing(channel->encoder, &at);
        if (room > size - fed)
            room = size - fed;
        if (cut & 4 && room > 1 + data[fed] * (cut >> 3 & 31))
            room = 1 + (size_t)data[fed] * (cut >> 3 & 31);
        memcpy(at, data + fed, room);
        drv_encoder_commit(channel->encoder, room);
        fed += room;
        cut = cut * 1103515245 + 12345;
        if (!room || (cut >> 16 & 7) == 0)
            came += flush(channel, data + came, size - came);
        cut = (cut & ~0xffu) | (cut >> 8 & 0xff);
    }
    came += flush(channel, data + came, size - came);
    fuzz_require(came == size);
}
