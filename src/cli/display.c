/* SPDX-License-Identifier: Apache-2.0 */
/* The line that lives, and the plain lines where there is no terminal: see progress.h. */
#include "cli/display.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/progress.h"
#include "cli/table.h"

/* Not on a terminal, a phase that lasts says so this often. */
#define PLAIN_EVERY_MS 5000

/* Cursor invisible, visible; start of line and clear it. */
#define HIDE "\033[?25l"
#define SHOW "\033[?25h"
#define WIPE "\r\033[K"

struct drv_display {
    FILE *out;
    drv_display_mode mode;
    gboolean utf8;
    int (*width)(FILE *out);
    gint64 (*now_ms)(void);
    drv_progress progress; /* what is to be seen */
    gboolean any;          /* there is something to be seen */
    int best;              /* the furthest that the bar has been */
    char *drawn;           /* the line on the terminal, NULL: none */
    char *phase;           /* of the last plain line */
    gint64 plain_ms;       /* when it was */
};

static int terminal_width(FILE *out)
{
    struct winsize size;

    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

drv_display_mode drv_display_mode_for(FILE *out)
{
    const char *term = g_getenv("TERM");

    return isatty(fileno(out)) && term && *term && !g_str_equal(term, "dumb") ? DRV_DISPLAY_LIVE : DRV_DISPLAY_PLAIN;
}

drv_display *drv_display_new(FILE *out, drv_display_mode mode, gboolean utf8, int (*width)(FILE *),
                             gint64 (*now_ms)(void))
{
    drv_display *display = g_new0(drv_display, 1);

    display->out = out;
    display->mode = mode;
    display->utf8 = utf8;
    display->width = width ? width : terminal_width;
    display->now_ms = now_ms ? now_ms : drv_clock_ms;
    display->best = -1;
    return display;
}

void drv_display_suspend(drv_display *display)
{
    if (!display->drawn)
        return;
    fputs(WIPE SHOW, display->out);
    fflush(display->out);
    g_clear_pointer(&display->drawn, g_free);
}

void drv_display_free(drv_display *display)
{
    if (!display)
        return;
    drv_display_suspend(display);
    drv_progress_clear(&display->progress);
    g_free(display->phase);
    g_free(display);
}

void drv_display_redraw(drv_display *display)
{
    g_autofree char *line = NULL;

    if (display->mode != DRV_DISPLAY_LIVE || !display->any)
        return;
    /* The last column stays free: many terminals wrap when it is written. */
    line = drv_progress_line(&display->progress, MAX(display->width(display->out) - 1, 1), display->utf8);
    if (display->drawn && g_str_equal(line, display->drawn))
        return;
    fprintf(display->out, "%s%s%s", display->drawn ? "" : HIDE, WIPE, line);
    fflush(display->out);
    g_free(display->drawn);
    display->drawn = g_steal_pointer(&line);
}

static void plain(drv_display *display)
{
    gint64 now = display->now_ms();
    g_autofree char *line = NULL;

    if (display->phase && g_str_equal(display->phase, display->progress.phase) &&
        now - display->plain_ms < PLAIN_EVERY_MS)
        return;
    g_free(display->phase);
    display->phase = g_strdup(display->progress.phase);
    display->plain_ms = now;
    line = drv_progress_plain(&display->progress);
    fprintf(display->out, "%s\n", line);
    fflush(display->out);
}

void drv_display_job(drv_display *display, json_object *job)
{
    drv_progress_clear(&display->progress);
    drv_progress_read(&display->progress, job);
    display->best = MAX(display->best, display->progress.percent);
    display->progress.percent = display->best;
    display->any = TRUE;
    if (display->mode == DRV_DISPLAY_PLAIN)
        plain(display);
    else
        drv_display_redraw(display);
}

void drv_display_message(drv_display *display, const char *fmt, ...)
{
    va_list ap;
    g_autofree char *text = NULL;
    g_autofree char *safe = NULL;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    safe = drv_text_clean(text);
    drv_display_suspend(display);
    fprintf(display->out, "drover: %s\n", safe);
    fflush(display->out);
    drv_display_redraw(display);
}
