/* SPDX-License-Identifier: Apache-2.0 */
/* What the definition of a VM that comes from another node may name. */
#pragma once

#include <glib.h>

#include "base/ids.h"
#include "hyper/admission.h"

/**
 * drv_admission_check_domain() - whether a VM with this definition may come here: it is the one with @uuid and @vm,
 * and each path, argument and label in it is of a kind that the rules allow. Looks at the file system (links, modes,
 * whether a device is in use), never at what is in a file.
 * @formats: path → format, of the images that were made here for it; NULL: none
 * @used: gets the drv_admission_file of its disks, firmware and kernels: no other VM may use those that it writes to, or
 * write to those that it reads; or NULL
 * DRV_ERROR_DENIED says what is in the way, and what the operator can do.
 */
gboolean drv_admission_check_domain(const drv_admission *admission, const char *xml, const drv_uuid *uuid,
                                    const char *vm, GHashTable *formats, GPtrArray *used, GError **error);
void drv_admission_file_free(gpointer file);
