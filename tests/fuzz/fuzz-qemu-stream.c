/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any input of a channel: split anywhere, at any effort, what the decoder gives is what the
 * encoder took. The first byte and then bytes here and there say how it is cut up.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "relay/codec/decoder.h"
#include "relay/codec/encoder.h"

#define CACHE_PAGES 8

static drv_encoder *encoder;
static drv_decoder *decoder;
static uint8_t record[DRV_RECORD_MAX];

static void require(int condition)
{
    if (!condition)
        abort();
}

static void set_up(void)
{
    struct drv_encoder_config config = {
        .cache_pages = CACHE_PAGES, .tricks = DRV_TRICKS_ALL, .seed = 1};
    struct drv_error err;

    if (!encoder) {
        require(drv_encoder_new(&encoder, &config, &err) == 0);
        require(drv_decoder_new(&decoder, CACHE_PAGES, 1, &err) == 0);
    }
    drv_encoder_reset(encoder, 1);
    drv_decoder_reset(decoder, 1);
}

/* Return: how many bytes of the channel came out, which are compared to @expected. */
static size_t flush(const uint8_t *expected, size_t left)
{
    size_t size = drv_encoder_close(encoder, record), used, came;
    struct drv_error err;
    const uint8_t *out;

    if (!size)
        return 0;
    require(size <= DRV_RECORD_MAX);
    require(drv_decoder_feed(decoder, record, size, &used, &err) == 1 && used == size);
    came = drv_decoder_output(decoder, &out);
    require(came <= left && memcmp(out, expected, came) == 0);
    drv_decoder_take(decoder, came);
    require(drv_decoder_is_between(decoder));
    return came;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t fed = 0, came = 0;
    uint32_t cut;

    if (!size)
        return 0;
    cut = data[0];
    data++;
    size--;
    set_up();
    while (fed < size) {
        uint8_t *at;
        size_t room;

        if (cut & 1)
            drv_encoder_set_effort(encoder, (cut >> 3) % DRV_EFFORTS);
        room = drv_encoder_room(encoder, &at);
        if (!room && !(cut & 2))
            room = drv_encoder_missing(encoder, &at);
        if (room > size - fed)
            room = size - fed;
        if (cut & 4 && room > 1 + data[fed] * (cut >> 3 & 31))
            room = 1 + (size_t)data[fed] * (cut >> 3 & 31);
        memcpy(at, data + fed, room);
        drv_encoder_commit(encoder, room);
        fed += room;
        cut = cut * 1103515245 + 12345;
        if (!room || (cut >> 16 & 7) == 0)
            came += flush(data + came, size - came);
        cut = (cut & ~0xffu) | (cut >> 8 & 0xff);
    }
    came += flush(data + came, size - came);
    require(came == size);
    return 0;
}
