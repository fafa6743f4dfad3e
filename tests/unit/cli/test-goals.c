/* SPDX-License-Identifier: Apache-2.0 */
/* drover vm goals and drover policy: what they ask droverd for, and what they show. */
#include <string.h>

#include "hyper/gerror.h"
#include "script.h"

#define GOALS                                                                                                          \
    "{'vm':'web1','node':'h1','own':{'max_pause_ms':200,'policy':'gold'},'max_pause_ms':200,"                          \
    "'max_time_ms':0,'bandwidth_bps':62500000,'post_copy':'never','goals_from':{"                                      \
    "'max_pause_ms':'vm','max_time_ms':'built-in','bandwidth_bps':'policy:gold',"                                      \
    "'post_copy':'built-in'},'status':'%s','message':'said','remedy':'do it'}"

typedef struct {
    const char *status; /* of the VM's goals */
    int get_fails;      /* with this code; -1: it does not */
    GString *bodies;    /* of PUT, a line each */
} answers;

static json_object *answer(script *s, guint nth, const char *method, const char *path, json_object *body,
                           GError **error)
{
    answers *a = s->data;
    g_autofree char *goals = g_strdup_printf(GOALS, a->status);

    if (g_str_equal(method, "GET") && a->get_fails >= 0)
        return script_fail(error, a->get_fails, "because of the test");
    g_string_append_printf(
        a->bodies, "%s %s %s\n", method, path,
        body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : "-");
    return script_json(strstr(path, "/goals") ? goals : "{'name':'gold','max_pause_ms':150,'max_time_ms':0}");
}

static const struct {
    const char *line;
    int get_fails;
    int code;
    const char *asked; /* methods, paths and bodies with ' for " */
} rows[] = {
    {"vm goals web1", -1, 0, "GET /v1/vms/web1/goals -\n"},
    {"vm goals a/b", -1, 0, "GET /v1/vms/a%2Fb/goals -\n"},
    /* What it has stays. */
    {"vm goals web1 --bandwidth none", -1, 0,
     "GET /v1/vms/web1/goals -\nPUT /v1/vms/web1/goals "
     "{'max_pause_ms':200,'policy':'gold','bandwidth_bps':0}\n"},
    {"vm goals web1 --max-pause 1s --policy tin", -1, 0,
     "GET /v1/vms/web1/goals -\nPUT /v1/vms/web1/goals {'max_pause_ms':1000,'policy':'tin'}\n"},
    {"vm goals web1 --clear", -1, 0, "DELETE /v1/vms/web1/goals -\n"},
    {"vm goals web1 --clear --max-time 5m --post-copy if-needed", DRV_ERROR_INVALID, 0,
     "PUT /v1/vms/web1/goals {'max_time_ms':300000,'post_copy':'if-needed'}\n"},
    {"vm goals web1 --max-time 5m", DRV_ERROR_NOT_FOUND, 3, ""},
    {"vm goals web1 --max-pause none", -1, 2, ""},
    {"vm goals", -1, 2, ""},
    {"policy list", -1, 0, "GET /v1/policies -\n"},
    {"policy show gold", -1, 0, "GET /v1/policies/gold -\n"},
    {"policy show gold", DRV_ERROR_UNREACHABLE, 5, ""},
    {"policy set gold --max-time none --bandwidth 500mbit", -1, 0,
     "GET /v1/policies/gold -\n"
     "PUT /v1/policies/gold {'max_pause_ms':150,'max_time_ms':0,'bandwidth_bps':62500000}\n"},
    {"policy set new --max-pause 50ms", DRV_ERROR_NOT_FOUND, 0, "PUT /v1/policies/new {'max_pause_ms':50}\n"},
    {"policy set gold --max-pause 50ms", DRV_ERROR_UNREACHABLE, 5, ""},
    {"policy set gold --clear --post-copy never", DRV_ERROR_UNREACHABLE, 0,
     "PUT /v1/policies/gold {'post_copy':'never'}\n"},
    {"policy set gold", DRV_ERROR_NOT_FOUND, 2, ""},
    {"policy set gold --clear --priority -5 --depends-on db1,db2 --apart web --node-label rack=7,ssd=yes", -1, 0,
     "PUT /v1/policies/gold {'priority':-5,'depends_on':['db1','db2'],'apart':['web'],"
     "'node_labels':{'rack':'7','ssd':'yes'}}\n"},
    {"policy set gold --clear --together none", -1, 0, "PUT /v1/policies/gold {'together':[]}\n"},
    {"policy set gold --priority high", DRV_ERROR_NOT_FOUND, 2, ""},
    {"policy set gold --node-label rack=1,rack=2", DRV_ERROR_NOT_FOUND, 2, ""},
    {"vm goals web1 --node-label rack=1,rack=2", -1, 2, ""},
    {"policy set gold --policy tin", -1, 2, ""},
    {"policy delete gold", -1, 0, "DELETE /v1/policies/gold -\n"},
    {"policy delete gold --force", -1, 0, "DELETE /v1/policies/gold?force=1 -\n"},
};

static void test_asked(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) bodies = g_string_new(NULL);
        answers a = {"ok", rows[i].get_fails, bodies};
        outcome o = script_run(answer, &a, rows[i].line);
        g_autofree char *asked = g_strdelimit(g_strdup(bodies->str), "\"", '\'');

        g_test_message("drover %s: %s", rows[i].line, o.err);
        g_assert_cmpint(o.code, ==, rows[i].code);
        g_assert_cmpstr(asked, ==, rows[i].asked);
        outcome_clear(&o);
    }
}

static void test_shown(void)
{
    g_autoptr(GString) bodies = g_string_new(NULL);
    answers a = {"ok", -1, bodies};
    outcome o = script_run(answer, &a, "vm goals web1");

    g_assert_cmpstr(o.out, ==,
                    "GOAL       VM'S OWN  HOLDS     FROM\n"
                    "max-pause  200 ms    200 ms    vm\n"
                    "max-time   -         none      built-in\n"
                    "bandwidth  -         60 MiB/s  policy:gold\n"
                    "post-copy  -         never     built-in\n"
                    "policy     gold      -         -\n");
    g_assert_cmpstr(o.err, ==, "");
    outcome_clear(&o);
    a.status = "problem";
    o = script_run(answer, &a, "vm goals web1");
    g_assert_cmpstr(o.err, ==, "drover: problem: said: do it\n");
    outcome_clear(&o);
    o = script_run(answer, &a, "policy show gold");
    g_assert_cmpstr(o.out, ==,
                    "NAME   PAUSE  TIME  BANDWIDTH  POST-COPY  RULES\n"
                    "gold  150 ms  none          -  -          -\n");
    outcome_clear(&o);
}

static void test_json(void)
{
    static const char *const lines[] = {"vm goals web1 --json", "policy show gold --json",
                                        "policy set gold --clear --json", "policy list --json",
                                        "policy delete gold --json"};

    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GString) bodies = g_string_new(NULL);
        answers a = {"problem", -1, bodies};
        outcome o = script_run(answer, &a, lines[i]);
        g_autoptr(json_object) object = json_tokener_parse(o.out);

        g_test_message("%s", lines[i]);
        g_assert_cmpint(drv_json_int(object, "max_pause_ms", 0), ==, i == 0 ? 200 : 150);
        g_assert_cmpstr(o.err, ==, "");
        outcome_clear(&o);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/goals/asked", test_asked);
    g_test_add_func("/cli/goals/shown", test_shown);
    g_test_add_func("/cli/goals/json", test_json);
    return g_test_run();
}
