/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on stderr, one line an event, with fields behind the message:
 * `2026-01-31T12:00:00.123Z notice droverd: move begins vm=web1 job=h1-7`.
 * With the journal on stderr (JOURNAL_STREAM) the time is left out and the level is
 * the kernel's `<N>` prefix. Programs log; libraries return errors.
 */
#pragma once

enum drv_log_level { DRV_LOG_ERROR, DRV_LOG_WARNING, DRV_LOG_NOTICE, DRV_LOG_DEBUG };

/** drv_log_init() - name the program; @most: what is finer than this is dropped. Before any thread starts. */
void drv_log_init(const char *program, enum drv_log_level most);

/** drv_log() - one line; newlines in the text become spaces. Any thread. */
void drv_log(enum drv_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define drv_log_error(...) drv_log(DRV_LOG_ERROR, __VA_ARGS__)
#define drv_log_warning(...) drv_log(DRV_LOG_WARNING, __VA_ARGS__)
#define drv_log_notice(...) drv_log(DRV_LOG_NOTICE, __VA_ARGS__)
#define drv_log_debug(...) drv_log(DRV_LOG_DEBUG, __VA_ARGS__)
