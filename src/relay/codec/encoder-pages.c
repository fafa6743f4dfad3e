/* SPDX-License-Identifier: Apache-2.0 */
/* From what was recognised in a channel to ops and literals: the tricks of encoder.h. */
#include "relay/codec/encoder-pages.h"

#include <string.h>

#include "relay/codec/delta.h"
#include "relay/codec/encoder-state.h"
#include "relay/codec/hash.h"

#define DELTA_MAX ((size_t)1536) /* more than this a page compresses as well as its delta */

/* ---- ops ---- */

static struct drv_writer ops_writer(drv_encoder *encoder)
{
    return drv_writer_over(encoder->body + encoder->ops_used, DRV_RECORD_OPS_MAX - encoder->ops_used);
}

static void write_op(struct drv_writer *writer, enum drv_op op, size_t count)
{
    uint8_t kind = (uint8_t)(op << DRV_OP_COUNT_BITS);

    if (count <= DRV_OP_COUNT_MANY) {
        drv_write_u8(writer, (uint8_t)(kind | (uint8_t)(count - 1)));
    } else {
        drv_write_u8(writer, kind | DRV_OP_COUNT_MANY);
        drv_write_varint(writer, count - DRV_OP_COUNT_MANY - 1);
    }
}

void drv_encoder_end_run(drv_encoder *encoder)
{
    struct drv_writer writer = ops_writer(encoder);

    if (!encoder->run_count)
        return;
    write_op(&writer, encoder->run, encoder->run_count);
    if (encoder->run == DRV_OP_OTHER)
        drv_write_varint(&writer, encoder->run_coder);
    if (encoder->run == DRV_OP_OTHER || encoder->run == DRV_OP_OLDER || encoder->run == DRV_OP_SAME ||
        encoder->run == DRV_OP_DELTA)
        drv_write_varint(&writer, encoder->run_back);
    encoder->ops_used += drv_writer_used(&writer);
    encoder->run_count = 0;
}

/* Goes on with the run at hand if it is of this kind. */
static void add_to_run(drv_encoder *encoder, enum drv_op op, size_t count)
{
    if (encoder->run_count && encoder->run != op)
        drv_encoder_end_run(encoder);
    encoder->run = op;
    encoder->run_count += count;
}

static void add_literal(drv_encoder *encoder, const uint8_t *bytes, size_t size)
{
    memcpy(encoder->body + DRV_RECORD_OPS_MAX + encoder->literals_used, bytes, size);
    encoder->literals_used += size;
}

static void add_bytes(drv_encoder *encoder, const uint8_t *bytes, size_t size)
{
    add_to_run(encoder, DRV_OP_BYTES, size);
    add_literal(encoder, bytes, size);
}

/* Makes the decoder know where the next page is. */
static void go_to(drv_encoder *encoder, const struct drv_span *span)
{
    struct drv_writer writer;
    uint64_t next = encoder->address + DRV_PAGE_SIZE;

    if (span->kind == DRV_SPAN_BLOCK) {
        if (encoder->bare)
            return;
        encoder->bare = true;
        drv_encoder_end_run(encoder);
        writer = ops_writer(encoder);
        write_op(&writer, DRV_OP_BARE, 1);
        encoder->ops_used += drv_writer_used(&writer);
        return;
    }
    encoder->address = span->address;
    if (span->kind != DRV_SPAN_CONTENT && span->address == next)
        return;
    drv_encoder_end_run(encoder);
    writer = ops_writer(encoder);
    if (span->kind != DRV_SPAN_CONTENT && span->address > next) {
        write_op(&writer, DRV_OP_SKIP, (size_t)((span->address - next) / DRV_PAGE_SIZE));
    } else {
        drv_write_u8(&writer,
                     (uint8_t)((span->kind == DRV_SPAN_CONTENT ? DRV_OP_AT : DRV_OP_JUMP) << DRV_OP_COUNT_BITS));
        drv_write_u64(&writer, span->address);
    }
    encoder->ops_used += drv_writer_used(&writer);
}

/* ---- pages ---- */

static uint64_t address_hash(const drv_encoder *encoder, const struct drv_span *span)
{
    uint64_t hash = (span->address ^ (uint64_t)span->block << 32 ^ encoder->seed) * UINT64_C(0x9e3779b97f4a7c15);

    return (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

/* Of a page of an earlier session, whose block nobody knows. */
static uint64_t earlier_hash(const drv_encoder *encoder, uint64_t address)
{
    const struct drv_span span = {.address = address, .block = UINT32_MAX};

    return address_hash(encoder, &span);
}

void drv_encoder_know(drv_encoder *encoder, uint64_t number, uint64_t address, uint64_t next)
{
    const uint8_t *page = encoder->cache.page + (size_t)number * DRV_PAGE_SIZE;

    drv_index_add(&encoder->contents, drv_codec_hash(page, DRV_PAGE_SIZE, encoder->seed), number, next, 0);
    if (address != UINT64_MAX)
        drv_index_add(&encoder->addresses, earlier_hash(encoder, address), number, next, 0);
}

/* An equal page in the cache. Return: how far back, or -1. */
static int64_t find_same(drv_encoder *encoder, const uint8_t *page, uint64_t hash)
{
    uint32_t back[DRV_INDEX_WAYS];
    unsigned count;

    if (!(encoder->tricks & DRV_TRICK_SAME))
        return -1;
    count = drv_index_find(&encoder->contents, hash, encoder->cache.next, back);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *other = drv_cache_get(&encoder->cache, back[i]);

        if (other && memcmp(page, other, DRV_PAGE_SIZE) == 0)
            return back[i];
    }
    return -1;
}

/* An equal page that another stream has brought to the decoder. Return: whether there is one. */
static bool find_other(const drv_encoder *encoder, const uint8_t *page, uint64_t hash, unsigned *coder,
                       uint64_t *number)
{
    for (unsigned i = 0; encoder->tricks & DRV_TRICK_SAME && i < DRV_CODERS_MAX; i++) {
        const drv_encoder *other = encoder->other[i];
        uint32_t back[DRV_INDEX_WAYS];
        unsigned count;

        if (!other || !atomic_load_explicit(&other->cache.shared, memory_order_relaxed))
            continue;
        /* Of a cache without an end, so to say: 0 - number is how far back. */
        count = drv_index_find(&other->contents, hash, 0, back);
        for (unsigned j = 0; j < count; j++) {
            const uint8_t *same;

            *number = (uint32_t)-back[j] - 1;
            same = drv_cache_shared(&other->cache, *number);
            *coder = i;
            if (same && memcmp(page, same, DRV_PAGE_SIZE) == 0)
                return true;
        }
    }
    return false;
}

/* What was last sent for this address makes a small delta. Return: its length, or 0. */
static size_t delta_by(drv_encoder *encoder, const uint8_t *page, uint64_t where, uint8_t *delta, uint64_t *back_result)
{
    uint32_t back[DRV_INDEX_WAYS];
    unsigned count;

    count = drv_index_find(&encoder->addresses, where, encoder->cache.next, back);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *base = drv_cache_get(&encoder->cache, back[i]);
        size_t size = base ? drv_delta_encode(delta, DELTA_MAX, page, base) : 0;

        *back_result = back[i];
        if (size)
            return size;
    }
    return 0;
}

/* The same, by what was sent in this session, or else in an earlier one. */
static size_t find_delta(drv_encoder *encoder, const struct drv_span *span, const uint8_t *page, uint64_t where,
                         uint8_t *delta, uint64_t *back)
{
    size_t size;

    if (!(encoder->tricks & DRV_TRICK_DELTA))
        return 0;
    size = delta_by(encoder, page, where, delta, back);
    if (!size && encoder->cache.known)
        size = delta_by(encoder, page, earlier_hash(encoder, span->address), delta, back);
    return size;
}

static void remember(drv_encoder *encoder, const struct drv_span *span, const uint8_t *page, uint64_t hash,
                     uint64_t where)
{
    uint8_t *place = drv_cache_add(&encoder->cache, span->address);
    uint64_t next = encoder->cache.next, known = encoder->cache.known;

    if (!place)
        return;
    memcpy(place, page, DRV_PAGE_SIZE);
    drv_index_add(&encoder->contents, hash, next - 1, next, known);
    drv_index_add(&encoder->addresses, where, next - 1, next, known);
}

/* Is that page of the cache what was last sent for the address? Then the guest has not changed it. */
static bool is_unchanged(const drv_encoder *encoder, uint64_t back, uint64_t where)
{
    uint32_t candidates[DRV_INDEX_WAYS];
    unsigned count = drv_index_find(&encoder->addresses, where, encoder->cache.next, candidates);

    for (unsigned i = 0; i < count; i++)
        if (candidates[i] == back)
            return true;
    return false;
}

static void add_same(drv_encoder *encoder, uint64_t back, uint64_t where)
{
    uint64_t next = encoder->cache.next;

    /* In the first round references say nothing of what the guest will write. */
    if (encoder->ram.rounds > 1 && !is_unchanged(encoder, back, where))
        drv_fresh_page(&encoder->fresh, false, 2);

    /* Pages that followed each other when they were sent, as those of a file do. */
    if (encoder->run_count && encoder->run == DRV_OP_SAME && encoder->run_count <= encoder->run_back &&
        back == encoder->run_back - encoder->run_count) {
        encoder->run_count++;
    } else {
        drv_encoder_end_run(encoder);
        encoder->run = DRV_OP_SAME;
        encoder->run_count = 1;
        encoder->run_back = back;
    }
    drv_index_add(&encoder->addresses, where, next - 1 - back, next, encoder->cache.known);
    drv_cache_count(&encoder->cache, back);
    encoder->stats.same_pages++;
}

/* Pages that follow each other elsewhere are one op. */
static void add_elsewhere(drv_encoder *encoder, enum drv_op op, unsigned coder, uint64_t number)
{
    if (encoder->run_count && encoder->run == op && encoder->run_coder == coder &&
        number == encoder->run_back + encoder->run_count) {
        encoder->run_count++;
        return;
    }
    drv_encoder_end_run(encoder);
    encoder->run = op;
    encoder->run_count = 1;
    encoder->run_coder = coder;
    encoder->run_back = number;
}

static void add_page(drv_encoder *encoder, const struct drv_span *span, const uint8_t *page)
{
    uint8_t delta[DELTA_MAX];
    uint64_t hash = 0, where = 0, delta_back = 0;
    uint64_t number;
    unsigned coder;
    int64_t back;
    size_t size;

    go_to(encoder, span);
    if (encoder->cache.pages) {
        hash = drv_codec_hash(page, DRV_PAGE_SIZE, encoder->seed);
        where = address_hash(encoder, span);
    }
    if (encoder->older && span->kind == DRV_SPAN_BLOCK && drv_older_has(encoder->older, span->address, page)) {
        add_elsewhere(encoder, DRV_OP_OLDER, 0, span->address / DRV_PAGE_SIZE);
        encoder->stats.older_pages++;
        remember(encoder, span, page, hash, where); /* as what is sent, for memory to refer to */
        return;
    }
    back = find_same(encoder, page, hash);
    if (back >= 0) {
        add_same(encoder, (uint64_t)back, where);
        return;
    }
    if (find_other(encoder, page, hash, &coder, &number)) {
        add_elsewhere(encoder, DRV_OP_OTHER, coder, number);
        encoder->stats.other_pages++;
        return;
    }
    size = find_delta(encoder, span, page, where, delta, &delta_back);
    if (size) {
        drv_encoder_end_run(encoder);
        encoder->run = DRV_OP_DELTA;
        encoder->run_count = size;
        encoder->run_back = delta_back;
        drv_encoder_end_run(encoder);
        drv_cache_count(&encoder->cache, delta_back);
        add_literal(encoder, delta, size);
        drv_fresh_page(&encoder->fresh, encoder->ram.rounds < 2, size);
        encoder->stats.delta_pages++;
    } else {
        add_to_run(encoder, DRV_OP_PAGES, 1);
        add_literal(encoder, page, DRV_PAGE_SIZE);
        drv_fresh_page(&encoder->fresh, encoder->ram.rounds < 2, DRV_PAGE_SIZE);
        encoder->stats.literal_pages++;
    }
    remember(encoder, span, page, hash, where);
}

/* ---- what was recognised ---- */

static void add_zero(drv_encoder *encoder, const struct drv_span *span)
{
    go_to(encoder, span);
    add_to_run(encoder, DRV_OP_ZEROS, 1);
    encoder->stats.zero_pages++;
}

static bool is_zero(const uint8_t *page)
{
    uint64_t first;

    memcpy(&first, page, sizeof first);
    return !first && memcmp(page, page + sizeof first, DRV_PAGE_SIZE - sizeof first) == 0;
}

void drv_encoder_add_span(drv_encoder *encoder, const struct drv_span *span, const uint8_t *bytes)
{
    if (encoder->effort == DRV_EFFORT_PLAIN)
        return;
    switch (span->kind) {
    case DRV_SPAN_PAGE:
        add_page(encoder, span, bytes + DRV_RAM_HEADER_SIZE);
        break;
    case DRV_SPAN_CONTENT:
        add_page(encoder, span, bytes);
        break;
    case DRV_SPAN_ZERO:
        add_zero(encoder, span);
        break;
    case DRV_SPAN_BLOCK:
        if (is_zero(bytes))
            add_zero(encoder, span);
        else
            add_page(encoder, span, bytes);
        break;
    case DRV_SPAN_OPAQUE:
    case DRV_SPAN_MORE:
        add_bytes(encoder, bytes, span->size);
        break;
    }
}
