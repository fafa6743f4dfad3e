/* SPDX-License-Identifier: Apache-2.0 */
/* DRV_SANITIZED: whether a sanitizer is built in, whose run-time does what a sandbox forbids. */
#pragma once

#if defined(__has_feature)
#define DRV_HAS_FEATURE(feature) __has_feature(feature)
#else
#define DRV_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || DRV_HAS_FEATURE(address_sanitizer)
#define DRV_ASAN 1
#else
#define DRV_ASAN 0
#endif

#if DRV_ASAN || defined(__SANITIZE_THREAD__) || DRV_HAS_FEATURE(thread_sanitizer)
#define DRV_SANITIZED 1
#else
#define DRV_SANITIZED 0
#endif
