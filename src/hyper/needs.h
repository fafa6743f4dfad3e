/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a definition needs of the host that runs it besides processors, memory, disks and networks: files,
 * directories, sockets, ports, devices, secrets, certificates. One table (needs.c) names the elements and
 * attributes; another (needs-arguments.c) QEMU's own options in <qemu:commandline>. Pure but for
 * drv_hyper_needs() and drv_hyper_secret(); any thread.
 */
#pragma once

#include "hyper/hyper.h"

typedef enum {
    DRV_NEED_FILE,         /* is there */
    DRV_NEED_DIRECTORY,    /* is there */
    DRV_NEED_NEW,          /* is made when the VM starts: its directory is there */
    DRV_NEED_SOCKET,       /* a unix socket on which somebody listens already */
    DRV_NEED_PIPE,         /* a named pipe, or two: PATH.in and PATH.out */
    DRV_NEED_DEVICE,       /* a device node */
    DRV_NEED_TCP,          /* port of address is listened on; 0: the address alone counts */
    DRV_NEED_UDP,          /* the same */
    DRV_NEED_SECRET,       /* libvirt's: "UUID", or "ceph:USAGE" */
    DRV_NEED_NETWORK_CARD, /* network device of the host, by its name */
    DRV_NEED_TLS,          /* server's certificates: "vnc", "spice", "chardev"; client's: "nbd" */
    DRV_NEED_HUGETLBFS,    /* a mounted file system of huge pages; value: KiB of a page, 0: the default */
    DRV_NEED_PCI,          /* "0000:01:00.0" */
    DRV_NEED_USB,          /* "1d6b:0002" */
    DRV_NEED_MDEV,         /* UUID */
    DRV_NEED_SCSI_THREAD,  /* disk (its target) on a virtio-scsi controller with an I/O thread of its own */
    DRV_NEED_KINDS
} drv_need_kind;

typedef struct {
    drv_need_kind kind;
    const char *about; /* check that judges it: "needs", "graphics", "firmware", "hugepages", "devices" */
    char *what;        /* of the VM, for messages: "serial 0" */
    char *value;       /* path, name, UUID; NULL for ports */
    char *address;     /* of ports */
    guint port;
    gboolean later; /* only its next start needs it */
} drv_need;

/** drv_need_kind_name() - as in facts: "file", "new-file". */
const char *drv_need_kind_name(drv_need_kind kind);

/** drv_needs_from_xml() - of one definition, each once. DRV_ERROR_INVALID. Transfer full, of drv_need. */
GPtrArray *drv_needs_from_xml(const char *xml, GError **error);

/**
 * drv_hyper_needs() - of a running VM as libvirt would send it, then what only its next start needs; of one
 * that is shut off what its start needs. Blocks on libvirt. Transfer full, of drv_need.
 */
GPtrArray *drv_hyper_needs(drv_hyper *hyper, const char *uuid, GError **error);

/** drv_hyper_secret() - whether this host's libvirt has that secret and a value of it. DRV_ERROR_NOT_FOUND. */
gboolean drv_hyper_secret(drv_hyper *hyper, const char *value, GError **error);

/* Inside src/hyper: needs-arguments.c. Adds one need to @data. */
typedef void (*drv_need_add)(gpointer data, drv_need_kind kind, const char *what, const char *value,
                             const char *address, guint port);
