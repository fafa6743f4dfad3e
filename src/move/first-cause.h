/* SPDX-License-Identifier: Apache-2.0 */
/* Why a migration was rolled back: the first cause alone, and what to do. */
#pragma once

#include "hyper/gerror.h"

typedef struct {
    const char *vm, *source, *target;
    gboolean shut_off;        /* the VM has ended at its source */
    const char *gave_up;      /* why the ladder came to its end, or NULL */
    gboolean link_lost;       /* what follows: before this end gave anything up itself */
    gboolean relay_dead;      /* the source's */
    const char *relay_error;  /* of the link, or "" */
    const GError *call_error; /* what libvirt's call returned, or NULL */
    const char *qemu_words;   /* what the target's QEMU, which is gone, said last, or NULL */
} drv_cause;

/** drv_cause_is_restart() - whether nothing was wrong but that droverd was restarted. Pure. */
gboolean drv_cause_is_restart(const drv_cause *cause);

/** drv_cause_text() - in one line. @code: receives the kind of trouble. Pure. Transfer full. */
char *drv_cause_text(const drv_cause *cause, int *code);
