/* SPDX-License-Identifier: Apache-2.0 */
/* What on this host needs a file: see image-uses.h. */
#include "hyper/image-uses.h"

#include <string.h>
#include <sys/stat.h>

#include <libxml/parser.h>

#include "hyper/connection.h"
#include "hyper/domain-xml.h"
#include "hyper/image.h"

/* Of users that are named; the rest is counted. */
#define NAMED_MOST 3
#define FILES_MOST 65536

typedef struct {
    char *path;
    dev_t device; /* 0: it is not there */
    ino_t inode;
    char *who;   /* "VM web1 has it as its disk vda" */
    char *image; /* that needs it and belongs to no VM; NULL: a VM needs it */
} use;

struct drv_image_uses {
    GPtrArray *uses;         /* of use */
    GPtrArray *own;          /* the same, of what does not count */
    GHashTable *directories; /* that were looked through */
};

static void use_free(gpointer data)
{
    use *one = data;

    g_free(one->path);
    g_free(one->who);
    g_free(one->image);
    g_free(one);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(use, use_free)

static use *new_use(const char *path)
{
    use *one = g_new0(use, 1);
    struct stat file;

    one->path = g_strdup(path);
    if (stat(path, &file) == 0) {
        one->device = file.st_dev;
        one->inode = file.st_ino;
    }
    return one;
}

static gboolean is_same(const use *one, const use *other)
{
    if (one->inode || other->inode)
        return one->inode == other->inode && one->device == other->device;
    return g_str_equal(one->path, other->path);
}

static gboolean has(const GPtrArray *list, const use *wanted)
{
    for (guint i = 0; i < list->len; i++) {
        const use *one = list->pdata[i];

        if (is_same(one, wanted) && g_strcmp0(one->who, wanted->who) == 0)
            return TRUE;
    }
    return FALSE;
}

/* NULL: it is there already. */
static use *add(GPtrArray *list, const char *path, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

static use *add(GPtrArray *list, const char *path, const char *fmt, ...)
{
    use *one = new_use(path);
    va_list args;

    va_start(args, fmt);
    one->who = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (has(list, one)) {
        use_free(one);
        return NULL;
    }
    g_ptr_array_add(list, one);
    return one;
}

/* ---- VMs ---- */

/* The file of a disk that has one. Transfer full; NULL. */
static char *path_of(virConnectPtr connection, const drv_disk *disk)
{
    g_auto(GStrv) parts = NULL;
    g_autoptr(virStoragePool) pool = NULL;
    g_autoptr(virStorageVol) volume = NULL;
    char *path, *copy;

    if (!disk->source || !g_str_equal(disk->type, "volume"))
        return disk->source && *disk->source == '/' ? g_strdup(disk->source) : NULL;
    parts = g_strsplit(disk->source, "/", 2);
    pool = virStoragePoolLookupByName(connection, parts[0]);
    volume = pool && parts[1] ? virStorageVolLookupByName(pool, parts[1]) : NULL;
    path = volume ? virStorageVolGetPath(volume) : NULL;
    copy = g_strdup(path);
    free(path);
    virResetLastError();
    return copy;
}

static void add_disk(virConnectPtr connection, GPtrArray *list, const char *vm, const drv_disk *disk)
{
    g_autofree char *path = path_of(connection, disk);
    g_autoptr(GPtrArray) parts = path ? drv_image_parts(path, disk->format) : NULL;

    if (!path)
        return;
    add(list, path, "VM %s has it as its disk %s", vm, disk->target);
    for (guint i = 0; i < parts->len; i++) {
        const drv_image_part *part = parts->pdata[i];

        if (part->local)
            add(list, part->path,
                part->data ? "VM %s has it as the data file of its disk %s" : "VM %s has it as the base of its disk %s",
                vm, disk->target);
    }
}

/* FALSE, and @error: it cannot be told. A VM that is gone meanwhile needs nothing. */
static gboolean add_definition(virConnectPtr connection, virDomainPtr domain, unsigned flags, GPtrArray *list,
                               GError **error)
{
    char *xml = virDomainGetXMLDesc(domain, flags);
    g_autoptr(drv_domain) parsed = xml ? drv_domain_from_xml(xml, NULL) : NULL;
    g_autoptr(GPtrArray) files = xml ? drv_domain_xml_files(xml) : NULL;

    free(xml);
    if (!parsed || !files) {
        if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
            return TRUE;
        drv_hyper_take_error(error, "cannot read which disks VM %s uses", virDomainGetName(domain));
        return FALSE;
    }
    for (guint i = 0; i < parsed->disks->len; i++)
        add_disk(connection, list, parsed->name, parsed->disks->pdata[i]);
    /* Of a VM that runs libvirt knows as well what the images no longer say, and copies under way. */
    for (guint i = 0; i < files->len; i++) {
        g_autoptr(use) other = new_use(files->pdata[i]);
        gboolean known = FALSE;

        for (guint k = 0; k < list->len; k++)
            known |= is_same(list->pdata[k], other);
        if (!known && *other->path == '/')
            add(list, other->path, "VM %s uses it", parsed->name);
    }
    return TRUE;
}

static gboolean add_domains(virConnectPtr connection, drv_image_uses *uses, const char *but, GError **error)
{
    virDomainPtr *domains = NULL;
    int count = virConnectListAllDomains(connection, &domains, 0);
    gboolean good = TRUE;

    if (count < 0) {
        drv_hyper_take_error(error, "cannot find out which disks this host's VMs use");
        return FALSE;
    }
    for (int i = 0; i < count; i++) {
        char uuid[VIR_UUID_STRING_BUFLEN] = "";
        GPtrArray *list;

        virDomainGetUUIDString(domains[i], uuid);
        list = but && g_ascii_strcasecmp(uuid, but) == 0 ? uses->own : uses->uses;
        /* As it runs, and as it will start the next time. */
        good = good && add_definition(connection, domains[i], 0, list, error) &&
               add_definition(connection, domains[i], VIR_DOMAIN_XML_INACTIVE, list, error);
        virDomainFree(domains[i]);
    }
    free(domains);
    virResetLastError();
    return good;
}

/* ---- images that belong to no VM ---- */

/* Here nothing says what an image is but its header. A guest can forge that of a raw one: then a file is kept in vain. */
static void add_directory(drv_image_uses *uses, const char *directory)
{
    g_autofree char *path = g_canonicalize_filename(directory, "/");
    g_autoptr(GDir) dir = g_hash_table_contains(uses->directories, path) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    for (guint i = 0; dir && i < FILES_MOST && (name = g_dir_read_name(dir)); i++) {
        g_autofree char *image = g_build_filename(path, name, NULL);
        g_autoptr(GPtrArray) parts = NULL;

        if (!g_file_test(image, G_FILE_TEST_IS_REGULAR))
            continue;
        parts = drv_image_looks_like(image);
        for (guint k = 0; parts && k < parts->len; k++) {
            const drv_image_part *part = parts->pdata[k];
            use *one = part->local ? add(uses->uses, part->path, "the image %s %s", image,
                                         part->data ? "has it as its data file" : "is based on it")
                                   : NULL;

            if (one)
                one->image = g_strdup(image);
        }
    }
    g_hash_table_add(uses->directories, g_steal_pointer(&path));
}

/* Transfer full. */
static char *directory_of(virStoragePoolPtr pool)
{
    char *xml = virStoragePoolGetXMLDesc(pool, 0);
    xmlDocPtr doc =
        xml ? xmlReadMemory(xml, (int)strlen(xml), "pool.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR) : NULL;
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    char *path = root ? drv_xml_text(drv_xml_child(drv_xml_child(root, "target"), "path")) : NULL;

    xmlFreeDoc(doc);
    free(xml);
    return path;
}

static void add_pools(virConnectPtr connection, drv_image_uses *uses)
{
    virStoragePoolPtr *pools = NULL;
    int count =
        virConnectListAllStoragePools(connection, &pools,
                                      VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE | VIR_CONNECT_LIST_STORAGE_POOLS_DIR |
                                          VIR_CONNECT_LIST_STORAGE_POOLS_FS | VIR_CONNECT_LIST_STORAGE_POOLS_NETFS);

    for (int i = 0; i < count; i++) {
        g_autofree char *path = directory_of(pools[i]);

        if (path)
            add_directory(uses, path);
        virStoragePoolFree(pools[i]);
    }
    free(pools);
    virResetLastError();
}

/* ---- the whole ---- */

drv_image_uses *drv_hyper_image_uses(drv_hyper *hyper, const char *but, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    drv_image_uses *uses;

    if (!lease)
        return NULL;
    uses = g_new0(drv_image_uses, 1);
    uses->uses = g_ptr_array_new_with_free_func(use_free);
    uses->own = g_ptr_array_new_with_free_func(use_free);
    uses->directories = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (!add_domains(lease->connection, uses, but, error)) {
        drv_image_uses_free(uses);
        return NULL;
    }
    add_pools(lease->connection, uses);
    return uses;
}

void drv_image_uses_free(drv_image_uses *uses)
{
    if (!uses)
        return;
    g_ptr_array_unref(uses->uses);
    g_ptr_array_unref(uses->own);
    g_hash_table_unref(uses->directories);
    g_free(uses);
}

void drv_image_uses_except(drv_image_uses *uses, const char *image)
{
    g_ptr_array_add(uses->own, new_use(image));
}

static gboolean counts(const drv_image_uses *uses, const use *one)
{
    g_autoptr(use) image = one->image ? new_use(one->image) : NULL;

    for (guint i = 0; image && i < uses->own->len; i++)
        if (is_same(uses->own->pdata[i], image))
            return FALSE;
    return TRUE;
}

char *drv_image_uses_of(drv_image_uses *uses, const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autoptr(use) wanted = new_use(path);
    g_autoptr(GString) text = g_string_new(NULL);
    guint more = 0, named = 0;

    add_directory(uses, directory);
    for (guint i = 0; i < uses->uses->len; i++) {
        const use *one = uses->uses->pdata[i];

        if (!is_same(one, wanted) || !counts(uses, one))
            continue;
        if (named < NAMED_MOST)
            g_string_append_printf(text, "%s%s", named ? ", " : "", one->who);
        else
            more++;
        named++;
    }
    if (more)
        g_string_append_printf(text, ", and %u more", more);
    return named ? g_strdup(text->str) : NULL;
}

/* ---- what is missing ---- */

static void missing_free(gpointer data)
{
    drv_missing_file *file = data;

    g_free(file->disk);
    g_free(file->path);
    g_free(file);
}

static void add_missing(GPtrArray *list, const char *disk, const char *path)
{
    drv_missing_file *file;

    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return;
    file = g_new0(drv_missing_file, 1);
    file->disk = g_strdup(disk);
    file->path = g_strdup(path);
    g_ptr_array_add(list, file);
}

GPtrArray *drv_hyper_missing_files(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(missing_free);
    g_autoptr(drv_domain) parsed = NULL;
    char *xml;

    if (!domain)
        return NULL;
    if (virDomainIsPersistent(domain) == 0)
        return g_steal_pointer(&list);
    xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    if (!xml) {
        drv_hyper_take_error(error, "cannot read VM %s", uuid);
        return NULL;
    }
    parsed = drv_domain_from_xml(xml, error);
    free(xml);
    for (guint i = 0; parsed && i < parsed->disks->len; i++) {
        const drv_disk *disk = parsed->disks->pdata[i];
        g_autofree char *path = path_of(lease->connection, disk);
        g_autoptr(GPtrArray) parts = path ? drv_image_parts(path, disk->format) : NULL;

        /* libvirt starts the VM without a medium that may be missing. */
        if (disk->startup_policy && path && !g_file_test(path, G_FILE_TEST_EXISTS))
            continue;
        if (path)
            add_missing(list, disk->target, path);
        for (guint k = 0; parts && k < parts->len; k++)
            if (((const drv_image_part *)parts->pdata[k])->local)
                add_missing(list, disk->target, ((const drv_image_part *)parts->pdata[k])->path);
    }
    return parsed ? g_steal_pointer(&list) : NULL;
}
