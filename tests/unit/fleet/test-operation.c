/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: their states, which steps may begin, two leaders over one document, plans that do not fit any more. */
#include <glib/gstdio.h>

#include "model/fleet-json.h"
#include "fleet/stale.h"
#include "fleet/operation-pick.h"
#include "fleet/operation.h"

static json_object *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    json_object *object = drv_json_parse(text, "the test's JSON", &error);

    g_assert_no_error(error);
    return object;
}

/* ---- states ---- */

static void test_states(void)
{
    for (guint from = 0; from < DRV_OP_STATES; from++) {
        g_assert_cmpuint(drv_op_state_from_name(drv_op_state_get(from)->name), ==, from);
        g_assert_nonnull(drv_op_state_get(from)->invariant);
        g_assert_nonnull(drv_op_state_get(from)->recovery);
        g_assert_true(drv_op_state_get(from)->ended == !drv_op_state_get(from)->next);
    }
    for (guint from = 0; from < DRV_STEP_STATES; from++) {
        g_assert_cmpuint(drv_step_state_from_name(drv_step_state_get(from)->name), ==, from);
        g_assert_true(drv_step_state_get(from)->ended == !drv_step_state_get(from)->next);
    }
    g_assert_cmpuint(drv_op_state_from_name("no such"), ==, DRV_OP_STATES);
    g_assert_cmpuint(drv_step_state_from_name(NULL), ==, DRV_STEP_STATES);
    g_assert_true(drv_op_state_allows(DRV_OP_PAUSED, DRV_OP_RUNNING));
    g_assert_false(drv_op_state_allows(DRV_OP_DONE, DRV_OP_RUNNING));
    /* A step is not begun twice without having waited in between. */
    g_assert_false(drv_step_state_allows(DRV_STEP_RUNNING, DRV_STEP_RUNNING));
    g_assert_false(drv_step_state_allows(DRV_STEP_WAITING, DRV_STEP_DONE));
}

/* ---- picking ---- */

/* "v0 h1 h2 waiting after 1": a word for each, in a space-separated line a step. */
static json_object *operation_of(const char *state, const char *limits, const char *const *lines)
{
    json_object *doc = json_object_new_object();
    json_object *steps = json_object_new_array();

    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);
        json_object *step = json_object_new_object();
        json_object *after = json_object_new_array();

        drv_json_set_int(step, "index", i);
        drv_json_set_string(step, "vm", words[0]);
        drv_json_set_string(step, "source", words[1]);
        drv_json_set_string(step, "target", words[2]);
        drv_json_set_string(step, "state", words[3]);
        for (guint w = 4; words[w]; w++)
            json_object_array_add(after, json_object_new_int64(g_ascii_strtoll(words[w], NULL, 10)));
        drv_json_set(step, "after", after);
        json_object_array_add(steps, step);
    }
    drv_json_set_string(doc, "id", "op-1");
    drv_json_set_string(doc, "state", state);
    drv_json_set(doc, "limits", parse(limits));
    drv_json_set(doc, "steps", steps);
    return doc;
}

/* The indexes that were picked of each document, as "0:1 0:3". */
static char *picked(json_object *const *docs, gsize count)
{
    g_autoptr(GArray) all = drv_pick_steps(docs, count);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < all->len; i++) {
        const drv_picked *one = &g_array_index(all, drv_picked, i);

        g_string_append_printf(text, "%s%zu:%u", i ? " " : "", one->operation, one->index);
    }
    return g_strdup(text->str);
}

static void assert_picked(const char *state, const char *limits, const char *const *lines, const char *wanted)
{
    g_autoptr(json_object) doc = operation_of(state, limits, lines);
    g_autofree char *got = picked(&doc, 1);

    g_assert_cmpstr(got, ==, wanted);
}

static void test_pick_limits(void)
{
    static const char *const four[] = {"a h1 h2 waiting", "b h1 h3 waiting", "c h1 h2 waiting", "d h1 h3 waiting",
                                       NULL};
    static const char *const busy[] = {"a h1 h2 running", "b h4 h2 waiting", "c h4 h2 waiting", "d h4 h3 waiting",
                                       NULL};

    assert_picked("running", "{}", four, "0:0 0:1");
    assert_picked("running", "{\"per_node\": 3}", four, "0:0 0:1 0:2");
    assert_picked("running", "{\"per_node\": 9, \"per_link\": 1}", four, "0:0 0:1");
    assert_picked("paused", "{}", four, "");
    /* What runs counts at both ends; a later step may overtake one that has to wait. */
    assert_picked("running", "{}", busy, "0:1 0:3");
    assert_picked("running", "{\"per_node\": 1}", busy, "0:3");
    /* A host that bears less than others, as a source and as a target. */
    assert_picked("running", "{\"per_node\": 2, \"nodes\": {\"h1\": 1}}", four, "0:0");
    assert_picked("running", "{\"per_node\": 3, \"nodes\": {\"h2\": 1}}", four, "0:0 0:1 0:3");
}

static void test_pick_after(void)
{
    static const char *const chain[] = {"a h1 h2 done", "b h1 h2 waiting 0", "c h1 h2 waiting 0 1", "d h1 h2 waiting 2",
                                        NULL};
    static const char *const failed[] = {"a h1 h2 failed", "b h1 h2 waiting 0", "c h1 h2 waiting", NULL};
    g_autoptr(json_object) doc = operation_of("running", "{}", failed);
    g_autofree char *why = NULL;

    assert_picked("running", "{\"per_node\": 9}", chain, "0:1");
    assert_picked("running", "{}", failed, "0:2");
    g_assert_cmpint(drv_pick_doomed(doc, &why), ==, 1);
    g_assert_nonnull(strstr(why, "after a"));
    /* A VM that is not there any more is in nobody's way. */
    drv_json_set_string(drv_operation_step_of(doc, 0), "state", "skipped");
    drv_json_set_bool(drv_operation_step_of(doc, 0), "fine", TRUE);
    g_clear_pointer(&why, g_free);
    g_assert_cmpint(drv_pick_doomed(doc, &why), ==, -1);
}

static void test_pick_two_operations(void)
{
    static const char *const one[] = {"a h1 h2 running", NULL};
    static const char *const other[] = {"b h3 h2 waiting", "c h3 h2 waiting", NULL};
    json_object *docs[] = {operation_of("paused", "{}", one), operation_of("running", "{}", other)};
    g_autofree char *got = picked(docs, 2);

    g_assert_cmpstr(got, ==, "1:0");
    drv_json_set_bool(docs[1], "cancel_requested", TRUE);
    g_free(got);
    got = picked(docs, 2);
    g_assert_cmpstr(got, ==, "");
    json_object_put(docs[0]);
    json_object_put(docs[1]);
}

/* The budget is divided by as many as can share the link, which their hosts may make fewer. */
static void test_budget_of_few(void)
{
    static const char *const three[] = {"a h1 h2 waiting", "b h1 h2 waiting", "c h1 h2 waiting", NULL};
    static const struct {
        const char *limits;
        guint begin;
        guint64 each_bps;
    } cases[] = {
        {"{\"per_node\": 1, \"bandwidth_bps\": 120}", 1, 120},
        {"{\"per_node\": 2, \"bandwidth_bps\": 120}", 2, 60},
        {"{\"per_node\": 2, \"nodes\": {\"h2\": 1}, \"bandwidth_bps\": 120}", 1, 120},
        {"{\"per_node\": 9, \"per_link\": 2, \"bandwidth_bps\": 120}", 2, 60},
        {"{\"per_node\": 9, \"bandwidth_bps\": 120}", 3, 40},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(json_object) doc = operation_of("running", cases[i].limits, three);
        g_autoptr(GArray) all = drv_pick_steps(&doc, 1);

        g_assert_cmpuint(all->len, ==, cases[i].begin);
        for (guint j = 0; j < all->len; j++)
            g_assert_cmpuint(g_array_index(all, drv_picked, j).bandwidth_bps, ==, cases[i].each_bps);
    }
}

/* Whatever begins and ends when: what moves on a link have been given together is never over its budget. */
static void test_budget(void)
{
    /* clang-format off */
    static const char *const many[] = {"a h1 h2 waiting", "b h1 h2 waiting", "c h1 h2 waiting",
                                       "d h1 h3 waiting", "e h1 h2 waiting", "f h1 h3 waiting", NULL};
    /* clang-format on */
    const gint64 budget = 100;
    g_autoptr(json_object) doc =
        operation_of("running", "{\"per_node\": 9, \"per_link\": 2, \"bandwidth_bps\": 100}", many);
    g_autoptr(GRand) random = g_rand_new_with_seed(5);
    guint left = 6;

    while (left) {
        g_autoptr(GArray) all = drv_pick_steps(&doc, 1);
        gint64 given[2] = {0};
        guint running[6], count = 0;

        for (guint i = 0; i < all->len; i++) {
            const drv_picked *one = &g_array_index(all, drv_picked, i);
            json_object *step = drv_operation_step_of(doc, one->index);

            g_assert_cmpuint(one->bandwidth_bps, >, 0);
            drv_operation_step_enter(step, DRV_STEP_RUNNING, NULL);
            drv_json_set_int(step, "share_bps", (gint64)one->bandwidth_bps);
        }
        for (guint i = 0; i < 6; i++) {
            json_object *step = drv_operation_step_of(doc, i);

            if (drv_operation_step_state(step) != DRV_STEP_RUNNING)
                continue;
            running[count++] = i;
            given[g_str_equal(drv_json_string(step, "target", ""), "h3")] += drv_json_int(step, "share_bps", 0);
        }
        g_assert_cmpint(given[0], <=, budget);
        g_assert_cmpint(given[1], <=, budget);
        g_assert_cmpuint(count, >, 0);
        drv_operation_step_enter(drv_operation_step_of(doc, running[g_rand_int_range(random, 0, (gint32)count)]),
                                 DRV_STEP_DONE, NULL);
        left--;
    }
}

/* ---- the document ---- */

typedef struct {
    char *dir;
    drv_store *store;
} fixture;

static void set_up(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    f->dir = g_dir_make_tmp("drover-operation-XXXXXX", NULL);
    path = g_build_filename(f->dir, "drover.db", NULL);
    f->store = drv_store_open(path, &error);
    g_assert_no_error(error);
}

static void tear_down(fixture *f, gconstpointer data)
{
    static const char *const files[] = {"drover.db", "drover.db-wal", "drover.db-seen", "drover.db.lock"};

    drv_store_close(f->store);
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(f->dir, files[i], NULL);

        g_unlink(path);
    }
    g_rmdir(f->dir);
    g_free(f->dir);
}

static json_object *a_plan(void)
{
    return parse("{\"id\": \"plan-1\", \"goal\": {\"goal\": \"evacuate\", \"node\": \"h1\"}, \"refused\": [],"
                 "\"steps\": [{\"index\": 0, \"vm\": \"a\", \"uuid\": \"u0\", \"source\": \"h1\", \"target\": \"h2\","
                 "\"memory_bytes\": 1048576, \"after\": [], \"why\": \"best\"}]}");
}

static gboolean run_it(json_object *doc, gpointer data, GError **error)
{
    drv_operation_enter(doc, DRV_OP_RUNNING);
    return TRUE;
}

static gboolean begin_it(json_object *doc, gpointer data, GError **error)
{
    drv_operation_step_enter(drv_operation_step_of(doc, 0), DRV_STEP_RUNNING, NULL);
    return TRUE;
}

/* Two droverds that both believe that they lead: one of them begins the step, the other lets go. */
static void test_two_leaders(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) plan = a_plan();
    g_autoptr(drv_operation) first = drv_operation_new(f->store, "op-1", plan, &error);
    g_autoptr(drv_document) stored = NULL;
    g_autoptr(drv_operation) second = NULL;
    g_autoptr(json_object) view = NULL;

    g_assert_no_error(error);
    g_assert_true(drv_operation_change(first, TRUE, run_it, NULL, &error));
    stored = drv_store_get(f->store, DRV_OPERATIONS_BUCKET, "op-1", &error);
    second = drv_operation_load(f->store, stored, &error);
    g_assert_no_error(error);
    g_assert_true(drv_operation_change(second, TRUE, begin_it, NULL, &error));
    g_assert_false(drv_operation_change(first, TRUE, begin_it, NULL, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_assert_true(drv_operation_lost(first));
    g_assert_false(drv_operation_lost(second));
    view = drv_operation_view(first);
    g_assert_cmpstr(drv_json_string(drv_operation_step_of(view, 0), "state", ""), ==, "waiting");
    g_assert_cmpint(drv_json_int(drv_operation_step_of(view, 0), "attempt", -1), ==, 0);
}

static void test_taken_up(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) plan = a_plan();
    g_autoptr(drv_operation) operation = drv_operation_new(f->store, "op-1", plan, &error);
    g_autoptr(drv_document) stored = NULL;
    g_autoptr(drv_operation) again = NULL;
    g_autoptr(json_object) before = NULL;
    g_autoptr(json_object) after = NULL;

    g_assert_null(drv_operation_new(f->store, "op-1", plan, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_true(drv_operation_change(operation, TRUE, run_it, NULL, &error));
    g_assert_true(drv_operation_change(operation, TRUE, begin_it, NULL, &error));
    drv_operation_progress(operation, 0, 40);
    before = drv_operation_view(operation);
    g_assert_cmpint(drv_json_int(drv_json_object(before, "progress"), "percent", -1), ==, 40);
    stored = drv_store_get(f->store, DRV_OPERATIONS_BUCKET, "op-1", &error);
    again = drv_operation_load(f->store, stored, &error);
    g_assert_no_error(error);
    after = drv_operation_view(again);
    g_assert_cmpstr(drv_json_string(drv_operation_step_of(after, 0), "state", ""), ==, "running");
    g_assert_cmpint(drv_json_int(drv_operation_step_of(after, 0), "attempt", 0), ==, 1);
    g_assert_cmpstr(drv_json_string(drv_operation_step_of(after, 0), "reason", ""), ==, "best");
}

/* ---- stale ---- */

#define FLEET(vm_node, more_vms, h2)                                                                                   \
    "{\"nodes\": [{\"name\": \"h1\", \"state\": \"up\", \"memory_bytes\": 8589934592, \"memory_free_bytes\": "         \
    "8589934592}, {\"name\": \"h2\", \"memory_bytes\": 8589934592, \"memory_free_bytes\": 8589934592, " h2 "}, "       \
    "{\"name\": \"h3\", \"state\": \"up\", \"memory_bytes\": 8589934592, \"memory_free_bytes\": 8589934592}], "        \
    "\"vms\": [{\"name\": \"a\", \"uuid\": \"u0\", \"node\": \"" vm_node "\", \"state\": \"running\", "                \
    "\"memory_bytes\": 1048576}" more_vms "]}"

static void assert_stale(const char *fleet_text, const char *wanted)
{
    g_autoptr(json_object) plan = a_plan();
    g_autoptr(json_object) object = parse(fleet_text);
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_fleet) fleet = drv_fleet_from_json(object, &error);
    g_autoptr(GPtrArray) reasons = NULL;

    g_assert_no_error(error);
    reasons = drv_fleet_stale(fleet, plan);
    if (!wanted) {
        g_assert_cmpuint(reasons->len, ==, 0);
        return;
    }
    g_assert_cmpuint(reasons->len, ==, 1);
    g_assert_nonnull(strstr(reasons->pdata[0], wanted));
}

static void test_stale(void)
{
    assert_stale(FLEET("h1", "", "\"state\": \"up\""), NULL);
    assert_stale(FLEET("h3", "", "\"state\": \"up\""), "a is on h3 now");
    assert_stale(FLEET("h1", "", "\"state\": \"up\", \"maintenance\": \"draining\""), "h2 is in maintenance");
    assert_stale(FLEET("h1", "", "\"state\": \"lost\""), "h2 does not answer");
    assert_stale(FLEET("h1",
                       ", {\"name\": \"b\", \"uuid\": \"u1\", \"node\": \"h1\", \"state\": \"running\", "
                       "\"memory_bytes\": 1048576}",
                       "\"state\": \"up\""),
                 "b has appeared on h1");
    assert_stale(FLEET("h1",
                       ", {\"name\": \"c\", \"uuid\": \"u2\", \"node\": \"h2\", \"state\": \"running\", "
                       "\"memory_bytes\": 8589000000}",
                       "\"state\": \"up\""),
                 "h2 has room for");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/operation/states", test_states);
    g_test_add_func("/operation/pick/limits", test_pick_limits);
    g_test_add_func("/operation/pick/after", test_pick_after);
    g_test_add_func("/operation/pick/two-operations", test_pick_two_operations);
    g_test_add_func("/operation/pick/budget", test_budget);
    g_test_add_func("/operation/pick/budget-of-few", test_budget_of_few);
    g_test_add("/operation/two-leaders", fixture, NULL, set_up, test_two_leaders, tear_down);
    g_test_add("/operation/taken-up", fixture, NULL, set_up, test_taken_up, tear_down);
    g_test_add_func("/operation/stale", test_stale);
    return g_test_run();
}
