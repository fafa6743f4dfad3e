/* SPDX-License-Identifier: Apache-2.0 */
/* The entry point that libFuzzer, or replay.c, calls with each input. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
