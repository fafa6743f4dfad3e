/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames from another relay: whatever the bytes, a header is refused or means what it
 * says, and DATA frames put into a window come out in order or are refused.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "relay/control/control.h"
#include "relay/frame.h"
#include "relay/window.h"

#define WINDOW 4096

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_header(const struct drv_frame *frame, const uint8_t *header)
{
    uint8_t again[DRV_FRAME_HEADER_SIZE];

    require(frame->type > 0 && frame->type < DRV_FRAME_TYPES);
    require(frame->channel < DRV_CHANNELS);
    require(frame->length <= DRV_FRAME_PAYLOAD_MAX);
    require(frame->raw_length <= DRV_FRAME_PAYLOAD_MAX);
    require(frame->offset <= DRV_FRAME_OFFSET_MAX);
    drv_frame_encode(again, frame);
    require(memcmp(again, header, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct drv_window window;
    struct drv_frame frame;
    struct drv_hello hello;
    struct drv_error err;

    (void)drv_hello_decode(&hello, data, size, &err);
    require(drv_window_init(&window, WINDOW, &err) == 0);
    (void)drv_window_grant(&window);
    while (size >= DRV_FRAME_HEADER_SIZE) {
        const uint8_t *bytes;
        size_t payload;

        if (drv_frame_decode(&frame, data, &err))
            break;
        check_header(&frame, data);
        data += DRV_FRAME_HEADER_SIZE;
        size -= DRV_FRAME_HEADER_SIZE;
        payload = frame.length < size ? frame.length : size;
        if (frame.type == DRV_FRAME_DATA && payload && drv_window_reserve(&window, frame.offset, payload, &err) == 0)
            drv_window_fill(&window, frame.offset, data, payload);
        data += payload;
        size -= payload;
        require(window.delivered <= window.contiguous && window.contiguous <= window.limit);
        require(window.limit <= window.delivered + WINDOW);
        drv_window_take(&window, drv_window_peek(&window, window.delivered, &bytes));
        (void)drv_window_grant(&window);
    }
    drv_window_done(&window);
    return 0;
}
