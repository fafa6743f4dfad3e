/* SPDX-License-Identifier: Apache-2.0 */
/* Two real relays: bytes arrive as they left, nothing waits for anything else, ends are ends. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sanitized.h"
#include "checks.h"
#include "relay/control/control.h"

/* ---- byte-exactness ---- */

struct flow {
    int fd;
    guint32 seed; /* the same at both ends of one direction */
    size_t bytes;
    bool sends;
    GThread *thread;
};

/* The stream's bytes come from its seed; the sizes of the pieces from another generator. */
static gpointer run_flow(gpointer argument)
{
    struct flow *flow = argument;
    GRand *content = g_rand_new_with_seed(flow->seed);
    GRand *sizes = g_rand_new_with_seed(flow->seed * 2 + flow->sends);
    guint32 expected[16384], got[16384];
    size_t left = flow->bytes;

    while (left) {
        /* Mostly large pieces, sometimes single words. */
        size_t words =
            g_rand_boolean(sizes) ? (size_t)g_rand_int_range(sizes, 1, 8) : (size_t)g_rand_int_range(sizes, 1, 16384);
        size_t size;

        if (words * 4 > left)
            words = left / 4;
        size = words * 4;
        for (size_t i = 0; i < words; i++)
            expected[i] = g_rand_int(content);
        if (flow->sends) {
            check_write(flow->fd, expected, size);
        } else {
            check_read(flow->fd, got, size);
            g_assert_cmpmem(got, size, expected, size);
        }
        left -= size;
    }
    g_rand_free(content);
    g_rand_free(sizes);
    return NULL;
}

static void start_flow(struct flow *flow, int fd, guint32 seed, size_t bytes, bool sends)
{
    *flow = (struct flow){.fd = fd, .seed = seed, .bytes = bytes, .sends = sends};
    flow->thread = g_thread_new("flow", run_flow, flow);
}

enum { EXACT_BYTES = 12 << 20 };

/* A byte is counted just after it was delivered: who has received all may be ahead of that. */
static bool there_is_counted(const struct drv_relay_status *status)
{
    return status->channel[DRV_CHANNEL_RAM].local_out_bytes == 2 * EXACT_BYTES &&
           status->channel[DRV_CHANNEL_DISK].local_out_bytes == 3 * EXACT_BYTES;
}

static bool back_is_counted(const struct drv_relay_status *status)
{
    return status->channel[DRV_CHANNEL_RAM].local_out_bytes == 2 * (EXACT_BYTES / 4) &&
           status->channel[DRV_CHANNEL_DISK].local_out_bytes == 3 * (EXACT_BYTES / 4);
}

static void exact_over(unsigned links)
{
    enum { STREAMS = 5 };
    static const enum drv_relay_channel channels[STREAMS] = {DRV_CHANNEL_RAM, DRV_CHANNEL_DISK, DRV_CHANNEL_DISK,
                                                             DRV_CHANNEL_RAM, DRV_CHANNEL_DISK};
    const size_t bytes = EXACT_BYTES;
    struct pair *pair = check_start(links);
    struct flow flows[STREAMS][4];
    int ends[STREAMS][PAIR_ENDS];
    struct drv_relay_status source, target;
    struct drv_error err;

    for (size_t i = 0; i < STREAMS; i++) {
        check_ok(pair_stream(pair, channels[i], ends[i], &err), err);
        for (size_t way = 0; way < 2; way++) {
            guint32 seed = g_test_rand_int();
            /* The way back is small in migrations; here it just has to be right. */
            size_t much = way ? bytes / 4 : bytes;

            start_flow(&flows[i][2 * way], ends[i][way], seed, much, true);
            start_flow(&flows[i][2 * way + 1], ends[i][!way], seed, much, false);
        }
    }
    for (size_t i = 0; i < STREAMS; i++)
        for (size_t j = 0; j < 4; j++)
            g_thread_join(flows[i][j].thread);
    source = check_until(pair, PAIR_SOURCE, back_is_counted);
    target = check_until(pair, PAIR_TARGET, there_is_counted);
    g_assert_cmpuint(source.channel[DRV_CHANNEL_RAM].local_in_bytes, ==, 2 * bytes);
    g_assert_cmpuint(source.channel[DRV_CHANNEL_DISK].local_in_bytes, ==, 3 * bytes);
    g_assert_cmpuint(source.channel[DRV_CHANNEL_RAM].streams_opened, ==, 2);
    g_assert_cmpuint(target.channel[DRV_CHANNEL_DISK].streams_open, ==, 3);
    g_assert_cmpuint(source.wire_out_bytes, >, 5 * bytes);
    g_assert_cmpuint(source.links_up, ==, links);
    for (size_t i = 0; i < STREAMS; i++) {
        close(ends[i][PAIR_SOURCE]);
        check_eof(ends[i][PAIR_TARGET]);
        close(ends[i][PAIR_TARGET]);
    }
    check_stop(pair);
}

static void exact_over_1(void)
{
    exact_over(1);
}

static void exact_over_2(void)
{
    exact_over(2);
}

static void exact_over_5(void)
{
    exact_over(5);
}

/* ---- back-pressure ---- */

static uint64_t resident_bytes(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/statm", (int)pid);
    g_autofree char *text = NULL;
    unsigned long long size, resident;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpint(sscanf(text, "%llu %llu", &size, &resident), ==, 2);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Writes until nothing moves any more: what has left the source has not reached the target. */
static size_t fill_up(struct pair *pair, int fd, uint8_t *bytes, size_t size)
{
    const size_t window = 4 << 20; /* at least so much is under way when all is full */
    int64_t until_ms = drv_clock_ms() + CHECK_MS;
    size_t sent = 0;

    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        struct drv_relay_status source, target;
        ssize_t more;

        g_assert_cmpint(drv_clock_ms(), <, until_ms);
        g_assert_cmpuint(sent, <, size);
        more = send(fd, bytes + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (more > 0) {
            sent += (size_t)more;
            continue;
        }
        if (poll(&wait, 1, 100) > 0)
            continue;
        /* It has not taken a byte for a while: is it the window that is full? */
        source = check_status(pair, PAIR_SOURCE);
        target = check_status(pair, PAIR_TARGET);
        if (source.channel[DRV_CHANNEL_RAM].local_in_bytes - target.channel[DRV_CHANNEL_RAM].local_out_bytes >= window)
            return sent;
    }
}

static void blocked_reader_delays_nobody(void)
{
    const size_t size = 64 << 20;
    struct pair *pair = check_start(2);
    g_autofree uint8_t *bytes = g_malloc(size);
    g_autofree uint8_t *got = g_malloc(size);
    g_autoptr(GBytes) ping = check_message(DRV_RPC_PROGRAM_KEEPALIVE, 1, DRV_RPC_MESSAGE, 0, 0, 0);
    g_autoptr(GBytes) pong = check_message(DRV_RPC_PROGRAM_KEEPALIVE, 2, DRV_RPC_MESSAGE, 0, 0, 0);
    struct drv_relay_status before = check_status(pair, PAIR_TARGET), after;
    int ram[PAIR_ENDS], disk[PAIR_ENDS], control;
    struct drv_error err;
    size_t sent;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)g_test_rand_int();
    control = pair_connect(pair, DRV_CHANNEL_CONTROL, &err);
    check_ok(control, err);
    check_ok(pair_stream(pair, DRV_CHANNEL_RAM, ram, &err), err);
    check_ok(pair_stream(pair, DRV_CHANNEL_DISK, disk, &err), err);
    sent = fill_up(pair, ram[PAIR_SOURCE], bytes, size);

    /* Nobody reads the memory, and yet: */
    for (size_t i = 0; i < 20; i++) {
        check_pass(control, pair->libvirt, ping);
        check_pass(pair->libvirt, control, pong);
    }
    check_write(disk[PAIR_SOURCE], bytes, 2 << 20);
    check_read(disk[PAIR_TARGET], got, 2 << 20);
    g_assert_cmpmem(got, 2 << 20, bytes, 2 << 20);
    /* ... not even the memory's own way back. */
    check_write(ram[PAIR_TARGET], "return path", 11);
    check_read(ram[PAIR_SOURCE], got, 11);
    g_assert_cmpmem(got, 11, "return path", 11);

    after = check_status(pair, PAIR_TARGET);
    g_assert_cmpuint(after.memory_bytes, ==, before.memory_bytes);
    g_assert_cmpuint(after.memory_bytes, <=, 64 << 20);
    /* Buffers, and the program with its libraries. */
    if (!DRV_SANITIZED)
        g_assert_cmpuint(resident_bytes(pair_pid(pair, PAIR_TARGET)), <=, after.memory_bytes + (32 << 20));
    check_read(ram[PAIR_TARGET], got, sent);
    g_assert_cmpmem(got, sent, bytes, sent);
    check_write(ram[PAIR_SOURCE], bytes, 1 << 20);
    check_read(ram[PAIR_TARGET], got, 1 << 20);
    g_assert_cmpmem(got, 1 << 20, bytes, 1 << 20);
    check_stop(pair);
    close(control);
    for (size_t end = 0; end < PAIR_ENDS; end++) {
        close(ram[end]);
        close(disk[end]);
    }
    (void)resident_bytes;
}

/* ---- ends of streams ---- */

static void end_comes_after_the_last_byte(void)
{
    const size_t size = 3 << 20;
    struct pair *pair = check_start(4);
    g_autofree uint8_t *bytes = g_malloc(size);
    struct drv_error err;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    for (size_t way = 0; way < 2; way++) {
        int ends[PAIR_ENDS];
        GThread *writer;
        struct flow flow;

        check_ok(pair_stream(pair, DRV_CHANNEL_DISK, ends, &err), err);
        /* The way back has a small window: it has to be read while it is written. */
        start_flow(&flow, ends[!way], 77, size, false);
        writer = flow.thread;
        {
            struct flow sender;

            start_flow(&sender, ends[way], 77, size, true);
            g_thread_join(sender.thread);
        }
        close(ends[way]);
        g_thread_join(writer);
        check_eof(ends[!way]);
        close(ends[!way]);
    }
    check_stop(pair);
}

static void nobody_listens_at_the_target(void)
{
    struct pair *pair = check_start(2);
    char path[128];
    struct drv_error err;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", pair->directory[PAIR_TARGET], DRV_SOCKET_RAM);
    g_assert_cmpint(unlink(path), ==, 0);
    fd = pair_connect(pair, DRV_CHANNEL_RAM, &err);
    check_ok(fd, err);
    check_eof(fd);
    close(fd);
    /* The session goes on. */
    g_assert_cmpint(check_status(pair, PAIR_SOURCE).state, ==, DRV_RELAY_UP);
    g_assert_cmpint(check_status(pair, PAIR_TARGET).state, ==, DRV_RELAY_UP);
    check_stop(pair);
}

static void libvirtd_has_one_connection(void)
{
    struct pair *pair = check_start(2);
    g_autoptr(GBytes) call = check_message(DRV_RPC_PROGRAM_REMOTE, 66, DRV_RPC_CALL, 1, 0, 0);
    struct drv_error err;
    int first = pair_connect(pair, DRV_CHANNEL_CONTROL, &err);
    int second;

    check_ok(first, err);
    check_pass(first, pair->libvirt, call);
    second = pair_connect(pair, DRV_CHANNEL_CONTROL, &err);
    check_ok(second, err);
    check_eof(second);
    check_pass(first, pair->libvirt, call);
    close(second);
    /* Its end closes libvirtd's connection. */
    close(first);
    check_eof(pair->libvirt);
    check_stop(pair);
}

static void too_many_streams_are_closed(void)
{
    enum { TRIES = 70, ALLOWED = 64 };
    struct pair *pair = check_start(2);
    int source[TRIES], target[ALLOWED];
    char bytes[8];
    struct drv_error err;

    for (size_t i = 0; i < TRIES; i++) {
        source[i] = pair_connect(pair, DRV_CHANNEL_DISK, &err);
        check_ok(source[i], err);
        if (i < ALLOWED) {
            target[i] = pair_accept(pair, DRV_CHANNEL_DISK, &err);
            check_ok(target[i], err);
        } else {
            check_eof(source[i]);
            close(source[i]);
        }
    }
    for (size_t i = 0; i < ALLOWED; i++) {
        check_write(source[i], &i, sizeof i);
        check_read(target[i], bytes, sizeof i);
        g_assert_cmpmem(bytes, sizeof i, &i, sizeof i);
        close(source[i]);
        check_eof(target[i]);
        close(target[i]);
    }
    /* And when they are over there is room again. */
    for (size_t i = 0; i < 3 * ALLOWED; i++) {
        int ends[PAIR_ENDS];

        check_ok(pair_stream(pair, DRV_CHANNEL_RAM, ends, &err), err);
        check_write(ends[PAIR_SOURCE], "again", 5);
        check_read(ends[PAIR_TARGET], bytes, 5);
        close(ends[i % 2]);
        check_eof(ends[!(i % 2)]);
        close(ends[!(i % 2)]);
    }
    check_stop(pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    check_add("/streams/exact-over-1-link", exact_over_1);
    check_add("/streams/exact-over-2-links", exact_over_2);
    check_add("/streams/exact-over-5-links", exact_over_5);
    check_add("/streams/blocked-reader", blocked_reader_delays_nobody);
    check_add("/streams/end-after-last-byte", end_comes_after_the_last_byte);
    check_add("/streams/nobody-listens", nobody_listens_at_the_target);
    check_add("/streams/one-libvirtd", libvirtd_has_one_connection);
    check_add("/streams/too-many", too_many_streams_are_closed);
    return g_test_run();
}
