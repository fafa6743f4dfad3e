/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of a session: see session.h for threads, locks and tokens. */
#include "relay/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "relay/event.h"
#include "relay/session.h"

/*
 * Windows: what the other end may send ahead of the local socket. At the target a stream
 * of memory or of a disk may use a fast and distant link; what flows back is small.
 */
#define WINDOW_LARGE ((size_t)8 << 20)
#define WINDOW_SMALL ((size_t)128 << 10)
/* A call with a VM's definition is held as a whole. */
#define WINDOW_JUDGED ((size_t)DRV_RELAY_ASKED_MAX)

#define SHARED_STEP 256u /* pages that are remembered before the source is told, if more comes */

static size_t window_size(const struct drv_session *session, enum drv_relay_channel channel)
{
    uint64_t reserve = (uint64_t)DRV_STREAMS_MAX * drv_window_memory(WINDOW_SMALL);
    uint64_t left = atomic_load(&session->window_left_bytes);
    size_t size = WINDOW_LARGE;

    if (channel == DRV_CHANNEL_CONTROL && session->judges)
        return WINDOW_JUDGED;
    if (channel == DRV_CHANNEL_CONTROL || session->role == DRV_RELAY_SOURCE)
        return WINDOW_SMALL;
    while (size > WINDOW_SMALL && (left < reserve || drv_window_memory(size) > left - reserve))
        size /= 2;
    return size;
}

struct drv_stream *drv_stream_new(struct drv_session *session, uint32_t id, enum drv_relay_channel channel, int fd)
{
    for (size_t i = 0; i < DRV_STREAMS_MAX; i++) {
        struct drv_stream *stream = &session->stream[i];
        struct drv_window window;
        size_t size;

        if (atomic_load(&stream->id))
            continue;
        size = window_size(session, channel);
        if (drv_window_memory(size) > atomic_load(&session->window_left_bytes) || drv_window_init(&window, size, NULL))
            return NULL;
        atomic_fetch_sub(&session->window_left_bytes, drv_window_memory(size));
        pthread_mutex_lock(&stream->lock);
        stream->channel = channel;
        stream->fd = fd;
        stream->connecting = fd < 0;
        stream->closed = stream->reading = stream->delivering = false;
        stream->sent = stream->credit = stream->cost = stream->granted = stream->remembered = 0;
        stream->turn = stream->turns = 0;
        stream->lanes_taken = 0;
        stream->coder = NULL;
        stream->coder_number = 0;
        stream->readable_armed = stream->in_readable_set = stream->in_writable_set = false;
        stream->sent_all = stream->fin_sent = stream->received_all = stream->deaf = false;
        stream->due = 0;
        stream->window = window;
        stream->fin_at = UINT64_MAX;
        memset(&stream->calls, 0, sizeof stream->calls);
        memset(&stream->replies, 0, sizeof stream->replies);
        stream->watched = stream->pass = stream->finish_end = 0;
        stream->held = UINT64_MAX;
        stream->asking = false;
        stream->finish_ok = stream->finish_written = false;
        atomic_store(&stream->id, id);
        pthread_mutex_unlock(&stream->lock);
        atomic_fetch_add(&session->channel[channel].opened, 1);
        atomic_fetch_add(&session->channel[channel].open, 1);
        return stream;
    }
    return NULL;
}

struct drv_stream *drv_stream_find(struct drv_session *session, uint32_t id)
{
    for (size_t i = 0; i < DRV_STREAMS_MAX; i++) {
        struct drv_stream *stream = &session->stream[i];

        if (atomic_load_explicit(&stream->id, memory_order_relaxed) != id)
            continue;
        pthread_mutex_lock(&stream->lock);
        if (atomic_load(&stream->id) == id)
            return stream;
        pthread_mutex_unlock(&stream->lock);
    }
    return NULL;
}

static uint64_t event_key(const struct drv_session *session, const struct drv_stream *stream)
{
    return (uint64_t)(stream - session->stream) << 32 | atomic_load(&stream->id);
}

/* Which threads read it: what must not wait has link 0 for itself. */
static int readable_set(const struct drv_session *session, const struct drv_stream *stream)
{
    if (stream->channel == DRV_CHANNEL_CONTROL ||
        (stream->channel == DRV_CHANNEL_RAM && session->role == DRV_RELAY_TARGET))
        return session->urgent_set;
    return session->bulk_set;
}

/* What the target has of a disk is just being told. */
static bool is_held(const struct drv_session *session, const struct drv_stream *stream)
{
    const struct drv_older *older = stream->coder->older;

    return older && older->questions && drv_older_holds(older, drv_coding_link_bps(&session->coding), drv_clock_us());
}

bool drv_stream_may_send_locked(const struct drv_session *session, const struct drv_stream *stream)
{
    if (stream->coder && session->role == DRV_RELAY_SOURCE)
        return stream->credit > stream->cost && stream->credit - stream->cost >= DRV_CODER_COST_MIN &&
               !is_held(session, stream);
    return stream->credit != stream->sent;
}

/* The main thread sees to it that it does not last. */
static void note_hold_locked(struct drv_session *session, struct drv_stream *stream)
{
    struct drv_older *older = stream->coder && session->role == DRV_RELAY_SOURCE ? stream->coder->older : NULL;

    if (!older || older->held_us || !is_held(session, stream))
        return;
    older->held_us = drv_clock_us();
    drv_event_raise(session->main_event);
}

void drv_stream_arm_locked(struct drv_session *session, struct drv_stream *stream)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};

    if (stream->fd < 0 || stream->closed || stream->sent_all || stream->reading || stream->readable_armed)
        return;
    if (!drv_stream_may_send_locked(session, stream)) {
        note_hold_locked(session, stream);
        return;
    }
    event.data.u64 = event_key(session, stream);
    if (epoll_ctl(readable_set(session, stream), stream->in_readable_set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, stream->fd,
                  &event)) {
        struct drv_error err;

        (void)drv_error_set(&err, errno, "cannot wait for a local socket: %s", strerror(errno));
        drv_stream_due_locked(session, stream, DRV_DUE_RESET);
        return;
    }
    stream->in_readable_set = stream->readable_armed = true;
}

static void arm_writable_locked(struct drv_session *session, struct drv_stream *stream)
{
    struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT};

    event.data.u64 = event_key(session, stream);
    if (epoll_ctl(session->writable_set, stream->in_writable_set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, stream->fd, &event) ==
        0)
        stream->in_writable_set = true;
    else
        drv_stream_due_locked(session, stream, DRV_DUE_RESET);
}

void drv_stream_due_locked(struct drv_session *session, struct drv_stream *stream, unsigned due)
{
    if (due & DRV_DUE_RESET)
        drv_stream_close_locked(session, stream);
    stream->due |= due;
    drv_event_raise(session->urgent_event);
}

void drv_stream_attach_locked(struct drv_session *session, struct drv_stream *stream, int fd)
{
    stream->fd = fd;
    stream->connecting = false;
    if (drv_window_grant(&stream->window))
        drv_stream_due_locked(session, stream, DRV_DUE_CREDIT);
    stream->granted = stream->window.limit;
    drv_stream_arm_locked(session, stream);
}

void drv_stream_close_locked(struct drv_session *session, struct drv_stream *stream)
{
    /* Who is still reading or delivering hears it at once, and so does the local peer. */
    if (stream->fd >= 0 && !stream->closed)
        (void)shutdown(stream->fd, SHUT_RDWR);
    stream->closed = true;
    stream->connecting = false;
    drv_stream_settle_locked(session, stream);
}

void drv_stream_settle_locked(struct drv_session *session, struct drv_stream *stream)
{
    size_t memory;

    if (!atomic_load(&stream->id) || stream->reading || stream->delivering || stream->turn != stream->turns)
        return;
    if (!stream->closed && stream->received_all && stream->fin_sent)
        stream->closed = true;
    if (stream->closed && stream->fd >= 0) {
        close(stream->fd);
        stream->fd = -1;
    }
    if (!stream->closed || stream->fd >= 0 || stream->due || !stream->fin_sent || !stream->received_all)
        return;
    memory = drv_window_memory(stream->window.size);
    drv_window_done(&stream->window);
    atomic_fetch_add(&session->window_left_bytes, memory);
    atomic_fetch_sub(&session->channel[stream->channel].open, 1);
    atomic_store(&stream->id, 0);
    drv_event_raise(session->main_event);
}

/* Everything that the other end has sent is delivered: close, and say so. */
static void end_if_received_locked(struct drv_session *session, struct drv_stream *stream)
{
    if (stream->received_all || stream->delivering)
        return;
    /* Half a header at the very end was never judged: nobody would miss it. */
    if (stream->channel == DRV_CHANNEL_CONTROL && stream->window.contiguous == stream->fin_at &&
        stream->window.delivered == stream->pass)
        drv_window_take(&stream->window, (size_t)(stream->fin_at - stream->pass));
    if (stream->window.delivered != stream->fin_at)
        return;
    stream->received_all = true;
    if (!stream->sent_all) {
        stream->sent_all = true;
        drv_stream_due_locked(session, stream, DRV_DUE_FIN);
    }
    drv_stream_close_locked(session, stream);
}

/* At the source: the whole Finish reply is in libvirtd's socket. */
static void note_finish_locked(struct drv_session *session, struct drv_stream *stream)
{
    if (!stream->finish_end || stream->finish_written || stream->deaf || stream->window.delivered < stream->finish_end)
        return;
    stream->finish_written = true;
    atomic_store(&session->finish_written, true);
    drv_event_raise(session->main_event);
}

static void delivered_locked(struct drv_session *session, struct drv_stream *stream, size_t size)
{
    drv_window_take(&stream->window, size);
    atomic_fetch_add_explicit(&session->channel[stream->channel].out_bytes, size, memory_order_relaxed);
    note_finish_locked(session, stream);
    if (stream->fin_at == UINT64_MAX && drv_window_grant(&stream->window))
        drv_stream_due_locked(session, stream, DRV_DUE_CREDIT);
}

/* Writes without the lock. Return: bytes taken; *full says whether to wait. */
static size_t write_unlocked(struct drv_stream *stream, const uint8_t *bytes, size_t size, bool *full)
{
    int fd = stream->fd;
    ssize_t sent;
    int why;

    stream->delivering = true;
    pthread_mutex_unlock(&stream->lock);
    sent = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    why = errno;
    pthread_mutex_lock(&stream->lock);
    stream->delivering = false;
    *full = false;
    if (sent >= 0) {
        *full = (size_t)sent < size;
        return (size_t)sent;
    }
    *full = why == EAGAIN || why == EINTR;
    if (!*full)
        stream->deaf = true;
    return 0;
}

/* Decodes without the lock what has come of a record. */
static int decode_unlocked(struct drv_session *session, struct drv_stream *stream, const uint8_t *bytes, size_t size,
                           struct drv_error *err)
{
    drv_decoder *decoder = stream->coder->decoder;
    size_t used;
    int rc;

    stream->delivering = true;
    pthread_mutex_unlock(&stream->lock);
    rc = drv_decoder_feed(decoder, bytes, size, &used, err);
    if (stream->coder_number == 1)
        drv_known_pass(&session->known);
    pthread_mutex_lock(&stream->lock);
    stream->delivering = false;
    drv_window_take(&stream->window, used);
    /* What may come is bounded by what it costs, which is not less than the bytes themselves. */
    stream->window.limit = stream->window.delivered + stream->window.size;
    return rc;
}

/* Bytes that a decoder gave are with the local peer; a whole record gives its cost back. */
static void decoded_locked(struct drv_session *session, struct drv_stream *stream, size_t size)
{
    drv_decoder *decoder = stream->coder->decoder;
    const uint8_t *rest;
    size_t encoded, raw;

    drv_decoder_take(decoder, size);
    atomic_fetch_add_explicit(&session->channel[stream->channel].out_bytes, size, memory_order_relaxed);
    if (drv_decoder_output(decoder, &rest))
        return;
    drv_decoder_record(decoder, &encoded, &raw);
    stream->cost += drv_coder_cost(encoded, raw);
    if (stream->fin_at == UINT64_MAX &&
        stream->cost + stream->window.size - stream->granted >= stream->window.size / 4) {
        stream->granted = stream->cost + stream->window.size;
        drv_stream_due_locked(session, stream, DRV_DUE_CREDIT);
    }
}

/* Tells the source what it may refer to from other streams. */
static void tell_shared_locked(struct drv_session *session, struct drv_stream *stream, uint64_t step)
{
    uint64_t pages = drv_decoder_remembered(stream->coder->decoder);

    if (!drv_coding_is_shared(stream->coder_number) || pages - stream->remembered < step ||
        stream->fin_at != UINT64_MAX)
        return;
    stream->remembered = pages;
    drv_stream_due_locked(session, stream, DRV_DUE_SHARED);
}

int drv_stream_shared_locked(struct drv_session *session, struct drv_stream *stream, uint64_t pages,
                             struct drv_error *err)
{
    if (session->role != DRV_RELAY_SOURCE || !drv_coding_is_shared(stream->coder_number) || pages > stream->remembered)
        return drv_error_set(err, EPROTO, "the other relay says that it knows what it was not sent");
    if (drv_encoder_shared(stream->coder->encoder) > pages)
        return drv_error_set(err, EPROTO, "the other relay says that it has forgotten");
    drv_encoder_share(stream->coder->encoder, pages);
    return 0;
}

static int deliver_coded_locked(struct drv_session *session, struct drv_stream *stream, struct drv_error *err)
{
    while (!stream->delivering && !stream->closed && stream->fd >= 0) {
        drv_decoder *decoder = stream->coder->decoder;
        const uint8_t *bytes;
        size_t size = drv_decoder_output(decoder, &bytes);
        bool full = false;
        size_t taken;

        if (!size) {
            size = drv_window_peek(&stream->window, stream->window.delivered, &bytes);
            tell_shared_locked(session, stream, size ? SHARED_STEP : 1);
            if (!size)
                break;
            if (decode_unlocked(session, stream, bytes, size, err) < 0)
                return -err->code;
            continue;
        }
        taken = stream->deaf ? size : write_unlocked(stream, bytes, size, &full);
        if (taken)
            decoded_locked(session, stream, taken);
        if (full && !stream->closed) {
            arm_writable_locked(session, stream);
            break;
        }
    }
    if (!stream->delivering && !stream->closed && stream->window.delivered == stream->fin_at) {
        const uint8_t *rest;

        if (drv_decoder_output(stream->coder->decoder, &rest))
            return 0;
        if (!drv_decoder_is_between(stream->coder->decoder))
            return drv_error_set(err, EPROTO, "the other relay ended a stream within a record");
    }
    end_if_received_locked(session, stream);
    drv_stream_settle_locked(session, stream);
    return 0;
}

int drv_stream_deliver_locked(struct drv_session *session, struct drv_stream *stream, struct drv_error *err)
{
    if (stream->coder && session->role == DRV_RELAY_TARGET)
        return deliver_coded_locked(session, stream, err);
    while (!stream->delivering && !stream->closed && stream->fd >= 0) {
        const uint8_t *bytes;
        size_t size = drv_window_peek(&stream->window, stream->window.delivered, &bytes);
        bool full = false;
        size_t taken;

        if (stream->channel == DRV_CHANNEL_CONTROL && size > stream->pass - stream->window.delivered)
            size = (size_t)(stream->pass - stream->window.delivered);
        if (!size)
            break;
        taken = stream->deaf ? size : write_unlocked(stream, bytes, size, &full);
        if (taken)
            delivered_locked(session, stream, taken);
        if (full && !stream->closed) {
            arm_writable_locked(session, stream);
            break;
        }
    }
    end_if_received_locked(session, stream);
    drv_stream_settle_locked(session, stream);
    return 0;
}

/* Looks at what arrived on the control channel; bytes pass only once they were judged. */
static int watch_locked(struct drv_session *session, struct drv_stream *stream, struct drv_error *err)
{
    bool source = session->role == DRV_RELAY_SOURCE;
    struct drv_rpc_watcher *watcher = source ? &stream->replies : &stream->calls;

    while (!stream->asking && (stream->watched < stream->window.contiguous || drv_rpc_ends_now(watcher))) {
        const uint8_t *bytes;
        size_t size = drv_window_peek(&stream->window, stream->watched, &bytes);
        size_t used;
        int event = drv_rpc_feed(watcher, bytes, size, &used, err);

        if (event < 0)
            return event;
        stream->watched += used;
        if (event == DRV_RPC_HEADER && !source) {
            int rc = drv_rpc_call_allowed(&watcher->message, err);

            if (rc)
                return rc;
            if (session->judges && drv_rpc_call_judged(&watcher->message)) {
                if (watcher->message.length > WINDOW_JUDGED)
                    return drv_error_set(err, EPROTO, "the definition of the VM has more than %zu KiB",
                                         WINDOW_JUDGED >> 10);
                stream->held = stream->watched - DRV_RPC_HEADER_SIZE;
            }
        }
        if (event == DRV_RPC_END && stream->held != UINT64_MAX) {
            stream->asking = true;
            atomic_store(&session->asks, true);
            drv_session_changed(session);
        }
        if (event == DRV_RPC_END && source && drv_rpc_is_finish_reply(&watcher->message) && !stream->finish_end) {
            drv_fault("relay-finish-reply");
            stream->finish_end = stream->watched;
            stream->finish_ok = drv_rpc_finish_succeeded(&watcher->message);
        }
        if ((watcher->in_body || event == DRV_RPC_END) && stream->held == UINT64_MAX)
            stream->pass = stream->watched;
    }
    return 0;
}

/* The stream whose call is held, locked; NULL. */
static struct drv_stream *lock_asking(struct drv_session *session)
{
    for (size_t i = 0; i < DRV_STREAMS_MAX; i++) {
        struct drv_stream *stream = &session->stream[i];

        pthread_mutex_lock(&stream->lock);
        if (atomic_load(&stream->id) && stream->asking)
            return stream;
        pthread_mutex_unlock(&stream->lock);
    }
    return NULL;
}

size_t drv_stream_asked(struct drv_session *session, uint8_t *bytes, size_t most)
{
    struct drv_stream *stream = lock_asking(session);
    size_t size = stream ? (size_t)(stream->watched - stream->held) : 0;

    if (!stream)
        return 0;
    for (uint64_t at = stream->held; bytes && size <= most && at < stream->watched;) {
        const uint8_t *piece;
        size_t length = drv_window_peek(&stream->window, at, &piece);

        if (length > stream->watched - at)
            length = (size_t)(stream->watched - at);
        memcpy(bytes, piece, length);
        bytes += length;
        at += length;
    }
    pthread_mutex_unlock(&stream->lock);
    return size <= most ? size : 0;
}

int drv_stream_judged(struct drv_session *session, struct drv_error *err)
{
    struct drv_stream *stream = lock_asking(session);
    int rc;

    if (!stream)
        return drv_error_set(err, ENOENT, "no call waits to be judged");
    stream->asking = false;
    stream->held = UINT64_MAX;
    stream->pass = stream->watched;
    atomic_store(&session->asks, false);
    rc = watch_locked(session, stream, err);
    if (!rc)
        rc = drv_stream_deliver_locked(session, stream, err);
    pthread_mutex_unlock(&stream->lock);
    return rc;
}

int drv_stream_accept(struct drv_session *session, struct drv_stream *stream, uint64_t offset, const uint8_t *bytes,
                      size_t size, struct drv_error *err)
{
    struct drv_window *window = &stream->window;
    bool next = !stream->delivering && !stream->closed && !stream->deaf && stream->fd >= 0 &&
                window->delivered == window->contiguous && offset == window->delivered &&
                stream->channel != DRV_CHANNEL_CONTROL && !(stream->coder && session->role == DRV_RELAY_TARGET);
    int rc = drv_window_reserve(window, offset, size, err);

    if (rc)
        return rc;
    if (stream->received_all || stream->closed)
        return 0;
    if (next) {
        /* The socket is empty-handed and these are its bytes: no detour through the ring. */
        bool full;
        size_t taken = write_unlocked(stream, bytes, size, &full);

        if (stream->closed) {
            drv_stream_settle_locked(session, stream);
            return 0;
        }
        if (taken < size)
            drv_window_fill(window, offset + taken, bytes + taken, size - taken);
        if (taken)
            delivered_locked(session, stream, taken);
        if (full) {
            arm_writable_locked(session, stream);
            return 0;
        }
    } else {
        drv_window_fill(window, offset, bytes, size);
        if (stream->channel == DRV_CHANNEL_CONTROL) {
            rc = watch_locked(session, stream, err);
            if (rc)
                return rc;
        }
    }
    return drv_stream_deliver_locked(session, stream, err);
}
