/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this host has what a definition names: see needs.h. */
#include "facts/needs.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "facts/host.h"
#include "hyper/needs.h"
#include "model/json.h"

/* More than any definition names: who sends more is not answered about the rest. */
#define MOST_NEEDS 1000

json_object *drv_need_facts_here(drv_context *ctx, const char *uuid, GError **error)
{
    g_autoptr(GPtrArray) needs = drv_hyper_needs(ctx->hyper, uuid, error);
    json_object *list;

    if (!needs)
        return NULL;
    list = json_object_new_array();
    for (guint i = 0; i < needs->len; i++) {
        const drv_need *need = needs->pdata[i];
        json_object *entry = json_object_new_object();

        drv_json_set_string(entry, "check", need->about);
        drv_json_set_string(entry, "kind", drv_need_kind_name(need->kind));
        drv_json_set_string(entry, "what", need->what);
        drv_json_set_string(entry, "value", need->value);
        drv_json_set_string(entry, "address", need->address);
        drv_json_set_int(entry, "port", need->port);
        drv_json_set_bool(entry, "later", need->later);
        json_object_array_add(list, entry);
    }
    return list;
}

/* ---- the target ---- */

/* NULL: @path is there and of that type (S_IFREG…; 0: any). */
static char *lacks(const char *path, mode_t type)
{
    static const struct {
        mode_t type;
        const char *name;
    } types[] = {{S_IFDIR, "no directory"}, {S_IFSOCK, "no socket"}, {S_IFIFO, "no pipe"}};
    struct stat status;

    if (stat(path, &status) < 0)
        return g_strdup(g_strerror(errno));
    for (gsize i = 0; type && i < G_N_ELEMENTS(types); i++)
        if (types[i].type == type && (status.st_mode & S_IFMT) != type)
            return g_strdup_printf("what is there is %s", types[i].name);
    return NULL;
}

static char *lacks_pipe(const char *path)
{
    g_autofree char *in = g_strconcat(path, ".in", NULL);
    g_autofree char *out = g_strconcat(path, ".out", NULL);
    char *why = lacks(path, S_IFIFO);

    if (why && access(in, F_OK) == 0 && access(out, F_OK) == 0)
        g_clear_pointer(&why, g_free);
    return why;
}

/* In the directory itself: what is above it does not help, for nobody makes it. */
static char *lacks_directory_of(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    char *why = lacks(directory, S_IFDIR);

    if (!why)
        return drv_host_can_write(directory);
    return g_strdup_printf("%s: %s", directory, why);
}

static char *lacks_below(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    return strchr(name, '/') ? g_strdup("no name of a device") : lacks(path, 0);
}

static char *lacks_usb(const char *value)
{
    static const char root[] = "/sys/bus/usb/devices";
    g_autoptr(GDir) dir = g_dir_open(root, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *vendor_path = g_build_filename(root, name, "idVendor", NULL);
        g_autofree char *product_path = g_build_filename(root, name, "idProduct", NULL);
        g_autofree char *vendor = NULL, *product = NULL, *both = NULL;

        if (!g_file_get_contents(vendor_path, &vendor, NULL, NULL) ||
            !g_file_get_contents(product_path, &product, NULL, NULL))
            continue;
        both = g_strdup_printf("%s:%s", g_strstrip(vendor), g_strstrip(product));
        if (g_str_equal(both, value))
            return NULL;
    }
    return g_strdup("it is not plugged in");
}

/* As libvirt looks for them: what is set for this use, what is set for all, the directory of this use, QEMU's. */
static char *certificates_dir(const char *use)
{
    g_autofree char *key = g_strdup_printf("%s_tls_x509_cert_dir", use);
    g_autofree char *own = g_strdup_printf("/etc/pki/libvirt-%s", use);
    char *dir = drv_host_setting(key, NULL);

    if (!dir)
        dir = drv_host_setting("default_tls_x509_cert_dir", NULL);
    if (!dir)
        dir = g_strdup(g_file_test(own, G_FILE_TEST_IS_DIR) ? own : "/etc/pki/qemu");
    return dir;
}

static char *lacks_certificates(const char *use)
{
    static const char *const files[] = {"ca-cert.pem", "server-cert.pem", "server-key.pem"};
    gboolean client = g_str_equal(use, "nbd"); /* it is asked for in the definition, not on the host */
    g_autofree char *key = g_strdup_printf("%s_tls", use);
    g_autofree char *on = drv_host_setting(key, "0");
    g_autofree char *dir = NULL;

    if (!client && !g_str_equal(on, "1"))
        return NULL;
    dir = certificates_dir(use);
    for (gsize i = 0; i < (client ? 1 : G_N_ELEMENTS(files)); i++) {
        g_autofree char *path = g_build_filename(dir, files[i], NULL);

        if (access(path, R_OK) < 0)
            return g_strdup_printf("%s: %s", path, g_strerror(errno));
    }
    return NULL;
}

static guint64 page_kib(const char *options)
{
    const char *at = strstr(options, "pagesize=");
    char *end = NULL;
    guint64 number = at ? g_ascii_strtoull(at + strlen("pagesize="), &end, 10) : 0;

    return !at ? 0 : *end == 'G' ? number << 20 : *end == 'M' ? number << 10 : *end == 'K' ? number : number >> 10;
}

/* libvirt uses what is mounted, unless it was told where (hugetlbfs_mount). */
static char *lacks_hugetlbfs(const char *value)
{
    guint64 wanted = g_ascii_strtoull(value, NULL, 10);
    g_autofree char *mounts = NULL;
    g_auto(GStrv) lines = NULL;

    if (!wanted)
        wanted = drv_host_hugepages(0, NULL).size_kib;
    if (!g_file_get_contents("/proc/mounts", &mounts, NULL, NULL))
        return NULL;
    lines = g_strsplit(mounts, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", 5);

        if (g_strv_length(words) >= 4 && g_str_equal(words[2], "hugetlbfs") && page_kib(words[3]) == wanted)
            return NULL;
    }
    return g_strdup("none is mounted");
}

char *drv_need_missing(const char *kind, const char *value)
{
    static const struct {
        const char *kind;
        mode_t type;
    } paths[] = {{"file", 0}, {"directory", S_IFDIR}, {"socket", S_IFSOCK}, {"device", 0}};

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++)
        if (g_str_equal(kind, paths[i].kind))
            return lacks(value, paths[i].type);
    return g_str_equal(kind, "new-file")       ? lacks_directory_of(value)
           : g_str_equal(kind, "pipe")         ? lacks_pipe(value)
           : g_str_equal(kind, "network-card") ? lacks_below("/sys/class/net", value)
           : g_str_equal(kind, "pci")          ? lacks_below("/sys/bus/pci/devices", value)
           : g_str_equal(kind, "mdev")         ? lacks_below("/sys/bus/mdev/devices", value)
           : g_str_equal(kind, "usb")          ? lacks_usb(value)
           : g_str_equal(kind, "tls")          ? lacks_certificates(value)
           : g_str_equal(kind, "hugetlbfs")    ? lacks_hugetlbfs(value)
                                               : NULL;
}

static void try_port(json_object *need, json_object *entry, int type)
{
    g_autofree char *reason = NULL;
    drv_bind_result result = drv_host_can_bind(drv_json_string(need, "address", ""), type,
                                               (guint)CLAMP(drv_json_int(need, "port", 0), 0, 65535), &reason);

    drv_json_set_string(entry, "error", reason);
    drv_json_set_bool(entry, "in_use", result == DRV_BIND_IN_USE);
    drv_json_set_bool(entry, "unknown", result == DRV_BIND_UNKNOWN);
}

json_object *drv_need_facts_answer(drv_context *ctx, json_object *needs)
{
    json_object *list = json_object_new_array();

    for (gsize i = 0; i < MIN(drv_json_length(needs), MOST_NEEDS); i++) {
        json_object *need = json_object_array_get_idx(needs, i), *entry = json_object_new_object();
        const char *kind = drv_json_string(need, "kind", ""), *value = drv_json_string(need, "value", "");
        g_autofree char *why = NULL;
        g_autoptr(GError) error = NULL;

        if (g_str_equal(kind, "tcp") || g_str_equal(kind, "udp")) {
            try_port(need, entry, g_str_equal(kind, "udp") ? SOCK_DGRAM : SOCK_STREAM);
        } else if (g_str_equal(kind, "secret")) {
            if (!drv_hyper_secret(ctx->hyper, value, &error))
                drv_json_set_string(entry, "error", error->message);
        } else {
            why = drv_need_missing(kind, value);
            drv_json_set_string(entry, "error", why);
        }
        json_object_array_add(list, entry);
    }
    return list;
}
