/* SPDX-License-Identifier: Apache-2.0 */
/* The codec in a session: what is agreed, when a batch is closed, how hard it tries; two real
 * relays. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "checks.h"
#include "nbd-stream.h"
#include "ram-stream.h"
#include "relay/coding.h"

/* ---- without relays ---- */

static void both_must_know_it(void)
{
    const struct drv_hello old = {.links = 2};
    const struct drv_hello here = {.codec = DRV_WIRE_CODEC, .cache_mib = 100};
    const struct drv_hello less = {.codec = DRV_WIRE_CODEC, .cache_mib = 10};
    const struct drv_hello other = {.codec = DRV_WIRE_CODEC + 1, .cache_mib = 10};
    struct drv_coding coding = {0};
    struct drv_error err;

    drv_coding_agree(&coding, &here, &old);
    g_assert_false(coding.on);
    g_assert_cmpint(drv_coding_start(&coding, DRV_RELAY_SOURCE, 1, &err), ==, 0);
    g_assert_null(coding.coder[0].encoder);
    g_assert_cmpuint(drv_coding_take(&coding, DRV_CHANNEL_RAM), ==, 0);
    g_assert_null(drv_coding_claim(&coding, 1));
    drv_coding_agree(&coding, &here, &other);
    g_assert_false(coding.on);
    drv_coding_agree(&coding, &here, &less);
    g_assert_true(coding.on);
    g_assert_cmpuint(coding.cache_pages, ==, 2560);
    drv_coding_agree(&coding, &less, &here);
    g_assert_cmpuint(coding.cache_pages, ==, 2560);
}

/* A piece of a ring that is kept for later must not go over the ring's end, whatever two hosts agree on. */
static void rings_are_whole_segments(void)
{
    for (uint16_t mib = 1; mib < 60; mib += 7) {
        const struct drv_hello hello = {.codec = DRV_WIRE_CODEC, .cache_mib = mib};
        struct drv_coding coding = {0};
        struct drv_error err;

        drv_coding_agree(&coding, &hello, &hello);
        g_assert_cmpint(drv_coding_start(&coding, DRV_RELAY_SOURCE, 1, &err), ==, 0);
        for (size_t i = 0; i < DRV_CODERS; i++) {
            const struct drv_cache *cache = drv_encoder_cache(coding.coder[i].encoder);

            g_assert_cmpuint(cache->pages % DRV_CACHE_SEGMENT, ==, 0);
            g_assert_cmpuint(cache->pages, <=, coding.cache_pages);
            drv_encoder_free(coding.coder[i].encoder);
        }
    }
}

static void each_coder_serves_once(void)
{
    struct drv_coding coding = {.on = true, .cache_pages = 16};
    struct drv_error err;

    g_assert_cmpint(drv_coding_start(&coding, DRV_RELAY_SOURCE, 1, &err), ==, 0);
    g_assert_cmpuint(drv_coding_take(&coding, DRV_CHANNEL_CONTROL), ==, 0);
    g_assert_cmpuint(drv_coding_take(&coding, DRV_CHANNEL_DISK), ==, 2);
    g_assert_cmpuint(drv_coding_take(&coding, DRV_CHANNEL_RAM), ==, 1);
    for (unsigned i = 3; i <= DRV_CODERS; i++)
        g_assert_cmpuint(drv_coding_take(&coding, DRV_CHANNEL_RAM), ==, i);
    g_assert_cmpuint(drv_coding_take(&coding, DRV_CHANNEL_RAM), ==, 0);
    for (size_t i = 0; i < DRV_CODERS; i++)
        drv_encoder_free(coding.coder[i].encoder);

    coding = (struct drv_coding){.on = true};
    g_assert_null(drv_coding_claim(&coding, 0));
    g_assert_null(drv_coding_claim(&coding, DRV_CODERS + 1));
    g_assert_true(drv_coding_claim(&coding, 2) == &coding.coder[1]);
    g_assert_null(drv_coding_claim(&coding, 2));
}

struct bench {
    struct drv_coding coding;
    struct drv_coder *coder;
    int ends[2], urgent;
    struct drv_bale bale;
    uint8_t *record;
};

static void bench_start(struct bench *bench)
{
    struct drv_error err;

    *bench = (struct bench){.coding = {.on = true, .cache_pages = 1024}};
    check_ok(drv_coding_start(&bench->coding, DRV_RELAY_SOURCE, 1, &err), err);
    bench->coder = &bench->coding.coder[0];
    check_ok(drv_bale_init(&bench->bale, &err), err);
    bench->record = g_malloc(DRV_RECORD_MAX);
    bench->urgent = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bench->ends), ==, 0);
}

static void bench_stop(struct bench *bench)
{
    for (size_t i = 0; i < DRV_CODERS; i++)
        drv_encoder_free(bench->coding.coder[i].encoder);
    close(bench->ends[1]);
    close(bench->urgent);
    drv_bale_done(&bench->bale);
    g_free(bench->record);
}

static void batches_close(void)
{
    const uint64_t credit = 1 << 20;
    uint8_t bytes[60000] = {0};
    struct bench bench;
    struct drv_batch batch;

    bench_start(&bench);
    /* Nothing there. */
    g_assert_cmpint(drv_coder_read(bench.coder, bench.ends[1], credit, bench.urgent, &bench.bale, bench.record, &batch),
                    ==, -EAGAIN);
    /* A pause closes it, without anything else happening. */
    check_write(bench.ends[0], "x", 1);
    g_assert_cmpint(drv_coder_read(bench.coder, bench.ends[1], credit, bench.urgent, &bench.bale, bench.record, &batch),
                    >, 0);
    g_assert_cmpuint(batch.raw, ==, 1);
    g_assert_false(batch.full);
    /* What else calls closes it. */
    g_assert_cmpint(eventfd_write(bench.urgent, 1), ==, 0);
    check_write(bench.ends[0], "xy", 2);
    g_assert_cmpint(drv_coder_read(bench.coder, bench.ends[1], credit, bench.urgent, &bench.bale, bench.record, &batch),
                    >, 0);
    g_assert_cmpuint(batch.raw, ==, 2);
    /* Credit is never exceeded. */
    check_write(bench.ends[0], bytes, sizeof bytes);
    for (size_t left = sizeof bytes; left; left -= batch.raw) {
        ssize_t size = drv_coder_read(bench.coder, bench.ends[1], DRV_CODER_COST_MIN, bench.urgent, &bench.bale,
                                      bench.record, &batch);

        g_assert_cmpint(size, >, 0);
        g_assert_cmpuint(drv_coder_cost((size_t)size, batch.raw), <=, DRV_CODER_COST_MIN);
    }
    /* The end: first what was there. */
    check_write(bench.ends[0], "end", 3);
    close(bench.ends[0]);
    g_assert_cmpint(drv_coder_read(bench.coder, bench.ends[1], credit, bench.urgent, &bench.bale, bench.record, &batch),
                    >, 0);
    g_assert_cmpuint(batch.raw, ==, 3);
    g_assert_cmpint(drv_coder_read(bench.coder, bench.ends[1], credit, bench.urgent, &bench.bale, bench.record, &batch),
                    ==, 0);
    bench_stop(&bench);
}

/* So many batches of the present effort. Return: the effort that comes of it. */
static unsigned batches(struct drv_coder *coder, bool full, uint64_t press_us, uint64_t blocked_us, size_t encoded)
{
    for (unsigned i = 0; i < 1000; i++) {
        const struct drv_batch batch = {.full = full,
                                        .raw = 100000,
                                        .content = 100000,
                                        .encoded = encoded,
                                        .effort = coder->effort.now,
                                        .alone_us = 10,
                                        .press_us = press_us,
                                        .pressed_us = press_us};

        drv_coder_sent(coder, &batch, press_us + 20, blocked_us);
        drv_coder_adapt(coder, 1, 65536);
    }
    return coder->effort.now;
}

static void effort_follows_the_bottleneck(void)
{
    struct bench bench;

    bench_start(&bench);
    close(bench.ends[0]);
    g_assert_cmpuint(bench.coder->effort.now, ==, DRV_EFFORT_FIRST);
    /* QEMU is slower than both: nothing to gain. */
    g_assert_cmpuint(batches(bench.coder, false, 200, 0, 90000), ==, DRV_EFFORT_FIRST);
    /* A link that was never full; and one that takes 1 MB a second. */
    g_assert_cmpuint(batches(bench.coder, true, 200, 0, 90000), ==, DRV_EFFORT_PLAIN);
    atomic_store(&bench.coder->pace.link_bps, 1000000);
    g_assert_cmpuint(batches(bench.coder, true, 200, 9000, 30000), ==, DRV_EFFORTS - 1);
    /* Near the switch all stays as it is. */
    drv_pace_near(&bench.coder->pace);
    atomic_store(&bench.coder->pace.link_bps, UINT64_C(1000000000000));
    g_assert_cmpuint(batches(bench.coder, true, 200, 0, 30000), ==, DRV_EFFORTS - 1);
    atomic_store(&bench.coder->pace.near, false);
    /* References that pay are not given up. */
    g_assert_cmpuint(batches(bench.coder, true, 200, 0, 30000), ==, DRV_EFFORT_STORED);
    bench_stop(&bench);
}

/* What a disk brings is remembered although the link takes all there is. */
static void disks_are_remembered(void)
{
    struct bench bench;
    struct drv_coder *disk;

    bench_start(&bench);
    close(bench.ends[0]);
    g_assert_cmpuint(drv_coding_take(&bench.coding, DRV_CHANNEL_DISK), ==, 2);
    disk = &bench.coding.coder[1];
    g_assert_cmpuint(batches(disk, true, 100, 0, 90000), ==, DRV_EFFORT_STORED);
    bench_stop(&bench);
}

/* ---- two real relays ---- */

struct push {
    int fd;
    const struct ram_stream *stream;
};

static gpointer push(gpointer argument)
{
    const struct push *push = argument;

    check_write(push->fd, push->stream->bytes, push->stream->size);
    close(push->fd);
    return NULL;
}

/* All of a stream, then its end; returns what the source's relay has put on TCP for it. */
static uint64_t carry(struct pair *pair, enum drv_relay_channel channel, const struct ram_stream *stream)
{
    struct drv_relay_status before = check_status(pair, PAIR_SOURCE), after;
    g_autofree uint8_t *got = g_malloc(stream->size);
    struct push work = {.stream = stream};
    int ends[PAIR_ENDS];
    struct drv_error err;
    GThread *thread;

    check_ok(pair_stream(pair, channel, ends, &err), err);
    work.fd = ends[PAIR_SOURCE];
    thread = g_thread_new("push", push, &work);
    check_read(ends[PAIR_TARGET], got, stream->size);
    g_assert_cmpint(memcmp(got, stream->bytes, stream->size), ==, 0);
    check_eof(ends[PAIR_TARGET]);
    close(ends[PAIR_TARGET]);
    g_thread_join(thread);
    after = check_status(pair, PAIR_SOURCE);
    g_assert_cmpuint(after.channel[channel].local_in_bytes - before.channel[channel].local_in_bytes, ==, stream->size);
    return after.wire_out_bytes - before.wire_out_bytes;
}

static void memory_over(unsigned links)
{
    struct pair *pair = check_start(links);
    struct ram_stream stream;

    ram_stream_make(&stream, links, 4000, 4);
    g_assert_cmpuint(check_status(pair, PAIR_SOURCE).cache_bytes, >, 0);
    g_assert_cmpuint(carry(pair, DRV_CHANNEL_RAM, &stream), <, stream.size * 9 / 10);
    /* Once more: with another coder; then with none any more. */
    for (unsigned i = 1; i < DRV_CODERS; i++)
        g_assert_cmpuint(carry(pair, i % 2 ? DRV_CHANNEL_DISK : DRV_CHANNEL_RAM, &stream), <,
                         stream.size + stream.size / 50);
    g_assert_cmpuint(carry(pair, DRV_CHANNEL_RAM, &stream), >, stream.size);
    ram_stream_free(&stream);
    check_stop(pair);
}

static void memory_over_1(void)
{
    memory_over(1);
}

static void memory_over_2(void)
{
    memory_over(2);
}

static void memory_over_4(void)
{
    memory_over(4);
}

static bool all_blocks_shared(const struct drv_relay_status *status)
{
    const struct drv_relay_pages *pages = &status->channel[DRV_CHANNEL_DISK].pages;

    return pages->shared == pages->literal + pages->delta;
}

/* What went over the disk's channel is only referred to in memory. */
static void memory_against_disk(void)
{
    struct pair *pair = check_start(3);
    const struct drv_relay_pages *pages;
    struct drv_relay_status status;
    struct push work;
    struct nbd_stream disk;
    struct ram_stream ram;
    int ends[PAIR_ENDS];
    struct drv_error err;
    g_autofree uint8_t *got = NULL;
    uint64_t sent;
    GThread *thread;

    nbd_stream_make(&disk, 1, 4000, 100);
    ram_stream_make_of(&ram, 2, 4000, 1, disk.disk, disk.blocks);
    got = g_malloc(disk.sent.size);
    /* The connection stays open, as QEMU's does. */
    check_ok(pair_stream(pair, DRV_CHANNEL_DISK, ends, &err), err);
    work = (struct push){.fd = dup(ends[PAIR_SOURCE]), .stream = &disk.sent};
    thread = g_thread_new("push", push, &work);
    check_read(ends[PAIR_TARGET], got, disk.sent.size);
    g_assert_cmpint(memcmp(got, disk.sent.bytes, disk.sent.size), ==, 0);
    g_thread_join(thread);
    status = check_until(pair, PAIR_SOURCE, all_blocks_shared);
    pages = &status.channel[DRV_CHANNEL_DISK].pages;
    /* All but those within which a batch was closed, for the writer did not go on. */
    g_assert_cmpuint(pages->literal + pages->delta + pages->same + pages->zero, >, disk.blocks_sent * 9 / 10);
    g_assert_cmpuint(status.channel[DRV_CHANNEL_DISK].coded_bytes, <, disk.sent.size);

    sent = carry(pair, DRV_CHANNEL_RAM, &ram);
    status = check_status(pair, PAIR_SOURCE);
    g_assert_cmpuint(status.channel[DRV_CHANNEL_RAM].pages.other, >, 1000);
    g_assert_cmpuint(sent, <, ram.size - 1000 * DRV_PAGE_SIZE);
    close(ends[PAIR_SOURCE]);
    check_eof(ends[PAIR_TARGET]);
    close(ends[PAIR_TARGET]);
    ram_stream_free(&ram);
    nbd_stream_free(&disk);
    check_stop(pair);
}

/* Each byte comes although none follows, in turn with answers, as pages for a waiting guest do. */
static void nothing_waits_for_more(void)
{
    struct pair *pair = check_start(2);
    int ends[DRV_CHANNELS][PAIR_ENDS];
    struct drv_error err;

    for (unsigned channel = DRV_CHANNEL_RAM; channel <= DRV_CHANNEL_DISK; channel++) {
        check_ok(pair_stream(pair, (enum drv_relay_channel)channel, ends[channel], &err), err);
        for (unsigned i = 0; i < 300; i++) {
            uint8_t byte = (uint8_t)i, got;

            check_write(ends[channel][PAIR_SOURCE], &byte, 1);
            check_read(ends[channel][PAIR_TARGET], &got, 1);
            g_assert_cmpuint(got, ==, byte);
            check_write(ends[channel][PAIR_TARGET], &byte, 1);
            check_read(ends[channel][PAIR_SOURCE], &got, 1);
            g_assert_cmpuint(got, ==, byte);
        }
    }
    for (unsigned channel = DRV_CHANNEL_RAM; channel <= DRV_CHANNEL_DISK; channel++) {
        close(ends[channel][PAIR_SOURCE]);
        check_eof(ends[channel][PAIR_TARGET]);
        close(ends[channel][PAIR_TARGET]);
    }
    check_stop(pair);
}

/* The target's QEMU goes away in the middle: so does the source's, and others are not disturbed. */
static void reader_goes(void)
{
    struct pair *pair = check_start(3);
    struct ram_stream stream;
    int ends[PAIR_ENDS], disk[PAIR_ENDS];
    struct drv_error err;
    uint8_t got[5000];

    ram_stream_make(&stream, 3, 4000, 3);
    check_ok(pair_stream(pair, DRV_CHANNEL_DISK, disk, &err), err);
    check_ok(pair_stream(pair, DRV_CHANNEL_RAM, ends, &err), err);
    check_write(ends[PAIR_SOURCE], stream.bytes, 100000);
    check_read(ends[PAIR_TARGET], got, sizeof got);
    close(ends[PAIR_TARGET]);
    for (size_t sent = 100000; sent < stream.size;) {
        ssize_t more = send(ends[PAIR_SOURCE], stream.bytes + sent, stream.size - sent, MSG_NOSIGNAL);

        if (more < 0)
            break;
        sent += (size_t)more;
    }
    check_gone(ends[PAIR_SOURCE]);
    close(ends[PAIR_SOURCE]);
    check_write(disk[PAIR_SOURCE], stream.bytes, sizeof got);
    check_read(disk[PAIR_TARGET], got, sizeof got);
    g_assert_cmpmem(got, sizeof got, stream.bytes, sizeof got);
    close(disk[PAIR_SOURCE]);
    close(disk[PAIR_TARGET]);
    ram_stream_free(&stream);
    check_stop(pair);
}

/* Looks on a link that was never full, with pages that nothing makes smaller. Return: the effort after them. */
static unsigned effort_without_a_link(bool kept, uint64_t slower)
{
    struct drv_coding coding = {.on = true, .cache_pages = 16 * 256};
    struct drv_coder *coder = &coding.coder[0];
    struct drv_error err;

    g_assert_cmpint(drv_coding_start(&coding, DRV_RELAY_SOURCE, 1, &err), ==, 0);
    coder->kept = kept;
    coder->channel = DRV_CHANNEL_RAM;
    for (unsigned i = 0; i < 2000; i++) {
        /* clang-format off */
        const struct drv_batch batch = {.raw = 131072, .encoded = 131100, .content = 131072, .full = true,
                                        .effort = coder->effort.now, .alone_us = 100 * slower,
                                        .press_us = 300 * slower, .pressed_us = 300 * slower};
        /* clang-format on */

        drv_coder_sent(coder, &batch, 600 * slower, 0);
        drv_coder_adapt(coder, 2, 65536);
    }
    for (unsigned i = 0; i < DRV_CODERS; i++)
        drv_encoder_free(coding.coder[i].encoder);
    return coder->effort.now;
}

/* Where processors are the limit nothing is remembered, unless it serves a later session and the link is not very fast. */
static void remembers_for_later(void)
{
    g_assert_cmpuint(effort_without_a_link(false, 5), ==, DRV_EFFORT_PLAIN);
    g_assert_cmpuint(effort_without_a_link(true, 5), ==, DRV_EFFORT_STORED);
    g_assert_cmpuint(effort_without_a_link(true, 1), ==, DRV_EFFORT_PLAIN);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/coding/remembers-for-later", remembers_for_later);
    g_test_add_func("/relay/coding/agreed", both_must_know_it);
    g_test_add_func("/relay/coding/rings-are-whole-segments", rings_are_whole_segments);
    g_test_add_func("/relay/coding/serves-once", each_coder_serves_once);
    g_test_add_func("/relay/coding/batches", batches_close);
    g_test_add_func("/relay/coding/effort", effort_follows_the_bottleneck);
    g_test_add_func("/relay/coding/disks-are-remembered", disks_are_remembered);
    check_add("/relay/coding/memory-over-1-link", memory_over_1);
    check_add("/relay/coding/memory-over-2-links", memory_over_2);
    check_add("/relay/coding/memory-over-4-links", memory_over_4);
    check_add("/relay/coding/memory-against-disk", memory_against_disk);
    check_add("/relay/coding/nothing-waits", nothing_waits_for_more);
    check_add("/relay/coding/reader-goes", reader_goes);
    return g_test_run();
}
