/* SPDX-License-Identifier: Apache-2.0 */
/* What a host has, out of /proc, /sys, /etc and its network. Any thread; nothing here calls libvirt. */
#pragma once

#include <glib.h>

/** drv_host_setting() - of /etc/libvirt/qemu.conf, or @otherwise. Transfer full. */
char *drv_host_setting(const char *key, const char *otherwise);

/** drv_host_qemu_user() - as whom libvirt runs QEMU here, by qemu.conf or the distribution. Transfer full. */
char *drv_host_qemu_user(void);

/** drv_host_online() - "0-3": of "cpu" or "node". Transfer full; NULL: not known. */
char *drv_host_online(const char *what);

typedef struct {
    guint64 size_kib; /* 0: there are none of that size */
    guint64 total_bytes;
    guint64 free_bytes;
} drv_host_pages;

/** drv_host_hugepages() - @size_kib 0: the default size. @nodes: only of these NUMA nodes, or NULL. */
drv_host_pages drv_host_hugepages(guint64 size_kib, const char *nodes);

/** drv_host_nodes_free() - memory of these NUMA nodes that is free or a cache; -1: not known. */
gint64 drv_host_nodes_free(const char *nodes);

typedef enum { DRV_BIND_OK, DRV_BIND_UNKNOWN, DRV_BIND_IN_USE, DRV_BIND_FAILED } drv_bind_result;

/**
 * drv_host_can_bind() - whether a program could listen there, tried. @type: SOCK_STREAM, SOCK_DGRAM.
 * @port 0: any. @reason: transfer full.
 */
drv_bind_result drv_host_can_bind(const char *address, int type, guint port, char **reason);

/** drv_host_can_write() - whether root can make files in @directory, or, if it is missing, in what is above it. NULL: yes. Transfer full. */
char *drv_host_can_write(const char *directory);

/** drv_host_can_pass() - whether @user could open files in @directory. What cannot be found out: yes. */
gboolean drv_host_can_pass(const char *directory, const char *user);
