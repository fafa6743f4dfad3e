/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who stands in for a droverd that hangs: what the word is that both share, and what the stand-in does of
 * what a relay tells it. The VM is that of libvirt's test driver, the relay a thread of this test.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "hyper/connection.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "move/target/stand-in.h"
#include "relay/control/admin-wire.h"

#define TEST_UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"

typedef enum { NOTHING, TOLD, RESUMED } word;

typedef struct {
    drv_hyper *hyper;
    drv_lease *keep; /* the driver forgets everything with its last connection */
    char *dir;
    char *path; /* of the decision */
    char *record;
    drv_decision *decision;

    int listener;
    word says[3];           /* one event after the other; NOTHING: no more */
    gboolean dies;          /* the relay, after them */
    drv_decision_word then; /* what droverd decides before them */
    guint after_ms;
    guint heard; /* DRV_ADMIN_RESUMED; atomic */
} fixture;

static void set_up(fixture *f, gconstpointer data)
{
    g_autofree char *socket_path = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomain) domain = NULL;

    f->hyper = drv_hyper_new("test:///default");
    f->keep = drv_hyper_lease(f->hyper, &error);
    g_assert_no_error(error);
    domain = virDomainLookupByUUIDString(f->keep->connection, TEST_UUID);
    g_assert_cmpint(virDomainSuspend(domain), ==, 0);
    f->dir = g_dir_make_tmp("drv-stand-in-XXXXXX", NULL);
    f->path = drv_decision_path(f->dir);
    f->record = g_build_filename(f->dir, "resumed", NULL);
    f->decision = drv_decision_make(f->path, &error);
    g_assert_no_error(error);
    socket_path = g_build_filename(f->dir, DRV_SOCKET_ADMIN, NULL);
    f->after_ms = 20;
    f->listener = drv_fd_unix_listen(socket_path, SOCK_SEQPACKET, NULL);
    g_assert_cmpint(f->listener, >=, 0);
}

static void tear_down(fixture *f, gconstpointer data)
{
    g_autofree char *socket_path = g_build_filename(f->dir, DRV_SOCKET_ADMIN, NULL);
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(f->keep->connection, TEST_UUID);

    virDomainResume(domain); /* the next test's is this one, unless all connections are closed by then */
    drv_lease_free(f->keep);
    drv_hyper_free(f->hyper);
    drv_decision_free(f->decision);
    g_unlink(f->path);
    close(f->listener);
    g_unlink(socket_path);
    g_unlink(f->record);
    g_free(f->record);
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_free(f->path);
    g_free(f->dir);
}

static drv_domain_state state(fixture *f)
{
    g_autoptr(drv_domain) domain = drv_hyper_domain(f->hyper, TEST_UUID, NULL);

    return domain->state;
}

static void say(int client, word what)
{
    uint8_t bytes[DRV_ADMIN_MAX];
    struct drv_relay_status status = {.state = DRV_RELAY_UP, .finish_ok = what >= TOLD, .resumed = what == RESUMED};
    size_t size = drv_admin_encode_status(bytes, DRV_ADMIN_EVENT, &status);

    /* It may have heard enough already. */
    (void)!send(client, bytes, size, MSG_NOSIGNAL);
}

/* One connection stands by; a later one may tell that the guest runs. */
static gpointer relay(gpointer data)
{
    fixture *f = data;
    int client = accept(f->listener, NULL, NULL);
    uint8_t kind = 0, done = DRV_ADMIN_DONE;

    g_assert_cmpint(recv(client, &kind, 1, 0), ==, 1);
    g_assert_cmpuint(kind, ==, DRV_ADMIN_STAND_BY);
    say(client, NOTHING);
    if (f->then)
        g_assert_true(drv_decision_take(f->decision, f->then));
    for (guint i = 0; i < G_N_ELEMENTS(f->says) && f->says[i]; i++)
        say(client, f->says[i]);
    if (!f->dies) /* until it has hung up */
        g_assert_cmpint(recv(client, &kind, 1, 0), ==, 0);
    close(client);
    for (;;) {
        client = accept(f->listener, NULL, NULL);
        if (client < 0)
            return NULL;
        if (recv(client, &kind, 1, 0) == 1 && kind == DRV_ADMIN_RESUMED) {
            g_atomic_int_inc(&f->heard);
            send(client, &done, 1, MSG_NOSIGNAL);
        }
        close(client);
    }
}

static gboolean run(fixture *f)
{
    const drv_stand_in it = {
        .dir = f->dir, .session = "s", .uuid = TEST_UUID, .vm = "test", .record = f->record, .after_ms = f->after_ms};
    GThread *thread = g_thread_new("relay", relay, f);
    gboolean resumed = drv_stand_in_run(&it, f->hyper, f->decision);

    shutdown(f->listener, SHUT_RDWR);
    g_thread_join(thread);
    return resumed;
}

static void test_droverd_hangs(fixture *f, gconstpointer data)
{
    f->says[0] = TOLD;
    g_assert_true(run(f));
    g_assert_cmpint(state(f), ==, DRV_DOMAIN_RUNNING);
    g_assert_cmpint(drv_decision_get(f->decision), ==, DRV_DECISION_RESUMED);
    g_assert_true(g_file_test(f->record, G_FILE_TEST_EXISTS));
    g_assert_cmpuint(f->heard, ==, 1);
    /* It cannot be taken back. */
    g_assert_false(drv_decision_take(f->decision, DRV_DECISION_ABANDON));
}

static void test_droverd_works(fixture *f, gconstpointer data)
{
    f->says[0] = TOLD;
    f->says[1] = RESUMED;
    f->after_ms = 600000; /* it says so in time */
    g_assert_false(run(f));
    g_assert_cmpint(state(f), ==, DRV_DOMAIN_PAUSED); /* as the test left it: it was not touched */
    g_assert_cmpint(drv_decision_get(f->decision), ==, DRV_DECISION_NONE);
}

static void test_no_proof(fixture *f, gconstpointer data)
{
    f->dies = TRUE;
    g_assert_false(run(f));
    g_assert_cmpint(state(f), ==, DRV_DOMAIN_PAUSED);
    g_assert_cmpint(drv_decision_get(f->decision), ==, DRV_DECISION_NONE);
}

/* What the relay has said is true also when it has gone. */
static void test_relay_dies_with_proof(fixture *f, gconstpointer data)
{
    f->says[0] = TOLD;
    f->dies = TRUE;
    g_assert_true(run(f));
    g_assert_cmpint(state(f), ==, DRV_DOMAIN_RUNNING);
}

static void test_abandoned(fixture *f, gconstpointer data)
{
    f->says[0] = TOLD;
    f->then = DRV_DECISION_ABANDON;
    f->dies = TRUE;
    g_assert_false(run(f));
    g_assert_cmpint(state(f), ==, DRV_DOMAIN_PAUSED);
    g_assert_cmpuint(f->heard, ==, 0);
}

/* droverd has decided, and was frozen before it could do it: then it is done in its place. */
static void test_droverd_has_decided(fixture *f, gconstpointer data)
{
    f->says[0] = TOLD;
    g_assert_true(drv_decision_take(f->decision, DRV_DECISION_RESUME));
    g_assert_true(run(f));
    g_assert_cmpint(state(f), ==, DRV_DOMAIN_RUNNING);
}

/* It was, and an operator has stopped it since. */
static void test_resumed_and_stopped(fixture *f, gconstpointer data)
{
    f->says[0] = TOLD;
    g_assert_true(drv_decision_take(f->decision, DRV_DECISION_RESUME));
    drv_decision_note_resumed(f->decision);
    g_assert_false(run(f));
    g_assert_cmpint(state(f), ==, DRV_DOMAIN_PAUSED);
    g_assert_false(g_file_test(f->record, G_FILE_TEST_EXISTS));
}

/* droverd has resumed it, and was frozen before it could tell. */
static void test_runs_already(fixture *f, gconstpointer data)
{
    f->says[0] = TOLD;
    g_assert_true(drv_hyper_resume(f->hyper, TEST_UUID, NULL));
    g_assert_false(run(f));
    g_assert_cmpint(state(f), ==, DRV_DOMAIN_RUNNING);
    g_assert_cmpuint(f->heard, ==, 1);
}

static void test_session_is_over(fixture *f, gconstpointer data)
{
    f->says[0] = TOLD;
    g_assert_cmpint(g_unlink(f->path), ==, 0);
    g_assert_false(run(f));
    g_assert_cmpint(state(f), ==, DRV_DOMAIN_PAUSED);
}

/* ---- the word ---- */

/* Many processes at once; each says by its exit code whether it was decided as it wanted. */
static void test_decided_once(void)
{
    enum { BOTH = 2, EACH = 8 };

    for (guint round = 0; round < 50; round++) {
        g_autofree char *dir = g_dir_make_tmp("drv-decision-XXXXXX", NULL);
        g_autofree char *path = drv_decision_path(dir);
        g_autoptr(drv_decision) decision = drv_decision_make(path, NULL);
        g_autoptr(drv_decision) later = NULL;
        guint satisfied[BOTH] = {0};
        pid_t child[BOTH * EACH];
        int go[2];

        g_assert_nonnull(decision);
        g_assert_null(drv_decision_make(path, NULL)); /* once a session */
        g_assert_cmpint(pipe(go), ==, 0);
        for (guint i = 0; i < BOTH * EACH; i++) {
            child[i] = fork();
            if (child[i] == 0) {
                drv_decision *own = drv_decision_open(path);
                char byte;

                close(go[1]);
                (void)!read(go[0], &byte, 1); /* ends for all at once */
                _exit(drv_decision_take(own, i % BOTH ? DRV_DECISION_RESUME : DRV_DECISION_ABANDON) ? 0 : 1);
            }
        }
        close(go[0]);
        close(go[1]);
        for (guint i = 0; i < BOTH * EACH; i++) {
            int how = 0;

            g_assert_cmpint(waitpid(child[i], &how, 0), ==, child[i]);
            g_assert_true(WIFEXITED(how));
            satisfied[i % BOTH] += WEXITSTATUS(how) == 0;
        }
        /* All of one mind, none of the other. */
        g_assert_cmpuint(satisfied[0] + satisfied[1], ==, EACH);
        g_assert_true(satisfied[0] == 0 || satisfied[1] == 0);
        /* And who comes later finds it. */
        later = drv_decision_open(path);
        g_assert_cmpint(drv_decision_get(later), ==, satisfied[1] ? DRV_DECISION_RESUME : DRV_DECISION_ABANDON);
        drv_decision_end(path);
        g_assert_true(drv_decision_is_over(decision));
        g_assert_cmpint(g_rmdir(dir), ==, 0);
    }
}

static void test_frozen_one_is_ended(void)
{
    g_autofree char *dir = g_dir_make_tmp("drv-decision-XXXXXX", NULL);
    g_autofree char *path = drv_decision_path(dir);
    g_autoptr(drv_decision) decision = drv_decision_make(path, NULL);
    pid_t child = fork();
    int how = 0;

    if (child == 0) {
        drv_decision *own = drv_decision_open(path);

        if (!drv_decision_hold(own))
            _exit(1);
        raise(SIGSTOP);
        _exit(2);
    }
    g_assert_cmpint(waitpid(child, &how, WUNTRACED), ==, child);
    g_assert_true(WIFSTOPPED(how));
    g_assert_false(drv_decision_hold(decision)); /* there is one */
    drv_decision_end(path);
    g_assert_cmpint(waitpid(child, &how, 0), ==, child);
    g_assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    g_assert_true(drv_decision_is_over(decision));
    drv_decision_end(path); /* again: nothing to do */
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(fixture *f, gconstpointer data);
    } tests[] = {
        {"/stand-in/droverd-hangs", test_droverd_hangs},
        {"/stand-in/droverd-works", test_droverd_works},
        {"/stand-in/no-proof", test_no_proof},
        {"/stand-in/relay-dies-with-proof", test_relay_dies_with_proof},
        {"/stand-in/abandoned", test_abandoned},
        {"/stand-in/droverd-has-decided", test_droverd_has_decided},
        {"/stand-in/resumed-and-stopped", test_resumed_and_stopped},
        {"/stand-in/runs-already", test_runs_already},
        {"/stand-in/session-is-over", test_session_is_over},
    };

    g_test_init(&argc, &argv, NULL);
    /* Processes are made before there are threads. */
    g_test_add_func("/decision/once", test_decided_once);
    g_test_add_func("/decision/frozen", test_frozen_one_is_ended);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, fixture, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
