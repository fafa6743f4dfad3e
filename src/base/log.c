/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Set once before any thread starts, read by all. */
static struct {
    const char *program;
    enum drv_log_level most;
    bool journal;
} settings = {.program = "drover", .most = DRV_LOG_NOTICE};

static const struct {
    const char *name;
    int syslog;
} levels[] = {
    [DRV_LOG_ERROR] = {"error", 3},
    [DRV_LOG_WARNING] = {"warning", 4},
    [DRV_LOG_NOTICE] = {"notice", 5},
    [DRV_LOG_DEBUG] = {"debug", 7},
};

void drv_log_init(const char *program, enum drv_log_level most)
{
    settings.program = program;
    settings.most = most;
    settings.journal = getenv("JOURNAL_STREAM") != NULL;
}

void drv_log(enum drv_log_level level, const char *fmt, ...)
{
    char line[2048];
    size_t used = 0;
    va_list args;
    int length;

    if (level > settings.most)
        return;
    if (settings.journal) {
        used = (size_t)snprintf(line, sizeof line, "<%d>", levels[level].syslog);
    } else {
        struct timespec now;
        struct tm parts;

        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &parts);
        used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &parts);
        used += (size_t)snprintf(line + used, sizeof line - used, ".%03ldZ %s %s: ", now.tv_nsec / 1000000,
                                 levels[level].name, settings.program);
    }
    va_start(args, fmt);
    length = vsnprintf(line + used, sizeof line - used - 1, fmt, args);
    va_end(args);
    if (length < 0)
        return;
    for (char *c = line + used; *c; c++) {
        if (*c == '\n' || *c == '\r')
            *c = ' ';
        used++;
    }
    line[used++] = '\n';
    /* One write, so that lines of several threads and processes do not mix. */
    if (write(STDERR_FILENO, line, used) < 0)
        return;
}
