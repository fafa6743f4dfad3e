/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the disks of a VM at its source: see disks.h. */
#include "facts/disks.h"

#include "hyper/content.h"
#include "hyper/domain-xml.h"
#include "hyper/image-uses.h"
#include "hyper/image.h"

void drv_disk_facts_set_file(json_object *object, const drv_file_facts *facts)
{
    json_object *ids = json_object_new_array();

    drv_json_set_bool(object, "exists", facts->exists);
    drv_json_set_bool(object, "block", facts->block);
    drv_json_set_int(object, "size_bytes", (gint64)facts->size_bytes);
    drv_json_set_int(object, "allocation_bytes", (gint64)facts->allocation_bytes);
    drv_json_set_int(object, "inode", (gint64)facts->inode);
    drv_json_set_bool(object, "known_shared", facts->known_shared);
    for (guint i = 0; facts->ids && i < facts->ids->len; i++)
        json_object_array_add(ids, json_object_new_string(facts->ids->pdata[i]));
    drv_json_set(object, "ids", ids);
}

void drv_disk_facts_set_image(drv_disk_gathering *g, json_object *object, const char *path, drv_digest_kind digest)
{
    g_autoptr(GError) error = NULL;
    drv_file_facts facts;

    if (!drv_probe_file(path, &facts, &error)) {
        drv_json_set_string(object, "file_error", error->message);
        return;
    }
    if (!facts.exists) {
        g_autofree char *why = g_strdup_printf("%s does not exist on its own host", path);

        drv_json_set_string(object, "file_error", why);
    } else {
        json_object *file = json_object_new_object();

        drv_disk_facts_set_file(file, &facts);
        drv_json_set(object, "file", file);
        drv_json_set_int(object, "size_bytes", (gint64)facts.size_bytes);
        drv_json_set_int(object, "inode", (gint64)facts.inode);
        drv_json_set_int(object, "allocation_bytes", (gint64)facts.allocation_bytes);
        if (!facts.block) {
            gboolean whole = digest == DRV_DIGEST_WHOLE;
            g_autofree char *sum = digest ? drv_probe_digest(path, whole, NULL) : NULL;

            drv_json_set_string(object, "marker", drv_markers_at(g->markers, path));
            drv_json_set_string(object, "digest", sum);
            drv_json_set_bool(object, "whole", whole);
        }
    }
    drv_file_facts_clear(&facts);
}

/* ---- what an image consists of ---- */

/* Of another file of an image, at @path, or NULL: none of this host. Transfer full. */
static json_object *part_facts(drv_disk_gathering *g, const char *name, const char *path, const char *format,
                               drv_digest_kind digest)
{
    json_object *entry = json_object_new_object();

    drv_json_set_string(entry, "path", path ? path : name);
    drv_json_set_string(entry, "format", format);
    if (path)
        drv_disk_facts_set_image(g, entry, path, digest);
    else
        drv_json_set_bool(entry, "remote", TRUE);
    return entry;
}

/* What qemu-img knows: the chain below the image, data files of all of them, and snapshots in it. */
static void set_chain(drv_disk_gathering *g, json_object *object, const char *path, const char *format,
                      drv_digest_kind digest)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = drv_content_info(path, format, &error);
    g_autoptr(json_object) info = text ? json_tokener_parse(text) : NULL;
    json_object *chain = json_object_new_array(), *data = json_object_new_array();
    g_autofree char *above = g_strdup(path);

    if (error)
        drv_json_set_string(object, "chain_error", error->message);
    for (gsize i = 0; info && i < drv_json_length(info); i++) {
        json_object *image = json_object_array_get_idx(info, i);
        json_object *own = drv_json_object(drv_json_object(image, "format-specific"), "data");
        const char *data_file = drv_json_string(own, "data-file", NULL);

        if (i == 0) {
            drv_json_set_bool(object, "internal_snapshots", drv_json_length(drv_json_array(image, "snapshots")) > 0);
            if (!drv_json_int(object, "capacity_bytes", 0))
                drv_json_set_int(object, "capacity_bytes", drv_json_int(image, "virtual-size", 0));
        } else {
            const char *name = drv_json_string(image, "filename", "");
            g_autofree char *base = drv_image_name_path(name, above);
            json_object *entry = part_facts(g, name, base, drv_json_string(image, "format", "raw"), digest);

            g_free(above);
            above = g_strdup(drv_json_string(entry, "path", ""));
            json_object_array_add(chain, entry);
        }
        if (data_file) {
            gboolean astray;
            g_autofree char *file = drv_image_data_path(data_file, above, &astray);
            json_object *entry = part_facts(g, data_file, file, "raw", i ? digest : DRV_DIGEST_NONE);

            drv_json_set_bool(entry, "astray", astray);
            drv_json_set_string(entry, "of", above);
            drv_json_set_bool(entry, "own", i == 0);
            json_object_array_add(data, entry);
        }
    }
    drv_json_set(object, "chain", chain);
    drv_json_set(object, "data", data);
}

/* ---- disks ---- */

static gboolean is_only_read(const drv_disk *disk)
{
    return disk->readonly || !g_str_equal(disk->device, "disk");
}

/* @saved: only the saved definition names it, so no QEMU has it open. */
static json_object *disk_facts(drv_context *ctx, drv_disk_gathering *g, const drv_disk *disk, gboolean saved)
{
    json_object *object = json_object_new_object();
    gboolean local = g_str_equal(disk->type, "file") || g_str_equal(disk->type, "block");
    gboolean volume = g_str_equal(disk->type, "volume");
    gboolean only_read = is_only_read(disk);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strdup(disk->source);

    if (volume && disk->source) {
        g_free(path);
        path = drv_hyper_volume_path(ctx->hyper, disk->source, &error);
        if (!path)
            drv_json_set_string(object, "file_error", error->message);
    }
    drv_json_set_string(object, "target", disk->target);
    drv_json_set_string(object, "device", disk->device);
    drv_json_set_string(object, "type", disk->type);
    drv_json_set_string(object, "path", path ? path : disk->source);
    drv_json_set_string(object, "format", disk->format);
    drv_json_set_string(object, "cache", disk->cache);
    drv_json_set_string(object, "seed", drv_json_string(g->seeds, disk->target, NULL));
    if (disk->alias && !only_read) {
        g_autofree char *export = g_strconcat("drive-", disk->alias, NULL);

        drv_json_set_string(object, "export", export);
    }
    drv_json_set_string(object, "startup_policy", disk->startup_policy);
    drv_json_set_bool(object, "readonly", disk->readonly);
    drv_json_set_bool(object, "shareable", disk->shareable);
    drv_json_set_bool(object, "encrypted", disk->encrypted);
    drv_json_set_int(object, "capacity_bytes", (gint64)disk->capacity_bytes);
    drv_json_set_int(object, "allocation_bytes", (gint64)disk->allocation_bytes);
    if (path && (local || volume)) {
        drv_disk_facts_set_image(g, object, path,
                                 !only_read                          ? DRV_DIGEST_NONE
                                 : g_str_equal(disk->device, "disk") ? DRV_DIGEST_WHOLE
                                                                     : DRV_DIGEST_SOME);
        if (!g_str_equal(disk->format, "raw") && drv_json_object(object, "file"))
            set_chain(g, object, path, disk->format, g->offline || saved ? DRV_DIGEST_WHOLE : DRV_DIGEST_NONE);
        if (!drv_json_int(object, "capacity_bytes", 0) && g_str_equal(disk->format, "raw"))
            drv_json_set_int(object, "capacity_bytes", drv_json_int(object, "size_bytes", 0));
    }
    return object;
}

/* ---- the saved definition ---- */

static const drv_disk *disk_called(const GPtrArray *disks, const char *target)
{
    for (guint i = 0; i < disks->len; i++)
        if (g_str_equal(((const drv_disk *)disks->pdata[i])->target, target))
            return disks->pdata[i];
    return NULL;
}

static const drv_disk *disk_with(const GPtrArray *disks, const char *source)
{
    for (guint i = 0; i < disks->len; i++)
        if (g_strcmp0(((const drv_disk *)disks->pdata[i])->source, source) == 0)
            return disks->pdata[i];
    return NULL;
}

/* What "virsh attach-disk --config" or "change-media --eject --live" leave: it runs without, and starts with it. */
static void add_saved(drv_context *ctx, drv_disk_gathering *g, const drv_domain *domain, const drv_domain *saved,
                      json_object *disks)
{
    for (guint i = 0; i < saved->disks->len; i++) {
        const drv_disk *disk = saved->disks->pdata[i];
        const drv_disk *running = disk_called(domain->disks, disk->target);
        const drv_disk *same = disk->source ? disk_with(domain->disks, disk->source) : NULL;
        json_object *object;

        if (!disk->source || (running && g_strcmp0(running->source, disk->source) == 0))
            continue;
        object = disk_facts(ctx, g, disk, TRUE);
        drv_json_set_bool(object, "saved", TRUE);
        /* A medium is looked for where it is named, wherever the VM's own disks go. */
        drv_json_set_bool(object, "in_place", is_only_read(disk));
        drv_json_set_string(object, "running_path", running ? running->source : NULL);
        drv_json_set_string(object, "running_as", same ? same->target : NULL);
        json_object_array_add(disks, object);
    }
}

/* ---- who else needs them ---- */

static void set_needed_by(drv_image_uses *uses, json_object *object)
{
    g_autofree char *who =
        drv_json_object(object, "file") ? drv_image_uses_of(uses, drv_json_string(object, "path", "")) : NULL;

    drv_json_set_string(object, "needed_by", who);
}

static void add_uses(drv_context *ctx, const char *uuid, json_object *facts)
{
    json_object *disks = drv_json_array(facts, "disks");
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_image_uses) uses = drv_hyper_image_uses(ctx->hyper, uuid, &error);

    if (!uses)
        drv_json_set_string(facts, "uses_error", error->message);
    for (gsize i = 0; uses && i < drv_json_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        json_object *data = drv_json_array(disk, "data");

        set_needed_by(uses, disk);
        for (gsize k = 0; k < drv_json_length(data); k++)
            set_needed_by(uses, json_object_array_get_idx(data, k));
    }
}

void drv_disk_facts(drv_context *ctx, drv_disk_gathering *g, const drv_domain *domain, const drv_belongings *has,
                    json_object *facts)
{
    g_autoptr(drv_domain) saved = NULL;
    json_object *disks = json_object_new_array();

    drv_json_set(facts, "disks", disks);
    for (guint i = 0; i < domain->disks->len; i++)
        json_object_array_add(disks, disk_facts(ctx, g, domain->disks->pdata[i], FALSE));
    drv_json_set_bool(facts, "transient", !has->definition);
    if (has->definition && domain->state != DRV_DOMAIN_SHUT_OFF)
        saved = drv_domain_from_xml(has->definition, NULL);
    if (saved)
        add_saved(ctx, g, domain, saved, disks);
    add_uses(ctx, domain->uuid, facts);
}
