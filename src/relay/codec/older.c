/* SPDX-License-Identifier: Apache-2.0 */
/* What the target has of a disk in an older state: see older.h. */
#include "relay/codec/older.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#define NEAR 128u           /* blocks that are read at once, about */
#define PATIENCE_US 1000000 /* on a busy host a quarter of it is nothing */
#define LATE 256u           /* blocks that may still come from before a leap: requests are not quite in order */

struct drv_digester {
    gnutls_aead_cipher_hd_t cipher;
};

int drv_digester_new(drv_digester **result, const uint8_t key[DRV_OLDER_KEY], struct drv_error *err)
{
    drv_digester *digester = calloc(1, sizeof *digester);
    uint8_t bytes[DRV_OLDER_KEY];
    const gnutls_datum_t datum = {bytes, sizeof bytes};
    int rc;

    memcpy(bytes, key, sizeof bytes);
    rc = digester ? gnutls_aead_cipher_init(&digester->cipher, GNUTLS_CIPHER_AES_256_GCM, &datum) : -1;
    gnutls_memset(bytes, 0, sizeof bytes);
    if (rc) {
        free(digester);
        return drv_error_set(err, ENOMEM, "no memory for digests");
    }
    *result = digester;
    return 0;
}

void drv_digester_free(drv_digester *digester)
{
    if (!digester)
        return;
    gnutls_aead_cipher_deinit(digester->cipher);
    free(digester);
}

int drv_digester_block(drv_digester *digester, const uint8_t *block, uint8_t digest[DRV_OLDER_DIGEST])
{
    static const uint8_t nonce[12];
    size_t size = DRV_OLDER_DIGEST;

    /* Authenticated only: there is nothing to encrypt. */
    if (gnutls_aead_cipher_encrypt(digester->cipher, nonce, sizeof nonce, block, DRV_PAGE_SIZE, DRV_OLDER_DIGEST, NULL,
                                   0, digest, &size))
        return -EIO;
    return size == DRV_OLDER_DIGEST ? 0 : -EIO;
}

int drv_older_new(struct drv_older **result, const uint8_t key[DRV_OLDER_KEY], struct drv_error *err)
{
    struct drv_older *older = calloc(1, sizeof *older);

    if (older) {
        older->digest = malloc((size_t)DRV_OLDER_SLOTS * DRV_OLDER_DIGEST);
        older->number = malloc((size_t)DRV_OLDER_SLOTS * sizeof *older->number);
    }
    if (!older || !older->digest || !older->number || drv_digester_new(&older->digester, key, NULL)) {
        drv_older_free(older);
        return drv_error_set(err, ENOMEM, "no memory for digests of an older disk");
    }
    for (size_t i = 0; i < DRV_OLDER_SLOTS; i++)
        atomic_init(&older->number[i], UINT64_MAX);
    *result = older;
    return 0;
}

void drv_older_free(struct drv_older *older)
{
    if (!older)
        return;
    drv_digester_free(older->digester);
    free((void *)older->number);
    free(older->digest);
    free(older);
}

bool drv_older_has(struct drv_older *older, uint64_t address, const uint8_t *block)
{
    uint64_t number = address / DRV_PAGE_SIZE;
    size_t slot = (size_t)(number % DRV_OLDER_SLOTS);
    uint8_t digest[DRV_OLDER_DIGEST];

    return number >= older->low && atomic_load_explicit(&older->number[slot], memory_order_acquire) == number &&
           drv_digester_block(older->digester, block, digest) == 0 &&
           memcmp(digest, older->digest + slot * DRV_OLDER_DIGEST, DRV_OLDER_DIGEST) == 0;
}

bool drv_older_is_due(const struct drv_older *older)
{
    return older->from + DRV_OLDER_STEP <= older->until && older->questions < DRV_OLDER_QUESTIONS;
}

bool drv_older_move(struct drv_older *older, uint64_t address)
{
    uint64_t reached = address / DRV_PAGE_SIZE;
    uint64_t low = reached > DRV_OLDER_BEHIND ? reached - DRV_OLDER_BEHIND : 0;

    older->reached = reached;
    if (low > older->low)
        older->low = low;
    older->until = older->low + DRV_OLDER_SLOTS;
    /* It has leapt over what is a hole. */
    if (reached > older->from + LATE)
        older->from = reached - LATE;
    return drv_older_is_due(older);
}

bool drv_older_ask(struct drv_older *older, int64_t now_us, uint64_t *first)
{
    if (!drv_older_is_due(older))
        return false;
    /* How fast answers come is seen while they are waited for: a slow copy says nothing of it. */
    if (!older->asked_us)
        older->asked_us = now_us;
    else if (!older->questions)
        older->asked_us += now_us - older->idle_us;
    *first = older->from;
    older->from += DRV_OLDER_STEP;
    older->question[(older->oldest + older->questions++) % DRV_OLDER_QUESTIONS] = *first;
    return true;
}

bool drv_older_holds(const struct drv_older *older, uint64_t link_bps, int64_t now_us)
{
    uint64_t took_us = now_us > older->asked_us ? (uint64_t)(now_us - older->asked_us) : 1;

    if (older->impatient || !older->questions || older->question[older->oldest] >= older->reached + NEAR)
        return false;
    return !older->answered || !link_bps || older->answered * DRV_PAGE_SIZE * 1000000 / took_us >= link_bps;
}

bool drv_older_lose_patience(struct drv_older *older, int64_t now_us)
{
    if (!older->held_us || now_us - older->held_us < PATIENCE_US)
        return false;
    older->held_us = 0;
    older->impatient = true;
    return true;
}

int drv_older_answer(struct drv_older *older, uint64_t first, const uint8_t *digests, size_t size, int64_t now_us,
                     struct drv_error *err)
{
    size_t count = size / DRV_OLDER_DIGEST;

    if (!older->questions || older->question[older->oldest] != first || count > DRV_OLDER_STEP ||
        size % DRV_OLDER_DIGEST)
        return drv_error_set(err, EPROTO, "the other relay tells of an older disk what it was not asked");
    older->oldest = (older->oldest + 1) % DRV_OLDER_QUESTIONS;
    older->questions--;
    older->answered += DRV_OLDER_STEP;
    older->idle_us = now_us;
    older->held_us = 0;
    older->impatient = false;
    for (size_t i = 0; i < count; i++) {
        size_t slot = (size_t)((first + i) % DRV_OLDER_SLOTS);

        memcpy(older->digest + slot * DRV_OLDER_DIGEST, digests + i * DRV_OLDER_DIGEST, DRV_OLDER_DIGEST);
        atomic_store_explicit(&older->number[slot], first + i, memory_order_release);
    }
    return 0;
}
