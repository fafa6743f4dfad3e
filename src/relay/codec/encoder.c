/* SPDX-License-Identifier: Apache-2.0 */
/* Makes records of the bytes of one channel: see encoder.h. */
#include "relay/codec/encoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/codec/cache.h"
#include "relay/codec/delta.h"
#include "relay/codec/fresh.h"
#include "relay/codec/hash.h"
#include "relay/codec/index.h"
#include "relay/codec/multifd-parser.h"
#include "relay/codec/nbd-parser.h"
#include "relay/codec/ram-parser.h"
#include "relay/codec/squeeze.h"

#define BATCH_MIN ((size_t)16 * 1024)
#define BATCH_MAX ((size_t)128 * 1024)
#define STEP ((size_t)32 * 1024) /* taken at once: what it adds to the ops is bounded */
#define PARTIAL ((size_t)2 * DRV_RAM_PAGE_SPAN) /* a page at hand, and what completes it */
#define OPS_FULL ((size_t)24 * 1024)
#define RAW_FULL ((size_t)DRV_RECORD_RAW_MAX - DRV_RAM_PAGE_SPAN) /* then a page is completed */
#define DELTA_MAX ((size_t)1536) /* more than this a page compresses as well as its delta */
#define BODY_SIZE ((size_t)DRV_RECORD_OPS_MAX + DRV_RECORD_LITERALS_MAX)
#define LEVEL_MAX 3

/* By effort: the first two have none. */
static const int levels[DRV_EFFORTS] = {0, 0, -5, -3, -1, 1, 2, LEVEL_MAX};

struct drv_encoder {
    struct drv_ram_parser ram;
    struct drv_nbd_parser nbd;
    struct drv_multifd_parser multifd;
    struct drv_cache cache;
    struct drv_index contents, addresses;
    const drv_encoder *other[DRV_CODERS_MAX];
    struct drv_older *older; /* NULL: the target has none */
    struct drv_squeezer squeezer;
    unsigned tricks;
    unsigned effort, next_effort;
    size_t batch, next_batch;
    uint64_t seed;

    /* the batch at hand */
    uint8_t *raw; /* the channel's bytes */
    size_t raw_used;
    size_t raw_at; /* bytes before it have become ops */
    uint8_t *body; /* room for ops, then literals */
    size_t ops_used, literals_used;

    /* the op in the making: the same thing several times */
    enum drv_op run;
    size_t run_count; /* 0: there is none */
    uint64_t run_back;  /* OTHER, OLDER: the number of the first page */
    unsigned run_coder; /* OTHER */

    uint64_t address; /* of the page before, as the decoder knows it */
    bool bare;        /* the decoder knows that pages have no headers */
    struct drv_encoder_stats stats;
    struct drv_fresh fresh;
};

size_t drv_encoder_memory(size_t cache_pages)
{
    return sizeof(drv_encoder) + DRV_RECORD_RAW_MAX + PARTIAL + BODY_SIZE +
           (size_t)drv_cache_memory(cache_pages) + 2 * drv_index_memory(cache_pages) +
           drv_squeezer_memory(LEVEL_MAX, BODY_SIZE);
}

int drv_encoder_new(drv_encoder **result, const struct drv_encoder_config *config,
                    struct drv_error *err)
{
    drv_encoder *encoder = calloc(1, sizeof *encoder);
    int rc = 0;

    if (encoder) {
        encoder->raw = malloc(DRV_RECORD_RAW_MAX + PARTIAL);
        encoder->body = malloc(BODY_SIZE);
    }
    if (!encoder || !encoder->raw || !encoder->body)
        rc = drv_error_set(err, ENOMEM, "no memory for an encoder");
    if (!rc)
        rc = drv_cache_init(&encoder->cache, config->cache_pages, err);
    if (!rc)
        rc = drv_index_init(&encoder->contents, config->cache_pages, err);
    if (!rc)
        rc = drv_index_init(&encoder->addresses, config->cache_pages, err);
    if (!rc)
        rc = drv_squeezer_init(&encoder->squeezer, LEVEL_MAX, BODY_SIZE, err);
    if (rc) {
        drv_encoder_free(encoder);
        return rc;
    }
    encoder->effort = encoder->next_effort = DRV_EFFORT_FIRST;
    encoder->batch = encoder->next_batch = BATCH_MAX;
    drv_encoder_set_tricks(encoder, config->tricks);
    drv_encoder_reset(encoder, config->seed);
    *result = encoder;
    return 0;
}

void drv_encoder_free(drv_encoder *encoder)
{
    if (!encoder)
        return;
    drv_squeezer_done(&encoder->squeezer);
    drv_index_done(&encoder->addresses);
    drv_index_done(&encoder->contents);
    drv_cache_done(&encoder->cache);
    free(encoder->body);
    free(encoder->raw);
    free(encoder);
}

void drv_encoder_reset(drv_encoder *encoder, uint64_t seed)
{
    drv_ram_parser_init(&encoder->ram);
    drv_nbd_parser_init(&encoder->nbd);
    drv_multifd_parser_init(&encoder->multifd);
    drv_index_clear(&encoder->contents);
    drv_index_clear(&encoder->addresses);
    drv_cache_clear(&encoder->cache);
    encoder->seed = seed;
    encoder->older = NULL;
    encoder->raw_used = encoder->raw_at = encoder->ops_used = encoder->literals_used = 0;
    encoder->run_count = 0;
    encoder->address = 0;
    encoder->bare = false;
    encoder->fresh = (struct drv_fresh){0};
    memset(&encoder->stats, 0, sizeof encoder->stats);
}

void drv_encoder_set_tricks(drv_encoder *encoder, unsigned tricks)
{
    if (!encoder->cache.pages)
        tricks &= DRV_TRICK_RAM | DRV_TRICK_NBD | DRV_TRICK_MULTIFD;
    encoder->tricks = tricks;
}

void drv_encoder_keep(drv_encoder *encoder)
{
    encoder->cache.kept = true;
}

void drv_encoder_refer(drv_encoder *encoder, unsigned number, const drv_encoder *other)
{
    encoder->other[number] = other;
}

const char *drv_encoder_disk(const drv_encoder *encoder, uint64_t *reached)
{
    *reached = encoder->nbd.reached;
    return encoder->nbd.named ? encoder->nbd.name : NULL;
}

void drv_encoder_set_older(drv_encoder *encoder, struct drv_older *older)
{
    encoder->older = older;
}

uint64_t drv_encoder_remembered(const drv_encoder *encoder)
{
    return encoder->cache.next;
}

uint64_t drv_encoder_shared(const drv_encoder *encoder)
{
    return atomic_load_explicit(&encoder->cache.shared, memory_order_relaxed);
}

void drv_encoder_share(drv_encoder *encoder, uint64_t pages)
{
    atomic_store_explicit(&encoder->cache.shared, pages, memory_order_release);
}

struct drv_cache *drv_encoder_cache(drv_encoder *encoder)
{
    return &encoder->cache;
}

void drv_encoder_set_effort(drv_encoder *encoder, unsigned effort)
{
    encoder->next_effort = effort < DRV_EFFORTS ? effort : DRV_EFFORTS - 1;
}

void drv_encoder_set_batch(drv_encoder *encoder, size_t bytes)
{
    encoder->next_batch = bytes < BATCH_MIN ? BATCH_MIN : bytes > BATCH_MAX ? BATCH_MAX : bytes;
}

bool drv_encoder_hurry(const drv_encoder *encoder)
{
    return encoder->ram.postcopy;
}

void drv_encoder_copy(const drv_encoder *encoder, struct drv_encoder_copy *copy)
{
    copy->rounds = encoder->ram.rounds;
    copy->stopped = encoder->ram.stopped;
    copy->fresh_bytes = encoder->fresh.raw;
    copy->fresh_encoded_bytes = encoder->fresh.encoded;
}

const struct drv_encoder_stats *drv_encoder_stats(const drv_encoder *encoder)
{
    return &encoder->stats;
}

size_t drv_encoder_held(const drv_encoder *encoder)
{
    return encoder->raw_used;
}

/* ---- ops ---- */

static struct drv_writer ops_writer(drv_encoder *encoder)
{
    return drv_writer_over(encoder->body + encoder->ops_used,
                           DRV_RECORD_OPS_MAX - encoder->ops_used);
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

static void end_run(drv_encoder *encoder)
{
    struct drv_writer writer = ops_writer(encoder);

    if (!encoder->run_count)
        return;
    write_op(&writer, encoder->run, encoder->run_count);
    if (encoder->run == DRV_OP_OTHER)
        drv_write_varint(&writer, encoder->run_coder);
    if (encoder->run == DRV_OP_OTHER || encoder->run == DRV_OP_OLDER ||
        encoder->run == DRV_OP_SAME || encoder->run == DRV_OP_DELTA)
        drv_write_varint(&writer, encoder->run_back);
    encoder->ops_used += drv_writer_used(&writer);
    encoder->run_count = 0;
}

/* Goes on with the run at hand if it is of this kind. */
static void add_to_run(drv_encoder *encoder, enum drv_op op, size_t count)
{
    if (encoder->run_count && encoder->run != op)
        end_run(encoder);
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
        end_run(encoder);
        writer = ops_writer(encoder);
        write_op(&writer, DRV_OP_BARE, 1);
        encoder->ops_used += drv_writer_used(&writer);
        return;
    }
    encoder->address = span->address;
    if (span->kind != DRV_SPAN_CONTENT && span->address == next)
        return;
    end_run(encoder);
    writer = ops_writer(encoder);
    if (span->kind != DRV_SPAN_CONTENT && span->address > next) {
        write_op(&writer, DRV_OP_SKIP, (size_t)((span->address - next) / DRV_PAGE_SIZE));
    } else {
        drv_write_u8(&writer, (uint8_t)((span->kind == DRV_SPAN_CONTENT ? DRV_OP_AT : DRV_OP_JUMP)
                                        << DRV_OP_COUNT_BITS));
        drv_write_u64(&writer, span->address);
    }
    encoder->ops_used += drv_writer_used(&writer);
}

/* ---- pages ---- */

static uint64_t address_hash(const drv_encoder *encoder, const struct drv_span *span)
{
    uint64_t hash = (span->address ^ (uint64_t)span->block << 32 ^ encoder->seed) *
                    UINT64_C(0x9e3779b97f4a7c15);

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

    drv_index_add(&encoder->contents, drv_codec_hash(page, DRV_PAGE_SIZE, encoder->seed), number,
                  next);
    if (address != UINT64_MAX)
        drv_index_add(&encoder->addresses, earlier_hash(encoder, address), number, next);
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
static bool find_other(const drv_encoder *encoder, const uint8_t *page, uint64_t hash,
                       unsigned *coder, uint64_t *number)
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
static size_t delta_by(drv_encoder *encoder, const uint8_t *page, uint64_t where, uint8_t *delta,
                       uint64_t *back_result)
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
static size_t find_delta(drv_encoder *encoder, const struct drv_span *span, const uint8_t *page,
                         uint64_t where, uint8_t *delta, uint64_t *back)
{
    size_t size;

    if (!(encoder->tricks & DRV_TRICK_DELTA))
        return 0;
    size = delta_by(encoder, page, where, delta, back);
    if (!size && encoder->cache.known)
        size = delta_by(encoder, page, earlier_hash(encoder, span->address), delta, back);
    return size;
}

static void remember(drv_encoder *encoder, const struct drv_span *span, const uint8_t *page,
                     uint64_t hash, uint64_t where)
{
    uint8_t *place = drv_cache_add(&encoder->cache, span->address);
    uint64_t next = encoder->cache.next;

    if (!place)
        return;
    memcpy(place, page, DRV_PAGE_SIZE);
    drv_index_add(&encoder->contents, hash, next - 1, next);
    drv_index_add(&encoder->addresses, where, next - 1, next);
}

/* Is that page of the cache what was last sent for the address? Then the guest has not changed it. */
static bool is_unchanged(const drv_encoder *encoder, uint64_t back, uint64_t where)
{
    uint32_t candidates[DRV_INDEX_WAYS];
    unsigned count =
        drv_index_find(&encoder->addresses, where, encoder->cache.next, candidates);

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
    if (encoder->run_count && encoder->run == DRV_OP_SAME &&
        encoder->run_count <= encoder->run_back && back == encoder->run_back - encoder->run_count) {
        encoder->run_count++;
    } else {
        end_run(encoder);
        encoder->run = DRV_OP_SAME;
        encoder->run_count = 1;
        encoder->run_back = back;
    }
    drv_index_add(&encoder->addresses, where, next - 1 - back, next);
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
    end_run(encoder);
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
    if (encoder->older && span->kind == DRV_SPAN_BLOCK &&
        drv_older_has(encoder->older, span->address, page)) {
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
        end_run(encoder);
        encoder->run = DRV_OP_DELTA;
        encoder->run_count = size;
        encoder->run_back = delta_back;
        end_run(encoder);
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

/* ---- bytes in, records out ---- */

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

static void add_span(drv_encoder *encoder, const struct drv_span *span, const uint8_t *bytes)
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

/* Return: 0, or how many bytes the page at hand has when it is whole. */
static size_t parse(drv_encoder *encoder, bool all)
{
    while (encoder->raw_at < encoder->raw_used) {
        const uint8_t *bytes = encoder->raw + encoder->raw_at;
        size_t left = encoder->raw_used - encoder->raw_at;
        struct drv_span span = {.kind = DRV_SPAN_OPAQUE, .size = left};

        if (encoder->tricks & DRV_TRICK_RAM)
            span = drv_ram_parser_next(&encoder->ram, bytes, left, all);
        else if (encoder->tricks & DRV_TRICK_NBD)
            span = drv_nbd_parser_next(&encoder->nbd, bytes, left, all);
        else if (encoder->tricks & DRV_TRICK_MULTIFD)
            span = drv_multifd_parser_next(&encoder->multifd, bytes, left, all);
        if (span.kind == DRV_SPAN_MORE)
            return span.size;
        add_span(encoder, &span, bytes);
        encoder->raw_at += span.size;
    }
    return 0;
}

size_t drv_encoder_room(drv_encoder *encoder, uint8_t **at)
{
    size_t content = encoder->literals_used + encoder->raw_used - encoder->raw_at;
    size_t room = encoder->raw_used < RAW_FULL ? RAW_FULL - encoder->raw_used : 0;

    *at = encoder->raw + encoder->raw_used;
    if (!encoder->raw_used) {
        encoder->effort = encoder->next_effort;
        encoder->batch = encoder->next_batch;
    }
    if (encoder->effort == DRV_EFFORT_PLAIN)
        return encoder->batch > encoder->raw_used ? encoder->batch - encoder->raw_used : 0;
    if (encoder->literals_used >= encoder->batch || encoder->ops_used >= OPS_FULL)
        return 0;
    if (room > encoder->batch + PARTIAL - content)
        room = encoder->batch + PARTIAL - content;
    return room < STEP ? room : STEP;
}

void drv_encoder_commit(drv_encoder *encoder, size_t size)
{
    encoder->raw_used += size;
    (void)parse(encoder, false);
}

size_t drv_encoder_missing(drv_encoder *encoder, uint8_t **at)
{
    size_t left = encoder->raw_used - encoder->raw_at;
    size_t whole = left && encoder->effort != DRV_EFFORT_PLAIN ? parse(encoder, false) : 0;

    *at = encoder->raw + encoder->raw_used;
    return whole > left ? whole - left : 0;
}

/* The record's body at @out. Return: its length, or 0: nothing smaller than the plain bytes. */
static size_t write_body(drv_encoder *encoder, struct drv_record *record, uint8_t *out)
{
    /* Ops were written from the front of their room: bring them to the literals. */
    uint8_t *body = encoder->body + DRV_RECORD_OPS_MAX - encoder->ops_used;
    int level = levels[encoder->effort];

    memmove(body, encoder->body, encoder->ops_used);
    record->ops = (uint32_t)encoder->ops_used;
    record->expanded = (uint32_t)(encoder->ops_used + encoder->literals_used);
    record->check = drv_codec_hash(encoder->raw, encoder->raw_used, encoder->seed);
    record->method = DRV_RECORD_COMPRESSED;
    record->body = 0;
    if (level)
        record->body = (uint32_t)drv_squeeze(&encoder->squeezer, level, out, DRV_RECORD_BODY_MAX,
                                             body, record->expanded);
    if (!record->body) {
        record->method = DRV_RECORD_STORED;
        record->body = record->expanded;
        memcpy(out, body, record->expanded);
    }
    return record->body;
}

size_t drv_encoder_close(drv_encoder *encoder, uint8_t *out)
{
    struct drv_record record = {.raw = (uint32_t)encoder->raw_used};

    if (!encoder->raw_used)
        return 0;
    (void)parse(encoder, true);
    if (encoder->effort == DRV_EFFORT_PLAIN) {
        record.method = DRV_RECORD_PLAIN;
        record.body = record.raw;
        memcpy(out + DRV_RECORD_HEADER_SIZE, encoder->raw, encoder->raw_used);
    } else {
        end_run(encoder);
        (void)write_body(encoder, &record, out + DRV_RECORD_HEADER_SIZE);
        drv_fresh_close(&encoder->fresh, record.expanded, record.body);
    }
    drv_record_encode(out, &record);
    encoder->stats.raw_bytes += record.raw;
    encoder->stats.encoded_bytes += DRV_RECORD_HEADER_SIZE + record.body;
    encoder->raw_used = encoder->raw_at = encoder->ops_used = encoder->literals_used = 0;
    return DRV_RECORD_HEADER_SIZE + record.body;
}
