/* SPDX-License-Identifier: Apache-2.0 */
/* Who plans waits for a node whose libvirt looks at its QEMU for the first time; and droverd looks at its start. */
#include <glib/gstdio.h>
#include <string.h>

#include "facts/first-look.h"
#include "fleet/snapshot.h"
#include "hyper/connection.h"
#include "model/ask.h"
#include "serve/serve.h"

typedef struct {
    char *dir;
    char *path;
    drv_hyper *hyper;
    drv_store *store;
    drv_peers peers;
    drv_context *ctx;
    GMutex lock; /* guards what follows */
    GCond changed;
    gint looks;      /* how often h2 does not say yet what it has */
    gboolean alive;  /* its droverd answers at all */
    gint asked;      /* whether it still looks */
    gboolean looked; /* this node has */
} fixture;

static GPtrArray *members(void *data)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)drv_member_free);

    for (guint i = 1; i <= 2; i++) {
        drv_member *member = g_new0(drv_member, 1);

        member->name = g_strdup_printf("h%u", i);
        member->address = g_strdup("127.0.0.1");
        member->port = 1;
        member->self = member->founder = i == 1;
        g_ptr_array_add(list, member);
    }
    return list;
}

static json_object *call(void *data, const char *node, const char *method, const char *path, json_object *body,
                         guint timeout_ms, GError **error)
{
    fixture *f = data;
    gboolean knows, alive;

    g_mutex_lock(&f->lock);
    alive = f->alive;
    if (g_str_equal(path, "/v1/peer/node"))
        f->looks--;
    knows = f->looks < 0;
    if (g_str_equal(path, "/v1/peer/clock"))
        f->asked++;
    g_mutex_unlock(&f->lock);
    if (alive && g_str_equal(path, "/v1/peer/clock"))
        return json_tokener_parse("{\"clock_ms\":1,\"looking\":true}");
    if (alive && knows)
        return json_tokener_parse("{\"name\":\"h2\",\"vms\":[],\"policies\":[]}");
    g_set_error(error, DRV_ERROR, DRV_ERROR_UNREACHABLE, "h2 does not answer in time");
    return NULL;
}

static void on_looked(gpointer data)
{
    fixture *f = data;

    g_mutex_lock(&f->lock);
    f->looked = TRUE;
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static void set_up(fixture *f, gconstpointer data)
{
    drv_serve_config config = {.node = "h1", .relay_program = "/nowhere", .looked = on_looked, .looked_data = f};
    g_autoptr(GError) error = NULL;

    f->dir = g_dir_make_tmp("drover-first-look-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "drover.db", NULL);
    f->store = drv_store_open(f->path, &error);
    g_assert_no_error(error);
    f->hyper = drv_hyper_new("test:///default");
    f->peers = (drv_peers){.members = members, .call = call, .data = f};
    f->alive = TRUE;
    g_mutex_init(&f->lock);
    g_cond_init(&f->changed);
    config.hyper = f->hyper;
    config.store = f->store;
    config.peers = &f->peers;
    config.sessions_dir = f->dir;
    f->ctx = drv_serve_new(&config, &error);
    g_assert_no_error(error);
}

static void tear_down(fixture *f, gconstpointer data)
{
    g_autofree char *command = g_strdup_printf("rm -r %s", f->dir);

    drv_serve_free(f->ctx);
    drv_hyper_free(f->hyper);
    drv_store_close(f->store);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
    g_mutex_clear(&f->lock);
    g_cond_clear(&f->changed);
    g_free(f->path);
    g_free(f->dir);
}

static gboolean is_up(const drv_fleet *fleet)
{
    const drv_fleet_node *node = drv_fleet_find_node(fleet, "h2");

    g_assert_nonnull(node);
    return node->up;
}

static void test_waited_for(fixture *f, gconstpointer data)
{
    g_autoptr(drv_fleet) plain = NULL;
    g_autoptr(drv_fleet) fleet = NULL;

    f->looks = 3;
    plain = drv_snapshot_fleet(f->ctx, NULL);
    g_assert_false(is_up(plain));
    fleet = drv_snapshot_settled_fleet(f->ctx, NULL);
    g_assert_true(is_up(fleet));
    g_assert_cmpint(f->asked, ==, 2);
}

/* One that is lost is not waited for. */
static void test_lost(fixture *f, gconstpointer data)
{
    g_autoptr(drv_fleet) fleet = NULL;

    f->alive = FALSE;
    fleet = drv_snapshot_settled_fleet(f->ctx, NULL);
    g_assert_false(is_up(fleet));
    g_assert_cmpint(f->asked, ==, 1);
}

static void test_own(fixture *f, gconstpointer data)
{
    drv_first_look_start(f->ctx);
    g_mutex_lock(&f->lock);
    while (!f->looked)
        g_cond_wait(&f->changed, &f->lock);
    g_mutex_unlock(&f->lock);
    g_assert_false(drv_first_look_goes_on(f->ctx));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/run/first-look/" name, fixture, NULL, set_up, func, tear_down)
    ADD("waited-for", test_waited_for);
    ADD("lost", test_lost);
    ADD("own", test_own);
    return g_test_run();
}
