/* SPDX-License-Identifier: Apache-2.0 */
/* What may be under way, how fast QEMU may write near the switch, and how the encoder knows where its copy stands. */
#include <glib.h>
#include <string.h>

#include "ram-stream.h"
#include "relay/codec/fresh.h"
#include "relay/codec/ram-parser.h"
#include "relay/pace.h"

#define MB UINT64_C(1000000)

/* A link that was full: @bps went over it for @ms. Return: the time after it. */
static int64_t full_link(struct drv_pace *pace, int64_t now_us, int64_t ms, uint64_t bps,
                         const struct drv_encoder_copy *copy)
{
    for (int64_t i = 0; i < ms; i += 10) {
        now_us += 10000;
        drv_pace_sent(pace, (size_t)(bps / 100), 9000);
        drv_pace_look(pace, now_us, 1, copy);
    }
    return now_us;
}

/* Reads batches as fast as it may. Return: how many bytes in a second. */
static uint64_t read_for_a_second(struct drv_pace *pace, int64_t now_us, bool stopped)
{
    int64_t end_us = now_us + 1000000, wait_us;
    uint64_t sum = 0;
    size_t enough;

    while (now_us < end_us) {
        wait_us = drv_pace_wait_us(pace, now_us, stopped, &enough);
        if (wait_us) {
            now_us += wait_us;
            continue;
        }
        if (enough > 512 * 1024)
            enough = 512 * 1024;
        now_us += 100; /* it costs something, but not much */
        drv_pace_read(pace, now_us, enough);
        sum += enough;
    }
    return sum;
}

static void paces_only_near_the_switch(void)
{
    const struct drv_encoder_copy copy = {.rounds = 2, .fresh_bytes = 4 * MB, .fresh_encoded_bytes = 2 * MB};
    struct drv_pace pace = {0};
    int64_t now_us = full_link(&pace, 1000000, 1000, 10 * MB, &copy);
    uint64_t fresh_bps = atomic_load(&pace.fresh_bps);

    /* Each byte on the link stands for two. */
    g_assert_cmpuint(fresh_bps, >, 19 * MB);
    g_assert_cmpuint(fresh_bps, <, 21 * MB);
    g_assert_cmpuint(read_for_a_second(&pace, now_us, false), >, 1000 * MB);
    now_us += 1000000;
    drv_pace_near(&pace);
    g_assert_cmpuint(read_for_a_second(&pace, now_us, false), >, 19 * MB);
    now_us += 2000000;
    g_assert_cmpuint(read_for_a_second(&pace, now_us, false), <, 21 * MB);
    now_us += 2000000;
    /* The guest stands still: nothing is held back. */
    g_assert_cmpuint(read_for_a_second(&pace, now_us, true), >, 1000 * MB);
}

/* What was read before does not have to be waited for. */
static void begins_at_once(void)
{
    const struct drv_encoder_copy copy = {.fresh_bytes = 1, .fresh_encoded_bytes = 1};
    struct drv_pace pace = {0};
    int64_t now_us = full_link(&pace, 1000000, 500, 10 * MB, &copy);
    size_t enough;

    for (unsigned i = 0; i < 1000; i++)
        drv_pace_read(&pace, now_us, 1 << 20);
    drv_pace_near(&pace);
    g_assert_cmpint(drv_pace_wait_us(&pace, now_us, false, &enough), ==, 0);
    g_assert_cmpuint(enough, <=, 60000);
}

/* Cheap pages do not make the link look slow, and a link that is never full bounds nothing. */
static void link_is_what_it_took_when_full(void)
{
    const struct drv_encoder_copy copy = {.fresh_bytes = 1, .fresh_encoded_bytes = 1};
    struct drv_pace pace = {0};
    int64_t now_us = 1000000;
    size_t enough;

    for (unsigned i = 0; i < 100; i++) {
        now_us += 10000;
        drv_pace_sent(&pace, 100000, 10);
        drv_pace_look(&pace, now_us, 1, &copy);
    }
    drv_pace_near(&pace);
    g_assert_cmpuint(atomic_load(&pace.link_bps), ==, 0);
    g_assert_cmpint(drv_pace_wait_us(&pace, now_us, false, &enough), ==, 0);
    g_assert_true(enough == SIZE_MAX && drv_pace_batch(&pace, 1) == SIZE_MAX);
    g_assert_cmpint(drv_pace_queue_us(0, 2, 1 << 30, 0, DRV_PACE_FAR), ==, 0);

    now_us = full_link(&pace, now_us, 1000, 10 * MB, &copy);
    for (unsigned i = 0; i < 300; i++) {
        now_us += 10000;
        drv_pace_sent(&pace, 1000, 0);
        drv_pace_look(&pace, now_us, 1, &copy);
    }
    g_assert_cmpuint(atomic_load(&pace.link_bps), >, 9 * MB);
    /* It has become slower. */
    (void)full_link(&pace, now_us, 1000, MB, &copy);
    g_assert_cmpuint(atomic_load(&pace.link_bps), <, 2 * MB);
}

static void queue_is_bounded(void)
{
    /* 12.5 MB/s over two: 8 ms of it are 50,000 bytes each. */
    g_assert_cmpint(drv_pace_queue_us(12500000, 2, 50000, 0, DRV_PACE_FAR), ==, 0);
    g_assert_cmpint(drv_pace_queue_us(12500000, 2, 50000 + 6250, 0, DRV_PACE_NEAR), ==, 1001);
    /* What a long way holds does not count. */
    g_assert_cmpint(drv_pace_queue_us(12500000, 2, 50000 + 312500, 50000, DRV_PACE_NEAR), ==, 0);
    g_assert_cmpint(drv_pace_queue_us(12500000, 2, 50000 + 500000, 50000, DRV_PACE_NEAR), >, 0);
    g_assert_cmpint(drv_pace_queue_us(12500000, 2, 50000 + 500000, 50000, DRV_PACE_FAR), ==, 0);
    /* Less, when somebody waits for it. */
    g_assert_cmpint(drv_pace_queue_us(12500000, 2, 50000, 0, DRV_PACE_HURRY), ==, 6001);
    /* A slow link gets something to do, too. */
    g_assert_cmpint(drv_pace_queue_us(10000, 1, 30000, 0, DRV_PACE_FAR), ==, 0);
}

/* A batch whose @expanded bytes became @body bytes. */
static void close_batch(struct drv_fresh *fresh, size_t expanded, size_t body)
{
    size_t raw, part;

    drv_fresh_take(fresh, &raw, &part);
    drv_fresh_add(fresh, raw, part * body / expanded);
}

static void fresh_pages_count(void)
{
    struct drv_fresh fresh = {0};

    /* The first round is a guess … */
    for (unsigned i = 0; i < 10; i++)
        drv_fresh_page(&fresh, true, 4096);
    close_batch(&fresh, 50000, 50000);
    g_assert_cmpuint(fresh.encoded, ==, 40960);
    /* … that is forgotten when there is something better. */
    drv_fresh_page(&fresh, false, 1000);
    close_batch(&fresh, 2000, 1000);
    g_assert_cmpuint(fresh.raw, ==, DRV_RAM_PAGE_SPAN);
    g_assert_cmpuint(fresh.encoded, ==, 500);
    for (unsigned i = 0; i < 10000; i++) {
        drv_fresh_page(&fresh, false, 4096);
        close_batch(&fresh, 4096, 4096);
    }
    g_assert_cmpuint(fresh.raw, <, 10 * MB);
}

/* Encodes the first @end bytes of @stream, in small pieces. */
static void encode(drv_encoder *encoder, const struct ram_stream *stream, size_t end)
{
    g_autofree uint8_t *record = g_malloc(DRV_RECORD_MAX);

    for (size_t fed = 0; fed < end;) {
        uint8_t *at;
        size_t room = drv_encoder_room(encoder, &at);
        size_t size = MIN(MIN(room, end - fed), 5000);

        memcpy(at, stream->bytes + fed, size);
        drv_encoder_commit(encoder, size);
        fed += size;
        (void)drv_encoder_close(encoder, record);
    }
}

static void knows_the_rounds(void)
{
    const struct drv_encoder_config config = {.cache_pages = 1000, .tricks = DRV_TRICKS_ALL, .seed = 1};
    struct drv_encoder_copy copy;
    drv_encoder *encoder;
    struct drv_error err;

    g_assert_cmpint(drv_encoder_new(&encoder, &config, &err), ==, 0);
    for (unsigned rounds = 1; rounds < 6; rounds++) {
        struct ram_stream stream;

        ram_stream_make(&stream, rounds, 200, rounds);
        drv_encoder_reset(encoder, 1);
        encode(encoder, &stream, stream.size);
        drv_encoder_copy(encoder, &copy);
        g_assert_cmpuint(copy.rounds, ==, rounds);
        g_assert_true(copy.stopped);
        g_assert_cmpuint(copy.fresh_bytes, >, 0);
        /* Before the first page. */
        drv_encoder_reset(encoder, 1);
        encode(encoder, &stream, 90);
        drv_encoder_copy(encoder, &copy);
        g_assert_cmpuint(copy.rounds, ==, 0);
        g_assert_false(copy.stopped);
        ram_stream_free(&stream);
    }
    drv_encoder_free(encoder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/pace/near", paces_only_near_the_switch);
    g_test_add_func("/relay/pace/at-once", begins_at_once);
    g_test_add_func("/relay/pace/link", link_is_what_it_took_when_full);
    g_test_add_func("/relay/pace/queue", queue_is_bounded);
    g_test_add_func("/relay/pace/fresh", fresh_pages_count);
    g_test_add_func("/relay/pace/rounds", knows_the_rounds);
    return g_test_run();
}
