/* SPDX-License-Identifier: Apache-2.0 */
/* Where what comes from another node may lie, and what this host's operator allows: see admission.h. */
#include "hyper/admission.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libxml/parser.h>

#include "base/beneath.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "hyper/admission-xml.h"
#include "hyper/connection.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/image-uses.h"
#include "hyper/image.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

#define LIBVIRT_DIR "/var/lib/libvirt"
#define NVRAM_DIR LIBVIRT_DIR "/qemu/nvram"
#define ALLOW                                                                                                          \
    "if that is right, name its directory in " DRV_ADMISSION_FILE " on this host, or make a storage pool of it"

drv_admission *drv_admission_new(void)
{
    drv_admission *admission = g_new0(drv_admission, 1);

    admission->directories = g_ptr_array_new_with_free_func(g_free);
    admission->emulators = g_ptr_array_new_with_free_func(g_free);
    return admission;
}

void drv_admission_free(drv_admission *admission)
{
    if (!admission)
        return;
    g_ptr_array_unref(admission->directories);
    g_ptr_array_unref(admission->emulators);
    g_free(admission);
}

/* ---- the operator's file ---- */

static gboolean parse_line(drv_admission *admission, const char *line, GError **error)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", 2);
    const char *value = words[0] && words[1] ? g_strstrip(words[1]) : NULL;
    struct drv_error problem = {0};
    drv_path path;

    if (!value && g_str_equal(line, "host-devices")) {
        admission->host_devices = TRUE;
    } else if (!value && g_str_equal(line, "qemu-arguments")) {
        admission->qemu_arguments = TRUE;
    } else if (!value && g_str_equal(line, "labels")) {
        admission->labels = TRUE;
    } else if (value && (g_str_equal(words[0], "directory") || g_str_equal(words[0], "emulator"))) {
        if (drv_path_parse(&path, value, &problem) < 0) {
            drv_gerror_from(error, DRV_ERROR_INVALID, &problem);
            return FALSE;
        }
        g_ptr_array_add(g_str_equal(words[0], "directory") ? admission->directories : admission->emulators,
                        g_strdup(path.text));
    } else {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID,
                    "'%.64s' is not understood: use directory PATH, emulator PATH, host-devices, qemu-arguments or "
                    "labels",
                    line);
        return FALSE;
    }
    return TRUE;
}

gboolean drv_admission_parse(drv_admission *admission, const char *text, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    gboolean good = TRUE;

    for (guint i = 0; lines[i]; i++) {
        const char *line = g_strstrip(lines[i]);

        if (*line && *line != '#' && !parse_line(admission, line, good ? error : NULL)) {
            if (good)
                g_prefix_error(error, "line %u: ", i + 1);
            good = FALSE;
        }
    }
    return good;
}

/* ---- this host ---- */

static void add_pool(drv_admission *admission, virStoragePoolPtr pool)
{
    char *xml = virStoragePoolIsActive(pool) == 1 ? virStoragePoolGetXMLDesc(pool, 0) : NULL;
    g_autoptr(xmlDoc) doc =
        xml ? xmlReadMemory(xml, (int)strlen(xml), "pool.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR) : NULL;
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    g_autofree char *type = drv_xml_attr(root, "type");
    g_autofree char *path = drv_xml_text(drv_xml_child(drv_xml_child(root, "target"), "path"));
    char *plain = NULL;

    free(xml);
    if (path && (g_strcmp0(type, "dir") == 0 || g_strcmp0(type, "fs") == 0 || g_strcmp0(type, "netfs") == 0))
        plain = realpath(path, NULL);
    /* A pool of everything says nothing. */
    if (plain && !g_str_equal(plain, "/"))
        g_ptr_array_add(admission->directories, g_strdup(plain));
    free(plain);
}

static void add_emulators(xmlNodePtr node, drv_admission *admission)
{
    DRV_XML_FOREACH_CHILD(child, node)
    {
        char *path = drv_xml_is(child, "emulator") ? drv_xml_text(child) : NULL;

        if (path)
            g_ptr_array_add(admission->emulators, path);
        add_emulators(child, admission);
    }
}

static void read_file(drv_admission *admission)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_file_get_contents(DRV_ADMISSION_FILE, &text, NULL, &error)) {
        if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            drv_log_warning("%s allows nothing: %s", DRV_ADMISSION_FILE, error->message);
        return;
    }
    if (!drv_admission_parse(admission, text, &error))
        drv_log_warning("%s: %s", DRV_ADMISSION_FILE, error->message);
    /* As the operator names them they may be links. */
    for (guint i = 0; i < admission->directories->len; i++) {
        char *plain = realpath(admission->directories->pdata[i], NULL);

        if (plain) {
            g_free(admission->directories->pdata[i]);
            admission->directories->pdata[i] = g_strdup(plain);
        }
        free(plain);
    }
}

drv_admission *drv_hyper_admission(drv_hyper *hyper, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(drv_admission) admission = drv_admission_new();
    virStoragePoolPtr *pools = NULL;
    g_autoptr(xmlDoc) doc = NULL;
    char *capabilities;
    int count;

    if (!lease)
        return NULL;
    count = virConnectListAllStoragePools(lease->connection, &pools, VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE);
    for (int i = 0; i < count; i++) {
        add_pool(admission, pools[i]);
        virStoragePoolFree(pools[i]);
    }
    free(pools);
    capabilities = virConnectGetCapabilities(lease->connection);
    if (capabilities)
        doc = xmlReadMemory(capabilities, (int)strlen(capabilities), "capabilities.xml", NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR);
    free(capabilities);
    virResetLastError();
    add_emulators(doc ? xmlDocGetRootElement(doc) : NULL, admission);
    read_file(admission);
    return g_steal_pointer(&admission);
}

/* ---- places ---- */

static gboolean is_below_any(const char *path, const char *const *directories)
{
    for (; *directories; directories++)
        if (drv_path_is_below(path, *directories))
            return TRUE;
    return FALSE;
}

gboolean drv_admission_has_directory(const drv_admission *admission, const char *directory)
{
    static const char *const systems[] = {
        "/bin",    "/boot", "/dev",  "/etc", "/gnu",  "/lib",  "/lib32", "/lib64",   "/libx32", "/nix", "/opt",
        "/ostree", "/proc", "/root", "/run", "/sbin", "/snap", "/sys",   "/sysroot", "/usr",    "/var", NULL};
    /* What anybody may write to is trusted by nobody. */
    static const char *const open[] = {"/var/tmp", NULL};
    /* clang-format off */
    static const char *const libvirts_own[] = {
        LIBVIRT_DIR "/boot", LIBVIRT_DIR "/ch", LIBVIRT_DIR "/dnsmasq", LIBVIRT_DIR "/filesystems",
        LIBVIRT_DIR "/interface", LIBVIRT_DIR "/libxl", LIBVIRT_DIR "/lockd", LIBVIRT_DIR "/lxc",
        LIBVIRT_DIR "/network", LIBVIRT_DIR "/nodedev", LIBVIRT_DIR "/qemu", LIBVIRT_DIR "/sanlock",
        LIBVIRT_DIR "/secrets", LIBVIRT_DIR "/storage", LIBVIRT_DIR "/swtpm", LIBVIRT_DIR "/xen", NULL};
    /* clang-format on */

    if (strstr(directory, "/."))
        return FALSE;
    for (guint i = 0; i < admission->directories->len; i++)
        if (drv_path_is_below(directory, admission->directories->pdata[i]))
            return TRUE;
    if (g_str_equal(directory, "/"))
        return FALSE;
    if (drv_path_is_below(directory, LIBVIRT_DIR))
        return !g_str_equal(directory, LIBVIRT_DIR) && !is_below_any(directory, libvirts_own);
    return is_below_any(directory, open) || !is_below_any(directory, systems);
}

/* Where @path leads by links; what is not there yet is taken by its text. Transfer full. */
static char *resolved(const char *path)
{
    g_autofree char *at = g_strdup(path);
    g_autofree char *rest = g_strdup("");

    for (;;) {
        char *plain = realpath(at, NULL);
        char *name, *more, *up;

        if (plain || g_str_equal(at, "/") || errno != ENOENT) {
            char *whole = plain && !g_str_equal(plain, "/") ? g_strconcat(plain, rest, NULL)
                          : plain                           ? g_strdup(*rest ? rest : "/")
                                                            : NULL;

            free(plain);
            return whole;
        }
        name = g_path_get_basename(at);
        more = g_strconcat("/", name, rest, NULL);
        up = g_path_get_dirname(at);
        g_free(name);
        g_free(rest);
        g_free(at);
        rest = more;
        at = up;
    }
}

static gboolean deny_place(const char *path, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "%s is not where images of VMs may be: " ALLOW, path);
    return FALSE;
}

int drv_admission_open_directory(const drv_admission *admission, const drv_path *directory, GError **error)
{
    struct drv_error problem = {0};
    char *plain = realpath(directory->text, NULL);
    int fd;

    if (!plain) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_REFUSED,
                    "there is no directory %s on this host: make it (mkdir -p), or mount what belongs there",
                    directory->text);
        return -1;
    }
    if (!drv_admission_has_directory(admission, plain)) {
        free(plain);
        deny_place(directory->text, error);
        return -1;
    }
    /* What became a link since then is not followed. */
    fd = drv_beneath_root(plain, &problem);
    free(plain);
    if (fd < 0)
        drv_gerror_from(error, DRV_ERROR_FAILED, &problem);
    return fd;
}

/* Transfer full: where a plain path leads; NULL and @error. */
static char *lead(const char *path, GError **error)
{
    struct drv_error problem = {0};
    drv_path parsed;
    char *plain;

    if (drv_path_parse(&parsed, path, &problem) < 0) {
        drv_gerror_from(error, DRV_ERROR_DENIED, &problem);
        return NULL;
    }
    plain = resolved(path);
    if (!plain)
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "cannot look at %s: %s", path, g_strerror(errno));
    return plain;
}

gboolean drv_admission_check_file(const drv_admission *admission, const char *path, GError **error)
{
    g_autofree char *plain = lead(path, error);
    g_autofree char *directory = plain ? g_path_get_dirname(plain) : NULL;

    if (!plain)
        return FALSE;
    return (drv_admission_has_directory(admission, directory) && !strstr(plain, "/.")) || deny_place(path, error);
}

gboolean drv_admission_check_nvram(const drv_admission *admission, const char *path, GError **error)
{
    g_autofree char *plain = lead(path, error);

    if (!plain)
        return FALSE;
    if (drv_path_is_below(plain, NVRAM_DIR) && !g_str_equal(plain, NVRAM_DIR) && !strstr(plain, "/."))
        return TRUE;
    return drv_admission_check_file(admission, path, error);
}

gboolean drv_admission_check_image(const drv_admission *admission, const char *path, const char *format, GError **error)
{
    g_autoptr(GPtrArray) parts = drv_image_parts(path, format);

    for (guint i = 0; parts && i < parts->len; i++) {
        const drv_image_part *part = parts->pdata[i];

        if (!part->local) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "the image %s names %s, which is no file", path,
                        part->path);
            return FALSE;
        }
        if (!drv_admission_check_file(admission, part->path, error)) {
            g_prefix_error(error, "the image %s needs another file: ", path);
            return FALSE;
        }
    }
    return TRUE;
}

/* Of a disk that both VMs call shareable, sharing is what it is for. */
static gboolean is_shared_by_all(drv_hyper *hyper, const char *path, const char *but)
{
    g_autoptr(GPtrArray) domains = drv_hyper_domains(hyper, NULL);

    for (guint i = 0; domains && i < domains->len; i++) {
        const drv_domain *domain = domains->pdata[i];

        for (guint j = 0; !g_str_equal(domain->uuid, but) && j < domain->disks->len; j++) {
            const drv_disk *disk = domain->disks->pdata[j];

            if (g_strcmp0(disk->source, path) == 0 && !disk->shareable)
                return FALSE;
        }
    }
    return domains != NULL;
}

/* By inode, as a link or another name of it is the same. */
static gboolean is_same_file(const char *one, const char *other)
{
    struct stat a, b;

    return other && stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* What one VM writes to nobody else reads: it may be secret, and QEMU locks it. NULL: none; transfer full. */
static char *writer_of(drv_hyper *hyper, const char *path, const char *but)
{
    g_autoptr(GPtrArray) domains = drv_hyper_domains(hyper, NULL);

    for (guint i = 0; domains && i < domains->len; i++) {
        const drv_domain *domain = domains->pdata[i];

        for (guint j = 0; !g_str_equal(domain->uuid, but) && j < domain->disks->len; j++) {
            const drv_disk *disk = domain->disks->pdata[j];

            if (!disk->readonly && g_strcmp0(disk->device, "cdrom") != 0 && is_same_file(path, disk->source))
                return g_strdup_printf("VM %s has it as its disk %s", domain->name, disk->target);
        }
    }
    return NULL;
}

typedef struct {
    drv_hyper *hyper;
    const drv_uuid *uuid;
    const char *vm;
    const GPtrArray *files; /* of drv_admission_file: that its definition names */
    drv_image_uses *uses;   /* NULL until they are asked for */
} asking;

/* What its own images need is needed by nobody else, although libvirt does not know the VM yet. */
static gboolean look_for_uses(asking *it, GError **error)
{
    it->uses = drv_hyper_image_uses(it->hyper, it->uuid->text, error);
    for (guint i = 0; it->uses && i < it->files->len; i++)
        drv_image_uses_except(it->uses, ((const drv_admission_file *)it->files->pdata[i])->path);
    return it->uses != NULL;
}

/* Whether no other VM is in the way of this one's using @path. */
static gboolean check_use(asking *it, const char *path, gboolean written, GError **error)
{
    g_autofree char *by = NULL;

    if (written && !it->uses && !look_for_uses(it, error))
        return FALSE;
    by = written ? drv_image_uses_of(it->uses, path) : writer_of(it->hyper, path, it->uuid->text);
    if (by)
        g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "%s would %s %s, and that is not its own: %s", it->vm,
                    written ? "write to" : "read", path, by);
    return !by;
}

/* An image that was there before may name any file by itself. */
static gboolean check_parts(asking *it, const drv_admission *admission, const drv_admission_file *file, GError **error)
{
    g_autoptr(GPtrArray) parts = file->format ? drv_image_parts(file->path, file->format) : NULL;

    if (parts && !drv_admission_check_image(admission, file->path, file->format, error))
        return FALSE;
    for (guint i = 0; parts && i < parts->len; i++) {
        const drv_image_part *part = parts->pdata[i];

        if (access(part->path, F_OK) == 0 && !check_use(it, part->path, part->data && file->written, error))
            return FALSE;
    }
    return TRUE;
}

gboolean drv_hyper_admit(drv_hyper *hyper, const char *xml, const drv_uuid *uuid, const char *vm, GHashTable *formats,
                         GError **error)
{
    g_autoptr(drv_admission) admission = drv_hyper_admission(hyper, error);
    g_autoptr(GPtrArray) used = g_ptr_array_new_with_free_func(drv_admission_file_free);
    asking it = {hyper, uuid, vm, used, NULL};
    gboolean good = admission && drv_admission_check_domain(admission, xml, uuid, vm, formats, used, error);

    for (guint i = 0; good && i < used->len; i++) {
        const drv_admission_file *file = used->pdata[i];

        if (access(file->path, F_OK) < 0)
            continue;
        good = ((file->written && file->shareable && is_shared_by_all(hyper, file->path, uuid->text)) ||
                check_use(&it, file->path, file->written, error)) &&
               check_parts(&it, admission, file, error);
    }
    g_clear_pointer(&it.uses, drv_image_uses_free);
    return good;
}

static char *without_disks(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = xmlReadMemory(xml, (int)MIN(strlen(xml), G_MAXINT), "domain.xml", NULL,
                                          XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlChar *text = NULL;
    char *bare;
    int size;

    for (xmlNodePtr part = root ? root->children : NULL; part; part = part->next)
        for (xmlNodePtr node = part->children, next; drv_xml_is(part, "devices") && node; node = next) {
            next = node->next;
            /* What is on the network is there as well, by the same name. */
            if (!drv_xml_is(node, "disk") || drv_xml_attr_is(node, "type", "network"))
                continue;
            xmlUnlinkNode(node);
            xmlFreeNode(node);
        }
    if (root)
        xmlDocDumpMemory(doc, &text, &size);
    if (!text) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "what libvirt gave as a domain's XML is not: %.40s…", xml);
        return NULL;
    }
    bare = g_strdup((const char *)text);
    xmlFree(text);
    return bare;
}

static gboolean add_definition(GPtrArray *list, virDomainPtr domain, unsigned flags, GError **error)
{
    char *xml = virDomainGetXMLDesc(domain, flags);
    char *bare = xml ? without_disks(xml, error) : NULL;

    if (!xml)
        drv_hyper_take_error(error, "cannot read VM %s", virDomainGetName(domain));
    free(xml);
    if (bare)
        g_ptr_array_add(list, bare);
    return bare != NULL;
}

GPtrArray *drv_hyper_bare_definitions(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);

    if (!domain || (virDomainIsActive(domain) == 1 && !add_definition(list, domain, VIR_DOMAIN_XML_MIGRATABLE, error)))
        return NULL;
    if (virDomainIsPersistent(domain) == 1 && !add_definition(list, domain, VIR_DOMAIN_XML_INACTIVE, error))
        return NULL;
    return g_steal_pointer(&list);
}
