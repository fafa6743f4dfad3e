/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors from src/hyper down: GError in one domain whose codes say what kind of
 * trouble it is. They travel over REST by name and become exit codes of the command line.
 */
#pragma once

#include <glib.h>

#include "base/error.h"

#define DRV_ERROR (drv_error_quark())

typedef enum {
    DRV_ERROR_FAILED,      /* something went wrong on the way */
    DRV_ERROR_INVALID,     /* what was asked makes no sense */
    DRV_ERROR_NOT_FOUND,   /* no such VM, node, job, ... */
    DRV_ERROR_CONFLICT,    /* it is there already, or busy, or has changed meanwhile */
    DRV_ERROR_REFUSED,     /* understood, possible in principle, but not now and here: says why */
    DRV_ERROR_DENIED,      /* who asks may not */
    DRV_ERROR_UNREACHABLE, /* a node, a libvirtd or the store does not answer */
    DRV_ERROR_CANCELLED,   /* the operator wanted it to stop */
    DRV_ERROR_CODES
} drv_error_code;

GQuark drv_error_quark(void);

/*
 * Not a failure: what an operator asks for is done by another node, whose name is the message. The
 * operator is sent there (src/api), because no node may act on another one in an operator's name.
 */
#define DRV_ELSEWHERE (drv_elsewhere_quark())
GQuark drv_elsewhere_quark(void);

/** drv_error_code_name() - as in REST answers: "not-found", ... Static. */
const char *drv_error_code_name(int code);

/** drv_error_code_from_name() - DRV_ERROR_FAILED for a name that is not known. */
drv_error_code drv_error_code_from_name(const char *name);

/** drv_gerror_from() - the one converter from the data plane's errors. @error may be NULL. */
void drv_gerror_from(GError **error, drv_error_code code, const struct drv_error *from);
