/* SPDX-License-Identifier: Apache-2.0 */
/* A peer that lies, or a wire that errs: an error, and never a wrong byte. */
#include <errno.h>
#include <glib.h>
#include <malloc.h>
#include <string.h>

#include "ram-stream.h"
#include "relay/codec/decoder.h"
#include "relay/codec/encoder.h"

#define SEED UINT64_C(42)
#define CACHE 64

/* Some records of a stream, one after another. */
static GByteArray *records_of(const struct ram_stream *stream, unsigned effort, size_t cache)
{
    struct drv_encoder_config config = {.cache_pages = cache, .tricks = DRV_TRICKS_ALL, .seed = SEED};
    g_autofree uint8_t *record = g_malloc(DRV_RECORD_MAX);
    GByteArray *all = g_byte_array_new();
    drv_encoder *encoder;
    struct drv_error err;
    size_t done = 0;

    g_assert_cmpint(drv_encoder_new(&encoder, &config, &err), ==, 0);
    drv_encoder_set_effort(encoder, effort);
    drv_encoder_set_batch(encoder, 1);
    while (done < stream->size) {
        uint8_t *at;
        size_t room = drv_encoder_room(encoder, &at);

        if (!room)
            room = drv_encoder_missing(encoder, &at);
        room = MIN(room, stream->size - done);
        memcpy(at, stream->bytes + done, room);
        drv_encoder_commit(encoder, room);
        done += room;
        if (!room || done == stream->size) {
            size_t size = drv_encoder_close(encoder, record);

            g_byte_array_append(all, record, (guint)size);
        }
    }
    drv_encoder_free(encoder);
    return all;
}

/* Return: whether all came out; what comes out must be what went in. */
static bool decodes(drv_decoder *decoder, const uint8_t *bytes, size_t size, const struct ram_stream *stream,
                    bool may_differ)
{
    size_t came = 0;

    drv_decoder_reset(decoder, SEED);
    while (size) {
        const uint8_t *out;
        struct drv_error err;
        size_t used, much;
        int rc = drv_decoder_feed(decoder, bytes, size, &used, &err);

        if (rc < 0) {
            g_assert_cmpint(rc, ==, -err.code);
            /* It stays broken, and gives nothing. */
            g_assert_cmpuint(drv_decoder_output(decoder, &out), ==, 0);
            return false;
        }
        g_assert_cmpuint(used, <=, size);
        bytes += used;
        size -= used;
        much = drv_decoder_output(decoder, &out);
        if (!may_differ) {
            g_assert_cmpuint(much, <=, stream->size - came);
            g_assert_cmpint(memcmp(out, stream->bytes + came, much), ==, 0);
        }
        came += much;
        drv_decoder_take(decoder, much);
    }
    return came == stream->size;
}

/* One bit is wrong, anywhere but in the bytes of a plain record, which TLS answers for. */
static void flipped_bits(void)
{
    struct ram_stream stream;
    struct drv_error err;
    drv_decoder *decoder;

    ram_stream_make(&stream, 3, 40, 3);
    g_assert_cmpint(drv_decoder_new(&decoder, CACHE, 1, SEED, &err), ==, 0);
    for (unsigned effort = DRV_EFFORT_STORED; effort <= DRV_EFFORT_FIRST;
         effort += DRV_EFFORT_FIRST - DRV_EFFORT_STORED) {
        GByteArray *all = records_of(&stream, effort, CACHE);
        unsigned refused = 0, step = effort == DRV_EFFORT_STORED ? 37 : 11;

        g_assert_true(decodes(decoder, all->data, all->len, &stream, false));
        for (size_t i = 0; i < all->len; i += step) {
            uint8_t bit = (uint8_t)(1 << g_test_rand_int_range(0, 8));

            all->data[i] ^= bit;
            refused += !decodes(decoder, all->data, all->len, &stream, false);
            all->data[i] ^= bit;
        }
        /* zstd has a few bits that mean nothing. */
        g_assert_cmpuint(refused, >, all->len / step * 9 / 10);
        g_byte_array_free(all, TRUE);
    }
    drv_decoder_free(decoder);
    ram_stream_free(&stream);
}

/* Cut, or with bytes missing: never more than what is whole. */
static void truncated(void)
{
    struct ram_stream stream;
    struct drv_error err;
    drv_decoder *decoder;
    GByteArray *all;

    ram_stream_make(&stream, 4, 40, 3);
    g_assert_cmpint(drv_decoder_new(&decoder, CACHE, 1, SEED, &err), ==, 0);
    all = records_of(&stream, DRV_EFFORT_FIRST, CACHE);
    for (size_t i = 0; i < all->len; i += 13) {
        g_assert_false(decodes(decoder, all->data, i, &stream, false));
        (void)decodes(decoder, all->data + i, all->len - i, &stream, true);
    }
    g_byte_array_free(all, TRUE);
    drv_decoder_free(decoder);
    ram_stream_free(&stream);
}

/* The ends do not remember the same. */
static void other_cache(void)
{
    struct ram_stream stream;
    struct drv_error err;
    drv_decoder *decoder;
    GByteArray *all;

    ram_stream_make(&stream, 5, 200, 4);
    all = records_of(&stream, DRV_EFFORT_FIRST, 300);
    g_assert_cmpint(drv_decoder_new(&decoder, 20, 1, SEED, &err), ==, 0);
    g_assert_false(decodes(decoder, all->data, all->len, &stream, false));
    drv_decoder_free(decoder);
    g_assert_cmpint(drv_decoder_new(&decoder, 300, 1, SEED + 1, &err), ==, 0);
    drv_decoder_reset(decoder, SEED + 1);
    {
        size_t used;

        g_assert_cmpint(drv_decoder_feed(decoder, all->data, all->len, &used, &err), ==, -EPROTO);
    }
    drv_decoder_free(decoder);
    g_byte_array_free(all, TRUE);
    ram_stream_free(&stream);
}

/* ---- records made by hand ---- */

static int feed_record(drv_decoder *decoder, const struct drv_record *record, const uint8_t *body, size_t *came)
{
    uint8_t bytes[512];
    const uint8_t *out;
    struct drv_error err;
    size_t used;
    int rc;

    drv_record_encode(bytes, record);
    memcpy(bytes + DRV_RECORD_HEADER_SIZE, body, MIN(record->body, 400));
    drv_decoder_reset(decoder, SEED);
    rc = drv_decoder_feed(decoder, bytes, DRV_RECORD_HEADER_SIZE + MIN(record->body, 400), &used, &err);
    *came = drv_decoder_output(decoder, &out);
    return rc;
}

static void by_hand(void)
{
    static const uint8_t ops[][16] = {
        {DRV_OP_SAME << 4, 0},                      /* of an empty cache */
        {DRV_OP_SAME << 4, 0xff, 0xff, 0xff, 0x7f}, /* far back */
        {DRV_OP_SAME << 4 | 15, 0x05, 0x00},        /* more than there can be */
        {DRV_OP_DELTA << 4, 0x00},                  /* of nothing */
        {DRV_OP_PAGES << 4},                        /* no literals */
        {DRV_OP_BYTES << 4 | 15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {DRV_OP_ZEROS << 4 | 15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {DRV_OP_BYTES << 4 | 15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
        {DRV_OP_AT << 4, 1},                            /* cut */
        {DRV_OP_JUMP << 4, 0, 0, 0, 0, 0, 0, 0, 1},     /* not of a page */
        {DRV_OP_JUMP << 4 | 1, 0, 0, 0, 0, 0, 0, 0, 0}, /* with a count */
        {DRV_OP_ZEROS << 4 | 1},                        /* more than was said */
    };
    struct drv_error err;
    drv_decoder *decoder;
    size_t came;

    g_assert_cmpint(drv_decoder_new(&decoder, CACHE, 1, SEED, &err), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        struct drv_record record = {
            .method = DRV_RECORD_STORED, .body = 16, .raw = 9, .ops = i == 8 ? 2 : 16, .expanded = 16};

        if (i == 4 || i == 11)
            record.ops = record.expanded = record.body = 1;
        g_assert_cmpint(feed_record(decoder, &record, ops[i], &came), ==, -EPROTO);
        g_assert_cmpuint(came, ==, 0);
    }
    drv_decoder_free(decoder);
}

static void wrong_headers(void)
{
    const struct drv_record good = {.method = DRV_RECORD_STORED, .body = 300, .raw = 9, .ops = 100, .expanded = 300};
    struct drv_record bad[16];
    uint8_t body[400] = {0};
    struct drv_error err;
    drv_decoder *decoder;
    size_t came;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        bad[i] = good;
    bad[0].method = DRV_RECORD_METHODS;
    bad[1].body = 0;
    bad[2].body = UINT32_MAX;
    bad[3].raw = 0;
    bad[4].raw = DRV_RECORD_RAW_MAX + 1;
    bad[5].ops = 0;
    bad[6].ops = 301;
    bad[7].expanded = UINT32_MAX;
    bad[8].expanded = 299;
    bad[9].method = DRV_RECORD_PLAIN;
    bad[10].method = DRV_RECORD_BEGUN;
    bad[12].lane = 1;
    bad[13].method = DRV_RECORD_GOES_ON; /* nothing has begun */
    bad[14].method = DRV_RECORD_BEGUN;
    bad[14].lane = 1; /* there is one */
    bad[15].method = DRV_RECORD_BEGUN;
    bad[15].lane = DRV_LANES_MAX;
    bad[11].body = bad[11].expanded = DRV_RECORD_BODY_MAX + 1;
    g_assert_cmpint(drv_decoder_new(&decoder, CACHE, 1, SEED, &err), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(feed_record(decoder, &bad[i], body, &came), ==, -EPROTO);
        g_assert_cmpuint(came, ==, 0);
    }
    drv_decoder_free(decoder);
}

/* Whatever is encoded and decoded, nothing is allocated after the beginning. */
static void memory_is_fixed(void)
{
    struct drv_encoder_config config = {.cache_pages = 1000, .tricks = DRV_TRICKS_ALL, .seed = SEED};
    g_autofree uint8_t *record = g_malloc(DRV_RECORD_MAX);
    struct ram_stream stream;
    drv_encoder *encoder;
    drv_decoder *decoder;
    struct drv_error err;
    struct mallinfo2 before;
    size_t done = 0;

    ram_stream_make(&stream, 6, 3000, 3);
    before = mallinfo2();
    g_assert_cmpint(drv_encoder_new(&encoder, &config, &err), ==, 0);
    g_assert_cmpint(drv_decoder_new(&decoder, 1000, 1, SEED, &err), ==, 0);
    g_assert_cmpuint(mallinfo2().uordblks + mallinfo2().hblkhd - before.uordblks - before.hblkhd, <=,
                     drv_encoder_memory(1000, 1) + drv_decoder_memory(1000, 1) - 2 * 1000 * 4096);
    before = mallinfo2();
    for (unsigned turn = 0; done < stream.size; turn++) {
        uint8_t *at;
        const uint8_t *out;
        size_t room = drv_encoder_room(encoder, &at);

        room = MIN(room, stream.size - done);
        memcpy(at, stream.bytes + done, room);
        drv_encoder_commit(encoder, room);
        done += room;
        if (room && done < stream.size)
            continue;
        {
            size_t used, size = drv_encoder_close(encoder, record);

            g_assert_cmpint(drv_decoder_feed(decoder, record, size, &used, &err), ==, 1);
            drv_decoder_take(decoder, drv_decoder_output(decoder, &out));
        }
        drv_encoder_set_effort(encoder, turn % DRV_EFFORTS);
    }
    g_assert_cmpuint(mallinfo2().uordblks + mallinfo2().hblkhd, ==, before.uordblks + before.hblkhd);
    drv_encoder_free(encoder);
    drv_decoder_free(decoder);
    ram_stream_free(&stream);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/codec/lies/flipped-bits", flipped_bits);
    g_test_add_func("/relay/codec/lies/truncated", truncated);
    g_test_add_func("/relay/codec/lies/other-cache", other_cache);
    g_test_add_func("/relay/codec/lies/by-hand", by_hand);
    g_test_add_func("/relay/codec/lies/wrong-headers", wrong_headers);
    g_test_add_func("/relay/codec/lies/memory-is-fixed", memory_is_fixed);
    return g_test_run();
}
