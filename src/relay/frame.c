/* SPDX-License-Identifier: Apache-2.0 */
/* Frames between relays: see frame.h and docs/wire.rst. */
#include "relay/frame.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "pack/agreement.h"
#include "relay/codec/older.h"
#include "relay/control/control.h"

static const uint8_t hello_magic[4] = {'D', 'R', 'V', 'R'};

/* What each type of frame may have in its header. */
static const struct {
    const char *name;
    uint32_t length_min;
    uint32_t length_max;
    bool has_stream;
    uint64_t offset_max;
} rules[DRV_FRAME_TYPES] = {
    [DRV_FRAME_HELLO] = {"HELLO", DRV_FRAME_HELLO_SIZE, DRV_FRAME_HELLO_SIZE, false, 0},
    [DRV_FRAME_OPEN] = {"OPEN", 0, 0, true, 0},
    [DRV_FRAME_DATA] = {"DATA", 1, DRV_FRAME_PAYLOAD_MAX, true, DRV_FRAME_OFFSET_MAX},
    [DRV_FRAME_CREDIT] = {"CREDIT", 0, 0, true, DRV_FRAME_OFFSET_MAX},
    [DRV_FRAME_FIN] = {"FIN", 0, 0, true, DRV_FRAME_OFFSET_MAX},
    [DRV_FRAME_RESET] = {"RESET", 0, 0, true, 0},
    [DRV_FRAME_MARK] = {"MARK", 0, 0, false, DRV_MARKS - 1},
    [DRV_FRAME_PING] = {"PING", 0, 0, false, 0},
    [DRV_FRAME_BYE] = {"BYE", 0, DRV_FRAME_TEXT_MAX, false, 0},
    [DRV_FRAME_SHARED] = {"SHARED", 0, 0, true, DRV_FRAME_OFFSET_MAX},
    [DRV_FRAME_OLDER] = {"OLDER", 0, 0, true, DRV_FRAME_OFFSET_MAX},
    [DRV_FRAME_DIGESTS] = {"DIGESTS", 0, DRV_OLDER_STEP *DRV_OLDER_DIGEST, true, DRV_FRAME_OFFSET_MAX},
    [DRV_FRAME_CONTENT] = {"CONTENT", DRV_AGREEMENT_MIN, DRV_AGREEMENT_MAX, false, 0},
};

const char *drv_frame_type_name(unsigned type)
{
    return type < DRV_FRAME_TYPES && rules[type].name ? rules[type].name : "?";
}

void drv_frame_encode(uint8_t out[DRV_FRAME_HEADER_SIZE], const struct drv_frame *frame)
{
    struct drv_writer writer = drv_writer_over(out, DRV_FRAME_HEADER_SIZE);

    drv_write_u8(&writer, frame->type);
    drv_write_u8(&writer, frame->channel);
    drv_write_u8(&writer, frame->encoding);
    drv_write_u8(&writer, 0);
    drv_write_u32(&writer, frame->stream);
    drv_write_u32(&writer, frame->length);
    drv_write_u32(&writer, frame->raw_length);
    drv_write_u64(&writer, frame->offset);
}

static bool data_lengths_fit(const struct drv_frame *frame)
{
    unsigned most = frame->type == DRV_FRAME_OPEN ? DRV_CODERS : frame->type == DRV_FRAME_OLDER ? DRV_OLDER_IMAGES : 0;

    if (frame->encoding > most || (frame->type == DRV_FRAME_OLDER && !frame->encoding))
        return false;
    return frame->raw_length == (frame->type == DRV_FRAME_DATA ? frame->length : 0);
}

int drv_frame_decode(struct drv_frame *frame, const uint8_t in[DRV_FRAME_HEADER_SIZE], struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(in, DRV_FRAME_HEADER_SIZE);
    struct drv_frame got = {0};
    uint8_t reserved;

    got.type = drv_read_u8(&reader);
    got.channel = drv_read_u8(&reader);
    got.encoding = drv_read_u8(&reader);
    reserved = drv_read_u8(&reader);
    got.stream = drv_read_u32(&reader);
    got.length = drv_read_u32(&reader);
    got.raw_length = drv_read_u32(&reader);
    got.offset = drv_read_u64(&reader);
    if (got.type >= DRV_FRAME_TYPES || !rules[got.type].name)
        return drv_error_set(err, EPROTO, "the other relay sent a frame of unknown type %u", got.type);
    if (reserved || got.length < rules[got.type].length_min || got.length > rules[got.type].length_max ||
        got.offset > rules[got.type].offset_max || got.channel >= (rules[got.type].has_stream ? DRV_CHANNELS : 1) ||
        (got.stream != 0) != rules[got.type].has_stream || !data_lengths_fit(&got) ||
        (got.type == DRV_FRAME_MARK && got.offset == 0))
        return drv_error_set(err, EPROTO,
                             "the other relay sent a %s frame that makes no sense (channel %u, "
                             "stream %u, length %u, offset %llu)",
                             rules[got.type].name, got.channel, got.stream, got.length, (unsigned long long)got.offset);
    *frame = got;
    return 0;
}

void drv_hello_encode(uint8_t out[DRV_FRAME_HELLO_SIZE], const struct drv_hello *hello)
{
    struct drv_writer writer = drv_writer_over(out, DRV_FRAME_HELLO_SIZE);

    drv_write_bytes(&writer, hello_magic, sizeof hello_magic);
    drv_write_u16(&writer, hello->version);
    drv_write_u16(&writer, hello->codec);
    drv_write_u32(&writer, hello->features);
    drv_write_bytes(&writer, hello->session, sizeof hello->session);
    drv_write_u8(&writer, hello->index);
    drv_write_u8(&writer, hello->links);
    drv_write_u16(&writer, hello->cache_mib);
}

int drv_hello_decode(struct drv_hello *hello, const uint8_t *in, size_t size, struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(in, size);
    const uint8_t *magic = drv_read_bytes(&reader, sizeof hello_magic);
    struct drv_hello got = {0};
    const uint8_t *session;

    got.version = drv_read_u16(&reader);
    got.codec = drv_read_u16(&reader);
    got.features = drv_read_u32(&reader);
    session = drv_read_bytes(&reader, sizeof got.session);
    got.index = drv_read_u8(&reader);
    got.links = drv_read_u8(&reader);
    got.cache_mib = drv_read_u16(&reader);
    if (reader.bad || memcmp(magic, hello_magic, sizeof hello_magic) != 0)
        return drv_error_set(err, EPROTO, "what connected is not a relay of Drover");
    if (got.version != DRV_WIRE_VERSION)
        return drv_error_set(err, EPROTO,
                             "the other relay speaks version %u of the protocol, this one %u: "
                             "install the same version of Drover on both hosts",
                             got.version, DRV_WIRE_VERSION);
    if (got.features & ~DRV_WIRE_FEATURES)
        return drv_error_set(err, EPROTO,
                             "the other relay demands features 0x%x that this one lacks: "
                             "install the same version of Drover on both hosts",
                             got.features & ~DRV_WIRE_FEATURES);
    memcpy(got.session, session, sizeof got.session);
    *hello = got;
    return 0;
}
