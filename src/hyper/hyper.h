/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local hypervisor as Drover sees it: libvirt behind a narrow door. One
 * drv_hyper a process; every function may be called from any thread but the main
 * one, since libvirt may block. A lost libvirtd is reported (DRV_ERROR_UNREACHABLE) and
 * reconnected to at the next call.
 */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

typedef struct drv_hyper drv_hyper;
typedef struct drv_rewrite drv_rewrite; /* rewrite.h */

/* Where hosts were cloned, or their mainboards have the same serial number. */
#define DRV_HOST_UUID_REMEDY                                                                                           \
    "give one of them another: host_uuid = \"…\" (from uuidgen) in /etc/libvirt/libvirtd.conf there "                \
    "(virtqemud.conf where that is the daemon), and restart libvirtd"

/** What is true of this host. Strings owned; drv_host_facts_clear(). */
typedef struct {
    char *hostname;
    char *cpu_model;
    char *uuid; /* by which libvirt tells hosts apart; NULL: it does not say */
    guint cpus;
    guint64 memory_bytes;
    guint64 memory_free_bytes; /* free plus what caches could give back */
    char *libvirt_version;     /* "9.0.0" */
    char *qemu_version;        /* "7.2.22" */
    guint domains_running;
    gint64 clock_real_ms;
} drv_host_facts;

typedef enum {
    DRV_DOMAIN_SHUT_OFF,
    DRV_DOMAIN_RUNNING,
    DRV_DOMAIN_PAUSED,
    DRV_DOMAIN_CRASHED,
    DRV_DOMAIN_OTHER,
} drv_domain_state;

/** One disk of a domain, as its XML has it. */
typedef struct {
    char *target;         /* "vda" */
    char *device;         /* "disk", "cdrom", "floppy" */
    char *type;           /* "file", "block", "network", "volume" */
    char *source;         /* path, or "nbd://…"-like description; NULL: an empty drive */
    char *format;         /* "raw", "qcow2", … */
    char *cache;          /* "none", …; NULL: libvirt's default */
    char *startup_policy; /* "optional", "requisite": whether it may be missing; NULL: it must be there */
    char *alias;          /* of a running VM: libvirt's name for the device; NULL: it has none */
    gboolean readonly;
    gboolean shareable;
    gboolean encrypted;     /* by QEMU, with a secret that libvirt keeps */
    guint64 capacity_bytes; /* 0 when it could not be found out */
    guint64 allocation_bytes;
} drv_disk;

/** A domain at one instant. drv_domain_free(). */
typedef struct {
    char *name;
    char *uuid;
    drv_domain_state state;
    char *reason; /* libvirt's word for it: "migration", "user", … */
    guint vcpus;
    guint64 memory_bytes;
    gboolean persistent;
    gboolean autostart;
    gboolean busy;        /* a libvirt job runs on it */
    GPtrArray *disks;     /* of drv_disk */
    GPtrArray *networks;  /* of char*: "bridge:br0", "network:default", … */
    GPtrArray *macs;      /* of char*: the same interfaces' addresses, "" if unknown */
    GPtrArray *obstacles; /* of char*: devices that cannot move live, by name, with the way out */
    char *owner;          /* of whom it is, by its metadata; NULL: it says nothing */
    GHashTable *goals;    /* attributes of the goals in its metadata; NULL: it has none */
} drv_domain;

#define DRV_USERFAULT_SYSCTL "/proc/sys/vm/unprivileged_userfaultfd"

/* Of the goals in a VM's metadata. It is in the definitions of VMs: it cannot be changed any more. */
#define DRV_GOALS_NAMESPACE "urn:drover:goals:1"

/* Of the owner in a VM's metadata, which cannot be changed any more either. */
#define DRV_OWNER_NAMESPACE "urn:drover:owner:1"

/* ---- moving ---- */

typedef struct {
    const char *uuid;
    const char *session_dir;       /* of the relay: its three sockets are the three URIs */
    const char *const *copy_disks; /* targets ("vda") to copy; NULL or empty: none */
    guint max_pause_ms;            /* allowed pause to start with; 0: libvirt's default */
    guint64 bandwidth_bps;         /* bytes a second; 0: unlimited */
    gboolean post_copy;            /* may be handed over by drv_hyper_start_post_copy(). QEMU is
                                       then not to end by itself: max_pause_ms is ignored, and the
                                       guest does not arrive paused, which libvirt refuses */
    gboolean recover;              /* with post_copy: go on with a broken post-copy */
    const drv_rewrite *rewrite;    /* how the definition changes on the way; NULL: not at all */
    gboolean proven_shared;        /* disks that are not copied were proven to be the same at both
                                       ends, on a file system that libvirt does not know as shared */
} drv_migrate_params;

/** Statistics of a running or the last completed migration job. Counters in bytes and ms. */
typedef struct {
    gboolean active; /* a migration (incoming or outgoing) runs now */
    gboolean outgoing;
    guint64 elapsed_ms;
    guint64 downtime_ms; /* expected while it runs, actual after it; 0 unknown */
    guint64 memory_total_bytes;
    guint64 memory_processed_bytes;
    guint64 memory_remaining_bytes;
    guint64 memory_bps;     /* bytes a second */
    guint64 dirty_rate_bps; /* bytes a second */
    guint64 page_size_bytes;
    guint64 rounds;           /* iterations of pre-copy */
    guint64 disk_total_bytes; /* grows with what the guest writes; memory_total_bytes is 0 until its turn */
    guint64 disk_processed_bytes;
    guint64 disk_remaining_bytes;
    guint64 disk_bps;
    guint64 qemu_bytes;        /* what QEMU has written for memory */
    guint throttle_percent;    /* of its time that the guest is kept from running */
    gboolean switching;        /* QEMU has stopped the guest for the last round (where it can be told) */
    gboolean post_copy;        /* the guest runs at the target, what it lacks is still here */
    gboolean post_copy_broken; /* and the way to the target is lost: the move waits to be recovered */
} drv_job_stats;

/* What happens to a guest on its way. */
typedef enum {
    DRV_MOVE_PAUSED,    /* source: stopped for the switch */
    DRV_MOVE_POST_COPY, /* source: handed over, its memory follows */
    DRV_MOVE_ARRIVED,   /* target: runs, its memory follows */
} drv_move_event;

/**
 * drv_hyper_on_move() - call @func when one of these happens to a domain, from libvirt's event
 * thread: it must not block. @when_us: drv_clock_us() at which the event arrived.
 */
typedef void (*drv_hyper_move_func)(const char *uuid, drv_move_event event, gint64 when_us, gpointer data);
