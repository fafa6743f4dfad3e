/* SPDX-License-Identifier: Apache-2.0 */
/* Which node may have another one do what: the table, and that a node that does not lead is refused. */
#include <string.h>

#include "model/ask.h"
#include "model/json.h"
#include "serve/peer-routes.h"
#include "serve/serve.h"

/* m: any member, l: the one that leads, i: that one, and a node about itself */
static const char *const golden[] = {
    "GET node m",
    "GET vms m",
    "GET vms/* m",
    "POST vms/*/facts m",
    "PUT vms/*/goals l",
    "DELETE vms/*/goals l",
    "PUT vms/*/owner l",
    "POST vms/*/prediction m",
    "PUT vms/*/learnt m",
    "GET links m",
    "POST links l",
    "POST probes m",
    "DELETE probes/* m",
    "GET content m",
    "PUT content l",
    "POST content l",
    "GET policies m",
    "PUT policies/* l",
    "DELETE policies/* l",
    "POST facts m",
    "GET plans m",
    "GET plans/* m",
    "POST plans/*/apply m",
    "GET clock m",
    "GET jobs m",
    "POST jobs l",
    "GET step-jobs/* m",
    "GET node-settings m",
    "PUT node-settings/* i",
    "POST fleet-plans l",
    "GET fleet-plans m",
    "GET fleet-plans/* m",
    "POST fleet-plans/*/apply l",
    "GET operations m",
    "GET operations/* m",
    "POST operations/*/pause l",
    "POST operations/*/resume l",
    "POST operations/*/cancel l",
    "GET jobs/* m",
    "POST jobs/*/cancel l",
    "POST jobs/*/reconcile l",
    "POST sessions m",
    "POST sessions/*/look m",
    "POST sessions/*/export m",
    "POST sessions/*/unexport m",
    "POST sessions/*/define m",
    "POST sessions/*/whole m",
    "POST sessions/*/finish m",
    "DELETE sessions/* m",
};

static void test_table(void)
{
    const char *method;
    drv_peer_who who;
    char *pattern;
    guint i;

    for (i = 0; (pattern = drv_serve_peer_at(i, &method, &who)); i++) {
        g_autofree char *line = g_strdup_printf("%s %s %c", method, pattern, "mli"[who]);

        g_free(pattern);
        g_assert_cmpuint(i, <, G_N_ELEMENTS(golden));
        g_assert_cmpstr(line, ==, golden[i]);
    }
    g_assert_cmpuint(i, ==, G_N_ELEMENTS(golden));
}

static GPtrArray *three(void *data)
{
    static const char *const names[] = {"h1", "h2", "h3"};
    GPtrArray *members = g_ptr_array_new_with_free_func((GDestroyNotify)drv_member_free);

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        drv_member *one = g_new0(drv_member, 1);

        one->name = g_strdup(names[i]);
        one->self = i == 1;
        one->founder = i == 0;
        g_ptr_array_add(members, one);
    }
    return members;
}

/* h3 asks h2; h1 leads. Refused before anything is looked at, so an executor of nothing is enough. */
static void test_another_node(void)
{
    const drv_peers peers = {.members = three};
    drv_context ctx = {.node = (char *)(gsize) "h2", .peers = &peers};
    const char *method;
    drv_peer_who who;
    char *pattern;

    for (guint i = 0; (pattern = drv_serve_peer_at(i, &method, &who)); i++) {
        g_autoptr(GString) path = g_string_new(pattern);
        g_autoptr(json_object) body = json_object_new_object();
        g_autoptr(GError) error = NULL;

        g_free(pattern);
        g_string_replace(path, "*", "h2", 0);
        if (who == DRV_PEER_MEMBER)
            continue;
        g_assert_null(drv_serve_peer(&ctx, "h3", method, path->str, body, &error));
        if (!g_error_matches(error, DRV_ERROR, DRV_ERROR_DENIED) || !strstr(error->message, "node h3 may not"))
            g_error("%s %s: %s", method, path->str, error->message);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peer/table", test_table);
    g_test_add_func("/peer/another-node", test_another_node);
    return g_test_run();
}
