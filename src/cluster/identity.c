/* SPDX-License-Identifier: Apache-2.0 */
/* Who this node is, on disk: see identity.h. */
#include "cluster/identity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/durable.h"
#include "base/fd.h"
#include "base/ids.h"
#include "base/paths.h"
#include "cluster/pki.h"
#include "model/json.h"

#define NODE_JSON "node.json"

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)

void drv_identity_free(drv_identity *identity)
{
    if (!identity)
        return;
    g_free(identity->host_uuid);
    g_free(identity->same_host_uuid);
    g_free(identity->etc_dir);
    g_free(identity->cluster);
    g_free(identity->node);
    g_free(identity->address);
    g_free(identity->founder);
    g_free(identity->ca_pem);
    g_free(identity->ca_fingerprint);
    g_free(identity->node_pem);
    g_free(identity->node_key_pem);
    g_free(identity->node_fingerprint);
    g_free(identity->ca_key_pem);
    g_free(identity);
}

gboolean drv_node_name_check(const char *name, GError **error)
{
    struct drv_error problem = {0};
    drv_node_name parsed;

    if (drv_node_name_parse(&parsed, name, &problem) == 0)
        return TRUE;
    drv_gerror_from(error, DRV_ERROR_INVALID, &problem);
    return FALSE;
}

gboolean drv_address_check(const char *address, GError **error)
{
    struct in_addr four;
    struct in6_addr six;

    if (address && inet_pton(AF_INET, address, &four) == 1 && four.s_addr != htonl(INADDR_ANY) &&
        !IN_MULTICAST(ntohl(four.s_addr)) && four.s_addr != htonl(INADDR_BROADCAST))
        return TRUE;
    if (address && inet_pton(AF_INET6, address, &six) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&six) &&
        !IN6_IS_ADDR_MULTICAST(&six) && !IN6_IS_ADDR_LINKLOCAL(&six) && !IN6_IS_ADDR_V4MAPPED(&six))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "\"%.64s\" is not an IP address at which other nodes could reach this one", address ? address : "");
    return FALSE;
}

gboolean drv_identity_absent(const char *etc_dir, GError **error)
{
    g_autofree char *path = g_build_filename(etc_dir, NODE_JSON, NULL);

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                "this host is a node of a cluster already (%s is there); to leave that cluster, "
                "revoke the node there, stop droverd here and remove %s",
                path, etc_dir);
    return FALSE;
}

static gboolean file_error(GError **error, const struct drv_error *problem)
{
    gboolean denied = problem->code == EACCES || problem->code == EPERM;

    g_set_error(error, DRV_ERROR, denied ? DRV_ERROR_DENIED : DRV_ERROR_FAILED, "%s%s", problem->message,
                denied ? " (this needs root)" : "");
    return FALSE;
}

gboolean drv_identity_write_file(const char *dir, const char *name, const char *text, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    struct drv_error problem = {0};

    if (!drv_durable_write(path, text, strlen(text), 0600, &problem))
        return TRUE;
    return file_error(error, &problem);
}

gboolean drv_identity_make_directory(const char *dir, GError **error)
{
    struct drv_error problem = {0};

    if (!drv_durable_make_directory(dir, 0700, &problem))
        return TRUE;
    return file_error(error, &problem);
}

static char *read_file(const char *dir, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(GError) failure = NULL;
    char *text = NULL;

    if (g_file_get_contents(path, &text, NULL, &failure))
        return text;
    g_set_error(error, DRV_ERROR,
                g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)   ? DRV_ERROR_NOT_FOUND
                : g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_ACCES) ? DRV_ERROR_DENIED
                                                                             : DRV_ERROR_FAILED,
                "%s", failure->message);
    return NULL;
}

static gboolean prepare_dir(const char *dir, GError **error)
{
    struct drv_error problem;

    if (!drv_identity_make_directory(dir, error))
        return FALSE;
    if (chmod(dir, 0700) == 0)
        return TRUE;
    drv_error_set(&problem, errno, "cannot protect %s: %s", dir, g_strerror(errno));
    return file_error(error, &problem);
}

gboolean drv_identity_write(const drv_identity *identity, GError **error)
{
    g_autoptr(json_object) node = json_object_new_object();
    const char *dir = identity->etc_dir;

    json_object_object_add(node, "cluster", json_object_new_string(identity->cluster));
    json_object_object_add(node, "node", json_object_new_string(identity->node));
    json_object_object_add(node, "address", json_object_new_string(identity->address));
    json_object_object_add(node, "port", json_object_new_int(identity->port));
    json_object_object_add(node, "founder", json_object_new_string(identity->founder));
    return prepare_dir(dir, error) && drv_identity_absent(dir, error) &&
           drv_identity_write_file(dir, "ca.crt", identity->ca_pem, error) &&
           drv_identity_write_file(dir, "node.key", identity->node_key_pem, error) &&
           drv_identity_write_file(dir, "node.crt", identity->node_pem, error) &&
           drv_identity_write_file(
               dir, NODE_JSON,
               json_object_to_json_string_ext(node, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE), error);
}

drv_identity *drv_identity_init(const char *etc_dir, const char *cluster, const char *node, const char *address,
                                guint16 port, GError **error)
{
    g_autoptr(drv_identity) identity = g_new0(drv_identity, 1);
    g_autofree char *operator_key = NULL;
    g_autofree char *operator_request = NULL;
    g_autofree char *operator_leaf = NULL;
    g_autofree char *operator_pem = NULL;
    g_autofree char *request = NULL;
    g_autofree char *leaf = NULL;
    g_auto(gnutls_x509_crt_t) ca = NULL;
    g_auto(gnutls_x509_crt_t) certificate = NULL;

    if (!drv_node_name_check(node, error) || !drv_address_check(address, error) ||
        !drv_identity_absent(etc_dir, error) || !prepare_dir(etc_dir, error))
        return NULL;
    identity->etc_dir = g_strdup(etc_dir);
    identity->cluster = g_strdup(cluster);
    identity->node = g_strdup(node);
    identity->founder = g_strdup(node);
    identity->address = g_strdup(address);
    identity->port = port;
    if (!(identity->ca_key_pem = drv_pki_key_new(error)) ||
        !(identity->ca_pem = drv_pki_ca_new(identity->ca_key_pem, cluster, error)) ||
        !(identity->node_key_pem = drv_pki_key_new(error)) ||
        !(request = drv_pki_request_new(identity->node_key_pem, node, error)) ||
        !(leaf = drv_pki_sign(identity->ca_pem, identity->ca_key_pem, request, DRV_PKI_NODE, node, address, error)) ||
        !(operator_key = drv_pki_key_new(error)) ||
        !(operator_request = drv_pki_request_new(operator_key, "root", error)) ||
        !(operator_leaf = drv_pki_sign(identity->ca_pem, identity->ca_key_pem, operator_request, DRV_PKI_OPERATOR,
                                       "root", NULL, error)))
        return NULL;
    identity->node_pem = g_strconcat(leaf, identity->ca_pem, NULL);
    operator_pem = g_strconcat(operator_leaf, identity->ca_pem, NULL);
    if (!(ca = drv_pki_load(identity->ca_pem, error)) || !(certificate = drv_pki_load(identity->node_pem, error)))
        return NULL;
    identity->ca_fingerprint = drv_pki_fingerprint(ca);
    identity->node_fingerprint = drv_pki_fingerprint(certificate);
    if (!drv_identity_write_file(etc_dir, "ca.key", identity->ca_key_pem, error) ||
        !drv_identity_write_file(etc_dir, "operator.key", operator_key, error) ||
        !drv_identity_write_file(etc_dir, "operator.crt", operator_pem, error) || !drv_identity_write(identity, error))
        return NULL;
    return g_steal_pointer(&identity);
}

static char *text_of(json_object *from, const char *key)
{
    json_object *value = json_object_object_get(from, key);

    return json_object_is_type(value, json_type_string) ? g_strdup(json_object_get_string(value)) : NULL;
}

static gboolean load_node_json(drv_identity *identity, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *text = read_file(identity->etc_dir, NODE_JSON, &failure);
    g_autoptr(json_object) node = text ? json_tokener_parse(text) : NULL;
    int port;

    if (g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND,
                    "this host is not a node of a cluster (there is no %s/" NODE_JSON "): run "
                    "`drover init` for a new cluster, or `drover join` for one that exists",
                    identity->etc_dir);
        return FALSE;
    }
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    identity->cluster = text_of(node, "cluster");
    identity->node = text_of(node, "node");
    identity->address = text_of(node, "address");
    identity->founder = text_of(node, "founder");
    port = json_object_get_int(json_object_object_get(node, "port"));
    identity->port = (guint16)port;
    if (!identity->cluster || !g_uuid_string_is_valid(identity->cluster) || port < 1 || port > 65535 ||
        !drv_node_name_check(identity->node, NULL) || !drv_node_name_check(identity->founder, NULL) ||
        !drv_address_check(identity->address, NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "%s/" NODE_JSON " is damaged: restore it, or remove %s and join the cluster "
                    "again",
                    identity->etc_dir, identity->etc_dir);
        return FALSE;
    }
    return TRUE;
}

drv_identity *drv_identity_load(const char *etc_dir, GError **error)
{
    g_autoptr(drv_identity) identity = g_new0(drv_identity, 1);
    g_autoptr(GError) failure = NULL;
    g_autofree char *host = NULL;
    g_auto(gnutls_x509_crt_t) ca = NULL;
    g_auto(gnutls_x509_crt_t) leaf = NULL;

    identity->etc_dir = g_strdup(etc_dir);
    if (!load_node_json(identity, error))
        return NULL;
    identity->ca_pem = read_file(etc_dir, "ca.crt", &failure);
    if (identity->ca_pem)
        identity->node_pem = read_file(etc_dir, "node.crt", &failure);
    if (identity->node_pem)
        identity->node_key_pem = read_file(etc_dir, "node.key", &failure);
    if (!failure) {
        identity->ca_key_pem = read_file(etc_dir, "ca.key", &failure);
        if (g_error_matches(failure, DRV_ERROR, DRV_ERROR_NOT_FOUND))
            g_clear_error(&failure);
    }
    host = g_strconcat(identity->node, DRV_NODE_SUFFIX, NULL);
    if (!failure && drv_pki_check_pair(identity->node_pem, identity->node_key_pem, &failure) &&
        (ca = drv_pki_load(identity->ca_pem, &failure)) && (leaf = drv_pki_load(identity->node_pem, &failure)) &&
        drv_pki_check_chain(leaf, ca, GNUTLS_KP_TLS_WWW_SERVER, host, &failure) && identity->ca_key_pem)
        drv_pki_check_pair(identity->ca_pem, identity->ca_key_pem, &failure);
    if (!failure && g_str_equal(identity->node, identity->founder) && !identity->ca_key_pem)
        g_set_error(&failure, DRV_ERROR, DRV_ERROR_FAILED, "ca.key is missing, and this node is the cluster's founder");
    if (failure) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the identity in %s cannot be used: %s", etc_dir,
                    failure->message);
        return NULL;
    }
    identity->ca_fingerprint = drv_pki_fingerprint(ca);
    identity->node_fingerprint = drv_pki_fingerprint(leaf);
    return g_steal_pointer(&identity);
}

gboolean drv_identity_add_authority(drv_identity *identity, const char *key_pem, GError **error)
{
    if (g_atomic_pointer_get(&identity->ca_key_pem))
        return TRUE;
    if (!drv_pki_check_pair(identity->ca_pem, key_pem, NULL)) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "this key is not that of the cluster's authority");
        return FALSE;
    }
    if (!drv_identity_write_file(identity->etc_dir, "ca.key", key_pem, error))
        return FALSE;
    g_atomic_pointer_set(&identity->ca_key_pem, g_strdup(key_pem));
    return TRUE;
}
