/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation: a plan of several steps that is carried out, as the leader keeps it. Its document is
 * the OPERATION of docs/rest.rst, kept in the cluster store and changed only against the revision
 * that was read: a leader that is none any more loses, and lets go. Thread-safe.
 */
#pragma once

#include "fleet/operation-state.h"
#include "hyper/gerror.h"
#include "model/json.h"
#include "store/store.h"

#define DRV_OPERATIONS_BUCKET "operations"

typedef struct drv_operation drv_operation;

/**
 * drv_operation_new() - of @plan, recorded at once.
 * @store: borrowed
 * DRV_ERROR_CONFLICT: there is one with this id.
 */
drv_operation *drv_operation_new(drv_store *store, const char *id, json_object *plan, GError **error);
drv_operation *drv_operation_load(drv_store *store, const drv_document *document, GError **error);
drv_operation *drv_operation_ref(drv_operation *operation);
void drv_operation_unref(drv_operation *operation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_operation, drv_operation_unref)

/** drv_operation_id() - borrowed. */
const char *drv_operation_id(drv_operation *operation);
drv_op_state drv_operation_state(drv_operation *operation);
gboolean drv_operation_ended(drv_operation *operation);

/** drv_operation_lost() - somebody else has changed it: it is not this droverd's any more. */
gboolean drv_operation_lost(drv_operation *operation);
/** drv_operation_let_go() - say so: nothing is changed from now on. */
void drv_operation_let_go(drv_operation *operation);

/** drv_operation_view() - the document as it is now. Transfer full. */
json_object *drv_operation_view(drv_operation *operation);
/** drv_operation_wait() - until the revision is greater than @after or it has ended, at most @wait_ms. Transfer full. */
json_object *drv_operation_wait(drv_operation *operation, gint64 after, guint wait_ms);
/** drv_operation_step() - a copy of one step. Transfer full. */
json_object *drv_operation_step(drv_operation *operation, guint index);

/** drv_operation_read() - @look is called with the document, which it must not keep or change. */
typedef void (*drv_operation_reader)(json_object *doc, gpointer data);
void drv_operation_read(drv_operation *operation, drv_operation_reader look, gpointer data);

/**
 * drv_operation_change() - @edit changes the document (FALSE: leaves it), which is recorded.
 * @must: what cannot be recorded is not changed either; else the change holds in memory, is logged,
 *        and is recorded with the next one
 * Return: whether it was changed. DRV_ERROR_CONFLICT: somebody else leads it.
 */
typedef gboolean (*drv_operation_editor)(json_object *doc, gpointer data, GError **error);
gboolean drv_operation_change(drv_operation *operation, gboolean must, drv_operation_editor edit, gpointer data,
                              GError **error);

/** drv_operation_keep() - record what could not be recorded. Return: whether the store has all of it, or it was let go. */
gboolean drv_operation_keep(drv_operation *operation);

/** drv_operation_progress() - of a running step: its job's percent; not recorded. */
void drv_operation_progress(drv_operation *operation, guint index, gint percent);

/* ---- for editors and readers, on the document ---- */

/** drv_operation_enter() - aborts if the table does not allow it. */
void drv_operation_enter(json_object *doc, drv_op_state state);
/** drv_operation_step_enter() - the same of a step; @why may be NULL. */
void drv_operation_step_enter(json_object *step, drv_step_state state, const char *why);
/** drv_operation_step_of() - borrowed; NULL: there is none. */
json_object *drv_operation_step_of(json_object *doc, guint index);
drv_step_state drv_operation_step_state(json_object *step);
/** drv_operation_add_step() - @step of a plan, waiting, with the next index. */
void drv_operation_add_step(json_object *doc, json_object *step);
