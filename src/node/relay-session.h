/* SPDX-License-Identifier: Apache-2.0 */
/* A session's directory and the relay in it, the same at both ends. */
#pragma once

#include <glib.h>

#include "base/ids.h"
#include "hyper/gerror.h"
#include "relay/control/control.h"

/** drv_session_new_id() - a random id and secret. */
gboolean drv_session_new_id(drv_session_id *id, guint8 secret[DRV_SESSION_SECRET_SIZE], GError **error);

/** drv_session_dir() - the path. Transfer full. */
char *drv_session_dir(const char *sessions_dir, const drv_session_id *session);

/** drv_session_make_dir() - made for QEMU's group (2775). DRV_ERROR_CONFLICT if it exists. */
gboolean drv_session_make_dir(const char *dir, GError **error);

/** drv_session_remove_dir() - with the sockets in it; missing: nothing to do. */
void drv_session_remove_dir(const char *dir);

/** drv_session_end_relay() - end the relay of @dir if it lives, then remove the directory. */
void drv_session_end_relay(const char *dir);

/** drv_session_relay_user() - "drover" if there is such a user, else "nobody". Static. */
const char *drv_session_relay_user(void);

/** drv_session_qemu_group() - the group QEMU runs with ("libvirt-qemu", "qemu", "kvm"). NULL if there is none. Static. */
const char *drv_session_qemu_group(void);

/** drv_session_links() - how many TLS connections a session gets on this host. */
guint drv_session_links(void);
