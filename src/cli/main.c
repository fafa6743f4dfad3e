/* SPDX-License-Identifier: Apache-2.0 */
/* drover's main: the process around one run. */
#include <locale.h>
#include <signal.h>

#include "base/secrets.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
    drv_no_dumps(); /* tokens and an operator's key */
    /* Only what decides how text is shown: numbers are written the same everywhere. */
    setlocale(LC_CTYPE, "");
    /* A reader that has gone away (| head) is an error of write(), not a death. */
    signal(SIGPIPE, SIG_IGN);
    return drv_cli_main(argc, argv, stdout, stderr, NULL);
}
