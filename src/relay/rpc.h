/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watcher of libvirt's RPC: it is fed one direction of the control channel in pieces
 * of any size and says where each message begins and ends, what it is, and whether a
 * migration has any business to send it. It does no I/O and keeps only a header.
 *
 * A message is a u32 length that counts itself, then an XDR header of six words
 * (program, version, procedure, type, serial, status), then a body that is not looked at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DRV_RPC_HEADER_SIZE 28u
/* VIR_NET_MESSAGE_MAX, which does not count the length word itself. */
#define DRV_RPC_MESSAGE_MAX (32u * 1024u * 1024u + 4u)

#define DRV_RPC_PROGRAM_REMOTE 0x20008086u
#define DRV_RPC_PROGRAM_KEEPALIVE 0x6b656570u

enum drv_rpc_type {
    DRV_RPC_CALL,
    DRV_RPC_REPLY,
    DRV_RPC_MESSAGE,
    DRV_RPC_STREAM,
    DRV_RPC_CALL_WITH_FDS,
    DRV_RPC_REPLY_WITH_FDS,
};

enum drv_rpc_procedure {
    DRV_RPC_CONNECT_OPEN = 1,
    DRV_RPC_CONNECT_CLOSE = 2,
    DRV_RPC_CONNECT_SUPPORTS_FEATURE = 60,
    DRV_RPC_AUTH_LIST = 66,
    DRV_RPC_MIGRATE_PREPARE3_PARAMS = 303,
    DRV_RPC_MIGRATE_FINISH3_PARAMS = 306,
    DRV_RPC_REGISTER_CLOSE_CALLBACK = 360,
    DRV_RPC_UNREGISTER_CLOSE_CALLBACK = 361,
};

struct drv_rpc_message {
    uint32_t length; /* all of it, the length word too */
    uint32_t program;
    uint32_t version;
    uint32_t procedure;
    uint32_t type;
    uint32_t serial;
    uint32_t status; /* 0 = OK */
};

enum drv_rpc_event {
    DRV_RPC_NOTHING, /* all that was fed is used up */
    DRV_RPC_HEADER,  /* the header of `message` is complete; its body may follow */
    DRV_RPC_END,     /* the last byte of `message` has been seen */
};

struct drv_rpc_watcher {
    uint8_t head[DRV_RPC_HEADER_SIZE];
    uint32_t have;      /* bytes of head */
    uint32_t body_left; /* bytes of the message after its header */
    bool in_body;
    struct drv_rpc_message message;
};

/**
 * drv_rpc_feed() - look at some bytes, up to the next event.
 * @watcher: zero-initialised at the start of the direction
 * @used:    receives how many bytes were looked at; feed the rest again, and once more
 *           (with no bytes, if there are none) while drv_rpc_ends_now()
 *
 * Return: enum drv_rpc_event, or -EPROTO when this is not libvirt's RPC.
 */
int drv_rpc_feed(struct drv_rpc_watcher *watcher, const uint8_t *bytes, size_t size, size_t *used,
                 struct drv_error *err);

/** drv_rpc_ends_now() - the next event is DRV_RPC_END and needs no more bytes: an empty body. */
static inline bool drv_rpc_ends_now(const struct drv_rpc_watcher *watcher)
{
    return watcher->in_body && watcher->body_left == 0;
}

/** drv_rpc_call_allowed() - may the source's libvirtd send this to the target's? 0 or -EPERM. */
int drv_rpc_call_allowed(const struct drv_rpc_message *message, struct drv_error *err);

/** drv_rpc_call_judged() - is this a call whose contents say what becomes of the target: held until droverd has judged it. */
bool drv_rpc_call_judged(const struct drv_rpc_message *message);

/** A text in a message, which is not terminated. */
struct drv_rpc_text {
    const char *at; /* NULL: it is not there */
    size_t size;
};

/** What a call of Open or Prepare asks for. Points into the message. */
struct drv_rpc_request {
    uint32_t procedure;
    struct drv_rpc_text uri; /* Open: of the hypervisor */
    struct drv_rpc_text xml; /* Prepare: the definition that will run */
    struct drv_rpc_text persistent_xml;
    struct drv_rpc_text name;
    struct drv_rpc_text migrate_uri; /* where QEMU is to listen */
    struct drv_rpc_text disks_uri;
    bool listens; /* or says so in another way */
    uint32_t flags;
};

/**
 * drv_rpc_parse_request() - take such a call apart, header and all. A parameter that is there twice, or of a type that
 * it has not, makes it none. Return: 0 or -EPROTO.
 */
int drv_rpc_parse_request(struct drv_rpc_request *request, const uint8_t *bytes, size_t size, struct drv_error *err);

/** drv_rpc_is_finish_reply() - is this the answer to the call that ends a migration? */
bool drv_rpc_is_finish_reply(const struct drv_rpc_message *message);

/**
 * drv_rpc_finish_succeeded() - does this answer carry a domain?
 *
 * libvirt answers with OK only when there is a domain to return (otherwise it is
 * an error message), so that status and room for one are enough.
 */
bool drv_rpc_finish_succeeded(const struct drv_rpc_message *message);
