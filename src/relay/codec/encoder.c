/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of one channel in, batches out: see encoder.h. */
#include "relay/codec/encoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/codec/encoder-pages.h"
#include "relay/codec/encoder-state.h"
#include "relay/codec/hash.h"

#define BATCH_MIN ((size_t)16 * 1024)
#define BATCH_MAX ((size_t)128 * 1024)
#define STEP ((size_t)32 * 1024)                /* taken at once: what it adds to the ops is bounded */
#define PARTIAL ((size_t)2 * DRV_RAM_PAGE_SPAN) /* a page at hand, and what completes it */
#define OPS_FULL ((size_t)24 * 1024)
#define RAW_FULL ((size_t)DRV_RECORD_RAW_MAX - DRV_RAM_PAGE_SPAN) /* then a page is completed */
#define LEVEL_MAX 3

/* By effort: the first two have none. */
static const int levels[DRV_EFFORTS] = {0, 0, -5, -3, -1, 1, 2, LEVEL_MAX};

size_t drv_encoder_memory(size_t cache_pages, unsigned lanes)
{
    return sizeof(drv_encoder) + DRV_RECORD_RAW_MAX + PARTIAL + 2 * DRV_BALE_BODY +
           (size_t)drv_cache_memory(cache_pages) + 2 * drv_index_memory(cache_pages) +
           lanes * drv_squeezer_memory(LEVEL_MAX);
}

int drv_encoder_new(drv_encoder **result, const struct drv_encoder_config *config, struct drv_error *err)
{
    drv_encoder *encoder = calloc(1, sizeof *encoder);
    unsigned lanes = config->lanes ? config->lanes : 1;
    int rc = 0;

    if (encoder) {
        encoder->raw = malloc(DRV_RECORD_RAW_MAX + PARTIAL);
        encoder->body = malloc(DRV_BALE_BODY);
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
        rc = drv_bale_init(&encoder->bale, err);
    for (unsigned i = 0; !rc && i < lanes; i++)
        rc = drv_squeezer_init(&encoder->lane[i], LEVEL_MAX, err);
    if (rc) {
        drv_encoder_free(encoder);
        return rc;
    }
    encoder->lanes = lanes;
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
    for (unsigned i = 0; i < DRV_LANES_MAX; i++)
        drv_squeezer_done(&encoder->lane[i]);
    drv_bale_done(&encoder->bale);
    drv_index_done(&encoder->addresses);
    drv_index_done(&encoder->contents);
    drv_cache_done(&encoder->cache);
    free(encoder->body);
    free(encoder->raw);
    free(encoder);
}

void drv_encoder_reset(drv_encoder *encoder, uint64_t seed)
{
    for (unsigned i = 0; i < encoder->lanes; i++)
        drv_squeezer_reset(&encoder->lane[i]);
    drv_ram_parser_init(&encoder->ram);
    drv_nbd_parser_init(&encoder->nbd);
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
        tricks &= DRV_TRICK_RAM | DRV_TRICK_NBD;
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

/* ---- bytes in, batches out ---- */

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
        if (span.kind == DRV_SPAN_MORE)
            return span.size;
        drv_encoder_add_span(encoder, &span, bytes);
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

/* The batch's ops and literals go with the bale, whose memory is for the next one. */
static void hand_over(drv_encoder *encoder, struct drv_bale *bale)
{
    uint8_t *memory = bale->memory;

    /* Ops were written from the front of their room: bring them to the literals. */
    bale->memory = encoder->body;
    bale->body = encoder->body + DRV_RECORD_OPS_MAX - encoder->ops_used;
    memmove(bale->memory + DRV_RECORD_OPS_MAX - encoder->ops_used, encoder->body, encoder->ops_used);
    encoder->body = memory;
    bale->level = levels[encoder->effort];
    bale->record.method = DRV_RECORD_STORED;
    bale->record.ops = (uint32_t)encoder->ops_used;
    bale->record.expanded = (uint32_t)(encoder->ops_used + encoder->literals_used);
    bale->record.check = drv_codec_hash(encoder->raw, encoder->raw_used, encoder->seed);
}

bool drv_encoder_pack(drv_encoder *encoder, struct drv_bale *bale, uint8_t *out)
{
    if (!encoder->raw_used)
        return false;
    (void)parse(encoder, true);
    bale->record = (struct drv_record){.raw = (uint32_t)encoder->raw_used};
    bale->fresh_raw = bale->fresh_body = 0;
    bale->fresh_encoded = 0;
    if (encoder->effort == DRV_EFFORT_PLAIN) {
        bale->record.method = DRV_RECORD_PLAIN;
        bale->record.body = bale->record.raw;
        drv_record_encode(out, &bale->record);
        memcpy(out + DRV_RECORD_HEADER_SIZE, encoder->raw, encoder->raw_used);
    } else {
        drv_encoder_end_run(encoder);
        hand_over(encoder, bale);
        drv_fresh_take(&encoder->fresh, &bale->fresh_raw, &bale->fresh_body);
    }
    bale->remembered = encoder->cache.next;
    drv_cache_publish(&encoder->cache);
    encoder->stats.raw_bytes += bale->record.raw;
    encoder->stats.content_bytes += bale->record.expanded;
    encoder->raw_used = encoder->raw_at = encoder->ops_used = encoder->literals_used = 0;
    return true;
}

struct drv_squeezer *drv_encoder_lane(drv_encoder *encoder, unsigned number)
{
    return &encoder->lane[number];
}

void drv_encoder_pressed(drv_encoder *encoder, uint64_t fresh_raw, uint64_t fresh_encoded)
{
    drv_fresh_add(&encoder->fresh, fresh_raw, fresh_encoded);
}

size_t drv_encoder_close_by(drv_encoder *encoder, unsigned lane, uint8_t *out)
{
    struct drv_bale *bale = &encoder->bale;
    size_t size;

    if (!drv_encoder_pack(encoder, bale, out))
        return 0;
    size = drv_bale_press(bale, &encoder->lane[lane], lane, out);
    drv_encoder_pressed(encoder, bale->fresh_raw, bale->fresh_encoded);
    encoder->stats.encoded_bytes += size;
    return size;
}

size_t drv_encoder_close(drv_encoder *encoder, uint8_t *out)
{
    return drv_encoder_close_by(encoder, 0, out);
}
