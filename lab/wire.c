/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A piece of wire with delay and loss, for kernels without netem: carries frames, both ways,
 * between a device (a packet socket) and a tap device that it makes, holding each frame for a
 * constant time and dropping some at random. Order is kept.
 *
 * Usage: lab-wire DEVICE TAP CONFIG. CONFIG holds two numbers: the delay in microseconds and
 * the loss in millionths; SIGHUP has it read again, without dropping what is on the way.
 *
 * Frames may be bundles of up to 64 KiB that the kernel cuts later (that makes gigabits
 * cheap); their virtio header travels along. With loss, a lost packet shall be one packet:
 * then the tap's side is told to cut, and `lab` tells the device's side.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = sizeof(struct virtio_net_hdr), MAX_FRAME = 65536 + 64, BATCH = 64 };
/* What may be on the way in one direction; 1 Gbit/s with half a second of delay. */
enum { MAX_QUEUED_BYTES = 64 << 20 };

struct frame {
    struct frame *next;
    uint64_t due_ns;
    size_t size;
    uint8_t bytes[];
};

struct direction {
    int from, to;
    struct frame *head, **tail;
    size_t queued_bytes;
};

static struct {
    uint64_t delay_ns;
    uint32_t loss_millionths;
    uint64_t random;
} wire;

static void __attribute__((noreturn)) die(const char *what, const char *on)
{
    fprintf(stderr, "lab-wire: %s %s: %s\n", what, on, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool lost(void)
{
    wire.random ^= wire.random << 13;
    wire.random ^= wire.random >> 7;
    wire.random ^= wire.random << 17;
    return (wire.random >> 11) % 1000000 < wire.loss_millionths;
}

static void read_config(const char *path, int tap)
{
    FILE *f = fopen(path, "re");
    unsigned delay_us, loss;

    if (!f || fscanf(f, "%u %u", &delay_us, &loss) != 2)
        die("cannot read", path);
    fclose(f);
    wire.delay_ns = delay_us * 1000ull;
    wire.loss_millionths = loss;
    if (ioctl(tap, TUNSETOFFLOAD, loss ? TUN_F_CSUM : TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
        die("cannot set the offload of", "the tap device");
}

static int open_device(const char *name)
{
    struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct packet_mreq promiscuous = {.mr_type = PACKET_MR_PROMISC};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, size = 8 << 20;

    addr.sll_ifindex = promiscuous.mr_ifindex = (int)if_nametoindex(name);
    if (fd < 0 || !addr.sll_ifindex || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) < 0)
        die("cannot open device", name);
    return fd;
}

static int open_tap(const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), size = HEADER;

    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
        die("cannot make tap device", name);
    return fd;
}

static void send_frame(struct direction *d, const uint8_t *bytes, size_t size)
{
    /* A full queue behind us drops it, as a switch would; a device that is down, too. */
    if (write(d->to, bytes, size) < 0 && errno == ENXIO)
        die("the other end is gone", "");
}

/* Returns false if nothing more is there. */
static bool take_frame(struct direction *d)
{
    static uint8_t bytes[HEADER + MAX_FRAME];
    ssize_t n = read(d->from, bytes, sizeof(bytes));
    struct frame *f;

    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ENETDOWN || errno == EIO)
            return false; /* a device may be set down and up again */
        die("cannot receive", "");
    }
    if ((size_t)n <= HEADER || (wire.loss_millionths && lost()))
        return true;
    if (!wire.delay_ns && !d->head) {
        send_frame(d, bytes, (size_t)n);
        return true;
    }
    if (d->queued_bytes + (size_t)n > MAX_QUEUED_BYTES)
        return true;
    f = malloc(sizeof(*f) + (size_t)n);
    if (!f)
        return true;
    *f = (struct frame){.due_ns = now_ns() + wire.delay_ns, .size = (size_t)n};
    memcpy(f->bytes, bytes, (size_t)n);
    *d->tail = f;
    d->tail = &f->next;
    d->queued_bytes += f->size;
    return true;
}

/* Sends what is due; returns when the next one is, or UINT64_MAX. */
static uint64_t send_due(struct direction *d)
{
    uint64_t now = now_ns();
    struct frame *f;

    while ((f = d->head) && f->due_ns <= now) {
        send_frame(d, f->bytes, f->size);
        d->head = f->next;
        if (!d->head)
            d->tail = &d->head;
        d->queued_bytes -= f->size;
        free(f);
    }
    return d->head ? d->head->due_ns : UINT64_MAX;
}

static void carry(struct direction *d, int timer, int signals, const char *config)
{
    struct pollfd fds[4] = {{d[0].from, POLLIN, 0}, {d[1].from, POLLIN, 0}, {timer, POLLIN, 0}, {signals, POLLIN, 0}};

    for (;;) {
        uint64_t a = send_due(&d[0]), b = send_due(&d[1]), next = a < b ? a : b, expired;
        struct itimerspec at = {0};
        struct signalfd_siginfo info;

        if (next != UINT64_MAX) {
            at.it_value.tv_sec = (time_t)(next / 1000000000u);
            at.it_value.tv_nsec = (long)(next % 1000000000u);
        }
        timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        if (poll(fds, 4, -1) < 0 && errno != EINTR)
            die("cannot wait", "");
        if (fds[2].revents)
            (void)!read(timer, &expired, sizeof(expired));
        if (fds[3].revents && read(signals, &info, sizeof(info)) == sizeof(info))
            read_config(config, d[0].to);
        for (int i = 0; i < 2; i++)
            for (int n = 0; fds[i].revents && n < BATCH && take_frame(&d[i]); n++)
                ;
    }
}

int main(int argc, char **argv)
{
    struct direction d[2];
    sigset_t set;
    int device, tap, signals, timer;

    if (argc != 4) {
        fprintf(stderr, "usage: lab-wire DEVICE TAP CONFIG\n"
                        "Carries frames with delay and loss; `lab link` starts it.\n");
        return 2;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (signals < 0 || timer < 0 || getrandom(&wire.random, sizeof(wire.random), 0) != sizeof(wire.random))
        die("cannot start", "");
    wire.random |= 1;
    device = open_device(argv[1]);
    tap = open_tap(argv[2]);
    read_config(argv[3], tap);
    d[0] = (struct direction){.from = device, .to = tap, .tail = &d[0].head};
    d[1] = (struct direction){.from = tap, .to = device, .tail = &d[1].head};
    carry(d, timer, signals, argv[3]);
    return 0;
}
