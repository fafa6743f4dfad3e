/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of several steps and operations on the command line: tables, questions, exit codes, stale plans. */
#include <string.h>

#include "script.h"
#include "hyper/gerror.h"

#define PLAN                                                                                                           \
    "{'id':'plan-3','state':'ready','steps':[{'index':0,'vm':'web1','source':'h1','target':'h2',"                      \
    "'memory_bytes':1073741824,'after':[],'predicted':{'time_ms':{'p50':2000,'p90':3000},"                             \
    "'pause_ms':{'p50':40,'p90':90},'wire_bytes':{'p50':1048576,'p90':2097152}}},"                                     \
    "{'index':1,'vm':'db1','source':'h1','target':'h3','memory_bytes':1073741824,'after':[0]}],"                       \
    "'side_by_side':2,'refused':[{'vm':'big','message':'no node has room','remedy':'add a node'}]}"
#define OPERATION(state, error)                                                                                        \
    "{'id':'op-1','kind':'evacuate','node':'h1','state':'" state "','ended':true,'revision':9," error                  \
    "'progress':{'percent':100},'steps':[{'index':0,'vm':'web1','source':'h1','target':'h2',"                          \
    "'state':'done','job':'h1-7','started_ms':1000,'ended_ms':3000}],'refused':[]}"

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_test_message("“%s” is not in: %s", part, text);
    g_assert_nonnull(strstr(text, part));
}

static json_object *fixed(script *s, guint nth, const char *method, const char *path, json_object *body, GError **error)
{
    return script_json(s->data);
}

static void test_plan(void)
{
    outcome o = script_run(fixed, (gpointer)PLAN, "plan evacuate h1 h2 --per-node 3");

    g_assert_cmpint(o.code, ==, 0);
    has(o.out, "web1");
    has(o.out, "2.0 s");
    has(o.out, "#0");
    has(o.out, "at most 2 side by side");
    has(o.out, "big cannot go: no node has room; to do: add a node");
    has(o.err, "drover apply plan-3");
    outcome_clear(&o);
    o = script_run(fixed, (gpointer) "{'id':'plan-4','steps':[],'refused':[{'vm':'a','message':'b'}]}",
                   "plan evacuate h1");
    g_assert_cmpint(o.code, ==, 4);
    outcome_clear(&o);
}

/* Nobody is there to be asked, and nothing was agreed: nothing is begun. */
static json_object *only_plan(script *s, guint nth, const char *method, const char *path, json_object *body,
                              GError **error)
{
    g_assert_cmpstr(path, ==, "/v1/plans");
    return script_json(PLAN);
}

static void test_asks(void)
{
    static const char *const lines[] = {"evacuate h1", "node drain h1", "node drain h1 --json"};

    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        outcome o = script_run(only_plan, NULL, lines[i]);

        g_assert_cmpint(o.code, ==, 4);
        has(o.err, "--yes");
        outcome_clear(&o);
    }
}

/* The first plan is stale when it is applied; what it was replaced by is done. */
static json_object *stale(script *s, guint nth, const char *method, const char *path, json_object *body, GError **error)
{
    if (g_str_equal(path, "/v1/plans/plan-3/apply"))
        return script_fail(error, DRV_ERROR_CONFLICT, "plan plan-3 does not fit the fleet any more");
    if (g_str_equal(path, "/v1/plans/plan-3"))
        return script_json("{'id':'plan-3','state':'stale','replaced_by':'plan-4','steps':[]}");
    if (g_str_equal(path, "/v1/plans/plan-4"))
        return script_json("{'id':'plan-4','state':'ready','steps':[]}");
    if (g_str_equal(path, "/v1/plans/plan-4/apply"))
        return script_json("{'operation':'op-1','jobs':[]}");
    g_assert_true(g_str_has_prefix(path, "/v1/jobs/op-1"));
    return script_json(s->data);
}

static void test_stale(void)
{
    outcome o = script_run(stale, (gpointer)OPERATION("done", ""), "apply plan-3 --yes");

    g_assert_cmpint(o.code, ==, 0);
    has(o.err, "does not fit the fleet any more");
    has(o.out, "op-1: evacuate of h1, done");
    has(o.out, "h1-7");
    outcome_clear(&o);
}

static void test_ends(void)
{
    static const struct {
        const char *operation;
        int code;
    } ends[] = {{OPERATION("done", ""), 0},
                {OPERATION("partly", "'error':'one','error_code':'failed',"), 1},
                {OPERATION("failed", "'error':'none','error_code':'refused',"), 4},
                {OPERATION("cancelled", "'error':'some','error_code':'cancelled',"), 6}};

    for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
        outcome followed = script_run(fixed, (gpointer)ends[i].operation, "job op-1 --follow");
        outcome shown = script_run(fixed, (gpointer)ends[i].operation, "job op-1");

        g_assert_cmpint(followed.code, ==, ends[i].code);
        g_assert_cmpint(shown.code, ==, 0);
        has(shown.out, "web1");
        outcome_clear(&followed);
        outcome_clear(&shown);
    }
}

static void test_jobs(void)
{
    outcome o = script_run(fixed,
                           (gpointer) "{'jobs':[{'id':'op-1','kind':'evacuate','node':'h1','state':'partly',"
                                      "'ended':true,'created_ms':1}],'unreachable':[]}",
                           "jobs");

    g_assert_cmpint(o.code, ==, 0);
    has(o.out, "partly");
    has(o.out, "evacuate");
    outcome_clear(&o);
}

/* What answers are not as they should be: an error or nothing, never a crash. */
static void test_odd(void)
{
    /* clang-format off */
    static const char *const lines[] = {
        "plan evacuate h1",       "plan place web1",       "plan list",       "plan show plan-1",
        "evacuate h1 --yes --no-wait", "apply plan-1 --yes --no-wait", "job op-1", "node resume h1 --bring-back --no-wait",
        "node resume h1 --leave", "job pause op-1",        "jobs"};
    /* clang-format on */
    static const char *const answers[] = {
        "{}", "{'steps':7,'refused':7,'plans':7,'jobs':7,'came_from':7}",
        "{'steps':[null,1,{}],'refused':[null,'x',{}],'plans':[null,{}],'jobs':[null,{}],'came_from':[null]}",
        "{'id':'p','operation':5,'steps':[{'after':['x',null],'predicted':7,'index':-1}],'predicted':[]}"};

    for (gsize l = 0; l < G_N_ELEMENTS(lines); l++)
        for (gsize a = 0; a < G_N_ELEMENTS(answers); a++) {
            outcome o = script_run(fixed, (gpointer)answers[a], lines[l]);

            g_test_message("%s: %s -> %d", lines[l], answers[a], o.code);
            g_assert_cmpint(o.code, >=, 0);
            g_assert_cmpint(o.code, <=, 8);
            g_assert_null(strstr(o.out, "(null)"));
            g_assert_null(strstr(o.err, "(null)"));
            outcome_clear(&o);
        }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/operations/plan", test_plan);
    g_test_add_func("/cli/operations/asks", test_asks);
    g_test_add_func("/cli/operations/stale", test_stale);
    g_test_add_func("/cli/operations/ends", test_ends);
    g_test_add_func("/cli/operations/jobs", test_jobs);
    g_test_add_func("/cli/operations/odd", test_odd);
    return g_test_run();
}
