/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of a guest's memory: see sample.h. */
#include "plan/sample.h"

#include <string.h>
#include <zstd.h>

#define PAGE 4096u
/* As the relay does when the link is the limit. */
#define LEVEL 1
/* A difference ends where so many bytes are equal. */
#define EQUAL_RUN 8
/* An op of the codec, and the header of a run in a delta. */
#define OP_BYTES 2
#define RUN_BYTES 3
/* More than that of a page differs: it goes as it is. */
#define MOST_DELTA (PAGE / 2)

typedef struct {
    guint64 bytes; /* in pages that were looked at */
    guint64 changed;
    double seconds; /* since each was seen first, on average, times bytes */
} window;

struct drv_sample {
    guint count, chunk_bytes;
    guint64 memory_bytes;
    guint8 *first; /* as seen first, chunk after chunk */
    gint64 *seen_us;
    guint64 bytes, zero, first_wire;
    guint64 again, again_wire; /* of pages that had changed */
    window windows[DRV_ESTIMATE_WINDOWS];
    guint8 *plain, *packed; /* of one chunk */
    gsize packed_bytes;
};

drv_sample *drv_sample_new(guint count, guint chunk_bytes, guint64 memory_bytes)
{
    drv_sample *sample = g_new0(drv_sample, 1);

    sample->count = count;
    sample->chunk_bytes = chunk_bytes;
    sample->memory_bytes = memory_bytes;
    sample->first = g_malloc((gsize)count * chunk_bytes);
    sample->seen_us = g_new0(gint64, count);
    sample->plain = g_malloc(chunk_bytes);
    sample->packed_bytes = ZSTD_compressBound(chunk_bytes);
    sample->packed = g_malloc(sample->packed_bytes);
    return sample;
}

void drv_sample_free(drv_sample *sample)
{
    if (!sample)
        return;
    explicit_bzero(sample->first, (gsize)sample->count * sample->chunk_bytes);
    explicit_bzero(sample->plain, sample->chunk_bytes);
    explicit_bzero(sample->packed, sample->packed_bytes);
    g_free(sample->first);
    g_free(sample->seen_us);
    g_free(sample->plain);
    g_free(sample->packed);
    g_free(sample);
}

void drv_sample_choose(guint *chunks, guint count, guint total, GRand *rand)
{
    for (guint i = 0; i < count; i++) {
        guint from = (guint)((guint64)i * total / count);
        guint to = (guint)((guint64)(i + 1) * total / count);

        chunks[i] = to > from + 1 ? (guint)g_rand_int_range(rand, (gint32)from, (gint32)to) : from;
    }
}

static gboolean is_zero(const guint8 *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* What @used bytes of sample->plain are when packed. */
static gsize packed(drv_sample *sample, gsize used)
{
    gsize size = used ? ZSTD_compress(sample->packed, sample->packed_bytes, sample->plain, used, LEVEL) : 0;

    return ZSTD_isError(size) || size > used ? used : size;
}

static void see_first(drv_sample *sample, const guint8 *bytes)
{
    gsize used = 0;

    for (guint at = 0; at < sample->chunk_bytes; at += PAGE) {
        sample->bytes += PAGE;
        if (is_zero(bytes + at)) {
            sample->zero += PAGE;
        } else {
            memcpy(sample->plain + used, bytes + at, PAGE);
            used += PAGE;
            sample->first_wire += OP_BYTES;
        }
    }
    sample->first_wire += packed(sample, used);
}

/* What of @now differs from @before, appended at @to. Return: bytes; a whole page if that is better. */
static gsize put_delta(guint8 *to, const guint8 *before, const guint8 *now, gsize *runs)
{
    gsize used = 0, more = 0;

    for (guint at = 0; at < PAGE && used <= MOST_DELTA;) {
        guint end, equal = 0;

        if (before[at] == now[at]) {
            at++;
            continue;
        }
        for (end = at; end < PAGE && equal < EQUAL_RUN; end++)
            equal = before[end] == now[end] ? equal + 1 : 0;
        end -= equal;
        memcpy(to + used, now + at, end - at);
        used += end - at;
        more += RUN_BYTES;
        at = end + equal;
    }
    if (used > MOST_DELTA) {
        memcpy(to, now, PAGE);
        return PAGE;
    }
    *runs += more;
    return used;
}

static void see_again(drv_sample *sample, window *into, const guint8 *before, const guint8 *bytes, double seconds)
{
    gsize used = 0, runs = 0;

    for (guint at = 0; at < sample->chunk_bytes; at += PAGE) {
        into->bytes += PAGE;
        if (memcmp(before + at, bytes + at, PAGE) == 0)
            continue;
        into->changed += PAGE;
        sample->again += PAGE;
        runs += OP_BYTES;
        /* A delta never takes more than its page, so it fits. */
        used += put_delta(sample->plain + used, before + at, bytes + at, &runs);
    }
    into->seconds += seconds * sample->chunk_bytes;
    sample->again_wire += runs + packed(sample, used);
}

void drv_sample_see(drv_sample *sample, guint sweep, guint index, const guint8 *bytes, gint64 now_us)
{
    guint8 *first = sample->first + (gsize)index * sample->chunk_bytes;

    if (sweep > DRV_ESTIMATE_WINDOWS || index >= sample->count)
        return;
    if (!sweep) {
        memcpy(first, bytes, sample->chunk_bytes);
        sample->seen_us[index] = now_us;
        see_first(sample, bytes);
    } else if (sample->seen_us[index]) {
        see_again(sample, &sample->windows[sweep - 1], first, bytes, (double)(now_us - sample->seen_us[index]) / 1e6);
    }
}

void drv_sample_fill(const drv_sample *sample, drv_estimate_input *in)
{
    double whole = (double)sample->memory_bytes;

    if (!sample->bytes)
        return;
    in->sampled = TRUE;
    in->zero_share = (double)sample->zero / (double)sample->bytes;
    in->first_ratio = (double)sample->first_wire / (double)sample->bytes;
    in->again_ratio = sample->again ? (double)sample->again_wire / (double)sample->again : 0;
    in->window_count = 0;
    for (guint i = 0; i < DRV_ESTIMATE_WINDOWS; i++) {
        const window *seen = &sample->windows[i];

        if (seen->bytes)
            in->windows[in->window_count++] =
                (drv_dirty_window){.seconds = seen->seconds / (double)seen->bytes,
                                   .bytes = (guint64)(whole * (double)seen->changed / (double)seen->bytes)};
    }
}
