/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of NBD finds every block, and nothing else, however the bytes are cut up. */
#include <glib.h>
#include <string.h>

#include "nbd-stream.h"
#include "relay/codec/nbd-parser.h"

/* What a stream consists of, found piece by piece. */
struct walk {
    struct drv_nbd_parser parser;
    const struct nbd_stream *stream;
    size_t at, found;
};

static void walk_begin(struct walk *walk, const struct nbd_stream *stream)
{
    *walk = (struct walk){.stream = stream};
    drv_nbd_parser_init(&walk->parser);
}

/* Up to @end; @all: what is cut there is not waited for. Return: bytes that are still wanted. */
static size_t walk_to(struct walk *walk, size_t end, bool all)
{
    const struct nbd_stream *stream = walk->stream;

    while (walk->at < end) {
        struct drv_span span = drv_nbd_parser_next(&walk->parser, stream->sent.bytes + walk->at,
                                                   end - walk->at, all);

        if (span.kind == DRV_SPAN_MORE) {
            g_assert_false(all);
            g_assert_cmpuint(span.size, >, end - walk->at);
            return span.size;
        }
        g_assert_cmpuint(span.size, >, 0);
        g_assert_cmpuint(span.size, <=, end - walk->at);
        if (span.kind == DRV_SPAN_BLOCK) {
            const struct nbd_block *block = &stream->block[walk->found++];

            g_assert_cmpuint(walk->found, <=, stream->blocks_sent);
            g_assert_cmpuint(span.size, ==, DRV_PAGE_SIZE);
            g_assert_cmpuint(walk->at, ==, block->at);
            g_assert_cmpuint(span.address, ==, block->offset);
        } else {
            g_assert_cmpint(span.kind, ==, DRV_SPAN_OPAQUE);
        }
        walk->at += span.size;
    }
    return 0;
}

/* One cut where it waits for more, and one where it does not. */
static void every_split(void)
{
    struct nbd_stream stream;

    nbd_stream_make(&stream, 1, 16, 12);
    for (size_t split = 0; split <= stream.sent.size; split++) {
        struct walk walk;

        walk_begin(&walk, &stream);
        (void)walk_to(&walk, split, false);
        (void)walk_to(&walk, stream.sent.size, true);
        g_assert_cmpuint(walk.found, ==, stream.blocks_sent);
        g_assert_false(drv_nbd_parser_is_opaque(&walk.parser));

        walk_begin(&walk, &stream);
        (void)walk_to(&walk, split, true);
        g_assert_cmpuint(walk.at, ==, split);
        while (walk.found < stream.blocks_sent && stream.block[walk.found].at < split)
            walk.found++; /* the one that was cut */
        (void)walk_to(&walk, stream.sent.size, true);
        g_assert_cmpuint(walk.found, ==, stream.blocks_sent);
    }
    nbd_stream_free(&stream);
}

static void random_splits(void)
{
    for (unsigned round = 0; round < 20; round++) {
        struct nbd_stream stream;
        struct walk walk;
        size_t end = 0;

        nbd_stream_make(&stream, (uint64_t)g_test_rand_int(), 64, 200);
        walk_begin(&walk, &stream);
        while (end < stream.sent.size) {
            size_t more = walk_to(&walk, end, false);

            end = MIN(end + MAX(more, (size_t)g_test_rand_int_range(1, 2 << round % 16)),
                      stream.sent.size);
        }
        g_assert_cmpuint(walk_to(&walk, end, false), ==, 0);
        g_assert_cmpuint(walk.found, ==, stream.blocks_sent);
        g_assert_cmpuint(walk.found, >, 64);
        nbd_stream_free(&stream);
    }
}

/* A client as it is: recorded between qemu-img or qemu-io and qemu-nbd. */
static void recorded(void)
{
    static const struct {
        const char *file;
        size_t blocks;
    } known[] = {{"qemu-img", 7}, {"qemu-io", 3}};

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        g_autofree char *path = g_build_filename(g_getenv("DRV_NBD_RECORDS"), known[i].file, NULL);
        g_autofree char *bytes = NULL;
        struct drv_nbd_parser parser;
        size_t size, blocks = 0, at = 1; /* the first byte is the fuzzer's */

        g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
        drv_nbd_parser_init(&parser);
        while (at < size) {
            struct drv_span span =
                drv_nbd_parser_next(&parser, (const uint8_t *)bytes + at, size - at, true);

            blocks += span.kind == DRV_SPAN_BLOCK;
            at += span.size;
        }
        g_assert_cmpuint(blocks, ==, known[i].blocks);
        g_assert_false(drv_nbd_parser_is_opaque(&parser));
    }
}

/* Gives up for good at what it does not know, wherever that is. */
static void gives_up(void)
{
    static const struct {
        size_t at;
        uint8_t is;
    } wrong[] = {
        {0, 1},        /* flags of the client */
        {4, 'i'},      /* magic of an option */
        {11, 't'},     /* its end */
        {15, 5},       /* TLS */
        {16, 1},       /* far too long an option */
        {4 + 16, 'X'}, /* neither an option nor a request */
    };
    struct nbd_stream stream;

    nbd_stream_make(&stream, 3, 16, 0);
    for (size_t i = 0; i <= G_N_ELEMENTS(wrong); i++) {
        struct drv_nbd_parser parser;
        size_t at = i < G_N_ELEMENTS(wrong) ? wrong[i].at : stream.block[0].at - 21; /* its type */
        uint8_t was = stream.sent.bytes[at];
        struct drv_span span;

        stream.sent.bytes[at] = i < G_N_ELEMENTS(wrong) ? wrong[i].is : 8;
        drv_nbd_parser_init(&parser);
        span = drv_nbd_parser_next(&parser, stream.sent.bytes, stream.sent.size, false);
        g_assert_cmpint(span.kind, ==, DRV_SPAN_OPAQUE);
        g_assert_cmpuint(span.size, ==, stream.sent.size);
        g_assert_true(drv_nbd_parser_is_opaque(&parser));
        stream.sent.bytes[at] = was;
    }
    nbd_stream_free(&stream);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/nbd-parser/every-split", every_split);
    g_test_add_func("/relay/nbd-parser/random-splits", random_splits);
    g_test_add_func("/relay/nbd-parser/recorded", recorded);
    g_test_add_func("/relay/nbd-parser/gives-up", gives_up);
    return g_test_run();
}
