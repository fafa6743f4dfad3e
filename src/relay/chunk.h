/* SPDX-License-Identifier: Apache-2.0 */
/* One chunk of a stream, from the local socket to a link: read, encoded, in its turn, encrypted. Sending threads. */
#pragma once

#include <stdint.h>

#include "relay/session.h"

/** drv_chunk_send() - read and send a chunk of the stream that an event of epoll names, if there is one. */
int drv_chunk_send(struct drv_worker *worker, uint64_t key, struct drv_error *err);
