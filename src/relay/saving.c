/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a session's pack: see saving.h. */
#include "relay/saving.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

#define NICE_PASSING 19
#define NICE_REST 10 /* a migration back may wait for it */
#define PATIENCE 8   /* a pause is so many times as long as the thread had to wait */
#define PAUSE_MAX_MS 500

int drv_saving_open(struct drv_saving *saving, struct drv_error *err)
{
    saving->passed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    saving->over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return saving->passed < 0 || saving->over < 0
               ? drv_error_set(err, errno, "cannot set up events: %s", strerror(errno))
               : 0;
}

size_t drv_saving_memory(void)
{
    return DRV_SEGMENT_BYTES + DRV_SEGMENT_PAGES * sizeof(uint64_t);
}

int drv_saving_init(struct drv_saving *saving, int fd, const struct drv_seal_key *key, unsigned most,
                    struct drv_cache *cache, struct drv_error *err)
{
    saving->fd = fd;
    saving->key = key;
    saving->most = most;
    saving->cache = cache;
    saving->manifest.segment = calloc((size_t)most + 1, sizeof *saving->manifest.segment);
    saving->pages = malloc(DRV_SEGMENT_BYTES);
    saving->addresses = calloc(DRV_SEGMENT_PAGES, sizeof *saving->addresses);
    if (!saving->manifest.segment || !saving->pages || !saving->addresses)
        return drv_error_set(err, ENOMEM, "no memory for keeping content");
    return 0;
}

static void raise_event(int event)
{
    uint64_t one = 1;

    if (write(event, &one, sizeof one) < 0)
        return; /* it is raised already */
}

void drv_saving_pass(struct drv_saving *saving)
{
    uint64_t whole;

    if (!saving->cache)
        return;
    whole = atomic_load_explicit(&saving->cache->written, memory_order_relaxed) / DRV_SEGMENT_PAGES;
    if (whole != atomic_load_explicit(&saving->told, memory_order_relaxed)) {
        atomic_store_explicit(&saving->told, whole, memory_order_relaxed);
        raise_event(saving->passed);
    }
}

void drv_saving_stop(struct drv_saving *saving)
{
    if (saving->over >= 0)
        raise_event(saving->over);
}

/* Return: whether the session goes on. */
static bool pause_for(const struct drv_saving *saving, uint64_t us)
{
    struct pollfd over = {.fd = saving->over, .events = POLLIN};
    uint64_t ms = us / 1000;

    return poll(&over, 1, ms < PAUSE_MAX_MS ? (int)ms : PAUSE_MAX_MS) == 0;
}

static void save_segment(struct drv_saving *saving, uint8_t *pages, const uint64_t *addresses, unsigned count)
{
    struct drv_pack_manifest *manifest = &saving->manifest;

    if (drv_pack_save(saving->fd, saving->key, manifest->count, pages, addresses, count,
                      &manifest->segment[manifest->count], &saving->failed) == 0)
        manifest->count++;
}

/* One segment, if it is whole and there. Return: whether there may be another. */
static bool pass_one(struct drv_saving *saving)
{
    struct drv_cache *cache = saving->cache;
    uint64_t written = atomic_load_explicit(&cache->written, memory_order_acquire);

    if (saving->failed.code || saving->manifest.count >= saving->most / 4 * 3)
        return false;
    if (!saving->begun && written) {
        saving->begun = true;
        saving->next = cache->known / DRV_SEGMENT_PAGES;
    }
    if (!saving->begun || written / DRV_SEGMENT_PAGES <= saving->next)
        return false;
    /* What is not there any more went too fast for the processors. */
    if (drv_cache_copy(cache, saving->next * DRV_SEGMENT_PAGES, saving->pages, saving->addresses))
        save_segment(saving, saving->pages, saving->addresses, DRV_SEGMENT_PAGES);
    if (saving->failed.code)
        return false;
    saving->next++;
    return true;
}

void drv_saving_run(struct drv_saving *saving)
{
    struct pollfd wait[2] = {{.fd = saving->over, .events = POLLIN}, {.fd = saving->passed, .events = POLLIN}};
    uint64_t count;

    (void)setpriority(PRIO_PROCESS, 0, NICE_PASSING);
    while (poll(wait, 2, -1) >= 0 || errno == EINTR) {
        int64_t began_us, cpu_us, lost_us;

        if (wait[0].revents)
            return;
        if (read(saving->passed, &count, sizeof count) < 0 && errno != EAGAIN)
            return;
        do {
            began_us = drv_clock_us();
            cpu_us = drv_clock_thread_us();
            if (!pass_one(saving))
                break;
            cpu_us = drv_clock_thread_us() - cpu_us;
            lost_us = drv_clock_us() - began_us - cpu_us;
            /* Who else wants this processor, or this disk, goes first. */
            if (!pause_for(saving, lost_us > cpu_us ? (uint64_t)lost_us * PATIENCE : 0))
                return;
        } while (true);
    }
}

/* The first segment that is still there and for which there is room. */
static uint64_t first_left(const struct drv_saving *saving, uint64_t end)
{
    const struct drv_cache *cache = saving->cache;
    unsigned room = saving->most - saving->manifest.count;
    uint64_t first = saving->begun ? saving->next : cache->known / DRV_SEGMENT_PAGES;

    while (first < end && !drv_cache_holds(cache, first * DRV_SEGMENT_PAGES))
        first++;
    return end > first && end - first > room ? end - room : first;
}

unsigned drv_saving_rest(struct drv_saving *saving)
{
    struct drv_cache *cache = saving->cache;
    uint64_t end = (cache->next + DRV_SEGMENT_PAGES - 1) / DRV_SEGMENT_PAGES;
    uint64_t first = first_left(saving, end);
    unsigned before = saving->manifest.count;

    (void)setpriority(PRIO_PROCESS, 0, NICE_REST);
    for (; first < end && !saving->failed.code; first++) {
        uint64_t number = first * DRV_SEGMENT_PAGES, left = cache->next - number;
        size_t place = drv_cache_place(cache, number);

        save_segment(saving, cache->page + place * DRV_PAGE_SIZE, cache->address + place,
                     left < DRV_SEGMENT_PAGES ? (unsigned)left : DRV_SEGMENT_PAGES);
        if (saving->failed.code)
            break;
    }
    if (saving->failed.code)
        saving->manifest.missing = (unsigned)(end - first);
    return saving->manifest.count - before;
}

void drv_saving_done(struct drv_saving *saving)
{
    if (saving->passed >= 0)
        close(saving->passed);
    if (saving->over >= 0)
        close(saving->over);
    drv_pack_manifest_done(&saving->manifest);
    free(saving->pages);
    free(saving->addresses);
}
