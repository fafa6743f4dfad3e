/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the admin socket: see admin-wire.h. */
#include "relay/control/admin-wire.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

size_t drv_admin_encode_status(uint8_t out[DRV_ADMIN_MAX], uint8_t kind, const struct drv_relay_status *status)
{
    struct drv_writer writer = drv_writer_over(out, DRV_ADMIN_MAX);

    drv_write_u8(&writer, kind);
    drv_write_u8(&writer, DRV_ADMIN_VERSION);
    drv_write_u8(&writer, (uint8_t)status->state);
    drv_write_u8(&writer, (uint8_t)status->links_up);
    for (size_t i = 0; i < DRV_CHANNELS; i++) {
        drv_write_u64(&writer, status->channel[i].local_in_bytes);
        drv_write_u64(&writer, status->channel[i].local_out_bytes);
        drv_write_u32(&writer, status->channel[i].streams_opened);
        drv_write_u32(&writer, status->channel[i].streams_open);
    }
    drv_write_u64(&writer, status->wire_in_bytes);
    drv_write_u64(&writer, status->wire_out_bytes);
    drv_write_u8(&writer, status->finish_delivered);
    drv_write_u8(&writer, status->finish_ok);
    drv_write_u8(&writer, status->resumed);
    drv_write_u64(&writer, (uint64_t)status->finish_us);
    drv_write_u64(&writer, (uint64_t)status->resumed_us);
    drv_write_u64(&writer, status->memory_bytes);
    drv_write_bytes(&writer, status->error, sizeof status->error);
    drv_write_u64(&writer, status->cache_bytes);
    drv_write_u64(&writer, status->fresh_bps);
    for (size_t i = 0; i < DRV_CHANNELS; i++) {
        drv_write_u64(&writer, status->channel[i].coded_bytes);
        drv_write_u64(&writer, status->channel[i].pages.literal);
        drv_write_u64(&writer, status->channel[i].pages.delta);
        drv_write_u64(&writer, status->channel[i].pages.same);
        drv_write_u64(&writer, status->channel[i].pages.other);
        drv_write_u64(&writer, status->channel[i].pages.zero);
        drv_write_u64(&writer, status->channel[i].pages.shared);
    }
    drv_write_u64(&writer, status->recycled_bytes);
    for (size_t i = 0; i < DRV_CHANNELS; i++)
        drv_write_u64(&writer, status->channel[i].pages.older);
    drv_write_u64(&writer, status->link_bps);
    drv_write_u64(&writer, status->rtt_us);
    drv_write_u8(&writer, status->asks);
    return drv_writer_used(&writer);
}

int drv_admin_decode_status(struct drv_relay_status *status, const uint8_t *in, size_t size, struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(in, size);
    struct drv_relay_status got = {0};
    const uint8_t *error;
    uint8_t version;

    (void)drv_read_u8(&reader);
    version = drv_read_u8(&reader);
    got.state = (enum drv_relay_state)drv_read_u8(&reader);
    got.links_up = drv_read_u8(&reader);
    for (size_t i = 0; i < DRV_CHANNELS; i++) {
        got.channel[i].local_in_bytes = drv_read_u64(&reader);
        got.channel[i].local_out_bytes = drv_read_u64(&reader);
        got.channel[i].streams_opened = drv_read_u32(&reader);
        got.channel[i].streams_open = drv_read_u32(&reader);
    }
    got.wire_in_bytes = drv_read_u64(&reader);
    got.wire_out_bytes = drv_read_u64(&reader);
    got.finish_delivered = drv_read_u8(&reader);
    got.finish_ok = drv_read_u8(&reader);
    got.resumed = drv_read_u8(&reader);
    got.finish_us = (int64_t)drv_read_u64(&reader);
    got.resumed_us = (int64_t)drv_read_u64(&reader);
    got.memory_bytes = drv_read_u64(&reader);
    error = drv_read_bytes(&reader, sizeof got.error);
    /* A relay that was started before an update does not say it. */
    if (drv_reader_left(&reader))
        got.cache_bytes = drv_read_u64(&reader);
    if (drv_reader_left(&reader))
        got.fresh_bps = drv_read_u64(&reader);
    for (size_t i = 0; i < DRV_CHANNELS && drv_reader_left(&reader); i++) {
        got.channel[i].coded_bytes = drv_read_u64(&reader);
        got.channel[i].pages.literal = drv_read_u64(&reader);
        got.channel[i].pages.delta = drv_read_u64(&reader);
        got.channel[i].pages.same = drv_read_u64(&reader);
        got.channel[i].pages.other = drv_read_u64(&reader);
        got.channel[i].pages.zero = drv_read_u64(&reader);
        got.channel[i].pages.shared = drv_read_u64(&reader);
    }
    if (drv_reader_left(&reader))
        got.recycled_bytes = drv_read_u64(&reader);
    for (size_t i = 0; i < DRV_CHANNELS && drv_reader_left(&reader); i++)
        got.channel[i].pages.older = drv_read_u64(&reader);
    if (drv_reader_left(&reader)) {
        got.link_bps = drv_read_u64(&reader);
        got.rtt_us = drv_read_u64(&reader);
    }
    if (drv_reader_left(&reader))
        got.asks = drv_read_u8(&reader);
    if (reader.bad || version != DRV_ADMIN_VERSION || got.state > DRV_RELAY_ENDED)
        return drv_error_set(err, EPROTO,
                             "the relay answers in a way that is not understood: it is of another "
                             "version of Drover");
    memcpy(got.error, error, sizeof got.error);
    got.error[sizeof got.error - 1] = '\0';
    *status = got;
    return 0;
}
