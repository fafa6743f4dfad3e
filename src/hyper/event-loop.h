/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/hyper only: the thread that libvirt's events, keepalives and timers run in. */
#pragma once

/** drv_event_loop_start() - once a process, before the first connection; further calls do nothing. */
void drv_event_loop_start(void);
