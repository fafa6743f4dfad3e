/* SPDX-License-Identifier: Apache-2.0 */
/* How content is sealed: see seal.h. */
#include "pack/seal.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"

#define NONCE_BYTES 12u

/* What a nonce is for: the first byte of it. */
enum { OF_SEGMENT = 1, OF_MANIFEST = 2 };

static int failed(struct drv_error *err, const char *what, int rc)
{
    return drv_error_set(err, EIO, "cannot %s: %s", what, gnutls_strerror(rc));
}

int drv_seal_pack_key(struct drv_seal_key *key, const struct drv_seal_key *host, const char *owner,
                      const uint8_t id[DRV_SESSION_ID_SIZE], struct drv_error *err)
{
    char text[64 + sizeof((struct drv_pack_head *)0)->owner];
    /* The owner's length before its name: no two owners and ids can be read as the same text. */
    int length = snprintf(text, sizeof text - DRV_SESSION_ID_SIZE, "drover content 1 %zu %s ", strlen(owner), owner);
    int rc;

    if (length < 0 || (size_t)length >= sizeof text - DRV_SESSION_ID_SIZE)
        return drv_error_set(err, EINVAL, "the owner's name is too long");
    memcpy(text + length, id, DRV_SESSION_ID_SIZE);
    rc = gnutls_hmac_fast(GNUTLS_MAC_SHA256, host->bytes, sizeof host->bytes, text,
                          (size_t)length + DRV_SESSION_ID_SIZE, key->bytes);
    return rc ? failed(err, "derive a key for content", rc) : 0;
}

int drv_seal_digest(uint8_t digest[DRV_DIGEST_BYTES], const void *bytes, size_t size, struct drv_error *err)
{
    int rc = gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes, size, digest);

    return rc ? failed(err, "digest content", rc) : 0;
}

static int begin(gnutls_aead_cipher_hd_t *cipher, const struct drv_seal_key *key, struct drv_error *err)
{
    gnutls_datum_t datum = {.data = (unsigned char *)(size_t)key->bytes, .size = sizeof key->bytes};
    int rc = gnutls_aead_cipher_init(cipher, GNUTLS_CIPHER_AES_256_GCM, &datum);

    return rc ? failed(err, "begin to seal content", rc) : 0;
}

static void make_nonce(uint8_t nonce[NONCE_BYTES], uint8_t of, unsigned index)
{
    struct drv_writer writer = drv_writer_over(nonce, NONCE_BYTES);

    memset(nonce, 0, NONCE_BYTES);
    drv_write_u8(&writer, of);
    drv_write_u32(&writer, index);
}

/* A segment is what its slot, its digest and its number of pages say. */
static void bind_segment(uint8_t out[DRV_DIGEST_BYTES + 6], unsigned index, const struct drv_pack_segment *segment)
{
    struct drv_writer writer = drv_writer_over(out, DRV_DIGEST_BYTES + 6);

    drv_write_u32(&writer, index);
    drv_write_u16(&writer, segment->pages);
    drv_write_bytes(&writer, segment->digest, DRV_DIGEST_BYTES);
}

/* Encrypts, or decrypts and checks, in place. */
static int apply(const struct drv_seal_key *key, bool seal, const uint8_t nonce[NONCE_BYTES], const giovec_t *bound,
                 giovec_t *data, int count, uint8_t *tag, struct drv_error *err)
{
    gnutls_aead_cipher_hd_t cipher;
    size_t tag_size = DRV_SEAL_TAG_BYTES;
    int rc = begin(&cipher, key, err);

    if (rc)
        return rc;
    rc = seal ? gnutls_aead_cipher_encryptv2(cipher, nonce, NONCE_BYTES, bound, 1, data, count, tag, &tag_size)
              : gnutls_aead_cipher_decryptv2(cipher, nonce, NONCE_BYTES, bound, 1, data, count, tag, tag_size);
    gnutls_aead_cipher_deinit(cipher);
    if (!rc)
        return 0;
    return seal ? failed(err, "seal content", rc)
                : drv_error_set(err, EBADMSG, "it is damaged, or sealed with another key");
}

static int apply_segment(const struct drv_seal_key *key, bool seal, unsigned index,
                         const struct drv_pack_segment *segment, uint8_t *pages, uint8_t *addresses, uint8_t *tag,
                         struct drv_error *err)
{
    uint8_t nonce[NONCE_BYTES], bound[DRV_DIGEST_BYTES + 6];
    const giovec_t with = {.iov_base = bound, .iov_len = sizeof bound};
    giovec_t data[2] = {{pages, (size_t)segment->pages * DRV_CONTENT_PAGE}, {addresses, (size_t)segment->pages * 8}};

    make_nonce(nonce, OF_SEGMENT, index);
    bind_segment(bound, index, segment);
    return apply(key, seal, nonce, &with, data, 2, tag, err);
}

int drv_seal_segment(const struct drv_seal_key *key, unsigned index, const struct drv_pack_segment *segment,
                     uint8_t *pages, uint8_t *addresses, uint8_t tag[DRV_SEAL_TAG_BYTES], struct drv_error *err)
{
    return apply_segment(key, true, index, segment, pages, addresses, tag, err);
}

int drv_open_segment(const struct drv_seal_key *key, unsigned index, const struct drv_pack_segment *segment,
                     uint8_t *pages, uint8_t *addresses, const uint8_t tag[DRV_SEAL_TAG_BYTES], struct drv_error *err)
{
    uint8_t copy[DRV_SEAL_TAG_BYTES];

    memcpy(copy, tag, sizeof copy);
    return apply_segment(key, false, index, segment, pages, addresses, copy, err);
}

static int apply_manifest(const struct drv_seal_key *key, bool seal, const uint8_t *head, uint8_t *bytes, size_t size,
                          uint8_t *tag, struct drv_error *err)
{
    uint8_t nonce[NONCE_BYTES];
    const giovec_t with = {.iov_base = (void *)(size_t)head, .iov_len = DRV_PACK_HEAD_BYTES};
    giovec_t data = {bytes, size};

    make_nonce(nonce, OF_MANIFEST, 0);
    return apply(key, seal, nonce, &with, &data, 1, tag, err);
}

int drv_seal_manifest(const struct drv_seal_key *key, const uint8_t head[DRV_PACK_HEAD_BYTES], uint8_t *bytes,
                      size_t size, struct drv_error *err)
{
    return apply_manifest(key, true, head, bytes, size, bytes + size, err);
}

int drv_open_manifest(const struct drv_seal_key *key, const uint8_t head[DRV_PACK_HEAD_BYTES], uint8_t *bytes,
                      size_t size, struct drv_error *err)
{
    if (size < DRV_SEAL_TAG_BYTES)
        return drv_error_set(err, EBADMSG, "its manifest is too short");
    size -= DRV_SEAL_TAG_BYTES;
    return apply_manifest(key, false, head, bytes, size, bytes + size, err);
}
