/* SPDX-License-Identifier: Apache-2.0 */
/* Where an etcd is: see etcd-url.h. */
#include "store/etcd-url.h"

#include <string.h>

#define MEMBERS_MOST 9
#define PREFIX_MOST 128

void drv_etcd_url_clear(drv_etcd_url *url)
{
    g_free(url->text);
    g_strfreev(url->endpoints);
    g_free(url->prefix);
    *url = (drv_etcd_url){0};
}

static gboolean bad(const char *text, const char *why, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                "%.200s cannot be a store: %s; it looks like etcd://h1:2379,h2:2379,h3:2379/drover", text, why);
    return FALSE;
}

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT → "host:port", or NULL. */
static char *member(const char *text)
{
    const char *end = *text == '[' ? strchr(text, ']') : text + strcspn(text, ":");
    gsize length = end ? (gsize)(end - text) + (*text == '[') : 0;
    g_autofree char *host = g_strndup(text, length);
    const char *allowed = *text == '[' ? "0123456789abcdefABCDEF:.[]"
                                       : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                         "0123456789.-";
    guint64 port = DRV_ETCD_PORT;

    if (length < 1 + 2 * (*text == '[') || length > 253 || strspn(host, allowed) != length)
        return NULL;
    text += length;
    if (*text && (*text != ':' || !g_ascii_string_to_unsigned(text + 1, 10, 1, 65535, &port, NULL)))
        return NULL;
    return g_strdup_printf("%s:%u", host, (guint)port);
}

/* Parts of letters, digits and "._-", with single slashes between them. */
static gboolean is_prefix(const char *text)
{
    gsize length = strlen(text);

    return length >= 1 && length <= PREFIX_MOST && text[0] != '/' && text[length - 1] != '/' && !strstr(text, "//") &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") == length;
}

gboolean drv_etcd_url_parse(drv_etcd_url *url, const char *text, gboolean tls, GError **error)
{
    const char *rest = strstr(text, "://") + strlen("://");
    g_autoptr(GPtrArray) endpoints = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) canonical = NULL;
    g_autofree char *hosts = g_strndup(rest, strcspn(rest, "/"));
    const char *path = rest + strlen(hosts);
    g_autofree char *prefix = g_strdup(path[0] && path[1] ? path + 1 : DRV_ETCD_PREFIX);
    g_auto(GStrv) names = g_strsplit(hosts, ",", MEMBERS_MOST + 1);

    tls = tls || g_str_has_prefix(text, "etcds:");
    if (strchr(text, '@'))
        return bad(text, "a user and password cannot be in it", error);
    if (!names[0] || g_strv_length(names) > MEMBERS_MOST)
        return bad(text, "it names 1 to 9 members of etcd", error);
    if (!is_prefix(prefix))
        return bad(text, "its prefix may hold letters, digits, '.', '_', '-' and '/'", error);
    canonical = g_string_new(tls ? "etcds://" : "etcd://");
    for (guint i = 0; names[i]; i++) {
        g_autofree char *one = member(names[i]);

        if (!one)
            return bad(text, "a member of etcd is HOST:PORT", error);
        g_ptr_array_add(endpoints, g_strconcat(tls ? "https://" : "http://", one, NULL));
        g_string_append_printf(canonical, "%s%s", i ? "," : "", one);
    }
    g_string_append_printf(canonical, "/%s", prefix);
    g_ptr_array_add(endpoints, NULL);
    *url = (drv_etcd_url){.text = g_string_free(g_steal_pointer(&canonical), FALSE),
                          .endpoints = (GStrv)g_ptr_array_steal(endpoints, NULL),
                          .prefix = g_steal_pointer(&prefix),
                          .tls = tls};
    return TRUE;
}
