/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a move: the object for scripts always has the same keys, and each end its exit code.
 */
#include "cli/report.h"

#include <stdlib.h>
#include <string.h>

#include "script.h"

/* clang-format off */
static const char *const keys[] = {
    "vm",           "source",     "target",     "method",     "outcome", "total_ms", "pause_ms",
    "allowed_pause_ms", "memory_bytes", "qemu_bytes", "wire_bytes", "disk_bytes", "disk_wire_bytes",
    "seed_bytes", "from_disk_bytes", "recycled_bytes", "rounds",  "ladder", "stays",
    "predicted", "seen_before", "copy_ms", "fixed_ms", "link_bps", "error"};
/* clang-format on */

#define DONE                                                                                                           \
    "{'vm':'web1','source':'h1','target':'h2','state':'done','ended':true,'error':null,"                               \
    "'report':{'vm':'web1','source':'h1','target':'h2','method':'pre-copy','outcome':'done',"                          \
    "'total_ms':12345,'pause_ms':71,'memory_bytes':1073741824,'qemu_bytes':738197504,"                                 \
    "'wire_bytes':739246080,'disk_bytes':0,'rounds':4,"                                                                \
    "'ladder':[{'at_ms':7900,'rung':'pause','why':'too much to send'}],'error':null}}"

static void test_keys(void)
{
    static const char *const jobs[] = {DONE, "{}", "[]", "{'report':7}", "{'report':{'rounds':'many'},'ended':true}"};

    for (gsize i = 0; i <= G_N_ELEMENTS(jobs); i++) {
        json_object *job = i < G_N_ELEMENTS(jobs) ? script_json(jobs[i]) : NULL;
        json_object *object = drv_report_json(job, "web1", "h2", job ? NULL : "refused", NULL);

        g_assert_cmpint(json_object_object_length(object), ==, G_N_ELEMENTS(keys));
        for (gsize k = 0; k < G_N_ELEMENTS(keys); k++)
            g_assert_true(json_object_object_get_ex(object, keys[k], NULL));
        g_assert_cmpstr(drv_json_string(object, "vm", NULL), ==, "web1");
        g_assert_cmpstr(drv_json_string(object, "target", NULL), ==, "h2");
        json_object_put(object);
        json_object_put(job);
    }
}

static void test_values(void)
{
    json_object *job = script_json(DONE);
    json_object *object = drv_report_json(job, NULL, NULL, NULL, NULL);

    g_assert_cmpint(drv_json_int(object, "total_ms", -1), ==, 12345);
    g_assert_cmpint(drv_json_int(object, "rounds", -1), ==, 4);
    g_assert_cmpstr(drv_json_string(object, "outcome", NULL), ==, "done");
    g_assert_null(drv_json_string(object, "error", NULL));
    json_object_put(object);
    json_object_put(job);
}

static void test_codes(void)
{
    static const struct {
        const char *job, *outcome;
        drv_exit code;
    } ends[] = {
        {DONE, "done", DRV_EXIT_DONE},
        {"{'state':'done','ended':true,'error_code':'cancelled'}", "done", DRV_EXIT_DONE},
        {"{'state':'rolled-back','ended':true,'error_code':'cancelled'}", "cancelled", DRV_EXIT_CANCELLED},
        {"{'state':'rolled-back','ended':true,'error_code':'unreachable'}", "rolled-back", DRV_EXIT_FAILED},
        {"{'state':'rolled-back','ended':true,'report':{'outcome':'cancelled'}}", "cancelled", DRV_EXIT_CANCELLED},
        {"{'state':'failed','ended':true,'error_code':'refused'}", "failed", DRV_EXIT_REFUSED},
        {"{'state':'failed','ended':true,'error_code':'conflict'}", "failed", DRV_EXIT_REFUSED},
        {"{'state':'failed','ended':true,'error_code':'unreachable'}", "failed", DRV_EXIT_UNREACHABLE},
        {"{'state':'failed','ended':true,'error_code':'denied'}", "failed", DRV_EXIT_FAILED},
        {"{'state':'failed','ended':true,'error_code':'failed'}", "failed", DRV_EXIT_FAILED},
        {"{'state':'needs-attention','ended':true,'error_code':'failed'}", "needs-attention", DRV_EXIT_ATTENTION},
        {"{'ended':true}", "failed", DRV_EXIT_FAILED},
        {"{'ended':true,'state':'a state of a newer droverd'}", "a state of a newer droverd", DRV_EXIT_FAILED},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(ends); i++) {
        json_object *job = script_json(ends[i].job);

        g_test_message("%s", ends[i].job);
        g_assert_cmpstr(drv_report_outcome(job), ==, ends[i].outcome);
        g_assert_cmpint(drv_report_exit(job), ==, ends[i].code);
        json_object_put(job);
    }
}

static void test_print(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    json_object *job = script_json(DONE);

    drv_report_print(out, job);
    fclose(out);
    g_assert_cmpstr(text, ==,
                    "web1 moved from h1 to h2 in 12.3 s; it stood still for 71 ms.\n"
                    "  memory       1.0 GiB\n"
                    "  QEMU wrote   704 MiB in 4 rounds\n"
                    "  on the wire  705 MiB\n"
                    "  method       pre-copy\n"
                    "  ladder       at 7.9 s pause: too much to send\n");
    free(text);
    json_object_put(job);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/report/keys", test_keys);
    g_test_add_func("/cli/report/values", test_values);
    g_test_add_func("/cli/report/codes", test_codes);
    g_test_add_func("/cli/report/print", test_print);
    return g_test_run();
}
