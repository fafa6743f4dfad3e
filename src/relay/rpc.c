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
    if (message->program == DRV_RPC_PROGRAM_REMOTE && message->version == 1 &&
        message->type == DRV_RPC_CALL)
        for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
            if (allowed[i].procedure == message->procedure)
                return 0;
    return drv_error_set(err, EPERM,
                         "the source's libvirtd tried procedure %u (program 0x%08x version %u, "
                         "message type %u), which is no part of a migration: refused",
                         message->procedure, message->program, message->version, message->type);
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
