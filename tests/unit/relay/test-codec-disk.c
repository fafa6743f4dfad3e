/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a disk in the codec, and memory that refers to them. */
#include <errno.h>
#include <string.h>

#include "codec-line.h"
#include "nbd-stream.h"
#include "relay/codec/hash.h"
#include "relay/codec/ram-parser.h"

#define DISK 2u /* numbers of coders */
#define OTHER_DISK 3u

/* A line of a disk, whose blocks others may refer to. */
static void disk_begin(struct line *line, size_t cache_pages)
{
    line_begin(line, cache_pages, DRV_TRICKS_DISK);
    drv_encoder_keep(line->encoder);
    drv_decoder_keep(line->decoder);
}

static void refer(struct line *line, unsigned number, const struct line *other)
{
    drv_encoder_refer(line->encoder, number, other->encoder);
    drv_decoder_refer(line->decoder, number, other->decoder);
}

/* All that was decoded is known at the other end. */
static void share(struct line *line)
{
    uint64_t pages = drv_decoder_remembered(line->decoder);

    g_assert_cmpuint(pages, ==, drv_encoder_remembered(line->encoder));
    drv_encoder_share(line->encoder, pages);
}

static void every_split(void)
{
    struct nbd_stream stream;
    struct line line;

    nbd_stream_make(&stream, 1, 16, 2);
    disk_begin(&line, 16);
    drv_encoder_set_effort(line.encoder, DRV_EFFORT_STORED);
    /* Every one up to the third block; the parser's own test has them all. */
    for (size_t split = 0; split <= stream.sent.size; split += split < 12800 ? 1 : 61) {
        line_again(&line, stream.sent.bytes);
        line_feed(&line, stream.sent.bytes, split);
        line_flush(&line);
        line_feed(&line, stream.sent.bytes + split, stream.sent.size - split);
        line_flush(&line);
    }
    line_end(&line);
    nbd_stream_free(&stream);
}

static void random_splits(void)
{
    for (unsigned round = 0; round < 12; round++) {
        struct nbd_stream stream;
        struct line line;

        nbd_stream_make(&stream, (uint64_t)g_test_rand_int(), 320, 300);
        /* Also a cache that is full soon, and one that is not kept. */
        disk_begin(&line, round % 3 ? 2000 : 50);
        if (round % 3 == 2) {
            line_end(&line);
            line_begin(&line, 50, DRV_TRICKS_DISK);
        }
        line_again(&line, stream.sent.bytes);
        line.random = g_rand_new_with_seed((guint32)g_test_rand_int());
        while (line.fed < stream.sent.size) {
            size_t size = (size_t)g_rand_int_range(line.random, 1, 300000);

            if (g_rand_int_range(line.random, 0, 3) == 0)
                size = size % 5000 + 1;
            if (round & 1)
                drv_encoder_set_effort(line.encoder, (unsigned)g_rand_int_range(line.random, 0, DRV_EFFORTS));
            drv_encoder_set_batch(line.encoder, (size_t)g_rand_int_range(line.random, 1, 200000));
            line_feed(&line, stream.sent.bytes + line.fed, MIN(size, stream.sent.size - line.fed));
            if (g_rand_boolean(line.random))
                line_flush(&line);
        }
        line_flush(&line);
        g_assert_cmpuint(line.came, ==, stream.sent.size);
        g_rand_free(line.random);
        line_end(&line);
        nbd_stream_free(&stream);
    }
}

static void tricks_work(void)
{
    const struct drv_encoder_stats *stats;
    struct nbd_stream stream;
    struct line line;

    nbd_stream_make(&stream, 5, 1600, 400);
    disk_begin(&line, 4000);
    drv_encoder_set_effort(line.encoder, DRV_EFFORT_STORED);
    line_whole(&line, stream.sent.bytes, stream.sent.size);
    stats = drv_encoder_stats(line.encoder);
    g_assert_cmpuint(stats->literal_pages + stats->same_pages + stats->delta_pages + stats->zero_pages, ==,
                     stream.blocks_sent);
    g_assert_cmpuint(stats->zero_pages, >, 200);
    g_assert_cmpuint(stats->same_pages, >, 300);
    g_assert_cmpuint(stats->delta_pages, >, 300);
    g_assert_cmpuint(line.encoded, <, stats->literal_pages * DRV_PAGE_SIZE * 21 / 20);
    line_end(&line);
    nbd_stream_free(&stream);
}

/* An empty disk, as far as one is sent at all. */
static void zeros_cost_nothing(void)
{
    struct nbd_stream stream;
    struct line line;
    size_t bytes = 0;

    nbd_stream_make(&stream, 6, 1600, 0);
    for (size_t i = 0; i < stream.blocks_sent; i++)
        memset(stream.sent.bytes + stream.block[i].at, 0, DRV_PAGE_SIZE);
    bytes = stream.sent.size - stream.blocks_sent * DRV_PAGE_SIZE;
    disk_begin(&line, 100);
    drv_encoder_set_effort(line.encoder, DRV_EFFORT_STORED);
    line_whole(&line, stream.sent.bytes, stream.sent.size);
    g_assert_cmpuint(line.encoded, <, bytes * 3 / 2);
    g_assert_cmpuint(drv_encoder_remembered(line.encoder), ==, 0);
    line_end(&line);
    nbd_stream_free(&stream);
}

/* Without a cache, without the parser: bytes as any others. */
static void less_is_known(void)
{
    struct nbd_stream stream;
    struct line line;

    nbd_stream_make(&stream, 7, 160, 50);
    line_begin(&line, 0, DRV_TRICKS_DISK);
    line_whole(&line, stream.sent.bytes, stream.sent.size);
    g_assert_cmpuint(drv_encoder_stats(line.encoder)->zero_pages, >, 0);
    g_assert_cmpuint(drv_encoder_stats(line.encoder)->same_pages, ==, 0);
    line_end(&line);
    line_begin(&line, 100, DRV_TRICKS_ALL);
    line_whole(&line, stream.sent.bytes, stream.sent.size);
    g_assert_cmpuint(drv_encoder_stats(line.encoder)->literal_pages, ==, 0);
    line_end(&line);
    nbd_stream_free(&stream);
}

static void memory_against_disk(void)
{
    struct nbd_stream disk;
    struct ram_stream ram;
    struct line from, to, clone;
    uint64_t alone;

    nbd_stream_make(&disk, 8, 640, 100);
    ram_stream_make_of(&ram, 9, 900, 1, disk.disk, disk.blocks);
    disk_begin(&from, 1000);
    line_whole(&from, disk.sent.bytes, disk.sent.size);
    line_begin(&to, 2000, DRV_TRICKS_ALL);
    refer(&to, DISK, &from);
    drv_encoder_set_effort(to.encoder, DRV_EFFORT_STORED);

    /* What the other end has not said to know is not referred to. */
    line_whole(&to, ram.bytes, ram.size);
    g_assert_cmpuint(drv_encoder_stats(to.encoder)->other_pages, ==, 0);
    alone = to.encoded;
    drv_encoder_share(from.encoder, 100);
    line_whole(&to, ram.bytes, ram.size);
    g_assert_cmpuint(drv_encoder_stats(to.encoder)->other_pages, >, 20);
    g_assert_cmpuint(drv_encoder_stats(to.encoder)->other_pages, <=, 150);
    share(&from);
    line_whole(&to, ram.bytes, ram.size);
    g_assert_cmpuint(drv_encoder_stats(to.encoder)->other_pages, >, 200);
    g_assert_cmpuint(to.encoded + 200 * DRV_PAGE_SIZE, <, alone);

    /* A second disk that is a copy of the first. */
    disk_begin(&clone, 1000);
    refer(&clone, DISK, &from);
    refer(&to, OTHER_DISK, &clone);
    line_whole(&clone, disk.sent.bytes, disk.sent.size);
    g_assert_cmpuint(drv_encoder_stats(clone.encoder)->other_pages, >, 400);
    share(&clone);
    line_whole(&to, ram.bytes, ram.size);
    line_end(&clone);
    line_end(&to);
    line_end(&from);
    ram_stream_free(&ram);
    nbd_stream_free(&disk);
}

/* A cache that is kept never forgets, and when it is full remembers nothing more. */
static void kept_is_kept(void)
{
    struct nbd_stream disk;
    struct ram_stream ram;
    struct line from, to;

    nbd_stream_make(&disk, 10, 640, 100);
    ram_stream_make_of(&ram, 11, 900, 2, disk.disk, 160);
    disk_begin(&from, 64);
    line_begin(&to, 2000, DRV_TRICKS_ALL);
    refer(&to, DISK, &from);
    line_again(&from, disk.sent.bytes);
    line_feed(&from, disk.sent.bytes, disk.sent.size / 2);
    line_flush(&from);
    share(&from);
    g_assert_cmpuint(drv_encoder_shared(from.encoder), ==, 64);
    line_feed(&from, disk.sent.bytes + disk.sent.size / 2, disk.sent.size - disk.sent.size / 2);
    line_flush(&from);
    share(&from);
    g_assert_cmpuint(drv_encoder_shared(from.encoder), ==, 64);
    line_whole(&to, ram.bytes, ram.size);
    g_assert_cmpuint(drv_encoder_stats(to.encoder)->other_pages, >, 20);
    line_end(&to);
    line_end(&from);
    ram_stream_free(&ram);
    nbd_stream_free(&disk);
}

/* ---- a peer that lies ---- */

static int feed(drv_decoder *decoder, const uint8_t *ops, size_t size, size_t raw, const uint8_t *expected)
{
    struct drv_record record = {.method = DRV_RECORD_STORED,
                                .body = (uint32_t)size,
                                .raw = (uint32_t)raw,
                                .ops = (uint32_t)size,
                                .expanded = (uint32_t)size,
                                .check = drv_codec_hash(expected, raw, LINE_SEED)};
    uint8_t bytes[64];
    struct drv_error err;
    const uint8_t *out;
    size_t used;
    int rc;

    drv_record_encode(bytes, &record);
    memcpy(bytes + DRV_RECORD_HEADER_SIZE, ops, size);
    drv_decoder_reset(decoder, LINE_SEED);
    rc = drv_decoder_feed(decoder, bytes, DRV_RECORD_HEADER_SIZE + size, &used, &err);
    if (rc < 0) {
        g_assert_cmpint(rc, ==, -EPROTO);
        g_assert_cmpuint(drv_decoder_output(decoder, &out), ==, 0);
    } else {
        g_assert_cmpuint(drv_decoder_output(decoder, &out), ==, raw);
        g_assert_cmpmem(out, raw, expected, raw);
        drv_decoder_take(decoder, raw);
    }
    return rc;
}

static void lies(void)
{
    static const uint8_t wrong[][12] = {
        {DRV_OP_BARE << 4, DRV_OP_OTHER << 4, DISK, 64},      /* beyond what has come */
        {DRV_OP_BARE << 4, DRV_OP_OTHER << 4 | 1, DISK, 63},  /* partly */
        {DRV_OP_BARE << 4, DRV_OP_OTHER << 4, OTHER_DISK, 0}, /* nothing has come there */
        {DRV_OP_BARE << 4, DRV_OP_OTHER << 4, 1, 0},          /* not kept */
        {DRV_OP_BARE << 4, DRV_OP_OTHER << 4, DRV_CODERS_MAX, 0},
        {DRV_OP_BARE << 4, DRV_OP_OTHER << 4, DISK, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {DRV_OP_BARE << 4, DRV_OP_OTHER << 4, DISK},            /* cut */
        {DRV_OP_BARE << 4, DRV_OP_OTHER << 4 | 15, 0, DISK, 0}, /* more than was said */
        {DRV_OP_BARE << 4 | 1, DRV_OP_OTHER << 4, DISK, 0},     /* with a count */
        {DRV_OP_OTHER << 4, DISK, 0},                           /* with a header */
        {(DRV_OP_OTHER + 1) << 4, DISK, 0},                     /* no such op */
        {DRV_OP_BARE << 4, DRV_OP_ZEROS << 4},                  /* other bytes */
    };
    static const size_t sizes[] = {4, 4, 4, 4, 4, 10, 3, 5, 4, 3, 3, 2};
    static const uint8_t right[] = {DRV_OP_BARE << 4, DRV_OP_OTHER << 4, DISK, 0};
    struct nbd_stream disk;
    struct line from, empty, to;
    const uint8_t *first;

    nbd_stream_make(&disk, 12, 160, 0);
    disk_begin(&from, 64);
    line_whole(&from, disk.sent.bytes, disk.sent.size);
    disk_begin(&empty, 64);
    line_begin(&to, 100, DRV_TRICKS_ALL);
    drv_decoder_refer(to.decoder, DISK, from.decoder);
    drv_decoder_refer(to.decoder, OTHER_DISK, empty.decoder);
    first = disk.disk;
    while (!first[0] && !memcmp(first, first + 1, DRV_PAGE_SIZE - 1))
        first += DRV_PAGE_SIZE;
    g_assert_cmpint(feed(to.decoder, right, sizeof right, DRV_PAGE_SIZE, first), ==, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_cmpint(feed(to.decoder, wrong[i], sizes[i], DRV_PAGE_SIZE, first), ==, -EPROTO);
    line_end(&to);
    line_end(&empty);
    line_end(&from);
    nbd_stream_free(&disk);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/codec/disk/every-split", every_split);
    g_test_add_func("/relay/codec/disk/random-splits", random_splits);
    g_test_add_func("/relay/codec/disk/tricks-work", tricks_work);
    g_test_add_func("/relay/codec/disk/zeros-cost-nothing", zeros_cost_nothing);
    g_test_add_func("/relay/codec/disk/less-is-known", less_is_known);
    g_test_add_func("/relay/codec/disk/memory-against-disk", memory_against_disk);
    g_test_add_func("/relay/codec/disk/kept-is-kept", kept_is_kept);
    g_test_add_func("/relay/codec/disk/lies", lies);
    return g_test_run();
}
