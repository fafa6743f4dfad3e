/* SPDX-License-Identifier: Apache-2.0 */
/* Goes over a stream with a parser: see parser-walk.h. */
#include "parser-walk.h"

/* What a stream consists of, found piece by piece. */
struct walk {
    const struct walk_parser *parser;
    const struct ram_stream *stream;
    const struct stream_piece *piece;
    size_t pieces, at, found;
};

static void begin(struct walk *walk)
{
    walk->at = walk->found = 0;
    walk->parser->begin();
}

/* Up to @end; @all: what is cut there is not waited for. Return: bytes that are still wanted. */
static size_t walk_to(struct walk *walk, size_t end, gboolean all)
{
    while (walk->at < end) {
        struct drv_span span = walk->parser->next(walk->stream->bytes + walk->at, end - walk->at, all);

        if (span.kind == DRV_SPAN_MORE) {
            g_assert_false(all);
            g_assert_cmpuint(span.size, >, end - walk->at);
            return span.size;
        }
        g_assert_cmpuint(span.size, >, 0);
        g_assert_cmpuint(span.size, <=, end - walk->at);
        if (span.kind == DRV_SPAN_BLOCK) {
            const struct stream_piece *piece = &walk->piece[walk->found++];

            g_assert_cmpuint(walk->found, <=, walk->pieces);
            g_assert_cmpuint(span.size, ==, DRV_PAGE_SIZE);
            g_assert_cmpuint(walk->at, ==, piece->at);
            g_assert_cmpuint(span.address, ==, piece->address);
        } else {
            g_assert_cmpint(span.kind, ==, DRV_SPAN_OPAQUE);
        }
        walk->at += span.size;
    }
    return 0;
}

void walk_every_split(const struct walk_parser *parser, const struct ram_stream *stream,
                      const struct stream_piece *piece, size_t pieces)
{
    struct walk walk = {parser, stream, piece, pieces, 0, 0};

    for (size_t split = 0; split <= stream->size; split++) {
        begin(&walk);
        (void)walk_to(&walk, split, FALSE);
        (void)walk_to(&walk, stream->size, TRUE);
        g_assert_cmpuint(walk.found, ==, pieces);
        g_assert_false(parser->is_opaque());

        begin(&walk);
        (void)walk_to(&walk, split, TRUE);
        g_assert_cmpuint(walk.at, ==, split);
        while (walk.found < pieces && piece[walk.found].at < split)
            walk.found++; /* the one that was cut */
        (void)walk_to(&walk, stream->size, TRUE);
        g_assert_cmpuint(walk.found, ==, pieces);
    }
}

void walk_random_splits(const struct walk_parser *parser, const struct ram_stream *stream,
                        const struct stream_piece *piece, size_t pieces, unsigned round)
{
    struct walk walk = {parser, stream, piece, pieces, 0, 0};
    size_t end = 0;

    begin(&walk);
    while (end < stream->size) {
        size_t more = walk_to(&walk, end, FALSE);

        end = MIN(end + MAX(more, (size_t)g_test_rand_int_range(1, 2 << round % 16)), stream->size);
    }
    g_assert_cmpuint(walk_to(&walk, end, FALSE), ==, 0);
    g_assert_cmpuint(walk.found, ==, pieces);
}

size_t walk_recorded(const struct walk_parser *parser, const char *variable, const char *name)
{
    g_autofree char *path = g_build_filename(g_getenv(variable), name, NULL);
    g_autofree char *bytes = NULL;
    size_t size, pieces = 0, at = 1;

    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    parser->begin();
    while (at < size) {
        struct drv_span span = parser->next((const uint8_t *)bytes + at, size - at, TRUE);

        pieces += span.kind == DRV_SPAN_BLOCK;
        at += span.size;
    }
    g_assert_false(parser->is_opaque());
    return pieces;
}

void walk_gives_up(const struct walk_parser *parser, struct ram_stream *stream, size_t at, uint8_t is)
{
    uint8_t was = stream->bytes[at];
    struct drv_span span;

    g_assert_cmpuint(was, !=, is);
    stream->bytes[at] = is;
    parser->begin();
    span = parser->next(stream->bytes, stream->size, FALSE);
    g_assert_cmpint(span.kind, ==, DRV_SPAN_OPAQUE);
    g_assert_cmpuint(span.size, ==, stream->size);
    g_assert_true(parser->is_opaque());
    stream->bytes[at] = was;
}
