/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: kept at each change, woken waiters, cancelled only while that has an effect. */
#include "move/job.h"

#include <glib/gstdio.h>

typedef struct {
    char *dir;
    char *path;
    drv_store *store;
} fixture;

static void set_up(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    f->dir = g_dir_make_tmp("drover-job-XXXXXX", &error);
    g_assert_no_error(error);
    f->path = g_build_filename(f->dir, "drover.db", NULL);
    f->store = drv_store_open(f->path, &error);
    g_assert_no_error(error);
}

static void tear_down(fixture *f, gconstpointer data)
{
    g_autoptr(GDir) dir = NULL;
    const char *name;

    drv_store_close(f->store);
    dir = g_dir_open(f->dir, 0, NULL);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(f->dir, name, NULL);

        g_unlink(path);
    }
    g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->path);
}

static drv_job *new_job(fixture *f)
{
    g_autoptr(json_object) step =
        drv_json_parse("{\"vm\":\"web1\",\"uuid\":\"u\",\"source\":\"h1\",\"target\":\"h2\"}", "a step", NULL);
    g_autoptr(GError) error = NULL;
    drv_job *job = drv_job_new(f->store, "h1-1", "h1-p1", NULL, step, &error);

    g_assert_no_error(error);
    return job;
}

static drv_job *reload(fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_document) document = drv_store_get(f->store, "job", "h1-1", &error);
    drv_job *job;

    g_assert_no_error(error);
    job = drv_job_load(f->store, document->json, &error);
    g_assert_no_error(error);
    return job;
}

static void test_kept_at_each_change(fixture *f, gconstpointer data)
{
    g_autoptr(drv_job) job = new_job(f);
    g_autoptr(drv_job) again = NULL;
    const drv_session_id made = {"0123456789abcdef0123456789abcdef"};
    g_autoptr(json_object) view = NULL;
    json_object *states;
    drv_session_id session;
    g_autoptr(GError) error = NULL;

    g_assert_false(drv_job_session(job, &session));
    drv_job_enter(job, DRV_STATE_PREPARING);
    g_assert_true(drv_job_set_session(job, &made, &error));
    drv_job_enter(job, DRV_STATE_COPYING_MEMORY);
    again = reload(f);
    g_assert_true(drv_job_session(again, &session));
    g_assert_cmpint(drv_job_state(again), ==, DRV_STATE_COPYING_MEMORY);
    g_assert_cmpstr(session.text, ==, made.text);
    g_assert_cmpstr(drv_job_target(again), ==, "h2");
    view = drv_job_view(again);
    states = drv_json_array(view, "states");
    g_assert_cmpuint(drv_json_length(states), ==, 2);
    g_assert_cmpstr(drv_json_string(json_object_array_get_idx(states, 0), "state", ""), ==, "preparing");
    g_assert_cmpstr(drv_json_string(json_object_array_get_idx(states, 1), "state", ""), ==, "copying-memory");
    g_assert_cmpint(drv_json_int(json_object_array_get_idx(states, 1), "at_ms", 0), >=,
                    drv_json_int(json_object_array_get_idx(states, 0), "at_ms", G_MAXINT64));
}

static gpointer wait_for_change(gpointer data)
{
    return drv_job_wait(data, drv_json_int(drv_job_step(data), "after", 0), 30000);
}

static void test_wakes_waiters(fixture *f, gconstpointer data)
{
    g_autoptr(drv_job) job = new_job(f);
    g_autoptr(json_object) now = drv_job_view(job);
    g_autoptr(json_object) seen = NULL;
    GThread *thread;

    drv_json_set_int(drv_job_step(job), "after", drv_json_int(now, "revision", 0));
    thread = g_thread_new("waiter", wait_for_change, job);
    drv_job_enter(job, DRV_STATE_PREPARING);
    seen = g_thread_join(thread);
    g_assert_cmpstr(drv_json_string(seen, "state", ""), ==, "preparing");
    g_assert_cmpint(drv_json_int(seen, "revision", 0), >, drv_json_int(now, "revision", 0));
}

static void test_cancel_only_while_it_helps(fixture *f, gconstpointer data)
{
    g_autoptr(drv_job) job = new_job(f);
    g_autoptr(json_object) once = NULL;
    g_autoptr(json_object) twice = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(drv_job_cancel(job, &error));
    g_assert_true(drv_job_cancel_requested(job));
    once = drv_job_view(job);
    g_assert_false(drv_json_bool(once, "cancel_repeated"));
    /* Who asks again is told so. */
    g_assert_true(drv_job_cancel(job, &error));
    twice = drv_job_view(job);
    g_assert_true(drv_json_bool(twice, "cancel_repeated"));
    drv_job_enter(job, DRV_STATE_PREPARING);
    drv_job_enter(job, DRV_STATE_COPYING_MEMORY);
    drv_job_enter(job, DRV_STATE_FINISHING);
    g_assert_false(drv_job_cancel(job, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
    g_clear_error(&error);
    drv_job_end(job, DRV_STATE_DONE, DRV_ERROR_FAILED, NULL, json_object_new_object());
    g_assert_false(drv_job_cancel(job, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_CONFLICT);
}

static void test_end_is_kept(fixture *f, gconstpointer data)
{
    g_autoptr(drv_job) job = new_job(f);
    g_autoptr(drv_job) again = NULL;
    g_autoptr(json_object) view = NULL;

    drv_job_end(job, DRV_STATE_FAILED, DRV_ERROR_REFUSED, "no room", json_object_new_object());
    again = reload(f);
    view = drv_job_view(again);
    g_assert_true(drv_job_ended(again));
    g_assert_cmpstr(drv_json_string(view, "error", ""), ==, "no room");
    g_assert_cmpstr(drv_json_string(view, "error_code", ""), ==, "refused");
    g_assert_true(drv_json_int(view, "ended_ms", 0) > 0);
}

/* What needs attention has its facts in the store, is settled anew, and forgets them with that. */
static void test_attention(fixture *f, gconstpointer data)
{
    g_autoptr(drv_job) job = new_job(f);
    g_autoptr(drv_job) again = NULL;
    g_autoptr(json_object) needs = NULL, settling = NULL, settled = NULL;

    drv_job_enter(job, DRV_STATE_PREPARING);
    drv_job_enter(job, DRV_STATE_FINISHING);
    drv_job_set_attention(job, json_object_new_object());
    drv_job_set_fact(job, "handed_over", TRUE);
    drv_job_end(job, DRV_STATE_NEEDS_ATTENTION, DRV_ERROR_FAILED, "look", NULL);
    again = reload(f);
    needs = drv_job_view(again);
    g_assert_true(drv_json_bool(needs, "ended"));
    g_assert_nonnull(drv_json_object(needs, "attention"));
    g_assert_true(drv_job_fact(again, "handed_over"));
    g_assert_false(drv_job_fact(again, "confirmed"));

    drv_job_enter(again, DRV_STATE_FINISHING);
    settling = drv_job_view(again);
    g_assert_false(drv_json_bool(settling, "ended"));
    g_assert_true(drv_job_keep(again));
    drv_job_end(again, DRV_STATE_DONE, 0, NULL, NULL);
    settled = drv_job_view(again);
    g_assert_true(drv_json_bool(settled, "ended"));
    g_assert_null(drv_json_object(settled, "attention"));
    g_assert_null(drv_json_string(settled, "error", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add("/job/" name, fixture, NULL, set_up, func, tear_down)
    ADD("kept-at-each-change", test_kept_at_each_change);
    ADD("wakes-waiters", test_wakes_waiters);
    ADD("attention", test_attention);
    ADD("cancel", test_cancel_only_while_it_helps);
    ADD("end-is-kept", test_end_is_kept);
    return g_test_run();
}
