/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what elements and attributes need of a host: see needs.h. */
#include "hyper/needs.h"

#include <string.h>

#include <libxml/parser.h>
#include <libxml/xpath.h>

#include "hyper/connection.h"
#include "hyper/domain-xml.h"
#include "hyper/needs-arguments.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

static const char *const kind_names[] = {
    [DRV_NEED_FILE] = "file",     [DRV_NEED_DIRECTORY] = "directory",
    [DRV_NEED_NEW] = "new-file",  [DRV_NEED_SOCKET] = "socket",
    [DRV_NEED_PIPE] = "pipe",     [DRV_NEED_DEVICE] = "device",
    [DRV_NEED_TCP] = "tcp",       [DRV_NEED_UDP] = "udp",
    [DRV_NEED_SECRET] = "secret", [DRV_NEED_NETWORK_CARD] = "network-card",
    [DRV_NEED_TLS] = "tls",       [DRV_NEED_HUGETLBFS] = "hugetlbfs",
    [DRV_NEED_PCI] = "pci",       [DRV_NEED_USB] = "usb",
    [DRV_NEED_MDEV] = "mdev",     [DRV_NEED_SCSI_THREAD] = "scsi-thread",
};
G_STATIC_ASSERT(G_N_ELEMENTS(kind_names) == DRV_NEED_KINDS);

/* How the value is found where it is not the text of what the path selects. */
typedef enum {
    READ_TEXT,     /* of the attribute or element */
    READ_SOURCE,   /* host and service of a character device's <source> */
    READ_SCREEN,   /* a port of <graphics>, on all addresses that it listens on; no text: any port */
    READ_FORWARD,  /* <range> of <portForward> */
    READ_SECRET,   /* <secret uuid=…> or <secret type=… usage=…> */
    READ_PAGE,     /* <page size=… unit=…> */
    READ_PCI,      /* <address domain=… bus=… slot=… function=…> */
    READ_USB,      /* <source> with <vendor id=…> and <product id=…> */
    READ_CONSTANT, /* it is there: the row's value */
} reading;

typedef struct {
    const char *path; /* XPath below <domain> */
    drv_need_kind kind;
    const char *about; /* NULL: "needs" */
    const char *what;  /* NULL: the device is named */
    reading how;
    const char *constant;
} row;

/* Everything behind which a character device may be. */
#define BACKENDS                                                                                                       \
    "devices/*[self::serial or self::parallel or self::console or self::channel or "                                   \
    "self::redirdev or self::smartcard]"
#define CHARDEV(type, rest)                                                                                            \
    BACKENDS "[@type='" type "']" rest " | devices/rng/backend[@model='egd']"                                          \
             "[@type='" type "']" rest
/* Who reads only what a running VM's host must have says so by a check of its own: see obstacle.c. */
/* clang-format off */
static const row table[] = {
    /* firmware and direct boot */
    {"os/nvram/@template", DRV_NEED_FILE, "firmware", "the template of its UEFI variables", READ_TEXT, NULL},
    {"os/kernel", DRV_NEED_FILE, NULL, "direct boot", READ_TEXT, NULL},
    {"os/initrd", DRV_NEED_FILE, NULL, "direct boot", READ_TEXT, NULL},
    {"os/dtb", DRV_NEED_FILE, NULL, "direct boot", READ_TEXT, NULL},
    {"os/shim", DRV_NEED_FILE, NULL, "direct boot", READ_TEXT, NULL},
    {"os/acpi/table", DRV_NEED_FILE, NULL, "<acpi>", READ_TEXT, NULL},
    {"sysinfo[@type='fwcfg']/entry/@file", DRV_NEED_FILE, NULL, "<sysinfo type='fwcfg'>", READ_TEXT, NULL},
    {"launchSecurity/cbitpos/.. | launchSecurity[@type='sev-snp']", DRV_NEED_DEVICE, NULL, "<launchSecurity>",
     READ_CONSTANT, "/dev/sev"},

    /* memory */
    {"memoryBacking/hugepages[not(page)]", DRV_NEED_HUGETLBFS, "hugepages", "<hugepages>", READ_CONSTANT, "0"},
    {"memoryBacking/hugepages/page", DRV_NEED_HUGETLBFS, "hugepages", "<hugepages>", READ_PAGE, NULL},
    {"devices/memory/source/path", DRV_NEED_FILE, NULL, NULL, READ_TEXT, NULL},
    {"devices/memory[@model='sgx-epc']", DRV_NEED_DEVICE, NULL, NULL, READ_CONSTANT, "/dev/sgx_vepc"},
    {"devices/shmem/server/@path", DRV_NEED_SOCKET, NULL, NULL, READ_TEXT, NULL},

    /* character devices */
    {CHARDEV("file", "/source/@path"), DRV_NEED_NEW, NULL, NULL, READ_TEXT, NULL},
    {BACKENDS "/log/@file | devices/rng/backend/log/@file", DRV_NEED_NEW, NULL, NULL, READ_TEXT, NULL},
    {CHARDEV("dev", "/source/@path"), DRV_NEED_DEVICE, NULL, NULL, READ_TEXT, NULL},
    {CHARDEV("pipe", "/source/@path"), DRV_NEED_PIPE, NULL, NULL, READ_TEXT, NULL},
    {CHARDEV("unix", "/source[@mode='bind']/@path"), DRV_NEED_NEW, NULL, NULL, READ_TEXT, NULL},
    {CHARDEV("unix", "/source[not(@mode='bind')][not(reconnect[@enabled='yes'])]/@path"), DRV_NEED_SOCKET,
     NULL, NULL, READ_TEXT, NULL},
    {CHARDEV("tcp", "/source[@mode='bind']"), DRV_NEED_TCP, NULL, NULL, READ_SOURCE, NULL},
    {CHARDEV("udp", "/source[@mode='bind']"), DRV_NEED_UDP, NULL, NULL, READ_SOURCE, NULL},
    {CHARDEV("tcp", "/source[@mode='bind'][not(@tls='no')]"), DRV_NEED_TLS, NULL, NULL, READ_CONSTANT,
     "chardev"},
    {"devices/smartcard[@mode='host-certificates']/database", DRV_NEED_DIRECTORY, NULL, NULL, READ_TEXT, NULL},
    {"devices/rng/backend[@model='random']", DRV_NEED_DEVICE, NULL, NULL, READ_TEXT, NULL},
    {"devices/tpm/backend[@type='passthrough']/device/@path", DRV_NEED_DEVICE, NULL, NULL, READ_TEXT, NULL},
    {"devices/tpm/backend[@type='external']/source/@path", DRV_NEED_SOCKET, NULL, NULL, READ_TEXT, NULL},
    {"devices/tpm/backend/encryption/@secret", DRV_NEED_SECRET, NULL, NULL, READ_TEXT, NULL},
    {"devices/input/source/@evdev | devices/input/source/@dev", DRV_NEED_DEVICE, NULL, NULL, READ_TEXT, NULL},
    {"devices/audio[@type='file']/@path", DRV_NEED_NEW, NULL, NULL, READ_TEXT, NULL},

    /* screens */
    {"devices/graphics[@type='vnc' or @type='spice'][@port > 0][not(@autoport='yes')]/@port", DRV_NEED_TCP,
     "graphics", NULL, READ_SCREEN, NULL},
    {"devices/graphics[@type='vnc' or @type='spice'][not(@port > 0) or @autoport='yes']", DRV_NEED_TCP,
     "graphics", NULL, READ_SCREEN, NULL},
    {"devices/graphics[@type='vnc'][@websocket > 0]/@websocket", DRV_NEED_TCP, "graphics", NULL, READ_SCREEN,
     NULL},
    {"devices/graphics[@type='spice'][@tlsPort > 0][not(@autoport='yes')]/@tlsPort", DRV_NEED_TCP, "graphics",
     NULL, READ_SCREEN, NULL},
    {"devices/graphics/listen[@type='socket']/@socket | devices/graphics[not(listen)]/@socket", DRV_NEED_NEW,
     "graphics", NULL, READ_TEXT, NULL},
    {"devices/graphics[@type='vnc']", DRV_NEED_TLS, "graphics", NULL, READ_CONSTANT, "vnc"},
    {"devices/graphics[@type='spice']", DRV_NEED_TLS, "graphics", NULL, READ_CONSTANT, "spice"},
    {"devices/graphics/gl/@rendernode", DRV_NEED_DEVICE, "graphics", NULL, READ_TEXT, NULL},

    /* network cards */
    {"devices/interface[@type='direct']/source/@dev", DRV_NEED_NETWORK_CARD, NULL, NULL, READ_TEXT, NULL},
    {"devices/interface[@type='vdpa']/source/@dev", DRV_NEED_DEVICE, NULL, NULL, READ_TEXT, NULL},
    {"devices/interface[@type='vhostuser']/source[@mode='server']/@path", DRV_NEED_NEW, NULL, NULL, READ_TEXT,
     NULL},
    {"devices/interface[@type='vhostuser']/source[@mode='client'][not(reconnect[@enabled='yes'])]/@path",
     DRV_NEED_SOCKET, NULL, NULL, READ_TEXT, NULL},
    {"devices/interface/script/@path | devices/interface/rom/@file | devices/hostdev/rom/@file", DRV_NEED_FILE,
     NULL, NULL, READ_TEXT, NULL},
    {"devices/interface/backend/@tap | devices/interface/backend/@vhost", DRV_NEED_DEVICE, NULL, NULL,
     READ_TEXT, NULL},
    {"devices/interface/backend/@logFile", DRV_NEED_NEW, NULL, NULL, READ_TEXT, NULL},
    {"devices/interface/portForward[@proto='tcp']/range[not(@exclude='yes')]", DRV_NEED_TCP, NULL, NULL,
     READ_FORWARD, NULL},
    {"devices/interface/portForward[@proto='udp']/range[not(@exclude='yes')]", DRV_NEED_UDP, NULL, NULL,
     READ_FORWARD, NULL},

    /* directories of the host, and services that stand behind devices */
    {"devices/filesystem[not(@type) or @type='mount' or @type='bind']/source/@dir", DRV_NEED_DIRECTORY, NULL,
     NULL, READ_TEXT, NULL},
    {"devices/filesystem/source/@file | devices/filesystem/binary/@path", DRV_NEED_FILE, NULL, NULL, READ_TEXT,
     NULL},
    {"devices/filesystem/source/@socket", DRV_NEED_SOCKET, NULL, NULL, READ_TEXT, NULL},
    {"devices/disk[@type='vhostuser']/source[not(reconnect[@enabled='yes'])]/@path", DRV_NEED_SOCKET, NULL,
     NULL, READ_TEXT, NULL},
    {"devices/disk[@type='vhostvdpa']/source/@dev", DRV_NEED_DEVICE, NULL, NULL, READ_TEXT, NULL},
    {"devices/disk//source[@protocol='nbd'][@tls='yes']", DRV_NEED_TLS, NULL, NULL, READ_CONSTANT, "nbd"},
    {"devices/disk//source/host/@socket", DRV_NEED_SOCKET, NULL, NULL, READ_TEXT, NULL},
    {"devices/disk//source/ssl/@file | devices/disk//source/config/@file", DRV_NEED_FILE, NULL, NULL, READ_TEXT,
     NULL},
    {"devices/disk//source/identity/@keyfile | devices/disk//source/knownHosts/@path", DRV_NEED_FILE, NULL,
     NULL, READ_TEXT, NULL},
    {"devices/disk//reservations/source[@type='unix']/@path", DRV_NEED_SOCKET, NULL, NULL, READ_TEXT, NULL},
    {"devices/*//secret[@uuid or @usage]", DRV_NEED_SECRET, NULL, NULL, READ_SECRET, NULL},

    /* devices of the host; one that runs is refused for them by name before */
    {"devices/hostdev[@type='pci']/source/address | devices/interface[@type='hostdev']/source/address"
     "[@type='pci']", DRV_NEED_PCI, NULL, NULL, READ_PCI, NULL},
    {"devices/hostdev[@type='usb']/source[vendor and product]", DRV_NEED_USB, NULL, NULL, READ_USB, NULL},
    {"devices/hostdev[@type='mdev']/source/address/@uuid", DRV_NEED_MDEV, NULL, NULL, READ_TEXT, NULL},

    /* what QEMU itself cannot do up to a version */
    {"devices/disk[target/@bus='scsi'][address/@controller = /domain/devices/controller[@type='scsi']"
     "[driver/@iothread]/@index]/target/@dev", DRV_NEED_SCSI_THREAD, "devices", NULL, READ_TEXT, NULL},
};
/* clang-format on */

static void need_free(gpointer data)
{
    drv_need *need = data;

    g_free(need->what);
    g_free(need->value);
    g_free(need->address);
    g_free(need);
}

const char *drv_need_kind_name(drv_need_kind kind)
{
    return kind_names[kind];
}

static gboolean is_same(gconstpointer a, gconstpointer b)
{
    const drv_need *left = a, *right = b;

    return left->kind == right->kind && left->port == right->port && g_strcmp0(left->value, right->value) == 0 &&
           g_strcmp0(left->address, right->address) == 0;
}

/* The target or name by which people know a device: "serial 0", "disk vda", "vnc". */
static char *device_name(xmlNodePtr node)
{
    static const struct {
        const char *element, *child, *attribute;
    } names[] = {
        {"serial", "target", "port"},    {"parallel", "target", "port"}, {"console", "target", "port"},
        {"channel", "target", "name"},   {"disk", "target", "dev"},      {"filesystem", "target", "dir"},
        {"interface", "mac", "address"}, {"shmem", NULL, "name"},        {"hostdev", NULL, "type"},
        {"memory", NULL, "model"},
    };
    const char *element;

    while (node->parent && !drv_xml_is(node->parent, "devices"))
        node = node->parent;
    if (!node->parent)
        return g_strdup("its definition");
    if (drv_xml_is(node, "graphics"))
        return drv_xml_attr(node, "type");
    element = (const char *)node->name;
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name =
            g_str_equal(element, names[i].element)
                ? drv_xml_attr(names[i].child ? drv_xml_child(node, names[i].child) : node, names[i].attribute)
                : NULL;

        if (name)
            return g_strdup_printf("%s %s", element, name);
    }
    return g_strdup(element);
}

typedef struct {
    GPtrArray *needs;
    const row *row;
    xmlNodePtr node;
} walk;

/* Takes @value and @address. */
static void add(walk *w, char *value, char *address, guint port)
{
    drv_need *need = g_new0(drv_need, 1);

    need->kind = w->row->kind;
    need->about = w->row->about ? w->row->about : "needs";
    need->what = w->row->what ? g_strdup(w->row->what) : device_name(w->node);
    need->value = value;
    need->address = address;
    need->port = port;
    if (g_ptr_array_find_with_equal_func(w->needs, need, is_same, NULL))
        need_free(need);
    else
        g_ptr_array_add(w->needs, need);
}

static guint port_number(const char *text)
{
    guint64 port = 0;

    return text && g_ascii_string_to_unsigned(text, 10, 0, 65535, &port, NULL) ? (guint)port : 0;
}

static void read_source(walk *w)
{
    g_autofree char *host = drv_xml_attr(w->node, "host");
    g_autofree char *service = drv_xml_attr(w->node, "service");

    if (port_number(service))
        add(w, NULL, g_strdup(host && *host ? host : "0.0.0.0"), port_number(service));
}

/* One that listens on a virtual network gets the address of that network there. */
static void read_screen(walk *w)
{
    gboolean element = w->node->type == XML_ELEMENT_NODE;
    xmlNodePtr graphics = element ? w->node : w->node->parent;
    g_autofree char *text = element ? NULL : drv_xml_text(w->node);
    g_autofree char *plain = drv_xml_attr(graphics, "listen");
    gboolean any = FALSE;

    DRV_XML_FOREACH_CHILD(child, graphics)
    {
        g_autofree char *address = drv_xml_attr(child, "address");

        if (!drv_xml_is(child, "listen"))
            continue;
        any = TRUE;
        if (drv_xml_attr_is(child, "type", "address") && (address || text))
            add(w, NULL, g_strdup(address ? address : "127.0.0.1"), port_number(text));
    }
    if (!any && (plain || text))
        add(w, NULL, g_strdup(plain ? plain : "127.0.0.1"), port_number(text));
}

static void read_forward(walk *w)
{
    g_autofree char *address = drv_xml_attr(w->node->parent, "address");
    g_autofree char *start = drv_xml_attr(w->node, "start");

    if (port_number(start))
        add(w, NULL, g_strdup(address && *address ? address : "0.0.0.0"), port_number(start));
}

static void read_secret(walk *w)
{
    g_autofree char *uuid = drv_xml_attr(w->node, "uuid");
    g_autofree char *type = drv_xml_attr(w->node, "type");
    g_autofree char *usage = drv_xml_attr(w->node, "usage");

    add(w, uuid ? g_steal_pointer(&uuid) : g_strdup_printf("%s:%s", type ? type : "volume", usage), NULL, 0);
}

static void read_page(walk *w)
{
    static const struct {
        const char *unit;
        guint64 kib;
    } units[] = {{"KiB", 1}, {"M", 1024}, {"MiB", 1024}, {"G", 1 << 20}, {"GiB", 1 << 20}};
    g_autofree char *size = drv_xml_attr(w->node, "size");
    g_autofree char *unit = drv_xml_attr(w->node, "unit");
    guint64 kib = size ? g_ascii_strtoull(size, NULL, 10) : 0;

    for (gsize i = 0; unit && i < G_N_ELEMENTS(units); i++)
        if (g_str_equal(unit, units[i].unit))
            kib *= units[i].kib;
    add(w, g_strdup_printf("%" G_GUINT64_FORMAT, kib), NULL, 0);
}

static guint hex_attr(xmlNodePtr node, const char *name)
{
    g_autofree char *text = drv_xml_attr(node, name);

    return text ? (guint)g_ascii_strtoull(text, NULL, 0) : 0;
}

static void read_row(walk *w)
{
    switch (w->row->how) {
    case READ_TEXT: {
        g_autofree char *text = drv_xml_text(w->node);

        /* A random backend that names none, and paths that libvirt chooses, are the host's business. */
        if (text && *text)
            add(w, g_steal_pointer(&text), NULL, 0);
        break;
    }
    case READ_SOURCE:
        read_source(w);
        break;
    case READ_SCREEN:
        read_screen(w);
        break;
    case READ_FORWARD:
        read_forward(w);
        break;
    case READ_SECRET:
        read_secret(w);
        break;
    case READ_PAGE:
        read_page(w);
        break;
    case READ_PCI:
        add(w,
            g_strdup_printf("%04x:%02x:%02x.%x", hex_attr(w->node, "domain"), hex_attr(w->node, "bus"),
                            hex_attr(w->node, "slot"), hex_attr(w->node, "function")),
            NULL, 0);
        break;
    case READ_USB:
        add(w,
            g_strdup_printf("%04x:%04x", hex_attr(drv_xml_child(w->node, "vendor"), "id"),
                            hex_attr(drv_xml_child(w->node, "product"), "id")),
            NULL, 0);
        break;
    case READ_CONSTANT:
        add(w, g_strdup(w->row->constant), NULL, 0);
        break;
    }
}

/* "-fw_cfg" needs it. */
static void add_of_argument(gpointer data, drv_need_kind kind, const char *what, const char *value, const char *address,
                            guint port)
{
    const row of = {.kind = kind, .what = what};
    walk w = {.needs = data, .row = &of};

    add(&w, g_strdup(value), g_strdup(address), port);
}

static void read_arguments(xmlNodePtr domain, GPtrArray *needs)
{
    g_autoptr(GPtrArray) arguments = g_ptr_array_new_with_free_func(g_free);

    DRV_XML_FOREACH_CHILD(arg, drv_xml_child(domain, "commandline"))
    {
        char *value = drv_xml_is(arg, "arg") ? drv_xml_attr(arg, "value") : NULL;

        if (value)
            g_ptr_array_add(arguments, value);
    }
    g_ptr_array_add(arguments, NULL);
    drv_needs_of_arguments((const char *const *)arguments->pdata, add_of_argument, needs);
}

GPtrArray *drv_needs_from_xml(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = xmlReadMemory(xml, (int)MIN(strlen(xml), G_MAXINT), "domain.xml", NULL,
                                          XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlXPathContextPtr context = drv_xml_is(root, "domain") ? xmlXPathNewContext(doc) : NULL;
    GPtrArray *needs;

    if (!context) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "what libvirt gave as a domain's XML is not: %.40s…", xml);
        return NULL;
    }
    needs = g_ptr_array_new_with_free_func(need_free);
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        xmlXPathObjectPtr found;

        context->node = root;
        found = xmlXPathEvalExpression(BAD_CAST table[i].path, context);
        for (int k = 0; found && found->nodesetval && k < found->nodesetval->nodeNr; k++) {
            walk w = {.needs = needs, .row = &table[i], .node = found->nodesetval->nodeTab[k]};

            read_row(&w);
        }
        xmlXPathFreeObject(found);
    }
    xmlXPathFreeContext(context);
    read_arguments(root, needs);
    return needs;
}

/* ---- with libvirt ---- */

static GPtrArray *needs_of(virDomainPtr domain, unsigned flags, GError **error)
{
    char *xml = virDomainGetXMLDesc(domain, flags);
    GPtrArray *needs = xml ? drv_needs_from_xml(xml, error) : NULL;

    if (!xml)
        drv_hyper_take_error(error, "cannot read VM %s", virDomainGetName(domain));
    free(xml);
    return needs;
}

GPtrArray *drv_hyper_needs(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    gboolean active = domain && virDomainIsActive(domain) == 1;
    g_autoptr(GPtrArray) needs =
        domain ? needs_of(domain, active ? VIR_DOMAIN_XML_MIGRATABLE : VIR_DOMAIN_XML_INACTIVE, error) : NULL;
    g_autoptr(GPtrArray) later = NULL;

    if (!needs || !active || virDomainIsPersistent(domain) != 1)
        return g_steal_pointer(&needs);
    later = needs_of(domain, VIR_DOMAIN_XML_INACTIVE, error);
    if (!later)
        return NULL;
    while (later->len) {
        drv_need *need = g_ptr_array_steal_index(later, 0);

        need->later = TRUE;
        if (g_ptr_array_find_with_equal_func(needs, need, is_same, NULL))
            need_free(need);
        else
            g_ptr_array_add(needs, need);
    }
    return g_steal_pointer(&needs);
}

static int usage_type(const char *name)
{
    return strcmp(name, "ceph") == 0    ? VIR_SECRET_USAGE_TYPE_CEPH
           : strcmp(name, "iscsi") == 0 ? VIR_SECRET_USAGE_TYPE_ISCSI
           : strcmp(name, "tls") == 0   ? VIR_SECRET_USAGE_TYPE_TLS
           : strcmp(name, "vtpm") == 0  ? VIR_SECRET_USAGE_TYPE_VTPM
                                        : VIR_SECRET_USAGE_TYPE_VOLUME;
}

gboolean drv_hyper_secret(drv_hyper *hyper, const char *value, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_auto(GStrv) parts = g_strsplit(value, ":", 2);
    virSecretPtr secret;
    unsigned char *bytes = NULL;
    size_t size = 0;
    gboolean good = TRUE;

    if (!lease)
        return FALSE;
    secret = parts[0] && parts[1] ? virSecretLookupByUsage(lease->connection, usage_type(parts[0]), parts[1])
                                  : virSecretLookupByUUIDString(lease->connection, value);
    if (!secret) {
        g_set_error_literal(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, virGetLastErrorMessage());
        good = FALSE;
    } else {
        /* A private one is not shown: then it is known only that it is defined. */
        bytes = virSecretGetValue(secret, &size, 0);
        if (!bytes && virGetLastErrorCode() == VIR_ERR_NO_SECRET) {
            g_set_error_literal(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, virGetLastErrorMessage());
            good = FALSE;
        }
        if (bytes)
            explicit_bzero(bytes, size);
        free(bytes);
        virSecretFree(secret);
    }
    virResetLastError();
    return good;
}
