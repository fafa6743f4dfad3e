/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about what a VM needs of its host and what the target has of it, which plan/target.h judges.
 *
 * "machine": {"emulator", "arch", "machine", "virt_type", "cpu", "cpu_name", "cpu_check", "nodes",
 * "nodes_strict", "own_label", "pins": [{"what", "cpus"}…], "pages": [{"size_kib", "bytes"}…],
 * "needs": of needs.h}: what the VM needs.
 * "here": {"qemu", "host_uuid", "lock_manager", "cpu_missing": […], "cpu_incompatible", "cpu_error", "attention"
 * and "moving" (jobs)}: of the source.
 * "there": the same of the target, and "machine_error", "memory_free_bytes", "pages": [{"size_kib",
 * "total_bytes", "free_bytes", "nodes"}…] and "needs": [{"error", "in_use", "unknown"}…] beside
 * the machine's, "cpus" and "nodes" (as "0-3"), "nodes_free_bytes", "post_copy_error", "qemu_group",
 * "qemu_user", "sessions_error", "directories": [{"path", "error", "closed"}…], "existing_uuid" and
 * "existing_name" (states), "session".
 * "link": {"member", "address", "port", "round_trip_us", "clock_ahead_ms", "error"}.
 */
#pragma once

#include "node/context.h"

/** drv_machine_facts_here() - sets "machine" and "here" of @facts: at the source. */
gboolean drv_machine_facts_here(drv_context *ctx, const char *uuid, json_object *facts, GError **error);

/**
 * drv_machine_facts_there() - the target's answer. Transfer full.
 * @told: "machine", "vm", "uuid"
 * @directories: of char*, in which images would be made
 */
json_object *drv_machine_facts_there(drv_context *ctx, json_object *told, GPtrArray *directories, GError **error);

/** drv_machine_facts_link() - the way to @target, tried. Transfer full. */
json_object *drv_machine_facts_link(drv_context *ctx, const char *target);
