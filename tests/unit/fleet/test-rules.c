/* SPDX-License-Identifier: Apache-2.0 */
/* Which rules hold for a VM: its own, its policy's, those of the policy "default". JSON has ' for ". */
#include <string.h>

#include "fleet/rules.h"
#include "model/json.h"

#define POLICIES                                                                                                       \
    "{'policies':[{'name':'gold','priority':5,'apart':['db']},{'name':'default','priority':1,'together':['all']}]}"

static json_object *parse(const char *text)
{
    g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
    json_object *object = json_tokener_parse(json);

    g_assert_nonnull(object);
    return object;
}

static void test_which_holds(void)
{
    static const struct {
        const char *attributes, *policies, *says;
        int priority;
        const char *apart, *together, *priority_from;
    } rows[] = {
        {"{}", POLICIES, NULL, 1, NULL, "all", "policy:default"},
        {"{'policy':'gold'}", POLICIES, NULL, 5, "db", "all", "policy:gold"},
        {"{'policy':'gold','priority':'-3','together':''}", POLICIES, NULL, -3, "db", NULL, "vm"},
        {"{'apart':'web'}", "{'policies':[]}", NULL, 0, "web", NULL, NULL},
        {"{'policy':'tin'}", POLICIES, "policy tin, which does not exist", 0, NULL, NULL, NULL},
        {"{'priority':'high'}", POLICIES, "priority is 'high'", 0, NULL, NULL, NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_object) attributes = parse(rows[i].attributes);
        g_autoptr(json_object) policies = parse(rows[i].policies);
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) holds = drv_rules_resolve(attributes, "web1", policies, &error);
        const char *lists[] = {"apart", "together"}, *wanted[] = {rows[i].apart, rows[i].together};

        g_test_message("%s", rows[i].attributes);
        if (rows[i].says) {
            g_assert_null(holds);
            g_assert_nonnull(strstr(error->message, rows[i].says));
            continue;
        }
        g_assert_no_error(error);
        g_assert_cmpint(drv_json_int(holds, "priority", 0), ==, rows[i].priority);
        g_assert_cmpstr(drv_json_string(drv_json_object(holds, "goals_from"), "priority", NULL), ==,
                        rows[i].priority_from);
        for (gsize k = 0; k < 2; k++) {
            json_object *list = drv_json_array(holds, lists[k]);

            g_assert_cmpuint(drv_json_length(list), ==, wanted[k] ? 1 : 0);
            if (wanted[k])
                g_assert_cmpstr(json_object_get_string(json_object_array_get_idx(list, 0)), ==, wanted[k]);
        }
        /* The goals of moves come along, for predictions. */
        g_assert_cmpint(drv_json_int(holds, "max_pause_ms", 0), ==, 300);
    }
}

/* Not known is not the same as not there: its own hold, and it is not refused. */
static void test_policies_not_known(void)
{
    g_autoptr(json_object) attributes = parse("{'policy':'gold','priority':'2'}");
    g_autoptr(json_object) holds = drv_rules_resolve(attributes, "web1", NULL, NULL);

    g_assert_cmpint(drv_json_int(holds, "priority", 0), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rules/which-holds", test_which_holds);
    g_test_add_func("/rules/policies-not-known", test_policies_not_known);
    return g_test_run();
}
