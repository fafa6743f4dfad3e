/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a running guest's memory, from its QEMU process. libvirt has no part in it: virDomainMemoryPeek takes the
 * VM's job lock, has QEMU write a file, and has AppArmor load the VM's profile anew for each call.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* The unit of reading. */
#define DRV_PEEK_BYTES 65536u

typedef struct drv_guest_memory drv_guest_memory;

/**
 * drv_hyper_memory_open() - the memory of VM @name, for reading. Any thread; does not block on libvirt or QEMU.
 * @uuid: what the process must say it is; a process that has another's number by now is never read
 * Return: transfer full; NULL and @error: there is no such process, it may not be read, or the guest's memory is not to be
 *         told from QEMU's own.
 */
drv_guest_memory *drv_hyper_memory_open(const char *name, const char *uuid, GError **error);

/** drv_hyper_memory_open_process() - as above, of a process that is known. */
drv_guest_memory *drv_hyper_memory_open_process(pid_t pid, const char *uuid, GError **error);

void drv_hyper_memory_free(drv_guest_memory *memory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_guest_memory, drv_hyper_memory_free)

/** drv_hyper_memory_chunks() - how many whole pieces of DRV_PEEK_BYTES it has. */
guint drv_hyper_memory_chunks(const drv_guest_memory *memory);

/**
 * drv_hyper_memory_read() - what a piece has now; the guest goes on.
 * @chunk: below drv_hyper_memory_chunks(); @bytes: DRV_PEEK_BYTES of them
 * Return: FALSE and @error: the process is gone.
 */
gboolean drv_hyper_memory_read(const drv_guest_memory *memory, guint chunk, guint8 *bytes, GError **error);
