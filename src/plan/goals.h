/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four goals of a move: max_pause_ms, max_time_ms (0: any), bandwidth_bps (0: any), post_copy. They
 * are given with the move, kept with the VM, or kept as a policy; here is what they may be and which
 * of them wins. Pure.
 */
#pragma once

#include "model/json.h"

#define DRV_GOALS_MAX_PAUSE_MS 300
/* The policy that holds for VMs which name none. */
#define DRV_GOALS_DEFAULT_POLICY "default"

/** drv_goals_check() - the four in @goals, as far as they are there. DRV_ERROR_INVALID. */
gboolean drv_goals_check(json_object *goals, GError **error);

/**
 * drv_goals_check_kept() - the same with the rules of plan/placement.h, and no other member but, @of_vm,
 * "policy".
 */
gboolean drv_goals_check_kept(json_object *goals, gboolean of_vm, GError **error);

/** drv_goals_check_name() - whether a policy can be called so. */
gboolean drv_goals_check_name(const char *name, GError **error);

/**
 * drv_goals_from_attributes() - what a VM's metadata say. Attributes that are not known are of another
 * version and are ignored.
 * @attributes: an object of strings, or NULL
 * Return: an object with the four goals, the rules of plan/placement.h and "policy", as far as they are there (transfer full), or NULL and
 * DRV_ERROR_INVALID with VM, attribute and what to do.
 */
json_object *drv_goals_from_attributes(json_object *attributes, const char *vm, GError **error);

/**
 * drv_goals_to_attributes() - what the metadata shall say.
 * @before: what they say now, of which attributes that are not known are kept; may be NULL
 * Return: name → value, transfer full; NULL: nothing.
 */
GHashTable *drv_goals_to_attributes(GHashTable *before, json_object *goals);

/* Who wants what. */
typedef struct {
    json_object *goals; /* NULL: nothing */
    const char *from;   /* "option", "vm", "policy:gold" */
} drv_goals_layer;

/** drv_goals_lacking() - what no layer gives: "--max-time, --bandwidth"; NULL: nothing. Transfer full. */
char *drv_goals_lacking(const drv_goals_layer *layers, guint count);

/**
 * drv_goals_resolve() - the first of @layers that gives a goal has it, else it is the built-in one. Sets
 * all four of @step and "goals_from": {"max_pause_ms": "vm"…}.
 */
void drv_goals_resolve(const drv_goals_layer *layers, guint count, json_object *step);

/** drv_goals_text() - resolved ones for people: "pause at most 200 ms (vm), …". Transfer full. */
char *drv_goals_text(json_object *step);
