/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a progress line: see progress.h. Pure functions. */
#include "cli/progress.h"

#include <string.h>

#include "cli/show.h"
#include "cli/table.h"
#include "cli/units.h"

enum {
    BAR_LEAST = 8,
    BAR_MOST = 40,
    PHASE_WIDTH = 14, /* "copying memory" */
    RATE_WIDTH = 10,  /* "1023 KiB/s" */
    LEFT_WIDTH = 16,  /* "59 min 59 s left" */
};

static char *clean(json_object *object, const char *key)
{
    g_autofree char *text = drv_show_text(object, key);

    return drv_text_clean(text);
}

void drv_progress_read(drv_progress *progress, json_object *job)
{
    json_object *now = drv_json_object(job, "progress");
    guint64 percent;

    *progress = (drv_progress){.percent = -1};
    progress->vm = clean(job, "vm");
    progress->source = clean(job, "source");
    progress->target = clean(job, "target");
    if (drv_json_string(now, "phase", NULL) && *drv_json_string(now, "phase", NULL))
        progress->phase = clean(now, "phase");
    else
        progress->phase = g_strdelimit(clean(job, "state"), "-", ' ');
    if (drv_show_get_number(now, "percent", &percent))
        progress->percent = (int)MIN(percent, 100);
    progress->rate_known = drv_show_get_number(now, "rate_bps", &progress->rate_bps);
    /* 0 is what is said before the first round is over. */
    progress->dirty_known = drv_show_get_number(now, "dirty_rate_bps", &progress->dirty_bps) && progress->dirty_bps;
    progress->left_known = drv_show_get_number(now, "remaining_ms", &progress->left_ms);
}

void drv_progress_clear(drv_progress *progress)
{
    g_free(progress->vm);
    g_free(progress->source);
    g_free(progress->target);
    g_free(progress->phase);
    *progress = (drv_progress){.percent = -1};
}

/* From rich to poor; the first that fits is taken. */
static const struct {
    gboolean vm, nodes, bar, rate, dirty, left;
} layouts[] = {
    {1, 1, 1, 1, 1, 1}, {1, 0, 1, 1, 1, 1}, {1, 0, 1, 1, 0, 1}, {1, 0, 1, 0, 0, 1},
    {0, 0, 1, 0, 0, 1}, {0, 0, 1, 0, 0, 0}, {0, 0, 0, 0, 0, 0},
};

static void pad_to(GString *line, gsize from, int width)
{
    for (int have = drv_text_width(line->str + from); have < width; have++)
        g_string_append_c(line, ' ');
}

static char *title(const drv_progress *p, gboolean vm, gboolean nodes, gboolean utf8)
{
    g_autoptr(GString) text = g_string_new(NULL);
    gsize from;

    if (vm)
        g_string_append(text, p->vm);
    if (nodes)
        g_string_append_printf(text, " %s %s %s", p->source, utf8 ? "→" : "->", p->target);
    if (vm)
        g_string_append(text, ": ");
    from = text->len;
    g_string_append(text, p->phase);
    pad_to(text, from, PHASE_WIDTH);
    return g_strdup(text->str);
}

/* @width columns, frame included. */
static void append_bar(GString *line, int percent, int width, gboolean utf8)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int cells = width - 2;
    int filled = cells * 8 * MAX(percent, 0) / 100;
    int at = 0;

    g_string_append(line, utf8 ? "▕" : "[");
    for (; at < filled / 8; at++)
        g_string_append(line, utf8 ? "█" : "#");
    if (utf8 && filled % 8 && at < cells) {
        g_string_append(line, eighths[filled % 8]);
        at++;
    }
    for (; at < cells; at++)
        g_string_append_c(line, utf8 ? ' ' : '.');
    g_string_append(line, utf8 ? "▏" : "]");
}

/* An estimate has no tenths of a second. */
static char *whole_seconds(guint64 ms)
{
    if (ms < 59500)
        return g_strdup_printf("%" G_GUINT64_FORMAT " s", MAX((ms + 500) / 1000, 1));
    return drv_units_duration(ms);
}

/* What stands right of the bar. */
static char *figures(const drv_progress *p, gboolean with_rate, gboolean with_dirty, gboolean with_left)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *rate = drv_units_rate(p->rate_bps);
    g_autofree char *dirty = drv_units_rate(p->dirty_bps);
    g_autofree char *left = whole_seconds(p->left_ms);
    gsize from;

    if (p->percent >= 0)
        g_string_append_printf(text, " %3d %%", p->percent);
    else
        g_string_append(text, "      ");
    if (with_rate)
        g_string_append_printf(text, "  %*s", RATE_WIDTH, p->rate_known ? rate : "");
    if (with_dirty)
        g_string_append_printf(text, "  %s %*s", p->dirty_known ? "dirty" : "     ", RATE_WIDTH,
                               p->dirty_known ? dirty : "");
    if (with_left) {
        g_string_append(text, "  ");
        from = text->len;
        if (p->left_known)
            g_string_append_printf(text, "%s left", left);
        pad_to(text, from, LEFT_WIDTH);
    }
    return g_strdup(text->str);
}

/* The first @width columns of @line. */
static char *cut(const char *line, int width)
{
    g_autofree char *shorter = g_strdup(line);
    char *end = shorter + strlen(shorter);

    while (end > shorter && drv_text_width(shorter) > width) {
        end = g_utf8_find_prev_char(shorter, end);
        *end = '\0';
    }
    return g_steal_pointer(&shorter);
}

char *drv_progress_line(const drv_progress *p, int width, gboolean utf8)
{
    for (gsize i = 0;; i++) {
        g_autofree char *before = title(p, layouts[i].vm, layouts[i].nodes, utf8);
        g_autofree char *after = figures(p, layouts[i].rate, layouts[i].dirty, layouts[i].left);
        int room = width - drv_text_width(before) - drv_text_width(after) - 1;
        g_autoptr(GString) line = g_string_new(before);

        if (i + 1 < G_N_ELEMENTS(layouts) && room < BAR_LEAST)
            continue;
        if (layouts[i].bar) {
            g_string_append_c(line, ' ');
            append_bar(line, p->percent, MIN(room, BAR_MOST), utf8);
        }
        g_string_append(line, after);
        g_strchomp(line->str);
        return cut(line->str, width);
    }
}

char *drv_progress_plain(const drv_progress *p)
{
    g_autoptr(GString) line = g_string_new(NULL);

    g_string_append_printf(line, "%s %s -> %s: %s", p->vm, p->source, p->target, p->phase);
    if (p->percent >= 0)
        g_string_append_printf(line, ", %d %%", p->percent);
    if (p->rate_known && p->rate_bps) {
        g_autofree char *rate = drv_units_rate(p->rate_bps);

        g_string_append_printf(line, ", %s", rate);
    }
    if (p->dirty_known) {
        g_autofree char *dirty = drv_units_rate(p->dirty_bps);

        g_string_append_printf(line, ", dirty %s", dirty);
    }
    if (p->left_known) {
        g_autofree char *left = whole_seconds(p->left_ms);

        g_string_append_printf(line, ", %s left", left);
    }
    return g_strdup(line->str);
}
