/* SPDX-License-Identifier: Apache-2.0 */
/* An encoder and its decoder back to back: see codec-line.h. */
#include "codec-line.h"

#include <string.h>

void line_begin(struct line *line, size_t cache_pages, unsigned tricks)
{
    struct drv_encoder_config config = {
        .cache_pages = cache_pages, .lanes = LINE_LANES, .tricks = tricks, .seed = LINE_SEED};
    struct drv_error err;

    g_assert_cmpint(drv_encoder_new(&line->encoder, &config, &err), ==, 0);
    g_assert_cmpint(drv_decoder_new(&line->decoder, cache_pages, LINE_LANES, LINE_SEED, &err), ==, 0);
    line->random = NULL;
    line->lane = 0;
    line->fed = line->came = 0;
    line->encoded = 0;
}

void line_again(struct line *line, const uint8_t *expected)
{
    drv_encoder_reset(line->encoder, LINE_SEED);
    drv_decoder_reset(line->decoder, LINE_SEED);
    line->expected = expected;
    line->fed = line->came = 0;
    line->encoded = 0;
}

void line_end(struct line *line)
{
    drv_encoder_free(line->encoder);
    drv_decoder_free(line->decoder);
}

static size_t piece(struct line *line, size_t most)
{
    if (!line->random || most < 2)
        return most;
    return (size_t)g_rand_int_range(line->random, 1, (gint32)MIN(most, (size_t)1 << 30) + 1);
}

static void take_output(struct line *line)
{
    const uint8_t *bytes;
    size_t size;

    while ((size = drv_decoder_output(line->decoder, &bytes))) {
        size = piece(line, size);
        g_assert_cmpint(memcmp(bytes, line->expected + line->came, size), ==, 0);
        line->came += size;
        drv_decoder_take(line->decoder, size);
    }
}

/* Closes the batch and brings its record to the other end. */
void line_flush(struct line *line)
{
    size_t size = drv_encoder_close_by(line->encoder, line->lane++ % LINE_LANES, line->record);
    const uint8_t *at = line->record;
    struct drv_error err;

    g_assert_cmpuint(size, <=, DRV_RECORD_MAX);
    line->encoded += size;
    while (size) {
        size_t much = piece(line, size), used;

        g_assert_cmpint(drv_decoder_feed(line->decoder, at, much, &used, &err), >=, 0);
        g_assert_cmpuint(used, <=, much);
        at += used;
        size -= used;
        take_output(line);
    }
    g_assert_true(drv_decoder_is_between(line->decoder));
    g_assert_cmpuint(line->came, ==, line->fed);
}

void line_feed(struct line *line, const uint8_t *bytes, size_t size)
{
    while (size) {
        uint8_t *at;
        size_t room = drv_encoder_room(line->encoder, &at);

        if (!room)
            room = drv_encoder_missing(line->encoder, &at);
        if (!room) {
            line_flush(line);
            continue;
        }
        room = piece(line, MIN(room, size));
        memcpy(at, bytes, room);
        drv_encoder_commit(line->encoder, room);
        line->fed += room;
        bytes += room;
        size -= room;
    }
}

void line_whole(struct line *line, const uint8_t *bytes, size_t size)
{
    line_again(line, bytes);
    line_feed(line, bytes, size);
    line_flush(line);
    g_assert_cmpuint(line->came, ==, size);
}
