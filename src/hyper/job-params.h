/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/hyper and its tests: libvirt's job statistics as ours. A pure function. */
#pragma once

#include <libvirt/libvirt.h>

#include "hyper/hyper.h"
