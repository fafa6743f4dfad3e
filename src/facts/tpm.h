/* SPDX-License-Identifier: Apache-2.0 */
/* The state of an emulated TPM, which libvirt keeps in a directory of the VM's UUID. */
#pragma once

#include "base/ids.h"
#include "node/context.h"

/** drv_tpm_dir() - where it is. Transfer full. */
char *drv_tpm_dir(const drv_uuid *uuid);

/** drv_tpm_is_free() - whether there is no state of this VM. DRV_ERROR_CONFLICT. */
gboolean drv_tpm_is_free(const drv_uuid *uuid, GError **error);

/**
 * drv_tpm_write() - make it of what its old host has sent: see PARCEL in move/target/arrival.h. Nothing outside the directory is
 * written to, whatever the paths say, and all is its owner's alone, who is root or the user of swtpm.
 */
gboolean drv_tpm_write(const drv_uuid *uuid, json_object *files, GError **error);

/** drv_tpm_remove() - with all that is in it; missing: nothing to do. */
void drv_tpm_remove(const drv_uuid *uuid);
