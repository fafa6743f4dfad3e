/* SPDX-License-Identifier: Apache-2.0 */
/* A session's directory and relay: see relay-session.h. */
#include "node/relay-session.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"

gboolean drv_session_new_id(drv_session_id *id, guint8 secret[DRV_SESSION_SECRET_SIZE], GError **error)
{
    guint8 bytes[DRV_SESSION_ID_SIZE];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes ||
        getrandom(secret, DRV_SESSION_SECRET_SIZE, 0) != DRV_SESSION_SECRET_SIZE) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the kernel gave no random bytes: %s", g_strerror(errno));
        return FALSE;
    }
    drv_hex_encode(id->text, bytes, sizeof bytes);
    return TRUE;
}

char *drv_session_dir(const char *sessions_dir, const drv_session_id *session)
{
    return g_build_filename(sessions_dir, session->text, NULL);
}

const char *drv_session_relay_user(void)
{
    return getpwnam("drover") ? "drover" : "nobody";
}

const char *drv_session_qemu_group(void)
{
    static const char *const known[] = {"libvirt-qemu", "qemu", "kvm"};

    for (guint i = 0; i < G_N_ELEMENTS(known); i++)
        if (getgrnam(known[i]))
            return known[i];
    return NULL;
}

guint drv_session_links(void)
{
    /* One for what must not wait, and one for each core that can encrypt, within reason. */
    return 1 + CLAMP(g_get_num_processors(), 1, 4);
}

gboolean drv_session_make_dir(const char *dir, GError **error)
{
    const char *group_name = drv_session_qemu_group();
    const struct group *group = group_name ? getgrnam(group_name) : NULL;
    g_autofree char *parent = g_path_get_dirname(dir);

    if (!group) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "this host has none of the groups libvirt-qemu, qemu and kvm: install QEMU with "
                    "libvirt ('drover doctor' says what is missing)");
        return FALSE;
    }
    if (g_mkdir_with_parents(parent, 0755) < 0 || mkdir(dir, 02775) < 0) {
        g_set_error(error, DRV_ERROR, errno == EEXIST ? DRV_ERROR_CONFLICT : DRV_ERROR_FAILED,
                    "cannot make the session's directory %s: %s", dir, g_strerror(errno));
        return FALSE;
    }
    /* QEMU makes and reaches its sockets there by its group, and the relay by the same. */
    if (chown(dir, 0, group->gr_gid) < 0 || chmod(dir, 02775) < 0) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "cannot give %s to group %s: %s", dir, group_name,
                    g_strerror(errno));
        rmdir(dir);
        return FALSE;
    }
    return TRUE;
}

void drv_session_remove_dir(const char *dir)
{
    static const char *const sockets[] = {DRV_SOCKET_CONTROL, DRV_SOCKET_RAM, DRV_SOCKET_DISK, DRV_SOCKET_ADMIN};

    for (guint i = 0; i < G_N_ELEMENTS(sockets); i++) {
        g_autofree char *path = g_build_filename(dir, sockets[i], NULL);

        g_unlink(path);
    }
    g_rmdir(dir);
}

void drv_session_end_relay(const char *dir)
{
    drv_relay *relay = NULL;

    if (drv_relay_open(dir, &relay, NULL) == 0) {
        drv_relay_end(relay, NULL);
        drv_relay_close(relay);
    }
    drv_session_remove_dir(dir);
}
