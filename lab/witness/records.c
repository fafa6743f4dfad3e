/* SPDX-License-Identifier: Apache-2.0 */
/* The witness's records on its disk; see records.h. */
#include "records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read in the machine's own byte order: a disk stays with its guest. */
struct record {
    uint64_t magic, number, nonce;
    uint64_t filling[WITNESS_RECORD / 8 - 4];
    uint64_t checksum;
};
_Static_assert(sizeof(struct record) == WITNESS_RECORD, "a record is one block");

static const uint64_t MAGIC = 0x64726f7665723a31; /* "drover:1" */

static uint64_t checksum(const struct record *r)
{
    const uint64_t *word = (const uint64_t *)r;
    uint64_t sum = 0xcbf29ce484222325u;

    for (size_t i = 0; i < WITNESS_RECORD / 8 - 1; i++) {
        sum = (sum ^ word[i]) * 0x100000001b3u;
        sum ^= sum >> 29;
    }
    return sum;
}

static uint64_t filling(uint64_t number, size_t i)
{
    return (number * 0x9e3779b97f4a7c15u) ^ (i * 0xd1342543de82ef95u);
}

int witness_disk_init(struct witness_disk *d, int fd, uint64_t size_bytes, uint8_t *buffer)
{
    uint64_t blocks = size_bytes / WITNESS_RECORD;

    if (!blocks)
        return -EINVAL;
    d->fd = fd;
    d->buffer = buffer;
    d->slots = blocks < WITNESS_MAX_SLOTS ? blocks : WITNESS_MAX_SLOTS;
    d->stride = blocks / d->slots * WITNESS_RECORD;
    return 0;
}

static int transfer(bool writing, int fd, uint8_t *at, uint64_t length, uint64_t offset)
{
    while (length) {
        ssize_t n = writing ? pwrite(fd, at, length, (off_t)offset) : pread(fd, at, length, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        offset += (uint64_t)n;
        length -= (uint64_t)n;
    }
    return 0;
}

int witness_disk_write(const struct witness_disk *d, uint64_t number, uint64_t nonce)
{
    struct record *r = (struct record *)d->buffer;
    int rc;

    r->magic = MAGIC;
    r->number = number;
    r->nonce = nonce;
    for (size_t i = 0; i < sizeof(r->filling) / 8; i++)
        r->filling[i] = filling(number, i);
    r->checksum = checksum(r);
    rc = transfer(true, d->fd, d->buffer, WITNESS_RECORD, (number - 1) % d->slots * d->stride);
    if (rc < 0)
        return rc;
    return fdatasync(d->fd) < 0 ? -errno : 0;
}

/* The number of the record in this block; 0: empty; -1 (as unsigned): damaged. */
static uint64_t number_in(const uint8_t *block, uint64_t slot, uint64_t slots)
{
    const struct record *r = (const struct record *)block;

    if (r->magic == MAGIC && r->number && (r->number - 1) % slots == slot && r->checksum == checksum(r))
        return r->number;
    for (size_t i = 0; i < WITNESS_RECORD; i++)
        if (block[i])
            return UINT64_MAX;
    return 0;
}

int witness_disk_scan(const struct witness_disk *d, struct witness_scan *scan)
{
    uint64_t per_read = WITNESS_CHUNK / d->stride ? WITNESS_CHUNK / d->stride : 1;
    uint64_t *number = calloc(d->slots, sizeof(*number));
    int rc = 0;

    memset(scan, 0, sizeof(*scan));
    if (!number)
        return -ENOMEM;
    for (uint64_t slot = 0; slot < d->slots && rc == 0; slot += per_read) {
        uint64_t n = d->slots - slot < per_read ? d->slots - slot : per_read;

        rc = transfer(false, d->fd, d->buffer, (n - 1) * d->stride + WITNESS_RECORD, slot * d->stride);
        for (uint64_t i = 0; i < n && rc == 0; i++) {
            uint64_t found = number_in(d->buffer + i * d->stride, slot + i, d->slots);

            if (found == UINT64_MAX)
                scan->damaged++;
            else
                number[slot + i] = found;
            if (number[slot + i] > scan->highest)
                scan->highest = number[slot + i];
        }
    }
    /* The slot of the oldest one is the next to be written: a crash may have torn it. */
    if (scan->highest)
        scan->oldest = scan->highest >= d->slots ? scan->highest - d->slots + 2 : 1;
    for (uint64_t n = scan->oldest; n && n <= scan->highest; n++)
        scan->missing += number[(n - 1) % d->slots] != n;
    free(number);
    return rc;
}
