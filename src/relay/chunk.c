/* SPDX-License-Identifier: Apache-2.0 */
/* One chunk of a stream, from the local socket to a link: see chunk.h, and session.h for tokens and turns. */
#include "relay/chunk.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "relay/drain.h"
#include "relay/event.h"
#include "relay/stream.h"

/* A chunk at work. */
struct chunk {
    struct drv_session *session;
    struct drv_worker *worker;
    struct drv_stream *stream;
    struct drv_coder *coder; /* NULL: it goes as it is */
    struct drv_batch batch;
    struct drv_frame frame;
    uint8_t *payload;
    ssize_t size; /* of the payload; 0: the end of the stream, less: nothing is sent */
    uint64_t credit;
    uint64_t turn;
    unsigned lane;
    uint64_t waited_us; /* for a lane or the turn */
    int fd;
};

/* At the source: a call after the Finish call proves that its reply was read. */
static void watch_calls(struct drv_session *session, struct drv_stream *stream, const uint8_t *bytes, size_t size)
{
    while (size || drv_rpc_ends_now(&stream->calls)) {
        size_t used;
        int event = drv_rpc_feed(&stream->calls, bytes, size, &used, NULL);

        if (event < 0)
            return; /* the target's relay refuses it */
        if (event == DRV_RPC_HEADER && stream->finish_written &&
            stream->calls.message.program == DRV_RPC_PROGRAM_REMOTE) {
            atomic_store(&session->call_after_finish, true);
            drv_event_raise(session->main_event);
        }
        bytes += used;
        size -= used;
    }
}

/* The socket is ours. Return: false: there is nothing to do. */
static bool begin(struct chunk *chunk)
{
    struct drv_stream *stream = chunk->stream;
    bool may = false;

    pthread_mutex_lock(&stream->lock);
    if (atomic_load(&stream->id) == chunk->frame.stream) {
        stream->readable_armed = false;
        may = !stream->closed && !stream->sent_all && !stream->reading &&
              drv_stream_may_send_locked(chunk->session, stream);
        if (!may)
            drv_stream_arm_locked(chunk->session, stream); /* when it may */
    }
    if (may) {
        stream->reading = true;
        chunk->fd = stream->fd;
        chunk->coder = chunk->session->role == DRV_RELAY_SOURCE ? stream->coder : NULL;
        chunk->credit = stream->credit - (chunk->coder ? stream->cost : stream->sent);
        chunk->frame.channel = (uint8_t)stream->channel;
    }
    pthread_mutex_unlock(&stream->lock);
    return may;
}

/* Reads what is to be the payload of a frame, without the lock; what is encoded is not pressed yet. */
static void read_chunk(struct chunk *chunk)
{
    struct drv_session *session = chunk->session;
    drv_link *link = chunk->worker->link;

    if (!chunk->coder) {
        size_t most = chunk->credit < link->chunk_bytes ? (size_t)chunk->credit : link->chunk_bytes;

        chunk->size = recv(chunk->fd, chunk->payload, most, MSG_DONTWAIT);
        chunk->batch.raw = chunk->size > 0 ? (size_t)chunk->size : 0;
        if (chunk->size < 0)
            chunk->size = errno == EAGAIN || errno == EINTR ? -EAGAIN : 0;
        return;
    }
    drv_coder_adapt(chunk->coder, drv_drain_senders(session), link->chunk_bytes);
    /* With one link the same thread has the control channel to serve. */
    chunk->size = drv_coder_read(chunk->coder, chunk->fd, chunk->credit,
                                 session->links == 1 ? session->urgent_set : session->stop_event, &chunk->worker->bale,
                                 chunk->payload, &chunk->batch);
    if (chunk->coder == &session->coding.coder[0])
        drv_known_pass(&session->known);
}

static void wait_locked(struct chunk *chunk)
{
    int64_t began_us = drv_clock_us();

    (void)pthread_cond_wait(&chunk->stream->turned, &chunk->stream->lock);
    chunk->waited_us += (uint64_t)(drv_clock_us() - began_us);
}

/* A lane that no batch before has any more: that of this thread, if it can be. */
static void take_lane_locked(struct chunk *chunk)
{
    struct drv_stream *stream = chunk->stream;
    unsigned lanes = chunk->coder->lanes, wished = chunk->worker->link->index;

    while (stream->lanes_taken == (1u << lanes) - 1)
        wait_locked(chunk);
    for (unsigned i = 0; i < lanes; i++) {
        chunk->lane = (wished + i) % lanes;
        if (!(stream->lanes_taken & 1u << chunk->lane))
            break;
    }
    stream->lanes_taken |= 1u << chunk->lane;
}

/* A batch was read: it has its turn, and another thread may read the next. */
static void queue_locked(struct chunk *chunk)
{
    struct drv_stream *stream = chunk->stream;

    take_lane_locked(chunk);
    chunk->turn = stream->turns++;
    stream->cost += drv_coder_cost((size_t)chunk->size, chunk->batch.raw);
    if (drv_ahead_follow(&chunk->session->ahead, chunk->coder))
        drv_stream_due_locked(chunk->session, stream, DRV_DUE_OLDER);
    stream->reading = false;
    drv_stream_arm_locked(chunk->session, stream);
}

/* Compresses the batch without the lock, and then waits until all before it have an offset. */
static void press_locked(struct chunk *chunk)
{
    struct drv_stream *stream = chunk->stream;
    uint64_t most = drv_coder_cost((size_t)chunk->size, chunk->batch.raw);

    pthread_mutex_unlock(&stream->lock);
    chunk->size =
        (ssize_t)drv_coder_press(chunk->coder, chunk->lane, &chunk->worker->bale, chunk->payload, &chunk->batch);
    pthread_mutex_lock(&stream->lock);
    while (stream->turn != chunk->turn)
        wait_locked(chunk);
    stream->turn++;
    stream->lanes_taken &= ~(1u << chunk->lane);
    (void)pthread_cond_broadcast(&stream->turned);
    stream->cost -= most - drv_coder_cost((size_t)chunk->size, chunk->batch.raw);
    stream->remembered = chunk->worker->bale.remembered;
}

/* The end is due when all batches before it have an offset. */
static void end_locked(struct chunk *chunk)
{
    struct drv_stream *stream = chunk->stream;

    while (stream->turn != stream->turns)
        wait_locked(chunk);
    if (stream->closed || stream->sent_all)
        return;
    /* An error there means that the peer has gone without reading all: the end as well. */
    stream->sent_all = true;
    drv_stream_due_locked(chunk->session, stream, DRV_DUE_FIN);
}

/* What was read gets its place in the stream. Return: whether it is to be sent. */
static bool place(struct chunk *chunk)
{
    struct drv_stream *stream = chunk->stream;
    bool send;

    pthread_mutex_lock(&stream->lock);
    if (chunk->size > 0 && chunk->coder) {
        queue_locked(chunk);
        press_locked(chunk);
    } else {
        if (chunk->size == 0)
            end_locked(chunk);
        stream->reading = false;
    }
    send = chunk->size > 0 && !stream->closed && !stream->sent_all;
    if (send) {
        chunk->frame.offset = stream->sent;
        stream->sent += (uint64_t)chunk->size;
        if (stream->channel == DRV_CHANNEL_CONTROL && chunk->session->role == DRV_RELAY_SOURCE)
            watch_calls(chunk->session, stream, chunk->payload, (size_t)chunk->size);
    }
    drv_stream_arm_locked(chunk->session, stream);
    drv_stream_settle_locked(chunk->session, stream);
    pthread_mutex_unlock(&stream->lock);
    return send;
}

static int send_frame(struct chunk *chunk, int64_t began_us, uint64_t blocked_us, struct drv_error *err)
{
    struct drv_counters *counters = &chunk->session->channel[chunk->frame.channel];
    drv_link *link = chunk->worker->link;
    int rc;

    atomic_fetch_add_explicit(&counters->in_bytes, chunk->batch.raw, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->coded_bytes, (uint64_t)chunk->size, memory_order_relaxed);
    chunk->frame.length = chunk->frame.raw_length = (uint32_t)chunk->size;
    rc = drv_link_send(link, &chunk->frame, err);
    if (!rc)
        rc = drv_link_flush(link, err);
    if (chunk->coder) {
        uint64_t waited_us = chunk->batch.waited_us + chunk->waited_us;

        blocked_us = link->blocked_us - blocked_us;
        drv_coder_sent(chunk->coder, &chunk->batch, (uint64_t)(drv_clock_us() - began_us) - waited_us - blocked_us,
                       blocked_us + link->drained_us);
        link->drained_us = 0;
    }
    link->last_sent_ms = drv_clock_ms();
    drv_link_measure(link, link->last_sent_ms);
    return rc;
}

int drv_chunk_send(struct drv_worker *worker, uint64_t key, struct drv_error *err)
{
    struct drv_session *session = worker->session;
    struct chunk chunk = {
        .session = session,
        .worker = worker,
        .stream = &session->stream[(key >> 32) % DRV_STREAMS_MAX],
        .frame = {.type = DRV_FRAME_DATA, .stream = (uint32_t)key},
        .payload = worker->link->out + DRV_FRAME_HEADER_SIZE,
    };
    uint64_t blocked_us = worker->link->blocked_us;
    int64_t began_us;

    if (!begin(&chunk))
        return 0;
    began_us = drv_clock_us();
    read_chunk(&chunk);
    return place(&chunk) ? send_frame(&chunk, began_us, blocked_us, err) : 0;
}
