/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step becomes a job at its source, once: the attempt of a step of an operation that has a job here
 * gets no second one, whoever asks and however often.
 */
#pragma once

#include "node/context.h"

/**
 * drv_new_job() - @request: {"plan", "step"} and of an operation also {"operation", "index", "attempt"}.
 * Return: the job as it is now, new or known (transfer full)
 * DRV_ERROR_CONFLICT: the VM is being moved, or is not as planned.
 */
json_object *drv_new_job(drv_context *ctx, json_object *request, GError **error);

/** drv_new_job_key() - "op-3.2.1": the second attempt would be .2. Transfer full. */
char *drv_new_job_key(const char *operation, gint64 index, gint64 attempt);

/** drv_new_job_find() - the job of a key. DRV_ERROR_NOT_FOUND: there is none here. */
json_object *drv_new_job_find(drv_context *ctx, const char *key, GError **error);

/** drv_new_job_set_moving() - DRV_ERROR_CONFLICT: @vm is being moved by @job. */
void drv_new_job_set_moving(const char *vm, const char *job, GError **error);
