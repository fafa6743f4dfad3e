/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to etcd: see etcd-http.h.
 *
 * The member that answered last is asked first. One that does not answer, or that has no
 * leader, is passed over for the next; only when none is left does the call fail. A kept
 * connection goes back to the pool of its member by libcurl, handles are shared by all.
 */
#include "store/etcd-http.h"

#include <curl/curl.h>
#include <string.h>

#include "base/log.h"

#define CONNECT_MS 1000
#define CALL_MS 3000 /* of one member; longer than an election takes */
#define IDLE_MOST 8
#define ANSWER_MOST_BYTES (256u << 20)

/* Of gRPC, as the gateway gives them. */
enum {
    GRPC_INVALID = 3,
    GRPC_DEADLINE = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_DENIED = 7,
    GRPC_EXHAUSTED = 8,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

struct drv_etcd_http {
    const drv_etcd_url *url;
    char *ca_file;
    char *cert_file;
    char *key_file;
    gint good;      /* index of the member to ask first */
    gint stopping;  /* nobody watches any more */
    GMutex lock;    /* guards what follows */
    GQueue idle;    /* of CURL */
    gint64 said_ms; /* when it was logged last that a member does not answer */
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

typedef enum {
    OUTCOME_ANSWER, /* etcd answered; maybe with an error that is the call's */
    OUTCOME_FULL,   /* it answered that there is no room; that change it may have made all the same */
    OUTCOME_NEXT,   /* not carried out: ask another member */
    OUTCOME_UNSURE, /* no answer, but it may have been carried out */
} outcome;

drv_etcd_http *drv_etcd_http_new(const drv_etcd_url *url, const char *ca_file, const char *cert_file,
                                 const char *key_file)
{
    static gsize once;
    drv_etcd_http *http = g_new0(drv_etcd_http, 1);

    if (g_once_init_enter(&once)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        g_once_init_leave(&once, 1);
    }
    http->url = url;
    http->ca_file = g_strdup(ca_file);
    http->cert_file = g_strdup(cert_file);
    http->key_file = g_strdup(key_file);
    g_mutex_init(&http->lock);
    g_queue_init(&http->idle);
    return http;
}

void drv_etcd_http_free(drv_etcd_http *http)
{
    if (!http)
        return;
    g_queue_clear_full(&http->idle, curl_easy_cleanup);
    g_mutex_clear(&http->lock);
    g_free(http->ca_file);
    g_free(http->cert_file);
    g_free(http->key_file);
    g_free(http);
}

static CURL *take(drv_etcd_http *http)
{
    CURL *curl;

    g_mutex_lock(&http->lock);
    curl = g_queue_pop_head(&http->idle);
    g_mutex_unlock(&http->lock);
    return curl ?: curl_easy_init();
}

static void give_back(drv_etcd_http *http, CURL *curl)
{
    curl_easy_reset(curl); /* its connections stay */
    g_mutex_lock(&http->lock);
    if (g_queue_get_length(&http->idle) < IDLE_MOST) {
        g_queue_push_head(&http->idle, curl);
        curl = NULL;
    }
    g_mutex_unlock(&http->lock);
    if (curl)
        curl_easy_cleanup(curl);
}

static size_t collect(char *bytes, size_t size, size_t count, void *data)
{
    GString *into = data;

    if (into->len + size * count > ANSWER_MOST_BYTES)
        return 0;
    g_string_append_len(into, bytes, (gssize)(size * count));
    return size * count;
}

static struct curl_slist *set_up(drv_etcd_http *http, CURL *curl, const char *url, const char *body, char *reason)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");

    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (http->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, http->ca_file);
    if (http->cert_file)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, http->cert_file);
    if (http->key_file)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, http->key_file);
    return headers;
}

/* Nothing can have been carried out if the request did not leave. */
static outcome of_curl(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return OUTCOME_NEXT;
    default:
        return OUTCOME_UNSURE;
    }
}

/* Takes an error of etcd's apart: is it this member's trouble, or the call's? */
static outcome of_answer(json_object *answer, long status, GString *why, GError **error)
{
    json_object *value;
    const char *text;
    int code;

    if (status == 200 && !json_object_object_get_ex(answer, "error", &value))
        return OUTCOME_ANSWER;
    text = json_object_object_get_ex(answer, "error", &value) ? json_object_get_string(value) : "no answer of etcd's";
    code = json_object_object_get_ex(answer, "code", &value) ? json_object_get_int(value) : 0;
    if (strstr(text, "database space exceeded") || strstr(text, "no space")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "no room left in etcd (%s); nothing was changed, and running moves go on: "
                    "compact and defragment it, or raise its --quota-backend-bytes, then "
                    "“etcdctl alarm disarm” (docs/store.rst has the commands)",
                    text);
        return OUTCOME_FULL;
    } else if (code == GRPC_INVALID && strstr(text, "too large")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "etcd takes no document as large as this one (%s)", text);
    } else if (code == GRPC_DENIED || code == GRPC_UNAUTHENTICATED || strstr(text, "user name is empty")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                    "etcd does not let Drover in (%s): its own authentication is on, which its JSON "
                    "gateway cannot pass with a certificate; use TLS with client certificates "
                    "(--client-cert-auth) instead (“etcdctl auth disable”)",
                    text);
    } else if (code == GRPC_UNAVAILABLE || code == GRPC_DEADLINE || code == GRPC_EXHAUSTED || status >= 500) {
        g_string_append(why, text);
        /* Without a leader nothing is proposed; what timed out may still be agreed on. */
        return strstr(text, "no leader") ? OUTCOME_NEXT : OUTCOME_UNSURE;
    } else if (status == 404 && !answer) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "this is no etcd, or an older one than 3.4: its JSON gateway is not there");
    } else {
        g_set_error(error, DRV_ERROR, code == GRPC_NOT_FOUND ? DRV_ERROR_NOT_FOUND : DRV_ERROR_FAILED,
                    "etcd refused: %s", text);
    }
    return OUTCOME_ANSWER;
}

/* One request to one member. @why is appended to unless it is OUTCOME_ANSWER. */
static outcome ask_one(drv_etcd_http *http, guint index, const char *path, const char *body, json_object **answer,
                       GString *why, GError **error)
{
    g_autofree char *url = g_strdup_printf("%s/v3/%s", http->url->endpoints[index], path);
    g_autoptr(GString) text = g_string_new(NULL);
    char reason[CURL_ERROR_SIZE] = "";
    CURL *curl = take(http);
    struct curl_slist *headers = set_up(http, curl, url, body, reason);
    long status = 0;
    CURLcode code;
    outcome result;

    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)CALL_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    give_back(http, curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK) {
        g_string_append(why, reason[0] ? reason : curl_easy_strerror(code));
        return of_curl(code);
    }
    *answer = json_tokener_parse(text->str);
    result = of_answer(*answer, status, why, error);
    if (result == OUTCOME_ANSWER && !*answer && error && !*error)
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "etcd's answer is not JSON: %.60s", text->str);
    if (result > OUTCOME_ANSWER || (error && *error))
        g_clear_pointer(answer, json_object_put);
    return result;
}

/* Not more than a line in ten seconds: it is asked all the time. */
static void say(drv_etcd_http *http, guint index, const char *why)
{
    gint64 now = g_get_monotonic_time() / 1000;
    gboolean tell;

    g_mutex_lock(&http->lock);
    tell = http->said_ms == 0 || now - http->said_ms >= 10000;
    if (tell)
        http->said_ms = now;
    g_mutex_unlock(&http->lock);
    if (tell)
        drv_log_warning("a member of etcd does not answer, going on with the others member=%s: %s",
                        http->url->endpoints[index], why);
}

json_object *drv_etcd_call(drv_etcd_http *http, const char *path, json_object *body, gboolean twice, gboolean *unsure,
                           GError **error)
{
    guint count = g_strv_length(http->url->endpoints);
    guint first = (guint)g_atomic_int_get(&http->good);
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    g_autoptr(GString) all = g_string_new(NULL);
    gboolean maybe = FALSE;

    for (guint i = 0; i < count; i++) {
        guint index = (first + i) % count;
        g_autoptr(GString) why = g_string_new(NULL);
        g_autoptr(GError) refused = NULL;
        json_object *answer = NULL;
        outcome result = ask_one(http, index, path, text, &answer, why, &refused);

        maybe = maybe || result == OUTCOME_UNSURE || result == OUTCOME_FULL;
        if (result <= OUTCOME_FULL) {
            g_atomic_int_set(&http->good, (gint)index);
            if (unsure)
                *unsure = maybe;
            if (refused)
                g_propagate_error(error, g_steal_pointer(&refused));
            return answer;
        }
        g_string_append_printf(all, "%s%s: %s", all->len ? "; " : "", strstr(http->url->endpoints[index], "//") + 2,
                               why->str);
        if (i + 1 < count)
            say(http, index, why->str);
        if (maybe && !twice)
            break;
    }
    if (unsure)
        *unsure = maybe;
    g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                "the store %s does not answer (%s): more than half of etcd's members must run and reach "
                "each other; running moves go on meanwhile%s",
                http->url->text, all->str,
                maybe && !twice ? ". It is not known whether the change was made: look before trying "
                                  "again"
                                : "");
    return NULL;
}

json_object *drv_etcd_call_at(drv_etcd_http *http, guint index, const char *path, json_object *body, GError **error)
{
    g_autoptr(GString) why = g_string_new(NULL);
    g_autoptr(GError) refused = NULL;
    json_object *answer = NULL;

    if (ask_one(http, index, path, json_object_to_json_string(body), &answer, why, &refused) > OUTCOME_FULL)
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "%s", why->str);
    else if (refused)
        g_propagate_error(error, g_steal_pointer(&refused));
    return answer;
}

/* ---- watching ---- */

typedef struct {
    drv_etcd_http *http;
    GString *line; /* what has come of one that is not whole yet */
    gint64 until_us;
    drv_etcd_watch_func func;
    gpointer data;
    gboolean ended; /* by us */
    char *refused;  /* what etcd said instead of a result */
} watching;

static gboolean take_line(watching *state)
{
    g_autoptr(json_object) answer = json_tokener_parse(state->line->str);
    json_object *value;

    g_string_truncate(state->line, 0);
    if (json_object_object_get_ex(answer, "result", &value))
        return state->func(value, state->data);
    if (json_object_object_get_ex(answer, "error", &value))
        state->refused = g_strdup(json_object_to_json_string(value));
    return FALSE;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *data)
{
    watching *state = data;

    for (size_t i = 0; i < size * count; i++) {
        if (bytes[i] != '\n') {
            g_string_append_c(state->line, bytes[i]);
        } else if (!take_line(state)) {
            state->ended = !state->refused;
            return 0;
        }
    }
    return state->line->len > ANSWER_MOST_BYTES ? 0 : size * count;
}

/* libcurl asks at least once a second. */
static int on_progress(void *data, curl_off_t all, curl_off_t now, curl_off_t up_all, curl_off_t up)
{
    watching *state = data;

    if (g_atomic_int_get(&state->http->stopping) || g_get_monotonic_time() >= state->until_us)
        state->ended = TRUE;
    return state->ended;
}

static CURLcode watch_one(drv_etcd_http *http, guint index, const char *body, watching *state, char *reason)
{
    g_autofree char *url = g_strconcat(http->url->endpoints[index], "/v3/watch", NULL);
    CURL *curl = curl_easy_init(); /* such a connection cannot be used again */
    struct curl_slist *headers = set_up(http, curl, url, body, reason);
    gint64 left_ms = (state->until_us - g_get_monotonic_time()) / 1000;
    CURLcode code;

    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)MAX(1, left_ms + 20));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, state);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, state);
    code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return code;
}

gboolean drv_etcd_watch(drv_etcd_http *http, json_object *body, guint wait_ms, drv_etcd_watch_func func, gpointer data,
                        GError **error)
{
    watching state = {.http = http,
                      .line = g_string_new(NULL),
                      .func = func,
                      .data = data,
                      .until_us = g_get_monotonic_time() + (gint64)wait_ms * 1000};
    guint index = (guint)g_atomic_int_get(&http->good);
    char reason[CURL_ERROR_SIZE] = "";
    CURLcode code = watch_one(http, index, json_object_to_json_string(body), &state, reason);

    /* That the time is over may also be seen by libcurl first. */
    if (code == CURLE_OPERATION_TIMEDOUT && g_get_monotonic_time() >= state.until_us)
        state.ended = TRUE;
    g_string_free(state.line, TRUE);
    if (!state.ended) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "watching the store %s at %s ended: %s", http->url->text,
                    http->url->endpoints[index],
                    state.refused
                        ?: reason[0] ? reason
                                     : "it closed the connection");
        /* The next call finds one that answers. */
        g_atomic_int_set(&http->good, (gint)((index + 1) % g_strv_length(http->url->endpoints)));
    }
    g_free(state.refused);
    return state.ended;
}

void drv_etcd_stop_watching(drv_etcd_http *http)
{
    g_atomic_int_set(&http->stopping, TRUE);
}
