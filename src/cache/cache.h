/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The known-content store of this node: packs of earlier sessions in a directory, the key that
 * opens them, what is promised to sessions, and what has to go. docs/content.rst says what is
 * in it and what is not. It is a cache: whatever fails here is logged, and a move goes on without.
 *
 * All functions may be called from any thread; they block on the disk.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "relay/control/control.h"
#include "store/store.h"

#define DRV_CONTENT_OWNER "cluster" /* of a VM without an owner of its own */
#define DRV_CONTENT_AGE_S (7 * 24 * 3600)

typedef struct drv_content drv_content;

/* Everything is borrowed and must outlive it; strings are copied. */
typedef struct {
    const char *dir;          /* made if missing */
    guint64 most_bytes;       /* cap; 0: 1/16 of the room that is free there now, 8 GiB at most */
    guint64 age_s;            /* what was not used for so long goes; 0: DRV_CONTENT_AGE_S */
    drv_store *store;         /* of what was used when, and what it saved */
    const char *sessions_dir; /* of sessions' directories; NULL: each that writes is over */
} drv_content_config;

/* ---- for a session ---- */

typedef struct drv_content_session drv_content_session;

/**
 * drv_content_begin() - what may be known of a VM here. Waits a moment for what an earlier
 * session of this VM, or of another one of its owner, is just writing.
 * Return: NULL when the store is off.
 */
drv_content_session *drv_content_begin(drv_content *content, const char *session, const char *uuid, const char *vm,
                                       const char *owner);
/** drv_content_end() - closes what was handed over; NULL is allowed. */
void drv_content_end(drv_content_session *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_content_session, drv_content_end)

/** drv_content_limit() - the session's relays have a cache of so many MiB, not what this host offers. */
void drv_content_limit(drv_content_session *session, guint cache_mib);
/** drv_content_offer() - at the source: what there is, for the target. Transfer full. */
json_object *drv_content_offer(drv_content_session *session);
/** drv_content_answer() - at the target: which of it is here, too. Transfer full; NULL: nothing shall be used or kept. */
json_object *drv_content_answer(drv_content_session *session, json_object *offer);
/** drv_content_accept() - at the source: what the target has answered. Return: FALSE: it keeps nothing. */
gboolean drv_content_accept(drv_content_session *session, json_object *answer);
/** drv_content_hand() - into a relay's configuration; on failure nothing is handed. */
void drv_content_hand(drv_content_session *session, struct drv_relay_config *config);

/** drv_content_most_known() - bytes of memory that a session on this host may begin with at most. */
guint64 drv_content_most_known(void);
