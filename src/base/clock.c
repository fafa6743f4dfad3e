/* SPDX-License-Identifier: Apache-2.0 */
/* The clock: see clock.h. */
#include "base/clock.h"

#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t drv_clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t drv_clock_thread_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t drv_clock_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t drv_clock_real_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}
