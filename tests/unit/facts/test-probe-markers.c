/* SPDX-License-Identifier: Apache-2.0 */
/* Markers beside images: one a directory, gone afterwards, and what a killed droverd has left as well. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hyper/probe.h"
#include "facts/probe-markers.h"

typedef struct {
    char *dir;
    char *images[2];
    char *store_path;
} fixture;

static void set_up(fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp("drover-markers-XXXXXX", NULL);
    f->store_path = g_build_filename(f->dir, "drover.db", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(f->images); i++) {
        g_autofree char *pool = g_strdup_printf("%s/pool-%u", f->dir, i);

        g_assert_cmpint(g_mkdir(pool, 0755), ==, 0);
        f->images[i] = g_build_filename(pool, "vda.qcow2", NULL);
    }
}

static void tear_down(fixture *f, gconstpointer data)
{
    g_autofree char *command = g_strdup_printf("rm -r %s", f->dir);

    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
    g_free(f->store_path);
    g_free(f->images[0]);
    g_free(f->images[1]);
    g_free(f->dir);
}

static drv_store *open_store(fixture *f)
{
    g_autoptr(GError) error = NULL;
    drv_store *store = drv_store_open(f->store_path, &error);

    g_assert_no_error(error);
    return store;
}

static guint files_beside(const char *image)
{
    g_autofree char *pool = g_path_get_dirname(image);
    g_autoptr(GDir) dir = g_dir_open(pool, 0, NULL);
    guint count = 0;

    while (g_dir_read_name(dir))
        count++;
    return count;
}

static guint recorded(drv_store *store)
{
    g_autoptr(GPtrArray) left = drv_markers_left(store);

    g_assert_nonnull(left);
    return left->len;
}

static void test_made_and_removed(fixture *f, gconstpointer data)
{
    g_autoptr(drv_store) store = open_store(f);
    g_autoptr(drv_markers) markers = drv_markers_new(store);
    const char *first = drv_markers_at(markers, f->images[0]);

    g_assert_true(drv_probe_sees(first, drv_markers_token(markers)));
    g_assert_true(drv_markers_at(markers, f->images[0]) == first);
    g_assert_nonnull(drv_markers_at(markers, f->images[1]));
    g_assert_null(drv_markers_at(markers, "/nowhere/vda.qcow2"));
    g_assert_cmpuint(recorded(store), ==, 1);
    g_clear_pointer(&markers, drv_markers_free);
    g_assert_cmpuint(files_beside(f->images[0]) + files_beside(f->images[1]), ==, 0);
    g_assert_cmpuint(recorded(store), ==, 0);
}

/* A child is a droverd that is killed while it asks another node. */
static void test_killed(fixture *f, gconstpointer data)
{
    g_autofree char *others = NULL;
    pid_t child = fork();
    int how;

    if (child == 0) {
        drv_markers *markers = drv_markers_new(open_store(f));

        for (guint i = 0; i < G_N_ELEMENTS(f->images); i++)
            if (!drv_markers_at(markers, f->images[i]))
                _exit(1);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &how, 0), ==, child);
    g_assert_cmpint(how, ==, 0);
    g_assert_cmpuint(files_beside(f->images[0]), ==, 1);
    /* On storage that is shared, one that another host's droverd has just written. */
    others = drv_probe_mark(f->images[0], "of-another-host", NULL);
    g_assert_nonnull(others);
    {
        g_autoptr(drv_store) store = open_store(f);
        g_autoptr(GPtrArray) left = drv_markers_left(store);

        drv_markers_clear(store, left);
        g_assert_cmpuint(files_beside(f->images[0]), ==, 1);
        g_assert_true(drv_probe_sees(others, "of-another-host"));
        g_assert_cmpuint(files_beside(f->images[1]), ==, 0);
        g_assert_cmpuint(recorded(store), ==, 0);
    }
}

/* The store says where: only what is named like the marker of that record is removed. */
static void test_lies(fixture *f, gconstpointer data)
{
    g_autoptr(drv_store) store = open_store(f);
    g_autofree char *json = g_strdup_printf("{\"files\":[\"%s\",\"relative\",null,7]}", f->images[0]);
    g_autoptr(GPtrArray) left = NULL;

    g_assert_true(g_file_set_contents(f->images[0], "disk", 4, NULL));
    g_assert_true(drv_store_put(store, "marker", "token", json, DRV_REVISION_ANY, NULL, NULL));
    left = drv_markers_left(store);
    drv_markers_clear(store, left);
    g_assert_cmpuint(files_beside(f->images[0]), ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/run/markers/" name, fixture, NULL, set_up, func, tear_down)
    ADD("made-and-removed", test_made_and_removed);
    ADD("killed", test_killed);
    ADD("lies", test_lies);
    return g_test_run();
}
