/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's additional channels: every page is found, and nothing else, however the bytes are cut up. */
#include <glib.h>

#include "codec-line.h"
#include "multifd-stream.h"
#include "parser-walk.h"
#include "relay/codec/multifd-parser.h"

static struct drv_multifd_parser parser;

static void begin(void)
{
    drv_multifd_parser_init(&parser);
}

static struct drv_span next(const uint8_t *bytes, size_t size, gboolean all)
{
    return drv_multifd_parser_next(&parser, bytes, size, all);
}

static gboolean is_opaque(void)
{
    return drv_multifd_parser_is_opaque(&parser);
}

static const struct walk_parser tested = {begin, next, is_opaque};

static void every_split(void)
{
    struct multifd_stream stream;

    multifd_stream_make(&stream, 1, 9);
    walk_every_split(&tested, &stream.sent, stream.page, stream.pages);
    multifd_stream_free(&stream);
}

static void random_splits(void)
{
    for (unsigned round = 0; round < 20; round++) {
        struct multifd_stream stream;

        multifd_stream_make(&stream, (uint64_t)g_test_rand_int(), 300);
        g_assert_cmpuint(stream.pages, ==, 600);
        walk_random_splits(&tested, &stream.sent, stream.page, stream.pages, round);
        multifd_stream_free(&stream);
    }
}

/* A channel as QEMU 7.2 fills it. */
static void recorded(void)
{
    g_assert_cmpuint(walk_recorded(&tested, "DRV_MULTIFD_RECORDS", "qemu"), ==, 4);
}

/* Gives up for good at what it does not know, wherever that is. */
static void gives_up(void)
{
    static const struct {
        size_t at;
        uint8_t is;
    } wrong[] = {
        {0, 1},                      /* magic of the channel */
        {7, 2},                      /* its version */
        {MULTIFD_FIRST, 1},          /* magic of a packet */
        {MULTIFD_FIRST + 7, 2},      /* its version */
        {MULTIFD_FIRST + 11, 0x40},  /* a flag */
        {MULTIFD_FIRST + 12, 1},     /* far too many pages */
        {MULTIFD_FIRST + 15, 0},     /* none at most */
        {MULTIFD_FIRST + 19, 0x81},  /* more than that */
        {MULTIFD_FIRST + 23, 1},     /* pages of another size */
    };
    struct multifd_stream stream;

    multifd_stream_make(&stream, 3, 9);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        walk_gives_up(&tested, &stream.sent, wrong[i].at, wrong[i].is);
    multifd_stream_free(&stream);
}

/* What went before is not sent again, and every byte comes out. */
static void through_the_codec(void)
{
    const struct drv_encoder_stats *stats;
    struct multifd_stream stream;
    struct line line;

    multifd_stream_make(&stream, 4, 600);
    line_begin(&line, 1000, DRV_TRICKS_MULTIFD);
    drv_encoder_set_effort(line.encoder, DRV_EFFORT_STORED);
    line_whole(&line, stream.sent.bytes, stream.sent.size);
    stats = drv_encoder_stats(line.encoder);
    g_assert_cmpuint(stats->literal_pages + stats->same_pages + stats->delta_pages +
                         stats->zero_pages,
                     ==, stream.pages);
    g_assert_cmpuint(stats->same_pages, >, 350);
    g_assert_cmpuint(stats->delta_pages, >, 100);
    g_assert_cmpuint(line.encoded, <, stream.sent.size * 6 / 10);
    line_end(&line);
    multifd_stream_free(&stream);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/multifd/every-split", every_split);
    g_test_add_func("/relay/multifd/random-splits", random_splits);
    g_test_add_func("/relay/multifd/recorded", recorded);
    g_test_add_func("/relay/multifd/gives-up", gives_up);
    g_test_add_func("/relay/multifd/through-the-codec", through_the_codec);
    return g_test_run();
}
