/* SPDX-License-Identifier: Apache-2.0 */
/* The watcher of libvirt's RPC: see rpc.h. Numbers as in libvirt's remote_protocol.x. */
#include "relay/rpc.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

/* name length, name padded to 4, uuid, id */
#define DOMAIN_SIZE_MIN (4u + 4u + 16u + 4u)

static const struct {
    uint32_t procedure;
    const char *name;
} allowed[] = {
    {DRV_RPC_CONNECT_OPEN, "CONNECT_OPEN"},
    {DRV_RPC_CONNECT_CLOSE, "CONNECT_CLOSE"},
    {DRV_RPC_CONNECT_SUPPORTS_FEATURE, "CONNECT_SUPPORTS_FEATURE"},
    {DRV_RPC_AUTH_LIST, "AUTH_LIST"},
    {DRV_RPC_MIGRATE_PREPARE3_PARAMS, "DOMAIN_MIGRATE_PREPARE3_PARAMS"},
    {DRV_RPC_MIGRATE_FINISH3_PARAMS, "DOMAIN_MIGRATE_FINISH3_PARAMS"},
    {DRV_RPC_REGISTER_CLOSE_CALLBACK, "CONNECT_REGISTER_CLOSE_CALLBACK"},
    {DRV_RPC_UNREGISTER_CLOSE_CALLBACK, "CONNECT_UNREGISTER_CLOSE_CALLBACK"},
};

static int read_header(struct drv_rpc_watcher *watcher, struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(watcher->head, sizeof watcher->head);
    struct drv_rpc_message *message = &watcher->message;

    message->length = drv_read_u32(&reader);
    message->program = drv_read_u32(&reader);
    message->version = drv_read_u32(&reader);
    message->procedure = drv_read_u32(&reader);
    message->type = drv_read_u32(&reader);
    message->serial = drv_read_u32(&reader);
    message->status = drv_read_u32(&reader);
    if (message->length < DRV_RPC_HEADER_SIZE || message->length > DRV_RPC_MESSAGE_MAX)
        return drv_error_set(err, EPROTO,
                             "the control channel does not carry libvirt's protocol: a message "
                             "claims to have %u bytes",
                             message->length);
    watcher->body_left = message->length - DRV_RPC_HEADER_SIZE;
    watcher->in_body = true;
    return DRV_RPC_HEADER;
}

int drv_rpc_feed(struct drv_rpc_watcher *watcher, const uint8_t *bytes, size_t size, size_t *used,
                 struct drv_error *err)
{
    size_t take;

    *used = 0;
    if (!watcher->in_body) {
        take = DRV_RPC_HEADER_SIZE - watcher->have;
        if (take > size)
            take = size;
        if (take)
            memcpy(watcher->head + watcher->have, bytes, take);
        watcher->have += (uint32_t)take;
        *used = take;
        return watcher->have < DRV_RPC_HEADER_SIZE ? DRV_RPC_NOTHING : read_header(watcher, err);
    }
    take = watcher->body_left < size ? watcher->body_left : size;
    watcher->body_left -= (uint32_t)take;
    *used = take;
    if (watcher->body_left)
        return DRV_RPC_NOTHING;
    watcher->in_body = false;
    watcher->have = 0;
    return DRV_RPC_END;
}

int drv_rpc_call_allowed(const struct drv_rpc_message *message, struct drv_error *err)
{
    if (message->program == DRV_RPC_PROGRAM_KEEPALIVE && message->type == DRV_RPC_MESSAGE)
        return 0;
    if (message->program == DRV_RPC_PROGRAM_REMOTE && message->version == 1 && message->type == DRV_RPC_CALL)
        for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
            if (allowed[i].procedure == message->procedure)
                return 0;
    return drv_error_set(err, EPERM,
                         "the source's libvirtd tried procedure %u (program 0x%08x version %u, "
                         "message type %u), which is no part of a migration: refused",
                         message->procedure, message->program, message->version, message->type);
}

bool drv_rpc_call_judged(const struct drv_rpc_message *message)
{
    return message->program == DRV_RPC_PROGRAM_REMOTE && message->type == DRV_RPC_CALL &&
           (message->procedure == DRV_RPC_CONNECT_OPEN || message->procedure == DRV_RPC_MIGRATE_PREPARE3_PARAMS);
}

/* ---- what a call says ---- */

#define PARAMETERS_MAX 64u

/* XDR: a length, the bytes, and zeros up to a multiple of four. */
static struct drv_rpc_text read_text(struct drv_reader *reader)
{
    uint32_t size = drv_read_u32(reader);
    struct drv_rpc_text text = {.at = (const char *)drv_read_bytes(reader, size), .size = size};

    (void)drv_read_bytes(reader, (4 - size % 4) % 4);
    if (reader->bad || (text.size && memchr(text.at, '\0', text.size)))
        reader->bad = true;
    return text;
}

static bool is_text(const struct drv_rpc_text *text, const char *value)
{
    return text->at && text->size == strlen(value) && memcmp(text->at, value, text->size) == 0;
}

/* Types as in libvirt's virTypedParameterType. */
static bool read_value(struct drv_reader *reader, struct drv_rpc_text *text)
{
    switch (drv_read_u32(reader)) {
    case 1:
    case 2:
    case 6:
        (void)drv_read_u32(reader);
        return false;
    case 3:
    case 4:
    case 5:
        (void)drv_read_u64(reader);
        return false;
    case 7:
        *text = read_text(reader);
        return true;
    default:
        reader->bad = true;
        return false;
    }
}

static void read_parameter(struct drv_rpc_request *request, struct drv_reader *reader)
{
    const struct {
        const char *name;
        struct drv_rpc_text *to;
    } known[] = {{"destination_xml", &request->xml},
                 {"persistent_xml", &request->persistent_xml},
                 {"destination_name", &request->name},
                 {"migrate_uri", &request->migrate_uri},
                 {"disks_uri", &request->disks_uri}};
    struct drv_rpc_text name = read_text(reader), value = {0};
    bool text = read_value(reader, &value);

    if (is_text(&name, "listen_address") || is_text(&name, "disks_port"))
        request->listens = true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!is_text(&name, known[i].name))
            continue;
        if (!text || known[i].to->at)
            reader->bad = true;
        *known[i].to = value;
    }
}

static void read_prepare(struct drv_rpc_request *request, struct drv_reader *reader)
{
    uint32_t count = drv_read_u32(reader);

    if (count > PARAMETERS_MAX)
        reader->bad = true;
    for (uint32_t i = 0; i < count && !reader->bad; i++)
        read_parameter(request, reader);
    {
        uint32_t cookie = drv_read_u32(reader);

        (void)drv_read_bytes(reader, cookie);
        (void)drv_read_bytes(reader, (4 - cookie % 4) % 4);
    }
    request->flags = drv_read_u32(reader);
}

int drv_rpc_parse_request(struct drv_rpc_request *request, const uint8_t *bytes, size_t size, struct drv_error *err)
{
    struct drv_reader reader = drv_reader_over(bytes, size);
    struct drv_rpc_message message = {.length = drv_read_u32(&reader)};

    memset(request, 0, sizeof *request);
    message.program = drv_read_u32(&reader);
    message.version = drv_read_u32(&reader);
    message.procedure = request->procedure = drv_read_u32(&reader);
    message.type = drv_read_u32(&reader);
    (void)drv_read_u64(&reader); /* serial, status */
    if (reader.bad || message.length != size || !drv_rpc_call_judged(&message))
        return drv_error_set(err, EPROTO, "this is no call that is judged");
    if (message.procedure == DRV_RPC_MIGRATE_PREPARE3_PARAMS) {
        read_prepare(request, &reader);
    } else {
        if (drv_read_u32(&reader))
            request->uri = read_text(&reader);
        request->flags = drv_read_u32(&reader);
    }
    if (reader.bad || drv_reader_left(&reader))
        return drv_error_set(err, EPROTO, "the source's libvirtd sent a call that is not understood");
    return 0;
}

bool drv_rpc_is_finish_reply(const struct drv_rpc_message *message)
{
    return message->program == DRV_RPC_PROGRAM_REMOTE &&
           (message->type == DRV_RPC_REPLY || message->type == DRV_RPC_REPLY_WITH_FDS) &&
           message->procedure == DRV_RPC_MIGRATE_FINISH3_PARAMS;
}

bool drv_rpc_finish_succeeded(const struct drv_rpc_message *message)
{
    return drv_rpc_is_finish_reply(message) && message->status == 0 &&
           message->length >= DRV_RPC_HEADER_SIZE + DOMAIN_SIZE_MIN;
}
