/* SPDX-License-Identifier: Apache-2.0 */
/* The server name out of the first bytes of a TLS connection, without taking them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DRV_SNI_MOST_BYTES 16384 /* of a ClientHello with its record headers */
#define DRV_SNI_NAME_MOST 255

enum drv_sni_result {
    DRV_SNI_MORE,  /* what is there is a good beginning: more bytes are needed */
    DRV_SNI_FOUND, /* the ClientHello is whole; the name may be empty (there is none) */
    DRV_SNI_BAD,   /* not a ClientHello, or one that nobody sends */
};

/**
 * drv_sni_parse() - look at the first @size bytes of a connection.
 * @name: receives the name in lower case, or "", when the result is DRV_SNI_FOUND
 * Never reads past @size, never allocates. Any thread.
 */
enum drv_sni_result drv_sni_parse(const uint8_t *bytes, size_t size, char name[DRV_SNI_NAME_MOST + 1]);
