/* SPDX-License-Identifier: Apache-2.0 */
/* A port for a test's node, known before it serves. */
#pragma once

#include <glib.h>

/**
 * test_free_port() - a port that was free a moment ago: identities have theirs before anybody serves.
 * Below those that the kernel gives to clients, which come and go in tests that run meanwhile.
 */
guint16 test_free_port(void);
