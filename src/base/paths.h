/* SPDX-License-Identifier: Apache-2.0 */
/* Where Drover keeps things on a host, and the one port. */
#pragma once

#define DRV_PORT 7443

#define DRV_ETC_DIR "/etc/drover"                   /* identity: node.json, ca.crt, node.crt, node.key */
#define DRV_HOOKS_DIR DRV_ETC_DIR "/hooks"          /* arrived.d: programs run when a VM has arrived */
#define DRV_ADMISSION_FILE DRV_ETC_DIR "/admission" /* what others may bring here besides: hyper/admission.h */
#define DRV_STATE_DIR "/var/lib/drover"             /* the store */
#define DRV_RUN_DIR "/run/drover"                   /* what a reboot forgets */
#define DRV_SESSIONS_DIR DRV_RUN_DIR "/sessions"

/* In a session's directory, the same on both hosts. */
#define DRV_SOCKET_CONTROL "control.sock"
#define DRV_SOCKET_RAM "ram.sock"
#define DRV_SOCKET_DISK "disk.sock"
#define DRV_SOCKET_ADMIN "relay.sock"

/* SNI names: <session>.relay.drover goes to that session's relay, the rest to the API. */
#define DRV_RELAY_SUFFIX ".relay.drover"
#define DRV_NODE_SUFFIX ".drover"

#define DRV_SESSION_ID_SIZE 16                        /* bytes */
#define DRV_SESSION_ID_TEXT (2 * DRV_SESSION_ID_SIZE) /* digits, without the NUL */
#define DRV_SESSION_SECRET_SIZE 32                    /* bytes */
