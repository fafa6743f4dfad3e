/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a disk that the target has in an older image: references, the window of digests, lies. */
#include <errno.h>
#include <string.h>

#include "codec-line.h"
#include "nbd-stream.h"
#include "relay/codec/hash.h"
#include "relay/codec/older.h"

static const uint8_t key[DRV_OLDER_KEY] = {1, 2, 3};

/* The target's older image. */
struct image {
    const uint8_t *bytes;
    size_t size;
    unsigned reads;
    bool fails;
};

static int read_image(void *data, uint64_t offset, uint8_t *to, size_t size, struct drv_error *err)
{
    struct image *image = data;

    image->reads++;
    if (image->fails)
        return drv_error_set(err, EIO, "it cannot be read");
    if (offset > image->size || size > image->size - offset)
        return drv_error_set(err, EINVAL, "not that large");
    memcpy(to, image->bytes + offset, size);
    return 0;
}

/* What the target answers: as many digests as there are whole blocks. */
static void answer(struct drv_older *older, const struct image *image, uint64_t first)
{
    static uint8_t digests[DRV_OLDER_STEP * DRV_OLDER_DIGEST];
    drv_digester *digester;
    struct drv_error err;
    size_t count = 0;

    g_assert_cmpint(drv_digester_new(&digester, key, &err), ==, 0);
    for (; count < DRV_OLDER_STEP && (first + count + 1) * DRV_PAGE_SIZE <= image->size; count++)
        g_assert_cmpint(drv_digester_block(digester, image->bytes + (first + count) * DRV_PAGE_SIZE,
                                           digests + count * DRV_OLDER_DIGEST),
                        ==, 0);
    drv_digester_free(digester);
    g_assert_cmpint(drv_older_answer(older, first, digests, count * DRV_OLDER_DIGEST, 1, &err), ==, 0);
}

static void ask_all(struct drv_older *older, const struct image *image)
{
    uint64_t first;

    /* A disk of 25 MiB is within what may be asked at once. */
    while (drv_older_ask(older, 1, &first))
        answer(older, image, first);
}

/* An older image in which a share of the blocks is another. */
static uint8_t *aged(const struct nbd_stream *stream, unsigned percent)
{
    uint8_t *bytes = g_memdup2(stream->disk, stream->blocks * DRV_PAGE_SIZE);

    for (size_t i = 0; i < stream->blocks; i++)
        if (g_test_rand_int_range(0, 100) < (gint32)percent)
            bytes[i * DRV_PAGE_SIZE + 17] ^= 1;
    return bytes;
}

static void set_up(struct line *line, struct drv_older **older, struct image *image, size_t cache)
{
    struct drv_error err;

    line_begin(line, cache, DRV_TRICKS_DISK);
    drv_encoder_keep(line->encoder);
    drv_decoder_keep(line->decoder);
    drv_decoder_set_older(line->decoder, read_image, image);
    g_assert_cmpint(drv_older_new(older, key, &err), ==, 0);
}

static void take_down(struct line *line, struct drv_older *older)
{
    line_end(line);
    drv_older_free(older);
}

/* A disk without blocks that are there twice: then all that is known is the older image. */
static void only_what_differs(void)
{
    struct drv_older *older;
    struct nbd_stream stream;
    struct image image;
    struct line line;
    uint64_t changed = 0, same = 0;
    uint8_t *bytes;

    nbd_stream_make(&stream, 20, 6400, 0);
    bytes = aged(&stream, 2);
    image = (struct image){bytes, stream.blocks * DRV_PAGE_SIZE, 0, false};
    set_up(&line, &older, &image, 10000);
    line_again(&line, stream.sent.bytes);
    drv_encoder_set_older(line.encoder, older);
    g_assert_true(drv_older_move(older, 0));
    ask_all(older, &image);
    line_feed(&line, stream.sent.bytes, stream.sent.size);
    line_flush(&line);
    for (size_t i = 0; i < stream.blocks; i++) {
        const uint8_t *block = stream.disk + i * DRV_PAGE_SIZE;
        bool zero = !block[0] && !memcmp(block, block + 1, DRV_PAGE_SIZE - 1);

        if (!zero && memcmp(block, bytes + i * DRV_PAGE_SIZE, DRV_PAGE_SIZE) == 0)
            same++;
        else if (!zero)
            changed++;
    }
    g_assert_cmpuint(drv_encoder_stats(line.encoder)->older_pages, ==, same);
    g_assert_cmpuint(line.encoded, <, changed * DRV_PAGE_SIZE + stream.sent.size / 200);
    /* Memory can refer to them as to what was sent. */
    g_assert_cmpuint(drv_encoder_remembered(line.encoder), >=, same);
    g_assert_cmpuint(drv_decoder_remembered(line.decoder), ==, drv_encoder_remembered(line.encoder));
    take_down(&line, older);
    g_free(bytes);
    nbd_stream_free(&stream);
}

/* However it is cut up, whatever is known when, whatever the guest writes meanwhile. */
static void random_splits(void)
{
    for (unsigned round = 0; round < 12; round++) {
        struct drv_older *older;
        struct nbd_stream stream;
        struct image image;
        struct line line;
        uint8_t *bytes;

        nbd_stream_make(&stream, (uint64_t)g_test_rand_int(), 3200, 300);
        bytes = aged(&stream, 10);
        /* An older image may be shorter, and end within a block. */
        image = (struct image){bytes, stream.blocks * DRV_PAGE_SIZE - (round & 2 ? 5000 : 0), 0, false};
        set_up(&line, &older, &image, round % 3 ? 2000 : 50);
        line_again(&line, stream.sent.bytes);
        line.random = g_rand_new_with_seed((guint32)g_test_rand_int());
        drv_encoder_set_older(line.encoder, older);
        while (line.fed < stream.sent.size) {
            size_t size = (size_t)g_rand_int_range(line.random, 1, 200000);
            uint64_t first, reached;

            line_feed(&line, stream.sent.bytes + line.fed, MIN(size, stream.sent.size - line.fed));
            if (g_rand_boolean(line.random))
                line_flush(&line);
            (void)drv_encoder_disk(line.encoder, &reached);
            (void)drv_older_move(older, reached);
            if (g_rand_int_range(line.random, 0, 3) == 0 && drv_older_ask(older, 1, &first))
                answer(older, &image, first);
            if (round & 1)
                drv_encoder_set_effort(line.encoder, (unsigned)g_rand_int_range(line.random, 0, DRV_EFFORTS));
        }
        line_flush(&line);
        g_assert_cmpuint(line.came, ==, stream.sent.size);
        g_rand_free(line.random);
        take_down(&line, older);
        g_free(bytes);
        nbd_stream_free(&stream);
    }
}

static void the_window(void)
{
    static uint8_t digests[DRV_OLDER_STEP * DRV_OLDER_DIGEST];
    const uint64_t far = (uint64_t)1 << 40; /* bytes */
    uint8_t block[DRV_PAGE_SIZE] = {5};
    drv_digester *digester;
    struct drv_older *older;
    struct drv_error err;
    uint64_t first[DRV_OLDER_QUESTIONS + 1];
    unsigned asked = 0;

    g_assert_cmpint(drv_digester_new(&digester, key, &err), ==, 0);
    for (size_t i = 0; i < DRV_OLDER_STEP; i++)
        g_assert_cmpint(drv_digester_block(digester, block, digests + i * DRV_OLDER_DIGEST), ==, 0);
    drv_digester_free(digester);
    g_assert_cmpint(drv_older_new(&older, key, &err), ==, 0);
    g_assert_false(drv_older_ask(older, 1, first));
    g_assert_true(drv_older_move(older, 0));
    while (drv_older_ask(older, 1, &first[asked])) {
        g_assert_cmpuint(first[asked], ==, asked * DRV_OLDER_STEP);
        asked++;
    }
    g_assert_cmpuint(asked, ==, DRV_OLDER_QUESTIONS);

    /* Answers come in order, and only to what was asked. */
    g_assert_cmpint(drv_older_answer(older, first[1], digests, 16, 1, &err), ==, -EPROTO);
    g_assert_cmpint(drv_older_answer(older, first[0], digests, sizeof digests + 16, 1, &err), ==, -EPROTO);
    g_assert_cmpint(drv_older_answer(older, first[0], digests, 17, 1, &err), ==, -EPROTO);
    g_assert_false(drv_older_has(older, 0, block));
    g_assert_cmpint(drv_older_answer(older, first[0], digests, 32, 1, &err), ==, 0);
    g_assert_true(drv_older_has(older, 0, block));
    g_assert_true(drv_older_has(older, DRV_PAGE_SIZE, block));
    g_assert_false(drv_older_has(older, 2 * DRV_PAGE_SIZE, block));
    block[9] = 1;
    g_assert_false(drv_older_has(older, 0, block));
    block[9] = 0;
    for (unsigned i = 1; i < asked; i++)
        g_assert_cmpint(drv_older_answer(older, first[i], digests, sizeof digests, 1, &err), ==, 0);
    g_assert_cmpint(drv_older_answer(older, first[0], digests, 16, 1, &err), ==, -EPROTO);

    /* A leap: what lies behind is not looked up any more, and is asked for no more. */
    g_assert_true(drv_older_move(older, far));
    g_assert_false(drv_older_has(older, 0, block));
    g_assert_true(drv_older_ask(older, 1, first));
    g_assert_cmpuint(first[0], >=, far / DRV_PAGE_SIZE - DRV_OLDER_STEP);
    g_assert_cmpuint(first[0], <=, far / DRV_PAGE_SIZE);
    g_assert_true(drv_older_ask(older, 1, first + 1));
    for (unsigned i = 0; i < 2; i++)
        g_assert_cmpint(drv_older_answer(older, first[i], digests, sizeof digests, 1, &err), ==, 0);
    g_assert_true(drv_older_has(older, far, block));
    /* The same slot, another block. */
    g_assert_false(drv_older_has(older, far + (uint64_t)DRV_OLDER_SLOTS * DRV_PAGE_SIZE, block));
    /* Back at the beginning, as when the guest writes there: nothing goes backwards. */
    (void)drv_older_move(older, 0);
    g_assert_true(drv_older_has(older, far, block));
    drv_older_free(older);
}

/* The copy waits for what was asked, but not for long, nor where the link is faster. */
static void patience(void)
{
    static const uint8_t digests[DRV_OLDER_STEP * DRV_OLDER_DIGEST];
    struct drv_older *older;
    struct drv_error err;
    uint64_t first;

    g_assert_cmpint(drv_older_new(&older, key, &err), ==, 0);
    g_assert_false(drv_older_holds(older, 0, 1000));
    g_assert_true(drv_older_move(older, 0));
    while (drv_older_ask(older, 1000, &first))
        ;
    g_assert_true(drv_older_holds(older, 1, 1000));
    older->held_us = 1000;
    g_assert_false(drv_older_lose_patience(older, 800000));
    g_assert_true(drv_older_holds(older, 0, 800000));
    g_assert_true(drv_older_lose_patience(older, 1100000));
    g_assert_false(drv_older_holds(older, 0, 1100000));
    /* The first MiB came within 10 ms; the copy is at its beginning. */
    g_assert_cmpint(drv_older_answer(older, 0, digests, sizeof digests, 11000, &err), ==, 0);
    g_assert_false(drv_older_holds(older, 0, 11000));
    (void)drv_older_move(older, 240 * DRV_PAGE_SIZE);
    g_assert_true(drv_older_holds(older, 0, 11000));
    g_assert_true(drv_older_holds(older, 100 << 20, 11000));
    g_assert_false(drv_older_holds(older, 110 << 20, 11000));
    drv_older_free(older);

    /* A copy that asks for nothing for a second makes the answers no slower. */
    g_assert_cmpint(drv_older_new(&older, key, &err), ==, 0);
    g_assert_true(drv_older_move(older, 0));
    g_assert_true(drv_older_ask(older, 1000, &first));
    g_assert_cmpint(drv_older_answer(older, first, digests, sizeof digests, 11000, &err), ==, 0);
    g_assert_true(drv_older_ask(older, 1011000, &first));
    (void)drv_older_move(older, (first + 1) * DRV_PAGE_SIZE);
    g_assert_true(drv_older_holds(older, 100 << 20, 1011000));
    drv_older_free(older);
}

/* The whole window is asked for as the copy goes on, each block once. */
static void nothing_is_left_out(void)
{
    static const uint8_t digests[DRV_OLDER_STEP * DRV_OLDER_DIGEST];
    struct drv_older *older;
    struct drv_error err;
    uint64_t next = 0, first;

    g_assert_cmpint(drv_older_new(&older, key, &err), ==, 0);
    for (uint64_t at = 0; at < (uint64_t)1 << 30; at += 1 << 20) {
        (void)drv_older_move(older, at);
        while (drv_older_ask(older, 1, &first)) {
            g_assert_cmpuint(first, ==, next);
            next = first + DRV_OLDER_STEP;
            g_assert_cmpint(drv_older_answer(older, first, digests, sizeof digests, 1, &err), ==, 0);
        }
        g_assert_cmpuint(next * DRV_PAGE_SIZE, >, at + ((uint64_t)32 << 20));
    }
    drv_older_free(older);
}

static int feed(drv_decoder *decoder, const uint8_t *ops, size_t size, const uint8_t *expected, size_t raw,
                struct drv_error *err)
{
    struct drv_record record = {.method = DRV_RECORD_STORED,
                                .body = (uint32_t)size,
                                .raw = (uint32_t)raw,
                                .ops = (uint32_t)size,
                                .expanded = (uint32_t)size,
                                .check = drv_codec_hash(expected, raw, LINE_SEED)};
    uint8_t bytes[64];
    const uint8_t *out;
    size_t used;
    int rc;

    drv_record_encode(bytes, &record);
    memcpy(bytes + DRV_RECORD_HEADER_SIZE, ops, size);
    drv_decoder_reset(decoder, LINE_SEED);
    rc = drv_decoder_feed(decoder, bytes, DRV_RECORD_HEADER_SIZE + size, &used, err);
    g_assert_cmpuint(drv_decoder_output(decoder, &out), ==, rc == 1 ? raw : 0);
    if (rc == 1)
        drv_decoder_take(decoder, raw);
    return rc;
}

static void lies(void)
{
    enum { BARE = DRV_OP_BARE << 4, OLDER = DRV_OP_OLDER << 4 };
    static const struct {
        uint8_t ops[14];
        size_t size;
    } wrong[] = {
        {{BARE, OLDER, 4}, 3},     /* beyond its end */
        {{BARE, OLDER | 1, 3}, 3}, /* partly */
        {{BARE, OLDER, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, 11},
        {{BARE, OLDER}, 2},        /* cut */
        {{BARE, OLDER | 2, 0}, 3}, /* more than was said */
        {{BARE, OLDER | 15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}, 12},
        {{OLDER | 1, 0}, 2},   /* with headers */
        {{BARE, OLDER, 0}, 3}, /* less than was said */
    };
    static const uint8_t right[] = {BARE, OLDER | 1, 1}, other[] = {BARE, OLDER | 1, 2};
    uint8_t bytes[4 * DRV_PAGE_SIZE];
    struct image image = {bytes, sizeof bytes, 0, false};
    const uint8_t *expected = bytes + DRV_PAGE_SIZE;
    struct drv_error err;
    struct line line;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i / 512 + 1);
    line_begin(&line, 16, DRV_TRICKS_DISK);
    /* Nobody has said that there is one. */
    g_assert_cmpint(feed(line.decoder, right, sizeof right, expected, 2 * DRV_PAGE_SIZE, &err), <, 0);
    drv_decoder_set_older(line.decoder, read_image, &image);
    g_assert_cmpint(feed(line.decoder, right, sizeof right, expected, 2 * DRV_PAGE_SIZE, &err), ==, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_cmpint(feed(line.decoder, wrong[i].ops, wrong[i].size, expected, 2 * DRV_PAGE_SIZE, &err), <, 0);
    /* Another block than the one that was meant: the check says so before a byte comes out. */
    g_assert_cmpint(feed(line.decoder, other, sizeof other, expected, 2 * DRV_PAGE_SIZE, &err), ==, -EPROTO);
    line_end(&line);
}

/* It is another one than was digested, or cannot be read: said in words. */
static void a_changed_image(void)
{
    static const uint8_t ops[] = {DRV_OP_BARE << 4, DRV_OP_OLDER << 4, 0};
    uint8_t before[DRV_PAGE_SIZE] = {1}, now[DRV_PAGE_SIZE] = {2};
    struct image image = {now, sizeof now, 0, false};
    struct drv_error err;
    struct line line;

    line_begin(&line, 16, DRV_TRICKS_DISK);
    drv_decoder_set_older(line.decoder, read_image, &image);
    g_assert_cmpint(feed(line.decoder, ops, sizeof ops, before, sizeof before, &err), ==, -EPROTO);
    g_assert_nonnull(strstr(err.message, "older image"));
    g_assert_nonnull(strstr(err.message, "changed"));
    image.fails = true;
    g_assert_cmpint(feed(line.decoder, ops, sizeof ops, now, sizeof now, &err), ==, -EIO);
    g_assert_cmpstr(err.message, ==, "it cannot be read");
    line_end(&line);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/codec/older/only-what-differs", only_what_differs);
    g_test_add_func("/relay/codec/older/random-splits", random_splits);
    g_test_add_func("/relay/codec/older/the-window", the_window);
    g_test_add_func("/relay/codec/older/patience", patience);
    g_test_add_func("/relay/codec/older/nothing-is-left-out", nothing_is_left_out);
    g_test_add_func("/relay/codec/older/lies", lies);
    g_test_add_func("/relay/codec/older/a-changed-image", a_changed_image);
    return g_test_run();
}
