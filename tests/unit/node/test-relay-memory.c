/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for relays: shares of a budget, and reservations that last as long as who holds them. */
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/budget.h"
#include "model/json.h"
#include "node/relay-memory.h"

#define GIB (G_GUINT64_CONSTANT(1) << 30)
#define WISH_MIB 4096

/* However many sessions are opened, and whatever they would like: never more than the budget, and never none at all. */
static void shares_fit(void)
{
    for (guint64 budget = GIB / 16; budget <= 128 * GIB; budget = budget / 2 * 3) {
        guint64 reserved = 0;
        guint sessions = 0, cache;

        while ((cache = drv_budget_cache_mib(budget, WISH_MIB, sessions, reserved))) {
            g_assert_cmpuint(cache, >=, DRV_BUDGET_CACHE_LEAST_MIB);
            g_assert_cmpuint(cache, <=, WISH_MIB);
            reserved += drv_budget_session_mib(cache);
            sessions++;
        }
        g_assert_cmpuint(sessions, ==, drv_budget_sessions(budget));
        if (sessions > 1)
            g_assert_cmpuint(reserved, <=, budget >> 20);
    }
}

/* A host with 24 GiB: the first migration has nearly what it would use, and the last one still something. */
static void the_first_has_most(void)
{
    guint64 budget = drv_budget_bytes(24 * GIB);
    guint first = drv_budget_cache_mib(budget, 1536, 0, 0);

    g_assert_cmpuint(first, >, 1024);
    g_assert_cmpuint(drv_budget_cache_mib(budget, 64, 0, 0), ==, 64);
    g_assert_cmpuint(drv_budget_cache_mib(budget, 0, 0, 0), ==, DRV_BUDGET_CACHE_LEAST_MIB);
    g_assert_cmpuint(drv_budget_cache_mib(budget, 1536, 1, drv_budget_session_mib(first)), <, first / 2);
    /* Of a version that reserved otherwise: what is left counts. */
    g_assert_cmpuint(drv_budget_cache_mib(budget, 1536, 1, budget >> 20), ==, 0);
}

typedef struct {
    char *dir, *session[3];
    drv_context ctx;
} fixture;

static void set_up(fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp("drover-reserve-XXXXXX", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(f->session); i++)
        f->session[i] = g_strdup_printf("%s/%032u", f->dir, i);
    /* Two sessions' worth. */
    f->ctx = (drv_context){.node = (char *)(gsize) "h1",
                           .sessions_dir = f->dir,
                           .relay_memory_bytes = (guint64)(2 * 4 * drv_budget_session_mib(DRV_BUDGET_CACHE_LEAST_MIB))
                                                 << 20};
}

static void tear_down(fixture *f, gconstpointer data)
{
    g_autofree char *command = g_strdup_printf("rm -r %s", f->dir);

    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(f->session); i++)
        g_free(f->session[i]);
    g_free(f->dir);
}

static gint64 left(fixture *f)
{
    g_autoptr(json_object) node = json_object_new_object();

    drv_reserve_tell(&f->ctx, node);
    g_assert_cmpint(drv_json_int(node, "relay_memory_bytes", 0), ==, (gint64)f->ctx.relay_memory_bytes);
    return drv_json_int(node, "relay_memory_left_bytes", -1);
}

static void refused_when_there_is_no_room(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    unsigned cache, second;
    int fd[2];

    fd[0] = drv_reserve(&f->ctx, f->session[0], WISH_MIB, FALSE, &cache, NULL);
    fd[1] = drv_reserve(&f->ctx, f->session[1], WISH_MIB, FALSE, &second, NULL);
    g_assert_cmpint(fd[0], >, 0);
    g_assert_cmpint(fd[1], >, 0);
    g_assert_cmpuint(second, <, cache);
    g_assert_cmpint(left(f), ==,
                    (gint64)f->ctx.relay_memory_bytes -
                        ((gint64)(drv_budget_session_mib(cache) + drv_budget_session_mib(second)) << 20));
    g_assert_cmpint(drv_reserve(&f->ctx, f->session[2], WISH_MIB, FALSE, &second, &error), ==, -1);
    g_assert_error(error, DRV_ERROR, DRV_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, "h1 has no memory for another migration: 2 have reserved"));
    g_assert_nonnull(strstr(error->message, "--relay-memory"));
    close(fd[0]);
    fd[0] = drv_reserve(&f->ctx, f->session[2], WISH_MIB, FALSE, &cache, NULL);
    g_assert_cmpint(fd[0], >, 0);
    close(fd[0]);
    close(fd[1]);
    g_assert_cmpint(left(f), ==, (gint64)f->ctx.relay_memory_bytes);
}

/* A guest that waits for its recovery is not refused. */
static void a_recovery_gets_one(fixture *f, gconstpointer data)
{
    unsigned cache;
    int fd[3];

    for (guint i = 0; i < G_N_ELEMENTS(fd); i++)
        g_assert_cmpint(fd[i] = drv_reserve(&f->ctx, f->session[i], WISH_MIB, i == 2, &cache, NULL), >, 0);
    g_assert_cmpuint(cache, ==, DRV_BUDGET_CACHE_LEAST_MIB);
    for (guint i = 0; i < G_N_ELEMENTS(fd); i++)
        close(fd[i]);
}

/* A relay holds it whatever becomes of droverd, and nothing is left when it is gone. */
static void it_lasts_as_long_as_the_relay(fixture *f, gconstpointer data)
{
    g_autofree char *file = g_strconcat(f->session[0], DRV_RESERVE_SUFFIX, NULL);
    gint64 all = left(f);
    unsigned cache;
    int fd = drv_reserve(&f->ctx, f->session[0], 64, FALSE, &cache, NULL);
    pid_t relay = fork();

    if (relay == 0)
        for (;;)
            pause();
    close(fd);
    g_assert_cmpint(left(f), ==, all - ((gint64)drv_budget_session_mib(64) << 20));
    g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
    g_assert_cmpint(kill(relay, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(relay, NULL, 0), ==, relay);
    g_assert_cmpint(left(f), ==, all);
    g_assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reserve/shares fit", shares_fit);
    g_test_add_func("/reserve/the first has most", the_first_has_most);
#define CASE(name, func) g_test_add("/reserve/" name, fixture, NULL, set_up, func, tear_down)
    CASE("refused when there is no room", refused_when_there_is_no_room);
    CASE("a recovery gets one", a_recovery_gets_one);
    CASE("it lasts as long as the relay", it_lasts_as_long_as_the_relay);
    return g_test_run();
}
