/* SPDX-License-Identifier: Apache-2.0 */
/* Where this cluster keeps what is kept once for it: see keeping.h. */
#include "cluster/keeping.h"

#include <string.h>

#include "base/durable.h"
#include "model/json.h"

#define FILE_JSON "store.json"
#define FILE_CA "store-ca.crt"
#define FILE_CERT "store.crt"
#define FILE_KEY "store.key"
#define PEM_MOST_BYTES 65536

void drv_keeping_clear(drv_keeping *keeping)
{
    g_free(keeping->where);
    g_free(keeping->ca_pem);
    g_free(keeping->cert_pem);
    if (keeping->key_pem)
        explicit_bzero(keeping->key_pem, strlen(keeping->key_pem));
    g_free(keeping->key_pem);
    *keeping = (drv_keeping){0};
}

/* @text: receives what is in the file, NULL if there is none. */
static gboolean read_optional(const char *dir, const char *name, char **text, GError **error)
{
    g_autofree char *path = dir ? g_build_filename(dir, name, NULL) : g_strdup(name);
    g_autoptr(GError) problem = NULL;

    if (g_file_get_contents(path, text, NULL, &problem) ||
        (dir && g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)))
        return TRUE;
    g_set_error(error, DRV_ERROR, dir ? DRV_ERROR_FAILED : DRV_ERROR_INVALID, "%s", problem->message);
    return FALSE;
}

gboolean drv_keeping_load(drv_keeping *keeping, const char *etc_dir, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(json_object) stored = NULL;

    if (!read_optional(etc_dir, FILE_JSON, &text, error))
        return FALSE;
    if (!text)
        return TRUE;
    stored = json_tokener_parse(text);
    keeping->where = g_strdup(drv_json_string(stored, "where", NULL));
    if (!keeping->where) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED,
                    "%s/" FILE_JSON " is damaged: copy it from another node of the cluster", etc_dir);
        return FALSE;
    }
    return read_optional(etc_dir, FILE_CA, &keeping->ca_pem, error) &&
           read_optional(etc_dir, FILE_CERT, &keeping->cert_pem, error) &&
           read_optional(etc_dir, FILE_KEY, &keeping->key_pem, error);
}

static gboolean write_or_remove(const char *dir, const char *name, const char *text, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    struct drv_error problem = {0};

    if (text)
        return drv_identity_write_file(dir, name, text, error);
    if (!drv_durable_unlink(path, &problem))
        return TRUE;
    drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
    return FALSE;
}

gboolean drv_keeping_write(const drv_keeping *keeping, const char *etc_dir, GError **error)
{
    g_autoptr(json_object) text = keeping->where ? json_object_new_object() : NULL;

    if (text)
        drv_json_set_string(text, "where", keeping->where);
    /* store.json last: with it the rest counts. When it goes, it goes first. */
    if (!text && !write_or_remove(etc_dir, FILE_JSON, NULL, error))
        return FALSE;
    return write_or_remove(etc_dir, FILE_CA, keeping->ca_pem, error) &&
           write_or_remove(etc_dir, FILE_CERT, keeping->cert_pem, error) &&
           write_or_remove(etc_dir, FILE_KEY, keeping->key_pem, error) &&
           (!text ||
            write_or_remove(
                etc_dir, FILE_JSON,
                json_object_to_json_string_ext(text, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE), error));
}

json_object *drv_keeping_json(const drv_keeping *keeping)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "where", keeping->where);
    drv_json_set_string(object, "ca", keeping->ca_pem);
    drv_json_set_string(object, "cert", keeping->cert_pem);
    drv_json_set_string(object, "key", keeping->key_pem);
    return object;
}

static gboolean take_pem(json_object *from, const char *key, char **pem, GError **error)
{
    const char *text = drv_json_string(from, key, NULL);

    if (text && (strlen(text) > PEM_MOST_BYTES || !strstr(text, "-----BEGIN "))) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "\"%s\" of the store is not PEM", key);
        return FALSE;
    }
    *pem = g_strdup(text);
    return TRUE;
}

gboolean drv_keeping_read(drv_keeping *keeping, json_object *from, GError **error)
{
    keeping->where = g_strdup(drv_json_string(from, "where", NULL));
    return take_pem(from, "ca", &keeping->ca_pem, error) && take_pem(from, "cert", &keeping->cert_pem, error) &&
           take_pem(from, "key", &keeping->key_pem, error);
}

gboolean drv_keeping_from_files(drv_keeping *keeping, const char *where, const char *ca_file, const char *cert_file,
                                const char *key_file, GError **error)
{
    keeping->where = g_strdup(where);
    return (!ca_file || read_optional(NULL, ca_file, &keeping->ca_pem, error)) &&
           (!cert_file || read_optional(NULL, cert_file, &keeping->cert_pem, error)) &&
           (!key_file || read_optional(NULL, key_file, &keeping->key_pem, error));
}

drv_store *drv_keeping_open(const drv_keeping *keeping, const char *etc_dir, const char *cluster, gboolean make,
                            GError **error)
{
    g_autofree char *ca = keeping->ca_pem ? g_build_filename(etc_dir, FILE_CA, NULL) : NULL;
    g_autofree char *cert = keeping->cert_pem ? g_build_filename(etc_dir, FILE_CERT, NULL) : NULL;
    g_autofree char *key = keeping->key_pem ? g_build_filename(etc_dir, FILE_KEY, NULL) : NULL;
    const drv_store_options options = {
        .where = keeping->where, .ca_file = ca, .cert_file = cert, .key_file = key, .cluster = cluster, .make = make};

    if (!keeping->where || !strstr(keeping->where, "://")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "\"%s\" is not a store for a cluster: give etcd://HOST[:PORT][,HOST…][/PREFIX]",
                    keeping->where ?: "");
        return NULL;
    }
    return drv_store_open_with(&options, error);
}

gboolean drv_keeping_is_open_to_all(const drv_keeping *keeping)
{
    const char *hosts = keeping->where ? strstr(keeping->where, "://") : NULL;

    return hosts && g_str_has_prefix(keeping->where, "etcd:") && !keeping->ca_pem && !keeping->cert_pem &&
           !g_str_has_prefix(hosts, "://127.") && !g_str_has_prefix(hosts, "://localhost") &&
           !g_str_has_prefix(hosts, "://[::1]");
}
