/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named points at which a test makes a program die or stop: one behind each record and each
 * side effect of a move. Compiled in only with -Dfault_points=true; elsewhere drv_fault() is
 * nothing.
 *
 * DROVER_FAULT names a directory. A point NAME looks whether there is a file NAME in it:
 *   "kill"  the program kills itself there (SIGKILL); the file is removed first, so that
 *           the next one comes further;
 *   "hold"  the thread makes NAME.held and waits until NAME is gone;
 *   "soon"  drv_fault_soon() is true there: what is waited for with patience is given up at once;
 * A relay, which sees no file system, reads the directory when it starts and remembers; its
 * "hold" is SIGSTOP, and a test waits for the process to be stopped and continues it.
 */
#pragma once

#include <stdbool.h>

#ifdef DRV_FAULT_POINTS
/** drv_fault_reach() - a point is reached. Any thread; may not return. */
void drv_fault_reach(const char *name);
/** drv_fault_remember() - read the directory now, for a program that cannot later. Before threads.
 */
void drv_fault_remember(void);
/** drv_fault_soon() - whether a test has no patience at @name. Any thread; not in a relay. */
bool drv_fault_soon(const char *name);
#define drv_fault(name) drv_fault_reach(name)
#else
static inline void drv_fault_remember(void)
{
}
static inline bool drv_fault_soon(const char *name)
{
    (void)name;
    return false;
}
#define drv_fault(name) ((void)0)
#endif
