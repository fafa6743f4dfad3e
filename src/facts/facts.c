/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about a VM's disks and belongings at both ends: see facts.h. */
#include "facts/facts.h"

#include <string.h>
#include <sys/stat.h>

#include "cache/retained.h"
#include "facts/base-images.h"
#include "facts/disks.h"
#include "facts/host.h"
#include "facts/machine.h"
#include "facts/probe-markers.h"
#include "facts/tpm.h"
#include "hyper/admission.h"
#include "hyper/belongings.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/probe.h"
#include "node/names.h"

/* ---- the source ---- */

static json_object *interfaces_json(const drv_domain *domain)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; i < domain->networks->len; i++) {
        json_object *entry = json_object_new_object();

        drv_json_set_string(entry, "mac", domain->macs->pdata[i]);
        drv_json_set_string(entry, "network", domain->networks->pdata[i]);
        json_object_array_add(list, entry);
    }
    return list;
}

static void set_belongings(drv_disk_gathering *g, json_object *facts, const drv_belongings *has)
{
    gboolean external = FALSE;

    for (guint i = 0; i < has->snapshots->len; i++)
        external |= strstr(has->snapshots->pdata[i], "snapshot='external'") != NULL ||
                    strstr(has->snapshots->pdata[i], "snapshot=\"external\"") != NULL;
    drv_json_set_string(facts, "loader", has->loader);
    drv_json_set_bool(facts, "tpm", has->tpm);
    drv_json_set_bool(facts, "autostart", has->autostart);
    drv_json_set_bool(facts, "persistent", has->definition != NULL);
    drv_json_set_bool(facts, "saved", has->saved);
    drv_json_set_int(facts, "checkpoints", has->checkpoints->len);
    drv_json_set_int(facts, "snapshots", has->snapshots->len);
    drv_json_set_bool(facts, "external_snapshots", external);
    if (has->nvram) {
        drv_json_set_string(facts, "nvram", has->nvram);
        drv_json_set_bool(facts, "nvram_raw", has->nvram_raw);
        if (g_file_test(has->nvram, G_FILE_TEST_EXISTS)) {
            json_object *image = json_object_new_object();

            drv_disk_facts_set_image(g, image, has->nvram, DRV_DIGEST_NONE);
            drv_json_set(facts, "nvram_image", image);
        }
    }
}

/* The target's answers get their places beside what they are about. */
static void merge(json_object *facts, json_object *answer)
{
    json_object *disks = drv_json_array(facts, "disks");
    json_object *there = drv_json_array(answer, "disks");

    for (gsize i = 0; i < drv_json_length(disks) && i < drv_json_length(there); i++)
        drv_json_set(json_object_array_get_idx(disks, i), "there",
                     json_object_get(json_object_array_get_idx(there, i)));
    json_object_object_foreach(answer, key, value) if (!g_str_equal(key, "disks"))
        drv_json_set(facts, key, json_object_get(value));
}

/* What another host must have for the VM, and the way there. FALSE and no @error: it cannot be reached. */
static gboolean look_across(drv_context *ctx, const char *uuid, const char *target, json_object *facts, GError **error)
{
    json_object *link;

    if (!drv_machine_facts_here(ctx, uuid, facts, error))
        return FALSE;
    link = drv_machine_facts_link(ctx, target);
    drv_json_set(facts, "link", link);
    return drv_json_bool(link, "member") && !drv_json_string(link, "error", NULL);
}

json_object *drv_facts_gather(drv_context *ctx, const char *uuid, json_object *wish, GError **error)
{
    g_autoptr(drv_domain) domain = drv_hyper_domain(ctx->hyper, uuid, error);
    g_autoptr(json_object) facts = json_object_new_object();
    g_autoptr(json_object) answer = NULL;
    g_autoptr(GError) problem = NULL;
    g_autoptr(drv_markers) markers = NULL;
    const char *target = drv_json_string(wish, "target", ctx->node);
    drv_belongings has;
    drv_disk_gathering g = {0};

    if (!domain)
        return NULL;
    if (!g_str_equal(target, ctx->node) && !look_across(ctx, domain->uuid, target, facts, &problem)) {
        if (!problem)
            return g_steal_pointer(&facts);
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    if (!drv_hyper_belongings(ctx->hyper, uuid, &has, error))
        return NULL;
    g.markers = markers = drv_markers_new(ctx->store);
    g.offline = drv_json_bool(wish, "offline");
    g.seeds = drv_json_object(wish, "disk_seeds");
    drv_json_set_string(facts, "vm", domain->name);
    drv_json_set_string(facts, "uuid", domain->uuid);
    drv_json_set_string(facts, "owner", domain->owner);
    drv_json_set_string(facts, "token", drv_markers_token(markers));
    drv_json_set_string(facts, "target_pool", drv_json_string(wish, "target_pool", NULL));
    drv_json_set(facts, "map_networks", json_object_get(drv_json_object(wish, "map_networks")));
    drv_disk_facts(ctx, &g, domain, &has, facts);
    drv_json_set(facts, "networks", interfaces_json(domain));
    set_belongings(&g, facts, &has);
    drv_belongings_clear(&has);
    answer = drv_node_call(ctx, target, "POST", "/v1/peer/facts", facts, DRV_NODE_PATIENT, error);
    if (!answer)
        return NULL;
    merge(facts, answer);
    return g_steal_pointer(&facts);
}

/* ---- the target ---- */

static gboolean sees_same(json_object *told, const drv_file_facts *facts, const char *token)
{
    const char *marker = drv_json_string(told, "marker", NULL);

    return facts->exists && !facts->block && marker && drv_probe_sees(marker, token) &&
           (gint64)facts->inode == drv_json_int(told, "inode", -1);
}

/* A digest says what is in a file: only of images, and of what everybody on this host may read. */
static gboolean may_tell(drv_context *ctx, const char *path)
{
    g_autoptr(drv_admission) admission = drv_hyper_admission(ctx->hyper, NULL);
    struct stat st;

    return admission &&
           (drv_admission_check_file(admission, path, NULL) || (stat(path, &st) == 0 && (st.st_mode & S_IROTH)));
}

static void set_digest(drv_context *ctx, json_object *object, const char *path, json_object *told,
                       const drv_file_facts *facts)
{
    g_autofree char *sum = NULL;

    if (!facts->exists || facts->block || !drv_json_string(told, "digest", NULL) ||
        (gint64)facts->size_bytes != drv_json_int(told, "size_bytes", -1) || !may_tell(ctx, path))
        return;
    sum = drv_probe_digest(path, drv_json_bool(told, "whole"), NULL);
    drv_json_set_string(object, "digest", sum);
}

static void set_room(drv_context *ctx, json_object *object, const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *fs = NULL;
    guint64 free_bytes = 0;

    drv_json_set_bool(object, "directory", g_file_test(directory, G_FILE_TEST_IS_DIR));
    if (drv_probe_room(directory, &free_bytes, &fs, NULL)) {
        /* What is kept there makes room when it is needed. */
        drv_json_set_int(object, "free_bytes", (gint64)(free_bytes + drv_kept_room(ctx->content, directory)));
        drv_json_set_string(object, "fs", fs);
    }
}

/* Of bases, or of data files. */
static json_object *parts_answer(drv_context *ctx, json_object *parts, const char *token)
{
    json_object *list = json_object_new_array();

    for (gsize i = 0; i < drv_json_length(parts); i++) {
        json_object *told = json_object_array_get_idx(parts, i);
        const char *path = drv_json_string(told, "path", "");
        json_object *object = json_object_new_object();
        drv_file_facts facts;

        if (*path == '/' && drv_probe_file(path, &facts, NULL)) {
            drv_disk_facts_set_file(object, &facts);
            drv_json_set_bool(object, "same", sees_same(told, &facts, token));
            set_digest(ctx, object, path, told, &facts);
            set_room(ctx, object, path);
            drv_file_facts_clear(&facts);
        }
        json_object_array_add(list, object);
    }
    return list;
}

/* Images of one name from two directories must not meet in the pool. */
static char *place_in_pool(const char *pool, json_object *told, const char *vm, GHashTable *taken)
{
    const char *path = drv_json_string(told, "path", "");
    g_autofree char *base = drv_json_bool(drv_json_object(told, "file"), "block")
                                ? g_strdup_printf("%s-%s.%s", vm, drv_json_string(told, "target", ""),
                                                  drv_json_string(told, "format", "raw"))
                                : g_path_get_basename(path);
    char *placed = g_build_filename(pool, base, NULL);

    if (g_hash_table_contains(taken, placed)) {
        g_autofree char *other = g_strdup_printf("%s-%s", drv_json_string(told, "target", ""), base);

        g_free(placed);
        placed = g_build_filename(pool, other, NULL);
    }
    g_hash_table_add(taken, g_strdup(placed));
    return placed;
}

static void set_place(drv_context *ctx, json_object *object, const char *path)
{
    g_autoptr(GError) error = NULL;
    drv_file_facts facts;

    drv_json_set_string(object, "target_path", path);
    set_room(ctx, object, path);
    if (!drv_probe_file(path, &facts, NULL)) {
        drv_json_set_bool(object, "target_exists", TRUE); /* a directory, a socket: in the way */
        return;
    }
    drv_json_set_bool(object, "target_exists", facts.exists);
    drv_json_set_bool(object, "target_block", facts.block);
    drv_json_set_int(object, "target_size_bytes", (gint64)facts.size_bytes);
    if (facts.block) {
        drv_json_set_bool(object, "blank", drv_probe_is_blank(path, &error));
        if (error)
            drv_json_set_string(object, "not_blank", error->message);
    }
    drv_file_facts_clear(&facts);
}

static json_object *disk_answer(drv_context *ctx, json_object *told, json_object *all, const char *pool,
                                GHashTable *taken)
{
    json_object *object = json_object_new_object();
    const char *path = drv_json_string(told, "path", NULL);
    const char *token = drv_json_string(all, "token", "");
    g_autofree char *placed = NULL;
    drv_file_facts facts;

    if (!path || *path != '/')
        return object;
    if (drv_probe_file(path, &facts, NULL)) {
        drv_disk_facts_set_file(object, &facts);
        drv_json_set_bool(object, "same", sees_same(told, &facts, token));
        set_digest(ctx, object, path, told, &facts);
        drv_file_facts_clear(&facts);
    }
    if (!drv_json_object(told, "file"))
        return object;
    drv_json_set(object, "chain", parts_answer(ctx, drv_json_array(told, "chain"), token));
    drv_json_set(object, "data", parts_answer(ctx, drv_json_array(told, "data"), token));
    placed = pool && !drv_json_bool(told, "in_place")
                 ? place_in_pool(pool, told, drv_json_string(all, "vm", "vm"), taken)
                 : g_strdup(path);
    set_place(ctx, object, placed);
    drv_json_set(object, "seed", drv_seed_find(ctx, told, all));
    return object;
}

static void add_kinds(drv_context *ctx, json_object *object, const char *name)
{
    json_object *kinds = json_object_new_array();
    g_autofree char *bridge = g_build_filename("/sys/class/net", name, "bridge", NULL);
    g_autofree char *ovs = g_strdup_printf("/run/openvswitch/%s.mgmt", name);

    if (!strchr(name, '/')) {
        if (g_file_test(bridge, G_FILE_TEST_IS_DIR) || g_file_test(ovs, G_FILE_TEST_EXISTS))
            json_object_array_add(kinds, json_object_new_string("bridge"));
        if (drv_hyper_has_network(ctx->hyper, name))
            json_object_array_add(kinds, json_object_new_string("network"));
    }
    drv_json_set(object, name, kinds);
}

static json_object *networks_answer(drv_context *ctx, json_object *told)
{
    json_object *object = json_object_new_object();
    json_object *interfaces = drv_json_array(told, "networks");
    json_object *map = drv_json_object(told, "map_networks");

    for (gsize i = 0; i < drv_json_length(interfaces); i++) {
        const char *network = drv_json_string(json_object_array_get_idx(interfaces, i), "network", "");
        const char *colon = strchr(network, ':');

        if (colon)
            add_kinds(ctx, object, drv_json_string(map, colon + 1, colon + 1));
    }
    return object;
}

/* In which images may have to be made. */
static GPtrArray *directories_of(json_object *disks)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);

    for (gsize i = 0; i < drv_json_length(disks); i++) {
        const char *path = drv_json_string(json_object_array_get_idx(disks, i), "target_path", NULL);
        g_autofree char *directory = path ? g_path_get_dirname(path) : NULL;

        if (directory && !g_ptr_array_find_with_equal_func(list, directory, g_str_equal, NULL))
            g_ptr_array_add(list, g_steal_pointer(&directory));
    }
    return list;
}

json_object *drv_facts_answer(drv_context *ctx, json_object *told, GError **error)
{
    const char *pool = drv_json_string(told, "target_pool", NULL);
    const char *loader = drv_json_string(told, "loader", NULL);
    const char *nvram = drv_json_string(told, "nvram", NULL);
    json_object *disks = drv_json_array(told, "disks");
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *pool_path = NULL;
    g_autofree char *tpm_dir = NULL;
    g_autofree char *swtpm = g_find_program_in_path("swtpm");
    g_autoptr(json_object) answer = json_object_new_object();
    g_autoptr(GError) problem = NULL;
    json_object *list, *there;
    drv_uuid uuid;

    if (!drv_door_uuid(&uuid, drv_json_string(told, "uuid", NULL), error))
        return NULL;
    tpm_dir = drv_tpm_dir(&uuid);
    if (pool) {
        pool_path = drv_hyper_pool_path(ctx->hyper, pool, &problem);
        if (!pool_path) {
            g_autofree char *why = g_strdup_printf("%s: %s", ctx->node, problem->message);

            drv_json_set_string(answer, "pool_error", why);
        }
    }
    list = json_object_new_array();
    for (gsize i = 0; i < drv_json_length(disks); i++)
        json_object_array_add(list, disk_answer(ctx, json_object_array_get_idx(disks, i), told, pool_path, taken));
    drv_json_set(answer, "disks", list);
    if (drv_json_object(told, "machine")) {
        g_autoptr(GPtrArray) directories = directories_of(list);

        there = drv_machine_facts_there(ctx, told, directories, error);
        if (!there)
            return NULL;
        drv_json_set(answer, "there", there);
    }
    drv_json_set(answer, "networks_there", networks_answer(ctx, told));
    drv_json_set_bool(answer, "loader_there", loader && g_file_test(loader, G_FILE_TEST_EXISTS));
    drv_json_set_bool(answer, "swtpm_there", swtpm != NULL);
    drv_json_set_bool(answer, "tpm_there", g_file_test(tpm_dir, G_FILE_TEST_EXISTS));
    if (nvram) {
        g_autofree char *directory = g_path_get_dirname(nvram);
        g_autofree char *closed = drv_host_can_write(directory);
        drv_file_facts facts;

        drv_json_set_string(answer, "nvram_error", closed);

        if (drv_probe_file(nvram, &facts, NULL)) {
            drv_json_set_bool(answer, "nvram_there", facts.exists);
            drv_json_set_bool(
                answer, "nvram_same",
                sees_same(drv_json_object(told, "nvram_image"), &facts, drv_json_string(told, "token", "")));
            drv_file_facts_clear(&facts);
        }
    }
    return g_steal_pointer(&answer);
}
