/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbered records on a disk, so that a lost acknowledged write is seen. Record n (from 1)
 * is in slot (n - 1) mod slots; the slots are spread evenly over the whole disk. A record
 * is one block of 4096 bytes: magic, number, boot nonce, filling that follows from the number,
 * checksum.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { WITNESS_RECORD = 4096, WITNESS_MAX_SLOTS = 8192, WITNESS_CHUNK = 1 << 20 };

struct witness_disk {
    int fd; /* opened O_DIRECT where it can be; stays the caller's */
    uint64_t slots;
    uint64_t stride; /* bytes from a slot to the next */
    uint8_t *buffer; /* WITNESS_CHUNK bytes, aligned to WITNESS_RECORD; the caller's */
};

struct witness_scan {
    uint64_t highest; /* highest number found, or 0 */
    uint64_t oldest;  /* lowest number that must still be there, or 0 */
    uint64_t missing; /* numbers from oldest to highest that are not there */
    uint64_t damaged; /* blocks in slots that are neither empty nor a valid record */
};

/**
 * witness_disk_init() - lays the slots out over a disk of @size_bytes.
 * Return: 0, or -EINVAL if not even one record fits.
 */
int witness_disk_init(struct witness_disk *d, int fd, uint64_t size_bytes, uint8_t *buffer);

/** witness_disk_write() - writes record @number and waits until it is on the disk. 0 or -errno. */
int witness_disk_write(const struct witness_disk *d, uint64_t number, uint64_t nonce);

/**
 * witness_disk_scan() - reads every slot and says which records are there. 0 or -errno.
 * Do not write meanwhile.
 */
int witness_disk_scan(const struct witness_disk *d, struct witness_scan *scan);
