/* SPDX-License-Identifier: Apache-2.0 */
/* The clock: monotonic for durations, real time for what people read. */
#pragma once

#include <stdint.h>

/** drv_clock_us() - microseconds of CLOCK_MONOTONIC. Any thread. */
int64_t drv_clock_us(void);

/** drv_clock_thread_us() - microseconds of processor time that the calling thread has had. */
int64_t drv_clock_thread_us(void);

/** drv_clock_ms() - milliseconds of CLOCK_MONOTONIC. Any thread. */
int64_t drv_clock_ms(void);

/** drv_clock_real_ms() - milliseconds since 1970, UTC. Any thread. */
int64_t drv_clock_real_ms(void);
