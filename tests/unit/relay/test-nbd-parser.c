/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of NBD finds every block, and nothing else, however the bytes are cut up. */
#include <glib.h>

#include "nbd-stream.h"
#include "parser-walk.h"
#include "relay/codec/nbd-parser.h"

static struct drv_nbd_parser parser;

static void begin(void)
{
    drv_nbd_parser_init(&parser);
}

static struct drv_span next(const uint8_t *bytes, size_t size, gboolean all)
{
    return drv_nbd_parser_next(&parser, bytes, size, all);
}

static gboolean is_opaque(void)
{
    return drv_nbd_parser_is_opaque(&parser);
}

static const struct walk_parser tested = {begin, next, is_opaque};

static void every_split(void)
{
    struct nbd_stream stream;

    nbd_stream_make(&stream, 1, 16, 12);
    walk_every_split(&tested, &stream.sent, stream.block, stream.blocks_sent);
    nbd_stream_free(&stream);
}

static void random_splits(void)
{
    for (unsigned round = 0; round < 20; round++) {
        struct nbd_stream stream;

        nbd_stream_make(&stream, (uint64_t)g_test_rand_int(), 64, 200);
        g_assert_cmpuint(stream.blocks_sent, >, 64);
        walk_random_splits(&tested, &stream.sent, stream.block, stream.blocks_sent, round);
        nbd_stream_free(&stream);
    }
}

/* A client as it is: recorded between qemu-img or qemu-io and qemu-nbd. */
static void recorded(void)
{
    g_assert_cmpuint(walk_recorded(&tested, "DRV_NBD_RECORDS", "qemu-img"), ==, 7);
    g_assert_cmpuint(walk_recorded(&tested, "DRV_NBD_RECORDS", "qemu-io"), ==, 3);
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
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        walk_gives_up(&tested, &stream.sent, wrong[i].at, wrong[i].is);
    walk_gives_up(&tested, &stream.sent, stream.block[0].at - 21, 8); /* a request's type */
    nbd_stream_free(&stream);
}

/* Which disk is written to, and how far, whatever pieces it comes in. */
static void disk_and_place(void)
{
    struct nbd_stream stream;

    nbd_stream_make(&stream, 4, 64, 0);
    for (size_t step = 1; step < 70; step++) {
        drv_nbd_parser_init(&parser);
        for (size_t at = 0; at < stream.sent.size;) {
            size_t left = MIN(step, stream.sent.size - at);
            struct drv_span span = drv_nbd_parser_next(&parser, stream.sent.bytes + at, left, true);

            g_assert_true(parser.named || !parser.reached);
            at += span.size;
        }
        g_assert_cmpstr(parser.name, ==, "drive-virtio-disk0");
        g_assert_cmpuint(parser.reached, ==, 64 * DRV_PAGE_SIZE);
    }
    nbd_stream_free(&stream);
}

/* A name that is longer than it says, or than any of ours. */
static void names(void)
{
    static const char longest[] = "a name of sixty-three characters, which is as long as one may be";
    static const struct {
        uint32_t option, says;
        size_t size;
        const char *is;
    } tries[] = {{7, 5, 11, "a nam"},     {7, 63, 69, longest}, {7, 64, 70, ""}, {7, 12, 11, ""},
                 {7, UINT32_MAX, 11, ""}, {1, 0, 6, "a name"},  {1, 0, 64, ""}};

    for (size_t i = 0; i < G_N_ELEMENTS(tries); i++) {
        struct ram_stream sent = {0};
        g_autofree char *is = g_strndup(tries[i].is, 63);
        size_t text = tries[i].option == 7 ? tries[i].size - 6 : tries[i].size;

        ram_stream_put_number(&sent, 3, 4);
        ram_stream_put(&sent, "IHAVEOPT", 8);
        ram_stream_put_number(&sent, tries[i].option, 4);
        ram_stream_put_number(&sent, tries[i].size, 4);
        if (tries[i].option == 7)
            ram_stream_put_number(&sent, tries[i].says, 4);
        ram_stream_put(&sent, longest, MIN(text, sizeof longest - 1));
        for (size_t left = text - MIN(text, sizeof longest - 1); left; left--)
            ram_stream_put_number(&sent, 'x', 1);
        if (tries[i].option == 7)
            ram_stream_put_number(&sent, 0, 2);
        drv_nbd_parser_init(&parser);
        (void)drv_nbd_parser_next(&parser, sent.bytes, sent.size, true);
        g_assert_true(parser.named);
        g_assert_cmpstr(parser.name, ==, is);
        ram_stream_free(&sent);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/nbd-parser/every-split", every_split);
    g_test_add_func("/relay/nbd-parser/random-splits", random_splits);
    g_test_add_func("/relay/nbd-parser/recorded", recorded);
    g_test_add_func("/relay/nbd-parser/gives-up", gives_up);
    g_test_add_func("/relay/nbd-parser/disk-and-place", disk_and_place);
    g_test_add_func("/relay/nbd-parser/names", names);
    return g_test_run();
}
