/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a session that move bytes: see session.h for who does what. */
#include "relay/engine.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "relay/chunk.h"
#include "relay/drain.h"
#include "relay/event.h"
#include "relay/session.h"
#include "relay/stream.h"

/* ---- sending ---- */

static int send_small(drv_link *link, const struct drv_frame *frame, struct drv_error *err)
{
    return drv_link_send(link, frame, err);
}

/* What a stream has to tell, in an order that makes sense to the other end. */
static int send_due(struct drv_session *session, drv_link *link, struct drv_stream *stream, bool *sent,
                    struct drv_error *err)
{
    struct drv_frame frame = {0};
    uint64_t credit, end, shared, older[DRV_OLDER_QUESTIONS];
    unsigned questions = 0;
    uint8_t coder, image = 0;
    unsigned due;
    int rc = 0;

    pthread_mutex_lock(&stream->lock);
    due = stream->due;
    stream->due = 0;
    frame.stream = atomic_load(&stream->id);
    frame.channel = (uint8_t)stream->channel;
    credit = stream->coder && session->role == DRV_RELAY_TARGET ? stream->granted : stream->window.limit;
    end = stream->sent;
    shared = stream->remembered;
    coder = (uint8_t)stream->coder_number;
    if (due & DRV_DUE_OLDER) {
        image = (uint8_t)atomic_load(&stream->coder->older_image);
        while (questions < DRV_OLDER_QUESTIONS &&
               drv_older_ask(stream->coder->older, drv_clock_us(), &older[questions]))
            questions++;
    }
    if (due & DRV_DUE_RESET)
        stream->sent_all = stream->received_all = true;
    pthread_mutex_unlock(&stream->lock);
    if (!due || !frame.stream)
        return 0;
    *sent = true;
    if (due & DRV_DUE_OPEN) {
        frame.type = DRV_FRAME_OPEN;
        frame.encoding = coder;
        rc = send_small(link, &frame, err);
        frame.encoding = 0;
    }
    if (!rc && (due & DRV_DUE_CREDIT)) {
        frame.type = DRV_FRAME_CREDIT;
        frame.offset = credit;
        rc = send_small(link, &frame, err);
    }
    if (!rc && (due & DRV_DUE_SHARED)) {
        frame.type = DRV_FRAME_SHARED;
        frame.offset = shared;
        rc = send_small(link, &frame, err);
    }
    for (unsigned i = 0; !rc && i < questions; i++) {
        frame.type = DRV_FRAME_OLDER;
        frame.encoding = image;
        frame.offset = older[i] * DRV_PAGE_SIZE;
        rc = send_small(link, &frame, err);
        frame.encoding = 0;
    }
    if (!rc && (due & (DRV_DUE_FIN | DRV_DUE_RESET))) {
        frame.type = due & DRV_DUE_RESET ? DRV_FRAME_RESET : DRV_FRAME_FIN;
        frame.offset = due & DRV_DUE_RESET ? 0 : end;
        rc = send_small(link, &frame, err);
        pthread_mutex_lock(&stream->lock);
        stream->fin_sent = true;
        drv_stream_settle_locked(session, stream);
        pthread_mutex_unlock(&stream->lock);
    }
    return rc;
}

static int send_marks(struct drv_session *session, drv_link *link, bool *sent, struct drv_error *err)
{
    unsigned marks = atomic_exchange(&session->marks_due, 0);

    for (unsigned mark = 1; mark < DRV_MARKS; mark++) {
        struct drv_frame frame = {.type = DRV_FRAME_MARK, .offset = mark};
        int rc;

        if (!(marks & 1u << mark))
            continue;
        *sent = true;
        rc = send_small(link, &frame, err);
        if (rc)
            return rc;
    }
    return 0;
}

static void send_bye(struct drv_session *session, drv_link *link)
{
    struct drv_frame frame = {.type = DRV_FRAME_BYE};
    struct drv_error ignored;

    pthread_mutex_lock(&session->error_lock);
    frame.length = (uint32_t)strnlen(session->error, DRV_FRAME_TEXT_MAX);
    memcpy(link->out + DRV_FRAME_HEADER_SIZE, session->error, frame.length);
    pthread_mutex_unlock(&session->error_lock);
    if (drv_link_send(link, &frame, &ignored) == 0)
        (void)drv_link_flush(link, &ignored);
    drv_session_signal(session, &session->bye_sent);
}

/* What is known of earlier sessions, before any stream that is encoded. */
static int send_content(struct drv_session *session, drv_link *link, bool *sent, struct drv_error *err)
{
    size_t size = drv_known_tell(&session->known, link->out + DRV_FRAME_HEADER_SIZE);
    struct drv_frame frame = {.type = DRV_FRAME_CONTENT, .length = (uint32_t)size};
    int rc;

    if (!size)
        return 0;
    rc = drv_link_send(link, &frame, err);
    *sent = true;
    if (!rc && drv_known_told(&session->known))
        drv_event_raise(session->main_event);
    return rc;
}

/* Digests of an older disk, as they are ready. */
static int send_digests(struct drv_session *session, drv_link *link, bool *sent, struct drv_error *err)
{
    struct drv_frame frame;

    if (!drv_ahead_tell(&session->ahead, &frame, link->out + DRV_FRAME_HEADER_SIZE))
        return 0;
    *sent = true;
    return drv_link_send(link, &frame, err);
}

/* Link 0: everything that is due. */
static int send_all_due(struct drv_session *session, drv_link *link, struct drv_error *err)
{
    bool sent = false;
    int rc = send_marks(session, link, &sent, err);

    if (!rc)
        rc = send_content(session, link, &sent, err);
    if (!rc)
        rc = send_digests(session, link, &sent, err);
    for (size_t i = 0; !rc && i < DRV_STREAMS_MAX; i++)
        if (atomic_load_explicit(&session->stream[i].id, memory_order_relaxed))
            rc = send_due(session, link, &session->stream[i], &sent, err);
    if (!rc && sent) {
        link->last_sent_ms = drv_clock_ms();
        rc = drv_link_flush(link, err);
    }
    return rc;
}

static int ping_if_idle(drv_link *link, struct drv_error *err)
{
    struct drv_frame frame = {.type = DRV_FRAME_PING};
    int64_t now_ms = drv_clock_ms();
    int rc;

    if (now_ms - link->last_sent_ms < DRV_LINK_PING_MS)
        return 0;
    link->last_sent_ms = now_ms;
    rc = drv_link_send(link, &frame, err);
    return rc ? rc : drv_link_flush(link, err);
}

/* With one link its sender also serves the bulk set: one chunk, then what is due again. */
static int send_one_bulk(struct drv_worker *worker, struct drv_error *err)
{
    struct drv_session *session = worker->session;
    struct epoll_event event;

    if (!drv_drain(session, worker->link) || epoll_wait(session->bulk_set, &event, 1, 0) != 1 ||
        event.data.u64 == UINT64_MAX)
        return 0;
    return drv_chunk_send(worker, event.data.u64, err);
}

static int sender_turn(struct drv_worker *worker, struct drv_error *err)
{
    struct drv_session *session = worker->session;
    drv_link *link = worker->link;
    bool urgent = link->index == 0;
    int set = urgent ? session->urgent_set : session->bulk_set;
    struct epoll_event event;
    int count, rc = 0;

    if (urgent)
        rc = send_all_due(session, link, err);
    if (rc)
        return rc;
    if (!urgent && !drv_drain(session, link))
        return 0;
    count = epoll_wait(set, &event, 1, DRV_LINK_PING_MS);
    if (count < 0 && errno != EINTR)
        return drv_error_set(err, errno, "cannot wait for local sockets: %s", strerror(errno));
    if (count == 1 && event.data.u64 != UINT64_MAX)
        rc = drv_chunk_send(worker, event.data.u64, err);
    else if (count == 1 && urgent) {
        drv_event_clear(session->urgent_event);
        if (session->links == 1)
            rc = send_one_bulk(worker, err);
    }
    return rc ? rc : ping_if_idle(link, err);
}

static bool carries(struct drv_session *session)
{
    return atomic_load(&session->state) == DRV_RELAY_UP && !atomic_load(&session->stopping);
}

static void *send_loop(void *argument)
{
    struct drv_worker *worker = argument;
    struct drv_session *session = worker->session;
    drv_link *link = worker->link;
    struct drv_error err;

    while (carries(session) && !atomic_load(&session->bye_due)) {
        if (sender_turn(worker, &err)) {
            drv_session_hear_why(session);
            if (!atomic_load(&session->stopping))
                drv_session_lose(session, &err);
            break;
        }
    }
    if (link->index == 0) {
        (void)send_marks(session, link, &(bool){false}, &err);
        send_bye(session, link);
        /* The other links are left alone for a moment, so that the reason is heard first. */
        if (!atomic_load(&session->stopping) && atomic_load(&session->state) != DRV_RELAY_UP)
            (void)shutdown(link->fd, SHUT_RDWR);
    }
    return NULL;
}

/* ---- receiving ---- */

static int unknown_stream(struct drv_session *session, const struct drv_frame *frame, struct drv_error *err)
{
    /* Frames of a stream that is over here may still be under way. */
    if (frame->stream <= atomic_load(&session->last_id_seen))
        return 0;
    return drv_error_set(err, EPROTO, "the other relay sent %s for a stream that was never opened",
                         drv_frame_type_name(frame->type));
}

static int on_open(struct drv_session *session, const struct drv_frame *frame, struct drv_error *err)
{
    struct drv_coder *coder = NULL;
    struct drv_stream *stream;

    if (session->role != DRV_RELAY_TARGET || frame->stream != session->last_id + 1)
        return drv_error_set(err, EPROTO, "the other relay opened a stream that it may not");
    session->last_id = frame->stream;
    if (frame->encoding) {
        coder = drv_coding_claim(&session->coding, frame->encoding);
        if (!coder || frame->channel == DRV_CHANNEL_CONTROL || !atomic_load(&session->known.settled))
            return drv_error_set(err, EPROTO, "the other relay encodes a stream that it may not");
        coder->channel = (enum drv_relay_channel)frame->channel;
    }
    stream = drv_stream_new(session, frame->stream, (enum drv_relay_channel)frame->channel, -1);
    if (!stream)
        return drv_error_set(err, EPROTO, "the other relay opened too many streams");
    /* Nothing of it may come before the credit, and that before the local socket is connected. */
    pthread_mutex_lock(&stream->lock);
    stream->coder = coder;
    stream->coder_number = frame->encoding;
    pthread_mutex_unlock(&stream->lock);
    atomic_store(&session->last_id_seen, frame->stream);
    atomic_store(&session->connect_due, true);
    drv_event_raise(session->main_event);
    return 0;
}

static int on_mark(struct drv_session *session, const struct drv_frame *frame, struct drv_error *err)
{
    bool to_source = frame->offset == DRV_MARK_RESUMED;

    if (to_source != (session->role == DRV_RELAY_SOURCE))
        return drv_error_set(err, EPROTO, "the other relay sent a mark that it may not");
    if (to_source) {
        atomic_store(&session->resumed_us, drv_clock_us());
        atomic_store(&session->resumed, true);
    } else {
        drv_fault("relay-mark-received");
        atomic_store(&session->finish_us, drv_clock_us());
        atomic_store(&session->finish_ok, frame->offset == DRV_MARK_FINISH_OK);
        atomic_store(&session->finish_delivered, true);
    }
    drv_session_changed(session);
    return 0;
}

/* The peer's words go into our messages: keep them printable. */
static int on_bye(const struct drv_frame *frame, const uint8_t *payload, struct drv_error *err)
{
    char text[DRV_FRAME_TEXT_MAX + 1];

    for (uint32_t i = 0; i < frame->length; i++)
        text[i] = payload[i] < ' ' || payload[i] > '~' ? '?' : (char)payload[i];
    text[frame->length] = '\0';
    if (!frame->length)
        return drv_error_set(err, ECONNRESET, "the other relay was told to end");
    return drv_error_set(err, EPIPE, "the other relay gave up: %s", text);
}

static int on_content(struct drv_session *session, const struct drv_frame *frame, const uint8_t *payload,
                      struct drv_error *err)
{
    int rc = drv_known_hear(&session->known, payload, frame->length, err);

    if (rc == 1)
        drv_event_raise(session->main_event);
    return rc < 0 ? rc : 0;
}

/* Of an older image of the disk: a question at the target, an answer at the source. */
static int on_older_locked(struct drv_session *session, struct drv_stream *stream, const struct drv_frame *frame,
                           const uint8_t *payload, struct drv_error *err)
{
    struct drv_older *older = stream->coder ? stream->coder->older : NULL;
    int rc;

    if (frame->type == DRV_FRAME_OLDER)
        return drv_ahead_asked(&session->ahead, stream->coder, frame->stream, frame->encoding, frame->offset, err);
    if (session->role != DRV_RELAY_SOURCE || !older)
        return drv_error_set(err, EPROTO, "the other relay tells of an older disk unasked");
    rc = drv_older_answer(older, frame->offset / DRV_PAGE_SIZE, payload, frame->length, drv_clock_us(), err);
    atomic_fetch_add_explicit(&session->channel[stream->channel].coded_bytes, frame->length, memory_order_relaxed);
    if (!rc && drv_older_is_due(older))
        drv_stream_due_locked(session, stream, DRV_DUE_OLDER);
    if (!rc)
        drv_stream_arm_locked(session, stream);
    return rc;
}

static int on_stream_frame(struct drv_session *session, const struct drv_frame *frame, const uint8_t *payload,
                           struct drv_error *err)
{
    struct drv_stream *stream = drv_stream_find(session, frame->stream);
    int rc = 0;

    if (!stream)
        return unknown_stream(session, frame, err);
    if (frame->channel != stream->channel) {
        rc = drv_error_set(err, EPROTO, "the other relay mixed up its streams");
    } else if (frame->type == DRV_FRAME_DATA) {
        rc = drv_stream_accept(session, stream, frame->offset, payload, frame->length, err);
    } else if (frame->type == DRV_FRAME_CREDIT) {
        if (frame->offset < stream->credit)
            rc = drv_error_set(err, EPROTO, "the other relay took back credit");
        stream->credit = frame->offset > stream->credit ? frame->offset : stream->credit;
        drv_stream_arm_locked(session, stream);
    } else if (frame->type == DRV_FRAME_SHARED) {
        rc = drv_stream_shared_locked(session, stream, frame->offset, err);
    } else if (frame->type == DRV_FRAME_OLDER || frame->type == DRV_FRAME_DIGESTS) {
        rc = on_older_locked(session, stream, frame, payload, err);
    } else if (frame->type == DRV_FRAME_FIN) {
        if (stream->fin_at != UINT64_MAX || frame->offset < stream->window.contiguous ||
            frame->offset > stream->window.limit)
            rc = drv_error_set(err, EPROTO, "the other relay ended a stream at a wrong place");
        else
            stream->fin_at = frame->offset;
        if (!rc)
            rc = drv_stream_deliver_locked(session, stream, err);
    } else {
        stream->due = 0;
        stream->sent_all = stream->fin_sent = stream->received_all = true;
        drv_stream_close_locked(session, stream);
    }
    pthread_mutex_unlock(&stream->lock);
    return rc;
}

static int dispatch(struct drv_session *session, drv_link *link, const struct drv_frame *frame, const uint8_t *payload,
                    struct drv_error *err)
{
    if (frame->type == DRV_FRAME_PING)
        return 0;
    if (frame->type == DRV_FRAME_DATA)
        return on_stream_frame(session, frame, payload, err);
    if (link->index != 0 || frame->type == DRV_FRAME_HELLO)
        return drv_error_set(err, EPROTO, "the other relay sent %s where it may not", drv_frame_type_name(frame->type));
    if (frame->type == DRV_FRAME_OPEN)
        return on_open(session, frame, err);
    if (frame->type == DRV_FRAME_MARK)
        return on_mark(session, frame, err);
    if (frame->type == DRV_FRAME_BYE)
        return on_bye(frame, payload, err);
    if (frame->type == DRV_FRAME_CONTENT)
        return on_content(session, frame, payload, err);
    return on_stream_frame(session, frame, payload, err);
}

static void *receive(void *argument)
{
    struct drv_worker *worker = argument;
    struct drv_session *session = worker->session;
    struct drv_error err;

    while (carries(session)) {
        struct drv_frame frame;
        const uint8_t *payload;
        int rc = drv_link_receive(worker->link, &frame, &payload, &err);

        if (!rc)
            rc = dispatch(session, worker->link, &frame, payload, &err);
        if (!rc)
            continue;
        if (worker->link->index != 0 && err.code == ECONNRESET)
            drv_session_hear_why(session);
        if (!atomic_load(&session->stopping))
            drv_session_lose(session, &err);
        break;
    }
    if (worker->link->index == 0)
        drv_session_signal(session, &session->peer_gone);
    return NULL;
}

/* ---- local sockets that were full ---- */

static void *deliver(void *argument)
{
    struct drv_session *session = argument;

    while (!atomic_load(&session->stopping)) {
        struct epoll_event events[16];
        int count = epoll_wait(session->writable_set, events, 16, -1);

        for (int i = 0; i < count; i++) {
            struct drv_stream *stream;
            struct drv_error err;
            int rc = 0;

            if (events[i].data.u64 == UINT64_MAX)
                return NULL;
            stream = &session->stream[(events[i].data.u64 >> 32) % DRV_STREAMS_MAX];
            pthread_mutex_lock(&stream->lock);
            if (atomic_load(&stream->id) == (uint32_t)events[i].data.u64)
                rc = drv_stream_deliver_locked(session, stream, &err);
            pthread_mutex_unlock(&stream->lock);
            if (rc && !atomic_load(&session->stopping))
                drv_session_lose(session, &err);
        }
    }
    return NULL;
}

const struct drv_session_threads drv_engine = {.deliver = deliver, .receive = receive, .send = send_loop};
