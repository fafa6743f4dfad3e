/* SPDX-License-Identifier: Apache-2.0 */
/* Whole runs of drover against a scripted droverd: output, exit codes, and odd answers survived. */
#include <signal.h>
#include <string.h>

#include "hyper/gerror.h"
#include "script.h"

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("“%s” is not in:\n%s", part, text);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        g_error("“%s” is in:\n%s", part, text);
}

/* Answers every call with the JSON text in s->data. */
static json_object *fixed(script *s, guint nth, const char *method, const char *path, json_object *body, GError **error)
{
    return script_json(s->data);
}

/* Fails every call with the code in s->data. */
static json_object *failing(script *s, guint nth, const char *method, const char *path, json_object *body,
                            GError **error)
{
    return script_fail(error, GPOINTER_TO_INT(s->data), "because of the test");
}

#define NODES                                                                                                          \
    "{'nodes':[{'name':'h10','address':'fd00::2','port':7444,'state':'lost',"                                          \
    "'error':'node h10: no route to host'},"                                                                           \
    "{'name':'h2','address':'10.0.0.1','port':7443,'state':'up','cpus':4,"                                             \
    "'memory_bytes':8589934592,'memory_free_bytes':4294967296,'vms':2,'version':'0.1.0',"                              \
    "'libvirt':'9.0.0','qemu':'7.2.22'}]}"

static void test_node_list(void)
{
    outcome o = script_run(fixed, (gpointer)NODES, "node list");

    g_assert_cmpint(o.code, ==, 0);
    g_assert_cmpstr(o.out, ==,
                    "NAME  STATE  ADDRESS         CPUS   MEMORY     FREE  VMS  VERSIONS\n"
                    "h2    up     10.0.0.1           4  8.0 GiB  4.0 GiB    2  drover 0.1.0, libvirt "
                    "9.0.0, qemu 7.2.22\n"
                    "h10   lost   [fd00::2]:7444     -        -        -    -  -\n");
    has(o.err, "node h10 is lost: no route to host");
    outcome_clear(&o);
}

static void test_vm_list(void)
{
    outcome o = script_run(fixed,
                           (gpointer) "{'vms':[{'name':'web1','state':'running','node':'h1','vcpus':2,"
                                      "'memory_bytes':1073741824,'job':'h1-7'},"
                                      "{'name':'\\u001b[2Jevil','state':'shut off','node':'h1','job':null}],"
                                      "'unreachable':[{'node':'h3','message':'timed out'}]}",
                           "vm list");

    g_assert_cmpint(o.code, ==, 0);
    has(o.out, "web1      running   h1        2  1.0 GiB  h1-7\n");
    has(o.out, "?[2Jevil  shut off  h1        -        -  -\n");
    has(o.err, "h3 does not answer");
    has(o.err, "timed out");
    outcome_clear(&o);
}

static void test_json_is_passed_on(void)
{
    outcome o = script_run(fixed, (gpointer)NODES, "node list --json");
    json_object *object = json_tokener_parse(o.out);

    g_assert_cmpint(drv_json_length(drv_json_array(object, "nodes")), ==, 2);
    json_object_put(object);
    outcome_clear(&o);
}

/* Whatever the server sends, a command answers with an exit code and does not crash. */
static void test_odd_answers(void)
{
    /* clang-format off */
    static const char *const commands[] = {
        "node list", "vm list",        "jobs",         "job x",          "token list",
        "version",   "token create",   "migrate web1", "cancel x",       "node revoke x",
        "migrate web1 --no-wait", "token create --json",
    };
    /* clang-format on */
    static const char *const answers[] = {
        "{}",
        "[]",
        "{'nodes':7,'vms':7,'jobs':7,'tokens':7,'steps':7,'unreachable':7}",
        ("{'nodes':[1,null,'x',[]],'vms':[1,null,'x',[]],'jobs':[1,null,'x',[]],"
         "'tokens':[1,null,[]],'unreachable':[1,null,'x'],'steps':[null],'id':'p'}"),
        "{'nodes':[{}],'vms':[{}],'jobs':[{}],'tokens':[{}],'unreachable':[{}],'steps':[{}]}",
        "{'refused':[null],'steps':[]}",
        "{'id':7,'steps':[{'vm':[]}],'jobs':[{}],'report':[],'progress':'x','ended':true}",
        "{'jobs':[{'created_ms':-5,'started_ms':1e300,'ended':1,'progress':{'percent':1e30}}]}",
        "{'vm':'\\u0000x','state':5,'report':{'total_ms':-1},'created_ms':9223372036854775807}",
    };

    for (gsize c = 0; c < G_N_ELEMENTS(commands); c++)
        for (gsize a = 0; a < G_N_ELEMENTS(answers); a++) {
            outcome o = script_run(fixed, (gpointer)answers[a], commands[c]);

            g_test_message("%s: %s -> %d", commands[c], answers[a], o.code);
            g_assert_cmpint(o.code, >=, 0);
            g_assert_cmpint(o.code, <=, 8);
            g_assert_true(o.code == 0 || *o.err);
            has_not(o.out, "(null)");
            has_not(o.err, "(null)");
            outcome_clear(&o);
        }
}

static void test_exit_codes(void)
{
    static const struct {
        drv_error_code error;
        int code;
        const char *outcome; /* of migrate --json */
    } codes[] = {
        {DRV_ERROR_FAILED, 1, "failed"},     {DRV_ERROR_INVALID, 2, "refused"}, {DRV_ERROR_NOT_FOUND, 3, "refused"},
        {DRV_ERROR_CONFLICT, 4, "refused"},  {DRV_ERROR_REFUSED, 4, "refused"}, {DRV_ERROR_UNREACHABLE, 5, "failed"},
        {DRV_ERROR_CANCELLED, 6, "refused"}, {DRV_ERROR_DENIED, 8, "refused"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(codes); i++) {
        gpointer code = GINT_TO_POINTER(codes[i].error);
        outcome text = script_run(failing, code, "migrate web1 h2");
        outcome json = script_run(failing, code, "migrate web1 h2 --json");
        outcome list = script_run(failing, code, "vm list --json");
        json_object *object = json_tokener_parse(json.out);

        g_assert_cmpint(text.code, ==, codes[i].code);
        g_assert_cmpstr(text.out, ==, "");
        has(text.err, "because of the test");
        g_assert_cmpint(json.code, ==, codes[i].code);
        g_assert_cmpint(json_object_object_length(object), ==, 25);
        g_assert_cmpstr(drv_json_string(object, "outcome", NULL), ==, codes[i].outcome);
        g_assert_cmpstr(drv_json_string(object, "error", NULL), ==, "because of the test");
        g_assert_cmpstr(drv_json_string(object, "vm", NULL), ==, "web1");
        g_assert_cmpint(list.code, ==, codes[i].code);
        has(list.out, drv_error_code_name(codes[i].error));
        json_object_put(object);
        outcome_clear(&text);
        outcome_clear(&json);
        outcome_clear(&list);
    }
}

#define STEP "'steps':[{'action':'migrate','vm':'web1','uuid':'u','source':'h1','target':'h2'}],'refused':[]"

/* A whole move, with droverd away for the answer to "apply". */
static json_object *moving(script *s, guint nth, const char *method, const char *path, json_object *body,
                           GError **error)
{
    gboolean drops = s->data != NULL;

    if (g_str_equal(path, "/v1/plans")) {
        g_assert_cmpstr(method, ==, "POST");
        g_assert_cmpstr(drv_json_string(body, "goal", NULL), ==, "migrate");
        g_assert_cmpstr(drv_json_string(body, "vm", NULL), ==, "web1");
        g_assert_cmpstr(drv_json_string(body, "target", NULL), ==, "h2");
        g_assert_cmpint(drv_json_int(body, "max_pause_ms", 0), ==, 200);
        g_assert_cmpint(drv_json_int(body, "bandwidth_bps", 0), ==, 62500000);
        return script_json("{'id':'h1-p3','state':'ready','jobs':[]," STEP "}");
    }
    if (g_str_equal(path, "/v1/plans/h1-p3/apply")) {
        g_assert_cmpuint(nth, ==, 2); /* at most once */
        return drops ? script_fail(error, DRV_ERROR_UNREACHABLE, "gone") : script_json("{'jobs':['h1-7']}");
    }
    if (g_str_equal(path, "/v1/plans/h1-p3"))
        return script_json("{'id':'h1-p3','state':'applied','jobs':['h1-7']," STEP "}");
    g_assert_true(g_str_has_prefix(path, "/v1/jobs/h1-7"));
    return script_json("{'id':'h1-7','vm':'web1','source':'h1','target':'h2','revision':9,"
                       "'state':'done','ended':true,'error':null,'progress':{'percent':100,"
                       "'phase':'done'},'report':{'vm':'web1','source':'h1','target':'h2',"
                       "'outcome':'done','total_ms':1500,'pause_ms':40,'rounds':2}}");
}

static void test_migrate(void)
{
    static const char line[] = "migrate web1 h2 --max-pause 200ms --bandwidth 500mbit";
    g_autofree char *json_line = g_strconcat(line, " --json", NULL);
    g_autofree char *no_wait = g_strconcat(line, " --no-wait", NULL);
    outcome text = script_run(moving, NULL, line);
    outcome dropped = script_run(moving, (gpointer) "drops", line);
    outcome json = script_run(moving, NULL, json_line);
    outcome begun = script_run(moving, NULL, no_wait);
    json_object *object = json_tokener_parse(json.out);

    g_assert_cmpint(text.code, ==, 0);
    has(text.out, "web1 moved from h1 to h2 in 1.5 s; it stood still for 40 ms.\n");
    g_assert_cmpint(dropped.code, ==, 0);
    has(dropped.out, "web1 moved from h1 to h2");
    g_assert_cmpint(json.code, ==, 0);
    g_assert_cmpint(json_object_object_length(object), ==, 25);
    g_assert_cmpint(drv_json_int(object, "pause_ms", -1), ==, 40);
    g_assert_cmpint(begun.code, ==, 0);
    g_assert_cmpstr(begun.out, ==, "h1-7\n");
    json_object_put(object);
    outcome_clear(&text);
    outcome_clear(&dropped);
    outcome_clear(&json);
    outcome_clear(&begun);
}

#define PREDICTED                                                                                                      \
    "'predicted':{'time_ms':{'p50':4200,'p90':5900},'pause_ms':{'p50':40,'p90':90},"                                   \
    "'wire_bytes':{'p50':1048576,'p90':2097152},'verdict':'throttle','why':'it \\u001b[2J','basis':'model'}"
#define CHECK(name, status, more) "{'name':'" name "','status':'" status "','message':'" name " says'" more "}"

/* As text the prediction is asked for when the checks have been shown; @data has no words of it then. */
static json_object *checking(script *s, guint nth, const char *method, const char *path, json_object *body,
                             GError **error)
{
    const char *text = s->data;

    if (nth == 2) {
        g_assert_cmpstr(path, ==, "/v1/predictions");
        g_assert_cmpstr(drv_json_string(drv_json_object(body, "step"), "vm", NULL), ==, "web1");
        return strstr(text, "'silent'") ? script_fail(error, DRV_ERROR_UNREACHABLE, "it died")
                                        : script_json("{" PREDICTED "}");
    }
    g_assert_cmpstr(path, ==, "/v1/plans");
    g_assert_cmpint(json_object_object_get_ex(body, "predict", NULL), ==, !strstr(text, "'whole'"));
    g_assert_true(drv_json_bool(body, "check"));
    g_assert_cmpstr(drv_json_string(body, "method", NULL), ==, "offline");
    return script_json(s->data);
}

static void test_check(void)
{
    static const char good[] = "{'id':null,'state':'ready','steps':[{'vm':'web1','source':'h1','target':'h2',"
                               "'action':'migrate'}],'checks':[" CHECK("cpu", "ok", "") "," CHECK(
                                   "clock", "warning", ",'remedy':'set it'") "]}";
    static const char silent[] = "{'silent':1,'state':'ready'," STEP ",'checks':[" CHECK("cpu", "ok", "") "]}";
    static const char whole[] = "{'whole':1,'state':'ready','steps':[{'vm':'web1'," PREDICTED "}],'checks':[]}";
#define BAD                                                                                                            \
    STEP ",'checks':[" CHECK("cpu", "problem", ",'title':'CPU','remedy':'another \\u001b[2J'") "," CHECK(              \
        "disks", "problem", "") "," CHECK("tpm", "skipped", "") ",7,{}]}"
    static const char bad[] = "{'id':null,'state':'refused'," BAD;
    static const char bad_whole[] = "{'whole':1,'state':'refused'," BAD;
    static const char line[] = "migrate web1 h2 --offline --check";
    outcome can = script_run(checking, (gpointer)good, line);
    outcome cannot = script_run(checking, (gpointer)bad, line);
    outcome json = script_run(checking, (gpointer)bad_whole, "migrate web1 h2 --offline --check --json");
    outcome predicted = script_run(checking, (gpointer)whole, "migrate web1 h2 --offline --check --json");
    outcome alone = script_run(checking, (gpointer)silent, line);
    outcome empty = script_run(checking, (gpointer) "{}", line);
    json_object *object = json_tokener_parse(json.out);

    g_assert_cmpint(can.code, ==, 0);
    has(can.out, "to do: set it\n");
    has(can.out, "\nweb1 can move from h1 to h2\n");
    has(can.out, "\npredicted: it converges if the guest is slowed down; it ?[2J\n");
    has(can.out, "4.2 s, nine of ten below 5.9 s\n");
    has(can.out, "the model alone\n");
    g_assert_cmpint(cannot.code, ==, 4);
    has(cannot.out, "\nweb1 cannot move to h2: 2 problems\n");
    has(cannot.out, "cpu says\n");
    g_assert_null(strchr(cannot.out, '\x1b'));
    g_assert_cmpint(json.code, ==, 4);
    g_assert_cmpint(json_object_object_length(object), ==, 6);
    g_assert_false(drv_json_bool(object, "ok"));
    g_assert_cmpstr(drv_json_string(object, "source", NULL), ==, "h1");
    g_assert_cmpint((int)drv_json_length(drv_json_array(object, "checks")), ==, 5);
    g_assert_cmpint(predicted.code, ==, 0);
    has(predicted.out, "\"verdict\": \"throttle\"");
    g_assert_cmpint(alone.code, ==, 0);
    has(alone.out, "\nweb1 can move from h1 to h2\n");
    has(alone.err, "there is no prediction: it died\n");
    g_assert_cmpint(empty.code, ==, 4);
    json_object_put(object);
    outcome_clear(&predicted);
    outcome_clear(&alone);
    outcome_clear(&can);
    outcome_clear(&cannot);
    outcome_clear(&json);
    outcome_clear(&empty);
}

static void test_check_of_nothing(void)
{
    outcome o = script_run(failing, GINT_TO_POINTER(0), "migrate web1 h2 --check --json");

    has(o.out, "\"ok\": false");
    has(o.out, "\"error\": ");
    g_assert_cmpint(o.code, !=, 0);
    outcome_clear(&o);
}

static void test_refused_plan(void)
{
    outcome o = script_run(fixed,
                           (gpointer) "{'id':'p','steps':[],'refused':[{'vm':'web1','code':'refused',"
                                      "'message':'web1: no node has 4 GiB free'}]}",
                           "migrate web1 --json");

    g_assert_cmpint(o.code, ==, 4);
    has(o.out, "\"outcome\": \"refused\"");
    has(o.err, "no node has 4 GiB free");
    outcome_clear(&o);
}

static json_object *token(script *s, guint nth, const char *method, const char *path, json_object *body, GError **error)
{
    g_assert_cmpstr(drv_json_string(body, "kind", NULL), ==, "operator");
    g_assert_cmpstr(drv_json_string(body, "name", NULL), ==, "alice");
    g_assert_cmpint(drv_json_int(body, "ttl_s", 0), ==, 600);
    return script_json("{'id':'i','token':'drover1.i.s.f','kind':'operator','expires_ms':1}");
}

static void test_token_create(void)
{
    outcome o = script_run(token, NULL, "token create --operator alice --ttl 10m");

    g_assert_cmpint(o.code, ==, 0);
    g_assert_cmpstr(o.out, ==, "drover1.i.s.f\n");
    outcome_clear(&o);
}

static void test_jobs(void)
{
    outcome o = script_run(fixed,
                           (gpointer) "{'jobs':[{'id':'h1-7','vm':'web1','source':'h1','target':'h2',"
                                      "'state':'rolled-back','ended':true,'error_code':'cancelled','error':'stop',"
                                      "'started_ms':1000,'ended_ms':13300,'progress':{'percent':42}},"
                                      "{'id':'h1-8','vm':'web2','source':'h1','target':'h2','ended':false,"
                                      "'state':'copying-memory','progress':{'percent':7}}]}",
                           "jobs");

    g_assert_cmpint(o.code, ==, 0);
    has(o.out, "h1-7  cancelled       web1  h1    h2     42 %    -  12.3 s\n");
    has(o.out, "h1-8  copying-memory  web2  h1    h2      7 %    -       -\n");
    outcome_clear(&o);
}

static void test_cancel(void)
{
    static const struct {
        const char *answer, *command, *says;
    } rows[] = {
        {"{'vm':'web1','source':'h1','cancel_requested':true}", "cancel h1-7", "h1-7 is asked to end"},
        {"{'vm':'web1','source':'h1','cancel_requested':true,'cancel_repeated':true}", "cancel h1-7",
         "web1 is being rolled back to h1 already"},
        {"{'cancel_requested':true,'cancel_repeated':true}", "cancel op-3", "op-3 was cancelled before"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        outcome o = script_run(fixed, (gpointer)rows[i].answer, rows[i].command);

        g_assert_cmpint(o.code, ==, 0);
        has(o.err, rows[i].says);
        outcome_clear(&o);
    }
}

static json_object *sees_path(script *s, guint nth, const char *method, const char *path, json_object *body,
                              GError **error)
{
    g_assert_cmpstr(path, ==, "/v1/jobs/a%2F..%2Fb%3Fc");
    return script_json("{}");
}

static void test_ids_are_escaped(void)
{
    outcome o = script_run(sees_path, NULL, "job a/../b?c");

    g_assert_cmpint(o.code, ==, 0);
    outcome_clear(&o);
}

static void test_without_command(void)
{
    static const struct {
        const char *line;
        int code;
        const char *out, *err;
    } runs[] = {
        {"", 2, NULL, "Usage: drover"},
        {"--help", 0, "Usage: drover", NULL},
        {"help", 0, "Usage: drover", NULL},
        {"help migrate", 0, "Usage: drover migrate [OPTION…] VM [NODE]", NULL},
        {"help token create", 0, "--operator NAME", NULL},
        {"token", 2, NULL, "drover token COMMAND"},
        {"token --help", 0, "token revoke ID", NULL},
        {"help migrtae", 2, NULL, "did you mean “migrate”"},
        {"--version", 0, "drover ", NULL},
        {"help --json", 0, "\"max-pause\"", NULL},
        {"join h1", 2, NULL, "--token-file"},
        {"join h1 --token a --token-file b", 2, NULL, "either"},
        {"join h1 --token-file /nonexistent/token", 2, NULL, "cannot be read"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(runs); i++) {
        outcome o = script_run(NULL, NULL, runs[i].line);

        g_test_message("%s", runs[i].line);
        g_assert_cmpint(o.code, ==, runs[i].code);
        if (runs[i].out)
            has(o.out, runs[i].out);
        if (runs[i].err)
            has(o.err, runs[i].err);
        outcome_clear(&o);
    }
}

/* A result that cannot be written is no success. */
static void test_full_disk(void)
{
    script *s = script_new(fixed, (gpointer)NODES);
    char *argv[] = {(char *)"drover", (char *)"node", (char *)"list"};
    FILE *full = fopen("/dev/full", "w");
    FILE *err = fopen("/dev/null", "w");
    int code;

    g_assert_nonnull(full);
    code = drv_cli_main(3, argv, full, err, &s->base);
    g_assert_cmpint(code, ==, 1);
    fclose(full);
    fclose(err);
    script_done(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    g_test_add_func("/cli/commands/node-list", test_node_list);
    g_test_add_func("/cli/commands/vm-list", test_vm_list);
    g_test_add_func("/cli/commands/json", test_json_is_passed_on);
    g_test_add_func("/cli/commands/odd", test_odd_answers);
    g_test_add_func("/cli/commands/exit-codes", test_exit_codes);
    g_test_add_func("/cli/commands/migrate", test_migrate);
    g_test_add_func("/cli/commands/check", test_check);
    g_test_add_func("/cli/commands/check-of-nothing", test_check_of_nothing);
    g_test_add_func("/cli/commands/refused-plan", test_refused_plan);
    g_test_add_func("/cli/commands/token-create", test_token_create);
    g_test_add_func("/cli/commands/jobs", test_jobs);
    g_test_add_func("/cli/commands/cancel", test_cancel);
    g_test_add_func("/cli/commands/ids", test_ids_are_escaped);
    g_test_add_func("/cli/commands/without", test_without_command);
    g_test_add_func("/cli/commands/full-disk", test_full_disk);
    return g_test_run();
}
