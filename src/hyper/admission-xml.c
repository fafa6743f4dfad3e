/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the definition of a VM that comes from another node may name: see admission.h.
 *
 * Theory of operation. The whole definition is walked, but for metadata, titles and descriptions. One table has for
 * each place where libvirt takes a path what kind of path belongs there; any other value that begins with a slash is
 * taken for the path of an image, so that what a later libvirt reads is not open by default. Elements of another
 * namespace than QEMU's, and entities, are refused: libvirt would read them in a way that this does not.
 */
#include "hyper/admission-xml.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libxml/parser.h>

#include "base/cleanup.h"
#include "hyper/admission.h"
#include "hyper/domain-xml.h"

#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"
#define DEPTH_MOST 32

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

typedef enum {
    KIND_IMAGE,    /* that QEMU may write to */
    KIND_DISK,     /* an image, or a block device that nothing of this host uses */
    KIND_READ,     /* that everybody on this host may read: a kernel, firmware */
    KIND_TEMPLATE, /* of UEFI variables: likewise, or not there: the variables come along */
    KIND_NVRAM,
    KIND_LOG,        /* an image's place, or libvirt's logs */
    KIND_SOCKET,     /* to which QEMU connects */
    KIND_OWN_SOCKET, /* on which it listens */
    KIND_EMULATOR,
    KIND_HOST_DEVICE, /* of this host, handed to the guest */
    KIND_HELPER,      /* a program that libvirt runs */
    KIND_FREE,        /* no path, or one that libvirt writes and does not read */
} path_kind;

/* NULL stands for any. The first that fits is it. @attribute "" is the element's text. */
static const struct {
    const char *parent, *element, *attribute;
    path_kind kind;
} places[] = {
    {"devices", "emulator", "", KIND_EMULATOR},
    {"os", "kernel", "", KIND_READ},
    {"os", "initrd", "", KIND_READ},
    {"os", "dtb", "", KIND_READ},
    {"os", "shim", "", KIND_READ},
    {"os", "loader", "", KIND_READ},
    {"os", "nvram", "", KIND_NVRAM},
    {"os", "nvram", "template", KIND_TEMPLATE},
    {"nvram", "source", "file", KIND_NVRAM},
    {"acpi", "table", "", KIND_READ},
    {"sysinfo", "entry", "file", KIND_READ},
    {NULL, "reservations", NULL, KIND_FREE},
    {"reservations", "source", "path", KIND_SOCKET},
    {NULL, "host", "socket", KIND_SOCKET},
    {"disk", "source", "path", KIND_SOCKET},
    {"disk", "source", "file", KIND_DISK},
    {"disk", "source", "dev", KIND_DISK},
    {"disk", "source", "dir", KIND_IMAGE},
    {"mirror", "source", "file", KIND_DISK},
    {"mirror", "source", "dev", KIND_DISK},
    {"disk", "mirror", "file", KIND_DISK},
    {"backingStore", "source", "file", KIND_DISK},
    {"backingStore", "source", "dev", KIND_DISK},
    {"dataStore", "source", "file", KIND_DISK},
    {"dataStore", "source", "dev", KIND_DISK},
    {"filesystem", "source", "socket", KIND_SOCKET},
    {"filesystem", "target", "dir", KIND_FREE},
    {"filesystem", "binary", "path", KIND_HELPER},
    {"interface", "script", "path", KIND_HELPER},
    {"interface", "downscript", "path", KIND_HELPER},
    {"interface", "backend", "tap", KIND_FREE}, /* looked at by its own: see check_backend() */
    {"interface", "backend", "vhost", KIND_FREE},
    {"interface", "backend", "logFile", KIND_LOG},
    {"interface", "source", "path", KIND_SOCKET},
    {"backend", "device", "path", KIND_HOST_DEVICE},
    {"input", "source", "dev", KIND_HOST_DEVICE},
    {"input", "source", "evdev", KIND_HOST_DEVICE},
    {NULL, "log", "file", KIND_LOG},
    {NULL, "console", "tty", KIND_FREE},
    {NULL, "graphics", "socket", KIND_OWN_SOCKET},
    {NULL, "listen", "socket", KIND_OWN_SOCKET},
    {"devices", "rom", "file", KIND_READ},
    {NULL, "rom", "file", KIND_READ},
    {"resource", "partition", "", KIND_FREE},
    {"os", "cmdline", "", KIND_FREE},
    {"system", "entry", "", KIND_FREE},
    {"bios", "entry", "", KIND_FREE},
    {"baseBoard", "entry", "", KIND_FREE},
    {"chassis", "entry", "", KIND_FREE},
    {"oemStrings", "entry", "", KIND_FREE},
    {"sysinfo", "entry", "", KIND_FREE},
    {"launchSecurity", NULL, "", KIND_FREE},
    {"domain", "title", NULL, KIND_FREE},
    {"domain", "description", NULL, KIND_FREE},
};

/* One walk through a definition. */
typedef struct {
    const drv_admission *admission;
    GHashTable *formats;
    GPtrArray *used;
    const char *vm;
} walk;

static gboolean deny(GError **error, const char *what, const char *remedy)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "%s: %s", what, remedy);
    return FALSE;
}

static gboolean allowed_by(gboolean allowed, const char *what, const char *word, GError **error)
{
    if (allowed)
        return TRUE;
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED,
                "the definition has %s, which does not come from another node unless this host's operator allows it: "
                "write the line %s into " DRV_ADMISSION_FILE,
                what, word);
    return FALSE;
}

/* ---- kinds ---- */

static drv_admission_file *note(walk *w, const char *path)
{
    drv_admission_file *file;

    if (!w->used)
        return NULL;
    file = g_new0(drv_admission_file, 1);
    file->path = g_strdup(path);
    g_ptr_array_add(w->used, file);
    return file;
}

static drv_admission_file *note_written(walk *w, const char *path)
{
    drv_admission_file *file = note(w, path);

    if (file)
        file->written = TRUE;
    return file;
}

/* Nothing is lost when QEMU reads it, and what it is given to own is no secret; nor is it another VM's disk. */
static gboolean check_readable(walk *w, const char *path, GError **error)
{
    static const char *const never[] = {"/etc", "/proc", "/sys", "/dev", "/run", "/root", NULL};
    char *plain = NULL;
    struct stat info;
    gboolean good;

    (void)note(w, path);
    plain = *path == '/' ? realpath(path, NULL) : NULL;
    if (!plain)
        return deny(error, path, "it is not on this host, where the definition says that it is");
    good = stat(plain, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & S_IROTH);
    for (guint i = 0; never[i]; i++)
        good = good && !drv_path_is_below(plain, never[i]);
    free(plain);
    return good || deny(error, path,
                        "a definition that comes from another node may name as kernel, firmware or table "
                        "only a file that everybody on this host may read");
}

/* One that is made later is copied by libvirt if the variables are lost: so nothing secret may come to be there. */
static gboolean check_template(walk *w, const char *path, GError **error)
{
    struct drv_error problem = {0};
    drv_path parsed;

    if (drv_path_parse(&parsed, path, &problem) < 0 || g_file_test(path, G_FILE_TEST_EXISTS))
        return check_readable(w, path, error);
    if (drv_path_is_below(path, "/usr/share"))
        return TRUE;
    return g_str_has_suffix(path, ".fd") ? drv_admission_check_file(w->admission, path, error)
                                         : check_readable(w, path, error);
}

/* A file system, a volume group or a swap that is in use has its device for itself. */
static gboolean check_device(const char *path, GError **error)
{
    struct drv_error problem = {0};
    drv_path parsed;
    struct stat info;
    int fd;

    if (drv_path_parse(&parsed, path, &problem) < 0) {
        drv_gerror_from(error, DRV_ERROR_DENIED, &problem);
        return FALSE;
    }
    if (stat(path, &info) < 0)
        return TRUE; /* libvirt will say so */
    if (!S_ISBLK(info.st_mode))
        return deny(error, path, "it is not a block device");
    fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == EBUSY ? deny(error, path, "this host itself uses the device") : TRUE;
    close(fd);
    return TRUE;
}

/* Of services for guests; never libvirt's, nor QEMU's of another VM: whoever is connected with a monitor commands it. */
static gboolean check_socket(walk *w, const char *path, GError **error)
{
    static const char *const known[] = {"/run/openvswitch",         "/var/run/openvswitch",         "/run/vhost",
                                        "/run/qemu-pr-helper.sock", "/var/run/qemu-pr-helper.sock", NULL};
    struct drv_error problem = {0};
    drv_path parsed;

    for (guint i = 0; known[i] && drv_path_parse(&parsed, path, &problem) == 0; i++)
        if (drv_path_is_below(path, known[i]))
            return TRUE;
    return drv_admission_check_file(w->admission, path, error);
}

/* Whether it lies in a directory of this VM's own: libvirt names them domain-ID-NAME, with 20 characters of the name at most. */
static gboolean is_of_vm(const char *path, const char *vm)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    for (guint i = 0; parts[i] && parts[i + 1]; i++) {
        const char *at = parts[i];

        if (!g_str_has_prefix(at, "domain-"))
            continue;
        at += strlen("domain-");
        while (g_ascii_isdigit(*at))
            at++;
        return *at == '-' && strlen(at + 1) <= 20 && strncmp(at + 1, vm, 20) == 0;
    }
    return FALSE;
}

static gboolean check_own_socket(walk *w, const char *path, GError **error)
{
    static const char *const known[] = {"/var/lib/libvirt/qemu", "/run/libvirt/qemu", "/var/run/libvirt/qemu", NULL};
    struct drv_error problem = {0};
    drv_path parsed;

    for (guint i = 0; known[i] && drv_path_parse(&parsed, path, &problem) == 0; i++)
        if (drv_path_is_below(path, known[i]))
            return is_of_vm(path, w->vm) ||
                   deny(error, path, "it is in a directory of libvirt's that is not this VM's");
    return check_socket(w, path, error);
}

static gboolean check_log(walk *w, const char *path, GError **error)
{
    struct drv_error problem = {0};
    drv_path parsed;

    (void)note_written(w, path);
    if (drv_path_parse(&parsed, path, &problem) == 0 && drv_path_is_below(path, "/var/log/libvirt"))
        return TRUE;
    return drv_admission_check_file(w->admission, path, error);
}

static gboolean check_emulator(walk *w, const char *path, GError **error)
{
    g_autofree char *name = g_path_get_basename(path);
    struct drv_error problem = {0};
    drv_path parsed;

    for (guint i = 0; i < w->admission->emulators->len; i++)
        if (g_str_equal(path, w->admission->emulators->pdata[i]))
            return TRUE;
    if (drv_path_parse(&parsed, path, &problem) == 0 && drv_path_is_below(path, "/usr") &&
        (g_str_has_prefix(name, "qemu-system-") || g_str_equal(name, "qemu-kvm") || g_str_equal(name, "kvm")))
        return TRUE;
    return deny(error, path,
                "it is no emulator that libvirt knows on this host; if it is right, write the line "
                "emulator PATH into " DRV_ADMISSION_FILE);
}

static gboolean check_kind(walk *w, path_kind kind, const char *path, GError **error)
{
    switch (kind) {
    case KIND_IMAGE:
        return drv_admission_check_file(w->admission, path, error);
    case KIND_DISK:
        return drv_path_is_below(path, "/dev") ? check_device(path, error)
                                               : drv_admission_check_file(w->admission, path, error);
    case KIND_READ:
        return check_readable(w, path, error);
    case KIND_TEMPLATE:
        return check_template(w, path, error);
    case KIND_NVRAM:
        (void)note_written(w, path);
        return drv_admission_check_nvram(w->admission, path, error);
    case KIND_LOG:
        return check_log(w, path, error);
    case KIND_SOCKET:
        return check_socket(w, path, error);
    case KIND_OWN_SOCKET:
        return check_own_socket(w, path, error);
    case KIND_EMULATOR:
        return check_emulator(w, path, error);
    case KIND_HOST_DEVICE:
        return allowed_by(w->admission->host_devices, path, "host-devices", error);
    case KIND_HELPER:
        return deny(error, path, "a definition that comes from another node must not name a program to run");
    case KIND_FREE:
        return TRUE;
    }
    return FALSE;
}

/* ---- devices with rules of their own ---- */

static gboolean is_written(xmlNodePtr disk)
{
    return !drv_xml_child(disk, "readonly") && !drv_xml_attr_is(disk, "device", "cdrom");
}

static gboolean check_disk(walk *w, xmlNodePtr disk, GError **error)
{
    static const char *const types[] = {"file", "block", "network", "volume", NULL};
    g_autofree char *type = drv_xml_attr(disk, "type");
    g_autofree char *file = drv_xml_attr(drv_xml_child(disk, "source"), "file");
    g_autofree char *device = drv_xml_attr(drv_xml_child(disk, "source"), "dev");
    g_autofree char *format = drv_xml_attr(drv_xml_child(disk, "driver"), "type");
    const char *path = file ? file : device;
    const char *made = path && w->formats ? g_hash_table_lookup(w->formats, path) : NULL;
    drv_admission_file *used;

    if (type && !g_strv_contains(types, type) && !w->admission->host_devices)
        return allowed_by(FALSE, "a disk that is a device or a directory of this host", "host-devices", error);
    /* What the other node has written must not be read as another format: that could name any file. */
    if (made && g_strcmp0(made, format ? format : "raw") != 0)
        return deny(error, path, "its format in the definition is not the one that it was made with");
    used = !path ? NULL : is_written(disk) ? note_written(w, path) : note(w, path);
    if (used) {
        used->shareable = drv_xml_child(disk, "shareable") != NULL;
        used->format = g_strcmp0(format, "raw") == 0 ? NULL : g_strdup(format);
    }
    return TRUE;
}

static gboolean check_chardev(walk *w, xmlNodePtr device, GError **error)
{
    g_autofree char *type = drv_xml_attr(device, "type");

    DRV_XML_FOREACH_CHILD(source, device)
    {
        g_autofree char *path = drv_xml_is(source, "source") ? drv_xml_attr(source, "path") : NULL;
        path_kind kind = g_strcmp0(type, "pty") == 0 ? KIND_FREE
                         : g_strcmp0(type, "unix") == 0
                             ? drv_xml_attr_is(source, "mode", "bind") ? KIND_OWN_SOCKET : KIND_SOCKET
                         : g_strcmp0(type, "dev") == 0 ? KIND_HOST_DEVICE
                                                       : KIND_LOG;

        if (path && !check_kind(w, kind, path, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean is_one_of(const char *text, const char *const *known)
{
    return g_strv_contains(known, text);
}

static gboolean check_backend(walk *w, xmlNodePtr backend, GError **error)
{
    static const char *const random[] = {"/dev/random", "/dev/urandom", "/dev/hwrng", NULL};
    static const char *const network[] = {"/dev/net/tun", "/dev/vhost-net", NULL};
    g_autofree char *text = drv_xml_text(backend);
    g_autofree char *tap = drv_xml_attr(backend, "tap");
    g_autofree char *vhost = drv_xml_attr(backend, "vhost");

    if (drv_xml_is(backend->parent, "rng"))
        return drv_xml_child(backend, "source") ? check_chardev(w, backend, error)
               : !text || !*text || is_one_of(text, random)
                   ? TRUE
                   : deny(error, text, "it is no source of random numbers of this host");
    if ((tap && !is_one_of(tap, network)) || (vhost && !is_one_of(vhost, network)))
        return deny(error, tap ? tap : vhost, "a network interface has the kernel's own devices only");
    return TRUE;
}

/* Labels say as whom QEMU runs, and to whom its files are given. */
static gboolean check_label(walk *w, xmlNodePtr label, GError **error)
{
    gboolean of_domain = drv_xml_is(label->parent, "domain");
    gboolean own = of_domain ? drv_xml_attr_is(label, "type", "static") || drv_xml_attr_is(label, "type", "none") ||
                                   drv_xml_child(label, "baselabel")
                             : drv_xml_child(label, "label") != NULL;

    return !own || allowed_by(w->admission->labels, "a security label of its own", "labels", error);
}

/* Whether each of the values is of one of these keys; one without a key only at the beginning, as a machine's type is. */
static gboolean has_only(const char *value, const char *const *keys)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);

    for (guint i = 0; parts[i]; i++) {
        g_auto(GStrv) halves = g_strsplit(parts[i], "=", 2);

        if (halves[0] && halves[1] ? !is_one_of(halves[0], keys) : i > 0)
            return FALSE;
    }
    return TRUE;
}

/* A property of a device: nothing that names a file or another thing of the host's. */
static gboolean is_plain_property(const char *value)
{
    static const char *const never[] = {"file",   "path", "drive", "chardev", "netdev",
                                        "memdev", "host", "fd",    "rom",     NULL};
    const char *dot = strchr(value, '.');
    const char *equals = dot ? strchr(dot, '=') : NULL;
    g_autofree char *property = equals ? g_strndup(dot + 1, (gsize)(equals - dot - 1)) : NULL;

    for (guint i = 0; property && never[i]; i++)
        if (strstr(property, never[i]))
            return FALSE;
    return property && *property;
}

/* Arguments that touch nothing of the host but processor and memory. */
static gboolean is_harmless(const char *option, const char *value)
{
    static const char *const plain[] = {"-m", "-cpu", "-smp", "-rtc", NULL};
    /* clang-format off */
    static const char *const machine[] = {
        "type", "accel", "acpi", "dump-guest-core", "gic-version", "graphics", "highmem", "hmat", "hpet", "i8042", "its",
        "kernel-irqchip", "kernel_irqchip", "max-ram-below-4g", "mem-merge", "memory-backend", "nvdimm", "pit", "sata",
        "secure", "smbus", "smm", "suppress-vmdesc", "usb", "virtualization", "vmport", NULL};
    /* clang-format on */
    static const char *const boot[] = {"order", "once", "menu", "splash-time", "reboot-timeout", "strict", NULL};

    if (!value || value[0] == '{')
        return FALSE;
    if (g_str_equal(option, "-machine") || g_str_equal(option, "-M"))
        return has_only(value, machine) && !strchr(value, '/');
    if (g_str_equal(option, "-boot"))
        return has_only(value, boot) && !strchr(value, '/');
    if (g_str_equal(option, "-global"))
        return is_plain_property(value) && !strchr(value, '/');
    if (g_str_equal(option, "-object"))
        return g_str_has_prefix(value, "memory-backend-ram,") && !strchr(value, '/');
    if (g_str_equal(option, "-fw_cfg"))
        return !strstr(value, "file=") && !strstr(value, "file,") && strstr(value, "string=");
    return is_one_of(option, plain) && !strchr(value, '/');
}

static gboolean check_arguments(walk *w, xmlNodePtr commandline, GError **error)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    gboolean env = FALSE;

    DRV_XML_FOREACH_CHILD(child, commandline)
    {
        char *value = drv_xml_attr(child, "value");

        env |= !drv_xml_is(child, "arg");
        g_ptr_array_add(words, value ? value : g_strdup(""));
    }
    if (env)
        return allowed_by(w->admission->qemu_arguments, "an environment for QEMU", "qemu-arguments", error);
    for (guint i = 0; i < words->len; i += 2) {
        const char *value = i + 1 < words->len ? words->pdata[i + 1] : NULL;
        g_autofree char *what = NULL;

        if (is_harmless(words->pdata[i], value) || w->admission->qemu_arguments)
            continue;
        what = g_strdup_printf("the QEMU arguments %.64s %.128s", (char *)words->pdata[i], value ? value : "");
        return allowed_by(FALSE, what, "qemu-arguments", error);
    }
    return TRUE;
}

static gboolean check_device_node(walk *w, xmlNodePtr node, GError **error)
{
    static const char *const chardevs[] = {"serial",    "parallel", "console", "channel",
                                           "smartcard", "redirdev", "shmem",   NULL};
    static const char *const on_host[] = {"hostdev", "vsock-device", NULL};

    if (is_one_of((const char *)node->name, on_host) || drv_xml_attr_is(node, "type", "vdpa") ||
        (drv_xml_is(node, "tpm") && drv_xml_attr_is(drv_xml_child(node, "backend"), "type", "passthrough")) ||
        (drv_xml_is(node, "interface") && drv_xml_attr_is(node, "type", "hostdev")))
        return allowed_by(w->admission->host_devices, "a device of its host", "host-devices", error);
    if (drv_xml_is(node, "disk"))
        return check_disk(w, node, error);
    return !is_one_of((const char *)node->name, chardevs) || check_chardev(w, node, error);
}

/* ---- the walk ---- */

static path_kind kind_of(xmlNodePtr node, const char *attribute)
{
    const char *parent = node->parent && node->parent->type == XML_ELEMENT_NODE ? (const char *)node->parent->name : "";

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++)
        if ((!places[i].parent || g_str_equal(places[i].parent, parent)) &&
            (!places[i].element || drv_xml_is(node, places[i].element)) &&
            (!places[i].attribute || g_str_equal(places[i].attribute, attribute)))
            return places[i].kind;
    return KIND_IMAGE;
}

/* Whether libvirt takes a path there, whatever it looks like: QEMU's directory is /, so "etc/shadow" is one too. */
static gboolean is_place(xmlNodePtr node, const char *attribute)
{
    const char *parent = node->parent && node->parent->type == XML_ELEMENT_NODE ? (const char *)node->parent->name : "";

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++)
        if (places[i].kind != KIND_FREE && places[i].element &&
            (!places[i].parent || g_str_equal(places[i].parent, parent)) && drv_xml_is(node, places[i].element) &&
            g_strcmp0(places[i].attribute, attribute) == 0)
            return TRUE;
    return FALSE;
}

/* Its paths are looked at where the device is. */
static gboolean is_done(xmlNodePtr node)
{
    xmlNodePtr parent = node->parent;

    return drv_xml_is(node, "source") && parent &&
           (drv_xml_is(parent, "serial") || drv_xml_is(parent, "parallel") || drv_xml_is(parent, "console") ||
            drv_xml_is(parent, "channel") || drv_xml_is(parent, "smartcard") || drv_xml_is(parent, "redirdev") ||
            drv_xml_is(parent, "shmem") || (drv_xml_is(parent, "backend") && drv_xml_is(parent->parent, "rng")));
}

/* Of a disk on the network it is an export's, a target's or a volume's, whatever it looks like. */
static gboolean is_of_network(xmlNodePtr node, const char *attribute)
{
    return drv_xml_is(node, "source") && g_str_equal(attribute, "name") &&
           drv_xml_attr_is(node->parent, "type", "network");
}

static gboolean check_attributes(walk *w, xmlNodePtr node, GError **error)
{
    for (xmlAttrPtr attribute = node->properties; attribute; attribute = attribute->next) {
        const char *name = (const char *)attribute->name;
        g_autofree char *value = drv_xml_attr(node, name);

        if (!value || (*value != '/' && !(is_place(node, name) && *value)) || is_of_network(node, name) ||
            (is_done(node) && g_str_equal(name, "path")))
            continue;
        if (!check_kind(w, kind_of(node, name), value, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean has_elements(xmlNodePtr node)
{
    DRV_XML_FOREACH_CHILD(child, node)
    return TRUE;
    return FALSE;
}

static gboolean check_text(walk *w, xmlNodePtr node, GError **error)
{
    g_autofree char *text = has_elements(node) ? NULL : drv_xml_text(node);

    if (!text || !*text || (drv_xml_is(node, "backend") && drv_xml_is(node->parent, "rng")) ||
        (*text != '/' && !is_place(node, "")))
        return TRUE;
    return check_kind(w, kind_of(node, ""), text, error);
}

static gboolean check_node(walk *w, xmlNodePtr node, guint depth, GError **error)
{
    gboolean of_qemu = node->ns && xmlStrEqual(node->ns->href, BAD_CAST QEMU_NAMESPACE);

    if (depth > DEPTH_MOST || (node->ns && !of_qemu))
        return deny(error, (const char *)node->name, "an element of the definition that Drover cannot judge");
    if (of_qemu)
        return drv_xml_is(node, "commandline")
                   ? check_arguments(w, node, error)
                   : allowed_by(w->admission->qemu_arguments, "settings of QEMU's own", "qemu-arguments", error);
    if (drv_xml_is(node, "metadata") && drv_xml_is(node->parent, "domain"))
        return TRUE;
    if (drv_xml_is(node, "seclabel") && !check_label(w, node, error))
        return FALSE;
    if (drv_xml_is(node, "backend") && !check_backend(w, node, error))
        return FALSE;
    if (drv_xml_is(node->parent, "devices") && !check_device_node(w, node, error))
        return FALSE;
    if (!check_attributes(w, node, error) || !check_text(w, node, error))
        return FALSE;
    for (xmlNodePtr child = node->children; child; child = child->next) {
        if (child->type == XML_ENTITY_REF_NODE)
            return deny(error, (const char *)child->name, "a definition has no entities");
        if (child->type == XML_ELEMENT_NODE && !check_node(w, child, depth + 1, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean is_text_of(xmlNodePtr root, const char *name, const char *text)
{
    g_autofree char *is = NULL;
    guint count = 0;

    DRV_XML_FOREACH_CHILD(child, root)
    count += drv_xml_is(child, name);
    is = count == 1 ? drv_xml_text(drv_xml_child(root, name)) : NULL;
    return g_strcmp0(is, text) == 0;
}

gboolean drv_admission_check_domain(const drv_admission *admission, const char *xml, const drv_uuid *uuid,
                                    const char *vm, GHashTable *formats, GPtrArray *used, GError **error)
{
    walk w = {admission, formats, used, vm};
    g_autoptr(xmlDoc) doc = xmlReadMemory(xml, (int)MIN(strlen(xml), G_MAXINT), "domain.xml", NULL,
                                          XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;

    if (!drv_xml_is(root, "domain") || doc->intSubset || doc->extSubset)
        return deny(error, vm, "what came as its definition is none");
    if (!is_text_of(root, "uuid", uuid->text) || !is_text_of(root, "name", vm))
        return deny(error, vm, "the definition that came is of another VM");
    if (!drv_xml_attr_is(root, "type", "kvm") && !drv_xml_attr_is(root, "type", "qemu"))
        return deny(error, vm, "it is no VM of QEMU's");
    return check_node(&w, root, 0, error);
}

void drv_admission_file_free(gpointer data)
{
    drv_admission_file *file = data;

    if (file) {
        g_free(file->path);
        g_free(file->format);
    }
    g_free(file);
}
