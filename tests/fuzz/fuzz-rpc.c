/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source's libvirtd says, or whoever has taken its place: the watcher must tell
 * the same story however the bytes are cut, and never be ahead of what it was shown.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "relay/rpc.h"

#define EVENTS 64

struct event {
    int what;
    size_t at;
    struct drv_rpc_message message;
    int allowed;
};

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Return: how many events, the last of which may be a refusal. */
static size_t watch(const uint8_t *data, size_t size, size_t piece, struct event *events)
{
    struct drv_rpc_watcher watcher;
    size_t at = 0, count = 0;

    memset(&watcher, 0, sizeof watcher);
    while ((at < size || drv_rpc_ends_now(&watcher)) && count < EVENTS) {
        size_t left = size - at < piece ? size - at : piece;
        size_t used;
        int what = drv_rpc_feed(&watcher, data + at, left, &used, NULL);

        require(used <= left);
        at += used;
        if (what == DRV_RPC_NOTHING)
            continue;
        memset(&events[count], 0, sizeof events[count]);
        events[count].what = what;
        events[count].at = at;
        events[count].message = watcher.message;
        events[count].allowed = drv_rpc_call_allowed(&watcher.message, NULL);
        count++;
        if (what < 0)
            break;
    }
    return count;
}

static int is_within(const struct drv_rpc_text *text, const uint8_t *data, size_t size)
{
    const uint8_t *at = (const uint8_t *)text->at;

    return !at || (at >= data && text->size <= size && at + text->size <= data + size);
}

/* What a call says must lie in it. */
static void take_apart(const uint8_t *data, size_t size)
{
    struct drv_rpc_request request;

    if (drv_rpc_parse_request(&request, data, size, NULL) < 0)
        return;
    require(is_within(&request.uri, data, size) && is_within(&request.xml, data, size) &&
            is_within(&request.persistent_xml, data, size) && is_within(&request.name, data, size) &&
            is_within(&request.migrate_uri, data, size) && is_within(&request.disks_uri, data, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 3, 27, 28, 29, 1000};
    struct event whole[EVENTS], cut[EVENTS];
    size_t count = watch(data, size, size ? size : 1, whole);

    take_apart(data, size);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        require(watch(data, size, pieces[i], cut) == count);
        require(memcmp(whole, cut, count * sizeof whole[0]) == 0);
    }
    for (size_t i = 0; i < count; i++) {
        if (whole[i].what < 0)
            continue;
        require(whole[i].message.length >= DRV_RPC_HEADER_SIZE);
        require(whole[i].message.length <= DRV_RPC_MESSAGE_MAX);
        if (drv_rpc_is_finish_reply(&whole[i].message))
            require(whole[i].allowed < 0);
    }
    return 0;
}
