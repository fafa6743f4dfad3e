/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's key: see keyring.h. It is in the keyring of the user root and not in a session's,
 * which systemd gives each service anew; its owner may read it without holding it.
 */
#include "pack/keyring.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Holder: all; owner: view, read, write, search, link, set attributes; nobody else. */
#define PERMISSIONS 0x3f3f0000u

static long find(const char *name)
{
    return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", name, 0);
}

static bool read_key(long id, struct drv_seal_key *key)
{
    return syscall(SYS_keyctl, KEYCTL_READ, id, key->bytes, sizeof key->bytes) == (long)sizeof key->bytes;
}

int drv_keyring_key(const char *name, unsigned life_s, struct drv_seal_key *key, bool *made, struct drv_error *err)
{
    long id = find(name);

    *made = false;
    if (id >= 0 && read_key(id, key)) {
        (void)syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, id, life_s);
        return 0;
    }
    *made = true;
    if (getrandom(key->bytes, sizeof key->bytes, 0) != (ssize_t)sizeof key->bytes)
        return drv_error_set(err, EIO, "the kernel gave no random bytes: %s", strerror(errno));
    /* A service of systemd's does not hold what is in the user's keyring, unless it holds that. */
    (void)syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_PROCESS_KEYRING);
    id = syscall(SYS_add_key, "user", name, key->bytes, sizeof key->bytes, KEY_SPEC_USER_KEYRING);
    if (id < 0 || syscall(SYS_keyctl, KEYCTL_SETPERM, id, PERMISSIONS) < 0 ||
        syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, id, life_s) < 0) {
        int why = errno;

        if (id >= 0)
            (void)syscall(SYS_keyctl, KEYCTL_UNLINK, id, KEY_SPEC_USER_KEYRING);
        return drv_error_set(err, why == EIO ? EPERM : why, "the kernel's keyring cannot be used: %s", strerror(why));
    }
    return 0;
}

void drv_keyring_forget(const char *name)
{
    long id = find(name);

    if (id >= 0)
        (void)syscall(SYS_keyctl, KEYCTL_UNLINK, id, KEY_SPEC_USER_KEYRING);
}
