/* SPDX-License-Identifier: Apache-2.0 */
/* What passes by itself and does not count as a failure of a step: restarts, within a bound. */
#include "fleet/operation-passing.h"

static json_object *parse(const char *text)
{
    g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
    json_object *object = json_tokener_parse(json);

    g_assert_nonnull(object);
    return object;
}

static void test_jobs(void)
{
    static const struct {
        const char *job;
        gboolean passing;
    } rows[] = {
        {"{'state':'failed','error_code':'unreachable'}", TRUE},
        {"{'state':'failed','error_code':'failed','interrupted':true}", TRUE},
        {"{'state':'rolled-back','error_code':'failed','interrupted':true}", TRUE},
        {"{'state':'rolled-back','error_code':'unreachable','step':{'method':'offline'}}", TRUE},
        /* The link was lost amid a live copy: a target that does this twice is not tried for ever. */
        {"{'state':'rolled-back','error_code':'unreachable','step':{'method':'auto'}}", FALSE},
        {"{'state':'failed','error_code':'refused'}", FALSE},
        {"{'state':'failed'}", FALSE},
        {"{'state':'rolled-back','error_code':'failed'}", FALSE},
        {"{'state':'failed','interrupted':true,'cancel_requested':true}", FALSE},
        {"{'state':'done','interrupted':true}", FALSE},
        {"{'state':'needs-attention','error_code':'unreachable'}", FALSE},
        {"{}", FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_object) job = parse(rows[i].job);

        g_test_message("%s", rows[i].job);
        g_assert_cmpint(drv_passing_job(job), ==, rows[i].passing);
    }
}

static void test_bound(void)
{
    g_autoptr(json_object) first = parse("{}");
    g_autoptr(json_object) later = parse("{'passing_since_ms':1000}");

    g_assert_true(drv_passing_is_borne(first, G_MAXINT64));
    g_assert_true(drv_passing_is_borne(later, 1000 + DRV_PASSING_MOST_MS - 1));
    g_assert_false(drv_passing_is_borne(later, 1000 + DRV_PASSING_MOST_MS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run/passing/jobs", test_jobs);
    g_test_add_func("/run/passing/bound", test_bound);
    return g_test_run();
}
