/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of one stream that several threads press at the same time, and what lanes remember. */
#include <glib.h>
#include <pthread.h>
#include <string.h>

#include "ram-stream.h"
#include "relay/codec/decoder.h"
#include "relay/codec/encoder.h"
#include "relay/codec/squeeze.h"

#define SEED UINT64_C(77)
#define BALES 12u

struct job {
    drv_encoder *encoder;
    struct drv_bale bale[BALES];
    uint8_t *record[BALES];
    size_t size[BALES];
    unsigned lane;
};

/* Every so-many-th bale, by one thread. */
static void *press(void *argument)
{
    struct job *job = argument;

    for (unsigned i = job->lane; i < BALES; i += DRV_LANES_MAX)
        job->size[i] =
            drv_bale_press(&job->bale[i], drv_encoder_lane(job->encoder, job->lane), job->lane, job->record[i]);
    return NULL;
}

static void fill(drv_encoder *encoder, const struct ram_stream *stream, size_t *done)
{
    for (;;) {
        uint8_t *at;
        size_t room = drv_encoder_room(encoder, &at);

        room = MIN(room, stream->size - *done);
        if (!room)
            break;
        memcpy(at, stream->bytes + *done, room);
        drv_encoder_commit(encoder, room);
        *done += room;
    }
}

/* All batches are closed before the first is pressed; their records are decoded in order. */
static void many_at_a_time(void)
{
    const struct drv_encoder_config config = {
        .cache_pages = 4096, .lanes = DRV_LANES_MAX, .tricks = DRV_TRICKS_ALL, .seed = SEED};
    struct job jobs[DRV_LANES_MAX] = {0};
    struct job *all = &jobs[0];
    struct ram_stream stream;
    drv_encoder *encoder;
    drv_decoder *decoder;
    struct drv_error err;
    size_t done = 0, came = 0;
    unsigned compressed = 0;

    ram_stream_make(&stream, 5, 3000, 3);
    g_assert_cmpint(drv_encoder_new(&encoder, &config, &err), ==, 0);
    g_assert_cmpint(drv_decoder_new(&decoder, 4096, DRV_LANES_MAX, SEED, &err), ==, 0);
    for (unsigned i = 0; i < BALES; i++) {
        g_assert_cmpint(drv_bale_init(&all->bale[i], &err), ==, 0);
        all->record[i] = g_malloc(DRV_RECORD_MAX);
    }
    for (unsigned round = 0; came < stream.size; round++) {
        pthread_t threads[DRV_LANES_MAX];
        unsigned packed = 0;

        drv_encoder_set_effort(encoder, 2 + round % (DRV_EFFORTS - 2));
        while (packed < BALES) {
            fill(encoder, &stream, &done);
            if (!drv_encoder_pack(encoder, &all->bale[packed], all->record[packed]))
                break;
            packed++;
        }
        g_assert_cmpuint(packed, >, 0);
        for (unsigned i = packed; i < BALES; i++)
            all->bale[i].record = (struct drv_record){.method = DRV_RECORD_PLAIN};
        for (unsigned i = 0; i < DRV_LANES_MAX; i++) {
            jobs[i] = *all;
            jobs[i].encoder = encoder;
            jobs[i].lane = i;
        }
        for (unsigned i = 0; i < DRV_LANES_MAX; i++)
            g_assert_cmpint(pthread_create(&threads[i], NULL, press, &jobs[i]), ==, 0);
        for (unsigned i = 0; i < DRV_LANES_MAX; i++)
            g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
        for (unsigned i = 0; i < packed; i++) {
            size_t used, size = jobs[i % DRV_LANES_MAX].size[i];
            const struct drv_bale *bale = &jobs[i % DRV_LANES_MAX].bale[i];
            const uint8_t *out;

            g_assert_cmpuint(size, <=, drv_bale_most(bale));
            compressed += bale->record.method == DRV_RECORD_GOES_ON;
            g_assert_cmpint(drv_decoder_feed(decoder, all->record[i], size, &used, &err), ==, 1);
            g_assert_cmpuint(used, ==, size);
            size = drv_decoder_output(decoder, &out);
            g_assert_cmpint(memcmp(out, stream.bytes + came, size), ==, 0);
            drv_decoder_take(decoder, size);
            came += size;
        }
    }
    g_assert_cmpuint(compressed, >, 0);
    for (unsigned i = 0; i < BALES; i++) {
        drv_bale_done(&all->bale[i]);
        g_free(all->record[i]);
    }
    drv_encoder_free(encoder);
    drv_decoder_free(decoder);
    ram_stream_free(&stream);
}

/* The same noise twice: the second time it is in the window. What does not shrink is not remembered. */
static void lanes_remember(void)
{
    struct drv_squeezer lane, expander;
    g_autofree uint8_t *noise = g_malloc(200000), *out = g_malloc(200001), *back = g_malloc(200001);
    GRand *rand = g_rand_new_with_seed(1);
    struct drv_error err;
    bool begins;
    size_t first, second;

    for (size_t i = 0; i < 200000; i++)
        noise[i] = i < 100000 ? (uint8_t)g_rand_int(rand) : 7;
    g_assert_cmpint(drv_squeezer_init(&lane, 3, &err), ==, 0);
    g_assert_cmpint(drv_expander_init(&expander, &err), ==, 0);
    /* Nothing has begun at the other end. */
    first = drv_squeeze(&lane, 3, out, 200000, noise, 200000, &begins);
    g_assert_true(begins);
    g_assert_cmpuint(first, >, 100000);
    g_assert_cmpint(drv_expand(&expander, false, back, 200000, out, first), ==, -1);
    g_assert_cmpint(drv_expand(&expander, true, back, 199999, out, first), ==, -1);
    g_assert_cmpint(drv_expand(&expander, true, back, 200001 - 1, out, first), ==, 0);
    g_assert_cmpint(memcmp(back, noise, 200000), ==, 0);
    second = drv_squeeze(&lane, 3, out, 200000, noise, 200000, &begins);
    g_assert_false(begins);
    g_assert_cmpuint(second, >, 0);
    g_assert_cmpuint(second, <, 5000);
    g_assert_cmpint(drv_expand(&expander, false, back, 200000, out, second), ==, 0);
    g_assert_cmpint(memcmp(back, noise, 200000), ==, 0);
    /* Half of it is not what was sent. */
    second = drv_squeeze(&lane, 3, out, 200000, noise, 200000, &begins);
    g_assert_cmpint(drv_expand(&expander, false, back, 200000, out, second / 2), ==, -1);
    /* Another level; and what does not shrink. */
    g_assert_cmpuint(drv_squeeze(&lane, 1, out, 200000, noise, 200000, &begins), >, 100000);
    g_assert_true(begins);
    for (size_t i = 0; i < 50000; i++)
        noise[i] = (uint8_t)g_rand_int(rand);
    g_assert_cmpuint(drv_squeeze(&lane, 1, out, 200000, noise, 50000, &begins), ==, 0);
    g_assert_cmpuint(drv_squeeze(&lane, 1, out, 200000, noise + 100000, 100000, &begins), >, 0);
    g_assert_true(begins);
    drv_squeezer_done(&lane);
    drv_squeezer_done(&expander);
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/bale/many-at-a-time", many_at_a_time);
    g_test_add_func("/relay/bale/lanes-remember", lanes_remember);
    return g_test_run();
}
