/* SPDX-License-Identifier: Apache-2.0 */
/* The witness's memory pattern; see memory.h. */
#include "memory.h"

#include <string.h>

void witness_memory_init(struct witness_memory *m, uint8_t *bytes, uint32_t *generation, uint64_t pages,
                         unsigned compressible_percent)
{
    unsigned percent = compressible_percent > 100 ? 100 : compressible_percent;

    m->bytes = bytes;
    m->generation = generation;
    m->pages = pages;
    m->writes = 0;
    m->compressible = (WITNESS_HEADER + (WITNESS_PAGE - WITNESS_HEADER) * percent / 100) / 8 * 8;
    for (size_t i = 0; i < sizeof(m->pattern); i++)
        m->pattern[i] = (uint8_t)(i % WITNESS_PRIME);
    memset(generation, 0, pages * sizeof(*generation));
}

/* splitmix64: any seed gives a good stream. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void make_page(const struct witness_memory *m, uint64_t page, uint8_t *out)
{
    uint64_t generation = m->generation[page];
    uint64_t mask = (generation & 0xff) * 0x0101010101010101u;
    uint64_t seed = page * 0xd1342543de82ef95u + generation;
    const uint8_t *pattern = m->pattern + page * WITNESS_PAGE % WITNESS_PRIME;
    uint64_t word;
    size_t i;

    memcpy(out, &page, 8);
    memcpy(out + 8, &generation, 8);
    for (i = WITNESS_HEADER; i < m->compressible; i += 8) {
        memcpy(&word, pattern + i, 8);
        word ^= mask;
        memcpy(out + i, &word, 8);
    }
    for (; i < WITNESS_PAGE; i += 8) {
        word = next_random(&seed);
        memcpy(out + i, &word, 8);
    }
}

void witness_memory_write(struct witness_memory *m, uint64_t page)
{
    m->generation[page]++;
    m->writes++;
    make_page(m, page, m->bytes + page * WITNESS_PAGE);
}

bool witness_memory_check(const struct witness_memory *m, uint64_t page, struct witness_fault *fault)
{
    uint8_t expected[WITNESS_PAGE] __attribute__((aligned(8)));
    const uint8_t *found = m->bytes + page * WITNESS_PAGE;
    size_t i = 0;

    make_page(m, page, expected);
    if (!memcmp(expected, found, WITNESS_PAGE))
        return true;
    while (i < WITNESS_PAGE - 1 && expected[i] == found[i])
        i++;
    *fault = (struct witness_fault){page * WITNESS_PAGE + i, expected[i], found[i]};
    return false;
}

bool witness_memory_check_sum(const struct witness_memory *m)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < m->pages; i++)
        sum += m->generation[i];
    return sum == m->writes;
}
