/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness: the lab's guest workload. It answers UDP and TCP with a running number, keeps
 * memory that it knows every byte of, writes numbered records to its disk, and counts how
 * much work it gets done. Runs as the guest's first process; takes its settings from the
 * kernel's command line. docs/lab.rst describes the protocol.
 *
 * Under emulation a process a processor beside it empties that processor's TLB, see flush_tlb().
 *
 * Threads: the server (the main one; the only writer of the running number), memory, disk,
 * work. They share only `now`, whose fields are atomic and have one writer each.
 */
#include <assert.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/input.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"
#include "protocol.h"
#include "records.h"

enum { MAX_CLIENTS = 32, MAX_BUTTONS = 8 };
/* Checking goes on all the time, but slowly, so that an idle guest costs a host little. */
enum { CHECK_MIB_S = 16, MEMORY_TICK_MS = 20, IDLE_TICK_MS = 100, MIB = 1 << 20 };
enum { WORK_BURST = 20000, WORK_EVERY_MS = 50 };

static struct {
    uint64_t work_mib, dirty_mib_s, compress_percent, records_per_s, busy, flush_ms;
    char boot_id[40];
    uint64_t nonce;
} settings = {.compress_percent = 50, .records_per_s = 10};

static struct state {
    _Atomic uint64_t number; /* of the last answer */
    _Atomic uint64_t memory_bytes, passes, errors, rewritten, checked, generation;
    _Atomic uint64_t fault_offset, fault_expected, fault_found;
    _Atomic uint64_t disk_slots, disk_highest, disk_oldest, disk_missing, disk_damaged;
    _Atomic uint64_t disk_acknowledged, disk_errors, disk_started_at;
    _Atomic uint64_t work, work_ns;
    _Atomic uint64_t verify_wanted, verify_memory_done, verify_disk_done;
} * state;
#define now (*state)

static uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_ms(unsigned ms)
{
    struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&ts, NULL);
}

static void die(const char *what)
{
    fprintf(stderr, "witness: %s: %s\n", what, strerror(errno));
    exit(1); /* the kernel panics and the guest reboots: clients see a new boot */
}

/* ---- memory ---- */

struct checker {
    uint64_t next; /* page to be checked next */
    uint64_t full; /* ticket of the verification whose pass is under way */
};

/* Checks up to @pages; the end of the memory is the end of a pass. */
static void check_some(const struct witness_memory *m, struct checker *c, uint64_t pages)
{
    struct witness_fault fault;

    for (; pages; pages--) {
        if (!witness_memory_check(m, c->next, &fault)) {
            if (!now.errors) {
                now.fault_offset = fault.offset;
                now.fault_expected = fault.expected;
                now.fault_found = fault.found;
            }
            now.errors++;
        }
        now.checked += WITNESS_PAGE;
        if (++c->next < m->pages)
            continue;
        c->next = 0;
        if (!witness_memory_check_sum(m))
            now.errors++;
        now.passes++;
        now.verify_memory_done = c->full;
        return;
    }
}

/* How many pages are due after @ns at a rate; what could not be done in a tick is not owed. */
static uint64_t due_pages(uint64_t *credit_bytes_ns, uint64_t mib_s, uint64_t ns)
{
    uint64_t page_cost = (uint64_t)WITNESS_PAGE * 1000000000u, pages;

    if (ns > 200000000u)
        ns = 200000000u;
    *credit_bytes_ns += ns * mib_s * MIB;
    pages = *credit_bytes_ns / page_cost;
    *credit_bytes_ns -= pages * page_cost;
    return pages;
}

static void *memory_thread(void *arg)
{
    struct witness_memory *m = arg;
    struct checker c = {0, 0};
    uint64_t write_credit = 0, check_credit = 0, next = 0, last = clock_ns();

    for (;;) {
        uint64_t t = clock_ns(), begun;
        uint64_t writes = due_pages(&write_credit, settings.dirty_mib_s, t - last);
        uint64_t checks = due_pages(&check_credit, CHECK_MIB_S, t - last);

        last = begun = t;
        for (uint64_t i = 0; i < writes; i++) {
            witness_memory_write(m, next);
            next = (next + 1) % m->pages;
            now.rewritten += WITNESS_PAGE;
            if (i % 64 == 63 && clock_ns() - begun > MEMORY_TICK_MS * 4 * 1000000ull)
                break;
        }
        now.generation = m->generation[next];
        if (now.verify_memory_done != now.verify_wanted) {
            if (c.full != now.verify_wanted) {
                c.full = now.verify_wanted;
                c.next = 0;
            }
            check_some(m, &c, 2048);
            continue; /* as fast as it goes, but the rewriting goes on */
        }
        check_some(m, &c, checks);
        sleep_ms(settings.dirty_mib_s ? MEMORY_TICK_MS : IDLE_TICK_MS);
    }
    return NULL;
}

static void start_memory(void)
{
    static struct witness_memory m;
    uint64_t pages = settings.work_mib * MIB / WITNESS_PAGE;
    uint8_t *bytes;
    uint32_t *generation;
    pthread_t thread;

    if (!pages)
        return;
    bytes = mmap(NULL, pages * WITNESS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    generation = calloc(pages, sizeof(*generation));
    if (bytes == MAP_FAILED || !generation)
        die("no memory for the work (is --work larger than --memory?)");
    witness_memory_init(&m, bytes, generation, pages, (unsigned)settings.compress_percent);
    for (uint64_t i = 0; i < pages; i++)
        witness_memory_write(&m, i);
    now.memory_bytes = pages * WITNESS_PAGE;
    if (pthread_create(&thread, NULL, memory_thread, &m))
        die("cannot start the memory's thread");
}

/* ---- disk ---- */

static int scan_disk(const struct witness_disk *d)
{
    struct witness_scan scan;
    int rc = witness_disk_scan(d, &scan);

    if (rc < 0) {
        now.disk_errors++;
        return rc;
    }
    now.disk_highest = scan.highest;
    now.disk_oldest = scan.oldest;
    now.disk_missing = scan.missing;
    now.disk_damaged = scan.damaged;
    return 0;
}

static void *disk_thread(void *arg)
{
    struct witness_disk *d = arg;
    uint64_t number;

    if (scan_disk(d) < 0)
        return NULL;
    number = now.disk_highest;
    now.disk_started_at = number;
    now.disk_acknowledged = number; /* they were on the disk when we looked */
    for (;;) {
        uint64_t wanted = now.verify_wanted;

        if (now.verify_disk_done != wanted) {
            scan_disk(d);
            now.verify_disk_done = wanted;
        }
        if (settings.records_per_s) {
            if (witness_disk_write(d, number + 1, settings.nonce) < 0)
                now.disk_errors++;
            else
                now.disk_acknowledged = now.disk_highest = ++number;
        }
        sleep_ms(settings.records_per_s ? (unsigned)(1000 / settings.records_per_s) : 100);
    }
    return NULL;
}

static void start_disk(void)
{
    static struct witness_disk d;
    int fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
    pthread_t thread;
    uint64_t size;
    void *buffer;

    if (fd < 0)
        return; /* a guest without a disk */
    if (ioctl(fd, BLKGETSIZE64, &size) < 0 || posix_memalign(&buffer, WITNESS_RECORD, WITNESS_CHUNK) ||
        witness_disk_init(&d, fd, size, buffer) < 0)
        die("cannot use the disk");
    now.disk_slots = d.slots;
    if (pthread_create(&thread, NULL, disk_thread, &d))
        die("cannot start the disk's thread");
}

/* ---- work ---- */

/* How fast the processor is for us: a fixed piece of work, timed, every now and then. */
static void *work_thread(void *arg)
{
    volatile uint64_t sink __attribute__((unused)) = 0; /* so that the work is not left out */

    for (;;) {
        uint64_t begun = clock_ns(), x = now.work + 1;

        for (int i = 0; i < WORK_BURST; i++)
            x = x * 6364136223846793005u + 1442695040888963407u;
        sink += x;
        now.work += WORK_BURST;
        now.work_ns += clock_ns() - begun;
        if (!settings.busy)
            sleep_ms(WORK_EVERY_MS);
    }
    return arg;
}

/* ---- emulated processors ---- */

/*
 * QEMU's emulation loses writes when it migrates (seen with 7.2; later versions repaired most of
 * it, see "physmem: Fix migration dirty bitmap coherency with TCG memory access"): when it reads
 * and clears its dirty bitmap, the emulated TLBs may go on believing that the pages are marked.
 * Writes to a page in a TLB are not noticed until that TLB is emptied, and this guest has only
 * one address space and would hardly ever empty it; moved so, it crashes once in ten moves. So a process pinned to
 * each processor empties its TLB every few ms, by changing the protection of more pages than
 * Linux flushes one by one. KVM has no such fault, and then this does not run.
 */
static void __attribute__((noreturn)) flush_tlb(int processor)
{
    enum { SIZE = 64 * 4096 };
    cpu_set_t set;
    char *pages = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    if (pages == MAP_FAILED || sched_setaffinity(0, sizeof(set), &set) < 0)
        die("cannot be pinned to a processor");
    for (;;) {
        if (mprotect(pages, SIZE, PROT_READ) < 0 || mprotect(pages, SIZE, PROT_READ | PROT_WRITE) < 0)
            die("cannot change pages");
        for (int i = 0; i < SIZE; i += 4096)
            ((volatile char *)pages)[i] = 1;
        sleep_ms((unsigned)settings.flush_ms);
    }
}

/*
 * What is written all the time, the last time just before the guest is stopped, is what that
 * fault hits first. So it shares its page with code that runs: an emulator looks at every write
 * to such a page, whatever its TLBs say.
 */
enum { CODE_SIZE = 64, RETURN = 0xc3 };
static unsigned char *code_page;

static void run_beside_state(void)
{
    void (*code)(void);

    memcpy(&code, &code_page, sizeof code);
    code();
}

static void make_state(void)
{
    static_assert(CODE_SIZE + sizeof(struct state) <= 4096, "it must be one page");
    code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code_page == MAP_FAILED)
        die("no memory");
    code_page[0] = RETURN;
    state = (struct state *)(void *)(code_page + CODE_SIZE);
    run_beside_state();
}

/* Before anything else: the processes shall be small. */
static void start_flushing(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    for (int i = 0; settings.flush_ms && i < processors; i++) {
        pid_t pid = fork();

        if (pid < 0)
            die("cannot fork");
        if (pid == 0)
            flush_tlb(i);
    }
}

/* ---- server ---- */

static size_t make_status(char *out, size_t size, uint64_t number)
{
    int n = snprintf(out, size,
                     "status number=%" PRIu64 " boot=%s nonce=%016" PRIx64 " clock_ns=%" PRIu64 " memory_bytes=%" PRIu64
                     " passes=%" PRIu64 " errors=%" PRIu64 " generation=%" PRIu64 " rewritten=%" PRIu64
                     " checked=%" PRIu64 " fault_offset=%" PRIu64 " fault_expected=%" PRIu64 " fault_found=%" PRIu64
                     " disk_slots=%" PRIu64 " disk_highest=%" PRIu64 " disk_oldest=%" PRIu64 " disk_missing=%" PRIu64
                     " disk_damaged=%" PRIu64 " disk_acknowledged=%" PRIu64 " disk_errors=%" PRIu64
                     " disk_started_at=%" PRIu64 " work=%" PRIu64 " work_ns=%" PRIu64 " verify_wanted=%" PRIu64
                     " verify_memory_done=%" PRIu64 " verify_disk_done=%" PRIu64 "\n",
                     number, settings.boot_id, settings.nonce, clock_ns(), now.memory_bytes, now.passes, now.errors,
                     now.generation, now.rewritten, now.checked, now.fault_offset, now.fault_expected, now.fault_found,
                     now.disk_slots, now.disk_highest, now.disk_oldest, now.disk_missing, now.disk_damaged,
                     now.disk_acknowledged, now.disk_errors, now.disk_started_at, now.work, now.work_ns,
                     now.verify_wanted, now.memory_bytes ? now.verify_memory_done : now.verify_wanted,
                     now.disk_slots ? now.verify_disk_done : now.verify_wanted);

    return n < (int)size ? (size_t)n : size - 1;
}

static size_t make_reply(const char *request, char *out, size_t size)
{
    uint64_t seq, number;
    int n;

    run_beside_state();
    number = ++now.number;
    if (sscanf(request, "ping %" SCNu64, &seq) == 1) {
        n = snprintf(out, size, "pong %" PRIu64 " %" PRIu64 " %016" PRIx64 " %" PRIu64 " %" PRIu64 "\n", seq, number,
                     settings.nonce, clock_ns(), now.disk_acknowledged);
        return (size_t)n;
    }
    if (!strncmp(request, "status", 6))
        return make_status(out, size, number);
    if (!strncmp(request, "verify", 6)) {
        n = snprintf(out, size, "verify %" PRIu64 "\n", ++now.verify_wanted);
        return (size_t)n;
    }
    n = snprintf(out, size, "error no such request\n");
    return (size_t)n;
}

static int listen_on(int type)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(WITNESS_PORT)};
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || (type == SOCK_STREAM && listen(fd, MAX_CLIENTS) < 0))
        die("cannot listen");
    return fd;
}

static void serve_udp(int fd)
{
    char request[64], reply[WITNESS_MAX_LINE];
    struct sockaddr_in from;

    for (;;) {
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(fd, request, sizeof(request) - 1, 0, (struct sockaddr *)&from, &len);
        size_t size;

        if (n < 0)
            return;
        request[n] = '\0';
        size = make_reply(request, reply, sizeof(reply));
        /* A full queue loses an answer, as UDP may. */
        (void)!sendto(fd, reply, size, MSG_DONTWAIT, (struct sockaddr *)&from, len);
    }
}

/* Requests are lines that clients send in one piece; more of them may be in one read. */
static void serve_tcp(int fd)
{
    char request[512], reply[WITNESS_MAX_LINE], *line, *rest = request;
    ssize_t n = recv(fd, request, sizeof(request) - 1, 0);

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            close(fd);
        return;
    }
    request[n] = '\0';
    while ((line = strsep(&rest, "\n")) && *line) {
        size_t size = make_reply(line, reply, sizeof(reply));

        if (send(fd, reply, size, MSG_NOSIGNAL) != (ssize_t)size) {
            close(fd);
            return;
        }
    }
}

/* The power button: `virsh shutdown`. */
static void serve_button(int fd)
{
    struct input_event event;

    while (read(fd, &event, sizeof(event)) == sizeof(event)) {
        if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1) {
            sync();
            reboot(RB_POWER_OFF);
        }
    }
}

static void watch_fd(int ep, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll");
}

static bool is_one_of(const int *fds, int fd)
{
    for (int i = 0; i < MAX_BUTTONS; i++)
        if (fds[i] == fd)
            return true;
    return false;
}

static void serve(void)
{
    int udp = listen_on(SOCK_DGRAM), tcp = listen_on(SOCK_STREAM);
    int ep = epoll_create1(EPOLL_CLOEXEC), button[MAX_BUTTONS];

    watch_fd(ep, udp);
    watch_fd(ep, tcp);
    for (int i = 0; i < MAX_BUTTONS; i++) {
        char path[32];

        snprintf(path, sizeof(path), "/dev/input/event%d", i);
        button[i] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (button[i] >= 0)
            watch_fd(ep, button[i]);
    }
    printf("witness: ready\n");
    fflush(stdout);
    for (;;) {
        struct epoll_event e[16];
        int n = epoll_wait(ep, e, 16, -1);

        for (int i = 0; i < n; i++) {
            if (e[i].data.fd == udp) {
                serve_udp(udp);
            } else if (e[i].data.fd == tcp) {
                int fd = accept4(tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

                if (fd < 0)
                    continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                watch_fd(ep, fd);
            } else if (is_one_of(button, e[i].data.fd)) {
                serve_button(e[i].data.fd);
            } else {
                serve_tcp(e[i].data.fd);
            }
        }
    }
}

static void read_settings(void)
{
    static const struct {
        const char *name;
        uint64_t *value;
    } known[] = {
        {"witness.work=", &settings.work_mib},
        {"witness.dirty=", &settings.dirty_mib_s},
        {"witness.compress=", &settings.compress_percent},
        {"witness.records=", &settings.records_per_s},
        {"witness.busy=", &settings.busy},
        {"witness.flush=", &settings.flush_ms},
    };
    char text[4096], *word, *rest = text;
    FILE *f = fopen("/proc/cmdline", "re"), *id = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (!f || !fgets(text, sizeof(text), f) || !id || fscanf(id, "%39s", settings.boot_id) != 1)
        die("cannot read the settings in /proc");
    fclose(f);
    fclose(id);
    while ((word = strsep(&rest, " \n")))
        for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
            if (!strncmp(word, known[i].name, strlen(known[i].name)))
                *known[i].value = strtoull(word + strlen(known[i].name), NULL, 10);
    if (getrandom(&settings.nonce, sizeof(settings.nonce), 0) != sizeof(settings.nonce))
        die("no random number");
}

int main(void)
{
    pthread_t thread;

    read_settings();
    start_flushing();
    make_state();
    start_memory();
    start_disk();
    if (pthread_create(&thread, NULL, work_thread, NULL))
        die("cannot start the work's thread");
    serve();
    return 1;
}
