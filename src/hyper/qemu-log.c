/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a QEMU: see qemu-log.h. */
#include "hyper/qemu-log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOG_DIR "/var/log/libvirt/qemu"
#define TAIL_BYTES (32 << 10)
#define MOST_LINES 5
#define BEGINNING ": starting up libvirt version"

char *drv_qemu_log_clean(const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    GString *clean;

    if (!valid)
        return NULL;
    clean = g_string_new(NULL);
    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar one = g_utf8_get_char(at);

        if (clean->len + 4 > DRV_QEMU_WORDS_BYTES)
            break;
        g_string_append_unichar(clean, g_unichar_isprint(one) ? one : ' ');
    }
    g_strstrip(clean->str);
    return g_string_free(clean, *clean->str == '\0');
}

/* "2026-12-01 05:17:00.123+0000: starting up …", real time; 0: not known. */
static gint64 time_of(const char *line)
{
    g_autofree char *text = g_strndup(line, strcspn(line, "+"));
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) when = NULL;
    char *space = strchr(text, ' ');

    if (space)
        *space = 'T';
    when = g_date_time_new_from_iso8601(text, utc);
    return when ? g_date_time_to_unix(when) * 1000 : 0;
}

/* With -msg timestamp=on: "2026-12-01T05:17:00.123456Z qemu-system-x86_64: …" */
static const char *without_time(const char *line)
{
    const char *space = strchr(line, ' ');

    return space && space > line + 20 && space[-1] == 'Z' && line[10] == 'T' ? space + 1 : line;
}

static gboolean is_libvirts(const char *line)
{
    return g_regex_match_simple("^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d+\\+\\d{4}: ", line, 0, 0);
}

/* Said by every QEMU, or by one whose other end was gone first. */
static gboolean says_nothing(const char *line)
{
    static const char *const usual[] = {": warning: ", "char device redirected to ", ": terminating on signal ",
                                        "load of migration failed: Input/output error"};

    for (gsize i = 0; i < G_N_ELEMENTS(usual); i++)
        if (strstr(line, usual[i]))
            return TRUE;
    return FALSE;
}

/* A stream that ends early: whoever cut it knows why, and all that QEMU says of it follows from it. */
static gboolean is_cut(const char *line, gboolean *cut)
{
    if (strstr(line, "Unknown combination of migration flags: 0x0"))
        *cut = TRUE;
    return *cut && (strstr(line, "Unknown combination of migration flags") ||
                    strstr(line, "error while loading state") || strstr(line, "load of migration failed"));
}

/* Behind the command line, whose lines but the last one end in a backslash. */
static char **behind_command(char **lines)
{
    while (*lines && g_str_has_suffix(*lines, "\\"))
        lines++;
    return *lines ? lines + 1 : lines;
}

char *drv_qemu_log_words(const char *log, gint64 since_ms)
{
    g_auto(GStrv) lines = g_strsplit(log, "\n", -1);
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autofree char *joined = NULL;
    gboolean cut = FALSE;
    char **from = NULL;

    for (char **line = lines; *line; line++)
        if (strstr(*line, BEGINNING))
            from = line;
    /* A second is what the two clocks' readings may differ by. */
    if (!from || time_of(*from) < since_ms - 1000)
        return NULL;
    for (char **line = behind_command(from + 1); *line; line++)
        if (**line && !is_libvirts(*line) && !says_nothing(*line) && !is_cut(*line, &cut))
            g_ptr_array_add(words, (gpointer)without_time(*line));
    if (!words->len)
        return NULL;
    if (words->len > MOST_LINES)
        g_ptr_array_remove_range(words, 0, words->len - MOST_LINES);
    g_ptr_array_add(words, NULL);
    joined = g_strjoinv(" | ", (char **)words->pdata);
    return drv_qemu_log_clean(joined);
}

char *drv_qemu_log_read(const drv_vm_name *vm, gint64 since_ms)
{
    g_autofree char *path = g_strdup_printf(LOG_DIR "/%s.log", vm->text);
    g_autofree char *text = g_malloc(TAIL_BYTES + 1);
    drv_autoclose int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    ssize_t got;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    got = pread(fd, text, TAIL_BYTES, MAX(st.st_size - TAIL_BYTES, 0));
    if (got <= 0)
        return NULL;
    text[got] = '\0';
    return strlen(text) == (gsize)got ? drv_qemu_log_words(text, since_ms) : NULL;
}
