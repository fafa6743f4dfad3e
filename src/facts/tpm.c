/* SPDX-License-Identifier: Apache-2.0 */
/* The state of an emulated TPM: see tpm.h. */
#include "facts/tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "model/json.h"

#define TPM_DIR "/var/lib/libvirt/swtpm"

char *drv_tpm_dir(const drv_uuid *uuid)
{
    return g_build_filename(TPM_DIR, uuid->text, NULL);
}

gboolean drv_tpm_is_free(const drv_uuid *uuid, GError **error)
{
    g_autofree char *root = drv_tpm_dir(uuid);

    if (!g_file_test(root, G_FILE_TEST_EXISTS))
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "there is TPM state of this VM already: %s", root);
    return FALSE;
}

/* Whose it may be; what another host calls otherwise becomes root's. */
static void owner_of(json_object *file, uid_t *uid, gid_t *gid)
{
    static const char *const users[] = {"tss", "swtpm", NULL};
    const char *user = drv_json_string(file, "user", "root"), *group = drv_json_string(file, "group", "root");
    const struct passwd *passwd = g_strv_contains(users, user) ? getpwnam(user) : NULL;
    const struct group *members = g_strv_contains(users, group) ? getgrnam(group) : NULL;

    *uid = passwd ? passwd->pw_uid : 0;
    *gid = members ? members->gr_gid : 0;
}

static int write_one(int root, json_object *file, struct drv_error *err)
{
    const char *inner = drv_json_string(file, "path", "/");
    mode_t mode = (mode_t)drv_json_int(file, "mode", 0600) & 0771;
    gboolean directory = !drv_json_string(file, "data", NULL);
    drv_autoclose int fd = -1;
    gsize length = 0;
    g_autofree guchar *bytes = directory ? NULL : g_base64_decode(drv_json_string(file, "data", ""), &length);
    uid_t uid;
    gid_t gid;
    int rc = 0;

    if (directory && *inner)
        rc = drv_beneath_mkdir(root, inner, 0700, err);
    if (rc)
        return rc;
    fd = drv_beneath_open(root, inner, directory ? O_RDONLY | O_DIRECTORY : O_WRONLY | O_CREAT | O_EXCL, 0600, err);
    if (fd < 0)
        return fd;
    if (!directory)
        rc = drv_fd_write_all(fd, bytes, length, err);
    owner_of(file, &uid, &gid);
    if (!rc && (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0))
        rc = drv_error_set(err, errno, "cannot write %s: %s", inner, g_strerror(errno));
    return rc;
}

gboolean drv_tpm_write(const drv_uuid *uuid, json_object *files, GError **error)
{
    struct drv_error problem = {0};
    drv_autoclose int parent = -1, root = -1;
    int rc = 0;

    if (!drv_json_length(files))
        return TRUE;
    g_mkdir_with_parents(TPM_DIR, 0711);
    parent = open(TPM_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        rc = drv_error_set(&problem, errno, "cannot open: %s", g_strerror(errno));
    if (!rc)
        rc = drv_beneath_mkdir(parent, uuid->text, 0711, &problem);
    if (!rc)
        rc = root = drv_beneath_open(parent, uuid->text, O_RDONLY | O_DIRECTORY, 0, &problem);
    for (gsize i = 0; rc >= 0 && i < drv_json_length(files); i++)
        rc = write_one(root, json_object_array_get_idx(files, i), &problem);
    /* What was made is on the disk, and so are its names. */
    if (rc >= 0 && (fsync(root) < 0 || fsync(parent) < 0))
        rc = drv_error_set(&problem, errno, "cannot flush: %s", g_strerror(errno));
    if (rc >= 0)
        return TRUE;
    drv_error_prefix(&problem, "TPM state in %s/%s", TPM_DIR, uuid->text);
    drv_gerror_from(error, rc == -EINVAL || rc == -ELOOP || rc == -EXDEV ? DRV_ERROR_INVALID : DRV_ERROR_FAILED,
                    &problem);
    return FALSE;
}

void drv_tpm_remove(const drv_uuid *uuid)
{
    drv_autoclose int parent = open(TPM_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct drv_error problem = {0};

    if (parent >= 0 && drv_beneath_remove_tree(parent, uuid->text, &problem) < 0)
        drv_log_warning("TPM state stays in %s: %s", TPM_DIR, problem.message);
    else if (parent >= 0)
        (void)fsync(parent);
}
