/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLS connection between two relays: handshake with the session's secret, frames
 * out, frames in. After the handshake one thread may send and another receive.
 *
 * TLS records are collected and go to TCP in one write a flush, and TCP is read
 * in big pieces, so that the cost a byte is that of the cipher and the copies.
 */
#pragma once

#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/paths.h"
#include "relay/frame.h"

#define DRV_TLS_RECORD 16384u
/* A chunk and its header fill records to the last byte. */
#define DRV_CHUNK_MAX (16u * DRV_TLS_RECORD - DRV_FRAME_HEADER_SIZE)
#define DRV_CHUNK_FIRST (8u * DRV_TLS_RECORD - DRV_FRAME_HEADER_SIZE)
#define DRV_CHUNK_MIN (DRV_TLS_RECORD / 2u - DRV_FRAME_HEADER_SIZE)

#define DRV_LINK_SILENCE_MS 10000 /* no byte for so long: the link is lost */
#define DRV_LINK_PING_MS 1000

struct drv_link_secret {
    char session[DRV_SESSION_ID_TEXT + 1];
    uint8_t secret[DRV_SESSION_SECRET_SIZE];
};

typedef struct drv_link drv_link;
struct drv_link {
    int fd;
    unsigned index;
    gnutls_session_t tls;
    /*
     * Around every call on `tls` once it is established: a change of key touches what both
     * directions use. Nobody waits for TCP while holding it.
     */
    pthread_mutex_t tls_lock;
    bool established;
    int io_errno;   /* why TCP failed, for messages: the receiving thread's after the handshake */
    int send_errno; /* the same of the sending thread */

    /* the sending thread's */
    uint8_t *out;     /* a frame in the making: header, then payload */
    uint8_t *records; /* encrypted, not yet on TCP */
    size_t records_used;
    bool corked;
    size_t chunk_bytes; /* how much to take at once: about 5 ms of this link */
    int64_t last_sent_ms;
    int64_t last_measured_ms;
    uint64_t since_rekey_bytes;
    uint64_t blocked_us;         /* in all, that the sending thread has waited for TCP … */
    uint64_t drained_us;         /* … and, since the last batch, for what was queued before it */
    _Atomic uint32_t min_rtt_us; /* the least round trip; 0: not known. Others may read it */

    /* the receiving thread's */
    uint8_t *in; /* encrypted, as it came */
    size_t in_at, in_have;
    bool nothing_came; /* the last read of TCP found nothing */
    uint8_t *plain;    /* decrypted, from plain_at to plain_have */
    size_t plain_at, plain_have;

    _Atomic uint64_t wire_out_bytes;
    _Atomic uint64_t wire_in_bytes;
};

/** drv_link_memory() - bytes of buffers a link. */
size_t drv_link_memory(void);

/**
 * drv_link_new() - a link over a connected TCP socket, before its handshake; it does not block.
 * @fd:     taken over, also on failure
 * @server: the target is the server
 * @credentials: of drv_link_client_credentials() or drv_link_server_credentials(); they and
 *          @secret must outlive the handshake
 */
int drv_link_new(drv_link **link, int fd, bool server, void *credentials, const struct drv_link_secret *secret,
                 struct drv_error *err);

/** drv_link_free() - closes the socket; NULL is allowed. */
void drv_link_free(drv_link *link);

int drv_link_client_credentials(gnutls_psk_client_credentials_t *credentials, const struct drv_link_secret *secret,
                                struct drv_error *err);

int drv_link_server_credentials(gnutls_psk_server_credentials_t *credentials, struct drv_error *err);

/**
 * drv_link_handshake() - authenticate both ends.
 * Return: 0; -EAGAIN without an error set: call again when there is something to read; -errno.
 */
int drv_link_handshake(drv_link *link, struct drv_error *err);

/** drv_link_established() - from here on the socket blocks, and silence is an error. */
int drv_link_established(drv_link *link, struct drv_error *err);

/**
 * drv_link_send() - append a frame whose payload, if any, is at @link->out + header.
 * Nothing is on TCP before drv_link_flush(), unless the collected records fill up.
 */
int drv_link_send(drv_link *link, const struct drv_frame *frame, struct drv_error *err);

/** drv_link_flush() - write the collected records. Blocks as TCP does. */
int drv_link_flush(drv_link *link, struct drv_error *err);

/**
 * drv_link_receive() - the next frame.
 * @payload: receives frame->length bytes, valid until the next call
 * Return: 0; -EAGAIN (non-blocking socket, before drv_link_established()); or -errno.
 */
int drv_link_receive(drv_link *link, struct drv_frame *frame, const uint8_t **payload, struct drv_error *err);

/** drv_link_queued() - bytes that TCP was given and that are not acknowledged. */
uint64_t drv_link_queued(const drv_link *link);

/** drv_link_seed() - a number that only both ends of this link know, after the handshake. */
int drv_link_seed(drv_link *link, uint64_t *seed, struct drv_error *err);

/** drv_link_key() - bytes that only both ends of this link know, for digests of older disks. */
int drv_link_key(drv_link *link, uint8_t *key, size_t size, struct drv_error *err);

/** drv_link_measure() - adapt chunk and socket queue to the link's rate; cheap, call often. */
void drv_link_measure(drv_link *link, int64_t now_ms);
