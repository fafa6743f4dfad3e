/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source's libvirtd asks of this host's in a session: its relay lets pass only what belongs to a migration
 * (relay/rpc.h), and holds the two calls that say what is to be made here until they are judged.
 */
#pragma once

#include "move/target/session-record.h"
#include "relay/control/control.h"

/** drv_judge() - the call that waits in @relay: it passes, or the session ends and its source hears why. May block. */
void drv_judge(drv_incoming *incoming, drv_relay *relay);

/** drv_judge_saved() - whether the definition that has arrived for good may be started by itself. Logs why not. */
gboolean drv_judge_saved(drv_incoming *incoming);
