/* SPDX-License-Identifier: Apache-2.0 */
/* Two real relays and an older image of a disk at the target, whose server may be of any kind. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "checks.h"
#include "nbd-stream.h"
#include "relay/codec/span.h"
#include "relay/control/control.h"

#define EXPORT "drive-virtio-disk0"

enum server_kind {
    HONEST,
    ABSENT, /* it hangs up at once */
    SILENT, /* it never says a word */
    FICKLE, /* what was read once is another when it is read again */
    BROKEN, /* nothing beyond the first MiB can be read */
};

/* A qemu-nbd, as far as a relay can tell. */
struct server {
    enum server_kind kind;
    int fd;
    uint8_t *bytes;
    size_t size;
    bool *seen; /* by block */
    GThread *thread;
};

static bool all(int fd, uint8_t *to, size_t size)
{
    for (ssize_t got; size; to += got, size -= (size_t)got) {
        got = recv(fd, to, size, 0);
        if (got <= 0)
            return false;
    }
    return true;
}

static void answer(struct server *server, const uint8_t *request)
{
    struct drv_reader reader = drv_reader_over(request, 28);
    uint8_t head[16];
    struct drv_writer writer = drv_writer_over(head, sizeof head);
    uint64_t cookie, offset;
    uint32_t size;

    g_assert_cmpuint(drv_read_u32(&reader), ==, 0x25609513);
    g_assert_cmpuint(drv_read_u32(&reader), ==, 0); /* a read, nothing else */
    cookie = drv_read_u64(&reader);
    offset = drv_read_u64(&reader);
    size = drv_read_u32(&reader);
    g_assert_cmpuint(offset + size, <=, server->size);
    for (uint64_t block = offset / DRV_PAGE_SIZE; server->kind == FICKLE && block * DRV_PAGE_SIZE < offset + size;
         block++) {
        if (server->seen[block])
            server->bytes[block * DRV_PAGE_SIZE + 7] ^= 1;
        server->seen[block] = true;
    }
    drv_write_u32(&writer, 0x67446698);
    drv_write_u32(&writer, server->kind == BROKEN && offset >= 1 << 20 ? EIO : 0);
    drv_write_u64(&writer, cookie);
    if (send(server->fd, head, sizeof head, MSG_NOSIGNAL) < 0)
        return;
    if (!(server->kind == BROKEN && offset >= 1 << 20))
        (void)send(server->fd, server->bytes + offset, size, MSG_NOSIGNAL);
}

static gpointer serve(gpointer argument)
{
    static const uint8_t hello[] = "NBDMAGIC"
                                   "IHAVEOPT\0\3";
    struct server *server = argument;
    uint8_t in[28], size[10];
    struct drv_writer writer = drv_writer_over(size, sizeof size);

    if (server->kind == SILENT) {
        while (all(server->fd, in, 1))
            ;
    } else if (server->kind != ABSENT && send(server->fd, hello, 18, MSG_NOSIGNAL) == 18 && all(server->fd, in, 20)) {
        drv_write_u64(&writer, server->size);
        drv_write_u16(&writer, 3);
        (void)send(server->fd, size, sizeof size, MSG_NOSIGNAL);
        while (all(server->fd, in, sizeof in))
            answer(server, in);
    }
    close(server->fd);
    return NULL;
}

struct setting {
    struct pair *pair;
    struct nbd_stream stream;
    struct server server;
    int ends[PAIR_ENDS];
};

/* A disk of 6.25 MiB, and an image of it in which some blocks are others. */
static void set_up(struct setting *it, enum server_kind kind, const char *export)
{
    const char *const disks[] = {export};
    struct drv_error err;
    int pair[2];

    nbd_stream_make(&it->stream, 30, 1600, 200);
    it->server = (struct server){.kind = kind,
                                 .bytes = g_memdup2(it->stream.disk, 1600 * DRV_PAGE_SIZE),
                                 .size = 1600 * DRV_PAGE_SIZE,
                                 .seen = g_new0(bool, 1600)};
    for (size_t i = 0; i < 1600; i += 40)
        it->server.bytes[i * DRV_PAGE_SIZE]++;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    it->server.fd = pair[1];
    it->server.thread = g_thread_new("server", serve, &it->server);
    it->pair = g_new0(struct pair, 1);
    check_ok(pair_prepare(it->pair, 2, &err), err);
    it->pair->config[PAIR_TARGET].older_fds = &pair[0];
    it->pair->config[PAIR_TARGET].older_count = 1;
    it->pair->config[PAIR_SOURCE].older_disks = disks;
    it->pair->config[PAIR_SOURCE].older_count = 1;
    check_ok(pair_start_target(it->pair, &err), err);
    check_ok(pair_start_source(it->pair, &err), err);
    it->pair->config[PAIR_SOURCE].older_disks = NULL;
    close(pair[0]);
    check_ok(pair_stream(it->pair, DRV_CHANNEL_DISK, it->ends, &err), err);
}

/* The server ends with the target's relay, which has the only other end. */
static void take_down(struct setting *it)
{
    for (unsigned i = 0; i < PAIR_ENDS; i++)
        close(it->ends[i]);
    pair_stop(it->pair);
    g_free(it->pair);
    g_thread_join(it->server.thread);
    g_free(it->server.bytes);
    g_free(it->server.seen);
    nbd_stream_free(&it->stream);
}

static gpointer push(gpointer argument)
{
    struct setting *it = argument;
    const uint8_t *at = it->stream.sent.bytes;

    for (size_t left = it->stream.sent.size; left;) {
        ssize_t sent = send(it->ends[PAIR_SOURCE], at, left, MSG_NOSIGNAL);

        if (sent <= 0)
            break;
        at += sent;
        left -= (size_t)sent;
    }
    return NULL;
}

/* All of the stream comes out as it went in. Return: the source's counters. */
static struct drv_relay_status carry(struct setting *it)
{
    g_autofree uint8_t *got = g_malloc(it->stream.sent.size);
    GThread *pusher = g_thread_new("push", push, it);

    check_read(it->ends[PAIR_TARGET], got, it->stream.sent.size);
    g_assert_cmpint(memcmp(got, it->stream.sent.bytes, it->stream.sent.size), ==, 0);
    g_thread_join(pusher);
    return check_status(it->pair, PAIR_SOURCE);
}

static void it_serves(void)
{
    struct drv_relay_status status;
    struct setting it;

    set_up(&it, HONEST, EXPORT);
    status = carry(&it);
    /* Of 1600 blocks some 480 are zeros, 40 others in the image. */
    g_assert_cmpuint(status.channel[DRV_CHANNEL_DISK].pages.older, >, 1000);
    g_assert_cmpuint(check_status(it.pair, PAIR_TARGET).channel[DRV_CHANNEL_DISK].pages.older, ==,
                     status.channel[DRV_CHANNEL_DISK].pages.older);
    take_down(&it);
}

/* Nothing is known of this disk, or of any: it is sent. */
static void without_it(void)
{
    static const struct {
        enum server_kind kind;
        const char *export;
    } tries[] = {{HONEST, "drive-virtio-disk1"}, {ABSENT, EXPORT}, {SILENT, EXPORT}};

    for (size_t i = 0; i < G_N_ELEMENTS(tries); i++) {
        struct setting it;

        set_up(&it, tries[i].kind, tries[i].export);
        g_assert_cmpuint(carry(&it).channel[DRV_CHANNEL_DISK].pages.older, ==, 0);
        take_down(&it);
    }
}

static void as_far_as_it_can_be_read(void)
{
    struct drv_relay_pages pages;
    struct setting it;

    set_up(&it, BROKEN, EXPORT);
    pages = carry(&it).channel[DRV_CHANNEL_DISK].pages;
    g_assert_cmpuint(pages.older, >, 100);
    g_assert_cmpuint(pages.older, <=, 256);
    take_down(&it);
}

/* QEMU at the target takes what comes, which is right as far as it comes. */
static gpointer take(gpointer argument)
{
    struct setting *it = argument;
    g_autofree uint8_t *got = g_malloc(it->stream.sent.size);
    size_t came = 0;

    for (ssize_t size; (size = recv(it->ends[PAIR_TARGET], got + came, it->stream.sent.size - came, 0)) > 0;)
        came += (size_t)size;
    g_assert_cmpuint(came, <, it->stream.sent.size);
    g_assert_cmpint(memcmp(got, it->stream.sent.bytes, came), ==, 0);
    return NULL;
}

/* The target finds out and says so, and nobody gets a wrong byte. */
static void a_fickle_one(void)
{
    struct drv_relay_status status;
    struct setting it;
    GThread *pusher, *taker;

    set_up(&it, FICKLE, EXPORT);
    pusher = g_thread_new("push", push, &it);
    taker = g_thread_new("take", take, &it);
    status = check_until(it.pair, PAIR_TARGET, check_is_over);
    g_assert_cmpint(status.state, ==, DRV_RELAY_LOST);
    g_assert_nonnull(strstr(status.error, "older image"));
    g_thread_join(pusher);
    g_thread_join(taker);
    take_down(&it);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    check_add("/relay/older/it-serves", it_serves);
    check_add("/relay/older/without-it", without_it);
    check_add("/relay/older/as-far-as-it-can-be-read", as_far_as_it_can_be_read);
    check_add("/relay/older/a-fickle-one", a_fickle_one);
    return g_test_run();
}
