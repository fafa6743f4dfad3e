/* SPDX-License-Identifier: Apache-2.0 */
/* Goals: what they may be, how metadata have them, and which of them wins. JSON has ' for ". */
#include <string.h>

#include "hyper/gerror.h"
#include "plan/goals.h"

static json_object *parse(const char *text)
{
    g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
    json_object *object = json_tokener_parse(json);

    g_assert_nonnull(object);
    return object;
}

static void test_limits(void)
{
    static const struct {
        const char *goals, *says; /* NULL: good */
        gboolean of_vm;
    } rows[] = {
        {"{}", NULL, FALSE},
        {"{'max_pause_ms':1,'max_time_ms':0,'bandwidth_bps':0,'post_copy':'never'}", NULL, FALSE},
        {"{'max_pause_ms':2000000,'post_copy':'if-needed','policy':'gold'}", NULL, TRUE},
        {"{'max_pause_ms':null,'policy':null}", NULL, TRUE},
        {"{'max_pause_ms':0}", "max_pause_ms is 0; it must be from 1 to 2000000", FALSE},
        {"{'max_pause_ms':2000001}", "from 1 to 2000000", FALSE},
        {"{'max_pause_ms':'200'}", "whole number", FALSE},
        {"{'max_pause_ms':1.5}", "whole number", FALSE},
        {"{'max_time_ms':-1}", "max_time_ms must not be negative", FALSE},
        {"{'bandwidth_bps':-1}", "bandwidth_bps must not be negative", FALSE},
        {"{'post_copy':'maybe'}", "post_copy is 'maybe'; it must be 'never' or 'if-needed'", FALSE},
        {"{'post_copy':true}", "'never' or 'if-needed'", FALSE},
        {"{'policy':'gold'}", "no member 'policy'", FALSE},
        {"{'max_pause':5}", "no member 'max_pause'; they have max_pause_ms", TRUE},
        {"{'policy':5}", "name of a policy", TRUE},
        {"{'policy':''}", "cannot be a policy's name", TRUE},
        {"{'policy':'../x'}", "cannot be a policy's name", TRUE},
        {"{'policy':'.x'}", "begins with a letter", TRUE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_object) goals = parse(rows[i].goals);
        g_autoptr(GError) error = NULL;
        gboolean good = drv_goals_check_kept(goals, rows[i].of_vm, &error);

        g_test_message("%s: %s", rows[i].goals, error ? error->message : "good");
        g_assert_cmpint(good, ==, !rows[i].says);
        if (rows[i].says) {
            g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
            g_assert_nonnull(strstr(error->message, rows[i].says));
        }
    }
}

static void test_names(void)
{
    g_autofree char *longest = g_strnfill(64, 'a');
    g_autofree char *too_long = g_strnfill(65, 'a');

    g_assert_true(drv_goals_check_name("gold-2.x_Y", NULL));
    g_assert_true(drv_goals_check_name(longest, NULL));
    g_assert_false(drv_goals_check_name(too_long, NULL));
    g_assert_false(drv_goals_check_name("", NULL));
    g_assert_false(drv_goals_check_name("a b", NULL));
}

static void test_from_attributes(void)
{
    static const struct {
        const char *attributes, *goals, *says;
    } rows[] = {
        {"{}", "{}", NULL},
        {"{'max_pause_ms':'200','max_time_ms':'300000','bandwidth_bps':'62500000','post_copy':'if-needed',"
         "'policy':'gold','later':'x'}",
         "{'max_pause_ms':200,'max_time_ms':300000,'bandwidth_bps':62500000,'post_copy':'if-needed',"
         "'policy':'gold'}",
         NULL},
        {"{'max_pause_ms':'soon'}", NULL, "max_pause_ms is 'soon'"},
        {"{'max_pause_ms':''}", NULL, "max_pause_ms is ''"},
        {"{'max_time_ms':'5m'}", NULL, "max_time_ms is '5m'"},
        {"{'bandwidth_bps':'99999999999999999999'}", NULL, "bandwidth_bps is '999"},
        {"{'max_pause_ms':'0'}", NULL, "max_pause_ms is 0"},
        {"{'post_copy':'often'}", NULL, "post_copy is 'often'"},
        {"{'policy':'a b'}", NULL, "'a b' cannot be"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_object) attributes = parse(rows[i].attributes);
        g_autoptr(json_object) wanted = rows[i].goals ? parse(rows[i].goals) : NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) goals = drv_goals_from_attributes(attributes, "web1", &error);

        g_test_message("%s", rows[i].attributes);
        if (wanted) {
            g_assert_no_error(error);
            g_assert_true(json_object_equal(goals, wanted));
            continue;
        }
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, rows[i].says));
        g_assert_nonnull(strstr(error->message, "VM web1"));
        g_assert_nonnull(strstr(error->message, "drover vm goals web1 --clear"));
    }
}

static void test_to_attributes(void)
{
    g_autoptr(GHashTable) before = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) after = NULL;
    g_autoptr(json_object) goals = parse("{'max_pause_ms':200,'policy':'gold','post_copy':null}");
    g_autoptr(json_object) nothing = parse("{}");

    g_hash_table_insert(before, (gpointer) "later", (gpointer) "x");
    g_hash_table_insert(before, (gpointer) "bandwidth_bps", (gpointer) "5");
    g_hash_table_insert(before, (gpointer) "policy", (gpointer) "silver");
    after = drv_goals_to_attributes(before, goals);
    g_assert_cmpuint(g_hash_table_size(after), ==, 3);
    g_assert_cmpstr(g_hash_table_lookup(after, "later"), ==, "x");
    g_assert_cmpstr(g_hash_table_lookup(after, "max_pause_ms"), ==, "200");
    g_assert_cmpstr(g_hash_table_lookup(after, "policy"), ==, "gold");
    g_assert_null(drv_goals_to_attributes(NULL, nothing));
}

/* Each layer alone, then all of them, taken away one by one from the top. */
static void test_precedence(void)
{
    static const char *const names[] = {"max_pause_ms", "max_time_ms", "bandwidth_bps"};
    drv_goals_layer layers[] = {{NULL, "option"}, {NULL, "vm"}, {NULL, "policy:gold"}, {NULL, "policy:default"}};
    const guint count = G_N_ELEMENTS(layers);

    for (guint i = 0; i < count; i++) {
        g_autofree char *text = g_strdup_printf(
            "{'max_pause_ms':%u,'max_time_ms':%u,'bandwidth_bps':%u,'post_copy':'if-needed'}", i + 1, i + 1, i + 1);

        layers[i].goals = parse(text);
    }
    for (guint top = 0; top <= count; top++) {
        g_autoptr(json_object) step = json_object_new_object();
        g_autofree char *lacking = NULL;
        json_object *from;

        drv_goals_resolve(layers + top, count - top, step);
        lacking = drv_goals_lacking(layers + top, count - top);
        from = drv_json_object(step, "goals_from");
        for (gsize k = 0; k < G_N_ELEMENTS(names); k++) {
            gint64 built_in = k == 0 ? 300 : 0;

            g_assert_cmpint(drv_json_int(step, names[k], -1), ==, top < count ? top + 1 : built_in);
            g_assert_cmpstr(drv_json_string(from, names[k], NULL), ==, top < count ? layers[top].from : "built-in");
        }
        g_assert_cmpstr(drv_json_string(step, "post_copy", NULL), ==, top < count ? "if-needed" : "never");
        g_assert_cmpstr(drv_json_string(from, "post_copy", NULL), ==, top < count ? layers[top].from : "built-in");
        g_assert_cmpstr(lacking, ==, top < count ? NULL : "--max-pause, --max-time, --bandwidth, --post-copy");
    }
    for (guint i = 0; i < count; i++)
        json_object_put(layers[i].goals);
}

/* Goal by goal, with zero and null, of which only the first is something said. */
static void test_mixed(void)
{
    g_autoptr(json_object) option = parse("{'max_time_ms':0,'post_copy':null}");
    g_autoptr(json_object) own = parse("{'max_time_ms':300000,'post_copy':'if-needed','policy':'gold'}");
    g_autoptr(json_object) policy = parse("{'bandwidth_bps':62500000,'name':'gold'}");
    const drv_goals_layer layers[] = {{option, "option"}, {own, "vm"}, {policy, "policy:gold"}, {NULL, NULL}};
    g_autoptr(json_object) step = json_object_new_object();
    g_autofree char *text = NULL;
    g_autofree char *lacking = drv_goals_lacking(layers, 2);

    drv_goals_resolve(layers, G_N_ELEMENTS(layers), step);
    text = drv_goals_text(step);
    g_assert_cmpstr(text, ==,
                    "pause at most 300 ms (built-in), any time (option), at most 500 Mbit/s (policy:gold), "
                    "post-copy if-needed (vm)");
    g_assert_cmpstr(lacking, ==, "--max-pause, --bandwidth");
    g_assert_null(drv_json_string(step, "policy", NULL));
}

/* What contradicts itself is refused, and both rules are named. */
static void test_rules(void)
{
    static const struct {
        const char *goals, *says[2]; /* NULL: good */
        gboolean of_vm;
    } rows[] = {
        {"{'priority':-1000,'depends_on':['db 1'],'apart':['a/b'],'node_labels':{'rack':'7'}}", {NULL}, FALSE},
        {"{'apart':['web'],'together':['cache']}", {NULL}, TRUE},
        {"{'apart':[],'together':['cache']}", {NULL}, FALSE},
        {"{'apart':['web'],'together':['cache']}", {"'apart web'", "'together cache'"}, FALSE},
        {"{'apart':['x','web'],'together':['web']}", {"'apart web'", "'together web'"}, TRUE},
        {"{'priority':1001}", {"priority is 1001", "from -1000 to 1000"}, TRUE},
        {"{'priority':'high'}", {"priority is high", "whole number"}, TRUE},
        {"{'depends_on':'db'}", {"depends_on must be a list", ""}, TRUE},
        {"{'depends_on':['a,b']}", {"'a,b'", "give its UUID"}, TRUE},
        {"{'apart':['']}", {"apart has ''", "group's name"}, TRUE},
        {"{'together':[5]}", {"together has '5'", "group's name"}, TRUE},
        {"{'node_labels':['rack=7']}", {"node_labels must be an object", ""}, TRUE},
        {"{'node_labels':{'rack':7}}", {"'rack=7'", "cannot be a label"}, TRUE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_object) goals = parse(rows[i].goals);
        g_autoptr(GError) error = NULL;
        gboolean good = drv_goals_check_kept(goals, rows[i].of_vm, &error);

        g_test_message("%s: %s", rows[i].goals, error ? error->message : "good");
        g_assert_cmpint(good, ==, !rows[i].says[0]);
        for (gsize k = 0; !good && k < G_N_ELEMENTS(rows[i].says); k++)
            g_assert_nonnull(strstr(error->message, rows[i].says[k]));
    }
}

static void test_rules_as_attributes(void)
{
    static const char *const texts[] = {"priority", "7",        "depends_on", "db 1,x",      "apart",
                                        "web",      "together", "",           "node_labels", "rack=7,ssd=yes"};
    g_autoptr(json_object) attributes = json_object_new_object();
    g_autoptr(json_object) goals = NULL;
    g_autoptr(GHashTable) table = NULL;
    g_autoptr(GError) error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i += 2)
        drv_json_set_string(attributes, texts[i], texts[i + 1]);
    goals = drv_goals_from_attributes(attributes, "web1", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(json_object_to_json_string_ext(goals, JSON_C_TO_STRING_PLAIN), ==,
                    "{\"priority\":7,\"depends_on\":[\"db 1\",\"x\"],\"apart\":[\"web\"],\"together\":[],"
                    "\"node_labels\":{\"rack\":\"7\",\"ssd\":\"yes\"}}");
    table = drv_goals_to_attributes(NULL, goals);
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i += 2)
        g_assert_cmpstr(g_hash_table_lookup(table, texts[i]), ==, texts[i + 1]);

    drv_json_set_string(attributes, "node_labels", "rack=1,rack=2");
    g_assert_null(drv_goals_from_attributes(attributes, "web1", &error));
    g_assert_nonnull(strstr(error->message, "rack=1 and rack=2"));
    g_assert_nonnull(strstr(error->message, "drover vm goals web1"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/goals/limits", test_limits);
    g_test_add_func("/goals/names", test_names);
    g_test_add_func("/goals/from-attributes", test_from_attributes);
    g_test_add_func("/goals/to-attributes", test_to_attributes);
    g_test_add_func("/goals/precedence", test_precedence);
    g_test_add_func("/goals/mixed", test_mixed);
    g_test_add_func("/goals/rules", test_rules);
    g_test_add_func("/goals/rules-as-attributes", test_rules_as_attributes);
    return g_test_run();
}
