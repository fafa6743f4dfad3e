/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness's client: asks a witness guest at a steady pace, and says in JSON what it saw:
 * gaps, reboots, two copies running, wrong memory, lost writes, work done. docs/lab.rst
 * describes the JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "history.h"
#include "protocol.h"
#include "report.h"

enum { SENT_RECENT = 65536 };
enum { TCP_EVERY_MS = 20, STATUS_EVERY_MS = 1000, RETRY_MS = 100, GAP_MS = 20 };
enum { EXIT_NO_ANSWER = 1, EXIT_USAGE = 2, EXIT_FOUND = 3 };

struct options {
    struct sockaddr_in to;
    double seconds;
    unsigned interval_ms;
    unsigned timeout_s;
    const char *until_file, *ready_file;
    enum { WATCH, STATUS, VERIFY } mode;
    bool verify_after;
};

struct watch {
    const struct options *options;
    struct witness_history *history;
    int udp, tcp; /* tcp: -1 while there is no connection */
    bool tcp_connecting, tcp_open_question;
    uint64_t sent, start_ns;
    uint64_t sent_ns[SENT_RECENT]; /* when question seq was asked, at seq % SENT_RECENT */
    uint64_t rtt_min_ns, rtt_max_ns, rtt_sum_ns, rtts;
    uint64_t tcp_next_ns, tcp_asked, tcp_answered, tcp_lost, tcp_last_ns, tcp_longest_ns;
    uint64_t status_next_ns;
    char line[2 * WITNESS_MAX_LINE];
    size_t line_size;
    struct witness_series series;
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "witness: %s: %s\n", what, strerror(errno));
    exit(EXIT_NO_ANSWER);
}

static int connect_udp(const struct options *o)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&o->to, sizeof(o->to)) < 0)
        fail("cannot make a UDP socket");
    return fd;
}

/* ---- TCP: one connection that should live as long as the guest does ---- */

static void tcp_begin(struct watch *w)
{
    int on = 1;

    w->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->tcp < 0)
        fail("cannot make a TCP socket");
    setsockopt(w->tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    w->tcp_connecting = true;
    w->tcp_open_question = false;
    w->line_size = 0;
    if (connect(w->tcp, (const struct sockaddr *)&w->options->to, sizeof(w->options->to)) < 0 && errno != EINPROGRESS) {
        close(w->tcp);
        w->tcp = -1;
        w->tcp_next_ns = now_ns() + RETRY_MS * 1000000ull;
    }
}

static void tcp_end(struct watch *w)
{
    if (!w->tcp_connecting)
        w->tcp_lost++;
    close(w->tcp);
    w->tcp = -1;
    w->tcp_next_ns = now_ns() + RETRY_MS * 1000000ull;
}

static void tcp_ask(struct watch *w, uint64_t now)
{
    char text[64];
    int n;

    if (now >= w->status_next_ns) {
        n = snprintf(text, sizeof(text), "status\n");
        w->status_next_ns = now + STATUS_EVERY_MS * 1000000ull;
    } else {
        n = snprintf(text, sizeof(text), "ping %" PRIu64 "\n", w->tcp_asked);
    }
    if (send(w->tcp, text, (size_t)n, MSG_NOSIGNAL) != n) {
        tcp_end(w);
        return;
    }
    w->tcp_asked++;
    w->tcp_open_question = true;
}

static void tcp_line(struct watch *w, uint64_t now, const char *line)
{
    struct witness_status status;

    if (w->tcp_answered && now - w->tcp_last_ns > w->tcp_longest_ns)
        w->tcp_longest_ns = now - w->tcp_last_ns;
    w->tcp_answered++;
    w->tcp_last_ns = now;
    w->tcp_open_question = false;
    w->tcp_next_ns = now + TCP_EVERY_MS * 1000000ull;
    if (witness_status_parse(line, &status))
        witness_series_add(&w->series, now - w->start_ns, &status);
}

static void tcp_ready(struct watch *w, short events)
{
    uint64_t now = now_ns();
    ssize_t n;
    char *end;

    if (w->tcp_connecting) {
        int error = 0;
        socklen_t len = sizeof(error);

        getsockopt(w->tcp, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error || (events & (POLLHUP | POLLERR))) {
            tcp_end(w);
            return;
        }
        w->tcp_connecting = false;
        w->tcp_next_ns = now;
        return;
    }
    n = recv(w->tcp, w->line + w->line_size, sizeof(w->line) - 1 - w->line_size, 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            tcp_end(w);
        return;
    }
    w->line_size += (size_t)n;
    w->line[w->line_size] = '\0';
    while ((end = strchr(w->line, '\n'))) {
        *end++ = '\0';
        tcp_line(w, now, w->line);
        w->line_size -= (size_t)(end - w->line);
        memmove(w->line, end, w->line_size + 1);
    }
}

/* ---- UDP: a question each interval, whether the last one was answered or not ---- */

static void udp_ask(struct watch *w)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "ping %" PRIu64 "\n", w->sent);

    w->sent_ns[w->sent++ % SENT_RECENT] = now_ns();
    /* A guest that is away shows as ICMP errors here: no answer is all that matters. */
    (void)!send(w->udp, text, (size_t)n, MSG_NOSIGNAL);
}

static void note_rtt(struct watch *w, uint64_t seq, uint64_t now)
{
    uint64_t rtt;

    if (seq >= w->sent || w->sent - seq > SENT_RECENT)
        return;
    rtt = now - w->sent_ns[seq % SENT_RECENT];
    if (!w->rtts++ || rtt < w->rtt_min_ns)
        w->rtt_min_ns = rtt;
    if (rtt > w->rtt_max_ns)
        w->rtt_max_ns = rtt;
    w->rtt_sum_ns += rtt;
}

static void udp_ready(struct watch *w)
{
    struct witness_answer a;
    char text[WITNESS_MAX_LINE + 1];
    uint64_t now;

    for (;;) {
        ssize_t n = recv(w->udp, text, sizeof(text) - 1, 0);

        if (n < 0) {
            if (errno == ECONNREFUSED || errno == EHOSTUNREACH)
                continue; /* takes the pending error away */
            return;
        }
        text[n] = '\0';
        if (sscanf(text, "pong %" SCNu64 " %" SCNu64 " %" SCNx64 " %" SCNu64 " %" SCNu64, &a.seq, &a.number, &a.nonce,
                   &a.clock_ns, &a.acknowledged) != 5)
            continue;
        if (!w->history->answered && w->options->ready_file) {
            FILE *f = fopen(w->options->ready_file, "we");

            if (!f)
                fail(w->options->ready_file);
            fclose(f);
        }
        now = now_ns();
        note_rtt(w, a.seq, now);
        witness_history_answer(w->history, now, &a);
    }
}

static int make_timer(unsigned interval_ms)
{
    struct itimerspec every = {.it_interval = {interval_ms / 1000, interval_ms % 1000 * 1000000l}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    every.it_value = every.it_interval;
    if (fd < 0 || timerfd_settime(fd, 0, &every, NULL) < 0)
        fail("cannot make a timer");
    return fd;
}

static int make_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void on_tick(struct watch *w, uint64_t now)
{
    udp_ask(w);
    if (now < w->tcp_next_ns)
        return;
    if (w->tcp < 0)
        tcp_begin(w);
    else if (!w->tcp_connecting && !w->tcp_open_question)
        tcp_ask(w, now);
}

static void watch(struct watch *w)
{
    const struct options *o = w->options;
    struct pollfd fds[4] = {{make_timer(o->interval_ms), POLLIN, 0}, {make_signals(), POLLIN, 0}, {w->udp, POLLIN, 0}};

    w->start_ns = now_ns();
    w->tcp = -1;
    witness_history_init(w->history, w->start_ns, GAP_MS * 1000000ull);
    for (uint64_t ticks = 0;;) {
        uint64_t now, expired;

        fds[3] = (struct pollfd){w->tcp, w->tcp_connecting ? POLLOUT : POLLIN, 0};
        if (poll(fds, 4, -1) < 0 && errno != EINTR)
            fail("poll");
        /* Answers first: their time is now, not after the questions. */
        if (fds[2].revents)
            udp_ready(w);
        if (w->tcp >= 0 && fds[3].revents)
            tcp_ready(w, fds[3].revents);
        now = now_ns();
        if (fds[0].revents && read(fds[0].fd, &expired, sizeof(expired)) > 0) {
            on_tick(w, now);
            if (o->until_file && ticks++ % 10 == 0 && !access(o->until_file, F_OK))
                break;
        }
        if (fds[1].revents || (o->seconds > 0 && now - w->start_ns > o->seconds * 1e9))
            break;
    }
    witness_history_end(w->history, now_ns());
}

/* ---- one question, asked until it is answered ---- */

static bool ask(const struct options *o, const char *question, char *answer, size_t size)
{
    uint64_t deadline = now_ns() + o->timeout_s * 1000000000ull;
    struct pollfd p = {connect_udp(o), POLLIN, 0};
    bool found = false;

    while (!found && now_ns() < deadline) {
        (void)!send(p.fd, question, strlen(question), MSG_NOSIGNAL);
        if (poll(&p, 1, 200) > 0) {
            ssize_t n = recv(p.fd, answer, size - 1, 0);

            answer[n > 0 ? n : 0] = '\0';
            found = n > 0;
        }
    }
    close(p.fd);
    return found;
}

static bool ask_status(const struct options *o, struct witness_status *status)
{
    char text[WITNESS_MAX_LINE + 1];

    if (ask(o, "status\n", text, sizeof(text)) && witness_status_parse(text, status))
        return true;
    fprintf(stderr, "witness: no answer from %s within %u s\n", inet_ntoa(o->to.sin_addr), o->timeout_s);
    return false;
}

/* Has the guest check all of its memory and disk, and waits until it has. */
static bool verify(const struct options *o, struct witness_status *status)
{
    uint64_t deadline = now_ns() + o->timeout_s * 1000000000ull, ticket;
    char text[WITNESS_MAX_LINE + 1];

    if (!ask(o, "verify\n", text, sizeof(text)) || sscanf(text, "verify %" SCNu64, &ticket) != 1) {
        fprintf(stderr, "witness: %s does not verify\n", inet_ntoa(o->to.sin_addr));
        return false;
    }
    while (ask_status(o, status)) {
        struct timespec pause = {0, 50000000};

        if (status->verify_memory_done >= ticket && status->verify_disk_done >= ticket)
            return true;
        if (now_ns() > deadline) {
            fprintf(stderr, "witness: verification takes longer than %u s: see --timeout\n", o->timeout_s);
            return false;
        }
        nanosleep(&pause, NULL); /* the guest has no event to send */
    }
    return false;
}

static int run_watch(const struct options *o)
{
    static struct witness_history history;
    static struct watch w;
    struct witness_status status;
    bool have_status, verified = false, bad;

    w.options = o;
    w.history = &history;
    w.udp = connect_udp(o);
    watch(&w);
    have_status = o->verify_after ? (verified = verify(o, &status)) : ask_status(o, &status);
    bad = witness_history_split(&history);
    printf("{\"address\": \"%s\", \"seconds\": %.3f, \"sent\": %" PRIu64 ", ", inet_ntoa(o->to.sin_addr),
           (double)(history.last_ns - history.start_ns) / 1e9, w.sent);
    witness_report_history(stdout, &history);
    printf(", \"round_trip_ms\": {\"min\": %.3f, \"mean\": %.3f, \"max\": %.3f}", (double)w.rtt_min_ns / 1e6,
           w.rtts ? (double)w.rtt_sum_ns / (double)w.rtts / 1e6 : 0.0, (double)w.rtt_max_ns / 1e6);
    printf(", \"tcp\": {\"asked\": %" PRIu64 ", \"answered\": %" PRIu64 ", \"connections_lost\": %" PRIu64
           ", \"longest_gap_ms\": %.3f}, ",
           w.tcp_asked, w.tcp_answered, w.tcp_lost, (double)w.tcp_longest_ns / 1e6);
    bad |= witness_report_status(stdout, have_status ? &status : NULL, history.acknowledged, verified);
    printf(", ");
    witness_report_series(stdout, &w.series);
    printf("}\n");
    if (!history.answered)
        return EXIT_NO_ANSWER;
    return bad ? EXIT_FOUND : !have_status ? EXIT_NO_ANSWER : 0;
}

static int run_once(const struct options *o)
{
    struct witness_status status;
    bool verified = o->mode == VERIFY, bad;

    if (verified ? !verify(o, &status) : !ask_status(o, &status))
        return EXIT_NO_ANSWER;
    printf("{\"address\": \"%s\", ", inet_ntoa(o->to.sin_addr));
    bad = witness_report_status(stdout, &status, status.disk_acknowledged, verified);
    printf("}\n");
    return bad ? EXIT_FOUND : 0;
}

static const char USAGE[] = "usage: witness ADDRESS [--seconds S] [--until-file FILE] [--interval-ms MS]\n"
                            "                       [--ready-file FILE] [--verify-after] [--timeout S]\n"
                            "       witness ADDRESS --status | --verify [--timeout S]\n"
                            "\n"
                            "Watches a witness guest until SIGINT, SIGTERM or what is said, then prints JSON.\n"
                            "  --seconds S         watch for so long\n"
                            "  --until-file FILE   watch until this file exists\n"
                            "  --interval-ms MS    ask so often over UDP (default 2)\n"
                            "  --ready-file FILE   make this file when the first answer has come\n"
                            "  --verify-after      at the end have the guest check all memory and its disk\n"
                            "  --status            ask once what the guest says of itself\n"
                            "  --verify            have it check all memory and its disk, and wait for it\n"
                            "  --timeout S         patience with status and verification (default 120)\n"
                            "exit codes: 0 all is well, 1 no answer, 2 bad usage, 3 something was lost, wrong,\n"
                            "or two copies run\n";

static void parse(int argc, char **argv, struct options *o)
{
    /* clang-format off */
    static const struct option known[] = {
        {"seconds", required_argument, NULL, 's'},    {"until-file", required_argument, NULL, 'u'},
        {"interval-ms", required_argument, NULL, 'i'}, {"ready-file", required_argument, NULL, 'r'},
        {"timeout", required_argument, NULL, 't'},     {"status", no_argument, NULL, 'S'},
        {"verify", no_argument, NULL, 'V'},            {"verify-after", no_argument, NULL, 'A'},
        {"help", no_argument, NULL, 'h'},              {NULL, 0, NULL, 0},
    };
    /* clang-format on */
    int c;

    *o = (struct options){.interval_ms = 2, .timeout_s = 120};
    o->to.sin_family = AF_INET;
    o->to.sin_port = htons(WITNESS_PORT);
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 's')
            o->seconds = atof(optarg);
        else if (c == 'u')
            o->until_file = optarg;
        else if (c == 'i')
            o->interval_ms = (unsigned)atoi(optarg);
        else if (c == 'r')
            o->ready_file = optarg;
        else if (c == 't')
            o->timeout_s = (unsigned)atoi(optarg);
        else if (c == 'S')
            o->mode = STATUS;
        else if (c == 'V')
            o->mode = VERIFY;
        else if (c == 'A')
            o->verify_after = true;
        else {
            fputs(USAGE, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : EXIT_USAGE);
        }
    }
    if (optind != argc - 1 || !inet_aton(argv[optind], &o->to.sin_addr) || !o->interval_ms || o->seconds < 0 ||
        !o->timeout_s) {
        fputs(USAGE, stderr);
        exit(EXIT_USAGE);
    }
}

int main(int argc, char **argv)
{
    struct options o;

    parse(argc, argv, &o);
    return o.mode == WATCH ? run_watch(&o) : run_once(&o);
}
