/* SPDX-License-Identifier: Apache-2.0 */
/* The session of an arrival, which session.c opens, decide.c decides and the store remembers. */
#pragma once

#include "base/ids.h"
#include "move/resume-decision.h"
#include "node/context.h"

#define DRV_SESSION_BUCKET "session"

struct drv_incoming {
    gatomicrefcount references;
    drv_context *ctx;
    drv_session_id session; /* these do not change */
    char *dir;
    drv_node_name source;
    drv_job_name job;
    drv_vm_name vm;
    drv_uuid uuid;
    gint64 opened_ms; /* real time */
    gboolean was_running;
    gboolean may_start;   /* by itself, by post-copy: it was allowed to be handed over so */
    char *method;         /* of the step */
    json_object *step;    /* what its source asked for; NULL in a record of an older droverd */
    json_object *parcel;  /* see arrival.h; of a live move without what libvirt brings */
    json_object *created; /* what was made here: see arrival.h */

    drv_decision *decision; /* NULL: nobody stands in for this one */

    GMutex lock;       /* held while the fate of the copy is decided; guards what follows */
    int written;       /* the image that is written to, opened before: see drv_durable_open_file(); or -1 */
    gboolean resumed;  /* set with the lock held, atomically: lists look without it */
    gboolean told;     /* the source's libvirtd has the Finish reply: its copy never runs again */
    gint64 waiting_ms; /* since when the source is silent, or 0 */
    gboolean said_waiting;
    gboolean rebooted;          /* the host has been started anew since: its session's directory is gone */
    gboolean closed;            /* finished or abandoned: nothing is left to do */
    _Atomic gint64 resuming_ms; /* since when libvirt is asked to resume it, or 0; read without the lock */
    char *complaint;            /* why the last try to resume it failed, as logged */
};

void drv_incoming_unref(drv_incoming *incoming);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_incoming, drv_incoming_unref)

/* ---- session-record.c ---- */

/** drv_incoming_find() - by its id. Transfer full; NULL. */
drv_incoming *drv_incoming_find(drv_context *ctx, const char *session);
/** drv_incoming_find_by_uuid() - other than @but, of a VM that comes from @source (any if NULL). Transfer full; NULL. */
drv_incoming *drv_incoming_find_by_uuid(drv_context *ctx, const char *source, const char *uuid,
                                        const drv_incoming *but);
void drv_incoming_publish(drv_incoming *incoming);
/** drv_incoming_publish_new() - DRV_ERROR_CONFLICT: the VM is still leaving here, or the session is known. */
gboolean drv_incoming_publish_new(drv_incoming *incoming, GError **error);
void drv_incoming_unpublish(drv_incoming *incoming);

/** drv_incoming_from_record() - Transfer full; NULL: DRV_ERROR_INVALID. */
drv_incoming *drv_incoming_from_record(drv_context *ctx, json_object *doc, GError **error);
/** drv_incoming_keep() - write the record. @expected: see drv_store_put(). */
gboolean drv_incoming_keep(drv_incoming *incoming, gint64 expected, GError **error);
/**
 * drv_incoming_flush() - what was made here survives a power loss: before the session is closed with the VM here.
 * Without the lock once it is resumed, for it takes as long as the disks do; the list does not grow any more.
 */
gboolean drv_incoming_flush(drv_incoming *incoming, GError **error);
/** drv_incoming_close() - called with the lock held, when the copy's fate is decided and carried out. */
void drv_incoming_close(drv_incoming *incoming);

/**
 * drv_incoming_stand_in() - somebody resumes the guest should droverd hang at that moment: see stand-in.h.
 * @anew: taken up after a restart. Before anybody else has the session, or with the lock held.
 */
void drv_incoming_stand_in(drv_incoming *incoming, gboolean anew);

/** drv_incoming_is_arriving() - whether a VM here is the copy of a move that has not been handed over yet. */
gboolean drv_incoming_is_arriving(drv_context *ctx, const char *uuid);

void drv_incoming_unref(drv_incoming *incoming);
