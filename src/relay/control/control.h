/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in which droverd talks to a relay: start one, hand it what it needs, ask
 * for its counters, watch it, end it. A relay outlives the droverd that started
 * it; a new droverd finds it through the admin socket in the session's directory.
 *
 * All calls block for at most a few seconds; none may be made from the main loop.
 * A `struct drv_relay` may be used by one thread at a time; open several.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/paths.h"

enum drv_relay_role { DRV_RELAY_SOURCE, DRV_RELAY_TARGET };

enum drv_relay_channel { DRV_CHANNEL_CONTROL, DRV_CHANNEL_RAM, DRV_CHANNEL_DISK, DRV_CHANNELS };

enum drv_relay_state {
    DRV_RELAY_STARTING, /* not all links are up yet */
    DRV_RELAY_UP,       /* carries */
    DRV_RELAY_LOST,     /* the link or the peer is gone: all local sockets are closed */
    DRV_RELAY_ENDED,    /* told to end, or all streams are over and nobody asks any more */
};

#define DRV_RELAY_OOM_SCORE "300"        /* guests have 0 */
#define DRV_RELAY_ASKED_MAX (512u << 10) /* bytes of a call that droverd judges */

#define DRV_OLDER_IMAGES 8u
#define DRV_OLDER_NAME_MAX 63u /* of an export */

/* What a relay needs to know to begin. Nothing of it is in its arguments or environment. */
struct drv_relay_config {
    enum drv_relay_role role;
    char session[DRV_SESSION_ID_TEXT + 1];
    uint8_t secret[DRV_SESSION_SECRET_SIZE];
    unsigned links;        /* TLS connections, 1 … 16; the first one carries what must not wait */
    const char *directory; /* the session's, exists, owned by root */
    const char *peer_host; /* source: an IP address of the target's droverd */
    uint16_t peer_port;
    int libvirt_fd;      /* target: a connected socket to the local libvirtd, else -1 */
    bool judged;         /* target: calls that say what is to be made here wait for drv_relay_judge() */
    unsigned cache_mib;  /* that the codec may remember pages in, at most; 0: drv_relay_cache_mib() */
    int memory_fd;       /* what stands for its memory, which it has open for as long as it lives; 0: nothing does */
    const char *program; /* path of drover-relay */
    int content_fd;      /* what is known of earlier sessions (pack/brief.h), or -1 … */
    const int *content_files; /* … the pack to write and those to read */
    unsigned content_file_count;
    const int *older_fds;           /* target: connections to servers of older images of disks (docs/codec.rst) */
    const char *const *older_disks; /* source: the exports that those are of, in that order */
    unsigned older_count;           /* DRV_OLDER_IMAGES at most */
    const char *user;               /* runs as this user … */
    const char *group;              /* … and as this (QEMU's) group */
};

#define DRV_RELAY_PAGE_BYTES 4096u

/* What became of pages of memory, or blocks of a disk, that the codec has recognised. */
struct drv_relay_pages {
    uint64_t literal; /* sent as they are, or compressed */
    uint64_t delta;   /* as what differs from another one */
    uint64_t same;    /* as a reference to one that went over the same stream */
    uint64_t other;   /* as a reference to one that went over another stream: memory from a disk */
    uint64_t zero;
    uint64_t older;  /* as a reference to an older image of the disk */
    uint64_t shared; /* that the other relay has said to keep: other streams may refer to them */
};

/* Bytes of one channel, all its streams together, since the start. */
struct drv_relay_channel_counters {
    uint64_t local_in_bytes;      /* read from QEMU or libvirtd on this host */
    uint64_t local_out_bytes;     /* written to them */
    uint64_t coded_bytes;         /* what the other relay was sent for local_in_bytes, without framing, and
                                 digests of older disks that it has sent for them */
    struct drv_relay_pages pages; /* source */
    uint32_t streams_opened;
    uint32_t streams_open;
};

struct drv_relay_status {
    enum drv_relay_state state;
    unsigned links_up;
    struct drv_relay_channel_counters channel[DRV_CHANNELS];
    uint64_t wire_in_bytes; /* as TLS records on TCP, framing included */
    uint64_t wire_out_bytes;
    bool finish_delivered;   /* the whole Finish reply has been read by the source's libvirtd … */
    bool finish_ok;          /* … and it said success */
    bool resumed;            /* the target has told that its guest runs */
    int64_t finish_us;       /* drv_clock_us() of this host when finish_delivered was learnt, or 0 */
    int64_t resumed_us;      /* the same for resumed */
    uint64_t memory_bytes;   /* buffers allocated: fixed when the session starts */
    uint64_t cache_bytes;    /* the codec's cache, at most: the same */
    uint64_t recycled_bytes; /* of the channels, that were references to what earlier sessions left */
    uint64_t fresh_bps;      /* source: bytes of memory a second that pages which the guest has just
                                written would go at; 0: not known, or the link is not the limit */
    uint64_t link_bps;       /* source: bytes a second that the link took while it was full; 0: it never was */
    uint64_t rtt_us;         /* the least round trip of any link; 0: not known */
    bool asks;               /* target: a call waits to be judged: drv_relay_asked() */
    char error[256];         /* why it is LOST, or empty */
};

typedef struct drv_relay drv_relay;

/** drv_relay_open() - connect to the relay that serves @directory. *@relay is freed by drv_relay_close(). */
int drv_relay_open(const char *directory, drv_relay **relay, struct drv_error *err);

/** drv_relay_close() - NULL is allowed. The relay itself goes on. */
void drv_relay_close(drv_relay *relay);

/** drv_relay_status() - ask for the counters now. */
int drv_relay_status(drv_relay *relay, struct drv_relay_status *status, struct drv_error *err);

/**
 * drv_relay_next() - wait for the next event: a change of state or of a mark, at once,
 * and otherwise counters about every 200 ms.
 * Return: 0 with *@status filled; -ETIMEDOUT; -ECONNRESET when the relay has died.
 */
int drv_relay_next(drv_relay *relay, struct drv_relay_status *status, int timeout_ms, struct drv_error *err);

/**
 * drv_relay_stand_by() - from now on drv_relay_next() waits for changes alone, without counters in
 * between; and the relay does not stay for one who only stands by.
 */
int drv_relay_stand_by(drv_relay *relay, struct drv_error *err);

/** drv_relay_hand_link() - give a fresh TCP connection (its ClientHello still unread) to a target relay. */
int drv_relay_hand_link(drv_relay *relay, int tcp_fd, struct drv_error *err);

/** drv_relay_tell_resumed() - at the target: the guest runs; the source's relay will know. */
int drv_relay_tell_resumed(drv_relay *relay, struct drv_error *err);

/**
 * drv_relay_asked() - at the target: the call of the source's libvirtd that waits, as drv_rpc_parse_request() takes it.
 * @bytes: receives it; freed by the caller
 * Return: its size, or -errno: -EINVAL: none waits (any more).
 */
ssize_t drv_relay_asked(drv_relay *relay, uint8_t **bytes, struct drv_error *err);

/** drv_relay_judge() - let it pass, or end the session for the reason @refusal, which the source hears. NULL: pass. */
int drv_relay_judge(drv_relay *relay, const char *refusal, struct drv_error *err);

/**
 * drv_relay_tell_near() - at the source: QEMU may soon stop the guest. From now on the relay takes its
 * stream no faster than pages go which the guest has just written (src/relay/pace.h).
 */
int drv_relay_tell_near(drv_relay *relay, struct drv_error *err);

/**
 * drv_relay_end() - end the relay and wait until it has closed everything but the pack of content
 * that its process may still write.
 */
int drv_relay_end(drv_relay *relay, struct drv_error *err);
