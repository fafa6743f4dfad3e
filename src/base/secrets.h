/* SPDX-License-Identifier: Apache-2.0 */
/* What holds keys leaves no image of its memory anywhere. */
#pragma once

/**
 * drv_no_dumps() - this process never leaves a core dump, also not to a program that core_pattern names, and nobody but root
 * may look into it; what it starts inherits the limit. For programs that hold keys or tokens; at the very
 * beginning, before there are threads. A kernel that refuses is not known.
 */
void drv_no_dumps(void);
