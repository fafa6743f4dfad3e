/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host has for VMs and how busy it is, in the words in which hosts can be compared without asking
 * them again. Any thread; may block on libvirt. What cannot be found out is left out.
 */
#pragma once

#include "hyper/hyper.h"

typedef struct {
    char *name;
    char *path; /* its directory; NULL: it has none */
    guint64 free_bytes;
    gboolean shared; /* of a kind that other hosts have as well: NFS, Ceph, iSCSI, … */
} drv_capacity_pool;

/** drv_capacity_clear(). */
typedef struct {
    GPtrArray *cpu_features; /* of char*: that this hypervisor can give to guests; NULL: not known */
    GPtrArray *networks;     /* of char*: "bridge:br0", "network:default"; NULL: not known */
    GPtrArray *pools;        /* of drv_capacity_pool: active ones; NULL: not known */
    double cpu_used;         /* cores, since it was last looked at; < 0: not known */
} drv_capacity;

void drv_hyper_capacity(drv_hyper *hyper, drv_capacity *capacity);
void drv_capacity_clear(drv_capacity *capacity);

/** drv_hyper_vm_loads() - cores that VMs use, by UUID: char* → double*. Transfer full. */
GHashTable *drv_hyper_vm_loads(drv_hyper *hyper);

/**
 * drv_hyper_vm_features() - CPU features that a running VM has and that this host provides: those that another
 * host must have. Remembered for a minute. Transfer full, of char*; NULL: not known.
 */
GPtrArray *drv_hyper_vm_features(drv_hyper *hyper, const char *uuid);

/** drv_cpu_features() - the names in an expanded <cpu>. Transfer full, of char*, sorted; NULL: it is no <cpu>. */
GPtrArray *drv_cpu_features(const char *xml);
