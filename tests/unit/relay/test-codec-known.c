/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of earlier sessions in the cache: they stay, and what is new goes round beside them. */
#include <glib.h>
#include <string.h>

#include "codec-line.h"
#include "ram-stream.h"
#include "relay/codec/cache.h"
#include "relay/codec/encoder-pages.h"

#define RING ((size_t)1024)
#define KNOWN (RING / 4 * 3)

/* Every number's page, after each addition, is where it should be, or gone. */
static void ring(size_t pages, size_t known, size_t added)
{
    struct drv_cache cache;
    struct drv_error err;

    g_assert_cmpint(drv_cache_init(&cache, pages, &err), ==, 0);
    for (uint64_t number = 0; number < known + added; number++) {
        uint8_t *page = drv_cache_add(&cache, number);

        g_assert_nonnull(page);
        memcpy(page, &number, sizeof number);
        if (number + 1 == known)
            cache.known = known;
        for (uint64_t back = 0; back <= number + 1; back++) {
            const uint8_t *found = drv_cache_get(&cache, back);
            uint64_t wanted = number - back;

            if (back > number || (wanted >= cache.known && back >= pages - cache.known)) {
                g_assert_null(found);
            } else {
                g_assert_nonnull(found);
                g_assert_cmpint(memcmp(found, &wanted, sizeof wanted), ==, 0);
                g_assert_cmpuint(cache.address[drv_cache_place(&cache, wanted)], ==, wanted);
            }
        }
    }
    drv_cache_done(&cache);
}

static void rings(void)
{
    ring(8, 0, 30);
    ring(8, 1, 30);
    ring(8, 6, 30);
    ring(8, 7, 30);
    ring(1, 0, 5);
}

/* Nothing but what is known: what is new is not remembered. */
static void full(void)
{
    struct drv_cache cache;
    struct drv_error err;

    g_assert_cmpint(drv_cache_init(&cache, 4, &err), ==, 0);
    cache.next = cache.known = 4;
    g_assert_null(drv_cache_add(&cache, 0));
    g_assert_nonnull(drv_cache_get(&cache, 3));
    g_assert_null(drv_cache_get(&cache, 4));
    drv_cache_done(&cache);
}

/* @count pages that a cache has, as an earlier session's, into both ends of a line. */
static void make_known(struct line *line, const struct drv_cache *from, size_t first, size_t count)
{
    struct drv_cache *both[] = {drv_encoder_cache(line->encoder), drv_decoder_cache(line->decoder)};

    for (size_t end = 0; end < G_N_ELEMENTS(both); end++) {
        memcpy(both[end]->page, from->page + first * DRV_PAGE_SIZE, count * DRV_PAGE_SIZE);
        memcpy(both[end]->address, from->address + first, count * sizeof *from->address);
        both[end]->next = both[end]->known = count;
    }
    for (size_t i = 0; i < count; i++)
        drv_encoder_know(line->encoder, i, from->address[first + i], count);
}

/* Of a guest that is several times as large as the cache, and comes in the same order again, each known page serves. */
static void larger_than_the_cache(void)
{
    struct ram_stream stream;
    struct line before, line;
    struct drv_cache *at_source, *at_target;

    ram_stream_make(&stream, 5, 8000, 1);
    line_begin(&before, 16384, DRV_TRICKS_ALL);
    line_whole(&before, stream.bytes, stream.size);
    g_assert_cmpuint(drv_encoder_remembered(before.encoder), >, 4 * RING);

    line_begin(&line, RING, DRV_TRICKS_ALL);
    line_again(&line, stream.bytes);
    make_known(&line, drv_encoder_cache(before.encoder), 3 * RING, KNOWN);
    line_feed(&line, stream.bytes, stream.size);
    line_flush(&line);
    g_assert_cmpuint(line.came, ==, stream.size);
    at_source = drv_encoder_cache(line.encoder);
    at_target = drv_decoder_cache(line.decoder);
    g_assert_cmpuint(at_source->next, >, 4 * RING);
    g_assert_cmpuint(at_source->served_pages, >=, KNOWN);
    g_assert_cmpuint(at_target->served_pages, ==, at_source->served_pages);
    g_assert_cmpint(memcmp(at_target->served, at_source->served, KNOWN / DRV_CACHE_SEGMENT * sizeof *at_source->served),
                    ==, 0);
    line_end(&line);
    line_end(&before);
    ram_stream_free(&stream);
}

/* Two rounds, cut up anyhow, with pages that changed beside those that are known. */
static void random_splits(void)
{
    for (unsigned round = 0; round < 6; round++) {
        struct ram_stream stream;
        struct line before, line;

        ram_stream_make(&stream, (uint64_t)g_test_rand_int() + 1, 600, 4);
        line_begin(&before, 4096, DRV_TRICKS_ALL);
        line_whole(&before, stream.bytes, stream.size);
        line_begin(&line, 256, DRV_TRICKS_ALL);
        line_again(&line, stream.bytes);
        make_known(&line, drv_encoder_cache(before.encoder), round * 16, 192);
        line.random = g_rand_new_with_seed((guint32)g_test_rand_int());
        line_feed(&line, stream.bytes, stream.size);
        line_flush(&line);
        g_assert_cmpuint(line.came, ==, stream.size);
        g_rand_free(line.random);
        line_end(&line);
        line_end(&before);
        ram_stream_free(&stream);
    }
}

static void add_page(struct drv_cache *cache)
{
    uint64_t number = cache->next;
    uint8_t *page = drv_cache_add(cache, number * DRV_PAGE_SIZE);

    g_assert_nonnull(page);
    memset(page, (int)(number % 251), DRV_PAGE_SIZE);
}

/* A segment is copied as long as nothing can be in its place, and never later. */
static void copies(void)
{
    const size_t pages = 6 * (size_t)DRV_CACHE_SEGMENT;
    g_autofree uint8_t *copy = g_malloc((size_t)DRV_CACHE_SEGMENT * DRV_PAGE_SIZE);
    uint64_t address[DRV_CACHE_SEGMENT];
    struct drv_cache cache;
    struct drv_error err;

    g_assert_cmpint(drv_cache_init(&cache, pages, &err), ==, 0);
    cache.next = cache.known = DRV_CACHE_SEGMENT; /* five are left for what is new */
    while (cache.next < 5 * DRV_CACHE_SEGMENT)
        add_page(&cache);
    drv_cache_publish(&cache);
    for (uint64_t first = cache.known; first < cache.next; first += DRV_CACHE_SEGMENT) {
        g_assert_true(drv_cache_copy(&cache, first, copy, address));
        for (uint64_t i = 0; i < DRV_CACHE_SEGMENT; i++) {
            g_assert_cmpuint(address[i], ==, (first + i) * DRV_PAGE_SIZE);
            g_assert_cmpuint(copy[i * DRV_PAGE_SIZE], ==, (first + i) % 251);
            g_assert_cmpuint(copy[(i + 1) * DRV_PAGE_SIZE - 1], ==, (first + i) % 251);
        }
    }
    /* From here on the next pages may be written where the oldest ones are. */
    add_page(&cache);
    drv_cache_publish(&cache);
    g_assert_false(drv_cache_copy(&cache, cache.known, copy, address));
    g_assert_true(drv_cache_copy(&cache, 2 * DRV_CACHE_SEGMENT, copy, address));
    drv_cache_done(&cache);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/codec-known/rings", rings);
    g_test_add_func("/relay/codec-known/full", full);
    g_test_add_func("/relay/codec-known/copies", copies);
    g_test_add_func("/relay/codec-known/larger-than-the-cache", larger_than_the_cache);
    g_test_add_func("/relay/codec-known/random-splits", random_splits);
    return g_test_run();
}
