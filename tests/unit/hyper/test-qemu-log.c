/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a QEMU, out of libvirt's log for its VM. */
#include <string.h>

#include "hyper/qemu-log.h"

#define BEGIN "2026-11-30 10:00:00.500+0000: starting up libvirt version: 9.0.0, qemu version: 7.2.19\n"
#define COMMAND                                                                                                        \
    "LC_ALL=C \\\nPATH=/usr/bin \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=web1 \\\n-msg timestamp=on\n"
#define USUAL                                                                                                          \
    "char device redirected to /dev/pts/3 (label charserial0)\n"                                                       \
    "2026-11-30T10:00:01.000001Z qemu-system-x86_64: warning: TCG doesn't support requested feature\n"                 \
    "2026-11-30 10:00:02.000+0000: Domain id=7 is tainted: custom-monitor\n"
#define ASSERTION "qemu-system-x86_64: ../../block/block-backend.c:1780: blk_drain: Assertion `0' failed.\n"
#define ENDING "2026-11-30 10:00:05.000+0000: shutting down, reason=crashed\n"

static gint64 begun_ms(void)
{
    g_autoptr(GDateTime) when = g_date_time_new_from_iso8601("2026-11-30T10:00:00.500Z", NULL);

    return g_date_time_to_unix(when) * 1000;
}

static void test_words(void)
{
    static const struct {
        const char *log, *words;
    } rows[] = {
        {BEGIN COMMAND USUAL ASSERTION ENDING,
         "qemu-system-x86_64: ../../block/block-backend.c:1780: blk_drain: Assertion `0' failed."},
        /* Its own time stamp is not needed; several lines are one. */
        {BEGIN COMMAND
         "2026-11-30T10:00:04.123456Z qemu-system-x86_64: Unknown ramblock \"x\"\n"
         "2026-11-30T10:00:04.123457Z qemu-system-x86_64: load of migration failed: Invalid argument\n" ENDING,
         "qemu-system-x86_64: Unknown ramblock \"x\" | qemu-system-x86_64: load of migration failed: Invalid "
         "argument"},
        /* Its stream was cut: that says nothing. */
        {BEGIN COMMAND USUAL "2026-11-30T10:00:04.1Z qemu-system-x86_64: Unknown combination of migration flags: 0x0\n"
                             "2026-11-30T10:00:04.1Z qemu-system-x86_64: error while loading state section id 3(ram)\n"
                             "2026-11-30T10:00:04.1Z qemu-system-x86_64: load of migration failed: Invalid argument\n",
         NULL},
        /* Only the last QEMU of this VM. */
        {BEGIN COMMAND ASSERTION ENDING BEGIN COMMAND USUAL ENDING, NULL},
        {BEGIN COMMAND USUAL
         "2026-11-30T10:00:04.1Z qemu-system-x86_64: terminating on signal 15 from pid 7\n"
         "2026-11-30T10:00:04.1Z qemu-system-x86_64: load of migration failed: Input/output error\n",
         NULL},
        {BEGIN COMMAND "1\n2\n3\n4\n5\n6\n7\n", "3 | 4 | 5 | 6 | 7"},
        /* Nothing that a terminal would obey, nothing that is no UTF-8. */
        {BEGIN COMMAND "a\x1b[31mb\tc\x07 \xff d\n", "a [31mb c  \xef\xbf\xbd d"},
        {BEGIN COMMAND, NULL},
        {BEGIN "A= \\", NULL},
        {ASSERTION, NULL},
        {"", NULL},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *words = drv_qemu_log_words(rows[i].log, begun_ms());

        g_test_message("row %zu", i);
        g_assert_cmpstr(words, ==, rows[i].words);
    }
}

/* A QEMU of before the session has nothing to do with it. */
static void test_earlier(void)
{
    g_autofree char *before = drv_qemu_log_words(BEGIN COMMAND ASSERTION ENDING, begun_ms() + 60000);
    g_autofree char *after = drv_qemu_log_words(BEGIN COMMAND ASSERTION ENDING, begun_ms() - 60000);
    g_autofree char *no_time =
        drv_qemu_log_words("yesterday: starting up libvirt version: 9\n" COMMAND ASSERTION, begun_ms());

    g_assert_null(before);
    g_assert_nonnull(after);
    g_assert_null(no_time);
}

static void test_bounds(void)
{
    g_autofree char *long_line = g_strnfill(100000, 'x');
    g_autofree char *log = g_strconcat(BEGIN COMMAND, long_line, "\n", NULL);
    g_autofree char *words = drv_qemu_log_words(log, begun_ms());
    g_autofree char *nothing = drv_qemu_log_clean(" \n\t");
    g_autofree char *none = drv_qemu_log_clean(NULL);
    drv_vm_name missing = {.text = "drover-no-such-vm"};

    g_assert_cmpuint(strlen(words), <=, DRV_QEMU_WORDS_BYTES);
    g_assert_cmpuint(strlen(words), >, DRV_QEMU_WORDS_BYTES - 8);
    g_assert_null(nothing);
    g_assert_null(none);
    g_assert_null(drv_qemu_log_read(&missing, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hyper/qemu-log/words", test_words);
    g_test_add_func("/hyper/qemu-log/earlier", test_earlier);
    g_test_add_func("/hyper/qemu-log/bounds", test_bounds);
    return g_test_run();
}
