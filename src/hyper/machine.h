/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM needs of the host that it runs on, and whether this host has it. Any thread; may block on libvirt. */
#pragma once

#include "hyper/hyper.h"

/** Processors that something of a VM is pinned to. */
typedef struct {
    char *what; /* "vCPU 0", "the emulator" */
    char *cpus; /* as libvirt writes it: "0-3,^2" */
} drv_pin;

/** Huge pages of one size. */
typedef struct {
    guint64 size_kib; /* 0: the host's default size */
    guint64 bytes;    /* of the VM's memory in them */
} drv_pages;

/** drv_machine_free(). */
typedef struct {
    char *emulator;
    char *arch;
    char *type;            /* machine type: "pc-q35-7.2" */
    char *virt_type;       /* "kvm", "qemu" */
    char *cpu;             /* <cpu> with a model, which can be compared, or NULL */
    char *cpu_name;        /* "qemu64", "host-passthrough" */
    char *cpu_check;       /* how libvirt checks it: "none", "partial", "full" */
    gboolean cpu_of_host;  /* it has what its host has (host-passthrough, maximum) */
    char *nodes;           /* NUMA nodes of the host that its memory is bound to, or NULL */
    gboolean nodes_strict; /* and must not come from others */
    gboolean own_label;    /* runs as another user than QEMU's */
    GPtrArray *pins;       /* of drv_pin */
    GPtrArray *pages;      /* of drv_pages */
} drv_machine;

/**
 * drv_hyper_machine() - of a VM as it runs, or as it would start. A running VM that has what its host
 * has gets this host's CPU as @cpu, so that it can be compared.
 */
drv_machine *drv_hyper_machine(drv_hyper *hyper, const char *uuid, GError **error);

/** drv_hyper_knows_machine() - whether this host's emulator can run that machine type; else libvirt's reason. */
gboolean drv_hyper_knows_machine(drv_hyper *hyper, const drv_machine *machine, GError **error);

/**
 * drv_hyper_compare_cpu() - whether this host provides machine->cpu, which is not NULL.
 * @missing: set to what it lacks, of char*; empty if it provides all. Transfer full
 * @incompatible: set to libvirt's reason if it does not provide it, else NULL. Transfer full
 * Return: FALSE and @error: it could not be compared.
 */
gboolean drv_hyper_compare_cpu(drv_hyper *hyper, const drv_machine *machine, GPtrArray **missing, char **incompatible,
                               GError **error);
