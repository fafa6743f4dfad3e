/* SPDX-License-Identifier: Apache-2.0 */
/* Which files an image consists of: see image.h. The layout of qcow2 is that of QEMU's docs/interop/qcow2.txt. */
#include "hyper/image.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "hyper/content.h"

#define MAGIC 0x514649fbU /* "QFI\xfb" */
#define EXTENSION_FORMAT 0xe2792acaU
#define EXTENSION_DATA_FILE 0x44415441U
#define HEADER_V2_BYTES 72
#define NAME_MOST_BYTES 1023
/* Header, extensions and the base's name are in the first cluster. */
#define FIRST_CLUSTER_BYTES (64 << 10)
#define DEPTH_MOST 128

static void part_free(gpointer data)
{
    drv_image_part *part = data;

    g_free(part->path);
    g_free(part->format);
    g_free(part);
}

/* ---- names ---- */

static const char *text_of(json_object *object, const char *key)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, key, &value) && json_object_is_type(value, json_type_string)
               ? json_object_get_string(value)
               : NULL;
}

/* {"driver": "qcow2", "file": {"driver": "file", "filename": …}}, also flat as "file.filename". */
static const char *filename_in(json_object *object, guint depth)
{
    const char *driver = text_of(object, "driver");
    const char *name = text_of(object, "filename");
    json_object *inner = NULL;

    if (name && (!driver || g_str_equal(driver, "file") || g_str_equal(driver, "host_device")))
        return name;
    if (depth && json_object_object_get_ex(object, "file", &inner) && json_object_is_type(inner, json_type_object))
        return filename_in(inner, depth - 1);
    name = text_of(object, "file.filename");
    driver = text_of(object, "file.driver");
    return !driver || g_str_equal(driver, "file") || g_str_equal(driver, "host_device") ? name : NULL;
}

/* QEMU's rule: a colon before any slash ends a protocol's name. */
static gboolean has_protocol(const char *name)
{
    return name[strcspn(name, ":/")] == ':';
}

static char *absolute(const char *name, const char *image)
{
    g_autofree char *directory = g_path_get_dirname(image);

    return *name ? g_canonicalize_filename(name, directory) : NULL;
}

char *drv_image_name_path(const char *name, const char *image)
{
    json_object *object;
    const char *inner;
    char *path;

    if (g_str_has_prefix(name, "file:"))
        return absolute(name + strlen("file:"), image);
    if (!g_str_has_prefix(name, "json:"))
        return has_protocol(name) ? NULL : absolute(name, image);
    object = json_tokener_parse(name + strlen("json:"));
    inner = object && json_object_is_type(object, json_type_object) ? filename_in(object, 4) : NULL;
    if (inner && g_str_has_prefix(inner, "file:"))
        inner += strlen("file:");
    path = inner ? absolute(inner, image) : NULL;
    json_object_put(object);
    return path;
}

char *drv_image_data_path(const char *name, const char *image, gboolean *astray)
{
    g_autofree char *path = drv_image_name_path(name, "/");
    g_autofree char *beside = drv_image_name_path(name, image);

    *astray = path && !g_str_equal(path, beside) && !g_file_test(path, G_FILE_TEST_EXISTS) &&
              g_file_test(beside, G_FILE_TEST_EXISTS);
    return *astray ? g_steal_pointer(&beside) : g_steal_pointer(&path);
}

static drv_image_part *add_part(GPtrArray *parts, const char *name, const char *image, gboolean data)
{
    drv_image_part *part = g_new0(drv_image_part, 1);

    gboolean astray;

    part->path = data ? drv_image_data_path(name, image, &astray) : drv_image_name_path(name, image);
    part->local = part->path != NULL;
    if (!part->local)
        part->path = g_strdup(name);
    part->data = data;
    g_ptr_array_add(parts, part);
    return part;
}

/* ---- qcow2 ---- */

GPtrArray *drv_image_read_header(const guint8 *bytes, gsize size, const char *image)
{
    struct drv_reader at = drv_reader_over(bytes, size);
    guint32 magic = drv_read_u32(&at), version = drv_read_u32(&at);
    guint64 name_at = drv_read_u64(&at);
    guint32 name_bytes = drv_read_u32(&at), header_bytes = HEADER_V2_BYTES;
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(part_free);
    g_autofree char *format = NULL;

    if (at.bad || magic != MAGIC || version < 2 || version > 3)
        return NULL;
    if (version == 3) {
        at = drv_reader_over(bytes, size);
        drv_read_bytes(&at, 100);
        header_bytes = drv_read_u32(&at);
    }
    at = drv_reader_over(bytes, size);
    drv_read_bytes(&at, header_bytes);
    while (!at.bad) {
        guint32 type = drv_read_u32(&at), length = drv_read_u32(&at);
        const guint8 *data;

        if (at.bad || type == 0)
            break;
        data = drv_read_bytes(&at, length);
        drv_read_bytes(&at, (8 - length % 8) % 8);
        if (!data || length > NAME_MOST_BYTES)
            continue;
        if (type == EXTENSION_FORMAT && !format)
            format = g_strndup((const char *)data, length);
        if (type == EXTENSION_DATA_FILE) {
            g_autofree char *name = g_strndup((const char *)data, length);

            if (*name)
                add_part(parts, name, image, TRUE)->format = g_strdup("raw");
        }
    }
    if (name_at && name_bytes && name_bytes <= NAME_MOST_BYTES && name_at <= size && name_bytes <= size - name_at) {
        g_autofree char *name = g_strndup((const char *)bytes + name_at, name_bytes);

        if (*name)
            add_part(parts, name, image, FALSE)->format = g_steal_pointer(&format);
    }
    return g_steal_pointer(&parts);
}

GPtrArray *drv_image_looks_like(const char *path)
{
    /* Neither a device's nor a pipe's opening may wait. */
    drv_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    g_autofree guint8 *bytes = NULL;
    guint8 magic[4];
    ssize_t got;

    if (fd < 0 || pread(fd, magic, sizeof magic, 0) != sizeof magic || memcmp(magic, "QFI\xfb", sizeof magic) != 0)
        return NULL;
    bytes = g_malloc(FIRST_CLUSTER_BYTES);
    got = pread(fd, bytes, FIRST_CLUSTER_BYTES, 0);
    return got > 0 ? drv_image_read_header(bytes, (gsize)got, path) : NULL;
}

/* ---- the whole ---- */

static gboolean has_path(const GPtrArray *parts, const char *path)
{
    for (guint i = 0; i < parts->len; i++)
        if (g_str_equal(((const drv_image_part *)parts->pdata[i])->path, path))
            return TRUE;
    return FALSE;
}

/* Other formats that have bases are rare: QEMU is asked. */
static void add_as_qemu_says(GPtrArray *all, const char *path, const char *format)
{
    g_autofree char *text = drv_content_info(path, format, NULL);
    json_object *info = text ? json_tokener_parse(text) : NULL;

    for (gsize i = 1; json_object_is_type(info, json_type_array) && i < json_object_array_length(info); i++) {
        json_object *image = json_object_array_get_idx(info, i);
        const char *name = text_of(image, "filename");

        if (name && !has_path(all, name))
            add_part(all, name, path, FALSE)->format = g_strdup(text_of(image, "format"));
    }
    json_object_put(info);
}

static void add_parts(GPtrArray *all, const char *path, const char *format, guint depth)
{
    g_autoptr(GPtrArray) parts = NULL;

    if (!depth || g_strcmp0(format, "raw") == 0)
        return;
    if (format && !g_str_equal(format, "qcow2")) {
        add_as_qemu_says(all, path, format);
        return;
    }
    parts = drv_image_looks_like(path);
    for (guint i = 0; parts && i < parts->len; i++) {
        drv_image_part *part = parts->pdata[i];

        if (has_path(all, part->path))
            continue;
        g_ptr_array_add(all, part);
        parts->pdata[i] = g_new0(drv_image_part, 1);
        if (part->local && !part->data)
            add_parts(all, part->path, part->format, depth - 1);
    }
}

GPtrArray *drv_image_parts(const char *path, const char *format)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(part_free);

    add_parts(all, path, format, DEPTH_MOST);
    return all;
}
