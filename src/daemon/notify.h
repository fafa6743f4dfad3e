/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the service manager how it goes (sd_notify's protocol, without the library). */
#pragma once

/** drv_daemon_notify() - @state: "READY=1", "STOPPING=1". Nothing happens without NOTIFY_SOCKET. */
void drv_daemon_notify(const char *state);
