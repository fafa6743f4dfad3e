/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the data plane: a fixed-size value, so that reporting a failure can
 * itself never fail. From src/hyper down GError is used; src/hyper/gerror.h converts.
 *
 * Contract: a function that takes a `struct drv_error *` returns 0 (or a value
 * that is not negative) on success and leaves it untouched; on failure it
 * returns -errno and has set it. It may be NULL. Nobody logs and returns.
 */
#pragma once

struct drv_error {
    int code;          /* a positive errno */
    char message[512]; /* what failed, on what, why, and what to do */
};

/**
 * drv_error_set() - describe a failure.
 * @err:  receives the code and the message; may be NULL
 * @code: a positive errno
 * @fmt:  printf format; a message that is too long is cut
 *
 * Return: -@code, so that a caller can write `return drv_error_set(...)`.
 */
int drv_error_set(struct drv_error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * drv_error_prefix() - put "context: " in front of a message already set.
 * @err: may be NULL
 */
void drv_error_prefix(struct drv_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
