/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What QEMU's own options need of a host: see needs.h. libvirt hands them through unread. Only absolute paths
 * count: others are looked for in QEMU's own directories. Options of libvirt's own kind are in needs.c.
 */
#include "hyper/needs-arguments.h"

#include <string.h>

#include "hyper/needs.h"

/* The whole value is a path. */
static const struct {
    const char *option;
    drv_need_kind kind;
} plain[] = {
    {"kernel", DRV_NEED_FILE},     {"initrd", DRV_NEED_FILE},     {"dtb", DRV_NEED_FILE},
    {"shim", DRV_NEED_FILE},       {"bios", DRV_NEED_FILE},       {"pflash", DRV_NEED_FILE},
    {"cdrom", DRV_NEED_FILE},      {"fda", DRV_NEED_FILE},        {"fdb", DRV_NEED_FILE},
    {"hda", DRV_NEED_FILE},        {"hdb", DRV_NEED_FILE},        {"hdc", DRV_NEED_FILE},
    {"hdd", DRV_NEED_FILE},        {"sd", DRV_NEED_FILE},         {"mtdblock", DRV_NEED_FILE},
    {"option-rom", DRV_NEED_FILE}, {"readconfig", DRV_NEED_FILE}, {"L", DRV_NEED_DIRECTORY},
    {"D", DRV_NEED_NEW},           {"pidfile", DRV_NEED_NEW},
};

/* key=path in the value of an option; NULL: of any option. The first row that fits counts. */
static const struct {
    const char *option, *key;
    drv_need_kind kind;
} keyed[] = {
    {"fsdev", "path", DRV_NEED_DIRECTORY},   {"virtfs", "path", DRV_NEED_DIRECTORY},
    {"fsdev", "socket", DRV_NEED_SOCKET},    {"virtfs", "socket", DRV_NEED_SOCKET},
    {"tpmdev", "path", DRV_NEED_DEVICE},     {"audiodev", "path", DRV_NEED_NEW},
    {"netdev", "vhostdev", DRV_NEED_DEVICE}, {"object", "evdev", DRV_NEED_DEVICE},
    {"object", "dir", DRV_NEED_DIRECTORY},   {NULL, "file", DRV_NEED_FILE},
    {NULL, "filename", DRV_NEED_FILE},       {NULL, "path", DRV_NEED_FILE},
    {NULL, "mem-path", DRV_NEED_FILE},       {NULL, "romfile", DRV_NEED_FILE},
    {NULL, "script", DRV_NEED_FILE},         {NULL, "downscript", DRV_NEED_FILE},
    {NULL, "data", DRV_NEED_FILE},           {NULL, "rendernode", DRV_NEED_DEVICE},
};

/* Options whose value is a character device in its old form: "unix:/path,server", "tcp::5555,server". */
static const char *const old_chardevs[] = {"serial",     "parallel", "monitor",  "qmp",
                                           "qmp-pretty", "gdb",      "debugcon", NULL};

typedef struct {
    const char *option; /* without its dash */
    char *what;         /* "-fw_cfg" */
    GStrv parts;        /* of the value, at commas */
    drv_need_add add;
    gpointer data;
} argument;

static void need(argument *a, drv_need_kind kind, const char *path)
{
    if (path && *path == '/')
        a->add(a->data, kind, a->what, path, NULL, 0);
}

/* "HOST:PORT", ":PORT", "PORT" */
static void need_port(argument *a, drv_need_kind kind, const char *text)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *host = colon ? g_strndup(text, (gsize)(colon - text)) : g_strdup("");
    guint64 port = 0;

    if (g_ascii_string_to_unsigned(colon ? colon + 1 : text, 10, 1, 65535, &port, NULL))
        a->add(a->data, kind, a->what, NULL, *host ? host : "0.0.0.0", (guint)port);
}

/* Like g_strsplit(text, ",", -1), but ",," is a comma in QEMU's options. */
static GStrv split(const char *text)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new();
    g_autoptr(GString) part = g_string_new(NULL);

    for (const char *at = text; *at; at++) {
        if (*at != ',' || at[1] == ',') {
            g_string_append_c(part, *at);
            at += *at == ',';
        } else {
            g_ptr_array_add(parts, g_strdup(part->str));
            g_string_truncate(part, 0);
        }
    }
    g_ptr_array_add(parts, g_strdup(part->str));
    g_ptr_array_add(parts, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&parts), FALSE);
}

static const char *value_of(argument *a, const char *key)
{
    for (guint i = 0; a->parts[i]; i++) {
        gsize length = strlen(key);

        if (strncmp(a->parts[i], key, length) == 0 && a->parts[i][length] == '=')
            return a->parts[i] + length + 1;
    }
    return NULL;
}

/* "server", "server=on" */
static gboolean is_on(argument *a, const char *key)
{
    const char *value = value_of(a, key);

    return g_strv_contains((const char *const *)a->parts, key) ||
           (value && (g_str_equal(value, "on") || g_str_equal(value, "yes")));
}

static gboolean is_any(const char *text, const char *a, const char *b)
{
    return g_str_equal(text, a) || g_str_equal(text, b);
}

static void read_chardev(argument *a)
{
    const char *backend = value_of(a, "backend") ?: a->parts[0];
    const char *path = value_of(a, "path"), *port = value_of(a, "port");

    if (g_str_equal(backend, "socket")) {
        g_autofree char *where = port ? g_strdup_printf("%s:%s", value_of(a, "host") ?: "", port) : NULL;

        if (is_on(a, "server") && where)
            need_port(a, DRV_NEED_TCP, where);
        need(a, is_on(a, "server") ? DRV_NEED_NEW : DRV_NEED_SOCKET, path);
    } else if (g_str_equal(backend, "udp") && value_of(a, "localport")) {
        g_autofree char *where = g_strdup_printf("%s:%s", value_of(a, "localaddr") ?: "", value_of(a, "localport"));

        need_port(a, DRV_NEED_UDP, where);
    } else if (g_str_equal(backend, "pipe")) {
        need(a, DRV_NEED_PIPE, path);
    } else if (g_str_equal(backend, "file")) {
        need(a, DRV_NEED_NEW, path);
        need(a, DRV_NEED_FILE, value_of(a, "input-path"));
    } else if (is_any(backend, "serial", "tty") || is_any(backend, "parallel", "parport")) {
        need(a, DRV_NEED_DEVICE, path);
    }
    need(a, DRV_NEED_NEW, value_of(a, "logfile"));
}

static void read_old_chardev(argument *a)
{
    const char *colon = strchr(a->parts[0], ':');
    g_autofree char *kind = colon ? g_strndup(a->parts[0], (gsize)(colon - a->parts[0])) : NULL;

    if (a->parts[0][0] == '/')
        need(a, DRV_NEED_DEVICE, a->parts[0]);
    if (!kind)
        return;
    if (g_str_equal(kind, "unix"))
        need(a, is_on(a, "server") ? DRV_NEED_NEW : DRV_NEED_SOCKET, colon + 1);
    else if (g_str_equal(kind, "file"))
        need(a, DRV_NEED_NEW, colon + 1);
    else if (g_str_equal(kind, "pipe"))
        need(a, DRV_NEED_PIPE, colon + 1);
    else if (is_any(kind, "tcp", "telnet") && (is_on(a, "server") || g_str_equal(a->option, "gdb")))
        need_port(a, DRV_NEED_TCP, colon + 1);
}

/* hostfwd=tcp:ADDRESS:PORT-GUEST:PORT, as often as one likes */
static void read_forwards(argument *a)
{
    for (guint i = 0; a->parts[i]; i++) {
        g_autofree char *rule = g_str_has_prefix(a->parts[i], "hostfwd=") ? g_strdup(a->parts[i] + 8) : NULL;
        char *dash = rule ? strrchr(rule, '-') : NULL;
        char *colon = rule ? strchr(rule, ':') : NULL;

        if (!dash || !colon || colon > dash)
            continue;
        *dash = '\0';
        need_port(a, g_str_has_prefix(rule, "udp") ? DRV_NEED_UDP : DRV_NEED_TCP, colon + 1);
    }
}

static void need_keyed(argument *a, const char *key, const char *path)
{
    for (gsize i = 0; i < G_N_ELEMENTS(keyed); i++)
        if (g_str_equal(keyed[i].key, key) && (!keyed[i].option || g_str_equal(keyed[i].option, a->option))) {
            need(a, keyed[i].kind, path);
            return;
        }
}

static void read_keys(argument *a)
{
    for (guint i = 0; a->parts[i]; i++) {
        const char *equals = strchr(a->parts[i], '=');
        g_autofree char *key = equals ? g_strndup(a->parts[i], (gsize)(equals - a->parts[i])) : NULL;

        if (key)
            need_keyed(a, key, equals + 1);
    }
}

/* {"driver":"file","filename":"/path"}: the same keys, in quotes. */
static void read_json(argument *a, const char *text)
{
    g_autoptr(GRegex) regex = g_regex_new("\"([a-z-]+)\"\\s*:\\s*\"(/[^\"\\\\]*)\"", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    for (g_regex_match(regex, text, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *key = g_match_info_fetch(match, 1);
        g_autofree char *path = g_match_info_fetch(match, 2);

        need_keyed(a, key, path);
    }
}

static void read_argument(const char *option, const char *value, drv_need_add add, gpointer data)
{
    g_autofree char *what = g_strdup_printf("-%s", option);
    g_auto(GStrv) parts = split(value);
    argument a = {option, what, parts, add, data};

    for (gsize i = 0; i < G_N_ELEMENTS(plain); i++)
        if (g_str_equal(plain[i].option, option))
            need(&a, plain[i].kind, value);
    if (*value == '{')
        read_json(&a, value);
    else if (g_str_equal(option, "chardev"))
        read_chardev(&a);
    else if (g_strv_contains(old_chardevs, option))
        read_old_chardev(&a);
    else
        read_keys(&a);
    read_forwards(&a);
}

void drv_needs_of_arguments(const char *const *arguments, drv_need_add add, gpointer data)
{
    for (guint i = 0; arguments[i]; i++) {
        const char *option = arguments[i];

        if (*option != '-')
            continue;
        option += g_str_has_prefix(option, "--") ? 2 : 1;
        if (g_str_equal(option, "s"))
            add(data, DRV_NEED_TCP, "-s", NULL, "0.0.0.0", 1234);
        else if (arguments[i + 1] && *arguments[i + 1] != '-')
            read_argument(option, arguments[++i], add, data);
    }
}
