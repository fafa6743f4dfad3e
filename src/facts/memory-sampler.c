/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at VMs: see memory-sampler.h.
 *
 * Libvirt's own dirty rate calculation (virDomainStartDirtyRateCalc) works without KVM as well, but it
 * looks at 512 pages a GiB and answers in whole MiB after whole seconds; and it says nothing about the
 * content. So chunks of memory are read twice or more and compared: that gives content and D(t) at once,
 * of as many pages as are wanted, whatever the guest's size.
 */
#include "facts/memory-sampler.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/known-share.h"
#include "hyper/domain-xml.h"
#include "hyper/domain.h"
#include "hyper/memory.h"
#include "plan/estimate-json.h"
#include "plan/history.h"
#include "plan/sample.h"

#define BUCKET "vm-facts"
/* Pages that are looked at: 16 a chunk. */
#define CHUNKS 128
/* When each chunk is looked at again, after it was first. */
static const gint64 windows_us[] = {500000, 1500000, 4000000};
G_STATIC_ASSERT(G_N_ELEMENTS(windows_us) <= DRV_ESTIMATE_WINDOWS);
/* In the background. */
#define FIRST_MS 60000
#define EACH_MS 60000
#define OLD_MS (30 * 60 * G_GINT64_CONSTANT(1000))
#define TRIES 5

/* ---- documents ---- */

void drv_observe_change(drv_context *ctx, const char *bucket, const char *key,
                        void (*change)(json_object *document, gpointer data), gpointer data)
{
    for (guint i = 0; i < TRIES; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_document) stored = drv_store_get(ctx->store, bucket, key, NULL);
        g_autoptr(json_object) document = stored ? drv_json_parse(stored->json, "a stored document", NULL) : NULL;

        if (!document)
            document = json_object_new_object();
        change(document, data);
        if (drv_store_put(ctx->store, bucket, key, json_object_to_json_string(document),
                          stored ? stored->revision : DRV_REVISION_NEW, NULL, &error))
            return;
        if (!g_error_matches(error, DRV_ERROR, DRV_ERROR_CONFLICT)) {
            drv_log_warning("what was learnt for predictions could not be stored: %s", error->message);
            return;
        }
    }
}

json_object *drv_observe_known(drv_context *ctx, const char *uuid)
{
    g_autoptr(drv_document) stored = drv_store_get(ctx->store, BUCKET, uuid, NULL);
    json_object *document = stored ? drv_json_parse(stored->json, "a stored document", NULL) : NULL;

    return document ? document : json_object_new_object();
}

void drv_observe_add(drv_context *ctx, json_object *vm, json_object *contents)
{
    g_autoptr(json_object) known = drv_observe_known(ctx, drv_json_string(vm, "uuid", ""));
    drv_estimate_history history = drv_history_of(drv_json_array(known, "moves"));
    json_object *expects = json_object_get(drv_json_object(known, "observed"));

    if (expects) {
        drv_estimate_input in = {0};
        drv_dirty_curve curve;

        drv_estimate_input_read(&in, expects);
        curve = drv_dirty_curve_fit(in.windows, in.window_count, in.memory_bytes);
        drv_json_set_int(vm, "dirty_bps", (gint64)curve.rate_bps);
        drv_json_set(expects, "vm", drv_estimate_history_json(&history));
        drv_json_set(expects, "recycled",
                     drv_recycled_json(ctx->node, contents, drv_json_string(vm, "uuid", ""),
                                       drv_json_array(known, "moves"), &in, drv_clock_real_ms()));
    }
    drv_json_set(vm, "expects", expects);
}

/* ---- looking ---- */

typedef struct {
    drv_context *ctx;
    const char *uuid;
    const drv_guest_memory *memory;
    drv_sample *sample;
    guint count;
    guint *chunks;
    guint8 *bytes; /* DRV_PEEK_BYTES of one chunk */
} look;

static gboolean see_all(look *it, guint sweep, GError **error)
{
    for (guint i = 0; i < it->count; i++) {
        if (drv_node_is_stopping(it->ctx) || drv_node_is_leaving(it->ctx, it->uuid) ||
            !drv_hyper_memory_read(it->memory, it->chunks[i], it->bytes, error))
            return FALSE;
        drv_sample_see(it->sample, sweep, i, it->bytes, drv_clock_us());
    }
    return TRUE;
}

static gboolean look_again(look *it, GError **error)
{
    gint64 first_us = drv_clock_us();

    if (!see_all(it, 0, error))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(windows_us); i++) {
        gint64 left_us = first_us + windows_us[i] - drv_clock_us();

        if ((left_us > 0 && !drv_node_pause(it->ctx, (guint)(left_us / 1000))) || !see_all(it, i + 1, error))
            return FALSE;
    }
    return TRUE;
}

static drv_sample *sample_of(drv_context *ctx, const drv_domain *domain, GError **error)
{
    g_autoptr(drv_guest_memory) memory = drv_hyper_memory_open(domain->name, domain->uuid, error);
    guint total = memory ? drv_hyper_memory_chunks(memory) : 0;
    guint count = MIN(total, CHUNKS);
    g_autoptr(drv_sample) sample = NULL;
    g_autofree guint *chunks = g_new(guint, count + 1);
    g_autofree guint8 *bytes = g_malloc(DRV_PEEK_BYTES);
    gboolean seen;
    GRand *rand;

    if (!memory)
        return NULL;
    rand = g_rand_new();
    drv_sample_choose(chunks, count, total, rand);
    g_rand_free(rand);
    sample = drv_sample_new(count, DRV_PEEK_BYTES, domain->memory_bytes);
    seen = look_again(&(look){ctx, domain->uuid, memory, sample, count, chunks, bytes}, error);
    explicit_bzero(bytes, DRV_PEEK_BYTES);
    return seen ? g_steal_pointer(&sample) : NULL;
}

static void put_observed(json_object *document, gpointer data)
{
    drv_json_set_int(document, "observed_ms", drv_clock_real_ms());
    drv_json_set(document, "observed", json_object_get(data));
}

static void observe(drv_context *ctx, const drv_domain *domain)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_sample) sample = sample_of(ctx, domain, &error);
    g_autoptr(json_object) observed = NULL;
    drv_estimate_input in = {.memory_bytes = domain->memory_bytes, .running = TRUE, .vcpus = domain->vcpus};

    if (!sample) {
        if (error)
            drv_log_debug("VM %s was not sampled: %s", domain->name, error->message);
        return;
    }
    drv_sample_fill(sample, &in);
    observed = drv_estimate_input_json(&in);
    drv_observe_change(ctx, BUCKET, domain->uuid, put_observed, observed);
}

void drv_observe_vm(drv_context *ctx, const char *uuid, gint64 age_ms)
{
    g_autoptr(json_object) known = drv_observe_known(ctx, uuid);
    gint64 since_ms = drv_clock_real_ms() - drv_json_int(known, "observed_ms", 0);
    g_autoptr(drv_domain) domain = NULL;

    if (since_ms >= 0 && since_ms < age_ms)
        return;
    domain = drv_hyper_domain(ctx->hyper, uuid, NULL);
    if (domain && domain->state == DRV_DOMAIN_RUNNING && !domain->busy)
        observe(ctx, domain);
}

/* ---- in the background ---- */

static gpointer observe_thread(gpointer data)
{
    drv_context *ctx = data;
    guint pause_ms = FIRST_MS;

    while (drv_node_pause(ctx, pause_ms)) {
        g_autoptr(GPtrArray) domains = drv_hyper_domains(ctx->hyper, NULL);

        pause_ms = EACH_MS;
        for (guint i = 0; domains && i < domains->len && !drv_node_is_stopping(ctx); i++) {
            const drv_domain *domain = domains->pdata[i];

            if (domain->state == DRV_DOMAIN_RUNNING && !drv_node_is_leaving(ctx, domain->uuid))
                drv_observe_vm(ctx, domain->uuid, OLD_MS);
        }
    }
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_observe_start(drv_context *ctx)
{
    drv_node_thread(ctx, "observe", observe_thread, ctx);
}
