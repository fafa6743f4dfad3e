/* SPDX-License-Identifier: Apache-2.0 */
/* Many watch the jobs of all nodes: the nodes are asked as if it were one, and not at all when nobody does. */
#include <string.h>

#include "api/collector.h"
#include "model/json.h"
#include "serve/view.h"

#define WATCHERS 40
#define CHANGES 3

static GMutex lock;
static GCond cond;
static guint asked;
static gboolean fails;

/* Each time it is asked the job has changed; another one never does. */
json_object *drv_serve_jobs(drv_context *run, GError **error)
{
    json_object *answer = NULL;
    g_autofree char *text = NULL;

    g_mutex_lock(&lock);
    asked++;
    g_cond_broadcast(&cond);
    text = g_strdup_printf("{\"jobs\":[{\"id\":\"h1-1\",\"revision\":%u},{\"id\":\"h1-2\",\"revision\":7}]}", asked);
    if (fails)
        g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "nobody answers");
    else
        answer = json_tokener_parse(text);
    g_mutex_unlock(&lock);
    return answer;
}

static gpointer watch(gpointer data)
{
    drv_collector *collector = data;
    g_autoptr(GString) text = g_string_new(NULL);
    guint64 seen = 0;

    drv_collector_join(collector);
    for (guint i = 0; i < CHANGES; i++) {
        g_autoptr(GError) error = NULL;

        g_string_truncate(text, 0);
        g_assert_true(drv_collector_wait(collector, &seen, G_MAXINT64, text, &error));
        g_assert_no_error(error);
        g_assert_nonnull(strstr(text->str, "event: job\ndata: {"));
        g_assert_nonnull(strstr(text->str, "h1-1"));
        /* What does not change is told once. */
        g_assert_true((strstr(text->str, "h1-2") != NULL) == (i == 0));
    }
    drv_collector_leave(collector);
    return NULL;
}

static void test_many(void)
{
    drv_collector *collector = drv_collector_new(NULL);
    GThread *threads[WATCHERS];

    asked = 0;
    for (guint i = 0; i < WATCHERS; i++)
        threads[i] = g_thread_new("watch", watch, collector);
    for (guint i = 0; i < WATCHERS; i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(asked, >=, CHANGES);
    g_assert_cmpuint(asked, <, WATCHERS); /* one for each would be 120 */
    drv_collector_free(collector);
}

/* When nobody watches nobody asks; whoever comes then is shown how it is now. */
static void test_nobody(void)
{
    drv_collector *collector = drv_collector_new(NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    guint64 seen = 0;

    asked = 0;
    drv_collector_free(collector);
    g_assert_cmpuint(asked, ==, 0);
    collector = drv_collector_new(NULL);
    for (guint i = 1; i <= 2; i++) {
        drv_collector_join(collector);
        seen = 0;
        g_string_truncate(text, 0);
        g_assert_true(drv_collector_wait(collector, &seen, G_MAXINT64, text, NULL));
        g_assert_nonnull(strstr(text->str, "h1-1"));
        drv_collector_leave(collector);
    }
    drv_collector_free(collector);
}

static void test_failure(void)
{
    drv_collector *collector = drv_collector_new(NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    guint64 seen = 0;

    fails = TRUE;
    drv_collector_join(collector);
    g_assert_false(drv_collector_wait(collector, &seen, G_MAXINT64, text, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE);
    drv_collector_leave(collector);
    drv_collector_free(collector);
    fails = FALSE;
}

static gpointer wait_for_ever(gpointer data)
{
    g_autoptr(GString) text = g_string_new(NULL);
    guint64 seen = G_MAXUINT64;

    drv_collector_wait(data, &seen, G_MAXINT64, text, NULL);
    return NULL;
}

/* Whoever waits comes back when he has to look whether he still may, and when it ends. */
static void test_stop(void)
{
    drv_collector *collector = drv_collector_new(NULL);
    GThread *thread = g_thread_new("wait", wait_for_ever, collector);

    drv_collector_stop(collector);
    g_thread_join(thread);
    drv_collector_free(collector);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/collector/many", test_many);
    g_test_add_func("/collector/nobody", test_nobody);
    g_test_add_func("/collector/failure", test_failure);
    g_test_add_func("/collector/stop", test_stop);
    return g_test_run();
}
