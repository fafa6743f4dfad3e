/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the service manager how it goes (sd_notify's protocol, without the library). */
#pragma once

/** drv_daemon_notify() - @state: "READY=1", "WATCHDOG=1", "STOPPING=1". Nothing happens without NOTIFY_SOCKET. */
void drv_daemon_notify(const char *state);

/** drv_daemon_watchdog_ms() - how often the service manager wants to hear WATCHDOG=1: half of what it allows; 0: it does not. */
unsigned drv_daemon_watchdog_ms(void);
