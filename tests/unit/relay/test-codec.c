/* SPDX-License-Identifier: Apache-2.0 */
/* The codec gives back every byte, for every input, under every split. */
#include <glib.h>
#include <string.h>

#include "codec-line.h"
#include "ram-stream.h"
#include "relay/codec/delta.h"

static void every_split(void)
{
    struct ram_stream stream;
    struct line line;

    ram_stream_make(&stream, 1, 3, 2);
    line_begin(&line, 16, DRV_TRICKS_ALL);
    for (unsigned effort = 0; effort <= DRV_EFFORT_FIRST; effort += DRV_EFFORT_FIRST - 1) {
        drv_encoder_set_effort(line.encoder, effort);
        for (size_t split = 0; split <= stream.size; split++) {
            line_again(&line, stream.bytes);
            line_feed(&line, stream.bytes, split);
            line_flush(&line);
            line_feed(&line, stream.bytes + split, stream.size - split);
            line_flush(&line);
        }
    }
    line_end(&line);
    ram_stream_free(&stream);
}

static void byte_by_byte(void)
{
    struct ram_stream stream;
    struct line line;

    ram_stream_make(&stream, 2, 3, 2);
    line_begin(&line, 16, DRV_TRICKS_ALL);
    line_again(&line, stream.bytes);
    for (size_t i = 0; i < stream.size; i++)
        line_feed(&line, stream.bytes + i, 1);
    line_flush(&line);
    line_again(&line, stream.bytes);
    for (size_t i = 0; i < stream.size; i++) {
        line_feed(&line, stream.bytes + i, 1);
        line_flush(&line);
    }
    line_end(&line);
    ram_stream_free(&stream);
}

static void random_splits(void)
{
    for (unsigned round = 0; round < 12; round++) {
        struct ram_stream stream;
        struct line line;

        ram_stream_make(&stream, (uint64_t)g_test_rand_int() + 1, 400, 4);
        /* Also a cache that is much smaller than the guest. */
        line_begin(&line, round % 3 ? 2000 : 50, DRV_TRICKS_ALL);
        line_again(&line, stream.bytes);
        line.random = g_rand_new_with_seed((guint32)g_test_rand_int());
        while (line.fed < stream.size) {
            size_t size = (size_t)g_rand_int_range(line.random, 1, 300000);

            if (g_rand_int_range(line.random, 0, 3) == 0)
                size = size % 5000 + 1;
            if (round & 1)
                drv_encoder_set_effort(line.encoder, (unsigned)g_rand_int_range(line.random, 0, DRV_EFFORTS));
            drv_encoder_set_batch(line.encoder, (size_t)g_rand_int_range(line.random, 1, 200000));
            line_feed(&line, stream.bytes + line.fed, MIN(size, stream.size - line.fed));
            if (g_rand_boolean(line.random))
                line_flush(&line);
        }
        line_flush(&line);
        g_assert_cmpuint(line.came, ==, stream.size);
        g_rand_free(line.random);
        line_end(&line);
        ram_stream_free(&stream);
    }
}

/* Anything: noise, and streams with wrong bytes and cut short. */
static void any_input(void)
{
    struct ram_stream stream;
    struct line line;

    line_begin(&line, 500, DRV_TRICKS_ALL);
    for (unsigned round = 0; round < 60; round++) {
        size_t size;

        ram_stream_make(&stream, round + 1, 60, 3);
        size = round % 4 == 1 ? (size_t)g_test_rand_int_range(1, (gint32)stream.size) : stream.size;
        for (unsigned i = 0; i < round % 7; i++)
            stream.bytes[(size_t)g_test_rand_int_range(0, 1000 << i) % stream.size] = (uint8_t)g_test_rand_int();
        if (round % 10 == 9)
            for (size_t i = 0; i < size; i++)
                stream.bytes[i] = (uint8_t)g_test_rand_int();
        drv_encoder_set_effort(line.encoder, round % DRV_EFFORTS);
        line_whole(&line, stream.bytes, size);
        if (round % 10 == 9 && round % DRV_EFFORTS)
            g_assert_cmpuint(line.encoded, <, size + size / 500 + 100);
        ram_stream_free(&stream);
    }
    line_end(&line);
}

/* Headers of zero pages that jump about cost most, compared to what they are. */
static void worst_headers(void)
{
    size_t count = 200000, size = 0;
    g_autofree uint8_t *bytes = g_malloc(64 + 9 * count);
    struct ram_stream stream;
    struct line line;

    ram_stream_make(&stream, 1, 1, 1);
    /* Up to the header of the list of blocks' end: magic, configuration, command, section. */
    size = 8 + 14 + 5 + 17 + 8 + 15 + 17 + 8 + 5 + 5;
    bytes = g_realloc(bytes, size + 9 * count);
    memcpy(bytes, stream.bytes, size);
    for (size_t i = 0; i < count; i++) {
        uint64_t header = GUINT64_TO_BE(((uint64_t)(count - i) * 7 << 13) | 0x22);

        memcpy(bytes + size, &header, 8);
        bytes[size + 8] = 0;
        size += 9;
    }
    line_begin(&line, 100, DRV_TRICKS_ALL);
    drv_encoder_set_effort(line.encoder, DRV_EFFORT_STORED);
    line_whole(&line, bytes, size);
    g_assert_cmpuint(drv_encoder_stats(line.encoder)->zero_pages, ==, count);
    g_assert_cmpuint(line.encoded, <, size + size / 8);
    line_end(&line);
    ram_stream_free(&stream);
}

static void tricks_work(void)
{
    const struct drv_encoder_stats *stats;
    struct ram_stream stream;
    struct line line;
    uint64_t stored, headers;

    ram_stream_make(&stream, 7, 2000, 3);
    line_begin(&line, 8000, DRV_TRICKS_ALL);
    drv_encoder_set_effort(line.encoder, DRV_EFFORT_PLAIN);
    line_whole(&line, stream.bytes, stream.size);
    g_assert_cmpuint(line.encoded, <, stream.size + stream.size / 1000);
    drv_encoder_set_effort(line.encoder, DRV_EFFORT_STORED);
    line_whole(&line, stream.bytes, stream.size);
    stored = line.encoded;
    stats = drv_encoder_stats(line.encoder);
    g_assert_cmpuint(stats->same_pages, >, 400);
    g_assert_cmpuint(stats->delta_pages, >, 600);
    g_assert_cmpuint(stats->zero_pages, >, 300);
    g_assert_cmpuint(stats->raw_bytes, ==, stream.size);
    drv_encoder_set_effort(line.encoder, DRV_EFFORT_FIRST);
    line_whole(&line, stream.bytes, stream.size);
    g_assert_cmpuint(line.encoded, <, stored / 2);
    line_end(&line);

    line_begin(&line, 0, DRV_TRICKS_ALL);
    drv_encoder_set_effort(line.encoder, DRV_EFFORT_STORED);
    line_whole(&line, stream.bytes, stream.size);
    headers = line.encoded;
    g_assert_cmpuint(drv_encoder_stats(line.encoder)->same_pages, ==, 0);
    g_assert_cmpuint(headers, <, stream.size);
    g_assert_cmpuint(stored, <, headers * 7 / 10);
    line_end(&line);
    ram_stream_free(&stream);
}

static void deltas(void)
{
    uint8_t base[DRV_PAGE_SIZE], page[DRV_PAGE_SIZE], back[DRV_PAGE_SIZE], delta[6000];

    for (unsigned round = 0; round < 2000; round++) {
        unsigned changes = round % 300;
        size_t size;

        for (size_t i = 0; i < sizeof base; i++)
            base[i] = (uint8_t)g_test_rand_int();
        memcpy(page, base, sizeof page);
        for (unsigned i = 0; i < changes; i++)
            page[g_test_rand_int_range(0, DRV_PAGE_SIZE)] ^= (uint8_t)g_test_rand_int();
        size = drv_delta_encode(delta, sizeof delta, page, base);
        memcpy(back, base, sizeof back);
        g_assert_cmpint(drv_delta_decode(back, delta, size), ==, 0);
        g_assert_cmpint(memcmp(back, page, sizeof back), ==, 0);
        /* With too little room there is none, and nothing is written beyond it. */
        if (size > 1) {
            delta[size - 1] = 0xa5;
            g_assert_cmpuint(drv_delta_encode(delta, size - 1, page, base), ==, 0);
            g_assert_cmpuint(delta[size - 1], ==, 0xa5);
        }
        for (unsigned i = 0; i < 20; i++) {
            for (size_t j = 0; j < 40; j++)
                delta[j] = (uint8_t)g_test_rand_int();
            (void)drv_delta_decode(back, delta, 40);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/codec/every-split", every_split);
    g_test_add_func("/relay/codec/byte-by-byte", byte_by_byte);
    g_test_add_func("/relay/codec/random-splits", random_splits);
    g_test_add_func("/relay/codec/any-input", any_input);
    g_test_add_func("/relay/codec/worst-headers", worst_headers);
    g_test_add_func("/relay/codec/tricks-work", tricks_work);
    g_test_add_func("/relay/codec/deltas", deltas);
    return g_test_run();
}
