/* SPDX-License-Identifier: Apache-2.0 */
/* The witness's memory: each way in which a move could spoil it must be seen. */
#include <glib.h>
#include <string.h>

#include "memory.h"

enum { PAGES = 600 };

struct fixture {
    struct witness_memory m;
    uint8_t *bytes;
    uint32_t generation[PAGES];
};

static void fixture_fill(struct fixture *f, unsigned compressible)
{
    f->bytes = g_aligned_alloc0(PAGES, WITNESS_PAGE, WITNESS_PAGE);
    witness_memory_init(&f->m, f->bytes, f->generation, PAGES, compressible);
    for (uint64_t i = 0; i < PAGES; i++)
        witness_memory_write(&f->m, i);
}

static unsigned wrong_pages(const struct fixture *f, struct witness_fault *fault)
{
    unsigned n = 0;

    for (uint64_t i = 0; i < PAGES; i++)
        n += !witness_memory_check(&f->m, i, fault);
    return n;
}

static void test_untouched(gconstpointer percent)
{
    struct fixture f;
    struct witness_fault fault;

    fixture_fill(&f, GPOINTER_TO_UINT(percent));
    g_assert_cmpuint(wrong_pages(&f, &fault), ==, 0);
    for (uint64_t i = 0; i < PAGES; i += 3)
        witness_memory_write(&f.m, i);
    g_assert_cmpuint(wrong_pages(&f, &fault), ==, 0);
    g_assert_true(witness_memory_check_sum(&f.m));
    g_aligned_free(f.bytes);
}

static void test_one_byte(gconstpointer percent)
{
    struct fixture f;
    struct witness_fault fault;

    fixture_fill(&f, GPOINTER_TO_UINT(percent));
    for (uint64_t at = 0; at < WITNESS_PAGE; at++) {
        uint64_t offset = 77 * WITNESS_PAGE + at;

        f.bytes[offset] ^= 0x10;
        g_assert_false(witness_memory_check(&f.m, 77, &fault));
        g_assert_cmpuint(fault.offset, ==, offset);
        g_assert_cmpuint(fault.found, ==, f.bytes[offset]);
        g_assert_cmpuint(fault.expected, ==, f.bytes[offset] ^ 0x10);
        f.bytes[offset] ^= 0x10;
    }
    g_assert_cmpuint(wrong_pages(&f, &fault), ==, 0);
    g_aligned_free(f.bytes);
}

/* A page that was sent before its last rewriting and then not again. */
static void test_stale_page(gconstpointer percent)
{
    struct fixture f;
    struct witness_fault fault;
    uint8_t old[WITNESS_PAGE];

    fixture_fill(&f, GPOINTER_TO_UINT(percent));
    memcpy(old, f.bytes + 5 * WITNESS_PAGE, WITNESS_PAGE);
    witness_memory_write(&f.m, 5);
    memcpy(f.bytes + 5 * WITNESS_PAGE, old, WITNESS_PAGE);
    g_assert_cmpuint(wrong_pages(&f, &fault), ==, 1);
    g_aligned_free(f.bytes);
}

/* Any page at any other place, also 251 pages on, where the pattern is in the same phase. */
static void test_misplaced_page(gconstpointer percent)
{
    struct fixture f;
    struct witness_fault fault;
    uint64_t from[] = {0, 1, 16, 100 + WITNESS_PRIME, 100 + 2 * WITNESS_PRIME - 7};

    fixture_fill(&f, GPOINTER_TO_UINT(percent));
    for (gsize i = 0; i < G_N_ELEMENTS(from); i++) {
        if (from[i] >= PAGES)
            continue;
        memcpy(f.bytes + 100 * WITNESS_PAGE, f.bytes + from[i] * WITNESS_PAGE, WITNESS_PAGE);
        g_assert_false(witness_memory_check(&f.m, 100, &fault));
    }
    g_aligned_free(f.bytes);
}

/* Content and its generation lost together: only the sum of the writes tells. */
static void test_both_stale(void)
{
    struct fixture f;
    struct witness_fault fault;
    uint8_t old[WITNESS_PAGE];

    fixture_fill(&f, 50);
    memcpy(old, f.bytes + 9 * WITNESS_PAGE, WITNESS_PAGE);
    witness_memory_write(&f.m, 9);
    memcpy(f.bytes + 9 * WITNESS_PAGE, old, WITNESS_PAGE);
    f.generation[9]--;
    g_assert_cmpuint(wrong_pages(&f, &fault), ==, 0);
    g_assert_false(witness_memory_check_sum(&f.m));
    g_aligned_free(f.bytes);
}

int main(int argc, char **argv)
{
    static const unsigned percents[] = {0, 50, 100};

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(percents); i++) {
        gconstpointer percent = GUINT_TO_POINTER(percents[i]);
        g_autofree char *a = g_strdup_printf("/lab/memory/%u/untouched", percents[i]);
        g_autofree char *b = g_strdup_printf("/lab/memory/%u/one-byte", percents[i]);
        g_autofree char *c = g_strdup_printf("/lab/memory/%u/stale", percents[i]);
        g_autofree char *d = g_strdup_printf("/lab/memory/%u/misplaced", percents[i]);

        g_test_add_data_func(a, percent, test_untouched);
        g_test_add_data_func(b, percent, test_one_byte);
        g_test_add_data_func(c, percent, test_stale_page);
        g_test_add_data_func(d, percent, test_misplaced_page);
    }
    g_test_add_func("/lab/memory/both-stale", test_both_stale);
    return g_test_run();
}
