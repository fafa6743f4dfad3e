/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of droverds, and the first, mistrustful contact with one: see endpoint.h. */
#include "cluster/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/paths.h"
#include "cluster/pki.h"

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_session_t, gnutls_deinit, NULL)

#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:%"

gboolean drv_endpoint_parse(const char *text, char **host, guint16 *port, GError **error)
{
    const char *colon = strrchr(text, ':'), *end = NULL, *start = text;
    guint64 number = DRV_PORT;
    gboolean good = TRUE;

    if (text[0] == '[') {
        start = text + 1;
        end = strchr(text, ']');
        good = end && (end[1] == '\0' || end[1] == ':');
        colon = good && end[1] == ':' ? end + 1 : NULL;
    } else if (colon && strchr(text, ':') != colon) {
        colon = NULL; /* an IPv6 address without brackets, hence without a port */
    }
    if (!end)
        end = colon ? colon : text + strlen(text);
    good = good && end > start && end - start < 254 &&
           (!colon || g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &number, NULL));
    if (good) {
        *host = g_strndup(start, (gsize)(end - start));
        *port = (guint16)number;
        if (strspn(*host, HOST_CHARACTERS) == strlen(*host) && (*host)[0] != '-')
            return TRUE;
        g_clear_pointer(host, g_free);
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "\"%.128s\" is not the address of a node: write HOST, HOST:PORT or [IPV6]:PORT", text);
    return FALSE;
}

char *drv_endpoint_text(const char *host, guint16 port)
{
    return g_strdup_printf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

static int connect_one(const struct addrinfo *to, gint64 until_ms, int *why)
{
    drv_autoclose int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol);
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    socklen_t size = sizeof *why;

    if (fd < 0) {
        *why = errno;
        return -1;
    }
    if (connect(fd, to->ai_addr, to->ai_addrlen) < 0) {
        int rc;

        if (errno != EINPROGRESS) {
            *why = errno;
            return -1;
        }
        do
            rc = poll(&wait, 1, (int)MAX(0, until_ms - drv_clock_ms()));
        while (rc < 0 && errno == EINTR);
        if (rc <= 0) {
            *why = ETIMEDOUT;
            return -1;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, why, &size) < 0 || *why)
            return -1;
    }
    drv_fd_set_nonblocking(fd, false);
    return drv_steal_fd(&fd);
}

int drv_endpoint_connect(const char *host, guint16 port, guint timeout_ms, GError **error)
{
    g_autofree char *where = drv_endpoint_text(host, port);
    g_autofree char *service = g_strdup_printf("%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *all = NULL;
    gint64 until_ms = drv_clock_ms() + timeout_ms;
    int rc = getaddrinfo(host, service, &hints, &all), why = 0, fd = -1;

    if (rc) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "cannot find the host %s: %s", host, gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *to = all; to && fd < 0; to = to->ai_next)
        fd = connect_one(to, until_ms, &why);
    freeaddrinfo(all);
    if (fd < 0)
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "cannot connect to %s: %s%s", where, g_strerror(why),
                    why == ECONNREFUSED ? " (is droverd running there?)"
                    : why == ETIMEDOUT  ? " (is the host up, and the port open in its firewall?)"
                                        : "");
    return fd;
}

static char *address_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char text[INET6_ADDRSTRLEN];

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return NULL;
    if (address.ss_family == AF_INET)
        return g_strdup(inet_ntop(AF_INET, &((struct sockaddr_in *)&address)->sin_addr, text, sizeof text));
    return g_strdup(inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&address)->sin6_addr, text, sizeof text));
}

/* In the presented chain, the certificate with this fingerprint, having signed the first one. */
static char *find_authority(gnutls_session_t session, const char *where, const char *fingerprint, char **node,
                            GError **error)
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    g_auto(gnutls_x509_crt_t) leaf = NULL;
    g_autoptr(GError) failure = NULL;

    if (!chain || !count || gnutls_x509_crt_init(&leaf) < 0 ||
        gnutls_x509_crt_import(leaf, &chain[0], GNUTLS_X509_FMT_DER) < 0)
        count = 0;
    for (unsigned i = 0; i < MIN(count, 8); i++) {
        g_autofree char *digest = drv_pki_fingerprint_der(&chain[i]);
        g_auto(gnutls_x509_crt_t) ca = NULL;
        gnutls_datum_t pem;
        char *text;

        if (g_strcmp0(digest, fingerprint))
            continue;
        if (gnutls_x509_crt_init(&ca) < 0 || gnutls_x509_crt_import(ca, &chain[i], GNUTLS_X509_FMT_DER) < 0 ||
            !drv_pki_check_chain(leaf, ca, GNUTLS_KP_TLS_WWW_SERVER, NULL, &failure) ||
            gnutls_x509_crt_export2(ca, GNUTLS_X509_FMT_PEM, &pem) < 0)
            break;
        text = g_strndup((const char *)pem.data, pem.size);
        gnutls_free(pem.data);
        if (node)
            *node = drv_pki_subject(leaf, GNUTLS_OID_X520_COMMON_NAME);
        return text;
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                "the server at %s is not of the cluster that made this token%s%s; nothing was sent "
                "to it. Check the address, or make a new token on a node of the cluster",
                where, failure ? ": " : "", failure ? failure->message : "");
    return NULL;
}

char *drv_endpoint_authority(const char *host, guint16 port, const char *fingerprint, guint timeout_ms, char **node,
                             char **local_address, GError **error)
{
    g_autofree char *where = drv_endpoint_text(host, port);
    drv_autoclose int fd = drv_endpoint_connect(host, port, timeout_ms, error);
    g_auto(gnutls_session_t) session = NULL;
    gnutls_certificate_credentials_t credentials = NULL;
    char *text = NULL;
    int rc;

    if (fd < 0)
        return NULL;
    rc = gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    if (rc >= 0)
        rc = gnutls_certificate_allocate_credentials(&credentials);
    if (rc >= 0)
        rc = gnutls_priority_set_direct(session, "SECURE128:-VERS-ALL:+VERS-TLS1.3", NULL);
    if (rc >= 0)
        rc = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    if (rc >= 0) {
        gnutls_transport_set_int(session, fd);
        gnutls_handshake_set_timeout(session, timeout_ms);
        do
            rc = gnutls_handshake(session);
        while (rc < 0 && !gnutls_error_is_fatal(rc));
    }
    if (rc < 0)
        g_set_error(error, DRV_ERROR, rc == GNUTLS_E_TIMEDOUT ? DRV_ERROR_UNREACHABLE : DRV_ERROR_DENIED,
                    "%s does not answer as a droverd does: %s", where, gnutls_strerror(rc));
    else
        text = find_authority(session, where, fingerprint, node, error);
    if (text && local_address)
        *local_address = address_of(fd);
    if (rc >= 0)
        gnutls_bye(session, GNUTLS_SHUT_WR);
    g_clear_pointer(&session, gnutls_deinit);
    if (credentials)
        gnutls_certificate_free_credentials(credentials);
    return text;
}
