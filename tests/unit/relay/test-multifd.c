/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's additional channels: every page is found, and nothing else, however the bytes are cut up. */
#include <glib.h>
#include <string.h>

#include "codec-line.h"
#include "multifd-stream.h"
#include "relay/codec/multifd-parser.h"

/* What a stream consists of, found piece by piece. */
struct walk {
    struct drv_multifd_parser parser;
    const struct multifd_stream *stream;
    size_t at, found;
};

static void walk_begin(struct walk *walk, const struct multifd_stream *stream)
{
    *walk = (struct walk){.stream = stream};
    drv_multifd_parser_init(&walk->parser);
}

/* Up to @end; @all: what is cut there is not waited for. Return: bytes that are still wanted. */
static size_t walk_to(struct walk *walk, size_t end, bool all)
{
    const struct multifd_stream *stream = walk->stream;

    while (walk->at < end) {
        struct drv_span span = drv_multifd_parser_next(
            &walk->parser, stream->sent.bytes + walk->at, end - walk->at, all);

        if (span.kind == DRV_SPAN_MORE) {
            g_assert_false(all);
            g_assert_cmpuint(span.size, >, end - walk->at);
            return span.size;
        }
        g_assert_cmpuint(span.size, >, 0);
        g_assert_cmpuint(span.size, <=, end - walk->at);
        if (span.kind == DRV_SPAN_BLOCK) {
            const struct multifd_page *page = &stream->page[walk->found++];

            g_assert_cmpuint(walk->found, <=, stream->pages);
            g_assert_cmpuint(span.size, ==, DRV_PAGE_SIZE);
            g_assert_cmpuint(walk->at, ==, page->at);
            g_assert_cmpuint(span.address, ==, page->address);
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
    struct multifd_stream stream;

    multifd_stream_make(&stream, 1, 9);
    for (size_t split = 0; split <= stream.sent.size; split++) {
        struct walk walk;

        walk_begin(&walk, &stream);
        (void)walk_to(&walk, split, false);
        (void)walk_to(&walk, stream.sent.size, true);
        g_assert_cmpuint(walk.found, ==, stream.pages);
        g_assert_false(drv_multifd_parser_is_opaque(&walk.parser));

        walk_begin(&walk, &stream);
        (void)walk_to(&walk, split, true);
        g_assert_cmpuint(walk.at, ==, split);
        while (walk.found < stream.pages && stream.page[walk.found].at < split)
            walk.found++; /* the one that was cut */
        (void)walk_to(&walk, stream.sent.size, true);
        g_assert_cmpuint(walk.found, ==, stream.pages);
    }
    multifd_stream_free(&stream);
}

static void random_splits(void)
{
    for (unsigned round = 0; round < 20; round++) {
        struct multifd_stream stream;
        struct walk walk;
        size_t end = 0;

        multifd_stream_make(&stream, (uint64_t)g_test_rand_int(), 300);
        walk_begin(&walk, &stream);
        while (end < stream.sent.size) {
            size_t more = walk_to(&walk, end, false);

            end = MIN(end + MAX(more, (size_t)g_test_rand_int_range(1, 2 << round % 16)),
                      stream.sent.size);
        }
        g_assert_cmpuint(walk_to(&walk, end, false), ==, 0);
        g_assert_cmpuint(walk.found, ==, 600);
        multifd_stream_free(&stream);
    }
}

/* A channel as QEMU 7.2 fills it. */
static void recorded(void)
{
    g_autofree char *path = g_build_filename(g_getenv("DRV_MULTIFD_RECORDS"), "qemu", NULL);
    g_autofree char *bytes = NULL;
    struct drv_multifd_parser parser;
    size_t size, pages = 0, at = 1; /* the first byte is the fuzzer's */

    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    drv_multifd_parser_init(&parser);
    while (at < size) {
        struct drv_span span =
            drv_multifd_parser_next(&parser, (const uint8_t *)bytes + at, size - at, true);

        pages += span.kind == DRV_SPAN_BLOCK;
        at += span.size;
    }
    g_assert_cmpuint(pages, ==, 4);
    g_assert_false(drv_multifd_parser_is_opaque(&parser));
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
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        uint8_t *byte = stream.sent.bytes + wrong[i].at, was = *byte;
        struct drv_multifd_parser parser;
        struct drv_span span;

        g_assert_cmpuint(was, !=, wrong[i].is);
        *byte = wrong[i].is;
        drv_multifd_parser_init(&parser);
        span = drv_multifd_parser_next(&parser, stream.sent.bytes, stream.sent.size, false);
        g_assert_cmpint(span.kind, ==, DRV_SPAN_OPAQUE);
        g_assert_cmpuint(span.size, ==, stream.sent.size);
        g_assert_true(drv_multifd_parser_is_opaque(&parser));
        *byte = was;
    }
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
