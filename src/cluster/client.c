/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST client over libcurl: see client.h.
 *
 * A curl handle keeps its connection. Idle handles wait in `idle`, by "name@host:port",
 * guarded by `lock`; a call takes one or makes one, so calls never wait for each other.
 */
#include "cluster/client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/paths.h"
#include "cluster/endpoint.h"
#include "cluster/identity.h"
#include "cluster/operator-key.h"
#include "cluster/token.h"
#include "model/json.h"

#define CONNECT_MS 5000
/* Who has worked for so long is asked what it does; who twice does not say within as long is given up. */
#define PATIENCE_MS 8000
#define PATIENCE_FAILURES 2
/* Nothing takes as long. */
#define MOST_MS (15 * 60 * 1000)
#define IDLE_MOST 8
#define ANSWER_MOST_BYTES (64u << 20)
#define ELSEWHERE_MOST 3    /* how often one is sent on */
#define STREAM_SILENCE_S 60 /* the server sends a comment more often than that */

struct drv_client {
    char *host;  /* where drv_client_call() goes */
    char *name;  /* and what the certificate there must say; NULL: @host */
    char *where; /* for messages */
    guint16 port;
    char *ca_file;
    char *cert_file;
    char *key_file;
    char *token;
    int ca_fd; /* a file in memory, when the token vouched for it */
    guint patience_ms;
    drv_client_wait_func on_wait;
    gpointer on_wait_data;
    GMutex lock;
    GHashTable *idle; /* "name@host:port pin" → GQueue of CURL */
};

typedef struct {
    const char *name;
    const char *host;
    const char *pin; /* of the server's key, or NULL */
    guint16 port;
} destination;

static void queue_free(gpointer data)
{
    g_queue_free_full(data, (GDestroyNotify)curl_easy_cleanup);
}

static void curl_start(void)
{
    static gsize once;

    if (g_once_init_enter(&once)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        g_once_init_leave(&once, 1);
    }
}

/* ---- credentials ---- */

static char *readable(const char *dir, const char *name)
{
    char *path = g_build_filename(dir, name, NULL);

    if (access(path, R_OK) < 0)
        g_clear_pointer(&path, g_free);
    return path;
}

/* The token carries the authority's fingerprint: ask the server for the certificate that has it. */
static gboolean ca_from_token(drv_client *client, GError **error)
{
    g_autofree char *pem = NULL;
    g_autofree char *node = NULL;
    struct drv_error err;
    drv_token token;

    if (!drv_token_parse(&token, client->token, error))
        return FALSE;
    pem = drv_endpoint_authority(client->host, client->port, token.fingerprint, CONNECT_MS, &node, NULL, error);
    if (!pem)
        return FALSE;
    if (!client->name && drv_node_name_check(node, NULL)) /* any node of that cluster will do */
        client->name = g_strconcat(node, DRV_NODE_SUFFIX, NULL);
    client->ca_fd = memfd_create("drover-ca", MFD_CLOEXEC);
    if (client->ca_fd < 0 || drv_fd_write_all(client->ca_fd, pem, strlen(pem), &err)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot keep the authority's certificate: %s",
                    g_strerror(errno));
        return FALSE;
    }
    client->ca_file = g_strdup_printf("/proc/self/fd/%d", client->ca_fd);
    return TRUE;
}

/* What root on this host is to use, if somebody has put a token there. Transfer full. */
static char *token_of(const char *etc_dir)
{
    g_autofree char *path = g_build_filename(etc_dir, "operator.token", NULL);
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    return g_strstrip(text);
}

static gboolean find_credentials(drv_client *client, const drv_client_options *options, const char *etc_dir,
                                 GError **error)
{
    client->ca_file = options->ca_file ? g_strdup(options->ca_file) : readable(etc_dir, "ca.crt");
    if (options->anonymous)
        return TRUE;
    if (options->token) {
        client->token = g_strdup(options->token);
        return client->ca_file || ca_from_token(client, error);
    }
    client->cert_file = g_strdup(options->cert_file);
    client->key_file = g_strdup(options->key_file);
    if (!client->cert_file && options->person && drv_operator_ready(etc_dir)) {
        client->cert_file = readable(etc_dir, "operator.crt");
        client->key_file = readable(etc_dir, "operator.key");
    }
    if (!client->cert_file && options->person) {
        client->token = token_of(etc_dir);
        if (client->token)
            return client->ca_file || ca_from_token(client, error);
    }
    if (!client->cert_file || !client->key_file) {
        g_free(client->cert_file);
        g_free(client->key_file);
        client->cert_file = readable(etc_dir, "node.crt");
        client->key_file = readable(etc_dir, "node.key");
    }
    if (client->cert_file && client->key_file && client->ca_file)
        return TRUE;
    if (access(etc_dir, F_OK) < 0 && errno == ENOENT)
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "no credentials: there is no %s. On a host that is to be a node run `drover "
                    "init` or `drover join`; elsewhere give a token (DROVER_TOKEN) and --server",
                    etc_dir);
    else if (access(etc_dir, R_OK | X_OK) < 0)
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "no credentials: %s cannot be read. Run this as root, or give an operator's "
                    "token (DROVER_TOKEN)",
                    etc_dir);
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "no credentials: %s has no %s. Run `drover init` or `drover join`, or give an "
                    "operator's token (DROVER_TOKEN)",
                    etc_dir, client->ca_file ? "node.crt with its key" : "ca.crt");
    return FALSE;
}

/* ---- where to ---- */

static gboolean is_address(const char *host)
{
    struct in6_addr bytes;

    return inet_pton(AF_INET, host, &bytes) == 1 || inet_pton(AF_INET6, host, &bytes) == 1;
}

static gboolean find_server(drv_client *client, const drv_client_options *options, const char *etc_dir, GError **error)
{
    g_autofree char *path = g_build_filename(etc_dir, "node.json", NULL);
    g_autofree char *text = NULL;
    g_autoptr(json_object) node = NULL;

    client->port = DRV_PORT;
    if (options->server) {
        if (!drv_endpoint_parse(options->server, &client->host, &client->port, error))
            return FALSE;
        if (!is_address(client->host) && !g_str_equal(client->host, "localhost")) {
            g_autofree char *label = g_ascii_strdown(client->host, -1);

            label[strcspn(label, ".")] = '\0';
            client->name = g_strconcat(label, DRV_NODE_SUFFIX, NULL);
        }
    } else {
        client->host = g_strdup("127.0.0.1");
        if (g_file_get_contents(path, &text, NULL, NULL) && (node = json_tokener_parse(text))) {
            const char *name = drv_json_string(node, "node", NULL);

            client->port = (guint16)drv_json_int(node, "port", DRV_PORT);
            client->name = name ? g_strconcat(name, DRV_NODE_SUFFIX, NULL) : NULL;
        }
    }
    client->where = drv_endpoint_text(client->host, client->port);
    return TRUE;
}

drv_client *drv_client_new(const drv_client_options *options, GError **error)
{
    g_autoptr(drv_client) client = g_new0(drv_client, 1);
    const char *etc_dir = options->etc_dir ?: DRV_ETC_DIR;

    curl_start();
    client->ca_fd = -1;
    client->patience_ms = options->patience_ms ? options->patience_ms : PATIENCE_MS;
    g_mutex_init(&client->lock);
    client->idle = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, queue_free);
    if (!find_server(client, options, etc_dir, error) || !find_credentials(client, options, etc_dir, error))
        return NULL;
    return g_steal_pointer(&client);
}

void drv_client_free(drv_client *client)
{
    if (!client)
        return;
    g_hash_table_unref(client->idle);
    g_mutex_clear(&client->lock);
    if (client->ca_fd >= 0)
        close(client->ca_fd);
    g_free(client->host);
    g_free(client->name);
    g_free(client->where);
    g_free(client->ca_file);
    g_free(client->cert_file);
    g_free(client->key_file);
    g_free(client->token);
    g_free(client);
}

void drv_client_on_wait(drv_client *client, drv_client_wait_func func, gpointer data)
{
    client->on_wait = func;
    client->on_wait_data = data;
}

const char *drv_client_server(drv_client *client)
{
    return client->where;
}

/* ---- handles ---- */

static char *key_of(const destination *to)
{
    return g_strdup_printf("%s@%s:%u %s", to->name ?: "", to->host, to->port, to->pin ?: "");
}

static CURL *take_handle(drv_client *client, const destination *to)
{
    g_autofree char *key = key_of(to);
    CURL *curl = NULL;
    GQueue *queue;

    g_mutex_lock(&client->lock);
    queue = g_hash_table_lookup(client->idle, key);
    if (queue)
        curl = g_queue_pop_head(queue);
    g_mutex_unlock(&client->lock);
    if (!curl)
        return curl_easy_init();
    curl_easy_reset(curl); /* options go, the connection stays */
    return curl;
}

static void give_handle(drv_client *client, const destination *to, CURL *curl)
{
    g_autofree char *key = key_of(to);
    GQueue *queue;

    g_mutex_lock(&client->lock);
    queue = g_hash_table_lookup(client->idle, key);
    if (!queue) {
        queue = g_queue_new();
        g_hash_table_insert(client->idle, g_steal_pointer(&key), queue);
    }
    if (g_queue_get_length(queue) < IDLE_MOST)
        g_queue_push_head(queue, g_steal_pointer(&curl));
    g_mutex_unlock(&client->lock);
    if (curl)
        curl_easy_cleanup(curl);
}

/* What lists curl borrows until the transfer is over. */
typedef struct {
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    char failure[CURL_ERROR_SIZE];
} transfer;

static void transfer_done(transfer *lists)
{
    curl_slist_free_all(lists->headers);
    curl_slist_free_all(lists->connect_to);
}

/*
 * What a lost link holds up of a request must not arrive after the caller has given it up:
 * closing the socket drops it, where the kernel would go on sending it for minutes.
 */
static int on_socket(void *data, curl_socket_t fd, curlsocktype purpose)
{
    const struct linger drop = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &drop, sizeof drop);
    return CURL_SOCKOPT_OK;
}

static void prepare(drv_client *client, CURL *curl, const destination *to, const char *path, transfer *lists)
{
    const char *name = to->name ?: to->host;
    g_autofree char *server = drv_endpoint_text(name, to->port);
    g_autofree char *url = g_strconcat("https://", server, path, NULL);

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, lists->failure);
    if (to->pin)
        curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, to->pin);
    if (client->cert_file) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, client->cert_file);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, client->key_file);
    }
    if (to->name) { /* the name is for the certificate and the SNI, the address is known */
        g_autofree char *where = drv_endpoint_text(to->host, to->port);
        g_autofree char *rule = g_strconcat("::", where, NULL);

        lists->connect_to = curl_slist_append(NULL, rule);
        curl_easy_setopt(curl, CURLOPT_CONNECT_TO, lists->connect_to);
    }
    if (client->token) {
        g_autofree char *header = g_strconcat("Authorization: Bearer ", client->token, NULL);

        lists->headers = curl_slist_append(lists->headers, header);
    }
    lists->headers = curl_slist_append(lists->headers, "Content-Type: application/json");
    lists->headers = curl_slist_append(lists->headers, "Expect:");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lists->headers);
}

/* Why it did not come to an answer, in words that help. */
static void set_failure(GError **error, CURL *curl, CURLcode rc, const char *where, const char *failure)
{
    long verify = 0, os = 0;

    curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &verify);
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os);
    switch (rc) {
    case CURLE_COULDNT_CONNECT:
        if (os == ECONNREFUSED)
            g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                        "droverd is not running on %s (connection refused): start it there "
                        "(systemctl start droverd)",
                        where);
        else
            g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                        "cannot connect to %s%s%s: is the host up, and the port open in its firewall?", where,
                        os ? ": " : "", os ? g_strerror((int)os) : "");
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "cannot find the host of %s: %s", where, failure);
        break;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_ABORTED_BY_CALLBACK:
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                    "%s does not answer in time: is the host up, and the network whole?", where);
        break;
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_PEER_FAILED_VERIFICATION:
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "the server at %s is not the node that it should be (%s): it is of another "
                    "cluster, has another name, or something sits in between. Nothing was sent",
                    where, failure);
        break;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the credentials cannot be used: %s", failure);
        break;
    default:
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "%s broke off: %s", where,
                    failure[0] ? failure : curl_easy_strerror(rc));
    }
}

/* ---- answers ---- */

static size_t collect(char *bytes, size_t size, size_t count, void *data)
{
    GString *into = data;

    if (into->len + size * count > ANSWER_MOST_BYTES)
        return 0;
    g_string_append_len(into, bytes, (gssize)(size * count));
    return size * count;
}

/* The server's own error, or what its status says. */
static void set_answer_error(GError **error, json_object *answer, long status, const char *where)
{
    json_object *inner = json_object_is_type(answer, json_type_object) ? json_object_object_get(answer, "error") : NULL;
    const char *message = drv_json_string(inner, "message", NULL);

    if (message)
        g_set_error(error, DRV_ERROR, drv_error_code_from_name(drv_json_string(inner, "code", NULL)), "%s", message);
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "%s answers with HTTP status %ld and no reason: is it a droverd?", where, status);
}

static json_object *read_answer(const GString *text, long status, const char *where, GError **error)
{
    g_autoptr(json_object) answer = NULL;

    if (status == 204 || (status / 100 == 2 && !text->len))
        return json_object_new_object();
    answer = json_tokener_parse(text->str);
    if (status / 100 != 2) {
        set_answer_error(error, answer, status, where);
        return NULL;
    }
    if (!json_object_is_type(answer, json_type_object)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "%s answers with something else than JSON", where);
        return NULL;
    }
    return g_steal_pointer(&answer);
}

/* @elsewhere: receives where the server says that this has to be asked; NULL: it is an error. */
static json_object *call(drv_client *client, const destination *to, const char *method, const char *path,
                         json_object *body, guint timeout_ms, char **elsewhere, GError **error);

/* A call without a time limit. */
typedef struct {
    drv_client *client;
    const destination *to;
    char *id;
    gint64 next_us;
    guint failures;
} patience;

/* From curl, about once a second. Return: not 0 to give up. */
static int on_progress(void *data, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    patience *p = data;
    g_autofree char *path = NULL;
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) error = NULL;

    if (g_get_monotonic_time() < p->next_us)
        return 0;
    path = g_strconcat("/v1/requests/", p->id, NULL);
    answer = call(p->client, p->to, "GET", path, NULL, p->client->patience_ms, NULL, &error);
    p->next_us = g_get_monotonic_time() + (gint64)p->client->patience_ms * 1000;
    if (!answer && g_error_matches(error, DRV_ERROR, DRV_ERROR_UNREACHABLE)) {
        p->next_us = 0;
        return ++p->failures >= PATIENCE_FAILURES;
    }
    p->failures = 0;
    if (p->client->on_wait)
        p->client->on_wait(drv_json_string(answer, "waits_for", NULL), p->client->on_wait_data);
    return 0;
}

static void be_patient(CURL *curl, patience *p, transfer *lists)
{
    g_autofree char *header = NULL;

    p->id = g_uuid_string_random();
    p->next_us = g_get_monotonic_time() + (gint64)p->client->patience_ms * 1000;
    header = g_strconcat(DRV_REQUEST_HEADER ": ", p->id, NULL);
    lists->headers = curl_slist_append(lists->headers, header);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lists->headers);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, p);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static json_object *call(drv_client *client, const destination *to, const char *method, const char *path,
                         json_object *body, guint timeout_ms, char **elsewhere, GError **error)
{
    patience waiting = {.client = client, .to = to};
    g_autofree char *where = drv_endpoint_text(to->host, to->port);
    g_autoptr(GString) text = g_string_new(NULL);
    transfer lists = {0};
    CURL *curl = take_handle(client, to);
    json_object *answer = NULL;
    long status = 0;
    CURLcode rc;

    prepare(client, curl, to, path, &lists);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ms ? timeout_ms : MOST_MS));
    if (!timeout_ms)
        be_patient(curl, &waiting, &lists);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
    if (body) {
        const char *bytes = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN);

        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(bytes));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, bytes);
    } else if (!g_str_equal(method, "GET") && !g_str_equal(method, "DELETE")) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
    rc = curl_easy_perform(curl);
    if (rc == CURLE_OK) {
        const char *url = NULL;

        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        if (elsewhere && status == 307 && curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &url) == CURLE_OK && url)
            *elsewhere = g_strdup(url);
        answer = read_answer(text, status, where, error);
    } else {
        set_failure(error, curl, rc, where, lists.failure);
    }
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, NULL);
    give_handle(client, to, curl);
    transfer_done(&lists);
    g_free(waiting.id);
    return answer;
}

/* "https://HOST:PORT/PATH" of the same protocol, taken apart. */
static gboolean split_url(const char *url, char **host, guint16 *port, char **path)
{
    const char *at = g_str_has_prefix(url, "https://") ? url + strlen("https://") : NULL;
    const char *slash = at ? strchr(at, '/') : NULL;
    g_autofree char *where = slash ? g_strndup(at, (gsize)(slash - at)) : NULL;

    if (!where || !drv_endpoint_parse(where, host, port, NULL))
        return FALSE;
    *path = g_strdup(slash);
    return TRUE;
}

json_object *drv_client_call(drv_client *client, const char *method, const char *path, json_object *body,
                             guint timeout_ms, GError **error)
{
    destination to = {.name = client->name, .host = client->host, .port = client->port};
    g_autofree char *host = NULL;
    g_autofree char *next = NULL;
    g_autofree char *again = NULL;
    g_autoptr(GError) problem = NULL;
    json_object *answer = call(client, &to, method, path, body, timeout_ms, &again, &problem);

    for (int i = 0; again && i < ELSEWHERE_MOST; i++) {
        g_autofree char *url = g_steal_pointer(&again);

        g_clear_pointer(&host, g_free);
        g_clear_pointer(&next, g_free);
        if (!split_url(url, &host, &to.port, &next))
            break;
        to.name = NULL; /* its certificate has its address */
        to.host = host;
        g_clear_error(&problem);
        answer = call(client, &to, method, next, body, timeout_ms, &again, &problem);
    }
    if (!answer)
        g_propagate_error(error, g_steal_pointer(&problem));
    return answer;
}

json_object *drv_client_call_node(drv_client *client, const char *name, const char *address, guint16 port,
                                  const char *pin, const char *method, const char *path, json_object *body,
                                  guint timeout_ms, GError **error)
{
    g_autofree char *full = g_strconcat(name, DRV_NODE_SUFFIX, NULL);
    destination to = {.name = full, .host = address, .pin = pin, .port = port};
    json_object *answer = call(client, &to, method, path, body, timeout_ms, NULL, error);

    if (!answer && error && g_error_matches(*error, DRV_ERROR, DRV_ERROR_UNREACHABLE))
        g_prefix_error(error, "node %s: ", name);
    return answer;
}

/* ---- event streams ---- */

typedef struct {
    drv_client_event_func func;
    gpointer user_data;
    CURL *curl;
    GString *buffer; /* bytes of a line not yet ended, or of an answer that is no stream */
    GString *event;
    GString *data;
    gboolean ended_by_func;
} stream;

/* An empty line ends an event. Return: FALSE if the function wants no more. */
static gboolean dispatch(stream *state)
{
    gboolean go_on = TRUE;

    if (state->data->len) {
        g_autoptr(json_object) object = json_tokener_parse(state->data->str);

        go_on = state->func(state->event->len ? state->event->str : "message", object, state->user_data);
    }
    g_string_truncate(state->event, 0);
    g_string_truncate(state->data, 0);
    return go_on;
}

static gboolean take_line(stream *state, char *line)
{
    g_strchomp(line);
    if (!line[0])
        return dispatch(state);
    if (g_str_has_prefix(line, "event:"))
        g_string_assign(state->event, g_strchug(line + 6));
    else if (g_str_has_prefix(line, "data:"))
        g_string_append(state->data, g_strchug(line + 5));
    return TRUE;
}

static size_t on_stream(char *bytes, size_t size, size_t count, void *data)
{
    stream *state = data;
    long status = 0;
    char *end;

    if (state->buffer->len + size * count > ANSWER_MOST_BYTES)
        return 0;
    g_string_append_len(state->buffer, bytes, (gssize)(size * count));
    curl_easy_getinfo(state->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return size * count;
    while ((end = memchr(state->buffer->str, '\n', state->buffer->len))) {
        gsize length = (gsize)(end - state->buffer->str) + 1;
        g_autofree char *line = g_strndup(state->buffer->str, length);

        g_string_erase(state->buffer, 0, (gssize)length);
        if (!take_line(state, line)) {
            state->ended_by_func = TRUE;
            return 0;
        }
    }
    return size * count;
}

gboolean drv_client_stream(drv_client *client, const char *path, drv_client_event_func func, gpointer user_data,
                           GError **error)
{
    destination to = {.name = client->name, .host = client->host, .port = client->port};
    g_autoptr(GString) buffer = g_string_new(NULL);
    g_autoptr(GString) event = g_string_new(NULL);
    g_autoptr(GString) data = g_string_new(NULL);
    stream state = {.func = func, .user_data = user_data, .buffer = buffer, .event = event, .data = data};
    transfer lists = {0};
    gboolean good = FALSE;
    long status = 0;
    CURLcode rc;

    curl_start();
    state.curl = curl_easy_init(); /* a stream that is left open-ended has to be closed anyway */
    prepare(client, state.curl, &to, path, &lists);
    curl_easy_setopt(state.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(state.curl, CURLOPT_LOW_SPEED_TIME, (long)STREAM_SILENCE_S);
    curl_easy_setopt(state.curl, CURLOPT_WRITEFUNCTION, on_stream);
    curl_easy_setopt(state.curl, CURLOPT_WRITEDATA, &state);
    rc = curl_easy_perform(state.curl);
    curl_easy_getinfo(state.curl, CURLINFO_RESPONSE_CODE, &status);
    if (state.ended_by_func) {
        good = TRUE;
    } else if (rc != CURLE_OK) {
        set_failure(error, state.curl, rc, client->where, lists.failure);
    } else if (status != 200) {
        g_autoptr(json_object) answer = json_tokener_parse(buffer->str);

        set_answer_error(error, answer, status, client->where);
    } else {
        good = TRUE;
    }
    curl_easy_cleanup(state.curl);
    transfer_done(&lists);
    return good;
}
