/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/hyper and its tests: where the libvirtd of a URI listens. */
#pragma once

#include "hyper/hyper.h"
