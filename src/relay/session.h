/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session in one relay: its links, its streams and its threads.
 *
 * Threads: the main one (local listeners, connects, admin clients, deadlines, the end);
 * for each link one that sends and one that receives; and one that delivers to local
 * sockets which were full. A receiving thread never blocks on a local socket, so no
 * stream can delay another: what a socket does not take lies in that stream's window,
 * and the credit given to the other end never exceeds the window.
 *
 * A sending thread takes the next readable local socket from an epoll set (one shot, so
 * that it owns it), reads one chunk, notes its offset, lets the socket be taken by the next
 * thread, encrypts and sends. Nothing is queued but what each thread has in hand.
 * Memory and disks on their way to the target are encoded between the reading and the framing
 * (coding.h): then a stream's bytes, offsets and windows are those of its records. Several threads may
 * compress batches of one stream; each then waits for its turn, in the order of reading, to note its
 * offset. Nobody waits for TCP before that, so that turns always come.
 *
 * Locks: a stream's lock guards its fields; nothing else is locked inside it but
 * session->error_lock. `reading` and `delivering` are tokens: who has set one may use the
 * socket without the lock, and the socket is closed by whoever gives the last one back.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/ahead.h"
#include "relay/coding.h"
#include "relay/control/control.h"
#include "relay/frame.h"
#include "relay/known.h"
#include "relay/link.h"
#include "relay/rpc.h"
#include "relay/window.h"

#define DRV_LINKS_MAX 16u
#define DRV_STREAMS_MAX 128u /* slots; the source opens only half, for those being closed */
#define DRV_STREAMS_LIVE_MAX 64u

/* What a stream still has to tell the other end; sent by link 0. */
enum drv_due {
    DRV_DUE_OPEN = 1,
    DRV_DUE_CREDIT = 2,
    DRV_DUE_FIN = 4,
    DRV_DUE_RESET = 8,
    DRV_DUE_SHARED = 16,
    DRV_DUE_OLDER = 32,
};

struct drv_stream {
    pthread_mutex_t lock;
    _Atomic uint32_t id; /* 0: the slot is free */
    enum drv_relay_channel channel;
    int fd;                   /* local, non-blocking; -1: not connected yet, or closed */
    bool connecting;          /* target: the main thread has to connect it */
    bool closed;              /* no more use of fd; whoever gives the last token back closes */
    bool reading, delivering; /* tokens */

    /* this end → other end */
    uint64_t sent;           /* offset of the next byte */
    uint64_t credit;         /* may be sent: exclusive */
    struct drv_coder *coder; /* encodes at the source, decodes at the target; NULL: plain */
    unsigned coder_number;   /* from 1 on, or 0 */
    uint64_t turn, turns;    /* coded, source: batches that have been sent, that were read */
    pthread_cond_t turned;   /* lock: one more was sent, and its lane is free */
    unsigned lanes_taken;    /* bits: of the coder's */
    uint64_t cost;           /* coded: what records have cost of the credit: sent, or delivered */
    uint64_t granted;        /* coded, target: the credit given */
    uint64_t remembered;     /* coded: pages that were sent and remembered, or told to be */
    bool readable_armed, in_readable_set;
    bool sent_all; /* no more bytes: FIN is due or sent */
    bool fin_sent;
    unsigned due; /* enum drv_due */

    /* other end → this end */
    struct drv_window window;
    bool in_writable_set;
    bool deaf;         /* the local peer takes no more: discard */
    uint64_t fin_at;   /* UINT64_MAX: not known */
    bool received_all; /* FIN reached */

    /* control channel */
    struct drv_rpc_watcher calls;   /* from the source's libvirtd */
    struct drv_rpc_watcher replies; /* at the source: from the target's */
    uint64_t watched;               /* offset up to which the incoming bytes were watched */
    uint64_t pass;                  /* incoming bytes below it may be delivered */
    uint64_t held;                  /* at the target: where a call begins that is judged first, or UINT64_MAX */
    bool asking;                    /* it is here as a whole: droverd is asked */
    uint64_t finish_end;            /* at the source: where the Finish reply ends, or 0 */
    bool finish_ok;
    bool finish_written; /* all of it is in libvirtd's socket */
};

struct drv_counters {
    _Atomic uint64_t in_bytes, out_bytes, coded_bytes;
    _Atomic uint32_t opened, open;
};

struct drv_session;

struct drv_worker {
    struct drv_session *session;
    drv_link *link;
    struct drv_bale bale; /* source: the sender's */
    pthread_t sender, receiver;
};

struct drv_session {
    enum drv_relay_role role;
    struct drv_link_secret secret;
    unsigned links;
    struct drv_worker worker[DRV_LINKS_MAX];
    _Atomic unsigned links_up;
    int libvirt_fd; /* target: until the control stream takes it; main thread */
    bool judges;    /* target: calls that say what is to be made here wait for droverd's word */
    _Atomic bool asks;

    struct drv_stream stream[DRV_STREAMS_MAX];
    uint32_t last_id; /* source: main thread; target: receiver of link 0 */
    _Atomic uint32_t last_id_seen;
    _Atomic uint64_t window_left_bytes;
    uint64_t memory_bytes;  /* fixed: all buffers but the cache */
    uint64_t cache_bytes;   /* at most, the codec's */
    struct drv_hello hello; /* what this end says of itself */
    struct drv_coding coding;
    struct drv_known known;
    struct drv_ahead ahead; /* older images of disks */

    int bulk_set;     /* epoll: local sockets that any bulk link may read */
    int urgent_set;   /* epoll: those of link 0, and urgent_event; with one link bulk_set too */
    int writable_set; /* epoll: full local sockets */
    int urgent_event; /* eventfd: frames are due on link 0 */
    int main_event;   /* eventfd: the main thread should look */
    int stop_event;   /* eventfd, in the sets: threads should end */
    pthread_t deliverer;
    bool started;

    _Atomic int state; /* enum drv_relay_state */
    _Atomic bool stopping;
    _Atomic unsigned marks_due; /* bits 1 << enum drv_frame_mark */
    _Atomic bool bye_due;
    _Atomic bool connect_due;
    _Atomic bool finish_written; /* main thread: see whether libvirtd has read it */
    _Atomic bool call_after_finish;
    _Atomic bool finish_delivered, finish_ok, resumed;
    _Atomic int64_t finish_us, resumed_us;
    _Atomic uint32_t changes; /* counts what admin clients must hear at once */
    struct drv_counters channel[DRV_CHANNELS];

    pthread_mutex_t error_lock;
    char error[256]; /* error_lock; set once */
    pthread_cond_t farewell;
    bool bye_sent, peer_gone; /* error_lock; signalled by farewell */
};

/** drv_session_init() - locks, sets and events; nothing runs. */
int drv_session_init(struct drv_session *session, enum drv_relay_role role, unsigned links, struct drv_error *err);

/** drv_session_cache_max() - bytes of the codec's cache, if the other end offers as much. */
uint64_t drv_session_cache_max(const struct drv_session *session);

/** The threads of a session: one that delivers, with the session; a receiver and a sender for each link, with its worker. */
struct drv_session_threads {
    void *(*deliver)(void *session);
    void *(*receive)(void *worker);
    void *(*send)(void *worker);
};

/** drv_session_start() - all links are there: start the threads. After a failure the process must end. */
int drv_session_start(struct drv_session *session, const struct drv_session_threads *threads, struct drv_error *err);

/**
 * drv_session_lose() - the session is over because of @err: all local sockets are closed
 * before this returns, the other end is told, the admin clients will hear. Any thread;
 * only the first call counts.
 */
void drv_session_lose(struct drv_session *session, const struct drv_error *err);

/** drv_session_signal() - set bye_sent or peer_gone and wake who waits for it. */
void drv_session_signal(struct drv_session *session, bool *flag);

/**
 * drv_session_hear_why() - a link has failed: the other end may have said why on link 0, which may not have been read
 * yet. Waits, half a second at most, until nothing more comes there. Any thread but link 0's receiver.
 */
void drv_session_hear_why(struct drv_session *session);

/** drv_session_hang_up() - close all links: whatever the other end waits for does not come. */
void drv_session_hang_up(struct drv_session *session);

/** drv_session_stop() - end all threads and wait for them. Main thread. */
void drv_session_stop(struct drv_session *session);

/** drv_session_any_open() - is there a stream that is not over? */
bool drv_session_any_open(struct drv_session *session);

/** drv_session_status() - fill in what admin clients ask for. Main thread. */
void drv_session_status(struct drv_session *session, struct drv_relay_status *status);

/** drv_session_changed() - something that admin clients must hear at once. */
void drv_session_changed(struct drv_session *session);

/** drv_session_mark() - tell the other relay. */
void drv_session_mark(struct drv_session *session, enum drv_frame_mark mark);

/**
 * drv_session_check_finish() - has the source's libvirtd read the whole Finish reply?
 * Return: true while it has to be asked again soon. Main thread.
 */
bool drv_session_check_finish(struct drv_session *session);
