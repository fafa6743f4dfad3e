/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page as what differs from another page: for each run of different bytes the number of equal
 * ones before it, its own length, and its new bytes. Lengths are varints (record.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * drv_delta_encode() - what makes @page out of @base, both of DRV_PAGE_SIZE.
 * @most: room at @out
 * Return: its length, at least 1; 0 when it does not fit or the pages are equal.
 */
size_t drv_delta_encode(uint8_t *out, size_t most, const uint8_t *page, const uint8_t *base);

/**
 * drv_delta_decode() - @page, of DRV_PAGE_SIZE, holds the base and becomes the page.
 * Return: 0; -1 when the delta makes no sense (the page is then anything).
 */
int drv_delta_decode(uint8_t *page, const uint8_t *delta, size_t size);
