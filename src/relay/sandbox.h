/* SPDX-License-Identifier: Apache-2.0 */
/* What a relay gives away before it looks at a byte from outside: all but its session's directory. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "relay/control/control.h"

struct drv_sandbox_identity {
    uid_t uid;
    gid_t gid;
};

/** drv_sandbox_identify() - look up who the relay shall be; both must exist and not be root. */
int drv_sandbox_identify(const char *user, const char *group, struct drv_sandbox_identity *identity,
                         struct drv_error *err);

/**
 * drv_sandbox_enter() - no way back: root directory = @directory, own empty network, this
 * user and group only, no new privileges, limits, a list of allowed system calls.
 * @cache_bytes: memory that it may need beyond what every relay does
 * @file_bytes:  how large the file of content may become that it writes, or 0
 * Threads that are made later inherit all of it; there must be none before.
 */
int drv_sandbox_enter(const char *directory, const struct drv_sandbox_identity *identity, enum drv_relay_role role,
                      uint64_t cache_bytes, uint64_t file_bytes, struct drv_error *err);
