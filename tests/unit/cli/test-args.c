/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of the command line: orders, abbreviations, and what mistakes are told. */
#include "cli/args.h"

#include <string.h>

#include "hyper/gerror.h"

static drv_args *parse(const char *line, GError **error)
{
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);

    return drv_args_parse((int)g_strv_length(argv), argv, error);
}

static void test_good(void)
{
    static const struct {
        const char *line, *command, *operand;
    } lines[] = {
        {"drover migrate web1 n2", "migrate", "web1"},
        {"drover --json migrate --max-pause 200ms web1", "migrate", "web1"},
        {"drover mig web1", "migrate", "web1"},
        {"drover vm list", "vm list", NULL},
        {"drover n li", "node list", NULL},
        {"drover --json node --server h:1 list", "node list", NULL},
        {"drover job h1-7", "job", "h1-7"},
        {"drover job pause op-3", "job pause", "op-3"},
        {"drover pause op-3", "pause", "op-3"},
        {"drover resume op-3", "resume", "op-3"},
        {"drover job -- pause", "job", "pause"},
        {"drover jobs", "jobs", NULL},
        {"drover migrate -- --odd", "migrate", "--odd"},
        {"drover migrate -", "migrate", "-"},
        {"drover migrate --help", "migrate", NULL},
        {"drover migrate -q web1", "migrate", "web1"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_args) args = parse(lines[i].line, &error);

        g_test_message("%s", lines[i].line);
        g_assert_no_error(error);
        g_assert_cmpstr(args->command->name, ==, lines[i].command);
        g_assert_cmpstr(drv_args_operand(args, 0), ==, lines[i].operand);
    }
}

static void test_values(void)
{
    g_autoptr(drv_args) args = parse("drover migrate --max-p=200ms web1 --bandwidth 500mbit --no-wait", NULL);

    g_assert_cmpuint(drv_args_number(args, "max-pause"), ==, 200);
    g_assert_cmpuint(drv_args_number(args, "bandwidth"), ==, 62500000);
    g_assert_true(drv_args_has(args, "no-wait"));
    g_assert_false(drv_args_has(args, "quiet"));
    g_assert_null(drv_args_text(args, "server"));
    g_assert_null(drv_args_operand(args, 1));
}

static void test_bad(void)
{
    static const struct {
        const char *line, *told;
    } lines[] = {
        {"drover migrat3 web1", "did you mean “migrate”"},
        {"drover migrtae web1", "did you mean “migrate”"},
        {"drover frobnicate", "“drover --help” lists them"},
        {"drover j", "could be any of: join, jobs, job"},
        {"drover vm lisp", "did you mean “list”"},
        {"drover token make", "“drover token --help” lists them"},
        {"drover migrate web1 --bandwith 1gbit", "did you mean “--bandwidth”"},
        {"drover migrate web1 --xyz", "“drover migrate --help” lists them"},
        {"drover migrate web1 --bandwidth", "--bandwidth needs a value"},
        {"drover migrate web1 --bandwidth=", "--bandwidth needs a value"},
        {"drover migrate web1 --bandwidth 12", "--bandwidth: “12” is not a rate"},
        {"drover migrate web1 --quiet=yes", "--quiet takes no value"},
        {"drover migrate web1 -x", "no option “-x”"},
        {"drover migrate", "something is missing: drover migrate [OPTION…] VM [NODE]"},
        {"drover migrate a b c", "“c” is one word too many"},
        {"drover init --port 0", "is not a port"},
        {"drover init --port 65536", "is not a port"},
        {"drover init --port 1x", "is not a port"},
        {"drover --ttl 5m token create", "no option “--ttl”"},
        {"drover migrate \xff", "not UTF-8"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_args) args = parse(lines[i].line, &error);

        g_test_message("%u", (unsigned)i);
        g_assert_null(args);
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
        if (!strstr(error->message, lines[i].told))
            g_error("“%s” does not say “%s”", error->message, lines[i].told);
    }
}

/* Whatever is cut off a command line, the parser answers, and says something when it refuses. */
static void test_any(void)
{
    static const char line[] = "drover --server=a migrate --max-pause 5s web1 -q -- x";

    for (gsize length = 6; length < sizeof(line); length++) {
        g_autofree char *part = g_strndup(line, length);
        g_autoptr(GError) error = NULL;
        g_autoptr(drv_args) args = parse(part, &error);

        g_assert_true(!args == !!error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/args/good", test_good);
    g_test_add_func("/cli/args/values", test_values);
    g_test_add_func("/cli/args/bad", test_bad);
    g_test_add_func("/cli/args/any", test_any);
    return g_test_run();
}
