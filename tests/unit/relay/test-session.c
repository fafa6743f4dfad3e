/* SPDX-License-Identifier: Apache-2.0 */
/* Two real relays: what libvirt may say, the Finish mark, loss and the end of a session. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/clock.h"
#include "checks.h"
#include "relay/control/control.h"

#define REMOTE DRV_RPC_PROGRAM_REMOTE

static int control(struct pair *pair)
{
    struct drv_error err;
    int fd = pair_connect(pair, DRV_CHANNEL_CONTROL, &err);

    check_ok(fd, err);
    return fd;
}

/* ---- the allow-list ---- */

static void migration_calls_pass(void)
{
    static const uint32_t procedures[] = {66, 1, 60, 360, 303, 361, 2};
    struct pair *pair = check_start(2);
    int libvirtd = control(pair);

    for (uint32_t i = 0; i < G_N_ELEMENTS(procedures); i++) {
        g_autoptr(GBytes) call = check_message(REMOTE, procedures[i], DRV_RPC_CALL, i + 1, 0, (size_t)i * 15000);
        g_autoptr(GBytes) reply = check_message(REMOTE, procedures[i], DRV_RPC_REPLY, i + 1, 0, (size_t)i * 18000);

        check_pass(libvirtd, pair->libvirt, call);
        check_pass(pair->libvirt, libvirtd, reply);
    }
    close(libvirtd);
    check_eof(pair->libvirt);
    check_stop(pair);
}

static void other_calls_end_the_session(void)
{
    struct pair *pair = check_start(2);
    int libvirtd = control(pair);
    g_autoptr(GBytes) open = check_message(REMOTE, 1, DRV_RPC_CALL, 1, 0, 16);
    /* DOMAIN_CREATE_XML */
    g_autoptr(GBytes) create = check_message(REMOTE, 10, DRV_RPC_CALL, 2, 0, 1000);
    struct drv_relay_status status;
    int ram[PAIR_ENDS];
    struct drv_error err;
    gsize size;

    check_ok(pair_stream(pair, DRV_CHANNEL_RAM, ram, &err), err);
    check_pass(libvirtd, pair->libvirt, open);
    check_write(libvirtd, g_bytes_get_data(create, &size), 100);
    status = check_until(pair, PAIR_TARGET, check_is_over);
    g_assert_cmpint(status.state, ==, DRV_RELAY_LOST);
    g_assert_nonnull(strstr(status.error, "procedure 10 "));
    /* Not one byte of it came through, and everything local is closed. */
    check_eof(pair->libvirt);
    check_eof(libvirtd);
    check_eof(ram[PAIR_SOURCE]);
    check_eof(ram[PAIR_TARGET]);
    status = check_until(pair, PAIR_SOURCE, check_is_over);
    g_assert_cmpint(status.state, ==, DRV_RELAY_LOST);
    g_assert_nonnull(strstr(status.error, "procedure 10 "));
    close(libvirtd);
    close(ram[0]);
    close(ram[1]);
    check_stop(pair);
}

/* ---- calls that are judged ---- */

static struct pair *start_judged(void)
{
    struct pair *pair = g_new0(struct pair, 1);
    struct drv_error err;

    check_ok(pair_prepare(pair, 2, &err), err);
    pair->config[PAIR_TARGET].judged = true;
    check_ok(pair_start_target(pair, &err), err);
    check_ok(pair_start_source(pair, &err), err);
    return pair;
}

static bool asks(const struct drv_relay_status *status)
{
    return status->asks;
}

/* What waits is @call, and libvirtd has heard nothing of it. */
static void check_asked(struct pair *pair, GBytes *call)
{
    struct drv_error err;
    uint8_t *bytes = NULL;
    gsize size;
    const void *sent = g_bytes_get_data(call, &size);
    ssize_t got;

    (void)check_until(pair, PAIR_TARGET, asks);
    got = drv_relay_asked(pair->relay[PAIR_TARGET], &bytes, &err);
    check_ok((int)got, err);
    g_assert_cmpmem(bytes, (gsize)got, sent, size);
    free(bytes);
    check_silent(pair->libvirt);
}

static void check_arrives(struct pair *pair, GBytes *call)
{
    gsize size;
    const void *sent = g_bytes_get_data(call, &size);
    g_autofree uint8_t *got = g_malloc(size);

    check_read(pair->libvirt, got, size);
    g_assert_cmpmem(got, size, sent, size);
}

static void judged_calls_wait(void)
{
    struct pair *pair = start_judged();
    int libvirtd = control(pair);
    /* Larger than what is taken ahead of calls that nobody judges. */
    g_autoptr(GBytes) prepare = check_message(REMOTE, 303, DRV_RPC_CALL, 1, 0, 300000);
    g_autoptr(GBytes) list = check_message(REMOTE, 66, DRV_RPC_CALL, 2, 0, 8);
    struct drv_error err;
    uint8_t *none = NULL;
    gsize size;
    const void *bytes = g_bytes_get_data(prepare, &size);

    g_assert_cmpint((int)drv_relay_asked(pair->relay[PAIR_TARGET], &none, &err), <, 0);
    g_assert_cmpint(drv_relay_judge(pair->relay[PAIR_TARGET], NULL, &err), <, 0);
    check_write(libvirtd, bytes, size);
    bytes = g_bytes_get_data(list, &size);
    check_write(libvirtd, bytes, size); /* what is behind it waits with it */
    check_asked(pair, prepare);
    check_ok(drv_relay_judge(pair->relay[PAIR_TARGET], NULL, &err), err);
    check_arrives(pair, prepare);
    check_arrives(pair, list);
    /* Others pass as ever, and the next one waits again. */
    check_pass(libvirtd, pair->libvirt, list);
    bytes = g_bytes_get_data(prepare, &size);
    check_write(libvirtd, bytes, size);
    check_asked(pair, prepare);
    close(libvirtd);
    check_stop(pair);
}

static void denied_call_ends_the_session(void)
{
    struct pair *pair = start_judged();
    int libvirtd = control(pair);
    g_autoptr(GBytes) open = check_message(REMOTE, 1, DRV_RPC_CALL, 1, 0, 40);
    struct drv_relay_status status;
    struct drv_error err;
    gsize size;
    const void *bytes = g_bytes_get_data(open, &size);

    check_write(libvirtd, bytes, size);
    check_asked(pair, open);
    check_ok(drv_relay_judge(pair->relay[PAIR_TARGET], "no such thing comes here", &err), err);
    status = check_until(pair, PAIR_SOURCE, check_is_over);
    g_assert_nonnull(strstr(status.error, "no such thing comes here"));
    check_eof(pair->libvirt);
    check_eof(libvirtd);
    close(libvirtd);
    check_stop(pair);
}

static void headers_pass_whole(void)
{
    struct pair *pair = check_start(2);
    int libvirtd = control(pair);
    g_autoptr(GBytes) open = check_message(REMOTE, 1, DRV_RPC_CALL, 1, 0, 4);
    g_autoptr(GBytes) ping = check_message(DRV_RPC_PROGRAM_KEEPALIVE, 1, DRV_RPC_MESSAGE, 0, 0, 0);
    uint8_t got[DRV_RPC_HEADER_SIZE + 4];
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(open, &size);

    /* Byte by byte, so that every part of a header is once the last thing known. */
    for (gsize i = 0; i < size; i++) {
        check_write(libvirtd, bytes + i, 1);
        if (i + 1 < DRV_RPC_HEADER_SIZE)
            check_silent(pair->libvirt);
    }
    check_read(pair->libvirt, got, size);
    g_assert_cmpmem(got, size, bytes, size);
    check_pass(libvirtd, pair->libvirt, ping);
    close(libvirtd);
    check_stop(pair);
}

/* ---- the Finish mark ---- */

static void wait_for_bytes(int fd, size_t size)
{
    int64_t until_ms = drv_clock_ms() + CHECK_MS;
    int there = 0;

    do {
        struct pollfd wait = {.fd = fd, .events = POLLIN};

        g_assert_cmpint(drv_clock_ms(), <, until_ms);
        g_assert_cmpint(poll(&wait, 1, CHECK_MS), ==, 1);
        g_assert_cmpint(ioctl(fd, FIONREAD, &there), ==, 0);
    } while ((size_t)there < size);
}

static void finish(uint32_t reply_status, size_t body, bool expected_ok)
{
    struct pair *pair = check_start(3);
    int libvirtd = control(pair);
    g_autoptr(GBytes) call = check_message(REMOTE, 306, DRV_RPC_CALL, 9, 0, 200);
    g_autoptr(GBytes) reply = check_message(REMOTE, 306, DRV_RPC_REPLY, 9, reply_status, body);
    gsize size = g_bytes_get_size(reply);
    g_autofree char *got = g_malloc(size);
    struct drv_relay_status status;
    struct drv_error err;

    check_pass(libvirtd, pair->libvirt, call);
    check_write(pair->libvirt, g_bytes_get_data(reply, NULL), size);
    wait_for_bytes(libvirtd, size);
    /* It lies in the socket of the source's libvirtd, which may die before it reads it. */
    g_assert_false(check_status(pair, PAIR_SOURCE).finish_delivered);
    g_assert_false(check_status(pair, PAIR_TARGET).finish_delivered);
    check_read(libvirtd, got, size);
    g_assert_cmpmem(got, size, g_bytes_get_data(reply, NULL), size);

    status = check_until(pair, PAIR_TARGET, check_has_finish);
    g_assert_cmpint(status.finish_ok, ==, expected_ok);
    g_assert_cmpint(status.finish_us, >, 0);
    status = check_until(pair, PAIR_SOURCE, check_has_finish);
    g_assert_cmpint(status.finish_ok, ==, expected_ok);
    g_assert_false(status.resumed);

    g_assert_cmpint(drv_relay_tell_resumed(pair->relay[PAIR_SOURCE], &err), <, 0);
    check_ok(drv_relay_tell_resumed(pair->relay[PAIR_TARGET], &err), err);
    status = check_until(pair, PAIR_SOURCE, check_has_resumed);
    g_assert_cmpint(status.resumed_us, >=, status.finish_us);
    g_assert_true(check_status(pair, PAIR_TARGET).resumed);
    close(libvirtd);
    check_stop(pair);
}

static void finish_of_success(void)
{
    finish(0, 64, true);
}

static void finish_of_failure(void)
{
    finish(1, 300, false);
}

static void finish_without_a_domain(void)
{
    finish(0, 0, false);
}

static void unread_finish_is_not_delivered(void)
{
    struct pair *pair = check_start(2);
    int libvirtd = control(pair);
    g_autoptr(GBytes) call = check_message(REMOTE, 306, DRV_RPC_CALL, 9, 0, 20);
    g_autoptr(GBytes) reply = check_message(REMOTE, 306, DRV_RPC_REPLY, 9, 0, 64);
    gsize size;
    const void *bytes = g_bytes_get_data(reply, &size);

    check_pass(libvirtd, pair->libvirt, call);
    check_write(pair->libvirt, bytes, size);
    wait_for_bytes(libvirtd, size);
    close(libvirtd); /* the source's libvirtd dies with the reply unread */
    check_eof(pair->libvirt);
    g_assert_false(check_status(pair, PAIR_SOURCE).finish_delivered);
    g_assert_false(check_status(pair, PAIR_TARGET).finish_delivered);
    check_stop(pair);
}

static void finish_can_be_read_after_the_link_is_lost(void)
{
    struct pair *pair = check_start(2);
    int libvirtd = control(pair);
    g_autoptr(GBytes) call = check_message(REMOTE, 306, DRV_RPC_CALL, 9, 0, 20);
    g_autoptr(GBytes) reply = check_message(REMOTE, 306, DRV_RPC_REPLY, 9, 0, 64);
    gsize size;
    const void *bytes = g_bytes_get_data(reply, &size);
    g_autofree char *got = g_malloc(size);
    struct drv_relay_status status;

    check_pass(libvirtd, pair->libvirt, call);
    check_write(pair->libvirt, bytes, size);
    wait_for_bytes(libvirtd, size);
    pair_cut(pair, 0);
    status = check_until(pair, PAIR_SOURCE, check_is_over);
    g_assert_cmpint(status.state, ==, DRV_RELAY_LOST);
    g_assert_false(status.finish_delivered);
    check_read(libvirtd, got, size);
    status = check_until(pair, PAIR_SOURCE, check_has_finish);
    g_assert_true(status.finish_ok);
    check_eof(libvirtd);
    /* The target could not be told. */
    status = check_until(pair, PAIR_TARGET, check_is_over);
    g_assert_false(status.finish_delivered);
    close(libvirtd);
    check_stop(pair);
}

/* ---- loss ---- */

/* A control, a memory and a disk stream in use at both ends; then something breaks. */
struct scene {
    struct pair *pair;
    int control, ram[PAIR_ENDS], disk[PAIR_ENDS];
};

static struct scene set_scene(unsigned links)
{
    struct scene scene = {.pair = check_start(links)};
    g_autoptr(GBytes) call = check_message(REMOTE, 66, DRV_RPC_CALL, 1, 0, 0);
    struct drv_error err;
    char bytes[4];

    scene.control = control(scene.pair);
    check_pass(scene.control, scene.pair->libvirt, call);
    check_ok(pair_stream(scene.pair, DRV_CHANNEL_RAM, scene.ram, &err), err);
    check_ok(pair_stream(scene.pair, DRV_CHANNEL_DISK, scene.disk, &err), err);
    check_write(scene.ram[PAIR_SOURCE], "ram", 4);
    check_read(scene.ram[PAIR_TARGET], bytes, 4);
    check_write(scene.disk[PAIR_SOURCE], "dsk", 4);
    check_read(scene.disk[PAIR_TARGET], bytes, 4);
    return scene;
}

static void end_scene(struct scene *scene)
{
    close(scene->control);
    for (size_t end = 0; end < PAIR_ENDS; end++) {
        close(scene->ram[end]);
        close(scene->disk[end]);
    }
    check_stop(scene->pair);
}

static void assert_closed_at(const struct scene *scene, enum pair_end end)
{
    check_eof(end == PAIR_SOURCE ? scene->control : scene->pair->libvirt);
    check_eof(scene->ram[end]);
    check_eof(scene->disk[end]);
    /* Both ways: not half-closed. */
    g_assert_cmpint(send(scene->ram[end], "x", 1, MSG_NOSIGNAL), <, 0);
    g_assert_cmpint(send(scene->disk[end], "x", 1, MSG_NOSIGNAL), <, 0);
}

static void cut(unsigned link)
{
    struct scene scene = set_scene(3);

    pair_cut(scene.pair, link);
    for (size_t end = 0; end < PAIR_ENDS; end++) {
        struct drv_relay_status status = check_until(scene.pair, end, check_is_over);

        g_assert_cmpint(status.state, ==, DRV_RELAY_LOST);
        g_assert_cmpstr(status.error, !=, "");
        assert_closed_at(&scene, end);
    }
    /* Nothing new begins. */
    g_assert_cmpint(pair_connect(scene.pair, DRV_CHANNEL_RAM, NULL), <, 0);
    end_scene(&scene);
}

static void first_link_is_cut(void)
{
    cut(0);
}

static void last_link_is_cut(void)
{
    cut(2);
}

/* Where standard error is a file, a relay writes its last words there and lives on. */
static void loss_is_logged(void)
{
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    int file = g_file_open_tmp("drover-relay-log-XXXXXX", &path, NULL);
    int saved = dup(STDERR_FILENO);
    struct scene scene;

    g_assert_cmpint(file, >=, 0);
    g_assert_cmpint(dup2(file, STDERR_FILENO), ==, STDERR_FILENO);
    scene = set_scene(2);
    g_assert_cmpint(dup2(saved, STDERR_FILENO), ==, STDERR_FILENO);
    pair_cut(scene.pair, 1);
    for (size_t end = 0; end < PAIR_ENDS; end++) {
        (void)check_until(scene.pair, end, check_is_over);
        /* The log line is written before the next turn of its main thread. */
        (void)check_status(scene.pair, end);
        g_assert_cmpint(check_status(scene.pair, end).state, ==, DRV_RELAY_LOST);
    }
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "is over: "));
    end_scene(&scene);
    close(file);
    close(saved);
    g_unlink(path);
}

static void relay_is_killed(enum pair_end victim)
{
    struct scene scene = set_scene(2);
    enum pair_end survivor = victim == PAIR_SOURCE ? PAIR_TARGET : PAIR_SOURCE;
    struct drv_relay_status status;
    struct drv_error err;
    int rc;

    pair_release(scene.pair);
    g_assert_cmpint(kill(pair_pid(scene.pair, victim), SIGKILL), ==, 0);
    assert_closed_at(&scene, victim);
    status = check_until(scene.pair, survivor, check_is_over);
    g_assert_cmpint(status.state, ==, DRV_RELAY_LOST);
    g_assert_cmpstr(status.error, !=, "");
    assert_closed_at(&scene, survivor);
    do
        rc = drv_relay_next(scene.pair->relay[victim], &status, CHECK_MS, &err);
    while (rc == 0);
    g_assert_cmpint(rc, ==, -ECONNRESET);
    end_scene(&scene);
}

static void source_is_killed(void)
{
    relay_is_killed(PAIR_SOURCE);
}

static void target_is_killed(void)
{
    relay_is_killed(PAIR_TARGET);
}

static void relay_is_told_to_end(void)
{
    struct scene scene = set_scene(2);
    struct drv_relay_status status;
    struct drv_error err;

    check_ok(drv_relay_end(scene.pair->relay[PAIR_SOURCE], &err), err);
    assert_closed_at(&scene, PAIR_SOURCE);
    status = check_until(scene.pair, PAIR_TARGET, check_is_over);
    g_assert_cmpint(status.state, ==, DRV_RELAY_LOST);
    g_assert_nonnull(strstr(status.error, "told to end"));
    assert_closed_at(&scene, PAIR_TARGET);
    end_scene(&scene);
}

static bool is_idle(const struct drv_relay_status *status)
{
    for (size_t i = 0; i < DRV_CHANNELS; i++)
        if (status->channel[i].streams_open)
            return false;
    return true;
}

static void end_after_everything_is_no_loss(void)
{
    struct scene scene = set_scene(2);
    struct drv_relay_status status;
    struct drv_error err;

    shutdown(scene.control, SHUT_RDWR);
    shutdown(scene.ram[PAIR_SOURCE], SHUT_RDWR);
    shutdown(scene.disk[PAIR_SOURCE], SHUT_RDWR);
    check_until(scene.pair, PAIR_TARGET, is_idle);
    check_until(scene.pair, PAIR_SOURCE, is_idle);
    check_ok(drv_relay_end(scene.pair->relay[PAIR_SOURCE], &err), err);
    status = check_until(scene.pair, PAIR_TARGET, check_is_over);
    g_assert_cmpint(status.state, ==, DRV_RELAY_ENDED);
    g_assert_cmpstr(status.error, ==, "");
    g_assert_cmpuint(status.channel[DRV_CHANNEL_RAM].local_out_bytes, ==, 4);
    end_scene(&scene);
}

/* ---- droverd's side ---- */

static void another_droverd_finds_it(void)
{
    struct scene scene = set_scene(2);
    struct drv_relay_status status;
    drv_relay *second = NULL;
    struct drv_error err;

    drv_relay_close(scene.pair->relay[PAIR_SOURCE]);
    scene.pair->relay[PAIR_SOURCE] = NULL;
    check_write(scene.ram[PAIR_SOURCE], "more", 4);
    check_ok(drv_relay_open(scene.pair->directory[PAIR_SOURCE], &second, &err), err);
    scene.pair->relay[PAIR_SOURCE] = second;
    /* Events and answers on one connection do not get in each other's way. */
    check_ok(drv_relay_next(second, &status, CHECK_MS, &err), err);
    for (size_t i = 0; i < 20; i++) {
        check_ok(drv_relay_status(second, &status, &err), err);
        g_assert_cmpint(status.state, ==, DRV_RELAY_UP);
    }
    check_ok(drv_relay_next(second, &status, CHECK_MS, &err), err);
    g_assert_cmpuint(status.channel[DRV_CHANNEL_RAM].local_in_bytes, >=, 4);
    end_scene(&scene);
}

static void next_waits_no_longer_than_asked(void)
{
    struct pair *pair = check_start(1);
    struct drv_relay_status status;
    struct drv_error err;
    int rc;

    check_ok(drv_relay_next(pair->relay[PAIR_SOURCE], &status, CHECK_MS, &err), err);
    /* No event is due yet: with no patience there may be none. */
    do
        rc = drv_relay_next(pair->relay[PAIR_SOURCE], &status, 0, &err);
    while (rc == 0);
    g_assert_cmpint(rc, ==, -ETIMEDOUT);
    check_stop(pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    check_add("/calls/of-a-migration", migration_calls_pass);
    check_add("/calls/others", other_calls_end_the_session);
    check_add("/calls/judged-wait", judged_calls_wait);
    check_add("/calls/denied", denied_call_ends_the_session);
    check_add("/calls/headers-whole", headers_pass_whole);
    check_add("/finish/success", finish_of_success);
    check_add("/finish/failure", finish_of_failure);
    check_add("/finish/no-domain", finish_without_a_domain);
    check_add("/finish/unread", unread_finish_is_not_delivered);
    check_add("/finish/link-lost", finish_can_be_read_after_the_link_is_lost);
    check_add("/loss/first-link", first_link_is_cut);
    check_add("/loss/last-link", last_link_is_cut);
    check_add("/loss/logged", loss_is_logged);
    check_add("/loss/source-killed", source_is_killed);
    check_add("/loss/target-killed", target_is_killed);
    check_add("/end/in-the-middle", relay_is_told_to_end);
    check_add("/end/after-everything", end_after_everything_is_no_loss);
    check_add("/admin/another-droverd", another_droverd_finds_it);
    check_add("/admin/timeout", next_waits_no_longer_than_asked);
    return g_test_run();
}
