/* SPDX-License-Identifier: Apache-2.0 */
/* How etcd's JSON gateway says it: keys and values in base64, numbers as text. See etcd.h. */
#include "store/etcd-json.h"

#include <string.h>
#include <zstd.h>

#include "store/etcd-state.h"

#define SMALL_BYTES 65536 /* etcd takes 1.5 MiB at a time, and keeps all in memory */
#define TEXT_MOST_BYTES (8u << 20)

static char *encode(const char *text)
{
    return g_base64_encode((const guchar *)text, strlen(text));
}

static char *path(const drv_etcd *s, const char *kind, const char *bucket, const char *key)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "/%s/%s", s->url.prefix, kind);
    if (bucket)
        g_string_append_printf(text, "/%s", bucket);
    if (key)
        g_string_append_printf(text, "/%s", key);
    return g_string_free(text, FALSE);
}

char *drv_etcd_key(const drv_etcd *s, const char *kind, const char *bucket, const char *key)
{
    g_autofree char *plain = path(s, kind, bucket, key);

    return encode(plain);
}

char *drv_etcd_name(const drv_etcd *s, const char *kind, const char *bucket, const char *key)
{
    g_autofree char *before = path(s, kind, bucket, "");
    gsize size = 0, length = strlen(before);
    g_autofree guchar *plain = g_base64_decode(key, &size);

    if (size <= length || memcmp(plain, before, length) || memchr(plain, 0, size))
        return NULL;
    return g_strndup((const char *)plain + length, size - length);
}

char *drv_etcd_value(const char *text)
{
    gsize size = strlen(text), most = ZSTD_compressBound(size);
    g_autofree guchar *packed = size > SMALL_BYTES ? g_malloc(most) : NULL;

    if (packed)
        size = ZSTD_compress(packed, most, text, size, 3);
    if (packed && !ZSTD_isError(size))
        return g_base64_encode(packed, size);
    return encode(text);
}

/* JSON never begins like a zstd frame. */
static char *unpack(guchar *bytes, gsize size, GError **error)
{
    unsigned long long full = ZSTD_getFrameContentSize(bytes, size);
    g_autofree char *text = full <= TEXT_MOST_BYTES ? g_malloc(full + 1) : NULL;

    if (text && ZSTD_decompress(text, full, bytes, size) == full) {
        text[full] = '\0';
        return g_steal_pointer(&text);
    }
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "a document in etcd is damaged");
    return NULL;
}

char *drv_etcd_text(const char *value, GError **error)
{
    static const guchar zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    gsize size = 0;
    g_autofree guchar *bytes = g_base64_decode(value, &size);

    return size >= sizeof zstd && !memcmp(bytes, zstd, sizeof zstd) ? unpack(bytes, size, error)
                                                                    : g_strndup((const char *)bytes, size);
}

json_object *drv_etcd_object(const char *name, ...)
{
    json_object *object = json_object_new_object();
    va_list rest;

    va_start(rest, name);
    for (; name; name = va_arg(rest, const char *))
        json_object_object_add(object, name, json_object_new_string(va_arg(rest, const char *)));
    va_end(rest);
    return object;
}

json_object *drv_etcd_wrap(const char *name, json_object *value)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, name, value);
    return object;
}

json_object *drv_etcd_compare(const char *key, const char *target, const char *result, gint64 number)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);

    return drv_etcd_object("key", key, "target", g_str_equal(target, "mod_revision") ? "MOD" : "CREATE", "result",
                           result, target, text, NULL);
}

json_object *drv_etcd_range(const char *key)
{
    return drv_etcd_wrap("request_range", drv_etcd_object("key", key, NULL));
}

json_object *drv_etcd_range_all(const drv_etcd *s, const char *kind, const char *bucket)
{
    g_autofree char *first = path(s, kind, bucket, "");
    g_autofree char *last = g_strdup(first);
    g_autofree char *from = encode(first);
    g_autofree char *to = NULL;

    last[strlen(last) - 1] = '/' + 1;
    to = encode(last);
    return drv_etcd_object("key", from, "range_end", to, NULL);
}

gint64 drv_etcd_number(json_object *from, const char *name)
{
    json_object *value;

    return json_object_object_get_ex(from, name, &value) ? json_object_get_int64(value) : 0;
}

const char *drv_etcd_string(json_object *from, const char *name)
{
    json_object *value;

    return json_object_object_get_ex(from, name, &value) ? json_object_get_string(value) : "";
}

json_object *drv_etcd_kvs(json_object *answer, guint index)
{
    json_object *value;

    if (!json_object_object_get_ex(answer, "responses", &value) || index >= json_object_array_length(value) ||
        !json_object_object_get_ex(json_object_array_get_idx(value, index), "response_range", &value) ||
        !json_object_object_get_ex(value, "kvs", &value) || !json_object_is_type(value, json_type_array) ||
        json_object_array_length(value) == 0)
        return NULL;
    return value;
}
