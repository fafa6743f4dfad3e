/* SPDX-License-Identifier: Apache-2.0 */
/* No core dumps: see secrets.h. */
#include "base/secrets.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/sanitized.h"

void drv_no_dumps(void)
{
    const struct rlimit none = {0};

    (void)setrlimit(RLIMIT_CORE, &none);
    /* A core_pattern that is a pipe does not heed a limit of 0 in all kernels; this it does. */
    if (!DRV_SANITIZED) /* which looks into its own process for leaks */
        (void)prctl(PR_SET_DUMPABLE, 0);
}
