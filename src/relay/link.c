/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS connection between two relays: see link.h. */
#include "relay/link.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/fd.h"

/* A record grows by header, content type and tag; 256 is more than enough. */
#define RECORDS_SIZE ((size_t)DRV_CHUNK_MAX + 4 * DRV_TLS_RECORD)
#define RECORDS_SPARE (2 * (size_t)DRV_TLS_RECORD) /* by how much a frame may grow in records */
#define IN_SIZE ((size_t)256 * 1024)
#define OUT_SIZE (DRV_FRAME_HEADER_SIZE + (size_t)DRV_FRAME_PAYLOAD_MAX)
#define PLAIN_SIZE (OUT_SIZE + DRV_TLS_RECORD)

/* AES-GCM keys are good for some 2^24.5 records (RFC 8446, 5.5): change them long before. */
#ifndef DRV_REKEY_BYTES
#define DRV_REKEY_BYTES (UINT64_C(64) << 30)
#endif

/* Queued in the kernel but not yet sent: 2 ms of the link, within these. */
#define LOWAT_MIN 16384u
#define LOWAT_MAX (1024u * 1024u)
#define MEASURE_EVERY_MS 50

static const char priority[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:"
                               "-KX-ALL:+ECDHE-PSK:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1";

size_t drv_link_memory(void)
{
    return sizeof(drv_link) + OUT_SIZE + RECORDS_SIZE + IN_SIZE + PLAIN_SIZE;
}

static int write_all(drv_link *link, const uint8_t *bytes, size_t size)
{
    /* Once established the socket blocks: but first see whether the link takes it at once. */
    int flags = link->established ? MSG_NOSIGNAL | MSG_DONTWAIT : MSG_NOSIGNAL;
    int64_t blocked_at_us = 0;

    while (size) {
        ssize_t sent = send(link->fd, bytes, size, flags);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno != EAGAIN || !(flags & MSG_DONTWAIT))) {
            link->send_errno = errno;
            return -1;
        }
        if (sent < 0)
            sent = 0;
        atomic_fetch_add_explicit(&link->wire_out_bytes, (uint64_t)sent, memory_order_relaxed);
        bytes += sent;
        size -= (size_t)sent;
        if (size && flags & MSG_DONTWAIT) {
            blocked_at_us = drv_clock_us();
            flags = MSG_NOSIGNAL;
        }
    }
    if (blocked_at_us)
        link->blocked_us += (uint64_t)(drv_clock_us() - blocked_at_us);
    return 0;
}

static int flush(drv_link *link)
{
    size_t used = link->records_used;

    link->records_used = 0;
    return write_all(link, link->records, used);
}

/* GnuTLS gives us what is encrypted. */
static ssize_t push(gnutls_transport_ptr_t pointer, const giovec_t *parts, int count)
{
    drv_link *link = pointer;
    size_t total = 0;

    for (int i = 0; i < count; i++) {
        const uint8_t *bytes = parts[i].iov_base;
        size_t size = parts[i].iov_len;

        if (size > RECORDS_SIZE - link->records_used && flush(link))
            goto failed;
        if (size > RECORDS_SIZE) {
            if (write_all(link, bytes, size))
                goto failed;
        } else {
            memcpy(link->records + link->records_used, bytes, size);
            link->records_used += size;
        }
        total += size;
    }
    if (!link->corked && flush(link))
        goto failed;
    return (ssize_t)total;
failed:
    gnutls_transport_set_errno(link->tls, EPIPE);
    return -1;
}

/* Reads what TCP has. Return: as recv(). */
static ssize_t fill(drv_link *link)
{
    ssize_t got;

    do
        got = recv(link->fd, link->in, IN_SIZE, 0);
    while (got < 0 && errno == EINTR);
    link->io_errno = got < 0 && errno != EAGAIN ? errno : 0;
    if (got <= 0)
        return got;
    link->in_at = 0;
    link->in_have = (size_t)got;
    atomic_fetch_add_explicit(&link->wire_in_bytes, (uint64_t)got, memory_order_relaxed);
    return got;
}

/* GnuTLS wants what came. Once established it never waits here, where it is locked. */
static ssize_t pull(gnutls_transport_ptr_t pointer, void *bytes, size_t size)
{
    drv_link *link = pointer;

    if (link->in_at == link->in_have) {
        ssize_t got = -1;

        if (link->established)
            errno = EAGAIN;
        else
            got = fill(link);
        if (got <= 0) {
            link->nothing_came = got < 0 && errno == EAGAIN;
            gnutls_transport_set_errno(link->tls, link->nothing_came ? EAGAIN : EPIPE);
            return got;
        }
    }
    if (size > link->in_have - link->in_at)
        size = link->in_have - link->in_at;
    memcpy(bytes, link->in + link->in_at, size);
    link->in_at += size;
    return (ssize_t)size;
}

static int pull_timeout(gnutls_transport_ptr_t pointer, unsigned ms)
{
    drv_link *link = pointer;
    struct pollfd wait = {.fd = link->fd, .events = POLLIN};

    if (link->in_at < link->in_have)
        return 1;
    return poll(&wait, 1, ms == GNUTLS_INDEFINITE_TIMEOUT ? -1 : (int)ms);
}

int drv_link_client_credentials(gnutls_psk_client_credentials_t *credentials, const struct drv_link_secret *secret,
                                struct drv_error *err)
{
    gnutls_datum_t key = {.data = (unsigned char *)(size_t)secret->secret, .size = sizeof secret->secret};
    int rc = gnutls_psk_allocate_client_credentials(credentials);

    if (rc >= 0)
        rc = gnutls_psk_set_client_credentials(*credentials, secret->session, &key, GNUTLS_PSK_KEY_RAW);
    if (rc < 0)
        return drv_error_set(err, ENOMEM, "cannot set up TLS: %s", gnutls_strerror(rc));
    return 0;
}

/* The session that belongs to a name of the other end; the secret is the link's user pointer. */
static int give_secret(gnutls_session_t tls, const char *name, gnutls_datum_t *key)
{
    const struct drv_link_secret *secret = gnutls_session_get_ptr(tls);

    if (!secret || strcmp(name, secret->session) != 0)
        return -1;
    key->data = gnutls_malloc(sizeof secret->secret);
    if (!key->data)
        return -1;
    key->size = sizeof secret->secret;
    memcpy(key->data, secret->secret, sizeof secret->secret);
    return 0;
}

int drv_link_server_credentials(gnutls_psk_server_credentials_t *credentials, struct drv_error *err)
{
    int rc = gnutls_psk_allocate_server_credentials(credentials);

    if (rc < 0)
        return drv_error_set(err, ENOMEM, "cannot set up TLS: %s", gnutls_strerror(rc));
    gnutls_psk_set_server_credentials_function(*credentials, give_secret);
    return 0;
}

static int begin_tls(drv_link *link, bool server, void *credentials, const struct drv_link_secret *secret)
{
    char name[DRV_SESSION_ID_TEXT + sizeof DRV_RELAY_SUFFIX];
    int rc = gnutls_init(&link->tls, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_TICKETS);

    if (rc >= 0)
        rc = gnutls_priority_set_direct(link->tls, priority, NULL);
    if (rc >= 0)
        rc = gnutls_credentials_set(link->tls, GNUTLS_CRD_PSK, credentials);
    if (rc >= 0 && !server) {
        (void)snprintf(name, sizeof name, "%s%s", secret->session, DRV_RELAY_SUFFIX);
        rc = gnutls_server_name_set(link->tls, GNUTLS_NAME_DNS, name, strlen(name));
    }
    if (rc < 0)
        return rc;
    gnutls_session_set_ptr(link->tls, (void *)(size_t)secret);
    gnutls_transport_set_ptr(link->tls, link);
    gnutls_transport_set_vec_push_function(link->tls, push);
    gnutls_transport_set_pull_function(link->tls, pull);
    gnutls_transport_set_pull_timeout_function(link->tls, pull_timeout);
    return 0;
}

int drv_link_new(drv_link **result, int fd, bool server, void *credentials, const struct drv_link_secret *secret,
                 struct drv_error *err)
{
    drv_link *link = calloc(1, sizeof *link);
    int one = 1;
    int rc;

    if (!link) {
        close(fd);
        return drv_error_set(err, ENOMEM, "no memory for a connection");
    }
    link->fd = fd;
    (void)pthread_mutex_init(&link->tls_lock, NULL);
    link->chunk_bytes = DRV_CHUNK_FIRST;
    link->out = malloc(OUT_SIZE);
    link->records = malloc(RECORDS_SIZE);
    link->in = malloc(IN_SIZE);
    link->plain = malloc(PLAIN_SIZE);
    if (!link->out || !link->records || !link->in || !link->plain) {
        drv_link_free(link);
        return drv_error_set(err, ENOMEM, "no memory for a connection's buffers");
    }
    rc = begin_tls(link, server, credentials, secret);
    if (rc < 0) {
        drv_link_free(link);
        return drv_error_set(err, EIO, "cannot set up TLS: %s", gnutls_strerror(rc));
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)drv_fd_set_nonblocking(fd, true);
    *result = link;
    return 0;
}

void drv_link_free(drv_link *link)
{
    if (!link)
        return;
    if (link->tls)
        gnutls_deinit(link->tls);
    close(link->fd);
    (void)pthread_mutex_destroy(&link->tls_lock);
    free(link->out);
    free(link->records);
    free(link->in);
    free(link->plain);
    free(link);
}

static int tls_error(const drv_link *link, int rc, const char *doing, struct drv_error *err)
{
    int why = rc == GNUTLS_E_PUSH_ERROR ? link->send_errno : rc == GNUTLS_E_PULL_ERROR ? link->io_errno : 0;

    if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
        return drv_error_set(err, ECONNRESET, "connection %u: %s: the other relay says: %s", link->index, doing,
                             gnutls_alert_get_name(gnutls_alert_get(link->tls)));
    if (rc == GNUTLS_E_PREMATURE_TERMINATION || (rc == GNUTLS_E_PULL_ERROR && !link->io_errno))
        return drv_error_set(err, ECONNRESET, "connection %u: %s: the other end has closed it", link->index, doing);
    if (why)
        return drv_error_set(err, why, "connection %u: %s: %s", link->index, doing, strerror(why));
    return drv_error_set(err, EPROTO, "connection %u: %s: %s", link->index, doing, gnutls_strerror(rc));
}

int drv_link_handshake(drv_link *link, struct drv_error *err)
{
    int rc;

    do
        rc = gnutls_handshake(link->tls);
    while (rc == GNUTLS_E_INTERRUPTED || rc == GNUTLS_E_WARNING_ALERT_RECEIVED);
    if (rc == GNUTLS_E_AGAIN)
        return -EAGAIN;
    if (rc < 0) {
        (void)gnutls_alert_send_appropriate(link->tls, rc);
        return tls_error(link, rc, "TLS handshake", err);
    }
    if (gnutls_auth_get_type(link->tls) != GNUTLS_CRD_PSK)
        return drv_error_set(err, EPROTO, "connection %u: the other end has no secret", link->index);
    return 0;
}

int drv_link_established(drv_link *link, struct drv_error *err)
{
    struct timeval silence = {.tv_sec = DRV_LINK_SILENCE_MS / 1000};
    unsigned unacknowledged_ms = DRV_LINK_SILENCE_MS;
    unsigned lowat = LOWAT_MAX / 8;

    if (drv_fd_set_nonblocking(link->fd, false) ||
        setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) ||
        setsockopt(link->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms) ||
        setsockopt(link->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat))
        return drv_error_set(err, errno, "connection %u: cannot set it up: %s", link->index, strerror(errno));
    link->established = true;
    return 0;
}

/* One record, or a change of key first. Never blocks: it goes into the collected records. */
static ssize_t send_record(drv_link *link, const uint8_t *bytes, size_t size)
{
    ssize_t sent = 0;

    pthread_mutex_lock(&link->tls_lock);
    link->corked = true;
    if (link->since_rekey_bytes >= DRV_REKEY_BYTES) {
        link->since_rekey_bytes = 0;
        sent = gnutls_session_key_update(link->tls, 0);
    }
    link->since_rekey_bytes += size;
    if (sent >= 0)
        sent = gnutls_record_send(link->tls, bytes, size);
    link->corked = false;
    pthread_mutex_unlock(&link->tls_lock);
    return sent;
}

int drv_link_send(drv_link *link, const struct drv_frame *frame, struct drv_error *err)
{
    size_t size = DRV_FRAME_HEADER_SIZE + frame->length;
    const uint8_t *at = link->out;

    drv_frame_encode(link->out, frame);
    if (RECORDS_SIZE - link->records_used < size + RECORDS_SPARE && flush(link))
        return tls_error(link, GNUTLS_E_PUSH_ERROR, "sending", err);
    while (size) {
        ssize_t sent = send_record(link, at, size < DRV_TLS_RECORD ? size : DRV_TLS_RECORD);

        if (sent < 0)
            return tls_error(link, (int)sent, "sending", err);
        at += sent;
        size -= (size_t)sent;
    }
    return 0;
}

int drv_link_flush(drv_link *link, struct drv_error *err)
{
    return flush(link) ? tls_error(link, GNUTLS_E_PUSH_ERROR, "sending", err) : 0;
}

/* Decrypts one record behind what is there. Return: bytes, or a GnuTLS error. */
static ssize_t receive_record(drv_link *link)
{
    ssize_t got;

    do {
        pthread_mutex_lock(&link->tls_lock);
        link->nothing_came = false;
        got = gnutls_record_recv(link->tls, link->plain + link->plain_have, PLAIN_SIZE - link->plain_have);
        pthread_mutex_unlock(&link->tls_lock);
        /* GnuTLS also says "again" after a message of its own, such as a change of key. */
        if (got == GNUTLS_E_AGAIN && link->nothing_came && link->established) {
            ssize_t came = fill(link);

            if (came == 0)
                return GNUTLS_E_PREMATURE_TERMINATION;
            if (came < 0)
                return link->io_errno ? GNUTLS_E_PULL_ERROR : GNUTLS_E_TIMEDOUT;
            link->nothing_came = false;
        }
    } while (got == GNUTLS_E_INTERRUPTED || (got == GNUTLS_E_AGAIN && !link->nothing_came));
    return got ? got : GNUTLS_E_PREMATURE_TERMINATION;
}

int drv_link_receive(drv_link *link, struct drv_frame *frame, const uint8_t **payload, struct drv_error *err)
{
    size_t need = DRV_FRAME_HEADER_SIZE;
    bool have_header = false;

    for (;;) {
        size_t have = link->plain_have - link->plain_at;
        ssize_t got;

        if (have >= need && !have_header) {
            int rc = drv_frame_decode(frame, link->plain + link->plain_at, err);

            if (rc)
                return rc;
            have_header = true;
            need += frame->length;
        }
        if (have >= need)
            break;
        /* Frames begin with a record, so there is hardly ever something to move. */
        if (have && link->plain_at)
            memmove(link->plain, link->plain + link->plain_at, have);
        link->plain_at = 0;
        link->plain_have = have;
        got = receive_record(link);
        if (got == GNUTLS_E_AGAIN)
            return -EAGAIN;
        if (got == GNUTLS_E_TIMEDOUT)
            return drv_error_set(err, ETIMEDOUT, "connection %u: nothing came from the other relay for %d s",
                                 link->index, DRV_LINK_SILENCE_MS / 1000);
        if (got < 0)
            return tls_error(link, (int)got, "receiving", err);
        link->plain_have += (size_t)got;
    }
    *payload = link->plain + link->plain_at + DRV_FRAME_HEADER_SIZE;
    link->plain_at += need;
    return 0;
}

void drv_link_measure(drv_link *link, int64_t now_ms)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    uint64_t chunk, lowat_bytes;
    unsigned lowat;

    if (now_ms - link->last_measured_ms < MEASURE_EVERY_MS)
        return;
    link->last_measured_ms = now_ms;
    memset(&info, 0, sizeof info);
    if (getsockopt(link->fd, IPPROTO_TCP, TCP_INFO, &info, &size) ||
        size < offsetof(struct tcp_info, tcpi_delivery_rate) + sizeof info.tcpi_delivery_rate)
        return;
    atomic_store(&link->min_rtt_us, info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt);
    if (!info.tcpi_delivery_rate)
        return;
    chunk = info.tcpi_delivery_rate / 200; /* 5 ms */
    chunk = chunk / DRV_TLS_RECORD * DRV_TLS_RECORD;
    /* A link that waits for QEMU shows QEMU's rate, not its own. */
    if (info.tcpi_delivery_rate_app_limited && chunk < link->chunk_bytes)
        return;
    if (chunk > DRV_CHUNK_MAX)
        link->chunk_bytes = DRV_CHUNK_MAX;
    else if (chunk <= DRV_CHUNK_MIN)
        link->chunk_bytes = DRV_CHUNK_MIN;
    else
        link->chunk_bytes = (size_t)chunk - DRV_FRAME_HEADER_SIZE;
    lowat_bytes = info.tcpi_delivery_rate / 500; /* 2 ms */
    lowat = lowat_bytes < LOWAT_MIN ? LOWAT_MIN : lowat_bytes > LOWAT_MAX ? LOWAT_MAX : (unsigned)lowat_bytes;
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
}

uint64_t drv_link_queued(const drv_link *link)
{
    int queued = 0;

    return ioctl(link->fd, SIOCOUTQ, &queued) == 0 && queued > 0 ? (uint64_t)queued : 0;
}

/* Both ends derive the same from their handshake (RFC 5705). */
static int derive(drv_link *link, const char *label, uint8_t *bytes, size_t size, struct drv_error *err)
{
    int rc = gnutls_prf_rfc5705(link->tls, strlen(label), label, 0, "", size, (char *)bytes);

    return rc < 0 ? tls_error(link, rc, "deriving a seed", err) : 0;
}

int drv_link_seed(drv_link *link, uint64_t *seed, struct drv_error *err)
{
    uint8_t bytes[sizeof *seed];
    struct drv_reader reader = drv_reader_over(bytes, sizeof bytes);
    int rc = derive(link, "EXPORTER-drover-codec", bytes, sizeof bytes, err);

    if (!rc)
        *seed = drv_read_u64(&reader);
    return rc;
}

int drv_link_key(drv_link *link, uint8_t *key, size_t size, struct drv_error *err)
{
    return derive(link, "EXPORTER-drover-older", key, size, err);
}
