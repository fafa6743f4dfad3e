/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/api only: what making and reading a backup have in common. */
#pragma once

#define DRV_BACKUP_FORMAT 1

/* Of /etc/drover, NULL at the end; node.json last, as it makes an identity whole. */
extern const char *const drv_backup_files[];
