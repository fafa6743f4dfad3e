/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about a VM's disks and belongings at both ends, which plan/disks.h and
 * plan/belongings.h judge. The source gathers: it writes markers beside the images, tells the
 * target what it has, and puts what that answers beside its own.
 *
 * FACTS: "disks": [{"target", "device", "type", "path" (resolved), "format", "readonly",
 * "shareable", "encrypted", "capacity_bytes", "allocation_bytes", "cache", "file" (FILE, or null with
 * "file_error"), "chain": [{"path", "format", FILE's members, "digest", "remote": no file of this host}…],
 * "data": [the same of data files, "of": whose, "own": the disk's own image's}…], "chain_error", "internal_snapshots",
 * "needed_by" (who else needs it), "saved" (only the saved definition names it), "running_path" (what runs by that name),
 * "running_as" (by which name it runs), "in_place" (not put into a pool),
 * "digest" (of what is only read), "export" (how QEMU calls it when it mirrors it), "seed" (the older image
 * that was named), "there": {FILE's members, "same", "digest", "target_path",
 * "target_exists", "target_block", "target_size_bytes", "blank", "not_blank", "directory", "fs",
 * "free_bytes", "chain": […], "data": […], "seed" (base-images.h)}}…], "networks": [{"mac", "network"}…], "networks_there":
 * {"br0": ["bridge"]…}, "loader", "loader_there", "nvram", "nvram_there", "nvram_same", "tpm",
 * "tpm_there", "swtpm_there", "autostart", "persistent", "saved", "checkpoints", "snapshots",
 * "external_snapshots", "transient", "uses_error", "pool_error", "owner", and of another host "machine", "here", "there" and "link" (see
 * machine.h). Of a target that cannot be reached there are only "machine", "here" and "link".
 * FILE: "exists", "block", "size_bytes", "allocation_bytes", "inode", "known_shared", "ids".
 */
#pragma once

#include "node/context.h"

/** drv_facts_gather() - at the source. @wish: {"target", "target_pool", "map_networks", "offline", "disk_seeds"}. */
json_object *drv_facts_gather(drv_context *ctx, const char *uuid, json_object *wish, GError **error);

/** drv_facts_answer() - at the target: what there is of what the source tells. */
json_object *drv_facts_answer(drv_context *ctx, json_object *told, GError **error);
