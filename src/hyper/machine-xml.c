/* SPDX-License-Identifier: Apache-2.0 */
/* What a definition needs of its host: the pure half of machine.h. */
#include "hyper/machine-xml.h"

#include <string.h>

#include <libxml/parser.h>

#include "hyper/machine.h"
#include "hyper/xml.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

static void pin_free(gpointer data)
{
    drv_pin *pin = data;

    g_free(pin->what);
    g_free(pin->cpus);
    g_free(pin);
}

void drv_machine_free(drv_machine *machine)
{
    if (!machine)
        return;
    g_free(machine->emulator);
    g_free(machine->arch);
    g_free(machine->type);
    g_free(machine->virt_type);
    g_free(machine->cpu);
    g_free(machine->cpu_name);
    g_free(machine->cpu_check);
    g_free(machine->nodes);
    g_clear_pointer(&machine->pins, g_ptr_array_unref);
    g_clear_pointer(&machine->pages, g_ptr_array_unref);
    g_free(machine);
}

static xmlDocPtr parse(const char *xml)
{
    return xmlReadMemory(xml, (int)MIN(strlen(xml), G_MAXINT), "domain.xml", NULL,
                         XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

static char *node_text(xmlDocPtr doc, xmlNodePtr node)
{
    xmlBufferPtr buffer = xmlBufferCreate();
    char *text = NULL;

    if (buffer && xmlNodeDump(buffer, doc, node, 0, 0) >= 0)
        text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}

static void read_cpu(xmlDocPtr doc, xmlNodePtr cpu, drv_machine *into)
{
    g_autofree char *mode = drv_xml_attr(cpu, "mode");
    g_autofree char *model = drv_xml_text(drv_xml_child(cpu, "model"));

    into->cpu_check = drv_xml_attr(cpu, "check");
    into->cpu_of_host = g_strcmp0(mode, "host-passthrough") == 0 || g_strcmp0(mode, "maximum") == 0;
    if (model && *model && (!mode || g_str_equal(mode, "custom")))
        into->cpu = node_text(doc, cpu);
    into->cpu_name =
        into->cpu ? g_steal_pointer(&model) : g_strdup(mode && !g_str_equal(mode, "custom") ? mode : "its definition");
}

static void add_pin(drv_machine *into, char *what, xmlNodePtr node, const char *attribute)
{
    char *cpus = drv_xml_attr(node, attribute);
    drv_pin *pin;

    if (!cpus || !*cpus) {
        g_free(cpus);
        g_free(what);
        return;
    }
    pin = g_new0(drv_pin, 1);
    pin->what = what;
    pin->cpus = cpus;
    g_ptr_array_add(into->pins, pin);
}

static void read_pins(xmlNodePtr domain, drv_machine *into)
{
    xmlNodePtr vcpu = drv_xml_child(domain, "vcpu");

    /* What numad has chosen here is chosen anew there. */
    if (!drv_xml_attr_is(vcpu, "placement", "auto"))
        add_pin(into, g_strdup("the VM"), vcpu, "cpuset");
    DRV_XML_FOREACH_CHILD(child, drv_xml_child(domain, "cputune"))
    {
        g_autofree char *number = drv_xml_attr(child, drv_xml_is(child, "vcpupin") ? "vcpu" : "iothread");

        if (drv_xml_is(child, "vcpupin"))
            add_pin(into, g_strdup_printf("vCPU %s", number ? number : "?"), child, "cpuset");
        else if (drv_xml_is(child, "emulatorpin"))
            add_pin(into, g_strdup("the emulator"), child, "cpuset");
        else if (drv_xml_is(child, "iothreadpin"))
            add_pin(into, g_strdup_printf("I/O thread %s", number ? number : "?"), child, "cpuset");
    }
}

static void read_nodes(xmlNodePtr domain, drv_machine *into)
{
    g_autoptr(GString) nodes = g_string_new(NULL);

    DRV_XML_FOREACH_CHILD(child, drv_xml_child(domain, "numatune"))
    {
        g_autofree char *set = drv_xml_attr(child, "nodeset");
        g_autofree char *mode = drv_xml_attr(child, "mode");

        if (!set || drv_xml_attr_is(child, "placement", "auto"))
            continue;
        g_string_append_printf(nodes, "%s%s", nodes->len ? "," : "", set);
        into->nodes_strict |= !mode || g_str_equal(mode, "strict");
    }
    if (nodes->len)
        into->nodes = g_strdup(nodes->str);
}

static guint64 in_kib(xmlNodePtr node, const char *value, const char *default_unit)
{
    static const struct {
        const char *name;
        guint64 bytes;
    } units[] = {{"b", 1},           {"bytes", 1},      {"KB", 1000},        {"k", 1 << 10},
                 {"KiB", 1 << 10},   {"MB", 1000000},   {"M", 1 << 20},      {"MiB", 1 << 20},
                 {"GB", 1000000000}, {"G", 1ull << 30}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40},
                 {"T", 1ull << 40}};
    g_autofree char *unit = drv_xml_attr(node, "unit");
    guint64 number = value ? g_ascii_strtoull(value, NULL, 10) : 0;

    for (gsize i = 0; i < G_N_ELEMENTS(units); i++)
        if (g_str_equal(units[i].name, unit ? unit : default_unit))
            return number > G_MAXUINT64 / units[i].bytes ? 0 : number * units[i].bytes / 1024;
    return 0;
}

/* Whether a guest's cell is in a set as "0-1,3". */
static gboolean in_set(const char *set, guint64 cell)
{
    g_auto(GStrv) parts = g_strsplit(set, ",", -1);

    for (guint i = 0; parts[i]; i++) {
        char *end;
        guint64 first = g_ascii_strtoull(parts[i], &end, 10), last = first;

        if (*end == '-')
            last = g_ascii_strtoull(end + 1, NULL, 10);
        if (cell >= first && cell <= last)
            return TRUE;
    }
    return FALSE;
}

static void add_pages(drv_machine *into, xmlNodePtr hugepages, gint64 cell, guint64 bytes)
{
    guint64 size_kib = 0;
    gboolean any = FALSE, found = FALSE;
    drv_pages *pages;

    DRV_XML_FOREACH_CHILD(page, hugepages)
    {
        g_autofree char *set = drv_xml_attr(page, "nodeset");
        g_autofree char *size = drv_xml_attr(page, "size");

        if (!drv_xml_is(page, "page"))
            continue;
        any = TRUE;
        if (set ? cell >= 0 && in_set(set, (guint64)cell) : !found) {
            size_kib = in_kib(page, size, "KiB");
            found = TRUE;
            if (set)
                break;
        }
    }
    if (any && !found)
        return; /* this cell has ordinary pages */
    for (guint i = 0; i < into->pages->len; i++) {
        pages = into->pages->pdata[i];
        if (pages->size_kib == size_kib) {
            pages->bytes += bytes;
            return;
        }
    }
    pages = g_new0(drv_pages, 1);
    pages->size_kib = size_kib;
    pages->bytes = bytes;
    g_ptr_array_add(into->pages, pages);
}

static void read_pages(xmlNodePtr domain, drv_machine *into)
{
    xmlNodePtr hugepages = drv_xml_child(drv_xml_child(domain, "memoryBacking"), "hugepages");
    xmlNodePtr numa = drv_xml_child(drv_xml_child(domain, "cpu"), "numa");
    gint64 cells = 0;

    if (!hugepages)
        return;
    DRV_XML_FOREACH_CHILD(cell, numa)
    {
        g_autofree char *memory = drv_xml_attr(cell, "memory");
        g_autofree char *id = drv_xml_attr(cell, "id");

        if (!drv_xml_is(cell, "cell"))
            continue;
        add_pages(into, hugepages, id ? g_ascii_strtoll(id, NULL, 10) : cells, in_kib(cell, memory, "KiB") * 1024);
        cells++;
    }
    if (!cells) {
        xmlNodePtr memory = drv_xml_child(domain, "memory");
        g_autofree char *text = drv_xml_text(memory);

        add_pages(into, hugepages, 0, in_kib(memory, text, "KiB") * 1024);
    }
}

drv_machine *drv_machine_from_xml(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = parse(xml);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlNodePtr devices = drv_xml_child(root, "devices");
    xmlNodePtr type = drv_xml_child(drv_xml_child(root, "os"), "type");
    drv_machine *machine;

    if (!drv_xml_is(root, "domain")) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "what libvirt gave as a domain's XML is not: %.40s…", xml);
        return NULL;
    }
    machine = g_new0(drv_machine, 1);
    machine->pins = g_ptr_array_new_with_free_func(pin_free);
    machine->pages = g_ptr_array_new_with_free_func(g_free);
    machine->virt_type = drv_xml_attr(root, "type");
    machine->arch = drv_xml_attr(type, "arch");
    machine->type = drv_xml_attr(type, "machine");
    machine->emulator = drv_xml_text(drv_xml_child(devices, "emulator"));
    read_cpu(doc, drv_xml_child(root, "cpu"), machine);
    read_pins(root, machine);
    read_nodes(root, machine);
    read_pages(root, machine);
    DRV_XML_FOREACH_CHILD(label, root)
    if (drv_xml_is(label, "seclabel") && drv_xml_attr_is(label, "model", "dac") &&
        drv_xml_attr_is(label, "type", "static"))
        machine->own_label = TRUE;
    return machine;
}

GPtrArray *drv_cpu_missing_features(const char *message)
{
    static const char start[] = "required features: ";
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const char *at = strstr(message, start);
    g_auto(GStrv) parts = g_strsplit(at ? at + strlen(start) : "", ",", -1);

    for (guint i = 0; parts[i]; i++)
        if (*g_strstrip(parts[i]))
            g_ptr_array_add(names, g_strdup(parts[i]));
    return names;
}

char *drv_cpu_from_capabilities(const char *xml)
{
    g_autoptr(xmlDoc) doc = parse(xml);
    xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;

    DRV_XML_FOREACH_CHILD(mode, drv_xml_child(root, "cpu"))
    if (drv_xml_is(mode, "mode") && drv_xml_attr_is(mode, "name", "host-model") && drv_xml_child(mode, "model")) {
        xmlNodeSetName(mode, BAD_CAST "cpu");
        xmlUnsetProp(mode, BAD_CAST "name");
        xmlUnsetProp(mode, BAD_CAST "supported");
        xmlSetProp(mode, BAD_CAST "mode", BAD_CAST "custom");
        xmlSetProp(mode, BAD_CAST "match", BAD_CAST "exact");
        return node_text(doc, mode);
    }
    return NULL;
}

char *drv_qemu_conf_value(const char *text, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);
        gsize length = strlen(key);
        const char *value;

        if (strncmp(line, key, length) != 0)
            continue;
        value = line + length;
        while (g_ascii_isspace(*value))
            value++;
        if (*value++ != '=')
            continue;
        while (g_ascii_isspace(*value))
            value++;
        return *value == '"' ? g_strndup(value + 1, strcspn(value + 1, "\""))
                             : g_strndup(value, strcspn(value, " \t#"));
    }
    return NULL;
}
