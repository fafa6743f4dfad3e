/* SPDX-License-Identifier: Apache-2.0 */
/* Goes over a stream with a parser that finds pieces of one page, and checks each, however it is cut up. */
#pragma once

#include <glib.h>

#include "ram-stream.h"
#include "relay/codec/span.h"

/* The parser under test. */
struct walk_parser {
    void (*begin)(void);
    struct drv_span (*next)(const uint8_t *bytes, size_t size, gboolean all);
    gboolean (*is_opaque)(void);
};

/** walk_every_split() - cut once, at every place: where it waits for more, and where it does not. */
void walk_every_split(const struct walk_parser *parser, const struct ram_stream *stream,
                      const struct stream_piece *piece, size_t pieces);

/** walk_random_splits() - it comes in parts of up to 2 << @round % 16 bytes. */
void walk_random_splits(const struct walk_parser *parser, const struct ram_stream *stream,
                        const struct stream_piece *piece, size_t pieces, unsigned round);

/**
 * walk_recorded() - how many pieces there are in a recorded stream, all of which is understood.
 * @variable: of the environment, with the directory. The file's first byte is the fuzzer's.
 */
size_t walk_recorded(const struct walk_parser *parser, const char *variable, const char *name);

/** walk_gives_up() - all is opaque when the byte at @at is @is. */
void walk_gives_up(const struct walk_parser *parser, struct ram_stream *stream, size_t at, uint8_t is);
