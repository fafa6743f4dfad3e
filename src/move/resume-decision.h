/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to become of a copy that arrives: decided once, by whoever is first.
 *
 * droverd and the stand-in (move/target/stand-in.h) both may resume a copy, and droverd may abandon it. What
 * is decided is one word in a small file beside the session's directory, which both have mapped.
 * It is changed from "undecided" by one atomic instruction: no lock is needed, which a program that
 * is frozen could hold, and at whatever instant a program is killed or frozen, it has decided or it
 * has not. Whoever finds "resume" may carry it out as well: resuming twice is resuming once. A copy
 * that is abandoned is never resumed. The file is in the memory of the host (/run) and goes with it,
 * as the copy does.
 *
 * The stand-in holds a lock on the file while it lives: that is how a droverd finds it.
 */
#pragma once

#include <glib.h>

#define DRV_DECISION_SUFFIX ".fate"

typedef enum {
    DRV_DECISION_NONE,
    DRV_DECISION_ABANDON,
    DRV_DECISION_RESUME,
    DRV_DECISION_RESUMED, /* and that is done */
} drv_decision_word;

typedef struct drv_decision drv_decision;

/** drv_decision_path() - of the session whose directory is @dir. Transfer full. */
char *drv_decision_path(const char *dir);

/** drv_decision_make() - the file, with nothing decided. Transfer full; NULL with @error. */
drv_decision *drv_decision_make(const char *path, GError **error);

/** drv_decision_open() - the one that is there. Transfer full; NULL: there is none. */
drv_decision *drv_decision_open(const char *path);

/** drv_decision_free() - the file stays. NULL is allowed. */
void drv_decision_free(drv_decision *decision);

/** drv_decision_get() - what is decided. @decision NULL: DRV_DECISION_NONE. Any thread. */
drv_decision_word drv_decision_get(const drv_decision *decision);

/**
 * drv_decision_take() - decide for @word (RESUME or ABANDON), if nothing is decided yet. Return: is it decided so?
 * @decision NULL, a session without such a file: TRUE. Any thread.
 */
gboolean drv_decision_take(drv_decision *decision, drv_decision_word word);

/** drv_decision_note_resumed() - what was decided is done. @decision may be NULL. Any thread. */
void drv_decision_note_resumed(drv_decision *decision);

/** drv_decision_is_over() - whether the session is closed and its file removed. */
gboolean drv_decision_is_over(const drv_decision *decision);

/** drv_decision_hold() - be the one stand-in of the session, until this process ends. FALSE: there is one. */
gboolean drv_decision_hold(drv_decision *decision);

/**
 * drv_decision_end() - end the stand-in, if there is one, even one that is frozen, and remove the
 * file: from here on nobody resumes the copy. @path missing: nothing to do. Waits a second at most.
 */
void drv_decision_end(const char *path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_decision, drv_decision_free)
