/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job: one migration as the source's droverd keeps it. Its document is the JOB of
 * docs/rest.rst with the step and the session in it; it is stored at each change of
 * state, and held in memory with its progress while it runs. Thread-safe.
 */
#pragma once

#include "base/ids.h"
#include "hyper/gerror.h"
#include "model/json.h"
#include "move/state.h"
#include "store/store.h"

typedef struct drv_job drv_job;

/**
 * drv_job_new() - planned, for @step (copied); stored at once.
 * @operation: that it is a part of; NULL: of none
 */
drv_job *drv_job_new(drv_store *store, const char *id, const char *plan, const char *operation, json_object *step,
                     GError **error);
/** drv_job_load() - from its stored document. */
drv_job *drv_job_load(drv_store *store, const char *json, GError **error);
drv_job *drv_job_ref(drv_job *job);
void drv_job_unref(drv_job *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_job, drv_job_unref)

/* Of the step; they never change. */
const char *drv_job_id(drv_job *job);
const char *drv_job_vm(drv_job *job);
const char *drv_job_uuid(drv_job *job);
const char *drv_job_source(drv_job *job);
const char *drv_job_target(drv_job *job);
/** drv_job_step() - borrowed; read only. */
json_object *drv_job_step(drv_job *job);

drv_state drv_job_state(drv_job *job);
gboolean drv_job_ended(drv_job *job);
/** drv_job_session() - FALSE before there is one, or if the record has none that is one. */
gboolean drv_job_session(drv_job *job, drv_session_id *session);

/** drv_job_view() - the document as it is now. Transfer full. */
json_object *drv_job_view(drv_job *job);
/** drv_job_wait() - until the revision is greater than @after, at most @wait_ms; then the document. */
json_object *drv_job_wait(drv_job *job, gint64 after, guint wait_ms);

/**
 * drv_job_enter() - go to @state, which the table must allow (else the program is wrong
 * and this aborts). Entering the state it is in changes nothing.
 *
 * It is stored; where the store fails, the job goes on and the error is logged: a
 * running move is never given up for want of a disk.
 */
void drv_job_enter(drv_job *job, drv_state state);
/** drv_job_set_session() - stored at once: what is made afterwards can be found again. */
gboolean drv_job_set_session(drv_job *job, const drv_session_id *session, GError **error);
/** drv_job_set_fact() - keep a boolean for the one who takes the job up after a crash. Return: whether it is stored. */
gboolean drv_job_set_fact(drv_job *job, const char *key, gboolean value);
/** drv_job_note_rung() - add to the job's "ladder" what was done for it to converge, and why; stored. */
void drv_job_note_rung(drv_job *job, const char *rung, const char *why);
/** drv_job_fact() - what drv_job_set_fact() kept; FALSE before. */
gboolean drv_job_fact(drv_job *job, const char *key);
/** drv_job_set_attention() - takes over @facts, or NULL; stored with the next change. */
void drv_job_set_attention(drv_job *job, json_object *facts);
/** drv_job_keep() - store again what could not be stored. Return: whether the store has all of it. */
gboolean drv_job_keep(drv_job *job);
/** drv_job_set_note() - the same for any value, which is taken over. */
void drv_job_set_note(drv_job *job, const char *key, json_object *value);
/** drv_job_progress() - takes over @progress; not stored. */
void drv_job_progress(drv_job *job, json_object *progress);
/** drv_job_end() - the last state, the report (taken over) and why. */
void drv_job_end(drv_job *job, drv_state state, drv_error_code code, const char *why, json_object *report);

/**
 * drv_job_cancel() - ask it to stop. DRV_ERROR_CONFLICT when it cannot any more, saying why. Asked again it has
 * nothing to do, and the job's document says "cancel_repeated".
 */
gboolean drv_job_cancel(drv_job *job, GError **error);
gboolean drv_job_cancel_requested(drv_job *job);
