/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices and features that cannot move live: what libvirt 9.0 (qemuMigrationSrcIsAllowed)
 * and QEMU refuse, or what would leave something of the guest behind on its host. Each is
 * said by name with the way out, before anything has begun.
 */
#include "hyper/obstacle.h"

#include "hyper/xml.h"

static void add(GPtrArray *obstacles, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

static void add(GPtrArray *obstacles, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    g_ptr_array_add(obstacles, g_strdup_vprintf(fmt, args));
    va_end(args);
}

static char *alias_of(xmlNodePtr device)
{
    char *alias = drv_xml_attr(drv_xml_child(device, "alias"), "name");

    return alias ? alias : g_strdup((const char *)device->name);
}

/* "0000:01:00.0", as lspci has it. */
static char *pci_address(xmlNodePtr source)
{
    static const char *const parts[] = {"domain", "bus", "slot", "function"};
    xmlNodePtr address = drv_xml_child(source, "address");
    guint value[G_N_ELEMENTS(parts)];

    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *text = drv_xml_attr(address, parts[i]);
        value[i] = text ? (guint)g_ascii_strtoull(text, NULL, 0) : 0;
    }
    return g_strdup_printf("%04x:%02x:%02x.%x", value[0], value[1], value[2], value[3]);
}

/* A host's network card that a virtio card stands in for during the move. */
static gboolean is_teamed(xmlNodePtr device)
{
    return drv_xml_attr_is(drv_xml_child(device, "teaming"), "type", "transient");
}

static void check_hostdev(xmlNodePtr device, GPtrArray *obstacles)
{
    xmlNodePtr source = drv_xml_child(device, "source");
    g_autofree char *type = drv_xml_attr(device, "type");
    g_autofree char *alias = alias_of(device);
    g_autofree char *pci = NULL;

    if (drv_xml_attr_is(device, "mode", "capabilities")) {
        add(obstacles,
            "device %s: a %s device of this host is given to the guest and cannot move; "
            "detach it first (virsh detach-device)",
            alias, type ? type : "host");
        return;
    }
    if (g_strcmp0(type, "pci") == 0) {
        if (is_teamed(device))
            return;
        pci = pci_address(source);
        add(obstacles,
            "PCI device %s (%s): a device of this host given to the guest cannot move "
            "live; detach it first (virsh detach-device), or for a network card add a virtio "
            "card with <teaming>",
            pci, alias);
    } else if (g_strcmp0(type, "usb") == 0) {
        add(obstacles,
            "USB device %s: it is plugged into this host and would stay behind; detach it "
            "first (virsh detach-device)",
            alias);
    } else {
        add(obstacles,
            "device %s: a %s device of this host is given to the guest and cannot move "
            "live; detach it first (virsh detach-device)",
            alias, type ? type : "host");
    }
}

static void check_filesystem(xmlNodePtr device, GPtrArray *obstacles)
{
    g_autofree char *tag = drv_xml_attr(drv_xml_child(device, "target"), "dir");
    g_autofree char *dir = drv_xml_attr(drv_xml_child(device, "source"), "dir");

    add(obstacles,
        "filesystem %s: the guest uses the directory %s of this host, which cannot move "
        "live; unmount it in the guest and detach it (virsh detach-device), or move the VM shut off",
        tag ? tag : "?", dir ? dir : "?");
}

static void check_interface(xmlNodePtr device, GPtrArray *obstacles)
{
    g_autofree char *type = drv_xml_attr(device, "type");
    g_autofree char *mac = drv_xml_attr(drv_xml_child(device, "mac"), "address");

    if (g_strcmp0(type, "hostdev") == 0 && !is_teamed(device))
        add(obstacles,
            "network card %s: it is a PCI device of this host and cannot move live; "
            "detach it first (virsh detach-interface), or add a virtio card with <teaming>",
            mac ? mac : "?");
    else if (g_strcmp0(type, "vdpa") == 0)
        add(obstacles,
            "network card %s: libvirt cannot move vDPA devices live; detach it first "
            "(virsh detach-interface)",
            mac ? mac : "?");
}

static void check_disk(xmlNodePtr device, GPtrArray *obstacles)
{
    g_autofree char *type = drv_xml_attr(device, "type");
    g_autofree char *target = drv_xml_attr(drv_xml_child(device, "target"), "dev");
    const char *name = target ? target : "?";

    if (g_strcmp0(type, "nvme") == 0)
        add(obstacles,
            "disk %s: an NVMe device of this host given to the guest cannot move live; "
            "detach it first (virsh detach-disk)",
            name);
    else if (g_strcmp0(type, "dir") == 0)
        add(obstacles,
            "disk %s: a directory shown as a disk cannot move live; detach it first "
            "(virsh detach-disk)",
            name);
    else if (g_strcmp0(type, "vhostuser") == 0 || g_strcmp0(type, "vhostvdpa") == 0)
        add(obstacles,
            "disk %s: a %s disk belongs to a service of this host and cannot move live; "
            "detach it first (virsh detach-disk)",
            name, type);
    if (drv_xml_child(device, "transient"))
        add(obstacles,
            "disk %s: its changes are thrown away at shutdown (<transient/>), and libvirt "
            "does not move such disks; shut the VM down and remove <transient/>",
            name);
}

static void check_device(xmlNodePtr device, GPtrArray *obstacles)
{
    if (drv_xml_is(device, "hostdev"))
        check_hostdev(device, obstacles);
    else if (drv_xml_is(device, "filesystem"))
        check_filesystem(device, obstacles);
    else if (drv_xml_is(device, "interface"))
        check_interface(device, obstacles);
    else if (drv_xml_is(device, "disk"))
        check_disk(device, obstacles);
    else if (drv_xml_is(device, "shmem") && !drv_xml_attr_is(device, "role", "master")) {
        g_autofree char *name = drv_xml_attr(device, "name");
        add(obstacles,
            "shared memory %s: the guest shares it with others on this host; detach it "
            "first (virsh detach-device), or give it role='master'",
            name ? name : "?");
    } else if (drv_xml_is(device, "tpm") && drv_xml_attr_is(drv_xml_child(device, "backend"), "type", "passthrough")) {
        add(obstacles, "TPM: the guest uses the chip of this host, whose secrets cannot leave it; "
                       "give the VM an emulated TPM (type='emulator')");
    } else if (drv_xml_is(device, "smartcard") && !drv_xml_attr_is(device, "mode", "passthrough")) {
        add(obstacles, "smartcard: the guest uses a card of this host; detach it, or use "
                       "mode='passthrough'");
    } else if (drv_xml_is(device, "video") &&
               drv_xml_attr_is(drv_xml_child(drv_xml_child(device, "model"), "acceleration"), "accel3d", "yes")) {
        add(obstacles, "video: 3D acceleration keeps state in this host's graphics driver; shut the "
                       "VM down and set accel3d='no'");
    }
}

/* The time-stamp counter runs at its host's pace: without a fixed frequency QEMU refuses. */
static void check_invtsc(xmlNodePtr domain, GPtrArray *obstacles)
{
    gboolean invtsc = FALSE;

    DRV_XML_FOREACH_CHILD(feature, drv_xml_child(domain, "cpu"))
    if (drv_xml_is(feature, "feature") && drv_xml_attr_is(feature, "name", "invtsc") &&
        drv_xml_attr_is(feature, "policy", "require"))
        invtsc = TRUE;
    DRV_XML_FOREACH_CHILD(timer, drv_xml_child(domain, "clock"))
    {
        g_autofree char *frequency = drv_xml_attr(timer, "frequency");
        if (drv_xml_is(timer, "timer") && drv_xml_attr_is(timer, "name", "tsc") && frequency)
            invtsc = FALSE;
    }
    if (invtsc)
        add(obstacles, "CPU feature invtsc: it moves only with a fixed frequency; shut the VM down and "
                       "add <timer name='tsc' frequency='…'/> to its <clock>, or remove the feature");
}

void drv_domain_add_obstacles(xmlNodePtr domain, GPtrArray *obstacles)
{
    xmlNodePtr security = drv_xml_child(domain, "launchSecurity");
    g_autofree char *type = drv_xml_attr(security, "type");

    if (security)
        add(obstacles,
            "launch security (%s): the guest's memory is sealed to this host's processor "
            "and cannot move live; move it shut off",
            type ? type : "?");
    check_invtsc(domain, obstacles);
    DRV_XML_FOREACH_CHILD(device, drv_xml_child(domain, "devices"))
    check_device(device, obstacles);
}
