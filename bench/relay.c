/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a relay is and what it costs: random bytes go from one unix socket to another,
 * through two relays (TLS) and through two minimal programs that only copy (no TLS), by
 * turns, over loopback TCP. CPU time is that of the two processes alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "pair.h"

#define RUNS_MAX 99
#define PIECE ((size_t)256 * 1024)
#define SOURCE_BYTES ((size_t)16 * 1024 * 1024)

struct figures {
    double bytes_per_s;
    double sender_cpu_s_per_gb; /* GB = 10^9 bytes */
    double receiver_cpu_s_per_gb;
    double wire_overhead; /* wire bytes / bytes; relay only */
    double memory_bytes;
};

static uint8_t *random_bytes;
static uint64_t total_bytes = UINT64_C(4) << 30;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fputs("bench-relay: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    exit(1);
}

static void *push(void *argument)
{
    int fd = *(int *)argument;
    uint64_t left = total_bytes;

    while (left) {
        size_t at = (size_t)((total_bytes - left) % SOURCE_BYTES);
        size_t size = SOURCE_BYTES - at < PIECE ? SOURCE_BYTES - at : PIECE;
        ssize_t sent = send(fd, random_bytes + at, size < left ? size : (size_t)left, MSG_NOSIGNAL);

        if (sent <= 0)
            fail("cannot push: %s", strerror(errno));
        left -= (uint64_t)sent;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void drain(int fd)
{
    uint8_t *piece = malloc(PIECE);
    uint64_t got = 0;
    ssize_t size;

    while (piece && (size = recv(fd, piece, PIECE, 0)) > 0) {
        /* A glance at every piece: bytes in the wrong place would show. */
        if (piece[0] != random_bytes[got % SOURCE_BYTES])
            fail("byte %llu is wrong", (unsigned long long)got);
        got += (uint64_t)size;
        if (got == total_bytes)
            break;
    }
    free(piece);
    if (got != total_bytes)
        fail("only %llu bytes arrived", (unsigned long long)got);
}

static double cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec used;

    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used))
        fail("cannot read the CPU time of process %d", (int)pid);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void measure(int in, int out, const pid_t pids[2], struct figures *figures)
{
    double before[2] = {cpu_s(pids[0]), cpu_s(pids[1])};
    int64_t begin_us = drv_clock_us();
    double gb = (double)total_bytes / 1e9;
    pthread_t pusher;

    if (pthread_create(&pusher, NULL, push, &in))
        fail("cannot start a thread");
    drain(out);
    figures->bytes_per_s = (double)total_bytes / ((double)(drv_clock_us() - begin_us) / 1e6);
    pthread_join(pusher, NULL);
    figures->sender_cpu_s_per_gb = (cpu_s(pids[0]) - before[0]) / gb;
    figures->receiver_cpu_s_per_gb = (cpu_s(pids[1]) - before[1]) / gb;
}

static void run_relay(unsigned links, struct figures *figures)
{
    struct drv_relay_status status;
    struct drv_error err;
    struct pair pair;
    int ends[PAIR_ENDS];
    pid_t pids[2];

    if (pair_start(&pair, links, &err) || pair_stream(&pair, DRV_CHANNEL_RAM, ends, &err))
        fail("%s", err.message);
    pids[0] = pair_pid(&pair, PAIR_SOURCE);
    pids[1] = pair_pid(&pair, PAIR_TARGET);
    measure(ends[PAIR_SOURCE], ends[PAIR_TARGET], pids, figures);
    if (drv_relay_status(pair.relay[PAIR_SOURCE], &status, &err))
        fail("%s", err.message);
    figures->wire_overhead = (double)status.wire_out_bytes / (double)total_bytes;
    figures->memory_bytes = (double)status.memory_bytes;
    close(ends[PAIR_SOURCE]);
    close(ends[PAIR_TARGET]);
    pair_stop(&pair);
}

/* The simplest thing that could carry a stream. */
static void copy_all(int in, int out)
{
    uint8_t *piece = malloc(PIECE);
    ssize_t size;

    while (piece && (size = recv(in, piece, PIECE, 0)) > 0)
        for (ssize_t done = 0; done < size;) {
            ssize_t sent = send(out, piece + done, (size_t)(size - done), MSG_NOSIGNAL);

            if (sent <= 0)
                _exit(1);
            done += sent;
        }
    shutdown(out, SHUT_WR);
    /* Alive until it was measured. */
    pause();
    _exit(0);
}

static void tcp_pair(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || ends[0] < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &size) ||
        connect(ends[0], (struct sockaddr *)&address, size))
        fail("cannot connect over loopback: %s", strerror(errno));
    ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
}

static void run_plain(struct figures *figures)
{
    int in[2], out[2], tcp[2];
    pid_t pids[2];

    tcp_pair(tcp);
    if (tcp[1] < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out))
        fail("cannot make sockets: %s", strerror(errno));
    pids[0] = fork();
    if (pids[0] == 0)
        copy_all(in[1], tcp[0]);
    pids[1] = fork();
    if (pids[1] == 0)
        copy_all(tcp[1], out[0]);
    if (pids[0] < 0 || pids[1] < 0)
        fail("cannot fork: %s", strerror(errno));
    measure(in[0], out[1], pids, figures);
    for (size_t i = 0; i < 2; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
        close(in[i]);
        close(out[i]);
        close(tcp[i]);
    }
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(const struct figures *runs, size_t count, size_t field)
{
    double values[RUNS_MAX];

    for (size_t i = 0; i < count; i++)
        values[i] = ((const double *)&runs[i])[field];
    qsort(values, count, sizeof values[0], ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static struct figures medians(const struct figures *runs, size_t count)
{
    struct figures result;

    for (size_t i = 0; i < sizeof result / sizeof(double); i++)
        ((double *)&result)[i] = median(runs, count, i);
    return result;
}

static void write_json(FILE *file, const struct figures *relay, const struct figures *plain, unsigned links,
                       unsigned runs)
{
    fprintf(file,
            "{\"bytes\": %llu, \"runs\": %u, \"links\": %u,\n"
            " \"relay\": {\"bytes_per_s\": %.0f, \"sender_cpu_s_per_gb\": %.3f, "
            "\"receiver_cpu_s_per_gb\": %.3f, \"wire_overhead\": %.5f, \"memory_bytes\": %.0f},\n"
            " \"plain\": {\"bytes_per_s\": %.0f, \"sender_cpu_s_per_gb\": %.3f, "
            "\"receiver_cpu_s_per_gb\": %.3f},\n"
            " \"ratio\": {\"throughput\": %.3f, \"sender_cpu\": %.3f, \"receiver_cpu\": %.3f}}\n",
            (unsigned long long)total_bytes, runs, links, relay->bytes_per_s, relay->sender_cpu_s_per_gb,
            relay->receiver_cpu_s_per_gb, relay->wire_overhead, relay->memory_bytes, plain->bytes_per_s,
            plain->sender_cpu_s_per_gb, plain->receiver_cpu_s_per_gb, relay->bytes_per_s / plain->bytes_per_s,
            relay->sender_cpu_s_per_gb / plain->sender_cpu_s_per_gb,
            relay->receiver_cpu_s_per_gb / plain->receiver_cpu_s_per_gb);
}

static void show(const char *name, const struct figures *figures)
{
    printf("%-12s %8.0f MB/s   sender %.3f CPU s/GB (%.2f GB per CPU s)   receiver %.3f (%.2f)\n", name,
           figures->bytes_per_s / 1e6, figures->sender_cpu_s_per_gb, 1 / figures->sender_cpu_s_per_gb,
           figures->receiver_cpu_s_per_gb, 1 / figures->receiver_cpu_s_per_gb);
}

static const char help[] = "Usage: bench-relay [--json FILE] [--mib N] [--runs N] [--links N]\n"
                           "Pushes N MiB (4096) of random bytes through two relays and through a plain copy,\n"
                           "by turns, --runs times (5), and prints medians. Needs root and DRV_RELAY_PROGRAM.\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", required_argument, NULL, 'j'}, {"mib", required_argument, NULL, 'm'},
        {"runs", required_argument, NULL, 'r'}, {"links", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},       {0}};
    struct figures relay[RUNS_MAX] = {0}, plain[RUNS_MAX] = {0}, relay_median, plain_median;
    const char *json = NULL;
    unsigned runs = 5, links = 2;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'j')
            json = optarg;
        else if (option == 'm')
            total_bytes = strtoull(optarg, NULL, 10) << 20;
        else if (option == 'r')
            runs = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'l')
            links = (unsigned)strtoul(optarg, NULL, 10);
        else {
            fputs(help, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (!total_bytes || !runs || runs > RUNS_MAX)
        fail("--mib and --runs must be at least 1, --runs at most %d", RUNS_MAX);
    if (pair_unavailable())
        fail("%s", pair_unavailable());
    random_bytes = malloc(SOURCE_BYTES);
    for (size_t at = 0; random_bytes && at < SOURCE_BYTES;) {
        ssize_t got = getrandom(random_bytes + at, SOURCE_BYTES - at, 0);

        if (got < 0)
            fail("no random bytes: %s", strerror(errno));
        at += (size_t)got;
    }
    for (unsigned i = 0; i < runs; i++) {
        run_plain(&plain[i]);
        run_relay(links, &relay[i]);
        show("plain copy", &plain[i]);
        show("relay", &relay[i]);
    }
    relay_median = medians(relay, runs);
    plain_median = medians(plain, runs);
    printf("\nmedians of %u:\n", runs);
    show("plain copy", &plain_median);
    show("relay", &relay_median);
    printf("relay / plain: throughput %.2f, sender CPU %.2f, receiver CPU %.2f; "
           "wire bytes %.4f of the payload\n",
           relay_median.bytes_per_s / plain_median.bytes_per_s,
           relay_median.sender_cpu_s_per_gb / plain_median.sender_cpu_s_per_gb,
           relay_median.receiver_cpu_s_per_gb / plain_median.receiver_cpu_s_per_gb, relay_median.wire_overhead);
    if (json) {
        FILE *file = fopen(json, "w");

        if (!file)
            fail("cannot write %s: %s", json, strerror(errno));
        write_json(file, &relay_median, &plain_median, links, runs);
        fclose(file);
    }
    return 0;
}
