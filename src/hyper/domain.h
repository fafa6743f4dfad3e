/* SPDX-License-Identifier: Apache-2.0 */
/* Domains as they are now: listed, looked up, resumed, ended. */
#pragma once

#include <glib.h>

#include "hyper/hyper.h"

/** drv_hyper_domains() - all, with disks' sizes left out. Transfer full, of drv_domain. */
GPtrArray *drv_hyper_domains(drv_hyper *hyper, GError **error);

/**
 * drv_hyper_domain() - the one with this UUID, whole; what merely has it as its name is another VM.
 * DRV_ERROR_NOT_FOUND; DRV_ERROR_INVALID: @uuid is none.
 */
drv_domain *drv_hyper_domain(drv_hyper *hyper, const char *uuid, GError **error);

/** drv_hyper_domain_named() - the one of this name, whatever it looks like, whole. DRV_ERROR_NOT_FOUND. */
drv_domain *drv_hyper_domain_named(drv_hyper *hyper, const char *name, GError **error);
const char *drv_domain_state_name(drv_domain_state state);

/**
 * drv_domain_just_arrived() - whether it is paused, and has been by nothing but its migration (libvirt then
 * says "migration", "user" or "starting-up").
 */
gboolean drv_domain_just_arrived(const drv_domain *domain);

/** drv_hyper_resume() - let a paused guest run; one that runs already: success. */
gboolean drv_hyper_resume(drv_hyper *hyper, const char *uuid, GError **error);

/** drv_hyper_destroy() - end it at once; @undefine: its definition too (NVRAM, TPM state, checkpoints' metadata included). Not there: success. */
gboolean drv_hyper_destroy(drv_hyper *hyper, const char *uuid, gboolean undefine, GError **error);
