/* SPDX-License-Identifier: Apache-2.0 */
/* The progress of a move: never wider than the terminal, never back, redrawn on change only. */
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

#include "cli/display.h"
#include "cli/table.h"
#include "script.h"

#define JOB(percent, phase, rate)                                                                                      \
    "{'vm':'web1','source':'h1','target':'h2','state':'copying-memory','progress':{'phase':"                           \
    "'" phase "','percent':" #percent ",'rate_bps':" #rate ",'dirty_rate_bps':8388608,'remaining_ms':3200}}"

static int columns = 100;
static gint64 clock_ms;

static int fixed_width(FILE *out)
{
    return columns;
}

static gint64 fixed_clock(void)
{
    return clock_ms;
}

typedef struct {
    FILE *out;
    char *text;
    size_t size;
    drv_display *display;
} screen;

static void screen_open(screen *s, drv_display_mode mode)
{
    *s = (screen){0};
    s->out = open_memstream(&s->text, &s->size);
    s->display = drv_display_new(s->out, mode, TRUE, fixed_width, fixed_clock);
}

static void screen_show(screen *s, const char *text)
{
    json_object *job = script_json(text);

    drv_display_job(s->display, job);
    json_object_put(job);
    fflush(s->out);
}

static void screen_close(screen *s)
{
    g_clear_pointer(&s->display, drv_display_free);
    fclose(s->out);
}

static void test_width(void)
{
    static const char *const jobs[] = {JOB(42, "copying memory", 117440512), "{}", "[]",
                                       "{'vm':7,'progress':{'percent':'x','rate_bps':-1}}",
                                       "{'vm':'漢字漢字漢字漢字','progress':{'percent':400}}"};

    for (gsize i = 0; i < G_N_ELEMENTS(jobs); i++) {
        json_object *job = script_json(jobs[i]);
        drv_progress progress;

        drv_progress_read(&progress, job);
        g_assert_cmpint(progress.percent, <=, 100);
        for (int width = 1; width < 200; width++)
            for (int utf8 = 0; utf8 < 2; utf8++) {
                g_autofree char *line = drv_progress_line(&progress, width, utf8);

                g_assert_true(g_utf8_validate(line, -1, NULL));
                g_assert_cmpint(drv_text_width(line), <=, width);
                /* What was asked for in ASCII is, but for the VM's own name. */
                g_assert_true(utf8 || i == 4 || g_str_is_ascii(line));
            }
        drv_progress_clear(&progress);
        json_object_put(job);
    }
}

static void test_what_is_shown(void)
{
    static const int widths[] = {120, 79, 36, 20};
    json_object *job = script_json(JOB(42, "copying memory", 117440512));
    drv_progress progress;

    drv_progress_read(&progress, job);
    for (gsize i = 0; i < G_N_ELEMENTS(widths); i++) {
        g_autofree char *line = drv_progress_line(&progress, widths[i], FALSE);

        g_test_message("%d: %s", widths[i], line);
        g_assert_nonnull(strstr(line, "copying memory"));
        g_assert_nonnull(strstr(line, "42 %"));
        g_assert_true((widths[i] >= 79) == (strstr(line, "3 s left") != NULL));
        g_assert_true((widths[i] >= 120) == (strstr(line, "h1 -> h2") != NULL));
        g_assert_true((widths[i] >= 36) == (strchr(line, '[') != NULL));
    }
    drv_progress_clear(&progress);
    json_object_put(job);
}

static int filled(const char *line)
{
    int count = 0;

    while ((line = strstr(line, "█"))) {
        count++;
        line += strlen("█");
    }
    return count;
}

static void test_never_back(void)
{
    static const char *const jobs[] = {JOB(50, "copying memory", 5), JOB(20, "copying memory", 6),
                                       JOB(50, "copying memory", 7), JOB(49, "switching", 8)};
    screen s;
    int before = -1;
    gsize from = 0;

    screen_open(&s, DRV_DISPLAY_LIVE);
    for (gsize i = 0; i < G_N_ELEMENTS(jobs); i++) {
        screen_show(&s, jobs[i]);
        g_assert_cmpint(filled(s.text + from), >=, before);
        g_assert_nonnull(strstr(s.text + from, " 50 %"));
        before = filled(s.text + from);
        from = s.size;
    }
    screen_close(&s);
    free(s.text);
}

static void test_live(void)
{
    screen s;
    gsize before;

    screen_open(&s, DRV_DISPLAY_LIVE);
    screen_show(&s, JOB(10, "copying memory", 5));
    g_assert_nonnull(strstr(s.text, "\033[?25l"));
    before = s.size;
    screen_show(&s, JOB(10, "copying memory", 5));
    g_assert_cmpuint(s.size, ==, before); /* nothing new: nothing drawn */
    columns = 40;
    drv_display_redraw(s.display);
    fflush(s.out);
    g_assert_cmpuint(s.size, >, before);
    columns = 100;
    before = s.size;
    drv_display_message(s.display, "hello \033[2J there");
    fflush(s.out);
    g_assert_nonnull(strstr(s.text + before, "drover: hello ?[2J there\n"));
    g_assert_nonnull(strstr(strstr(s.text + before, "hello"), "copying")); /* drawn again below */
    screen_close(&s);
    /* The line is gone and the cursor is back. */
    g_assert_true(g_str_has_suffix(s.text, "\r\033[K\033[?25h"));
    free(s.text);
}

static guint lines_in(const char *text)
{
    guint count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void test_plain(void)
{
    screen s;

    clock_ms = 1000000;
    screen_open(&s, DRV_DISPLAY_PLAIN);
    screen_show(&s, JOB(10, "copying memory", 117440512));
    g_assert_cmpstr(s.text, ==, "web1 h1 -> h2: copying memory, 10 %, 112 MiB/s, dirty 8.0 MiB/s, 3 s left\n");
    clock_ms += 1000;
    screen_show(&s, JOB(20, "copying memory", 6)); /* too soon */
    g_assert_cmpuint(lines_in(s.text), ==, 1);
    clock_ms += 4000;
    screen_show(&s, JOB(30, "copying memory", 6));
    g_assert_cmpuint(lines_in(s.text), ==, 2);
    screen_show(&s, JOB(31, "switching", 6)); /* a phase is always said */
    g_assert_cmpuint(lines_in(s.text), ==, 3);
    screen_close(&s);
    g_assert_null(strchr(s.text, '\033'));
    free(s.text);
}

static void test_quiet(void)
{
    screen s;

    screen_open(&s, DRV_DISPLAY_QUIET);
    screen_show(&s, JOB(10, "copying memory", 5));
    screen_close(&s);
    g_assert_cmpuint(s.size, ==, 0);
    free(s.text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/progress/width", test_width);
    g_test_add_func("/cli/progress/shown", test_what_is_shown);
    g_test_add_func("/cli/progress/never-back", test_never_back);
    g_test_add_func("/cli/progress/live", test_live);
    g_test_add_func("/cli/progress/plain", test_plain);
    g_test_add_func("/cli/progress/quiet", test_quiet);
    return g_test_run();
}
