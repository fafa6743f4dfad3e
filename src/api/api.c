/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server behind the door: libmicrohttpd with TLS, a thread for each connection,
 * so that a handler may simply block. It has no listening socket: the door brings
 * connections. It has no time limits either: connections.h keeps them, since it alone
 * knows who has authenticated and who is being answered.
 */
#include "api/api.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>

#include "api/auth.h"
#include "api/door.h"
#include "api/events.h"
#include "api/routes.h"
#include "base/log.h"
#include "cluster/client.h"
#include "cluster/pki.h"
#include "model/json.h"
#include "model/working.h"

#define BODY_MOST_BYTES (1u << 20)
#define STRANGER_BODY_MOST_BYTES (64u << 10)
#define HEADERS_MOST_BYTES (64u << 10)
#define JSON_DEPTH 32
/* TLS 1.3 only, and of it AES-GCM first; ECDHE over P-256 and X25519. */
#define PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"

struct drv_api {
    drv_routes_context context;
    drv_connections *connections;
    drv_door *door;
    struct MHD_Daemon *http;
    drv_collector *collector; /* from drv_api_start() on */
    gnutls_x509_crt_t ca;
    volatile gint stopping;
};

/* The connection whose request this thread answers. Who revokes himself is told so before he has to go. */
static GPrivate answering;

/* One request while it comes in. */
typedef struct {
    drv_api *api;
    drv_connection *connection;
    GByteArray *body;
    gboolean too_big;
    guint roles;    /* DRV_MAY() of each that whoever sends it has */
    gboolean joins; /* has one of the places of drv_connections_join() */
} incoming;

/* ---- answering ---- */

static enum MHD_Result send_json(struct MHD_Connection *http, guint status, json_object *body, const char *location,
                                 gboolean close)
{
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)(gsize)text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (status == 401)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (location)
        MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, location);
    if (close)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    result = MHD_queue_response(http, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_error(struct MHD_Connection *http, guint status, const GError *error, const char *location,
                                  gboolean close)
{
    g_autoptr(json_object) body = drv_routes_error_body(error);

    return send_json(http, status, body, location, close);
}

static enum MHD_Result send_refusal(struct MHD_Connection *http, guint status, drv_error_code code, const char *message)
{
    GError error = {.domain = DRV_ERROR, .code = (gint)code, .message = (char *)(gsize)message};

    return send_error(http, status, &error, NULL, TRUE);
}

/* ---- one request ---- */

static const char *query_value(gpointer data, const char *key)
{
    return MHD_lookup_connection_value(data, MHD_GET_ARGUMENT_KIND, key);
}

static enum MHD_Result add_argument(void *data, enum MHD_ValueKind kind, const char *key, const char *value)
{
    GString *query = data;
    g_autofree char *name = g_uri_escape_string(key, NULL, FALSE);
    g_autofree char *escaped = value ? g_uri_escape_string(value, NULL, FALSE) : NULL;

    g_string_append_printf(query, "%s%s%s%s", query->len ? "&" : "", name, value ? "=" : "", value ? escaped : "");
    return MHD_YES;
}

/* A page of somebody else that makes a browser with our certificate send something. */
static gboolean from_elsewhere(struct MHD_Connection *http, const char *method)
{
    const char *origin = MHD_lookup_connection_value(http, MHD_HEADER_KIND, "Origin");
    const char *host = MHD_lookup_connection_value(http, MHD_HEADER_KIND, "Host");

    if (!origin || g_str_equal(method, "GET"))
        return FALSE;
    return !host || !g_str_has_prefix(origin, "https://") || g_ascii_strcasecmp(origin + strlen("https://"), host) != 0;
}

/* The body as an object; NULL without @error when there is none. */
static json_object *parse_body(const GByteArray *bytes, GError **error)
{
    struct json_tokener *tokener;
    json_object *body;
    enum json_tokener_error rc;

    if (!bytes->len)
        return NULL;
    tokener = json_tokener_new_ex(JSON_DEPTH);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    body = json_tokener_parse_ex(tokener, (const char *)bytes->data, (int)bytes->len);
    rc = json_tokener_get_error(tokener);
    if (rc == json_tokener_success && json_tokener_get_parse_end(tokener) < bytes->len)
        rc = json_tokener_error_parse_unexpected;
    json_tokener_free(tokener);
    if (rc == json_tokener_success && json_object_is_type(body, json_type_object))
        return body;
    json_object_put(body);
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "the body is not a JSON object%s%s",
                rc == json_tokener_success ? "" : ": ", rc == json_tokener_success ? "" : json_tokener_error_desc(rc));
    return NULL;
}

/* The request lasts as long as its event stream does. */
static gboolean may_still_watch(gpointer data)
{
    const incoming *in = data;

    return drv_auth_still(in->api->context.cluster, in->connection, NULL);
}

static gint64 watches_until_ms(gpointer data)
{
    const incoming *in = data;

    return drv_auth_ends_ms(in->api->context.cluster, in->connection);
}

static enum MHD_Result answer(drv_api *api, struct MHD_Connection *http, const char *method, const char *path,
                              incoming *in)
{
    g_autoptr(GString) query = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) body = NULL;
    g_autoptr(json_object) result = NULL;
    g_autofree char *location = NULL;
    drv_connection *from = in->connection;
    drv_request request = {.context = &api->context,
                           .method = method,
                           .path = path,
                           .query = query_value,
                           .query_data = http,
                           .roles = in->roles,
                           .caller = from->name ?: "",
                           .token = from->token_id,
                           .address = from->address};
    guint status = 500;

    if (in->too_big)
        return send_refusal(http, 413, DRV_ERROR_INVALID, "the body is too big");
    if (g_str_equal(method, "GET") && g_str_equal(path, DRV_ROUTES_EVENTS)) {
        const char *job = query_value(http, "job");
        const drv_events_access access = {may_still_watch, watches_until_ms, in};
        struct MHD_Response *response =
            drv_events_response(api->context.run, api->collector, job, &access, &api->stopping);
        enum MHD_Result queued = response ? MHD_queue_response(http, 200, response) : MHD_NO;

        if (response)
            MHD_destroy_response(response);
        return queued;
    }
    MHD_get_connection_values(http, MHD_GET_ARGUMENT_KIND, add_argument, query);
    request.raw_query = query->str;
    body = parse_body(in->body, &error);
    if (error)
        return send_error(http, 400, error, NULL, FALSE);
    request.body = body;
    g_private_set(&answering, from);
    drv_working_begin(api->context.working, MHD_lookup_connection_value(http, MHD_HEADER_KIND, DRV_REQUEST_HEADER));
    result = drv_routes_answer(&request, &status, &error);
    drv_working_end();
    g_private_set(&answering, NULL);
    if (result)
        return send_json(http, status, result, NULL, FALSE);
    drv_log_debug("%s %s status=%u caller=%s: %s", method, path, status, request.caller, error->message);
    if (in->roles == DRV_MAY(DRV_CALLER_NOBODY)) {
        drv_auth_log_failure(from->address, error->message);
        return send_error(http, status, error, NULL, TRUE);
    }
    location = request.location;
    return send_error(http, status, error, location, FALSE);
}

/* The headers are here: who is it, and may it go on? */
static enum MHD_Result begin(drv_api *api, struct MHD_Connection *http, const char *method, const char *path,
                             void **state)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(http, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    drv_connection *connection = info ? info->socket_context : NULL;
    guint roles = DRV_MAY(DRV_CALLER_NOBODY);
    g_autoptr(GError) error = NULL;
    incoming *in;

    if (!connection)
        return MHD_NO;
    if (drv_auth_request(api->context.cluster, api->ca, http, connection, &error)) {
        roles = drv_auth_roles(api->context.cluster, connection);
        if (!drv_connections_know(api->connections, connection))
            return send_refusal(http, 503, DRV_ERROR_REFUSED, "too many connections: try again in a moment");
    } else if (!drv_routes_open(method, path)) {
        drv_auth_log_failure(connection->address, error->message);
        return send_error(http, 401, error, NULL, TRUE);
    }
    g_clear_error(&error);
    if (from_elsewhere(http, method))
        return send_refusal(http, 403, DRV_ERROR_DENIED, "the request comes from a page of another origin");
    /* Before a body is taken in. */
    if (!drv_routes_may(method, path, roles, &error))
        return send_error(http, 403, error, NULL, TRUE);
    in = g_new0(incoming, 1);
    in->api = api;
    in->connection = connection;
    in->roles = roles;
    in->body = g_byte_array_new();
    *state = in;
    drv_connections_busy(api->connections, connection, FALSE); /* it has done something */
    return MHD_YES;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *http, const char *path, const char *method,
                                  const char *http_version, const char *bytes, size_t *size, void **state)
{
    drv_api *api = data;
    incoming *in = *state;

    if (!in)
        return begin(api, http, method, path, state);
    if (*size) {
        gsize most = in->roles == DRV_MAY(DRV_CALLER_NOBODY) ? STRANGER_BODY_MOST_BYTES : BODY_MOST_BYTES;

        if (in->body->len + *size > most)
            in->too_big = TRUE;
        else
            g_byte_array_append(in->body, (const guint8 *)bytes, (guint)*size);
        *size = 0;
        return MHD_YES;
    }
    drv_connections_busy(api->connections, in->connection, TRUE);
    /* Only now: whoever sends his body slowly has no place that others wait for. */
    if (in->roles == DRV_MAY(DRV_CALLER_NOBODY) && !in->too_big) {
        in->joins = drv_connections_join(api->connections, in->connection);
        if (!in->joins)
            return send_refusal(http, 503, DRV_ERROR_REFUSED, "too many hosts are joining: try again in a moment");
    }
    return answer(api, http, method, path, in);
}

static void on_completed(void *data, struct MHD_Connection *http, void **state, enum MHD_RequestTerminationCode code)
{
    drv_api *api = data;
    incoming *in = *state;

    if (!in)
        return;
    drv_connections_busy(api->connections, in->connection, FALSE);
    if (in->joins)
        drv_connections_joined(api->connections, in->connection);
    g_byte_array_unref(in->body);
    g_free(in);
    *state = NULL;
}

/* ---- connections ---- */

static void on_connection(void *data, struct MHD_Connection *http, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    drv_api *api = data;
    const union MHD_ConnectionInfo *info;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        info = MHD_get_connection_info(http, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = info ? drv_connections_find(api->connections, info->connect_fd) : NULL;
    } else if (*context) {
        drv_connections_remove(api->connections, *context);
        *context = NULL;
    }
}

static void to_api(gpointer data, drv_connection *connection, int fd, const struct sockaddr *from, socklen_t size)
{
    drv_api *api = data;
    int one = 1, unanswered_ms = 60000;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
    if (MHD_add_connection(api->http, fd, from, size) != MHD_YES) /* closes it in any case */
        drv_connections_remove(api->connections, connection);
}

static void to_relay(gpointer data, const char *session, int fd, const char *address)
{
    drv_api *api = data;
    g_autoptr(GError) error = NULL;

    if (!drv_serve_hand_link(api->context.run, session, fd, &error))
        drv_auth_log_failure(address, error->message);
}

static void on_log(void *data, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);

    drv_log_debug("http: %s", g_strchomp(text));
}

/* ---- the whole ---- */

static gboolean no_longer_admitted(const drv_connection *connection, gpointer data)
{
    return connection != g_private_get(&answering) && !drv_auth_still(data, connection, NULL);
}

/* Who has just been revoked must go now, also from a connection that is open. */
static void on_membership(gpointer data)
{
    drv_api *api = data;

    drv_connections_end(api->connections, no_longer_admitted, api->context.cluster);
    if (g_atomic_pointer_get(&api->collector))
        drv_collector_wake(api->collector);
}

drv_api *drv_api_new(const drv_api_config *config, GError **error)
{
    drv_api *api = g_new0(drv_api, 1);
    drv_door_config door = {
        .address = config->address, .port = config->port, .to_api = to_api, .to_relay = to_relay, .data = api};

    api->context = (drv_routes_context){
        .cluster = config->cluster, .run = config->run, .working = drv_working_new(), .stopping = &api->stopping};
    api->connections = door.connections = drv_connections_new();
    api->ca = drv_pki_load(drv_cluster_identity(config->cluster)->ca_pem, error);
    api->door = api->ca ? drv_door_open(&door, error) : NULL;
    if (!api->door) {
        drv_api_free(api);
        return NULL;
    }
    drv_cluster_on_change(config->cluster, on_membership, api);
    return api;
}

void drv_api_set_run(drv_api *api, drv_context *run)
{
    api->context.run = run;
}

gboolean drv_api_start(drv_api *api, GError **error)
{
    const drv_identity *identity = drv_cluster_identity(api->context.cluster);

    g_atomic_pointer_set(&api->collector, drv_collector_new(api->context.run));
    api->http = MHD_start_daemon(
        MHD_USE_TLS | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC |
            MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, api, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_HTTPS_MEM_KEY,
        identity->node_key_pem, MHD_OPTION_HTTPS_MEM_CERT, identity->node_pem, MHD_OPTION_HTTPS_MEM_TRUST,
        identity->ca_pem, MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADERS_MOST_BYTES, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(2 * (DRV_STRANGERS_MOST + DRV_KNOWN_MOST)),
        MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_NOTIFY_COMPLETED, on_completed, api, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, api, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!api->http) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot start the HTTPS server");
        return FALSE;
    }
    drv_door_start(api->door);
    return TRUE;
}

guint16 drv_api_port(drv_api *api)
{
    return drv_door_port(api->door);
}

void drv_api_free(drv_api *api)
{
    if (!api)
        return;
    drv_cluster_on_change(api->context.cluster, NULL, NULL);
    g_atomic_int_set(&api->stopping, 1);
    drv_door_free(api->door);
    if (api->collector)
        drv_collector_stop(api->collector);
    if (api->http)
        MHD_stop_daemon(api->http);
    drv_collector_free(api->collector);
    drv_connections_free(api->connections);
    if (api->ca)
        gnutls_x509_crt_deinit(api->ca);
    drv_working_free(api->context.working);
    g_free(api);
}
