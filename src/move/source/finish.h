/* SPDX-License-Identifier: Apache-2.0 */
/* How a migration ends at its source: both ends are asked, the verdict is carried out. */
#pragma once

#include "move/source/outgoing.h"

typedef enum {
    DRV_END_ENDED,   /* the job is over */
    DRV_END_STOPPED, /* droverd ends first */
    DRV_END_AGAIN,   /* rolled back, to begin again with post-copy */
    DRV_END_RECOVER, /* a broken post-copy, to be gone on with over a new session */
} drv_end;

/** drv_outgoing_finish() - libvirt is through: settle, clean up, report. */
drv_end drv_outgoing_finish(drv_outgoing *outgoing);

/** drv_outgoing_look() - whether a look at both ends would end a job that needs attention. Changes nothing. */
gboolean drv_outgoing_look(drv_outgoing *outgoing);

/** drv_outgoing_give_up() - nothing was copied yet: remove what was prepared at both ends. */
void drv_outgoing_give_up(drv_outgoing *outgoing, const GError *why);
