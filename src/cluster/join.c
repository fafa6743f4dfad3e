/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a host becomes a node: see join.h. The order matters: what can fail without a
 * trace comes first; node.json, which makes the identity whole, is written last.
 */
#include "cluster/join.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/durable.h"
#include "base/paths.h"
#include "cluster/authority.h"
#include "cluster/client.h"
#include "cluster/endpoint.h"
#include "cluster/keeping.h"
#include "cluster/pki.h"
#include "cluster/token.h"
#include "model/json.h"

#define TIMEOUT_MS 10000

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)

static char *default_name(void)
{
    char name[256] = "";
    char *label;

    gethostname(name, sizeof name - 1);
    label = g_ascii_strdown(name, -1);
    label[strcspn(label, ".")] = '\0';
    return label;
}

/* The address from which packets to somewhere far would leave; nothing is sent. */
static char *routed_address(void)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    char text[INET_ADDRSTRLEN];
    drv_autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, "192.0.2.1", &far.sin_addr);
    if (fd < 0 || connect(fd, (struct sockaddr *)&far, sizeof far) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &size) < 0)
        return NULL;
    return g_strdup(inet_ntop(AF_INET, &own.sin_addr, text, sizeof text));
}

static char *first_address(void)
{
    struct ifaddrs *all = NULL;
    char text[INET6_ADDRSTRLEN];
    char *found = NULL;

    if (getifaddrs(&all) < 0)
        return NULL;
    for (int family = 0; family < 2 && !found; family++)
        for (const struct ifaddrs *at = all; at && !found; at = at->ifa_next) {
            const void *bytes;

            if (!at->ifa_addr || at->ifa_flags & IFF_LOOPBACK || !(at->ifa_flags & IFF_UP) ||
                at->ifa_addr->sa_family != (family ? AF_INET6 : AF_INET))
                continue;
            bytes = family ? (const void *)&((struct sockaddr_in6 *)at->ifa_addr)->sin6_addr
                           : (const void *)&((struct sockaddr_in *)at->ifa_addr)->sin_addr;
            if (inet_ntop(at->ifa_addr->sa_family, bytes, text, sizeof text) && drv_address_check(text, NULL))
                found = g_strdup(text);
        }
    freeifaddrs(all);
    return found;
}

static drv_store *open_store(const char *state_dir, GError **error)
{
    g_autofree char *path = g_build_filename(state_dir, "drover.db", NULL);

    return drv_identity_make_directory(state_dir, error) ? drv_store_open(path, error) : NULL;
}

/* Everything an options struct leaves open. */
typedef struct {
    const char *etc_dir;
    const char *state_dir;
    char *node;
    guint16 port;
} settled;

static void settled_clear(settled *all)
{
    g_free(all->node);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(settled, settled_clear)

static gboolean settle(settled *all, const drv_init_options *options, GError **error)
{
    all->etc_dir = options->etc_dir ?: DRV_ETC_DIR;
    all->state_dir = options->state_dir ?: DRV_STATE_DIR;
    all->node = options->node ? g_strdup(options->node) : default_name();
    all->port = options->port ?: DRV_PORT;
    return drv_node_name_check(all->node, error) && (!options->address || drv_address_check(options->address, error)) &&
           drv_identity_absent(all->etc_dir, error);
}

/* An etcd in which there is nothing yet, noted in /etc/drover; what is noted goes again if it is of no use. */
static drv_store *begin_etcd(const settled *all, const drv_init_options *options, const char *cluster, GError **error)
{
    const drv_keeping none = {0};
    g_auto(drv_keeping) keeping = {0};
    g_autoptr(drv_store) store = NULL;
    g_autoptr(GPtrArray) buckets = NULL;

    if (!drv_identity_make_directory(all->etc_dir, error) ||
        !drv_keeping_from_files(&keeping, options->store, options->store_ca, options->store_cert, options->store_key,
                                error) ||
        !drv_keeping_write(&keeping, all->etc_dir, error))
        return NULL;
    store = drv_keeping_open(&keeping, all->etc_dir, cluster, TRUE, error);
    buckets = store ? drv_store_buckets(store, error) : NULL;
    if (buckets && buckets->len)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "there is a cluster in %s already: join that one, or choose another prefix",
                    drv_store_place(store));
    if (buckets && !buckets->len) {
        g_free(keeping.where);
        keeping.where = g_strdup(drv_store_place(store)); /* the one spelling of it */
        if (drv_keeping_write(&keeping, all->etc_dir, error))
            return g_steal_pointer(&store);
    }
    drv_keeping_write(&none, all->etc_dir, NULL);
    return NULL;
}

drv_identity *drv_init(const drv_init_options *options, GError **error)
{
    g_auto(settled) all = {0};
    g_autofree char *address = NULL;
    g_autofree char *cluster = g_uuid_string_random();
    g_autoptr(drv_store) store = NULL;
    g_autoptr(drv_store) shared = NULL;
    g_autoptr(drv_identity) identity = NULL;
    const drv_keeping none = {0};

    if (!settle(&all, options, error))
        return NULL;
    address = options->address ? g_strdup(options->address) : routed_address() ?: first_address();
    if (!address) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "this host has no address that other nodes could reach: give one (--address)");
        return NULL;
    }
    /* The store first: if it cannot be opened there must be no identity. */
    store = open_store(all.state_dir, error);
    if (!store || (options->store && !(shared = begin_etcd(&all, options, cluster, error))))
        return NULL;
    identity = drv_identity_init(all.etc_dir, cluster, all.node, address, all.port, error);
    if (identity)
        identity->host_uuid = g_strdup(options->host_uuid);
    if (identity && drv_authority_found(shared ?: store, store, identity, error))
        return g_steal_pointer(&identity);
    if (identity) {
        g_autofree char *path = g_build_filename(all.etc_dir, "node.json", NULL);

        drv_durable_unlink(path, NULL);
    }
    if (shared)
        drv_keeping_write(&none, all.etc_dir, NULL);
    return NULL;
}

/* ---- joining ---- */

/* The token and the request go only to a server that is of the token's cluster. */
static json_object *ask(const char *host, guint16 port, const char *node, const char *ca_pem, json_object *body,
                        GError **error)
{
    g_autofree char *server = drv_endpoint_text(host, port);
    g_autofree char *ca_file = NULL;
    drv_autoclose int fd = memfd_create("drover-ca", MFD_CLOEXEC);
    g_autoptr(drv_client) client = NULL;
    drv_client_options options = {.server = server};

    if (fd < 0 || write(fd, ca_pem, strlen(ca_pem)) != (gssize)strlen(ca_pem)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot keep the authority's certificate: %s",
                    g_strerror(errno));
        return NULL;
    }
    ca_file = g_strdup_printf("/proc/self/fd/%d", fd);
    options.ca_file = ca_file;
    options.anonymous = TRUE;
    client = drv_client_new(&options, error);
    if (!client)
        return NULL;
    return drv_client_call_node(client, node, host, port, NULL, "POST", "/v1/join", body, TIMEOUT_MS, error);
}

/* What came back must be ours: our key, our name, signed by the authority of the token. */
static gboolean take_answer(drv_identity *identity, json_object *answer, GError **error)
{
    g_autofree char *host = g_strconcat(identity->node, DRV_NODE_SUFFIX, NULL);
    g_auto(gnutls_x509_crt_t) ca = drv_pki_load(identity->ca_pem, error);
    g_auto(gnutls_x509_crt_t) leaf = NULL;

    identity->node_pem = g_strdup(drv_json_string(answer, "certificate", NULL));
    identity->cluster = g_strdup(drv_json_string(answer, "cluster", NULL));
    identity->founder = g_strdup(drv_json_string(answer, "founder", NULL));
    identity->same_host_uuid = g_strdup(drv_json_string(answer, "same_host_uuid", NULL));
    if (!identity->node_pem || !identity->cluster || !g_uuid_string_is_valid(identity->cluster) ||
        !drv_node_name_check(identity->founder, NULL) || !drv_json_string(answer, "address", NULL) ||
        !drv_address_check(drv_json_string(answer, "address", NULL), NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the server's answer to the join is not whole");
        return FALSE;
    }
    g_free(identity->address);
    identity->address = g_strdup(drv_json_string(answer, "address", NULL));
    leaf = drv_pki_load(identity->node_pem, error);
    if (!ca || !leaf || !drv_pki_check_pair(identity->node_pem, identity->node_key_pem, error) ||
        !drv_pki_check_chain(leaf, ca, GNUTLS_KP_TLS_WWW_SERVER, host, error)) {
        g_prefix_error(error, "the certificate that the server made cannot be used: ");
        return FALSE;
    }
    identity->node_fingerprint = drv_pki_fingerprint(leaf);
    return TRUE;
}

drv_identity *drv_join(const drv_init_options *options, const char *server, const char *token_text, GError **error)
{
    g_auto(settled) all = {0};
    g_autofree char *host = NULL;
    g_autofree char *local = NULL;
    g_autofree char *node = NULL;
    g_autofree char *request = NULL;
    g_autoptr(json_object) body = NULL;
    g_autoptr(json_object) answer = NULL;
    g_autoptr(drv_store) store = NULL;
    g_autoptr(drv_identity) identity = g_new0(drv_identity, 1);
    g_auto(drv_keeping) keeping = {0};
    json_object *membership;
    drv_token token;
    guint16 port;

    if (!settle(&all, options, error) || !drv_endpoint_parse(server, &host, &port, error) ||
        !drv_token_parse(&token, token_text, error))
        return NULL;
    /* Before the token is used up: can anything be kept here? */
    store = open_store(all.state_dir, error);
    if (!store)
        return NULL;
    identity->etc_dir = g_strdup(all.etc_dir);
    identity->node = g_strdup(all.node);
    identity->port = all.port;
    identity->ca_fingerprint = g_strdup(token.fingerprint);
    identity->ca_pem = drv_endpoint_authority(host, port, token.fingerprint, TIMEOUT_MS, &node, &local, error);
    if (!identity->ca_pem || !drv_node_name_check(node, error) || !(identity->node_key_pem = drv_pki_key_new(error)) ||
        !(request = drv_pki_request_new(identity->node_key_pem, all.node, error)))
        return NULL;
    body = json_object_new_object();
    drv_json_set_string(body, "token", token_text);
    drv_json_set_string(body, "name", all.node);
    drv_json_set_int(body, "port", all.port);
    drv_json_set_string(body, "csr", request);
    drv_json_set_string(body, "host_uuid", options->host_uuid);
    if (options->address)
        drv_json_set_string(body, "address", options->address);
    else if (drv_address_check(local, NULL))
        drv_json_set_string(body, "address", local);
    answer = ask(host, port, node, identity->ca_pem, body, error);
    if (!answer || !take_answer(identity, answer, error))
        return NULL;
    if (!drv_keeping_read(&keeping, json_object_object_get(answer, "store"), error))
        return NULL;
    membership = json_object_object_get(answer, "membership");
    if (!json_object_is_type(membership, json_type_object)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the server's answer to the join has no membership");
        return NULL;
    }
    if (!drv_store_put(store, "cluster", "membership",
                       json_object_to_json_string_ext(membership, JSON_C_TO_STRING_PLAIN), DRV_REVISION_ANY, NULL,
                       error) ||
        !drv_identity_make_directory(all.etc_dir, error) || !drv_keeping_write(&keeping, all.etc_dir, error) ||
        !drv_identity_write(identity, error))
        return NULL;
    return g_steal_pointer(&identity);
}
