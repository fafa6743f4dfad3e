/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's tables, its manual pages and its completion say the same: each command
 * and option in all of them, and none in one that is not in the program.
 */
#include <string.h>

#include "script.h"

static char *read_source(const char *path)
{
    g_autofree char *full = g_build_filename(g_getenv("DROVER_SOURCE_ROOT"), path, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(full, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static char *page_of(const drv_command *c)
{
    g_autofree char *word = g_strdup(c->name);
    g_autofree char *path = NULL;

    word[strcspn(word, " ")] = '\0';
    path = g_strdup_printf("man/drover-%s.1", word);
    return read_source(path);
}

/* "--max-pause" as a manual page writes it: \-\-max\-pause. */
static char *in_roff(const char *option)
{
    g_auto(GStrv) parts = g_strsplit(option, "-", -1);
    g_autofree char *dashed = g_strjoinv("\\-", parts);

    return g_strconcat("\\-\\-", dashed, NULL);
}

/* TRUE if @page has a paragraph (.TP) about @option. */
static gboolean documents(const char *page, const drv_option *o)
{
    g_autofree char *roff = in_roff(o->name);
    g_autofree char *quoted = g_regex_escape_string(roff, -1);
    g_autofree char *letter = o->letter ? g_strdup_printf("\\.BR \\\\-%c \", \" ", o->letter) : g_strdup("\\.B[IR]? ");
    g_autofree char *pattern = g_strdup_printf("^\\.TP\\n%s%s%s$", letter, quoted, o->value ? " .*" : "");

    return g_regex_match_simple(pattern, page, G_REGEX_MULTILINE, 0);
}

/* How many options @page documents. */
static guint documented(const char *page)
{
    g_autoptr(GRegex) regex = g_regex_new("^\\.TP\\n\\.BR?I? .*\\\\-\\\\-", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    guint count = 0;

    for (g_regex_match(regex, page, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL))
        count++;
    return count;
}

static void check_option(const char *page, const char *name, const drv_option *o)
{
    if (!documents(page, o)) {
        g_test_message("the page of “%s” has no .TP paragraph about --%s", name, o->name);
        g_test_fail();
    }
}

static void test_manual(void)
{
    g_autofree char *overview = read_source("man/drover.1");
    guint globals = 0;

    for (const drv_option *o = drv_global_options; o->name; o++, globals++)
        check_option(overview, "drover", o);
    g_assert_cmpuint(documented(overview), ==, globals);
    for (const drv_command *c = drv_commands; c->name; c++) {
        g_autofree char *page = page_of(c);
        g_autofree char *usage = g_strdup_printf(".B drover %s", c->name);
        g_autofree char *entry = g_strdup_printf("drover %s", c->name);
        guint wanted = 0;

        g_test_message("drover %s", c->name);
        if (!strstr(page, usage) || !strstr(overview, entry)) {
            g_test_message("“%s” is missing from its own page or from drover.1", usage);
            g_test_fail();
        }
        for (const drv_option *o = c->options; o->name; o++)
            check_option(page, c->name, o);
        /* Pages of several commands: no option that none of them has. */
        for (const drv_command *other = drv_commands; other->name; other++) {
            gsize length = strcspn(c->name, " ");

            if (strcspn(other->name, " ") == length && !strncmp(other->name, c->name, length))
                for (const drv_option *o = other->options; o->name; o++)
                    wanted++;
        }
        g_assert_cmpuint(documented(page), ==, wanted);
    }
}

/* All exit codes are in drover(1) and in docs/cli.rst. */
static void test_exit_codes(void)
{
    static const int codes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 130};
    g_autofree char *page = read_source("man/drover.1");
    g_autofree char *docs = read_source("docs/cli.rst");

    for (gsize i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_autofree char *roff = g_strdup_printf("\n.TP\n.B %d\n", codes[i]);
        g_autofree char *rst = g_strdup_printf("\n   * - %d\n", codes[i]);

        g_assert_nonnull(strstr(page, roff));
        g_assert_nonnull(strstr(docs, rst));
    }
}

/* What bash would offer after @words, with the cursor on the last of them. Sorted. */
static GStrv complete(const char *const *words)
{
    g_autoptr(GString) text = g_string_new("source packaging/bash-completion/drover\n"
                                           "drover() { :; }\nCOMP_WORDS=(");
    g_autofree char *out = NULL;
    g_autoptr(GError) error = NULL;
    char *argv[] = {(char *)"bash", (char *)"--norc", (char *)"-c", NULL, NULL};
    guint count = g_strv_length((char **)words);
    int status = -1;

    for (guint i = 0; i < count; i++) {
        g_autofree char *quoted = g_shell_quote(words[i]);

        g_string_append_printf(text, "%s ", quoted);
    }
    g_string_append_printf(text, ")\nCOMP_CWORD=%u\n_drover\nprintf '%%s\\n' \"${COMPREPLY[@]}\" | sort", count - 1);
    argv[3] = text->str;
    g_spawn_sync(g_getenv("DROVER_SOURCE_ROOT"), argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    return g_strsplit(g_strchomp(out), "\n", -1);
}

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_completion(const char *const *words, GPtrArray *wanted)
{
    g_auto(GStrv) offered = complete(words);
    g_autofree char *have = g_strjoinv(" ", offered);
    g_autofree char *line = g_strjoinv(" ", (char **)words);
    g_autofree char *want = NULL;

    g_ptr_array_sort(wanted, by_text);
    for (guint i = wanted->len; i > 1; i--)
        if (g_str_equal(wanted->pdata[i - 1], wanted->pdata[i - 2]))
            g_ptr_array_remove_index(wanted, i - 1);
    g_ptr_array_add(wanted, NULL);
    want = g_strjoinv(" ", (char **)wanted->pdata);
    g_test_message("%s", line);
    g_assert_cmpstr(have, ==, want);
}

static void test_completion_of_options(void)
{
    for (const drv_command *c = drv_commands; c->name; c++) {
        g_auto(GStrv) name = g_strsplit(c->name, " ", 2);
        const char *words[] = {"drover", name[0], name[1] ? name[1] : "--", name[1] ? "--" : NULL, NULL};
        g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(g_free);

        for (const drv_option *o = c->options; o->name; o++)
            g_ptr_array_add(wanted, g_strconcat("--", o->name, NULL));
        for (const drv_option *o = drv_global_options; o->name; o++)
            g_ptr_array_add(wanted, g_strconcat("--", o->name, NULL));
        check_completion(words, wanted);
    }
}

static void test_completion_of_commands(void)
{
    static const char *const groups[] = {NULL, "token", "node", "vm", "policy", "plan"};

    for (gsize i = 0; i < G_N_ELEMENTS(groups); i++) {
        const char *words[] = {"drover", groups[i] ? groups[i] : "", groups[i] ? "" : NULL, NULL};
        g_autofree char *prefix = groups[i] ? g_strconcat(groups[i], " ", NULL) : g_strdup("");
        g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(g_free);

        for (const drv_command *c = drv_commands; c->name; c++)
            if (g_str_has_prefix(c->name, prefix)) {
                const char *rest = c->name + strlen(prefix);

                g_ptr_array_add(wanted, g_strndup(rest, strcspn(rest, " ")));
            }
        check_completion(words, wanted);
    }
}

/* Every option that takes a value is skipped together with it. */
static void test_completion_skips_values(void)
{
    for (const drv_command *c = drv_commands; c->name; c++)
        for (const drv_option *o = c->options; o->name; o++) {
            g_autofree char *option = g_strconcat("--", o->name, NULL);
            /* "drover --OPTION migrate <TAB>": the value is no command. */
            const char *words[] = {"drover", option, "migrate", "ini", NULL};
            g_auto(GStrv) offered = NULL;

            if (!o->value)
                continue;
            offered = complete(words);
            g_test_message("%s", option);
            g_assert_cmpstr(offered[0], ==, "init");
        }
}

/* --help of every command has its options, examples, and ends well. */
static void test_help(void)
{
    for (const drv_command *c = drv_commands; c->name; c++) {
        g_autofree char *line = g_strconcat(c->name, " --help", NULL);
        outcome o = script_run(NULL, NULL, line);

        g_test_message("%s", line);
        g_assert_cmpint(o.code, ==, 0);
        g_assert_nonnull(strstr(o.out, "\nExamples:\n"));
        for (const drv_option *option = c->options; option->name; option++)
            g_assert_nonnull(strstr(o.out, option->name));
        for (const drv_option *option = drv_global_options; option->name; option++)
            g_assert_nonnull(strstr(o.out, option->name));
        for (const char *at = o.out; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
            g_autofree char *one = g_strndup(at, strcspn(at, "\n"));

            if (g_utf8_strlen(one, -1) > 84)
                g_test_message("long: %s", one);
            g_assert_cmpint(g_utf8_strlen(one, -1), <=, 84);
        }
        g_assert_cmpstr(o.err, ==, "");
        outcome_clear(&o);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/agree/manual", test_manual);
    g_test_add_func("/cli/agree/exit-codes", test_exit_codes);
    g_test_add_func("/cli/agree/completion-options", test_completion_of_options);
    g_test_add_func("/cli/agree/completion-commands", test_completion_of_commands);
    g_test_add_func("/cli/agree/completion-values", test_completion_skips_values);
    g_test_add_func("/cli/agree/help", test_help);
    return g_test_run();
}
