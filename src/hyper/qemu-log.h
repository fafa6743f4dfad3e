/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What QEMU itself has said last, for who asks why it is gone: libvirt passes on that it is, and rarely why.
 */
#pragma once

#include <glib.h>

#include "base/ids.h"

/**
 * drv_qemu_log_words() - of a log of libvirt's for one VM: the last lines of the last QEMU that were said by
 * QEMU itself, joined by " | ", at most DRV_QEMU_WORDS_BYTES of valid UTF-8 without control characters. What
 * is always there (the command line, warnings, that libvirt has ended it) is left out. Pure.
 * @since_ms: real time; an earlier QEMU has said nothing
 * Return: transfer full; NULL: nothing.
 */
char *drv_qemu_log_words(const char *log, gint64 since_ms);

#define DRV_QEMU_WORDS_BYTES 600

/** drv_qemu_log_read() - the same of the VM's log on this host. Any thread. */
char *drv_qemu_log_read(const drv_vm_name *vm, gint64 since_ms);

/** drv_qemu_log_clean() - @text cut and sanitized as above, for words that another host has sent. Transfer full; NULL. */
char *drv_qemu_log_clean(const char *text);
