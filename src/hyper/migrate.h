/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live move, driven by libvirtd itself (peer-to-peer), whose three connections are the relay's sockets in the
 * session's directory.
 */
#pragma once

#include <glib.h>

#include "hyper/hyper.h"

/**
 * drv_hyper_migrate() - move live, peer-to-peer, arriving paused (rule: see docs/architecture.rst).
 * Blocks until libvirt says that it is over. Killing the caller does not abort it.
 * It returns some 200 ms after the guest has arrived (libvirt first waits for the source's QEMU to
 * end). DRV_ERROR_UNREACHABLE: the local libvirtd was lost, and the move may be going on;
 * DRV_ERROR_CANCELLED: drv_hyper_job_abort(); anything else: the guest has stayed here.
 */
gboolean drv_hyper_migrate(drv_hyper *hyper, const drv_migrate_params *params, GError **error);
