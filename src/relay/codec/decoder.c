/* SPDX-License-Identifier: Apache-2.0 */
/* Gives back the bytes of a channel from records: see decoder.h. */
#include "relay/codec/decoder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "relay/codec/cache.h"
#include "relay/codec/delta.h"
#include "relay/codec/hash.h"
#include "relay/codec/ram-parser.h"
#include "relay/codec/squeeze.h"

#define BODY_SIZE ((size_t)DRV_RECORD_OPS_MAX + DRV_RECORD_LITERALS_MAX + 1)

struct drv_decoder {
    struct drv_cache cache;
    const drv_decoder *other[DRV_CODERS_MAX];
    drv_decoder_read older; /* NULL: there is none */
    void *older_data;
    unsigned lanes;
    struct drv_squeezer expander[DRV_LANES_MAX];
    uint64_t seed;
    bool broken;

    uint8_t *in; /* a record that comes in pieces */
    size_t in_used;
    uint8_t *body;
    uint8_t *out;
    size_t out_used, out_taken;
    size_t record_bytes; /* of the last one */

    uint64_t address; /* of the page before */
    bool header_gone; /* the next page's header went before, as bytes */
    bool bare;        /* pages have no headers */
};

/* A record at work. */
struct work {
    struct drv_reader ops, literals;
    struct drv_writer out;
    bool older; /* some of it is of the older image */
    int failed; /* -errno of reading that */
    struct drv_error *err;
};

size_t drv_decoder_memory(size_t cache_pages, unsigned lanes)
{
    return sizeof(drv_decoder) + DRV_RECORD_MAX + BODY_SIZE + DRV_RECORD_RAW_MAX +
           (size_t)drv_cache_memory(cache_pages) + lanes * drv_expander_memory();
}

int drv_decoder_new(drv_decoder **result, size_t cache_pages, unsigned lanes, uint64_t seed, struct drv_error *err)
{
    drv_decoder *decoder = calloc(1, sizeof *decoder);
    int rc = 0;

    if (decoder) {
        decoder->in = malloc(DRV_RECORD_MAX);
        decoder->body = malloc(BODY_SIZE);
        decoder->out = malloc(DRV_RECORD_RAW_MAX);
    }
    if (!decoder || !decoder->in || !decoder->body || !decoder->out)
        rc = drv_error_set(err, ENOMEM, "no memory for a decoder");
    if (!rc)
        rc = drv_cache_init(&decoder->cache, cache_pages, err);
    for (unsigned i = 0; !rc && i < lanes; i++)
        rc = drv_expander_init(&decoder->expander[i], err);
    if (rc) {
        drv_decoder_free(decoder);
        return rc;
    }
    decoder->lanes = lanes;
    drv_decoder_reset(decoder, seed);
    *result = decoder;
    return 0;
}

void drv_decoder_free(drv_decoder *decoder)
{
    if (!decoder)
        return;
    for (unsigned i = 0; i < DRV_LANES_MAX; i++)
        drv_squeezer_done(&decoder->expander[i]);
    drv_cache_done(&decoder->cache);
    free(decoder->out);
    free(decoder->body);
    free(decoder->in);
    free(decoder);
}

void drv_decoder_reset(drv_decoder *decoder, uint64_t seed)
{
    decoder->seed = seed;
    decoder->broken = decoder->header_gone = decoder->bare = false;
    drv_cache_clear(&decoder->cache);
    decoder->in_used = decoder->out_used = decoder->out_taken = decoder->record_bytes = 0;
    decoder->address = 0;
    for (unsigned i = 0; i < decoder->lanes; i++)
        drv_squeezer_reset(&decoder->expander[i]);
}

void drv_decoder_keep(drv_decoder *decoder)
{
    decoder->cache.kept = true;
}

void drv_decoder_refer(drv_decoder *decoder, unsigned number, const drv_decoder *other)
{
    decoder->other[number] = other;
}

void drv_decoder_set_older(drv_decoder *decoder, drv_decoder_read read, void *data)
{
    decoder->older = read;
    decoder->older_data = data;
}

uint64_t drv_decoder_remembered(const drv_decoder *decoder)
{
    return atomic_load_explicit(&decoder->cache.shared, memory_order_relaxed);
}

struct drv_cache *drv_decoder_cache(drv_decoder *decoder)
{
    return &decoder->cache;
}

size_t drv_decoder_output(const drv_decoder *decoder, const uint8_t **bytes)
{
    *bytes = decoder->out + decoder->out_taken;
    return decoder->out_used - decoder->out_taken;
}

void drv_decoder_take(drv_decoder *decoder, size_t size)
{
    decoder->out_taken += size;
}

void drv_decoder_record(const drv_decoder *decoder, size_t *encoded, size_t *raw)
{
    *encoded = decoder->record_bytes;
    *raw = decoder->out_used;
}

int drv_decoder_is_between(const drv_decoder *decoder)
{
    return !decoder->in_used && decoder->out_taken == decoder->out_used;
}

/* ---- ops; whatever does not fit makes a cursor bad, and the record is refused ---- */

static void put_header(drv_decoder *decoder, struct work *work, unsigned flags)
{
    if (decoder->bare)
        return;
    if (decoder->header_gone) {
        decoder->header_gone = false;
        return;
    }
    decoder->address += DRV_PAGE_SIZE;
    drv_write_u64(&work->out, decoder->address | flags);
}

static void put_zeros(drv_decoder *decoder, struct work *work, uint64_t count)
{
    static const uint8_t zeros[DRV_PAGE_SIZE];

    for (; count && !work->out.bad; count--) {
        put_header(decoder, work, DRV_RAM_ZERO | DRV_RAM_CONTINUE);
        drv_write_bytes(&work->out, zeros, decoder->bare ? DRV_PAGE_SIZE : 1);
    }
}

/* A page that is in the output is remembered. */
static void remember(drv_decoder *decoder, const struct work *work)
{
    uint8_t *place = drv_cache_add(&decoder->cache, decoder->address);

    if (place)
        memcpy(place, work->out.at - DRV_PAGE_SIZE, DRV_PAGE_SIZE);
}

static void put_pages(drv_decoder *decoder, struct work *work, uint64_t count)
{
    for (; count; count--) {
        const uint8_t *page = drv_read_bytes(&work->literals, DRV_PAGE_SIZE);

        if (!page)
            return;
        put_header(decoder, work, DRV_RAM_PAGE | DRV_RAM_CONTINUE);
        drv_write_bytes(&work->out, page, DRV_PAGE_SIZE);
        if (work->out.bad)
            return;
        remember(decoder, work);
    }
}

/* A page of a cache into the output; NULL: it is not there. */
static bool put_cached(drv_decoder *decoder, struct work *work, const uint8_t *page)
{
    if (!page) {
        work->ops.bad = true;
        return false;
    }
    put_header(decoder, work, DRV_RAM_PAGE | DRV_RAM_CONTINUE);
    drv_write_bytes(&work->out, page, DRV_PAGE_SIZE);
    return !work->out.bad;
}

static void put_same(drv_decoder *decoder, struct work *work, uint64_t count)
{
    uint64_t back = drv_read_varint(&work->ops);

    if (work->ops.bad || count - 1 > back) {
        work->ops.bad = true;
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        drv_cache_count(&decoder->cache, back - i);
        if (!put_cached(decoder, work, drv_cache_get(&decoder->cache, back - i)))
            return;
    }
}

static void put_delta(drv_decoder *decoder, struct work *work, uint64_t size)
{
    uint64_t back = drv_read_varint(&work->ops);
    const uint8_t *delta;

    if (work->ops.bad || size > drv_reader_left(&work->literals)) {
        work->ops.bad = true;
        return;
    }
    delta = drv_read_bytes(&work->literals, (size_t)size);
    drv_cache_count(&decoder->cache, back);
    if (!put_cached(decoder, work, drv_cache_get(&decoder->cache, back)))
        return;
    if (drv_delta_decode(work->out.at - DRV_PAGE_SIZE, delta, (size_t)size))
        work->ops.bad = true;
    else
        remember(decoder, work);
}

static void put_other(drv_decoder *decoder, struct work *work, uint64_t count)
{
    uint64_t coder = drv_read_varint(&work->ops);
    uint64_t number = drv_read_varint(&work->ops);

    if (work->ops.bad || coder >= DRV_CODERS_MAX || !decoder->other[coder]) {
        work->ops.bad = true;
        return;
    }
    for (; count; count--, number++)
        if (!put_cached(decoder, work, drv_cache_shared(&decoder->other[coder]->cache, number)))
            return;
}

static void put_older(drv_decoder *decoder, struct work *work, uint64_t count)
{
    uint64_t number = drv_read_varint(&work->ops);
    uint8_t *to = work->out.at;
    size_t size;

    if (work->ops.bad || !decoder->older || !decoder->bare || number > INT64_MAX / DRV_PAGE_SIZE ||
        count > (size_t)(work->out.end - work->out.at) / DRV_PAGE_SIZE) {
        work->ops.bad = true;
        return;
    }
    size = (size_t)count * DRV_PAGE_SIZE;
    work->older = true;
    work->failed = decoder->older(decoder->older_data, number * DRV_PAGE_SIZE, to, size, work->err);
    if (work->failed) {
        work->ops.bad = true;
        return;
    }
    for (; count; count--) {
        work->out.at += DRV_PAGE_SIZE;
        remember(decoder, work);
    }
}

static void put_bytes(struct work *work, uint64_t count)
{
    const uint8_t *bytes;

    if (count > drv_reader_left(&work->literals)) {
        work->literals.bad = true;
        return;
    }
    bytes = drv_read_bytes(&work->literals, (size_t)count);
    drv_write_bytes(&work->out, bytes, (size_t)count);
}

static void one_op(drv_decoder *decoder, struct work *work)
{
    uint8_t byte = drv_read_u8(&work->ops);
    enum drv_op op = byte >> DRV_OP_COUNT_BITS;
    uint64_t count = (uint64_t)(byte & DRV_OP_COUNT_MANY) + 1;

    if (op == DRV_OP_AT || op == DRV_OP_JUMP) {
        uint64_t address = drv_read_u64(&work->ops);

        if (count != 1 || (address & DRV_RAM_FLAGS))
            work->ops.bad = true;
        decoder->header_gone = op == DRV_OP_AT;
        decoder->address = op == DRV_OP_AT ? address : address - DRV_PAGE_SIZE;
        return;
    }
    if (op == DRV_OP_BARE) {
        work->ops.bad |= count != 1;
        decoder->bare = true;
        return;
    }
    if (count > DRV_OP_COUNT_MANY)
        count += drv_read_varint(&work->ops);
    if (op == DRV_OP_BYTES)
        put_bytes(work, count);
    else if (op == DRV_OP_SKIP)
        decoder->address += count * DRV_PAGE_SIZE;
    else if (op == DRV_OP_ZEROS)
        put_zeros(decoder, work, count);
    else if (op == DRV_OP_PAGES)
        put_pages(decoder, work, count);
    else if (op == DRV_OP_SAME)
        put_same(decoder, work, count);
    else if (op == DRV_OP_DELTA)
        put_delta(decoder, work, count);
    else if (op == DRV_OP_OTHER)
        put_other(decoder, work, count);
    else if (op == DRV_OP_OLDER)
        put_older(decoder, work, count);
    else
        work->ops.bad = true;
}

/* Follows the ops of a record. Return: 0: they made exactly what was said. @older: some of it of an older image */
static int follow(drv_decoder *decoder, const struct drv_record *record, const uint8_t *body, bool *older,
                  struct drv_error *err)
{
    struct work work = {
        .err = err,
        .ops = drv_reader_over(body, record->ops),
        .literals = drv_reader_over(body + record->ops, record->expanded - record->ops),
        .out = drv_writer_over(decoder->out, record->raw),
    };

    while (drv_reader_left(&work.ops) && !work.ops.bad && !work.literals.bad && !work.out.bad)
        one_op(decoder, &work);
    *older = work.older;
    if (work.failed)
        return work.failed;
    if (work.ops.bad || work.literals.bad || work.out.bad || drv_reader_left(&work.literals) ||
        drv_writer_used(&work.out) != record->raw)
        return drv_error_set(err, EPROTO, "the other relay sent a record with wrong references or lengths");
    return 0;
}

/* A fuzzer cannot guess a hash: it takes any, so that it reaches what lies behind. */
static bool is_right(const drv_decoder *decoder, const struct drv_record *record)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    return true;
#else
    return drv_codec_hash(decoder->out, record->raw, decoder->seed) == record->check;
#endif
}

static int decode(drv_decoder *decoder, const struct drv_record *record, const uint8_t *body, struct drv_error *err)
{
    bool older;
    int rc;

    decoder->out_used = decoder->out_taken = 0;
    if (record->method == DRV_RECORD_PLAIN) {
        memcpy(decoder->out, body, record->raw);
        decoder->out_used = record->raw;
        return 1;
    }
    decoder->broken = true;
    if (record->method != DRV_RECORD_STORED) {
        if (record->lane >= decoder->lanes ||
            drv_expand(&decoder->expander[record->lane], record->method == DRV_RECORD_BEGUN, decoder->body,
                       record->expanded, body, record->body))
            return drv_error_set(err, EPROTO, "what the other relay sent cannot be decompressed");
        body = decoder->body;
    }
    rc = follow(decoder, record, body, &older, err);
    if (rc)
        return rc;
    if (!is_right(decoder, record) && older)
        return drv_error_set(err, EPROTO,
                             "the older image of the disk that was to serve has changed while it was "
                             "read: move again, or without it");
    if (!is_right(decoder, record))
        return drv_error_set(err, EPROTO,
                             "the other relay's record came out with other bytes than went in: "
                             "its check is wrong");
    decoder->broken = false;
    decoder->out_used = record->raw;
    atomic_store_explicit(&decoder->cache.shared, decoder->cache.next, memory_order_release);
    drv_cache_publish(&decoder->cache);
    return 1;
}

/* Completes decoder->in up to @want bytes. Return: whether they are there. */
static bool collect(drv_decoder *decoder, size_t want, const uint8_t **bytes, size_t *size)
{
    size_t part = want > decoder->in_used ? want - decoder->in_used : 0;

    if (part > *size)
        part = *size;
    if (part)
        memcpy(decoder->in + decoder->in_used, *bytes, part);
    decoder->in_used += part;
    *bytes += part;
    *size -= part;
    return decoder->in_used >= want;
}

int drv_decoder_feed(drv_decoder *decoder, const uint8_t *bytes, size_t size, size_t *used, struct drv_error *err)
{
    size_t offered = size, whole;
    struct drv_record record;
    const uint8_t *body;
    int rc;

    *used = 0;
    if (decoder->broken)
        return drv_error_set(err, EPROTO, "the other relay sent something wrong before");
    if (!size)
        return 0;
    if (!decoder->in_used && size >= DRV_RECORD_HEADER_SIZE) {
        /* All in one piece: no copy. */
        rc = drv_record_decode(&record, bytes, err);
        whole = DRV_RECORD_HEADER_SIZE + (rc ? 0 : record.body);
        if (!rc && whole <= size) {
            *used = decoder->record_bytes = whole;
            return decode(decoder, &record, bytes + DRV_RECORD_HEADER_SIZE, err);
        }
    }
    if (!collect(decoder, DRV_RECORD_HEADER_SIZE, &bytes, &size)) {
        *used = offered;
        return 0;
    }
    rc = drv_record_decode(&record, decoder->in, err);
    if (rc) {
        decoder->broken = true;
        return rc;
    }
    whole = DRV_RECORD_HEADER_SIZE + record.body;
    rc = collect(decoder, whole, &bytes, &size);
    *used = offered - size;
    if (!rc)
        return 0;
    decoder->in_used = 0;
    decoder->record_bytes = whole;
    body = decoder->in + DRV_RECORD_HEADER_SIZE;
    return decode(decoder, &record, body, err);
}
