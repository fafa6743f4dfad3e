/* SPDX-License-Identifier: Apache-2.0 */
/* A migration job watched and steered: statistics while it runs and after, pause, abort. */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>

#include "hyper/hyper.h"

/** drv_hyper_job() - of the job that runs now. At the target libvirt knows only that there is one: the rest is 0. */
gboolean drv_hyper_job(drv_hyper *hyper, const char *uuid, drv_job_stats *stats, GError **error);

/** drv_hyper_job_completed() - of the last migration of this domain, at whichever end asks. Keeps it readable again. */
gboolean drv_hyper_job_completed(drv_hyper *hyper, const char *uuid, drv_job_stats *stats, GError **error);
gboolean drv_hyper_job_abort(drv_hyper *hyper, const char *uuid, GError **error);
gboolean drv_hyper_set_max_pause(drv_hyper *hyper, const char *uuid, guint ms, GError **error);

/** drv_hyper_start_post_copy() - of a job begun with post_copy: hand the guest over now. DRV_ERROR_CONFLICT: QEMU has not begun yet. */
gboolean drv_hyper_start_post_copy(drv_hyper *hyper, const char *uuid, GError **error);

/** drv_hyper_answers() - whether the VM's QEMU answers. One that has just died and that libvirt is still clearing up does not. */
gboolean drv_hyper_answers(drv_hyper *hyper, const char *uuid);

/**
 * drv_job_stats_from_params() - @type: virDomainJobType. All but "switching" is filled.
 * Return: FALSE, and @stats zeroed, when the job is not a migration.
 */
gboolean drv_job_stats_from_params(const virTypedParameter *params, int count, int type, drv_job_stats *stats);
