/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key that only the running host has: 32 random bytes in the kernel's keyring of root, where
 * they survive droverd but not the host, and forget themselves when nobody asks for long.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pack/seal.h"

/**
 * drv_keyring_key() - find the key, or make it.
 * @name:  what it is called, e.g. "drover:content:4f…"
 * @key:   receives it, also when it could not be put into the keyring
 * @life_s: seconds until the kernel forgets it, from now on
 * @made:  receives whether it is new: what was sealed before cannot be opened
 * Return: 0; -errno: it is new and will be gone with this process; or -EIO: there is none.
 */
int drv_keyring_key(const char *name, unsigned life_s, struct drv_seal_key *key, bool *made, struct drv_error *err);

/** drv_keyring_forget() - remove the key; not an error when it is not there. */
void drv_keyring_forget(const char *name);
