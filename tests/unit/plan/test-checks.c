/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each check makes of facts: a table with ok, warning, problem and skipped; facts in which
 * anything is missing or of another type; the report; and that docs/preflight.rst has all checks.
 * Facts are JSON with ' for ".
 */
#include <string.h>

#include "plan/checks.h"
#include "plan/ranges.h"
#include "plan/target.h"

typedef enum { LIVE = 0, OFFLINE = 1, POST_COPY = 2 } way;

typedef struct {
    const char *name;
    drv_about about;
    const char *facts;
    const char *status;
    const char *says; /* in message or remedy; NULL: anything */
    way way;
} row;

#define CPU(here, there)                                                                                               \
    "{'machine':{'cpu':'<cpu/>','cpu_name':'Skylake','cpu_check':'partial'},"                                          \
    "'here':{" here "},'there':{" there "}}"
#define QEMU(from, to) "{'here':{'qemu':'" from "'},'there':{'qemu':'" to "'}}"
#define PAGES(total, free)                                                                                             \
    "{'machine':{'pages':[{'size_kib':2048,'bytes':67108864}]},'there':{'pages':"                                      \
    "[{'size_kib':2048,'total_bytes':" total ",'free_bytes':" free "}]}}"
#define NEED(check, need, answer)                                                                                      \
    "{'machine':{'needs':[{'check':'" check "','what':'vnc'," need "}]},"                                              \
    "'there':{'qemu':'7.2.22','needs':[{" answer "}]}}"
#define SCREEN(answer) NEED("graphics", "'kind':'tcp','address':'10.9.9.9','port':5901", answer)
#define PATH(kind, answer) NEED("needs", "'kind':'" kind "','value':'/a/b'", answer)
#define HOSTS(here, there) "{'here':{'host_uuid':'" here "'},'there':{'host_uuid':'" there "'}}"
#define PINS(set) "{'machine':{'pins':[{'what':'vCPU 0','cpus':'" set "'}]},'there':{'cpus':'0-3'}}"
#define NODES(set, more) "{'machine':{'nodes':'" set "','nodes_strict':true},'there':{'nodes':'0-1'" more "}}"
#define LINK(more) "{'link':{'member':true,'address':'10.0.0.2','port':7443," more "}}"
#define PLACE(more) "{'machine':{" more "},'there':{'qemu_user':'libvirt-qemu',"

static const row rows[] = {
    {"cpu same", DRV_ABOUT_CPU, CPU("'cpu_missing':[]", "'cpu_missing':[]"), "ok", "Skylake", LIVE},
    {"cpu lacks two", DRV_ABOUT_CPU,
     CPU("'cpu_missing':[]", "'cpu_missing':['avx512f','avx512bw'],'cpu_incompatible':'x'"), "problem",
     "avx512f, avx512bw", LIVE},
    {"cpu remedy", DRV_ABOUT_CPU, CPU("'cpu_missing':[]", "'cpu_missing':['avx512f']"), "problem",
     "hypervisor-cpu-baseline", LIVE},
    {"cpu lacks what the guest never had", DRV_ABOUT_CPU,
     CPU("'cpu_missing':['svm']", "'cpu_missing':['svm'],'cpu_incompatible':'x'"), "ok", NULL, LIVE},
    {"cpu lacks more than here", DRV_ABOUT_CPU, CPU("'cpu_missing':['svm']", "'cpu_missing':['svm','aes']"), "problem",
     "(Skylake): aes", LIVE},
    {"cpu could not start there", DRV_ABOUT_CPU, CPU("'cpu_missing':['svm']", "'cpu_missing':['svm']"), "problem",
     "svm", OFFLINE},
    {"cpu that libvirt does not check", DRV_ABOUT_CPU,
     "{'machine':{'cpu':'<cpu/>','cpu_check':'none'},'here':{'cpu_missing':['svm']},'there':{"
     "'cpu_missing':['svm']}}",
     "ok", NULL, OFFLINE},
    {"cpu of another vendor", DRV_ABOUT_CPU,
     CPU("'cpu_missing':[]", "'cpu_missing':[],'cpu_incompatible':'host CPU vendor does not match'"), "problem",
     "vendor does not match", LIVE},
    {"cpu unknown there", DRV_ABOUT_CPU, CPU("'cpu_missing':[]", "'cpu_error':'Unknown CPU model Skylake'"), "problem",
     "Unknown CPU model", LIVE},
    {"cpu cannot be compared", DRV_ABOUT_CPU, CPU("'cpu_error':'no'", "'cpu_error':'no'"), "warning", NULL, LIVE},
    {"cpu without a model", DRV_ABOUT_CPU, "{'machine':{'cpu_name':'host-model'},'there':{}}", "skipped", "host-model",
     OFFLINE},
    {"machine known", DRV_ABOUT_MACHINE_TYPE,
     "{'machine':{'arch':'x86_64','machine':'pc-q35-7.2'},"
     "'there':{}}",
     "ok", "x86_64 pc-q35-7.2 is known to h2", LIVE},
    {"machine unknown", DRV_ABOUT_MACHINE_TYPE,
     "{'machine':{'machine':'pc-q35-9.9'},'there':{"
     "'machine_error':'not supported by emulator'}}",
     "problem", "not supported by emulator", LIVE},
    {"machine not told", DRV_ABOUT_MACHINE_TYPE, "{'there':{}}", "skipped", NULL, LIVE},
    {"qemu the same", DRV_ABOUT_QEMU_VERSION, QEMU("7.2.22", "7.2.22"), "ok", NULL, LIVE},
    {"qemu newer there", DRV_ABOUT_QEMU_VERSION, QEMU("7.2.22", "8.0.0"), "ok", NULL, LIVE},
    {"qemu older fix", DRV_ABOUT_QEMU_VERSION, QEMU("7.2.22", "7.2.3"), "ok", NULL, LIVE},
    {"qemu older there", DRV_ABOUT_QEMU_VERSION, QEMU("8.0.0", "7.2.22"), "warning", "update QEMU", LIVE},
    {"qemu 10 is newer than 9", DRV_ABOUT_QEMU_VERSION, QEMU("10.0.0", "9.2.0"), "warning", NULL, LIVE},
    {"qemu older, post-copy", DRV_ABOUT_QEMU_VERSION, QEMU("8.0.0", "7.2.22"), "problem", "without post-copy",
     POST_COPY},
    {"qemu older, shut off", DRV_ABOUT_QEMU_VERSION, QEMU("8.0.0", "7.2.22"), "ok", NULL, OFFLINE},
    {"qemu unknown", DRV_ABOUT_QEMU_VERSION, QEMU("unknown", "7.2.22"), "skipped", NULL, LIVE},
    {"memory", DRV_ABOUT_MEMORY, "{'there':{'memory_free_bytes':4294967296}}", "ok", "4096 MiB", LIVE},
    {"memory, less than the node's own", DRV_ABOUT_MEMORY, "{'there':{'memory_free_bytes':134217728}}", "problem",
     "needs 320 MiB", LIVE},
    {"memory, shut off", DRV_ABOUT_MEMORY, "{'there':{'memory_free_bytes':4294967296}}", "ok", NULL, OFFLINE},
    {"memory in use, shut off", DRV_ABOUT_MEMORY, "{'there':{'memory_free_bytes':0}}", "warning", NULL, OFFLINE},
    {"memory in huge pages", DRV_ABOUT_MEMORY, "{'machine':{'pages':[{}]},'there':{'memory_free_bytes':0}}", "skipped",
     NULL, LIVE},
    {"memory not told", DRV_ABOUT_MEMORY, "{'there':{}}", "skipped", NULL, LIVE},
    {"pages free", DRV_ABOUT_HUGEPAGES, PAGES("67108864", "67108864"), "ok", "32 of 2048 KiB", LIVE},
    {"pages in use", DRV_ABOUT_HUGEPAGES, PAGES("67108864", "65011712"), "problem", "31 are free", LIVE},
    {"pages in use, shut off", DRV_ABOUT_HUGEPAGES, PAGES("67108864", "0"), "warning", NULL, OFFLINE},
    {"no pages, shut off", DRV_ABOUT_HUGEPAGES, PAGES("0", "0"), "problem", "virsh allocpages 2048KiB 32", OFFLINE},
    {"no huge pages wanted", DRV_ABOUT_HUGEPAGES, "{'machine':{'pages':[]}}", "skipped", "uses none", LIVE},
    {"pinned", DRV_ABOUT_PINNING, PINS("0-3"), "ok", NULL, LIVE},
    {"pinned elsewhere", DRV_ABOUT_PINNING, PINS("2-5"), "problem", "vCPU 0 to 4-5", LIVE},
    {"not pinned", DRV_ABOUT_PINNING, "{'machine':{'pins':[]}}", "skipped", "not pinned", LIVE},
    {"bound", DRV_ABOUT_NUMA, NODES("1", ",'nodes_free_bytes':67108864"), "ok", NULL, LIVE},
    {"bound, no room", DRV_ABOUT_NUMA, NODES("1", ",'nodes_free_bytes':67108863"), "problem", "63 MiB", LIVE},
    {"bound, no room, shut off", DRV_ABOUT_NUMA, NODES("1", ",'nodes_free_bytes':0"), "ok", NULL, OFFLINE},
    {"bound elsewhere", DRV_ABOUT_NUMA, NODES("0,7", ""), "problem", "no node 7", OFFLINE},
    {"not bound", DRV_ABOUT_NUMA, "{'machine':{}}", "skipped", NULL, LIVE},
    {"screen", DRV_ABOUT_GRAPHICS, SCREEN("'error':null"), "ok", "10.9.9.9", LIVE},
    {"screen elsewhere", DRV_ABOUT_GRAPHICS, SCREEN("'error':'Cannot assign'"), "problem", "0.0.0.0", LIVE},
    {"screen's port in use", DRV_ABOUT_GRAPHICS, SCREEN("'error':'in use','in_use':true"), "problem", "port 5901",
     LIVE},
    {"screen by a name", DRV_ABOUT_GRAPHICS, SCREEN("'unknown':true"), "warning", NULL, LIVE},
    {"screen's port in use, shut off", DRV_ABOUT_GRAPHICS, SCREEN("'error':'in use','in_use':true"), "warning",
     "port 5901", OFFLINE},
    {"screen's socket", DRV_ABOUT_GRAPHICS,
     NEED("graphics", "'kind':'new-file','value':'/screens/a'", "'error':'/screens: No such file'"), "problem",
     "mkdir -p /screens", LIVE},
    {"no screen", DRV_ABOUT_GRAPHICS, "{'machine':{'needs':[]},'there':{'needs':[]}}", "skipped", "no screen", LIVE},
    {"not told of screens", DRV_ABOUT_GRAPHICS, "{'machine':{},'there':{}}", "skipped", NULL, LIVE},
    {"file there", DRV_ABOUT_NEEDS, PATH("file", ""), "ok", "all that", LIVE},
    {"no file", DRV_ABOUT_NEEDS, PATH("file", "'error':'No such file'"), "problem", "the file /a/b, which vnc", LIVE},
    {"no file, shut off", DRV_ABOUT_NEEDS, PATH("file", "'error':'x'"), "problem", "virsh edit web1", OFFLINE},
    {"no directory", DRV_ABOUT_NEEDS, PATH("directory", "'error':'x'"), "problem", "mkdir -p", LIVE},
    {"no directory for a log", DRV_ABOUT_NEEDS, PATH("new-file", "'error':'x'"), "problem", "mkdir -p /a)", LIVE},
    {"no socket", DRV_ABOUT_NEEDS, PATH("socket", "'error':'x'"), "problem", "what listens on it", LIVE},
    {"no pipe", DRV_ABOUT_NEEDS, PATH("pipe", "'error':'x'"), "problem", "mkfifo", LIVE},
    {"no device", DRV_ABOUT_NEEDS, PATH("device", "'error':'x'"), "problem", "the device /a/b", LIVE},
    {"no secret", DRV_ABOUT_NEEDS, PATH("secret", "'error':'x'"), "problem", "secret-set-value", LIVE},
    {"no network card", DRV_ABOUT_NEEDS, PATH("network-card", "'error':'x'"), "problem", "network device", LIVE},
    {"no certificates", DRV_ABOUT_GRAPHICS, NEED("graphics", "'kind':'tls','value':'vnc'", "'error':'x'"), "problem",
     "TLS certificates for vnc", LIVE},
    {"no huge pages mounted", DRV_ABOUT_HUGEPAGES,
     NEED("hugepages", "'kind':'hugetlbfs','value':'2048'", "'error':'x'"), "problem", "mount -t hugetlbfs", LIVE},
    {"no PCI device", DRV_ABOUT_NEEDS, PATH("pci", "'error':'x'"), "problem", NULL, OFFLINE},
    {"port of a serial line in use", DRV_ABOUT_NEEDS,
     NEED("needs", "'kind':'tcp','address':'0.0.0.0','port':5555", "'error':'x','in_use':true"), "problem",
     "port 5555 of 0.0.0.0", LIVE},
    {"only its next start", DRV_ABOUT_NEEDS, NEED("needs", "'later':true,'kind':'file','value':'/a'", "'error':'x'"),
     "warning", "at its next start", LIVE},
    {"a kind of a later version", DRV_ABOUT_NEEDS, PATH("dream", "'error':'x'"), "skipped", NULL, LIVE},
    {"let in", DRV_ABOUT_ADMISSION, "{'there':{'admitted':true}}", "ok", "lets in", LIVE},
    {"not let in", DRV_ABOUT_ADMISSION, "{'there':{'admission_error':'write the line labels'}}", "problem",
     "line labels", LIVE},
    {"not let in, remedy", DRV_ABOUT_ADMISSION, "{'there':{'admission_error':'x'}}", "problem", "/etc/drover/admission",
     OFFLINE},
    {"no needs", DRV_ABOUT_NEEDS, "{'machine':{'needs':[]},'there':{}}", "skipped", "names none", LIVE},
    {"template missing", DRV_ABOUT_FIRMWARE, NEED("firmware", "'kind':'file','value':'/t.fd'", "'error':'x'"),
     "problem", "/t.fd", OFFLINE},
    {"scsi with a thread, copied", DRV_ABOUT_DEVICES, NEED("devices", "'kind':'scsi-thread','value':'sda'", ""),
     "problem", "mended in 9.0", LIVE},
    {"scsi with a thread, shut off", DRV_ABOUT_DEVICES, NEED("devices", "'kind':'scsi-thread','value':'sda'", ""),
     "skipped", NULL, OFFLINE},
    {"scsi with a thread, shared", DRV_ABOUT_DEVICES, NEED("devices", "'kind':'scsi-thread','value':'sdb'", ""),
     "skipped", NULL, LIVE},
    {"scsi with a thread, newer", DRV_ABOUT_DEVICES,
     "{'machine':{'needs':[{'check':'devices','kind':'scsi-thread','value':'sda'}]},'there':{'qemu':'9.0.0',"
     "'needs':[{}]}}",
     "skipped", NULL, LIVE},
    {"two hosts", DRV_ABOUT_HOST_UUID, HOSTS("a", "b"), "ok", NULL, LIVE},
    {"one host UUID", DRV_ABOUT_HOST_UUID, HOSTS("a", "a"), "problem", "host_uuid =", LIVE},
    {"one host UUID, shut off", DRV_ABOUT_HOST_UUID, HOSTS("a", "a"), "warning", "uuidgen", OFFLINE},
    {"host UUID not told", DRV_ABOUT_HOST_UUID, "{'here':{'host_uuid':'a'},'there':{}}", "skipped", NULL, LIVE},
    {"locks", DRV_ABOUT_LOCK_MANAGER, "{'here':{'lock_manager':'nop'},'there':{'lock_manager':'nop'}}", "ok", NULL,
     LIVE},
    {"locks differ", DRV_ABOUT_LOCK_MANAGER, "{'here':{'lock_manager':'nop'},'there':{'lock_manager':'lockd'}}",
     "problem", "qemu.conf", LIVE},
    {"locks differ, shut off", DRV_ABOUT_LOCK_MANAGER,
     "{'here':{'lock_manager':'nop'},'there':{'lock_manager':'lockd'}}", "warning", NULL, OFFLINE},
    {"post-copy", DRV_ABOUT_POST_COPY, "{'there':{}}", "ok", NULL, POST_COPY},
    {"post-copy forbidden", DRV_ABOUT_POST_COPY, "{'there':{'post_copy_error':'sysctl'}}", "problem", "sysctl",
     POST_COPY},
    {"post-copy not asked for", DRV_ABOUT_POST_COPY, "{'there':{'post_copy_error':'sysctl'}}", "skipped", NULL, LIVE},
    {"link", DRV_ABOUT_LINKS, LINK("'round_trip_us':1500"), "ok", "1.5 ms", LIVE},
    {"link cut", DRV_ABOUT_LINKS, LINK("'error':'no route'"), "problem", "10.0.0.2 port 7443: no route", LIVE},
    {"revoked", DRV_ABOUT_LINKS, "{'link':{}}", "problem", "revoked", LIVE},
    {"clocks", DRV_ABOUT_CLOCK, LINK("'clock_ahead_ms':-400"), "ok", "400 ms", LIVE},
    {"clocks differ", DRV_ABOUT_CLOCK, LINK("'clock_ahead_ms':-2500"), "warning", "2.5 s behind", LIVE},
    {"clocks differ by a day", DRV_ABOUT_CLOCK, LINK("'clock_ahead_ms':86400000"), "warning", "ahead of", LIVE},
    {"no clock", DRV_ABOUT_CLOCK, LINK("'error':'x'"), "skipped", NULL, LIVE},
    {"permitted", DRV_ABOUT_PERMISSIONS, PLACE("") "'qemu_group':'kvm','directories':[{'path':'/i'}]}}", "ok", "kvm",
     LIVE},
    {"no group", DRV_ABOUT_PERMISSIONS, PLACE("") "'qemu_group':null}}", "problem", "drover doctor", LIVE},
    {"no sessions", DRV_ABOUT_PERMISSIONS, PLACE("") "'qemu_group':'kvm','sessions_error':'read-only'}}", "problem",
     "read-only", LIVE},
    {"directory read-only", DRV_ABOUT_PERMISSIONS,
     PLACE("") "'qemu_group':'kvm','directories':[{'path':'/i','error':'read-only'}]}}", "problem",
     "images cannot be made in /i", LIVE},
    {"directory closed", DRV_ABOUT_PERMISSIONS,
     PLACE("") "'qemu_group':'kvm','directories':[{'path':'/i','closed':true}]}}", "problem", "chmod o+x", LIVE},
    {"directory closed, another user", DRV_ABOUT_PERMISSIONS,
     PLACE("'own_label':true") "'qemu_group':'kvm','directories':[{'path':'/i','closed':true}]}}", "ok", NULL, LIVE},
    {"directory not written to", DRV_ABOUT_PERMISSIONS,
     PLACE("") "'qemu_group':'kvm','directories':[{'path':'/else','closed':true}]}}", "ok", NULL, LIVE},
    {"not told of permissions", DRV_ABOUT_PERMISSIONS, "{}", "skipped", NULL, LIVE},
    {"no such vm", DRV_ABOUT_EXISTING_VM, "{'there':{}}", "ok", NULL, LIVE},
    {"same uuid", DRV_ABOUT_EXISTING_VM, "{'there':{'existing_uuid':'shut off','existing_name':'shut off'}}", "problem",
     "UUID of web1 exists at h2 (shut off)", LIVE},
    {"same name", DRV_ABOUT_EXISTING_VM, "{'there':{'existing_name':'running'}}", "problem", "undefine or rename",
     LIVE},
    {"no leftovers", DRV_ABOUT_LEFTOVERS, "{'there':{}}", "ok", NULL, LIVE},
    {"still leaving", DRV_ABOUT_LEFTOVERS, "{'there':{'moving':'h2-4'}}", "problem", "h2-4", LIVE},
    {"needs attention", DRV_ABOUT_LEFTOVERS, "{'here':{'attention':'h1-4'},'there':{}}", "warning",
     "drover reconcile h1-4", LIVE},
    {"a session", DRV_ABOUT_LEFTOVERS, "{'there':{'session':true}}", "warning", "cleared away", LIVE},
};

static json_object *parse(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "'", -1);
    g_autofree char *json = g_strjoinv("\"", parts);
    json_object *object = json_tokener_parse(json);

    if (!object)
        g_error("the test's JSON is wrong: %s", json);
    return object;
}

static drv_checks *judge(json_object *facts, way which)
{
    g_autoptr(json_object) step = parse("{'nvram':'/n.fd','disks':[{'target':'sda','how':'copy','target_path':'/i/"
                                        "a.raw'},{'target':'sdb','how':'shared','target_path':'/else/b'}]}");
    const drv_plan_target_goal goal = {.vm = "web1",
                                       .source = "h1",
                                       .target = "h2",
                                       .offline = which == OFFLINE,
                                       .post_copy = which == POST_COPY,
                                       .memory_bytes = 64 << 20};
    drv_checks *checks = drv_checks_new();

    drv_plan_links(facts, &goal, checks);
    drv_plan_target(facts, step, &goal, checks);
    return checks;
}

static json_object *entry_of(json_object *list, drv_about about)
{
    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *entry = json_object_array_get_idx(list, i);

        if (g_str_equal(drv_json_string(entry, "name", ""), drv_check_table[about].id))
            return entry;
    }
    return NULL;
}

static void test_row(gconstpointer data)
{
    const row *r = data;
    g_autoptr(json_object) facts = parse(r->facts);
    g_autoptr(drv_checks) checks = judge(facts, r->way);
    g_autoptr(json_object) list = drv_checks_json(checks);
    json_object *entry = entry_of(list, r->about);
    const char *message = drv_json_string(entry, "message", "");
    const char *remedy = drv_json_string(entry, "remedy", "");

    g_assert_cmpstr(drv_json_string(entry, "status", NULL), ==, r->status);
    if (r->says && !strstr(message, r->says) && !strstr(remedy, r->says))
        g_error("neither '%s' nor '%s' says '%s'", message, remedy, r->says);
    g_assert_cmpint(drv_checks_has(checks, r->about), ==, g_str_equal(r->status, "problem"));
}

/* A member after the other is taken away, or becomes a number, anywhere in the facts. */
static void spoil(json_object *root, json_object *object, way which)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);

    if (json_object_is_type(object, json_type_array)) {
        for (gsize i = 0; i < json_object_array_length(object); i++)
            spoil(root, json_object_array_get_idx(object, i), which);
        return;
    }
    if (!json_object_is_type(object, json_type_object))
        return;
    json_object_object_foreach(object, name, unused)
    {
        (void)unused;
        g_ptr_array_add(keys, g_strdup(name));
    }
    for (guint i = 0; i < keys->len; i++) {
        const char *key = keys->pdata[i];
        json_object *value = NULL;

        json_object_object_get_ex(object, key, &value);
        json_object_get(value);
        spoil(root, value, which);
        json_object_object_del(object, key);
        drv_checks_free(judge(root, which));
        json_object_object_add(object, key, json_object_new_int64(-5));
        drv_checks_free(judge(root, which));
        json_object_object_add(object, key, value);
    }
}

static void test_bad_facts(void)
{
    drv_checks_free(judge(NULL, LIVE));
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_object) facts = parse(rows[i].facts);

        spoil(facts, facts, rows[i].way);
    }
}

static void test_report(void)
{
    g_autoptr(drv_checks) checks = drv_checks_new();
    g_autoptr(json_object) list = NULL;
    g_autofree char *text = NULL;
    const gsize more = 2; /* findings than checks */

    drv_checks_skip(checks, DRV_ABOUT_CPU, "not yet");
    drv_checks_ok(checks, DRV_ABOUT_CPU, "good");
    drv_checks_warn(checks, DRV_ABOUT_DISKS, "small" DRV_REMEDY "grow it");
    drv_checks_problem(checks, DRV_ABOUT_DISKS, "%s is there" DRV_REMEDY "move %s", "a", "it");
    drv_checks_problem(checks, DRV_ABOUT_DISKS, "b is there");
    drv_checks_ok(checks, DRV_ABOUT_DISKS, "not so");
    drv_checks_problem(checks, DRV_ABOUT_STATE, "off" DRV_REMEDY "start it");
    drv_checks_skip_rest(checks, "why not");
    g_assert_cmpuint(drv_checks_problems(checks), ==, 3);
    text = drv_checks_text(checks);
    g_assert_cmpstr(text, ==, "off: start it; a is there: move it; b is there");
    list = drv_checks_json(checks);
    g_assert_cmpuint(json_object_array_length(list), ==, DRV_ABOUT_COUNT + more);
    g_assert_cmpstr(drv_json_string(entry_of(list, DRV_ABOUT_CPU), "status", ""), ==, "ok");
    g_assert_cmpstr(drv_json_string(entry_of(list, DRV_ABOUT_DISKS), "status", ""), ==, "warning");
    g_assert_cmpstr(drv_json_string(entry_of(list, DRV_ABOUT_DISKS), "remedy", ""), ==, "grow it");
    g_assert_cmpstr(drv_json_string(entry_of(list, DRV_ABOUT_TPM), "message", ""), ==, "why not");
}

static void test_ranges(void)
{
    static const struct {
        const char *wanted, *available, *missing;
        /* clang-format off */
    } sets[] = {{"0-3", "0-7", NULL},  {"62-63", "0-1", "62-63"}, {"0-7,^2,9", "0-3", "4-7,9"},
                {"1,3,5", "0-8", NULL}, {"", "", NULL},            {"0", "nonsense", "0"},
                {"5-2", "0", NULL},     {"-1", "0", NULL},         {"8191-999999999999", "0", "8191"},
                {NULL, NULL, NULL}};
    /* clang-format on */

    for (gsize i = 0; i < G_N_ELEMENTS(sets); i++) {
        g_autofree char *missing = drv_ranges_missing(sets[i].wanted, sets[i].available);

        g_assert_cmpstr(missing, ==, sets[i].missing);
    }
    g_assert_true(drv_ranges_has("0-2,7", 7));
    g_assert_false(drv_ranges_has("0-2,7", 6));
}

/* Rows of the page's table begin with the id in double backquotes. */
static void test_documented(void)
{
    g_autofree char *path = g_build_filename(g_getenv("DROVER_SOURCE_ROOT"), "docs", "preflight.rst", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GRegex) regex = g_regex_new("^   \\* - ``([a-z-]+)``$", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autoptr(GError) error = NULL;
    guint at = 0;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    for (g_regex_match(regex, text, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *id = g_match_info_fetch(match, 1);

        g_assert_cmpuint(at, <, DRV_ABOUT_COUNT);
        g_assert_cmpstr(id, ==, drv_check_table[at++].id);
    }
    g_assert_cmpuint(at, ==, DRV_ABOUT_COUNT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/checks/%s", rows[i].name);

        g_test_add_data_func(path, &rows[i], test_row);
    }
    g_test_add_func("/checks/bad-facts", test_bad_facts);
    g_test_add_func("/checks/report", test_report);
    g_test_add_func("/checks/ranges", test_ranges);
    g_test_add_func("/checks/documented", test_documented);
    return g_test_run();
}
