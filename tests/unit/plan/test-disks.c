/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How each disk gets to the target: a table of facts and what is decided on them. Facts are written
 * as JSON with ' for ", the source's under "disks" with the target's in "there".
 */
#include <string.h>

#include "plan/belongings.h"
#include "plan/disks.h"
#include "plan/whole.h"

#define FILE_HERE "'file':{'exists':true,'block':false,'size_bytes':1048576}"
#define DEVICE(ids) "'file':{'exists':true,'block':true,'size_bytes':1048576,'ids':[" ids "]}"
#define VDA                                                                                                            \
    "'target':'vda','device':'disk','format':'raw','cache':'none','path':'/i/a.raw',"                                  \
    "'capacity_bytes':1048576,'allocation_bytes':524288,"
#define GONE(policy)                                                                                                   \
    "{'target':'sda','device':'cdrom','type':'file','path':'/i/a.iso','startup_policy':'" policy "',"                  \
    "'file_error':'/i/a.iso does not exist'"
#define QCOW2_GONE                                                                                                     \
    "'target':'vda','device':'disk','format':'qcow2','cache':'none','path':'/i/a.qcow2',"                              \
    "'type':'file','capacity_bytes':1048576,'allocation_bytes':524288,"
#define QCOW2 QCOW2_GONE "'file':{'exists':true,'known_shared':true},"
#define SAVED_CD                                                                                                       \
    "'target':'sda','device':'cdrom','readonly':true,'format':'raw','path':'/i/m.iso','type':'file',"                  \
    "'saved':true,'in_place':true,'digest':'x'," FILE_HERE ","
#define ROOM "'target_path':'/i/a.raw','directory':true,'fs':'8:1','free_bytes':1000000000"

typedef struct {
    const char *name;
    const char *disk;    /* one disk of the facts, or several with commas */
    const char *how;     /* of the first; NULL: refused */
    const char *member;  /* a boolean of it that must be true, or NULL */
    const char *problem; /* in the problems; NULL: there must be none */
    const char *mode;    /* NULL: auto */
    gboolean offline;
    gboolean pool;
} row;

/* clang-format off */
static const row rows[] = {
    {"local file", "{" VDA "'type':'file'," FILE_HERE ",'there':{" ROOM "}}", "copy", NULL, NULL, NULL, 0, 0},
    {"local file, shut off", "{" VDA "'type':'file'," FILE_HERE ",'there':{" ROOM "}}", "copy", "verbatim",
     NULL, NULL, 1, 0},
    {"local file, shut off, pool", "{" VDA "'type':'file'," FILE_HERE ",'there':{" ROOM "}}", "copy", NULL,
     NULL, NULL, 1, 1},
    {"same file", "{" VDA "'type':'file'," FILE_HERE ",'there':{" ROOM ",'exists':true,'same':true}}",
     "shared", "proven", NULL, NULL, 0, 0},
    {"same file, known", "{" VDA "'type':'file','file':{'known_shared':true},'there':{" ROOM
     ",'exists':true,'same':true,'known_shared':true}}", "shared", NULL, NULL, NULL, 0, 0},
    {"same file, cached", "{'target':'vda','device':'disk','cache':'writeback','path':'/i/a.raw','type':'file',"
     FILE_HERE ",'there':{" ROOM ",'exists':true,'same':true}}", "shared", "proven", "cache='none'", NULL, 0, 0},
    {"same file, to be copied", "{" VDA "'type':'file'," FILE_HERE ",'there':{" ROOM
     ",'exists':true,'same':true}}", NULL, NULL, "--target-pool", "copy", 0, 0},
    {"same file, to a pool", "{" VDA "'type':'file'," FILE_HERE ",'there':{'target_path':'/p/a.raw',"
     "'directory':true,'exists':true,'same':true}}", "copy", NULL, NULL, "copy", 0, 1},
    {"another file", "{" VDA "'type':'file'," FILE_HERE ",'there':{" ROOM
     ",'exists':true,'target_exists':true}}", "copy", NULL, "/i/a.raw exists on h2", NULL, 0, 0},
    {"must be shared", "{" VDA "'type':'file'," FILE_HERE ",'there':{" ROOM "}}", NULL, NULL,
     "does not see its image", "shared", 0, 0},
    {"an older image there", "{" VDA "'type':'file','export':'drive-x'," FILE_HERE ",'there':{" ROOM
     ",'seed':{'kind':'kept','path':'/i/old','format':'raw'}}}", "copy", NULL, NULL, NULL, 0, 0},
    {"an older image that is none", "{" VDA "'type':'file','export':'drive-x','seed':'/i/old'," FILE_HERE
     ",'there':{" ROOM ",'seed':{'kind':'named','path':'/i/old','error':'there is no such file'}}}", "copy",
     NULL, "/i/old on h2: there is no such file", NULL, 0, 0},
    {"an older image, shut off", "{" VDA "'type':'file','seed':'/i/old'," FILE_HERE ",'there':{" ROOM "}}",
     "copy", NULL, "--disk-seed vda", NULL, 1, 0},
    {"no directory", "{" VDA "'type':'file'," FILE_HERE ",'there':{'target_path':'/i/a.raw'}}", "copy", NULL,
     "mkdir -p", NULL, 0, 0},
    {"no room", "{" VDA "'type':'file'," FILE_HERE ",'there':{'target_path':'/i/a.raw','directory':true,"
     "'fs':'8:1','free_bytes':524287}}", "copy", NULL, "512.0", NULL, 0, 0},
    {"no room for two", "{" VDA "'type':'file'," FILE_HERE ",'there':{'target_path':'/i/a.raw',"
     "'directory':true,'fs':'8:1','free_bytes':600000}},{" VDA "'type':'file'," FILE_HERE
     ",'there':{'target_path':'/i/b.raw','directory':true,'fs':'8:1','free_bytes':600000}}", "copy", NULL,
     "1.0", NULL, 0, 0},
    {"file is gone", "{" VDA "'type':'file','file_error':'/i/a.raw does not exist'}", NULL, NULL,
     "does not exist", NULL, 0, 0},
    {"format", "{'target':'vda','device':'disk','format':'vmdk','path':'/i/a','type':'file'," FILE_HERE
     ",'there':{" ROOM "}}", "copy", NULL, "vmdk", NULL, 0, 0},
    {"format, shut off", "{'target':'vda','device':'disk','format':'vmdk','path':'/i/a','type':'file',"
     FILE_HERE ",'there':{" ROOM "}}", "copy", "verbatim", NULL, NULL, 1, 0},
    {"chain", "{" VDA "'type':'file'," FILE_HERE ",'chain':[{'path':'/i/base'}],'there':{" ROOM "}}", "copy",
     "flatten", NULL, NULL, 0, 0},
    {"chain, shut off", "{" VDA "'type':'file'," FILE_HERE ",'chain':[{'path':'/i/base','digest':'x'}],"
     "'there':{" ROOM ",'chain':[{'exists':true,'digest':'x'}]}}", "copy", "verbatim", NULL, NULL, 1, 0},
    {"chain, another base", "{" VDA "'type':'file'," FILE_HERE ",'chain':[{'path':'/i/base','digest':'x'}],"
     "'there':{" ROOM ",'chain':[{'exists':true,'digest':'y'}]}}", "copy", "verbatim", "another content", NULL,
     1, 0},
    {"chain, base not compared", "{" VDA "'type':'file'," FILE_HERE ",'chain':[{'path':'/i/base'}],"
     "'there':{" ROOM ",'chain':[{'exists':true}]}}", "copy", "verbatim", "another content", NULL, 1, 0},
    {"data file", "{" QCOW2 "'data':[{'path':'/i/a.data','own':true," FILE_HERE "}],'there':{" ROOM "}}", "copy",
     "flatten", NULL, NULL, 0, 0},
    {"data file, shut off", "{" QCOW2 "'data':[{'path':'/i/a.data','own':true," FILE_HERE "}],'there':{" ROOM
     ",'data':[{'directory':true}]}}", "copy", "verbatim", NULL, NULL, 1, 0},
    {"data file not where QEMU looks", "{" QCOW2 "'data':[{'path':'/i/a.data','own':true,'astray':true," FILE_HERE
     "}],'there':{" ROOM "}}", "copy", NULL, "qemu-img amend", NULL, 0, 0},
    {"data file not where QEMU looks, shut off", "{" QCOW2 "'data':[{'path':'/i/a.data','own':true,'astray':true,"
     FILE_HERE "}],'there':{" ROOM ",'data':[{'directory':true}]}}", "copy", "verbatim", NULL, NULL, 1, 0},
    {"data file in the way", "{" QCOW2 "'data':[{'path':'/i/a.data','own':true," FILE_HERE "}],'there':{" ROOM
     ",'data':[{'directory':true,'exists':true}]}}", "copy", "verbatim", "/i/a.data exists on h2", NULL, 1, 0},
    {"data file without a directory", "{" QCOW2 "'data':[{'path':'/d/a.data','own':true," FILE_HERE "}],'there':{"
     ROOM ",'data':[{}]}}", "copy", "verbatim", "/d/a.data has no directory", NULL, 1, 0},
    {"data file is gone", "{" QCOW2 "'data':[{'path':'/i/a.data','own':true,'file_error':'/i/a.data does not exist'}],"
     "'there':{" ROOM ",'data':[{'directory':true}]}}", "copy", "verbatim", "a.data does not exist", NULL, 1, 0},
    {"data file is a device", "{" QCOW2 "'data':[{'path':'/dev/a','own':true," DEVICE("'wwn:1'") "}],'there':{" ROOM
     ",'data':[{'directory':true}]}}", "copy", "verbatim", "a device of this host", NULL, 1, 0},
    {"same file, another data file", "{" QCOW2 "'data':[{'path':'/i/a.data','own':true," FILE_HERE "}],'there':{" ROOM
     ",'exists':true,'same':true,'data':[{'exists':true}]}}", NULL, NULL, "not the same data file /i/a.data", NULL, 0, 0},
    {"same file and data file", "{" QCOW2 "'data':[{'path':'/i/a.data','own':true," FILE_HERE "}],'there':{" ROOM
     ",'exists':true,'same':true,'data':[{'exists':true,'same':true}]}}", "shared", NULL, NULL, NULL, 0, 0},
    {"same file, base of the source alone", "{" QCOW2 "'chain':[{'path':'/b/base'}],'there':{" ROOM
     ",'exists':true,'same':true,'chain':[{}]}}", NULL, NULL, "not the same base /b/base", NULL, 0, 0},
    {"same file, base in the network", "{" QCOW2 "'chain':[{'path':'nbd://s/e','remote':true}],'there':{" ROOM
     ",'exists':true,'same':true,'chain':[{}]}}", "shared", NULL, NULL, NULL, 0, 0},
    {"chain cannot be read", "{" QCOW2 "'chain_error':'base is gone','there':{" ROOM "}}", NULL, NULL, "base is gone",
     NULL, 1, 0},
    {"only in the saved definition", "{" QCOW2 "'saved':true,'there':{" ROOM "}}", "copy", "before", NULL, NULL, 0, 0},
    {"only in the saved definition, leaves", "{" QCOW2 "'saved':true,'there':{" ROOM "}}", "copy", "leaves", NULL,
     NULL, 0, 0},
    {"only in the saved definition, with a base", "{" QCOW2 "'saved':true,'chain':[{'path':'/i/base','digest':'x'}],"
     "'there':{" ROOM ",'chain':[{'directory':true}]}}", "copy", "verbatim", NULL, NULL, 0, 0},
    {"only in the saved definition, gone", "{" QCOW2_GONE "'saved':true,'there':{}}", "missing", NULL, NULL, NULL, 0, 0},
    {"another in the saved definition", "{" QCOW2 "'saved':true,'running_path':'/i/b','there':{" ROOM "}}", NULL, NULL,
     "make them one", NULL, 0, 0},
    {"two names for one", "{" QCOW2 "'saved':true,'running_as':'vdb','there':{" ROOM "}}", "keep", NULL, NULL, NULL, 0, 0},
    {"two names for one, in a pool", "{" QCOW2 "'saved':true,'running_as':'vdb','there':{" ROOM "}}", NULL, NULL,
     "runs as vdb", NULL, 0, 1},
    {"ejected only as it runs", "{" SAVED_CD "'there':{" ROOM "}}", "copy", "before", NULL, NULL, 0, 0},
    {"ejected only as it runs, is there", "{" SAVED_CD "'there':{" ROOM ",'exists':true,'digest':'x'}}", "keep", NULL,
     NULL, NULL, 0, 1},
    {"snapshots inside", "{" VDA "'type':'file','internal_snapshots':true," FILE_HERE ",'there':{" ROOM "}}",
     "copy", NULL, "--offline", NULL, 0, 0},
    {"encrypted", "{" VDA "'type':'file','encrypted':true," FILE_HERE ",'there':{" ROOM "}}", "copy", NULL,
     "in the clear", NULL, 0, 0},
    {"encrypted, shut off", "{" VDA "'type':'file','encrypted':true," FILE_HERE ",'there':{" ROOM "}}", "copy",
     "verbatim", NULL, NULL, 1, 0},
    {"shareable", "{" VDA "'type':'file','shareable':true," FILE_HERE ",'there':{" ROOM "}}", NULL, NULL,
     "<shareable/>", NULL, 0, 0},
    {"network", "{'target':'vda','device':'disk','type':'network','path':'nbd://x/y'}", "shared", NULL, NULL,
     NULL, 0, 0},
    {"network, copied", "{'target':'vda','device':'disk','type':'network','path':'nbd://x/y'}", "shared",
     NULL, NULL, "copy", 0, 0},
    {"medium gone", GONE("mandatory") "}", NULL, NULL, "eject it (virsh change-media web1 sda --eject)", NULL, 0, 0},
    {"medium gone, optional", GONE("optional") "}", "keep", NULL, NULL, NULL, 0, 0},
    {"medium gone, optional, shut off", GONE("optional") "}", "keep", NULL, NULL, NULL, 1, 0},
    {"medium gone, requisite", GONE("requisite") "}", "keep", NULL, NULL, NULL, 0, 0},
    {"medium gone, requisite, shut off", GONE("requisite") "}", NULL, NULL, "put the file back", NULL, 1, 0},
    {"medium gone, another there", GONE("optional") ",'there':{'exists':true}}", NULL, NULL, "eject", NULL, 0, 0},
    {"medium only here, optional", "{'target':'sda','device':'cdrom','type':'file','path':'/i/a.iso','readonly':true,"
     "'startup_policy':'optional'," FILE_HERE ",'there':{" ROOM "}}", "keep", NULL, NULL, "shared", 0, 0},
    {"host's drive, optional", "{'target':'sda','device':'cdrom','type':'block','path':'/dev/sr0','readonly':true,"
     "'startup_policy':'optional'," DEVICE("") ",'there':{" ROOM "}}", "keep", NULL, NULL, NULL, 0, 0},
    {"empty drive", "{'target':'sda','device':'cdrom','type':'file'}", "empty", NULL, NULL, NULL, 0, 0},
    {"medium there", "{'target':'sda','device':'cdrom','type':'file','readonly':true,'path':'/i/a','digest':'d',"
     FILE_HERE ",'there':{" ROOM ",'exists':true,'digest':'d'}}", "keep", NULL, NULL, NULL, 0, 0},
    {"medium missing", "{'target':'sda','device':'cdrom','type':'file','readonly':true,'path':'/i/a','digest':'d',"
     "'format':'raw'," FILE_HERE ",'there':{" ROOM "}}", "copy", "before", NULL, NULL, 0, 0},
    {"medium differs", "{'target':'sda','device':'cdrom','type':'file','readonly':true,'path':'/i/a','digest':'d',"
     FILE_HERE ",'there':{" ROOM ",'exists':true,'target_exists':true,'digest':'e'}}", "copy", "before",
     "exists on h2", NULL, 0, 0},
    {"host's drive", "{'target':'sda','device':'cdrom','type':'block','readonly':true,'path':'/dev/sr0',"
     DEVICE("") ",'there':{}}", NULL, NULL, "eject", NULL, 0, 0},
    {"same device", "{" VDA "'type':'block'," DEVICE("'wwid:1','serial:2'") ",'there':{'exists':true,"
     "'block':true,'ids':['serial:2']}}", "shared", NULL, NULL, NULL, 0, 0},
    {"another device, blank", "{" VDA "'type':'block'," DEVICE("'wwid:1'") ",'there':{'exists':true,"
     "'block':true,'ids':['wwid:9'],'target_exists':true,'target_block':true,'target_size_bytes':1048576,"
     "'blank':true}}", "copy", "target_block", NULL, NULL, 0, 0},
    {"another device, in use", "{" VDA "'type':'block'," DEVICE("'wwid:1'") ",'there':{'exists':true,"
     "'block':true,'target_exists':true,'target_block':true,'target_size_bytes':1048576,'blank':false,"
     "'not_blank':'/i/a.raw is not empty'}}", "copy", NULL, "is not empty", NULL, 0, 0},
    {"another device, larger", "{" VDA "'type':'block'," DEVICE("") ",'there':{'exists':true,'block':true,"
     "'target_exists':true,'target_block':true,'target_size_bytes':2097152,'blank':true}}", "copy", NULL,
     "1048576", NULL, 0, 0},
    {"another device, larger, shut off", "{" VDA "'type':'block'," DEVICE("") ",'there':{'exists':true,"
     "'block':true,'target_exists':true,'target_block':true,'target_size_bytes':2097152,'blank':true}}",
     "copy", "target_block", NULL, NULL, 1, 0},
    {"another device, smaller", "{" VDA "'type':'block'," DEVICE("") ",'there':{'exists':true,'block':true,"
     "'target_exists':true,'target_block':true,'target_size_bytes':1048064,'blank':true}}", "copy", NULL,
     "lvextend", NULL, 0, 0},
    {"no device", "{" VDA "'type':'block'," DEVICE("") ",'there':{'directory':true}}", "copy", NULL,
     "lvcreate", NULL, 0, 0},
    {"nameless device, the operator's word", "{" VDA "'type':'block'," DEVICE("") ",'there':{'exists':true,"
     "'block':true,'size_bytes':1048576}}", "shared", NULL, NULL, "shared", 0, 0},
    {"two names, the operator is wrong", "{" VDA "'type':'block'," DEVICE("'wwid:1'") ",'there':{"
     "'exists':true,'block':true,'size_bytes':1048576,'ids':['wwid:2']}}", NULL, NULL, "another one", "shared",
     0, 0},
};
/* clang-format on */

static json_object *parse(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "'", -1);
    g_autofree char *json = g_strjoinv("\"", parts);
    json_object *object = json_tokener_parse(json);

    if (!object)
        g_error("the test's JSON is wrong: %s", json);
    return object;
}

static void test_row(gconstpointer data)
{
    const row *r = data;
    g_autofree char *text = g_strdup_printf("{'disks':[%s]}", r->disk);
    g_autoptr(json_object) facts = parse(text);
    g_autoptr(drv_checks) checks = drv_checks_new();
    const drv_plan_disks_goal goal = {.vm = "web1",
                                      .source = "h1",
                                      .target = "h2",
                                      .mode = r->mode ? r->mode : "auto",
                                      .offline = r->offline,
                                      .pool = r->pool};
    g_autoptr(json_object) planned = drv_plan_disks(facts, &goal, checks);
    json_object *first = json_object_array_length(planned) ? json_object_array_get_idx(planned, 0) : NULL;
    g_autofree char *all = drv_checks_text(checks);

    g_assert_cmpstr(drv_json_string(first, "how", NULL), ==, r->how);
    if (r->member)
        g_assert_true(drv_json_bool(first, r->member));
    if (r->problem && !strstr(all, r->problem))
        g_error("'%s' does not say '%s'", all, r->problem);
    if (!r->problem)
        g_assert_cmpstr(all, ==, "");
}

static void check_belongings(const char *facts_text, const char *map_text, gboolean offline, const char *said,
                             const char *network)
{
    g_autoptr(json_object) facts = parse(facts_text);
    g_autoptr(json_object) map = map_text ? parse(map_text) : NULL;
    g_autoptr(json_object) step = json_object_new_object();
    g_autoptr(drv_checks) checks = drv_checks_new();
    const drv_plan_belongings_goal goal = {"h1", "h2", map, offline};
    g_autofree char *all = NULL;

    drv_plan_belongings(facts, &goal, step, checks);
    all = drv_checks_text(checks);
    if (said && !strstr(all, said))
        g_error("'%s' does not say '%s'", all, said);
    if (!said)
        g_assert_cmpstr(all, ==, "");
    if (network)
        g_assert_cmpstr(drv_json_string(json_object_array_get_idx(drv_json_array(step, "networks"), 0), "to", NULL), ==,
                        network);
}

#define CARD "'networks':[{'mac':'52:54:00:00:00:01','network':'bridge:br0'}],"

static void test_belongings(void)
{
    check_belongings("{" CARD "'networks_there':{'br0':['bridge']}}", NULL, FALSE, NULL, "bridge:br0");
    check_belongings("{" CARD "'networks_there':{'br0':[]}}", NULL, FALSE, "--map-network br0=", NULL);
    /* The name alone is not enough where nobody has said that it is meant. */
    check_belongings("{" CARD "'networks_there':{'br0':['network']}}", NULL, FALSE, "no bridge br0", NULL);
    check_belongings("{" CARD "'networks_there':{'lan':['network']}}", "{'br0':'lan'}", FALSE, NULL, "network:lan");
    check_belongings("{" CARD "'networks_there':{'lan':['network','bridge']}}", "{'br0':'lan'}", FALSE, NULL,
                     "bridge:lan");
    check_belongings("{" CARD "'networks_there':{'br0':['bridge']}}", "{'br7':'lan'}", FALSE, "br7", NULL);
    check_belongings("{'networks':[{'mac':'x','network':'user'}]}", NULL, FALSE, NULL, NULL);
    check_belongings("{'loader':'/fw','loader_there':true,'nvram':'/n'}", NULL, FALSE, NULL, NULL);
    check_belongings("{'loader':'/fw'}", NULL, FALSE, "ovmf", NULL);
    check_belongings("{'nvram':'/n','nvram_there':true}", NULL, FALSE, "/n exist on h2", NULL);
    check_belongings("{'nvram':'/n','nvram_there':true,'nvram_same':true}", NULL, FALSE, NULL, NULL);
    check_belongings("{'tpm':true}", NULL, FALSE, "swtpm", NULL);
    check_belongings("{'tpm':true,'swtpm_there':true}", NULL, TRUE, NULL, NULL);
    check_belongings("{'tpm':true,'swtpm_there':true,'tpm_there':true}", NULL, TRUE, "earlier stay", NULL);
    check_belongings("{'saved':true}", NULL, TRUE, "managedsave-remove", NULL);
    check_belongings("{'snapshots':2,'external_snapshots':true}", NULL, TRUE, "files of their own", NULL);
    check_belongings("{'snapshots':2}", NULL, TRUE, NULL, NULL);
    check_belongings("{'snapshots':2}", NULL, FALSE, "snapshot-delete", NULL);
    check_belongings("{}", NULL, FALSE, NULL, NULL);
}

static void expect_status(json_object *list, const char *name, const char *status, const char *says)
{
    for (gsize i = 0; i < drv_json_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        if (!g_str_equal(drv_json_string(one, "name", ""), name))
            continue;
        g_assert_cmpstr(drv_json_string(one, "status", ""), ==, status);
        if (!strstr(drv_json_string(one, "message", ""), says))
            g_error("%s: '%s' does not say '%s'", name, drv_json_string(one, "message", ""), says);
        return;
    }
    g_error("there is no check %s", name);
}

/* What a move would leave behind, and what it would take away. */
static void test_whole(void)
{
    static const struct {
        const char *facts, *cold, *cold_says, *others, *others_says;
    } cases[] = {
        {"{'disks':[{" VDA "'type':'file'," FILE_HERE ",'there':{" ROOM "}}]}", "ok", "all that its saved", "ok",
         "nothing that stays"},
        {"{'transient':true,'disks':[]}", "skipped", "no definition", "skipped", "no image leaves"},
        {"{'disks':[{" QCOW2 "'there':{" ROOM "}},{" SAVED_CD "'there':{" ROOM "}}]}", "ok", "names sda: copy", "ok",
         "h1"},
        {"{'disks':[{" QCOW2 "'needed_by':'VM clone1 has it as the base of its disk vda','there':{" ROOM "}}]}", "ok",
         "", "warning", "/i/a.qcow2: VM clone1 has it as the base of its disk vda; it is copied"},
        {"{'disks':[{" QCOW2 "'data':[{'path':'/i/a.data','own':true,'needed_by':'VM x'," FILE_HERE "}],'there':{" ROOM
         "}}]}",
         "ok", "", "warning", "/i/a.data: VM x"},
        /* What only is read stays anyway. */
        {"{'disks':[{" SAVED_CD "'needed_by':'VM x','there':{" ROOM "}}]}", "ok", "", "skipped", "no image"},
        {"{'disks':[{" QCOW2_GONE "'saved':true,'there':{}}]}", "warning", "starts from neither", "skipped", ""},
        {"{'uses_error':'libvirt is away','disks':[{" QCOW2 "'there':{" ROOM "}}]}", "ok", "", "warning",
         "libvirt is away"},
        {"{'disks':[{" QCOW2 "'saved':true,'there':{'target_path':'/i/a'}}]}", "problem", "mkdir", "ok", ""},
    };
    const drv_plan_disks_goal goal = {"db", "h1", "h2", "auto", FALSE, FALSE, FALSE, NULL};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(json_object) facts = parse(cases[i].facts);
        g_autoptr(drv_checks) checks = drv_checks_new();
        g_autoptr(json_object) disks = drv_plan_disks(facts, &goal, checks);
        g_autoptr(json_object) list = NULL;

        drv_plan_whole(facts, disks, &goal, checks);
        list = drv_checks_json(checks);
        expect_status(list, "cold-start", cases[i].cold,
                      g_str_equal(cases[i].cold, "problem") ? "does not exist on h2" : cases[i].cold_says);
        expect_status(list, "others", cases[i].others, cases[i].others_says);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/disks/%s", rows[i].name);

        g_test_add_data_func(path, &rows[i], test_row);
    }
    g_test_add_func("/belongings", test_belongings);
    g_test_add_func("/disks/whole", test_whole);
    return g_test_run();
}
