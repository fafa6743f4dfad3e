/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/store only: where an etcd is, from etcd://HOST[:PORT][,HOST…][/PREFIX]. */
#pragma once

#include <glib.h>

#include "hyper/gerror.h"

#define DRV_ETCD_PORT 2379
#define DRV_ETCD_PREFIX "drover"

typedef struct {
    char *text;      /* the whole, spelled in one way: two that are equal are the same place */
    GStrv endpoints; /* "https://h1:2379" */
    char *prefix;    /* of all keys, without slashes at its ends */
    gboolean tls;
} drv_etcd_url;

/** drv_etcd_url_parse() - @tls: over TLS also when it says etcd:// (certificates were given). */
gboolean drv_etcd_url_parse(drv_etcd_url *url, const char *text, gboolean tls, GError **error);
void drv_etcd_url_clear(drv_etcd_url *url);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(drv_etcd_url, drv_etcd_url_clear)
