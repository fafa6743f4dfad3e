/* SPDX-License-Identifier: Apache-2.0 */
/* What a request waits for: said by its own thread, read by others, forgotten when it is over. */
#include <glib.h>

#include "model/working.h"

#define ID "11111111-2222-3333-4444-555555555555"

static gpointer say_elsewhere(gpointer data)
{
    drv_working_say("nobody asked this thread");
    drv_working_end();
    return drv_working_of(data, ID);
}

static void test_working(void)
{
    drv_working *working = drv_working_new(), *other = drv_working_new();
    g_autofree char *text = drv_working_of(working, ID), *elsewhere = NULL;

    g_assert_null(text);
    drv_working_say("there is no request yet");
    drv_working_begin(working, ID);
    text = drv_working_of(working, ID);
    g_assert_nonnull(text);
    drv_working_say("%s looks at what %s needs", "h1", "web1");
    elsewhere = g_thread_join(g_thread_new("elsewhere", say_elsewhere, working));
    g_assert_cmpstr(elsewhere, ==, "h1 looks at what web1 needs");
    g_assert_null(drv_working_of(other, ID));
    drv_working_end();
    g_assert_null(drv_working_of(working, ID));
    drv_working_free(working);
    drv_working_free(other);
}

static void test_ids_of_strangers(void)
{
    drv_working *working = drv_working_new();

    drv_working_begin(working, NULL);
    drv_working_begin(working, "../../etc");
    g_assert_null(drv_working_of(working, "../../etc"));
    drv_working_end();
    /* The second of that name gets nothing, and takes nothing from the first. */
    drv_working_begin(working, ID);
    drv_working_begin(working, ID);
    drv_working_end();
    g_free(drv_working_of(working, ID));
    drv_working_free(working);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run/working/said", test_working);
    g_test_add_func("/run/working/ids", test_ids_of_strangers);
    return g_test_run();
}
