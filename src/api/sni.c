/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClientHello (RFC 8446 4.1.2) and its server_name extension (RFC 6066 3): see sni.h.
 * Everything here comes from whoever can reach the port, so every length is checked
 * by the cursor, what is not exactly as the standard has it is refused, and no byte
 * of it decides more than which door the connection goes to.
 */
#include "api/sni.h"

#include <stdbool.h>

#include "base/cursor.h"

enum {
    RECORD_HANDSHAKE = 22,
    RECORD_MOST_BYTES = 16384,
    HANDSHAKE_CLIENT_HELLO = 1,
    HANDSHAKE_HEADER_BYTES = 4,
    EXTENSION_SERVER_NAME = 0,
    NAME_HOST = 0,
};

/* A vector with a length in front. */
static struct drv_reader vector(struct drv_reader *reader, size_t size)
{
    const uint8_t *bytes = drv_read_bytes(reader, size);

    return drv_reader_over(bytes, bytes ? size : 0);
}

static bool read_host(struct drv_reader *list, char *name)
{
    bool found = false;

    while (drv_reader_left(list)) {
        uint8_t type = drv_read_u8(list);
        struct drv_reader host = vector(list, drv_read_u16(list));
        size_t size = drv_reader_left(&host);

        if (list->bad || type != NAME_HOST || found || !size || size > DRV_SNI_NAME_MOST)
            return false;
        for (size_t i = 0; i < size; i++) {
            uint8_t c = host.at[i];

            if (c >= 'A' && c <= 'Z')
                c = (uint8_t)(c - 'A' + 'a');
            if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'))
                return false;
            name[i] = (char)c;
        }
        name[size] = '\0';
        found = true;
    }
    return found;
}

static bool read_hello(struct drv_reader *hello, char *name)
{
    struct drv_reader extensions;
    size_t size;
    bool seen = false;

    if (drv_read_u16(hello) >> 8 != 3) /* legacy_version */
        return false;
    drv_read_bytes(hello, 32); /* random */
    size = drv_read_u8(hello); /* legacy_session_id */
    if (size > 32)
        return false;
    drv_read_bytes(hello, size);
    size = drv_read_u16(hello); /* cipher_suites */
    if (size < 2 || size % 2)
        return false;
    drv_read_bytes(hello, size);
    size = drv_read_u8(hello); /* legacy_compression_methods */
    if (!size)
        return false;
    drv_read_bytes(hello, size);
    if (hello->bad)
        return false;
    if (!drv_reader_left(hello)) /* allowed before TLS 1.3: the API will refuse it politely */
        return true;
    size = drv_read_u16(hello);
    extensions = vector(hello, size);
    if (hello->bad || drv_reader_left(hello))
        return false;
    while (drv_reader_left(&extensions)) {
        uint16_t type = drv_read_u16(&extensions);
        struct drv_reader body = vector(&extensions, drv_read_u16(&extensions));
        struct drv_reader list;

        if (extensions.bad)
            return false;
        if (type != EXTENSION_SERVER_NAME)
            continue;
        if (seen)
            return false;
        seen = true;
        list = vector(&body, drv_read_u16(&body));
        if (body.bad || drv_reader_left(&body) || !read_host(&list, name))
            return false;
    }
    return true;
}

enum drv_sni_result drv_sni_parse(const uint8_t *bytes, size_t size, char name[DRV_SNI_NAME_MOST + 1])
{
    struct drv_reader records = drv_reader_over(bytes, size);
    uint8_t message[DRV_SNI_MOST_BYTES];
    size_t have = 0, need = HANDSHAKE_HEADER_BYTES;
    struct drv_reader hello;

    name[0] = '\0';
    /* Put the message together from its records: there may be several, each may be cut. */
    while (have < need) {
        size_t left = drv_reader_left(&records), part, whole;

        if (left && records.at[0] != RECORD_HANDSHAKE)
            return DRV_SNI_BAD;
        if (left > 1 && records.at[1] != 3)
            return DRV_SNI_BAD;
        if (left < 5)
            return size >= DRV_SNI_MOST_BYTES ? DRV_SNI_BAD : DRV_SNI_MORE;
        drv_read_u8(&records);
        drv_read_u16(&records);
        whole = drv_read_u16(&records);
        if (!whole || whole > RECORD_MOST_BYTES)
            return DRV_SNI_BAD;
        part = whole < drv_reader_left(&records) ? whole : drv_reader_left(&records);
        if (part > sizeof message - have)
            return DRV_SNI_BAD;
        if (part)
            memcpy(message + have, drv_read_bytes(&records, part), part);
        have += part;
        if (have && message[0] != HANDSHAKE_CLIENT_HELLO)
            return DRV_SNI_BAD;
        if (have >= HANDSHAKE_HEADER_BYTES) {
            need = HANDSHAKE_HEADER_BYTES + ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
            if (need > sizeof message)
                return DRV_SNI_BAD;
        }
        if (part < whole && have < need)
            return size >= DRV_SNI_MOST_BYTES ? DRV_SNI_BAD : DRV_SNI_MORE;
    }
    if (have > need) /* nothing may follow the first ClientHello before it is answered */
        return DRV_SNI_BAD;
    hello = drv_reader_over(message + HANDSHAKE_HEADER_BYTES, need - HANDSHAKE_HEADER_BYTES);
    return read_hello(&hello, name) ? DRV_SNI_FOUND : DRV_SNI_BAD;
}
