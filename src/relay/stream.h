/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of a session. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/control/control.h"
#include "relay/session.h"

/** drv_stream_attach_locked() - the target has connected: @fd is taken over. */
void drv_stream_attach_locked(struct drv_session *session, struct drv_stream *stream, int fd);

/** drv_stream_arm_locked() - wait until there is something to read, if it may be sent. */
void drv_stream_arm_locked(struct drv_session *session, struct drv_stream *stream);

/** drv_stream_due_locked() - have link 0 tell the other end. */
void drv_stream_due_locked(struct drv_session *session, struct drv_stream *stream, unsigned due);

/** drv_stream_close_locked() - close the local socket now, whatever is still to be delivered. */
void drv_stream_close_locked(struct drv_session *session, struct drv_stream *stream);

/** drv_stream_settle_locked() - after giving back a token or sending: close or free if it is over. */
void drv_stream_settle_locked(struct drv_session *session, struct drv_stream *stream);

/** drv_stream_accept() - bytes came from the other end. */
int drv_stream_accept(struct drv_session *session, struct drv_stream *stream, uint64_t offset, const uint8_t *bytes,
                      size_t size, struct drv_error *err);

/**
 * drv_stream_deliver_locked() - write what lies in the window; gives the lock away meanwhile.
 * Return: 0; -EPROTO: what lies there cannot be decoded, and the session must end.
 */
int drv_stream_deliver_locked(struct drv_session *session, struct drv_stream *stream, struct drv_error *err);

/**
 * drv_stream_asked() - target: the call that is held, header and all. @bytes: NULL: only how long it is
 * Return: its size, 0 if there is none or if it is larger than @most.
 */
size_t drv_stream_asked(struct drv_session *session, uint8_t *bytes, size_t most);

/** drv_stream_judged() - droverd lets it pass. Return: 0; -errno: the session must end; -ENOENT: there is none. */
int drv_stream_judged(struct drv_session *session, struct drv_error *err);

/** drv_stream_shared_locked() - source: the other end says how much it remembers of the stream. */
int drv_stream_shared_locked(struct drv_session *session, struct drv_stream *stream, uint64_t pages,
                             struct drv_error *err);

/** drv_stream_may_send_locked() - is there credit? */
bool drv_stream_may_send_locked(const struct drv_session *session, const struct drv_stream *stream);

/** drv_stream_new() - take a free slot; NULL when there is none or no memory. */
struct drv_stream *drv_stream_new(struct drv_session *session, uint32_t id, enum drv_relay_channel channel, int fd);

/** drv_stream_find() - by id, locked; NULL when there is none. */
struct drv_stream *drv_stream_find(struct drv_session *session, uint32_t id);
