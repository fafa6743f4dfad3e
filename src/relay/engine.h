/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a session that move bytes. */
#pragma once

#include "relay/session.h"

extern const struct drv_session_threads drv_engine;
