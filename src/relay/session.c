/* SPDX-License-Identifier: Apache-2.0 */
/* A session's life: start, loss, end, and what admin clients may ask: see session.h. */
#include "relay/session.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "relay/event.h"
#include "relay/stream.h"

/*
 * All windows together: a small one for every slot, and at the target some large ones.
 * With the links' buffers and the coders it stays below 64 MiB.
 */
#define WINDOWS_TARGET ((uint64_t)38 << 20)
#define WINDOWS_SOURCE ((uint64_t)19 << 20)
#define FAREWELL_MS 500
#define STACK_SIZE ((size_t)256 << 10)

static int watch_event(int set, int event)
{
    struct epoll_event want = {.events = EPOLLIN, .data.u64 = UINT64_MAX};

    return epoll_ctl(set, EPOLL_CTL_ADD, event, &want);
}

int drv_session_init(struct drv_session *session, enum drv_relay_role role, unsigned links, struct drv_error *err)
{
    pthread_condattr_t monotonic;

    session->role = role;
    session->links = links;
    session->libvirt_fd = -1;
    session->window_left_bytes = role == DRV_RELAY_TARGET ? WINDOWS_TARGET : WINDOWS_SOURCE;
    session->memory_bytes = sizeof *session + session->window_left_bytes + (uint64_t)links * drv_link_memory() +
                            drv_coding_memory(role) + (role == DRV_RELAY_SOURCE ? links * DRV_BALE_BODY : 0);
    session->hello =
        (struct drv_hello){.codec = DRV_WIRE_CODEC, .cache_mib = drv_coding_offer(), .links = (uint8_t)links};
    if (drv_known_init(&session->known, role, err) || drv_ahead_init(&session->ahead, role, err))
        return -err->code;
    session->bulk_set = epoll_create1(EPOLL_CLOEXEC);
    session->urgent_set = epoll_create1(EPOLL_CLOEXEC);
    session->writable_set = epoll_create1(EPOLL_CLOEXEC);
    session->urgent_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    session->main_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    session->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (session->bulk_set < 0 || session->urgent_set < 0 || session->writable_set < 0 || session->urgent_event < 0 ||
        session->main_event < 0 || session->stop_event < 0 || watch_event(session->urgent_set, session->urgent_event) ||
        watch_event(session->urgent_set, session->stop_event) || watch_event(session->bulk_set, session->stop_event) ||
        watch_event(session->writable_set, session->stop_event) ||
        (links == 1 && watch_event(session->urgent_set, session->bulk_set)))
        return drv_error_set(err, errno, "cannot set up events: %s", strerror(errno));
    for (size_t i = 0; i < DRV_STREAMS_MAX; i++) {
        if (pthread_mutex_init(&session->stream[i].lock, NULL) || pthread_cond_init(&session->stream[i].turned, NULL))
            return drv_error_set(err, ENOMEM, "cannot set up locks");
        session->stream[i].fd = -1;
    }
    if (pthread_condattr_init(&monotonic) || pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) ||
        pthread_mutex_init(&session->error_lock, NULL) || pthread_cond_init(&session->farewell, &monotonic))
        return drv_error_set(err, ENOMEM, "cannot set up locks");
    return 0;
}

uint64_t drv_session_cache_max(const struct drv_session *session)
{
    return drv_coding_cache_memory(session->role, (size_t)session->hello.cache_mib << 20 >> 12);
}

static int start_ahead(struct drv_session *session, struct drv_error *err)
{
    uint8_t key[DRV_OLDER_KEY];
    int rc = drv_link_key(session->worker[0].link, key, sizeof key, err);

    if (!rc)
        rc = drv_ahead_start(&session->ahead, &session->coding, key, session->urgent_event, err);
    explicit_bzero(key, sizeof key);
    session->memory_bytes += drv_ahead_memory(&session->ahead);
    return rc;
}

static int start_coding(struct drv_session *session, struct drv_error *err)
{
    struct drv_coding *coding = &session->coding;
    uint64_t seed;
    int rc = drv_link_seed(session->worker[0].link, &seed, err);

    if (!rc)
        rc = drv_coding_start(coding, session->role, seed, err);
    if (!rc)
        rc = start_ahead(session, err);
    if (!rc && coding->on)
        session->cache_bytes = drv_coding_cache_memory(session->role, coding->cache_pages);
    return rc;
}

int drv_session_start(struct drv_session *session, const struct drv_session_threads *threads, struct drv_error *err)
{
    pthread_attr_t attributes;
    int rc;

    if (start_coding(session, err))
        return -err->code;
    rc = pthread_attr_init(&attributes);
    if (!rc)
        rc = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    for (unsigned i = 0; !rc && i < session->links; i++) {
        struct drv_worker *worker = &session->worker[i];

        worker->session = session;
        if (session->role == DRV_RELAY_SOURCE && drv_bale_init(&worker->bale, err))
            return -err->code;
        if (drv_link_established(worker->link, err))
            return -err->code;
    }
    /* Before any thread that may hear what the other end knows. */
    if (!rc && drv_known_start(&session->known, &session->coding, session->urgent_event, err))
        return -err->code;
    if (session->known.saving.cache)
        session->memory_bytes += drv_saving_memory();
    /* From here on a failure is fatal for the process: nobody is left to be told. */
    atomic_store(&session->state, DRV_RELAY_UP);
    if (!rc)
        rc = pthread_create(&session->deliverer, &attributes, threads->deliver, session);
    for (unsigned i = 0; !rc && i < session->links; i++) {
        struct drv_worker *worker = &session->worker[i];

        rc = pthread_create(&worker->receiver, &attributes, threads->receive, worker);
        if (!rc)
            rc = pthread_create(&worker->sender, &attributes, threads->send, worker);
    }
    if (rc)
        return drv_error_set(err, rc, "cannot start threads: %s", strerror(rc));
    session->started = true;
    pthread_attr_destroy(&attributes);
    drv_session_changed(session);
    return 0;
}

void drv_session_changed(struct drv_session *session)
{
    atomic_fetch_add(&session->changes, 1);
    drv_event_raise(session->main_event);
}

void drv_session_mark(struct drv_session *session, enum drv_frame_mark mark)
{
    atomic_fetch_or(&session->marks_due, 1u << mark);
    drv_event_raise(session->urgent_event);
}

static bool awaits_finish(const struct drv_session *session, const struct drv_stream *stream)
{
    return stream->finish_written && !stream->closed && !atomic_load(&session->finish_delivered);
}

bool drv_session_any_open(struct drv_session *session)
{
    for (size_t i = 0; i < DRV_CHANNELS; i++)
        if (atomic_load(&session->channel[i].open))
            return true;
    return false;
}

/* A migration was here and all its streams are over: nothing is lost when the links end. */
static bool is_over(struct drv_session *session)
{
    return atomic_load(&session->channel[DRV_CHANNEL_CONTROL].opened) && !drv_session_any_open(session);
}

void drv_session_lose(struct drv_session *session, const struct drv_error *err)
{
    int up;
    bool orderly = err->code == ECONNRESET && is_over(session);

    pthread_mutex_lock(&session->error_lock);
    up = atomic_load(&session->state);
    if (up == DRV_RELAY_STARTING || up == DRV_RELAY_UP) {
        if (!orderly)
            (void)snprintf(session->error, sizeof session->error, "%.255s", err->message);
        atomic_store(&session->state, orderly ? DRV_RELAY_ENDED : DRV_RELAY_LOST);
    }
    pthread_mutex_unlock(&session->error_lock);
    if (up != DRV_RELAY_STARTING && up != DRV_RELAY_UP)
        return;
    drv_ahead_abort(&session->ahead);
    for (size_t i = 0; i < DRV_STREAMS_MAX; i++) {
        struct drv_stream *stream = &session->stream[i];

        pthread_mutex_lock(&stream->lock);
        /* What is just being written may be a Finish reply: then it counts. That never blocks. */
        while (stream->delivering) {
            pthread_mutex_unlock(&stream->lock);
            sched_yield();
            pthread_mutex_lock(&stream->lock);
        }
        /* A Finish reply that libvirtd can still read: only then close (drv_session_check_finish). */
        if (atomic_load(&stream->id) && !awaits_finish(session, stream))
            drv_stream_close_locked(session, stream);
        pthread_mutex_unlock(&stream->lock);
    }
    atomic_store(&session->bye_due, true);
    drv_event_raise(session->urgent_event);
    drv_session_changed(session);
}

void drv_session_signal(struct drv_session *session, bool *flag)
{
    pthread_mutex_lock(&session->error_lock);
    *flag = true;
    pthread_cond_broadcast(&session->farewell);
    pthread_mutex_unlock(&session->error_lock);
}

void drv_session_hang_up(struct drv_session *session)
{
    for (unsigned i = 0; i < session->links; i++)
        if (session->worker[i].link)
            (void)shutdown(session->worker[i].link->fd, SHUT_RDWR);
}

static void wait_for_farewell(struct drv_session *session, bool ours)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += FAREWELL_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&session->error_lock);
    while ((ours && !session->bye_sent) || !session->peer_gone)
        if (pthread_cond_timedwait(&session->farewell, &session->error_lock, &until))
            break;
    pthread_mutex_unlock(&session->error_lock);
}

void drv_session_hear_why(struct drv_session *session)
{
    wait_for_farewell(session, false);
}

void drv_session_stop(struct drv_session *session)
{
    if (!session->started)
        return;
    session->started = false;
    atomic_store(&session->bye_due, true);
    drv_event_raise(session->urgent_event);
    drv_known_stop(&session->known);
    wait_for_farewell(session, true); /* link 0 says goodbye and the other end answers by closing: it knows why */
    drv_ahead_stop(&session->ahead);
    atomic_store(&session->stopping, true);
    drv_event_raise(session->stop_event);
    drv_session_hang_up(session);
    for (unsigned i = 0; i < session->links; i++) {
        pthread_join(session->worker[i].sender, NULL);
        pthread_join(session->worker[i].receiver, NULL);
    }
    pthread_join(session->deliverer, NULL);
    drv_ahead_done(&session->ahead, &session->coding);
}

void drv_session_status(struct drv_session *session, struct drv_relay_status *status)
{
    uint32_t rtt_us;

    memset(status, 0, sizeof *status);
    status->state = (enum drv_relay_state)atomic_load(&session->state);
    status->links_up = atomic_load(&session->links_up);
    for (size_t i = 0; i < DRV_CHANNELS; i++) {
        struct drv_counters *counters = &session->channel[i];

        status->channel[i].local_in_bytes = atomic_load(&counters->in_bytes);
        status->channel[i].local_out_bytes = atomic_load(&counters->out_bytes);
        status->channel[i].coded_bytes = atomic_load(&counters->coded_bytes);
        status->channel[i].streams_opened = atomic_load(&counters->opened);
        status->channel[i].streams_open = atomic_load(&counters->open);
    }
    for (unsigned i = 0; i < session->links; i++) {
        drv_link *link = session->worker[i].link;

        if (!link)
            continue;
        status->wire_in_bytes += atomic_load(&link->wire_in_bytes);
        status->wire_out_bytes += atomic_load(&link->wire_out_bytes);
        rtt_us = atomic_load(&link->min_rtt_us);
        if (rtt_us && (!status->rtt_us || rtt_us < status->rtt_us))
            status->rtt_us = rtt_us;
    }
    drv_coding_count(&session->coding, status);
    status->finish_delivered = atomic_load(&session->finish_delivered);
    status->finish_ok = atomic_load(&session->finish_ok);
    status->resumed = atomic_load(&session->resumed);
    status->finish_us = atomic_load(&session->finish_us);
    status->resumed_us = atomic_load(&session->resumed_us);
    status->memory_bytes = session->memory_bytes;
    status->cache_bytes = session->cache_bytes;
    status->recycled_bytes = drv_known_bytes(&session->known);
    status->fresh_bps = atomic_load(&session->coding.coder[0].pace.fresh_bps);
    status->link_bps = atomic_load(&session->coding.coder[0].pace.link_bps);
    status->asks = atomic_load(&session->asks) && atomic_load(&session->state) == DRV_RELAY_UP;
    pthread_mutex_lock(&session->error_lock);
    memcpy(status->error, session->error, sizeof status->error);
    pthread_mutex_unlock(&session->error_lock);
}

/*
 * libvirtd has read the reply when nothing of it is left in the socket's queue, unless
 * the queue is empty because libvirtd is gone. A later call from it proves it as well.
 */
static int finish_was_read(struct drv_session *session, int fd)
{
    struct pollfd hung_up = {.fd = fd};
    int queued = 0;

    if (atomic_load(&session->call_after_finish))
        return 1;
    if (ioctl(fd, SIOCOUTQ, &queued) < 0)
        return -1;
    if (queued > 0)
        return 0;
    if (poll(&hung_up, 1, 0) < 0 || (hung_up.revents & (POLLHUP | POLLERR)))
        return -1;
    return 1;
}

bool drv_session_check_finish(struct drv_session *session)
{
    bool again = false;

    if (!atomic_load(&session->finish_written))
        return false;
    for (size_t i = 0; i < DRV_STREAMS_MAX; i++) {
        struct drv_stream *stream = &session->stream[i];
        int read_it;

        pthread_mutex_lock(&stream->lock);
        if (!atomic_load(&stream->id) || !awaits_finish(session, stream)) {
            pthread_mutex_unlock(&stream->lock);
            continue;
        }
        read_it = stream->fd < 0 ? -1 : finish_was_read(session, stream->fd);
        if (read_it == 1) {
            drv_fault("relay-finish-read");
            atomic_store(&session->finish_ok, stream->finish_ok);
            atomic_store(&session->finish_us, drv_clock_us());
            atomic_store(&session->finish_delivered, true);
            drv_session_mark(session, stream->finish_ok ? DRV_MARK_FINISH_OK : DRV_MARK_FINISH_FAILED);
            drv_fault("relay-finish-marked");
        }
        if (read_it == 0) {
            again = true;
        } else {
            atomic_store(&session->finish_written, false);
            if (atomic_load(&session->state) != DRV_RELAY_UP)
                drv_stream_close_locked(session, stream);
            drv_session_changed(session);
        }
        pthread_mutex_unlock(&stream->lock);
    }
    return again;
}
