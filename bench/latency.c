/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a guest waits for a page in post-copy: the target asks on the return path, the source
 * answers in its stream. Over two relays, and over a TCP connection from one to the other, as QEMU
 * has it by itself; with nothing else to send, and with the rest of memory being sent all the
 * while, which the answer is behind of. Over loopback, or over one that has a rate.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "pair.h"

#define PAGE 4096u
#define RECORD (8u + PAGE)
#define AT_ONCE 8u /* pages that QEMU writes at a time: 32 KiB */
#define ANSWER UINT64_C(0x616e737765722121)
#define REQUESTS_MAX 20000u
#define SETTLE_US 1500000 /* until the link's rate is known */

struct line {
    int source, target;
    bool busy;
    _Atomic bool over;
    uint64_t bytes;
};

static uint8_t random_page[PAGE];
static unsigned requests = 500;
static double took_us[REQUESTS_MAX];

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fputs("bench-latency: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    exit(1);
}

static void put(int fd, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

        if (sent <= 0)
            fail("cannot write: %s", strerror(errno));
        bytes += sent;
        size -= (size_t)sent;
    }
}

static void get(int fd, uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t got = recv(fd, bytes, size, 0);

        if (got <= 0)
            fail("cannot read: %s", got ? strerror(errno) : "the other end has closed");
        bytes += got;
        size -= (size_t)got;
    }
}

/* What comes before the first page, the package that begins post-copy included. Return: bytes. */
static size_t preamble(uint8_t *out)
{
    static const uint8_t begin[] = {'Q', 'E', 'V', 'M', 0, 0, 0, 3, 7, 0, 0, 0, 1, 'x'};
    static const uint8_t ram[] = {1, 0, 0, 0, 2, 3, 'r', 'a', 'm', 0, 0, 0, 0, 0, 0, 0, 4};
    static const uint8_t rest[] = {0, 0, 0, 0, 0, 0, 0, 0x10, 0x7e, 0,   0,   0,
                                   2, 8, 0, 8, 0, 4, 0, 0,    0,    2,   'o', 'k', /* the package */
                                   2, 0, 0, 0, 2, /* a section of pages; the first names its block */
                                   0, 0, 0, 0, 0, 0, 0, 8,    2,    'p', 'c'};
    struct drv_writer writer = drv_writer_over(out, 1024);

    drv_write_bytes(&writer, begin, sizeof begin);
    drv_write_bytes(&writer, ram, sizeof ram);
    drv_write_u64(&writer, UINT64_C(1) << 40 | 4);
    drv_write_u8(&writer, 2);
    drv_write_bytes(&writer, (const uint8_t *)"pc", 2);
    drv_write_u64(&writer, UINT64_C(1) << 40);
    drv_write_bytes(&writer, rest, sizeof rest);
    drv_write_bytes(&writer, random_page, PAGE);
    return drv_writer_used(&writer);
}

/* A page of noise. @mark: ANSWER, or 0. */
static void make_page(uint8_t *out, uint64_t number, uint64_t mark)
{
    struct drv_writer writer = drv_writer_over(out, RECORD);
    uint64_t noise = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

    drv_write_u64(&writer, number * PAGE | 0x28);
    drv_write_u64(&writer, mark);
    for (size_t i = 8; i < PAGE; i += 8) {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        drv_write_u64(&writer, noise);
    }
}

/* QEMU at the source: the rest of memory, but what is asked for first. */
static void *send_pages(void *argument)
{
    struct line *line = argument;
    uint8_t *pages = malloc((size_t)AT_ONCE * RECORD + 1024);
    uint64_t number = 1;

    if (!pages)
        fail("no memory");
    put(line->source, pages, preamble(pages));
    while (!atomic_load(&line->over)) {
        struct pollfd asked = {.fd = line->source, .events = POLLIN};
        uint8_t request[8];

        if (poll(&asked, 1, line->busy ? 0 : 100) > 0) {
            get(line->source, request, sizeof request);
            make_page(pages, number++, ANSWER);
            put(line->source, pages, RECORD);
        } else if (line->busy) {
            for (unsigned i = 0; i < AT_ONCE; i++)
                make_page(pages + i * RECORD, number++, 0);
            put(line->source, pages, (size_t)AT_ONCE * RECORD);
        }
    }
    free(pages);
    shutdown(line->source, SHUT_WR);
    return NULL;
}

/* QEMU at the target. Return: whether the next page was an answer. */
static bool take_page(struct line *line, uint8_t *page)
{
    struct drv_reader reader = drv_reader_over(page + 8, 8);

    get(line->target, page, RECORD);
    line->bytes += RECORD;
    return drv_read_u64(&reader) == ANSWER;
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

struct figures {
    double median_us, p99_us, worst_us, bytes_per_s;
};

static struct figures measure(int source, int target, bool busy)
{
    struct line line = {.source = source, .target = target, .busy = busy};
    uint8_t page[RECORD], first[1024 + PAGE];
    int64_t begin_us;
    pthread_t sender;

    if (pthread_create(&sender, NULL, send_pages, &line))
        fail("cannot start a thread");
    get(target, first, preamble(first));
    begin_us = drv_clock_us();
    while (busy && drv_clock_us() - begin_us < SETTLE_US)
        (void)take_page(&line, page);
    begin_us = drv_clock_us();
    line.bytes = 0;
    for (unsigned i = 0; i < requests; i++) {
        int64_t asked_us = drv_clock_us();
        uint8_t request[8] = {0};

        put(target, request, sizeof request);
        while (!take_page(&line, page))
            ;
        took_us[i] = (double)(drv_clock_us() - asked_us);
    }
    line.bytes = line.bytes * 1000000 / (uint64_t)(drv_clock_us() - begin_us + 1);
    atomic_store(&line.over, true);
    while (recv(target, page, sizeof page, 0) > 0)
        ;
    pthread_join(sender, NULL);
    qsort(took_us, requests, sizeof took_us[0], ascending);
    return (struct figures){took_us[requests / 2], took_us[requests * 99 / 100], took_us[requests - 1],
                            (double)line.bytes};
}

/* ---- the ways ---- */

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *fmt, ...)
{
    char command[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    if (system(command))
        fail("this failed: %s", command);
}

/* A loopback of our own; what goes to a port that is named later goes at a rate. */
static void make_link(const char *rate)
{
    if (unshare(CLONE_NEWNET))
        fail("no network namespace: %s", strerror(errno));
    shell("ip link set lo mtu 1500 up");
    if (!rate)
        return;
    shell("tc qdisc add dev lo root handle 1: htb default 1");
    shell("tc class add dev lo parent 1: classid 1:1 htb rate 40gbit quantum 60000");
    shell("tc class add dev lo parent 1: classid 1:2 htb rate 40gbit quantum 60000");
    shell("tc qdisc add dev lo parent 1:2 handle 2: tbf rate %s burst 64kb latency 4ms", rate);
}

static void slow_down(const char *rate, uint16_t port)
{
    if (!rate)
        return;
    shell("tc filter del dev lo parent 1:");
    shell("tc filter add dev lo parent 1: protocol ip u32 match ip dport %u 0xffff flowid 1:2", port);
}

static struct figures over_relays(const char *rate, bool busy)
{
    struct drv_error err;
    struct figures found;
    struct pair pair;
    int ends[PAIR_ENDS];

    if (pair_start(&pair, 3, &err) || pair_stream(&pair, DRV_CHANNEL_RAM, ends, &err))
        fail("%s", err.message);
    slow_down(rate, pair.port);
    found = measure(ends[PAIR_SOURCE], ends[PAIR_TARGET], busy);
    close(ends[PAIR_SOURCE]);
    close(ends[PAIR_TARGET]);
    pair_stop(&pair);
    return found;
}

static struct figures over_tcp(const char *rate, bool busy)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int source = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), target;
    struct figures found;

    if (listener < 0 || source < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &size) || connect(source, (struct sockaddr *)&address, size))
        fail("cannot connect over loopback: %s", strerror(errno));
    target = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
    slow_down(rate, ntohs(address.sin_port));
    found = measure(source, target, busy);
    close(source);
    close(target);
    return found;
}

static const char help[] =
    "Usage: bench-latency [--json FILE] [--requests N] [--rate RATE]\n"
    "How long a page takes that is asked for in post-copy, over two relays and over TCP alone, by\n"
    "turns: N requests (500) each, one after the other, on a quiet link and on one that is busy with\n"
    "the rest of the memory. RATE is tc's (1gbit); without it loopback as it is.\n"
    "Needs root, tc, and DRV_RELAY_PROGRAM.\n";

static void show(FILE *json, const char *name, const struct figures *found, bool last)
{
    printf("%-22s median %8.0f us   99 %% %8.0f us   worst %8.0f us   %7.1f MB/s\n", name, found->median_us,
           found->p99_us, found->worst_us, found->bytes_per_s / 1e6);
    fflush(stdout);
    if (json)
        fprintf(json,
                "  \"%s\": {\"median_us\": %.0f, \"p99_us\": %.0f, \"worst_us\": %.0f, "
                "\"bytes_per_s\": %.0f}%s\n",
                name, found->median_us, found->p99_us, found->worst_us, found->bytes_per_s, last ? "" : ",");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"json", required_argument, NULL, 'j'},
                                            {"requests", required_argument, NULL, 'n'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *rate = NULL, *path = NULL;
    FILE *json = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'j')
            path = optarg;
        else if (option == 'n')
            requests = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'r')
            rate = optarg;
        else {
            fputs(help, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (!requests || requests > REQUESTS_MAX)
        fail("--requests is 1 to %u", REQUESTS_MAX);
    if (pair_unavailable())
        fail("%s", pair_unavailable());
    if (getrandom(random_page, sizeof random_page, 0) != (ssize_t)sizeof random_page)
        fail("no random bytes: %s", strerror(errno));
    make_link(rate);
    if (path && !(json = fopen(path, "w")))
        fail("cannot write %s: %s", path, strerror(errno));
    if (json)
        fprintf(json, "{\n  \"rate\": \"%s\", \"requests\": %u,\n", rate ? rate : "none", requests);
    for (int busy = 0; busy < 2; busy++) {
        struct figures tcp = over_tcp(rate, busy), relays = over_relays(rate, busy);

        show(json, busy ? "tcp_busy" : "tcp_quiet", &tcp, false);
        show(json, busy ? "relays_busy" : "relays_quiet", &relays, busy);
    }
    if (json) {
        fputs("}\n", json);
        fclose(json);
    }
    return 0;
}
