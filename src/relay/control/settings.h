/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drover-relay is told on its standard input: key=value lines, nothing of it in
 * arguments or environment, where others could read the secret.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "relay/control/control.h"

#define DRV_SETTINGS_MAX 2048

/* The connected libvirtd is this descriptor of a target's relay. */
#define DRV_SETTINGS_LIBVIRT_FD 3
/* The brief about known content; the packs follow it: the one to write, then those to read. */
#define DRV_SETTINGS_CONTENT_FD 4

/* Connections to servers of older images of disks. */
#define DRV_SETTINGS_OLDER_FD 44
/* Only kept open. */
#define DRV_SETTINGS_MEMORY_FD 63

struct drv_settings {
    enum drv_relay_role role;
    char session[DRV_SESSION_ID_TEXT + 1];
    uint8_t secret[DRV_SESSION_SECRET_SIZE];
    unsigned links;
    char directory[96]; /* with a socket's name it still fits a sockaddr_un */
    char peer_host[64];
    uint16_t peer_port;
    unsigned content_files;                               /* packs; 0: no brief either */
    unsigned older_files;                                 /* target: how many of them */
    unsigned cache_mib;                                   /* at most; 0: what this host offers */
    unsigned judged;                                      /* target: 1: as in drv_relay_config */
    char older[DRV_OLDER_IMAGES][DRV_OLDER_NAME_MAX + 1]; /* source: of which exports */
    unsigned older_count;
    char user[64];
    char group[64];
};

/**
 * drv_settings_print() - a caller's configuration as text.
 * Return: its length, or -EINVAL when something does not fit or makes no sense.
 */
int drv_settings_print(const struct drv_relay_config *config, char *text, size_t size, struct drv_error *err);

/** drv_settings_parse() - @text is cut up in place. Return: 0 or -EINVAL. */
int drv_settings_parse(struct drv_settings *settings, char *text, struct drv_error *err);

/** drv_relay_cache_mib() - MiB that a relay on this host offers to remember pages in: 1/16 of its memory, 4 GiB at most. */
uint16_t drv_relay_cache_mib(void);
