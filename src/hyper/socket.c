/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fresh connection to the local libvirtd's read-write socket, for the relay of a target:
 * made here, as root, so that libvirtd sees root's credentials and the relay needs none.
 */
#include "hyper/socket.h"

#include <errno.h>

#include <sys/socket.h>

#include "base/fd.h"
#include "hyper/connection.h"
#include "hyper/socket-path.h"

/* The monolithic daemon, then the modular one of the QEMU driver. */
static const char *const system_sockets[] = {
    "/run/libvirt/libvirt-sock",
    "/run/libvirt/virtqemud-sock",
    NULL,
};

char **drv_hyper_socket_paths(const char *uri, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NONE, &failure);
    g_autoptr(GHashTable) query = NULL;
    const char *socket = NULL;

    if (!parsed) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s is no address of a libvirt: %s", uri, failure->message);
        return NULL;
    }
    if (!g_str_equal(g_uri_get_scheme(parsed), "qemu") && !g_str_equal(g_uri_get_scheme(parsed), "qemu+unix")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s is not a local QEMU's libvirt: use qemu:///system", uri);
        return NULL;
    }
    if (g_uri_get_query(parsed)) {
        query = g_uri_parse_params(g_uri_get_query(parsed), -1, "&", G_URI_PARAMS_NONE, NULL);
        socket = query ? g_hash_table_lookup(query, "socket") : NULL;
    }
    if (socket) {
        const char *const given[] = {socket, NULL};
        return g_strdupv((char **)given);
    }
    if (!g_str_equal(g_uri_get_path(parsed), "/system")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s is not the system's libvirt: use qemu:///system", uri);
        return NULL;
    }
    return g_strdupv((char **)system_sockets);
}

int drv_hyper_libvirt_socket(drv_hyper *hyper, GError **error)
{
    g_auto(GStrv) paths = drv_hyper_socket_paths(drv_hyper_uri(hyper), error);
    struct drv_error failure = {0};
    g_autofree char *tried = NULL;

    if (!paths)
        return -1;
    for (gsize i = 0; paths[i]; i++) {
        struct drv_error this_failure = {0};
        int fd = drv_fd_unix_connect(paths[i], SOCK_STREAM, &this_failure);

        if (fd >= 0)
            return fd;
        /* A socket that is there but refuses says more than one that is missing. */
        if (failure.code == 0 || failure.code == ENOENT)
            failure = this_failure;
    }
    tried = g_strjoinv(" or ", paths);
    g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE,
                "no libvirtd listens on %s (%s): start it (systemctl start libvirtd)", tried, failure.message);
    return -1;
}
