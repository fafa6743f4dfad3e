/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a migration that libvirt is through with has come to: decided from what
 * exists at both ends and never from what Drover remembers. Pure.
 */
#pragma once

#include <glib.h>

typedef enum {
    DRV_PRESENCE_ABSENT, /* not there at all */
    DRV_PRESENCE_OFF,    /* a definition that does not run */
    DRV_PRESENCE_PAUSED,
    DRV_PRESENCE_RUNNING,
    DRV_PRESENCE_UNKNOWN, /* could not be asked, or libvirt is still changing it */
} drv_presence;

typedef enum {
    DRV_VERDICT_DONE,      /* make sure that the target runs it, release the source's disks */
    DRV_VERDICT_ROLL_BACK, /* have the target destroy its copy, then make sure that the source runs it */
    DRV_VERDICT_COMPLETE,  /* have the target run it if it does not yet, then end the source's paused copy */
    DRV_VERDICT_WAIT,      /* ask again: an end does not answer, or libvirt is still at it */
    DRV_VERDICT_ATTENTION, /* fits nothing: touch nothing */
    DRV_VERDICT_RECOVER,   /* a broken post-copy: go on with it over a new session */
} drv_verdict;

typedef struct {
    drv_presence source;
    drv_presence target;
    gboolean was_running;   /* the VM ran before the move (else it was paused by its user) */
    gboolean resumed;       /* the target has resumed it, or was told to keep it paused and has it */
    gboolean finish_ok;     /* a Finish reply that said success was delivered to the source's libvirtd */
    gboolean steady;        /* it has been just so for a while, with no job of libvirt at either end */
    gboolean source_split;  /* the source has handed over by post-copy and holds what the target lacks */
    gboolean source_broken; /* … and has lost its way to the target */
    gboolean target_split;  /* the target runs by post-copy and lacks what the source holds */
} drv_settle_facts;

/** drv_settle_decide() - see the table in outcome.c. */
drv_verdict drv_settle_decide(const drv_settle_facts *facts);

const char *drv_presence_name(drv_presence presence);
/** drv_presence_from_state() - from a domain state's name; NULL or "absent": absent. */
drv_presence drv_presence_from_state(const char *state);
