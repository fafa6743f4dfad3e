/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How each disk gets to the target: see disks.h; docs/disks.rst has the rules in words.
 * A disk is one of
 *   shared  both hosts have the same: nothing is copied
 *   copy    an image is made at the target and QEMU mirrors it, or, with "before", it is sent
 *           before the move because QEMU cannot mirror what is only read
 *   keep    the target has a medium of the same content
 *   empty   a drive without a medium
 *   missing what the saved definition names is not at the source either
 * An image may need others: what it is based on, and a data file. Those that only the saved definition names
 * ("saved") are carried as well: it is what the VM starts with the next time.
 */
#include "plan/disks.h"

#include <string.h>

/* What one disk needs, collected while it is looked at. */
typedef struct {
    const drv_plan_disks_goal *goal;
    drv_checks *checks;
    GHashTable *needed; /* file system → guint64* */
    GHashTable *room;   /* file system → guint64* */
    GHashTable *where;  /* file system → char*, a directory on it */
    json_object *disk;  /* as the source has it */
    json_object *there;
    gboolean saved; /* only the saved definition names it: no QEMU has it open */
    const char *name;
    const char *path;
    const char *target_path;
} context;

#define problem(c, ...)                                                                                                \
    drv_checks_problem((c)->checks, (c)->saved ? DRV_ABOUT_COLD_START : DRV_ABOUT_DISKS, __VA_ARGS__)

static gboolean is_any(const char *text, const char *a, const char *b)
{
    return g_str_equal(text, a) || g_str_equal(text, b);
}

static gboolean ids_meet(json_object *here, json_object *there)
{
    for (gsize i = 0; i < drv_json_length(here); i++)
        for (gsize j = 0; j < drv_json_length(there); j++)
            if (g_strcmp0(json_object_get_string(json_object_array_get_idx(here, i)),
                          json_object_get_string(json_object_array_get_idx(there, j))) == 0)
                return TRUE;
    return FALSE;
}

/* What both hosts really see. */
static gboolean is_same(context *c)
{
    json_object *file = drv_json_object(c->disk, "file");

    if (c->goal->storage_only)
        return FALSE;
    if (!drv_json_bool(c->there, "exists") || drv_json_bool(file, "block") != drv_json_bool(c->there, "block"))
        return FALSE;
    if (drv_json_bool(file, "block"))
        return ids_meet(drv_json_array(file, "ids"), drv_json_array(c->there, "ids"));
    return drv_json_bool(c->there, "same");
}

/* A device that nobody gave a name: the operator's word counts, unless the facts are against it. */
static gboolean may_be_same_device(context *c)
{
    json_object *file = drv_json_object(c->disk, "file");

    return drv_json_bool(file, "block") && drv_json_bool(c->there, "block") &&
           drv_json_int(file, "size_bytes", 0) == drv_json_int(c->there, "size_bytes", -1) &&
           !(drv_json_length(drv_json_array(file, "ids")) && drv_json_length(drv_json_array(c->there, "ids")));
}

static void use_room(context *c, const char *path, gint64 bytes)
{
    const char *fs = drv_json_string(c->there, "fs", NULL);
    guint64 *sum;

    if (!fs)
        return;
    sum = g_hash_table_lookup(c->needed, fs);
    if (!sum) {
        guint64 *room = g_new0(guint64, 1);

        sum = g_new0(guint64, 1);
        *room = (guint64)drv_json_int(c->there, "free_bytes", 0);
        g_hash_table_insert(c->needed, g_strdup(fs), sum);
        g_hash_table_insert(c->room, g_strdup(fs), room);
        g_hash_table_insert(c->where, g_strdup(fs), g_path_get_dirname(path));
    }
    *sum += (guint64)MAX(bytes, 0);
}

/* A base or data file that the target can reach as it is: the same file, or what is no file at all. */
static gboolean is_there(json_object *part, json_object *there)
{
    const char *digest = drv_json_string(part, "digest", NULL);

    return drv_json_bool(part, "remote") || drv_json_bool(there, "same") ||
           ids_meet(drv_json_array(drv_json_object(part, "file"), "ids"), drv_json_array(there, "ids")) ||
           (digest && g_strcmp0(digest, drv_json_string(there, "digest", NULL)) == 0);
}

/* The image is there already: what it needs must be, too. */
static gboolean check_parts(context *c, const char *which, const char *what)
{
    json_object *parts = drv_json_array(c->disk, which);
    json_object *there = drv_json_array(c->there, which);

    for (gsize i = 0; i < drv_json_length(parts); i++) {
        json_object *part = json_object_array_get_idx(parts, i);
        const char *path = drv_json_string(part, "path", "?");

        if (is_there(part, i < drv_json_length(there) ? json_object_array_get_idx(there, i) : NULL))
            continue;
        problem(c,
                "disk %s: %s has %s, but not the same %s %s" DRV_REMEDY "put that on storage that both hosts "
                "see, or have the disk copied (--disks copy --target-pool)",
                c->name, c->goal->target, c->path, what, path);
        return FALSE;
    }
    return TRUE;
}

static const char *shared(context *c, json_object *planned, gboolean writes)
{
    json_object *file = drv_json_object(c->disk, "file");
    const char *cache = drv_json_string(c->disk, "cache", "default");

    if (!check_parts(c, "chain", "base") || !check_parts(c, "data", "data file"))
        return NULL;
    if (!writes || c->goal->offline || c->saved || drv_json_bool(file, "block") ||
        (drv_json_bool(file, "known_shared") && drv_json_bool(c->there, "known_shared")))
        return "shared";
    if (!is_any(cache, "none", "directsync"))
        problem(c,
                "disk %s: both hosts have the same %s, on a file system that libvirt does not know "
                "as shared, and its cache mode is %s" DRV_REMEDY "set cache='none' for a safe move",
                c->name, c->path, cache);
    drv_json_set_bool(planned, "proven", TRUE);
    return "shared";
}

/* An image that is sent as it is names the same data file there. */
static void send_data(context *c, json_object *images)
{
    json_object *data = drv_json_array(c->disk, "data");
    json_object *there = drv_json_array(c->there, "data");

    for (gsize i = 0; i < drv_json_length(data); i++) {
        json_object *part = json_object_array_get_idx(data, i);
        json_object *facts = i < drv_json_length(there) ? json_object_array_get_idx(there, i) : NULL;
        const char *path = drv_json_string(part, "path", "?");

        if (drv_json_bool(part, "remote") || drv_json_bool(facts, "same") ||
            (drv_json_bool(facts, "exists") && !drv_json_bool(part, "own") && is_there(part, facts)))
            continue;
        if (!drv_json_object(part, "file"))
            problem(c, "disk %s: its data file: %s", c->name, drv_json_string(part, "file_error", path));
        else if (drv_json_bool(drv_json_object(part, "file"), "block"))
            problem(c,
                    "disk %s: its data file %s is a device of this host" DRV_REMEDY "have an image made of both "
                    "with --target-pool",
                    c->name, path);
        else if (drv_json_bool(facts, "exists"))
            problem(c,
                    "disk %s: its data file %s exists on %s already" DRV_REMEDY "move it away if nothing needs "
                    "it",
                    c->name, path, c->goal->target);
        else if (!drv_json_bool(facts, "directory"))
            problem(c, "disk %s: its data file %s has no directory on %s" DRV_REMEDY "make it (mkdir -p)", c->name,
                    path, c->goal->target);
        use_room(c, path, drv_json_int(part, "allocation_bytes", 0));
        json_object_array_add(images, drv_json_copy(part));
    }
}

/* A file that is sent as it is, byte by byte. Its chain, if it has one, must be there, too. */
static void send_chain(context *c, json_object *planned)
{
    json_object *chain = drv_json_array(c->disk, "chain");
    json_object *there = drv_json_array(c->there, "chain");
    json_object *images = json_object_new_array();

    for (gsize i = 0; i < drv_json_length(chain); i++) {
        json_object *base = json_object_array_get_idx(chain, i);
        json_object *facts = i < drv_json_length(there) ? json_object_array_get_idx(there, i) : NULL;
        const char *path = drv_json_string(base, "path", "?");
        const char *digest = drv_json_string(base, "digest", NULL);

        if (drv_json_bool(facts, "same") || drv_json_bool(base, "remote"))
            continue;
        if (drv_json_bool(facts, "exists")) {
            if (!digest || g_strcmp0(digest, drv_json_string(facts, "digest", NULL)) != 0)
                problem(c,
                        "disk %s: its base %s exists on %s with another content" DRV_REMEDY "move one of them "
                        "away",
                        c->name, path, c->goal->target);
            continue;
        }
        if (!drv_json_bool(facts, "directory"))
            problem(c, "disk %s: its base %s has no directory on %s" DRV_REMEDY "make it (mkdir -p)", c->name, path,
                    c->goal->target);
        use_room(c, path, drv_json_int(base, "allocation_bytes", 0));
        json_object_array_add(images, drv_json_copy(base));
    }
    send_data(c, images);
    drv_json_set(planned, "bases", images);
}

/* QEMU does not find a data file that is named by no directory and is not where QEMU runs. */
static void check_astray(context *c, gboolean verbatim)
{
    json_object *data = drv_json_array(c->disk, "data");

    for (gsize i = 0; i < drv_json_length(data); i++) {
        json_object *part = json_object_array_get_idx(data, i);
        const char *path = drv_json_string(part, "path", "?"), *of = drv_json_string(part, "of", "?");

        if (!drv_json_bool(part, "astray"))
            continue;
        if (!verbatim)
            problem(c,
                    "disk %s: %s names its data file %s without a directory, and QEMU does not find it there" DRV_REMEDY
                    "name it in full (in that directory: qemu-img amend -f qcow2 -o data_file=%s %s)",
                    c->name, of, path, path, of);
        else
            drv_checks_warn(c->checks, DRV_ABOUT_COLD_START,
                            "disk %s: %s names its data file %s without a "
                            "directory: QEMU looks for it in /, and the VM starts on neither host" DRV_REMEDY
                            "name it in full (in that directory: qemu-img amend -f qcow2 -o data_file=%s %s)",
                            c->name, of, path, path, of);
    }
}

/* What goes with the image when that goes: the contents of data files that are its alone. */
static void note_data(context *c, json_object *planned)
{
    json_object *data = drv_json_array(c->disk, "data");
    json_object *own = json_object_new_array();

    for (gsize i = 0; i < drv_json_length(data); i++) {
        json_object *part = json_object_array_get_idx(data, i);
        json_object *file = drv_json_object(part, "file");

        if (drv_json_bool(part, "own") && file && !drv_json_bool(file, "block"))
            json_object_array_add(own, json_object_new_string(drv_json_string(part, "path", "")));
    }
    drv_json_set(planned, "data", own);
}

static gint64 needed_bytes(context *c, gboolean flatten)
{
    json_object *chain = drv_json_array(c->disk, "chain");
    json_object *data = drv_json_array(c->disk, "data");
    gint64 capacity = drv_json_int(c->disk, "capacity_bytes", 0);
    gint64 sum = drv_json_int(c->disk, "allocation_bytes", 0);

    if (!flatten)
        return sum;
    for (gsize i = 0; i < drv_json_length(chain); i++)
        sum += drv_json_int(json_object_array_get_idx(chain, i), "allocation_bytes", 0);
    for (gsize i = 0; i < drv_json_length(data); i++)
        sum += drv_json_int(json_object_array_get_idx(data, i), "allocation_bytes", 0);
    return MIN(sum, capacity);
}

static void check_device(context *c)
{
    gint64 capacity = drv_json_int(c->disk, "capacity_bytes", 0);
    gint64 size = drv_json_int(c->there, "target_size_bytes", 0);

    const char *format = drv_json_string(c->disk, "format", "raw");

    if (!g_str_equal(format, "raw"))
        problem(c,
                "disk %s: %s holds %s and such a device is not made by Drover" DRV_REMEDY "have an image made "
                "with --target-pool",
                c->name, c->path, format);
    else if (size > capacity && !c->goal->offline)
        problem(c,
                "disk %s: %s on %s has %" G_GINT64_FORMAT " bytes and QEMU copies a running VM's "
                "disk only onto %" G_GINT64_FORMAT DRV_REMEDY "make it that large, or move the VM shut off",
                c->name, c->target_path, c->goal->target, size, capacity);
    else if (size < capacity)
        problem(c,
                "disk %s: %s on %s has %" G_GINT64_FORMAT " MiB and %" G_GINT64_FORMAT " are needed" DRV_REMEDY
                "enlarge it (lvextend)",
                c->name, c->target_path, c->goal->target, size >> 20, (capacity + (1 << 20) - 1) >> 20);
    else if (!drv_json_bool(c->there, "blank"))
        problem(c, "disk %s: %s on %s: %s" DRV_REMEDY "if it is the same device as on %s, say --disks shared", c->name,
                c->target_path, c->goal->target, drv_json_string(c->there, "not_blank", "it is not empty"),
                c->goal->source);
}

/* "an earlier stay": where the older image is from that serves a disk's copy. */
static const char *seed_name(json_object *seed)
{
    const char *kind = drv_json_string(seed, "kind", "");

    return g_str_equal(kind, "kept")   ? "its image of an earlier stay"
           : g_str_equal(kind, "base") ? "the base that is there"
                                       : "the older image";
}

/* What the target has of it already need not be sent. */
static void plan_seed(context *c, json_object *planned)
{
    json_object *seed = drv_json_object(c->there, "seed");
    const char *name = drv_json_string(c->disk, "seed", NULL);
    const char *why = seed ? drv_json_string(seed, "error", NULL) : NULL;

    if (name && !seed)
        problem(c,
                "disk %s: an older image serves only where a running VM's disk is copied" DRV_REMEDY
                "leave out --disk-seed %s",
                c->name, c->name);
    else if (why)
        problem(c,
                "disk %s: the older image %s on %s: %s" DRV_REMEDY "name another one, or leave out "
                "--disk-seed",
                c->name, drv_json_string(seed, "path", "?"), c->goal->target, why);
    if (!seed || why)
        return;
    drv_json_set(planned, "seed", drv_json_copy(seed));
    drv_json_set_string(planned, "export", drv_json_string(c->disk, "export", NULL));
}

static const char *copied(context *c, json_object *planned, gboolean before)
{
    json_object *file = drv_json_object(c->disk, "file");
    const char *format = drv_json_string(c->disk, "format", "raw");
    /* It lies in more than one file: an image is made of all of them, unless all go as they are. */
    gboolean chain =
        drv_json_length(drv_json_array(c->disk, "chain")) > 0 || drv_json_length(drv_json_array(c->disk, "data")) > 0;
    gboolean block = drv_json_bool(c->there, "target_block");
    gboolean from_block = drv_json_bool(file, "block");
    /* As it is: keeps snapshots, bitmaps and the chain; else QEMU reads one and writes the other. */
    gboolean pool = c->goal->pool && !drv_json_bool(c->disk, "in_place");
    gboolean verbatim = ((c->goal->offline || c->saved) && !pool && !block) || (before && !chain);
    gboolean flatten = chain && !verbatim;
    gint64 needed = needed_bytes(c, flatten);

    if (from_block || block)
        verbatim = FALSE;
    if (!verbatim && !is_any(format, "raw", "qcow2"))
        problem(c,
                "disk %s has the format %s: a running VM's disk is copied if it is raw or qcow2" DRV_REMEDY
                "convert it (qemu-img convert), or shut the VM down and move it with --offline",
                c->name, format);
    if (!verbatim && drv_json_bool(c->disk, "encrypted"))
        problem(c,
                "disk %s is encrypted and would have to be written in the clear" DRV_REMEDY "put it on storage that "
                "both hosts see, or move the VM shut off%s",
                c->name, c->goal->pool ? " without --target-pool" : " (--offline)");
    if (!verbatim && drv_json_bool(c->disk, "internal_snapshots"))
        problem(c,
                "disk %s: the snapshots in %s would not be copied" DRV_REMEDY "delete them (qemu-img snapshot "
                "-d)%s",
                c->name, c->path,
                c->goal->offline ? ", or leave out --target-pool" : ", or move the VM shut off (--offline)");
    if (drv_json_bool(c->there, "target_exists") && block)
        check_device(c);
    else if (drv_json_bool(c->there, "target_exists"))
        problem(c, "disk %s: %s exists on %s already" DRV_REMEDY "move it away if nothing needs it%s", c->name,
                c->target_path, c->goal->target,
                c->goal->storage_only                ? ""
                : g_str_equal(c->goal->mode, "copy") ? "; if it is the same file, leave out --disks copy"
                                                     : "");
    else if (from_block && !c->goal->pool)
        problem(c,
                "disk %s: %s has no block device %s" DRV_REMEDY "make one of at least %" G_GINT64_FORMAT
                " MiB (lvcreate), or have an image made with --target-pool",
                c->name, c->goal->target, c->path, (drv_json_int(c->disk, "capacity_bytes", 0) + (1 << 20) - 1) >> 20);
    else if (!drv_json_bool(c->there, "directory"))
        problem(c,
                "disk %s: the directory of %s does not exist on %s" DRV_REMEDY "make it (mkdir -p), or choose "
                "a pool with --target-pool",
                c->name, c->target_path, c->goal->target);
    else
        use_room(c, c->target_path, needed);
    drv_json_set_bool(planned, "flatten", flatten);
    drv_json_set_bool(planned, "verbatim", verbatim);
    drv_json_set_bool(planned, "before", before);
    drv_json_set_bool(planned, "target_block", block);
    drv_json_set_int(planned, "file_bytes", drv_json_int(file, "size_bytes", 0));
    drv_json_set_int(planned, "needed_bytes", needed);
    if (verbatim)
        send_chain(c, planned);
    check_astray(c, verbatim);
    note_data(c, planned);
    if (!before)
        plan_seed(c, planned);
    return "copy";
}

/*
 * libvirt empties a drive whose medium is missing, if its startupPolicy allows it: "optional" always, "requisite" when
 * a running VM arrives. Return: whether it will, which is said.
 */
static gboolean may_be_missing(context *c)
{
    const char *policy = drv_json_string(c->disk, "startup_policy", "mandatory");

    if (!g_str_equal(policy, "optional") && (c->goal->offline || !g_str_equal(policy, "requisite")))
        return FALSE;
    drv_checks_warn(c->checks, DRV_ABOUT_DISKS,
                    "%s %s: the drive will be empty on %s, which does not have %s "
                    "(startupPolicy='%s')" DRV_REMEDY "put the medium there to keep it",
                    drv_json_string(c->disk, "device", "disk"), c->name, c->goal->target, c->path, policy);
    return TRUE;
}

/* A medium that has been removed while it was in the drive: a running VM reads it still, nobody else can. */
static const char *medium_gone(context *c)
{
    const char *device = drv_json_string(c->disk, "device", "disk");
    gboolean drive = !g_str_equal(device, "disk");

    if (c->goal->storage_only)
        return "keep";
    /* At its path the target may have one, of whatever content: it would be in the drive. */
    if (!drv_json_bool(c->there, "exists") && may_be_missing(c))
        return "keep";
    problem(c, "%s %s: %s" DRV_REMEDY "%s%s %s%s, or put the file back", device, c->name,
            drv_json_string(c->disk, "file_error", "its file is not there"),
            drive ? "eject it (virsh change-media " : "detach it (virsh detach-disk ", c->goal->vm, c->name,
            drive ? " --eject)" : ")");
    return NULL;
}

/* What the VM only reads: a medium in a drive, a read-only disk. It is no part of the VM and stays at the source, too. */
static const char *read_only(context *c, json_object *planned)
{
    const char *device = drv_json_string(c->disk, "device", "disk");
    const char *digest = drv_json_string(c->disk, "digest", NULL);

    if (c->goal->storage_only)
        return "keep";
    if (drv_json_bool(drv_json_object(c->disk, "file"), "block")) {
        if (!drv_json_bool(c->there, "exists") && may_be_missing(c))
            return "keep";
        problem(c, "%s %s: the guest reads %s of this host" DRV_REMEDY "%s it first", device, c->name, c->path,
                g_str_equal(device, "disk") ? "detach" : "eject");
        return NULL;
    }
    if (g_str_equal(device, "floppy") && !drv_json_bool(c->disk, "readonly")) {
        problem(c,
                "floppy %s holds a medium that can be written" DRV_REMEDY "eject it first (virsh change-media "
                "--eject)",
                c->name);
        return NULL;
    }
    if (digest && (!c->goal->pool || c->saved) && g_strcmp0(digest, drv_json_string(c->there, "digest", NULL)) == 0)
        return check_parts(c, "chain", "base") && check_parts(c, "data", "data file") ? "keep" : NULL;
    if (g_str_equal(c->goal->mode, "shared")) {
        if (!drv_json_bool(c->there, "exists") && may_be_missing(c))
            return "keep";
        problem(c, "%s %s: %s does not have %s" DRV_REMEDY "put it there, or say --disks auto", device, c->name,
                c->goal->target, c->path);
        return NULL;
    }
    return copied(c, planned, TRUE);
}

/* Of what only the saved definition names: the way, or NULL, and then it is as any other disk. @refused: said why. */
static const char *way_of_saved(context *c, gboolean writes, gboolean *refused)
{
    const char *running_path = drv_json_string(c->disk, "running_path", NULL);
    const char *running_as = drv_json_string(c->disk, "running_as", NULL);
    /* Definitions are rewritten by the names of disks: what has one name must be one thing. */
    gboolean rewritten = c->goal->pool || c->goal->storage_only;

    if (running_path && (writes || (c->goal->pool && !c->goal->storage_only))) {
        problem(c,
                "%s is %s as the VM runs, and %s in its saved definition" DRV_REMEDY "make them one (virsh "
                "update-device --config, or detach-disk --config)%s",
                c->name, running_path, c->path, writes ? "" : ", or leave out --target-pool");
        *refused = TRUE;
    } else if (running_as && rewritten && writes) {
        problem(c,
                "%s runs as %s and is %s in its saved definition" DRV_REMEDY "make them one (virsh "
                "detach-disk --config)%s",
                c->path, running_as, c->name, c->goal->storage_only ? "" : ", or leave out --target-pool");
        *refused = TRUE;
    } else if (running_as || c->goal->storage_only) {
        return "keep";
    } else if (!drv_json_object(c->disk, "file") && !g_str_equal(drv_json_string(c->disk, "type", ""), "network")) {
        drv_checks_warn(c->checks, DRV_ABOUT_COLD_START,
                        "%s: only its saved definition names %s, which %s lacks as "
                        "well: it starts from neither" DRV_REMEDY "put it there, or take it out (virsh "
                        "detach-disk --config, change-media --eject --config)",
                        c->name, c->path, c->goal->source);
        return "missing";
    }
    return NULL;
}

static const char *way_of(context *c, json_object *planned)
{
    const char *type = drv_json_string(c->disk, "type", "");
    const char *device = drv_json_string(c->disk, "device", "disk");
    gboolean writes = g_str_equal(device, "disk") && !drv_json_bool(c->disk, "readonly");

    if (!c->path)
        return "empty";
    if (c->saved) {
        gboolean refused = FALSE;
        const char *way = way_of_saved(c, writes, &refused);

        if (way || refused)
            return way;
    }
    if (g_str_equal(type, "network"))
        return c->goal->storage_only ? "keep" : "shared";
    if (!is_any(type, "file", "block") && !g_str_equal(type, "volume")) {
        /* A running VM is refused for it by name already. */
        if (c->goal->offline)
            problem(c, "disk %s is of type %s and belongs to this host" DRV_REMEDY "detach it first", c->name, type);
        return NULL;
    }
    if (!drv_json_object(c->disk, "file")) {
        if (!writes)
            return medium_gone(c);
        problem(c, "disk %s: %s", c->name, drv_json_string(c->disk, "file_error", "its file is not there"));
        return NULL;
    }
    if (drv_json_string(c->disk, "chain_error", NULL)) {
        problem(c, "disk %s: %s", c->name, drv_json_string(c->disk, "chain_error", ""));
        return NULL;
    }
    if (!g_str_equal(c->goal->mode, "copy") && is_same(c))
        return shared(c, planned, writes);
    if (g_str_equal(c->goal->mode, "copy") && is_same(c) && !c->goal->pool) {
        problem(c,
                "disk %s: %s is the same on both hosts: it need not be copied" DRV_REMEDY "to have another "
                "image say --target-pool",
                c->name, c->path);
        return NULL;
    }
    if (!writes)
        return read_only(c, planned);
    if (g_str_equal(c->goal->mode, "shared") && !c->goal->storage_only) {
        if (may_be_same_device(c))
            return "shared";
        problem(c, "disk %s: %s %s" DRV_REMEDY "say --disks auto to have it copied", c->name, c->goal->target,
                drv_json_bool(c->there, "exists") ? "has another one of that path" : "does not see its image");
        return NULL;
    }
    if (drv_json_bool(c->disk, "shareable")) {
        problem(c,
                "disk %s is shared with other VMs (<shareable/>) and %s does not have the same" DRV_REMEDY "put "
                "it on storage that both hosts see, or detach it",
                c->name, c->goal->target);
        return NULL;
    }
    return copied(c, planned, c->saved);
}

static void plan_disk(context *c, json_object *list)
{
    json_object *planned = json_object_new_object();
    const char *how;
    static const char *const kept[] = {
        "target", "device", "type", "path", "format", "readonly", "shareable", "capacity_bytes", "allocation_bytes"};

    c->there = drv_json_object(c->disk, "there");
    c->saved = drv_json_bool(c->disk, "saved");
    c->name = drv_json_string(c->disk, "target", "?");
    c->path = drv_json_string(c->disk, "path", NULL);
    c->target_path = drv_json_string(c->there, "target_path", c->path);
    for (gsize i = 0; i < G_N_ELEMENTS(kept); i++) {
        json_object *value = NULL;

        if (json_object_object_get_ex(c->disk, kept[i], &value))
            drv_json_set(planned, kept[i], json_object_get(value));
    }
    how = way_of(c, planned);
    if (!how) {
        json_object_put(planned);
        return;
    }
    drv_json_set_string(planned, "how", how);
    drv_json_set_bool(planned, "saved", c->saved);
    /* Its own, which leaves the source with it; what it only reads stays there as well. */
    drv_json_set_bool(planned, "leaves",
                      g_str_equal(how, "copy") && g_str_equal(drv_json_string(c->disk, "device", "disk"), "disk") &&
                          !drv_json_bool(c->disk, "readonly"));
    drv_json_set_string(planned, "target_path", g_str_equal(how, "copy") ? c->target_path : c->path);
    json_object_array_add(list, planned);
}

static void check_room(context *c)
{
    GHashTableIter iter;
    gpointer fs, sum;

    if (!g_hash_table_size(c->needed))
        drv_checks_skip(c->checks, DRV_ABOUT_DISK_ROOM, "nothing is copied into a new image");
    g_hash_table_iter_init(&iter, c->needed);
    while (g_hash_table_iter_next(&iter, &fs, &sum)) {
        guint64 needed = *(guint64 *)sum, room = *(guint64 *)g_hash_table_lookup(c->room, fs);
        g_autofree char *needed_text = g_format_size_full(needed, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *room_text = g_format_size_full(room, G_FORMAT_SIZE_IEC_UNITS);

        if (needed > room)
            drv_checks_problem(c->checks, DRV_ABOUT_DISK_ROOM,
                               "its disks need %s and %s are free in %s on "
                               "%s" DRV_REMEDY "free some space there, or choose another pool "
                               "(--target-pool)",
                               needed_text, room_text, (const char *)g_hash_table_lookup(c->where, fs),
                               c->goal->target);
        else
            drv_checks_ok(c->checks, DRV_ABOUT_DISK_ROOM, "its disks need %s and %s are free at %s", needed_text,
                          room_text, c->goal->target);
    }
}

/* A name that is no disk's is a mistake. */
static void check_seeds(context *c, json_object *disks)
{
    if (!c->goal->seeds)
        return;
    json_object_object_foreach(c->goal->seeds, name, value)
    {
        gboolean found = FALSE;

        (void)value;
        for (gsize i = 0; i < drv_json_length(disks); i++)
            found |= g_str_equal(drv_json_string(json_object_array_get_idx(disks, i), "target", ""), name);
        if (!found)
            problem(c, "--disk-seed: the VM has no disk %s" DRV_REMEDY "say vda=PATH or vda=POOL/VOLUME", name);
    }
}

/* "vda copy, sda empty" */
static void tell_ways(context *c, json_object *list)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *disk = json_object_array_get_idx(list, i);

        json_object *seed = drv_json_object(disk, "seed");

        g_string_append_printf(text, "%s%s: %s", i ? ", " : "", drv_json_string(disk, "target", "?"),
                               drv_json_string(disk, "how", "?"));
        if (seed)
            g_string_append_printf(text, " (from %s: %s)", seed_name(seed), drv_json_string(seed, "path", "?"));
    }
    if (text->len)
        drv_checks_ok(c->checks, DRV_ABOUT_DISKS, "%s", text->str);
    else
        drv_checks_skip(c->checks, DRV_ABOUT_DISKS, "the VM has none");
}

json_object *drv_plan_disks(json_object *facts, const drv_plan_disks_goal *goal, drv_checks *checks)
{
    json_object *disks = drv_json_array(facts, "disks");
    json_object *list = json_object_new_array();
    g_autoptr(GHashTable) needed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) room = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) where = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    context c = {.goal = goal, .checks = checks, .needed = needed, .room = room, .where = where};

    if (drv_json_string(facts, "pool_error", NULL)) {
        drv_checks_problem(checks, DRV_ABOUT_DISKS, "%s", drv_json_string(facts, "pool_error", ""));
        return list;
    }
    for (gsize i = 0; i < drv_json_length(disks); i++) {
        c.disk = json_object_array_get_idx(disks, i);
        plan_disk(&c, list);
    }
    check_seeds(&c, disks);
    check_room(&c);
    tell_ways(&c, list);
    return list;
}
