/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of real relays share: g_test fixtures around a pair, and libvirt's messages. */
#pragma once

#include <glib.h>

#include "pair.h"
#include "relay/rpc.h"

#define CHECK_MS 20000 /* how long a condition may take before a test gives up */

/** check_ok() - fail the test with the error's own words. */
#define check_ok(rc, err)                                                                                              \
    do {                                                                                                               \
        if ((rc) < 0)                                                                                                  \
            g_error("%s:%d: %s", __FILE__, __LINE__, (err).message);                                                   \
    } while (0)

/** check_add() - a test that needs relays: skipped with the reason where there can be none. */
void check_add(const char *path, void (*test)(void));

/** check_start() - a running pair; ends with check_stop(). */
struct pair *check_start(unsigned links);
void check_stop(struct pair *pair);

/** check_status() - the counters of one end now. */
struct drv_relay_status check_status(struct pair *pair, enum pair_end end);

/** check_until() - follow an end's events until @wanted says so. */
struct drv_relay_status check_until(struct pair *pair, enum pair_end end,
                                    bool (*wanted)(const struct drv_relay_status *));

bool check_is_up(const struct drv_relay_status *status);
bool check_is_over(const struct drv_relay_status *status);
bool check_has_finish(const struct drv_relay_status *status);
bool check_has_resumed(const struct drv_relay_status *status);

/** check_write(), check_read() - exactly @size bytes. */
void check_write(int fd, const void *bytes, size_t size);
void check_read(int fd, void *bytes, size_t size);

/** check_eof() - the other end is closed: nothing more comes, within CHECK_MS. */
void check_eof(int fd);

/** check_gone() - the same, whatever comes before. */
void check_gone(int fd);

/** check_silent() - nothing has come. */
void check_silent(int fd);

/** check_message() - a message of libvirt's RPC. */
GBytes *check_message(uint32_t program, uint32_t procedure, enum drv_rpc_type type, uint32_t serial, uint32_t status,
                      size_t body);

/** check_pass() - write a message at one end and read the same at the other. */
void check_pass(int from, int to, GBytes *message);
