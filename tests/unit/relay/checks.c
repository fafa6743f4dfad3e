/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of real relays share: see checks.h. */
#include "checks.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "relay/control/control.h"

#define LONG_S 100

static void say_where(const char *task)
{
    static const char *const files[] = {"comm", "wchan", "stack"};

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(task, files[i], NULL);
        g_autofree char *text = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL))
            g_printerr("%s: %s\n", path, g_strstrip(text));
    }
}

/* A test that hangs is ended by whoever runs it: before that it says where each thread of it and of the relays is. */
static gpointer watch(gpointer nothing)
{
    g_autoptr(GDir) all = NULL;
    const char *entry;

    g_usleep((gulong)LONG_S * G_USEC_PER_SEC);
    g_printerr("%s takes long\n", g_get_prgname());
    (void)nothing;
    all = g_dir_open("/proc", 0, NULL);
    while (all && (entry = g_dir_read_name(all))) {
        g_autofree char *comm = g_build_filename("/proc", entry, "comm", NULL);
        g_autofree char *tasks = g_build_filename("/proc", entry, "task", NULL);
        g_autofree char *text = NULL;
        g_autoptr(GDir) each = NULL;
        const char *task;

        if (!g_ascii_isdigit(*entry) || !g_file_get_contents(comm, &text, NULL, NULL) ||
            (!g_str_has_prefix(text, "drover-relay") && strtol(entry, NULL, 10) != getpid()))
            continue;
        each = g_dir_open(tasks, 0, NULL);
        while (each && (task = g_dir_read_name(each))) {
            g_autofree char *path = g_build_filename(tasks, task, NULL);

            say_where(path);
        }
    }
    return NULL;
}

static void run_or_skip(const void *test)
{
    void (*run)(void) = (void (*)(void))(size_t)test;
    const char *why = pair_unavailable();

    if (why)
        g_test_skip(why);
    else
        run();
}

void check_add(const char *path, void (*test)(void))
{
    static gsize watched;

    if (g_once_init_enter(&watched)) {
        g_thread_unref(g_thread_new("watch", watch, NULL));
        g_once_init_leave(&watched, 1);
    }
    g_test_add_data_func(path, (const void *)(size_t)test, run_or_skip);
}

struct pair *check_start(unsigned links)
{
    struct pair *pair = g_new0(struct pair, 1);
    struct drv_error err;

    check_ok(pair_start(pair, links, &err), err);
    (void)check_until(pair, PAIR_TARGET, check_is_up);
    return pair;
}

void check_stop(struct pair *pair)
{
    pair_stop(pair);
    g_free(pair);
}

struct drv_relay_status check_status(struct pair *pair, enum pair_end end)
{
    struct drv_relay_status status;
    struct drv_error err;

    check_ok(drv_relay_status(pair->relay[end], &status, &err), err);
    return status;
}

struct drv_relay_status check_until(struct pair *pair, enum pair_end end,
                                    bool (*wanted)(const struct drv_relay_status *))
{
    int64_t until_ms = drv_clock_ms() + CHECK_MS;
    struct drv_relay_status status;
    struct drv_error err;

    do {
        check_ok(drv_relay_next(pair->relay[end], &status, CHECK_MS, &err), err);
        if (wanted(&status))
            return status;
    } while (drv_clock_ms() < until_ms);
    g_error("the awaited event did not come (state %d, error \"%s\")", (int)status.state, status.error);
}

bool check_is_up(const struct drv_relay_status *status)
{
    return status->state == DRV_RELAY_UP;
}

bool check_is_over(const struct drv_relay_status *status)
{
    return status->state == DRV_RELAY_LOST || status->state == DRV_RELAY_ENDED;
}

bool check_has_finish(const struct drv_relay_status *status)
{
    return status->finish_delivered;
}

bool check_has_resumed(const struct drv_relay_status *status)
{
    return status->resumed;
}

static void wait_for(int fd, short what)
{
    struct pollfd wait = {.fd = fd, .events = what};

    g_assert_cmpint(poll(&wait, 1, CHECK_MS), ==, 1);
}

void check_write(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size) {
        ssize_t sent;

        wait_for(fd, POLLOUT);
        sent = send(fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN)
            continue;
        g_assert_cmpint(sent, >, 0);
        at += sent;
        size -= (size_t)sent;
    }
}

void check_read(int fd, void *bytes, size_t size)
{
    char *at = bytes;

    while (size) {
        ssize_t got;

        wait_for(fd, POLLIN);
        got = recv(fd, at, size, 0);
        g_assert_cmpint(got, >, 0);
        at += got;
        size -= (size_t)got;
    }
}

void check_eof(int fd)
{
    char byte;
    ssize_t got;

    wait_for(fd, POLLIN);
    got = recv(fd, &byte, 1, 0);
    g_assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
}

void check_gone(int fd)
{
    char bytes[256];
    ssize_t got;

    do {
        wait_for(fd, POLLIN);
        got = recv(fd, bytes, sizeof bytes, 0);
    } while (got > 0);
    g_assert_true(got == 0 || errno == ECONNRESET);
}

void check_silent(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    g_assert_cmpint(poll(&wait, 1, 0), ==, 0);
}

GBytes *check_message(uint32_t program, uint32_t procedure, enum drv_rpc_type type, uint32_t serial, uint32_t status,
                      size_t body)
{
    size_t size = DRV_RPC_HEADER_SIZE + body;
    uint8_t *bytes = g_malloc0(size);
    struct drv_writer writer = drv_writer_over(bytes, size);

    drv_write_u32(&writer, (uint32_t)size);
    drv_write_u32(&writer, program);
    drv_write_u32(&writer, 1);
    drv_write_u32(&writer, procedure);
    drv_write_u32(&writer, type);
    drv_write_u32(&writer, serial);
    drv_write_u32(&writer, status);
    for (size_t i = 0; i < body; i++)
        drv_write_u8(&writer, (uint8_t)(i * 3));
    return g_bytes_new_take(bytes, size);
}

void check_pass(int from, int to, GBytes *message)
{
    gsize size;
    const void *bytes = g_bytes_get_data(message, &size);
    g_autofree void *got = g_malloc(size);

    check_write(from, bytes, size);
    check_read(to, got, size);
    g_assert_cmpmem(got, size, bytes, size);
}
