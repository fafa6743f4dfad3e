/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes what one of QEMU's additional channels carries: a hello, packets of pages, some of them
 * for the second time and changed, some compressed by QEMU. The same seed makes the same stream. No GLib.
 */
#pragma once

#include "ram-stream.h"

struct multifd_stream {
    struct ram_stream sent;
    struct stream_piece *page; /* in the order in which they are sent */
    size_t pages, room;
};

#define MULTIFD_FIRST 64u /* where the first packet is */

/** multifd_stream_make() - memory of @pages pages goes twice, in packets of any number of them. */
void multifd_stream_make(struct multifd_stream *stream, uint64_t seed, size_t pages);

void multifd_stream_free(struct multifd_stream *stream);
