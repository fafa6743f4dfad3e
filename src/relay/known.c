/* SPDX-License-Identifier: Apache-2.0 */
/* Known content in a session: see known.h. */
#include "relay/known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "pack/pack.h"
#include "relay/codec/encoder-pages.h"

_Static_assert(DRV_SEGMENT_PAGES == DRV_CACHE_SEGMENT && DRV_CONTENT_PAGE == DRV_PAGE_SIZE,
               "a segment is a piece of the cache");

int drv_known_init(struct drv_known *known, enum drv_relay_role role, struct drv_error *err)
{
    known->role = role;
    known->saving.passed = known->saving.over = -1;
    for (size_t i = 0; i < sizeof known->pack / sizeof known->pack[0]; i++)
        known->pack[i] = -1;
    atomic_store(&known->settled, true);
    if (pthread_mutex_init(&known->lock, NULL))
        return drv_error_set(err, ENOMEM, "cannot set up locks");
    return 0;
}

int drv_known_take(struct drv_known *known, int brief, int first, unsigned files, struct drv_error *err)
{
    int rc = drv_brief_read(brief, &known->brief, err);

    close(brief);
    if (rc)
        return rc;
    if (files != known->brief.packs + 1)
        return drv_error_set(err, EINVAL, "known content is in %u files, of which %u are there", known->brief.packs,
                             files - 1);
    for (unsigned i = 0; i < files; i++)
        known->pack[i] = first + (int)i;
    known->on = true;
    atomic_store(&known->settled, false);
    return drv_saving_open(&known->saving, err);
}

uint64_t drv_known_pack_bytes(const struct drv_known *known)
{
    return known->on ? drv_slot_at(known->brief.most_segments) + ((uint64_t)1 << 20) : 0;
}

static struct drv_cache *cache_of(const struct drv_known *known)
{
    struct drv_coder *coder;

    if (!known->coding || !known->coding->on)
        return NULL;
    coder = &known->coding->coder[0];
    return known->role == DRV_RELAY_SOURCE ? drv_encoder_cache(coder->encoder) : drv_decoder_cache(coder->decoder);
}

/* ---- loading ---- */

/* Whether what is to be known leaves a quarter of the cache for what is new. */
static bool fits(const struct drv_known *known, const struct drv_cache *cache)
{
    return cache && known->brief.count && (uint64_t)known->brief.count * DRV_SEGMENT_PAGES <= cache->pages / 4 * 3;
}

static bool load_segment(struct drv_known *known, struct drv_cache *cache, unsigned slot)
{
    const struct drv_brief_segment *entry = &known->brief.segment[slot];
    size_t place = (size_t)slot * DRV_SEGMENT_PAGES;
    int rc = drv_pack_load(known->pack[1 + entry->pack], &known->brief.pack_key[entry->pack], entry->index,
                           &entry->segment, cache->page + place * DRV_PAGE_SIZE, cache->address + place, NULL);

    if (rc == -EBADMSG)
        known->use[entry->pack].damaged++;
    return rc == 0;
}

/* From the old to the new: for an address the last one counts. */
static void note_pages(struct drv_known *known, const struct drv_cache *cache, const struct drv_agreement *loaded)
{
    drv_encoder *encoder = known->coding->coder[0].encoder;
    uint64_t next = (uint64_t)known->brief.count * DRV_SEGMENT_PAGES;

    for (unsigned slot = 0; slot < known->brief.count && !atomic_load(&known->stop); slot++) {
        uint64_t first = (uint64_t)slot * DRV_SEGMENT_PAGES;

        if (!drv_agreement_has(loaded, slot))
            continue;
        for (unsigned i = 0; i < known->brief.segment[slot].segment.pages; i++)
            drv_encoder_know(encoder, first + i, cache->address[first + i], next);
    }
}

/* From the new to the old, in case that there is not time for all. */
static void load(struct drv_known *known, struct drv_cache *cache, struct drv_agreement *loaded)
{
    int64_t began_us = drv_clock_us();
    uint64_t loaded_bytes = 0;
    struct drv_error err;

    if (!fits(known, cache) || drv_brief_root(&known->brief, loaded->root, &err))
        return;
    loaded->count = known->brief.count;
    /* All of it is going to be there, and soon: in large pages that costs half. */
    (void)madvise(cache->page, (size_t)loaded->count * DRV_SEGMENT_BYTES, MADV_HUGEPAGE);
    for (unsigned slot = loaded->count; slot--;) {
        if (atomic_load(&known->stop) || !drv_known_go_on((uint64_t)(drv_clock_us() - began_us), loaded_bytes))
            break;
        if (load_segment(known, cache, slot)) {
            drv_agreement_add(loaded, slot);
            loaded_bytes += DRV_SEGMENT_BYTES;
        }
    }
    if (known->role == DRV_RELAY_SOURCE)
        note_pages(known, cache, loaded);
    known->load_us = (uint64_t)(drv_clock_us() - began_us);
}

/* What only one end has becomes zeros, as it is at the other end. */
static void forget_segment(struct drv_cache *cache, unsigned slot)
{
    (void)madvise(cache->page + (size_t)slot * DRV_SEGMENT_BYTES, DRV_SEGMENT_BYTES, MADV_DONTNEED);
}

/* Both have spoken: from here on the cache is the same at both ends. */
static bool settle_locked(struct drv_known *known)
{
    struct drv_cache *cache = cache_of(known);
    bool told = known->role == DRV_RELAY_SOURCE ? known->sent : known->ready;
    unsigned both = 0;

    if (!told || !known->heard || atomic_load(&known->settled))
        return false;
    if (drv_agreement_settle(&known->here, &known->there)) {
        for (unsigned slot = 0; slot < known->here.count; slot++) {
            if (drv_agreement_has(&known->here, slot))
                both++;
            else
                forget_segment(cache, slot);
        }
        cache->next = cache->known = both ? (uint64_t)known->here.count * DRV_SEGMENT_PAGES : 0;
    }
    if (known->brief.count)
        drv_log_notice("known content: %u of %u MiB, loaded in %llu ms", both, known->brief.count,
                       (unsigned long long)(known->load_us / 1000));
    atomic_store(&known->settled, true);
    return true;
}

static void *run(void *argument)
{
    struct drv_known *known = argument;
    struct drv_agreement loaded = {0};
    uint64_t one = 1;

    load(known, cache_of(known), &loaded);
    pthread_mutex_lock(&known->lock);
    known->here = loaded;
    known->ready = true;
    (void)settle_locked(known);
    pthread_mutex_unlock(&known->lock);
    atomic_store(&known->due, true);
    /* If it cannot be written it is raised already. */
    if ((write(known->wake, &one, sizeof one) == sizeof one || errno == EAGAIN) && known->saving.cache)
        drv_saving_run(&known->saving);
    return NULL;
}

int drv_known_start(struct drv_known *known, struct drv_coding *coding, int wake, struct drv_error *err)
{
    struct drv_cache *cache;
    int rc;

    known->coding = coding;
    known->wake = wake;
    if (!known->on)
        return 0;
    cache = cache_of(known);
    if (cache && known->brief.most_segments)
        coding->coder[0].kept = true;
    if (cache &&
        drv_saving_init(&known->saving, known->pack[0], &known->brief.key, known->brief.most_segments, cache, err))
        return -err->code;
    rc = pthread_create(&known->thread, NULL, run, known);
    if (rc)
        return drv_error_set(err, rc, "cannot start a thread: %s", strerror(rc));
    known->started = true;
    return 0;
}

void drv_known_stop(struct drv_known *known)
{
    atomic_store(&known->stop, true);
    drv_saving_stop(&known->saving);
}

/* ---- agreeing ---- */

size_t drv_known_tell(struct drv_known *known, uint8_t out[DRV_AGREEMENT_MAX])
{
    size_t size;

    if (!atomic_exchange(&known->due, false))
        return 0;
    pthread_mutex_lock(&known->lock);
    size = drv_agreement_encode(out, &known->here);
    pthread_mutex_unlock(&known->lock);
    return size;
}

bool drv_known_told(struct drv_known *known)
{
    bool settled;

    pthread_mutex_lock(&known->lock);
    known->sent = true;
    settled = settle_locked(known);
    pthread_mutex_unlock(&known->lock);
    return settled;
}

int drv_known_hear(struct drv_known *known, const uint8_t *bytes, size_t size, struct drv_error *err)
{
    struct drv_agreement there;
    int rc = drv_agreement_decode(&there, bytes, size, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&known->lock);
    if (!known->on || known->heard) {
        rc = drv_error_set(err, EPROTO, "the other relay speaks of known content unasked");
    } else {
        known->there = there;
        known->heard = true;
        rc = settle_locked(known);
    }
    pthread_mutex_unlock(&known->lock);
    return rc;
}

/* ---- afterwards ---- */

uint64_t drv_known_bytes(const struct drv_known *known)
{
    const struct drv_cache *cache = cache_of(known);

    return cache ? atomic_load_explicit(&cache->served_pages, memory_order_relaxed) * DRV_PAGE_SIZE : 0;
}

static void count_uses(struct drv_known *known, const struct drv_cache *cache)
{
    for (unsigned slot = 0; slot < cache->known / DRV_SEGMENT_PAGES; slot++)
        known->use[known->brief.segment[slot].pack].bytes += (uint64_t)cache->served[slot] * DRV_PAGE_SIZE;
}

void drv_known_save(struct drv_known *known, const char *session)
{
    struct drv_saving *saving = &known->saving;
    struct drv_pack_manifest *manifest = &saving->manifest;
    int64_t began_us = drv_clock_us();
    struct drv_error err;
    unsigned late;

    if (known->started)
        pthread_join(known->thread, NULL);
    known->started = false;
    if (!saving->cache || !atomic_load(&known->settled) || known->pack[0] < 0)
        return;
    count_uses(known, saving->cache);
    manifest->uses = known->brief.packs;
    memcpy(manifest->use, known->use, sizeof manifest->use);
    late = drv_saving_rest(saving);
    /* A full disk: what was written before counts. */
    if (saving->failed.code)
        drv_log_warning("session=%.8s not all of its content is kept: %s", session, saving->failed.message);
    if (drv_pack_finish(known->pack[0], &known->brief.key, manifest, &err))
        drv_log_warning("session=%.8s its content is not kept: %s", session, err.message);
    else
        drv_log_notice("session=%.8s kept %u MiB of content, %u of them in the %lld ms since its end", session,
                       manifest->count, late, (long long)(drv_clock_us() - began_us) / 1000);
}

void drv_known_done(struct drv_known *known)
{
    for (size_t i = 0; i < sizeof known->pack / sizeof known->pack[0]; i++)
        if (known->pack[i] >= 0)
            close(known->pack[i]);
    drv_saving_done(&known->saving);
    drv_brief_done(&known->brief);
}
