/* SPDX-License-Identifier: Apache-2.0 */
/* The order of keys: as people count, digits in them being numbers. */
#include "store/order.h"

#include <string.h>

#include "store/ops.h"

/* Two runs of digits of any length, leading zeros aside. */
static int compare_numbers(const char *a, gsize a_digits, const char *b, gsize b_digits)
{
    while (a_digits > 0 && *a == '0')
        a++, a_digits--;
    while (b_digits > 0 && *b == '0')
        b++, b_digits--;
    if (a_digits != b_digits)
        return a_digits < b_digits ? -1 : 1;
    return memcmp(a, b, a_digits);
}

int drv_key_compare(const char *a, const char *b)
{
    const char *left = a, *right = b;

    while (*left && *right) {
        gsize left_digits = strspn(left, "0123456789");
        gsize right_digits = strspn(right, "0123456789");

        if (left_digits > 0 && right_digits > 0) {
            int order = compare_numbers(left, left_digits, right, right_digits);

            if (order != 0)
                return order;
            left += left_digits;
            right += right_digits;
        } else {
            if (*left != *right)
                return (guchar)*left < (guchar)*right ? -1 : 1;
            left++;
            right++;
        }
    }
    if (*left || *right)
        return *left ? 1 : -1;
    return strcmp(a, b); /* "h1-02" and "h1-2" are two keys: the order is total */
}
