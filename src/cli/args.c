/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of the command line: see args.h. */
#include "cli/args.h"

#include <string.h>

#include "cli/units.h"
#include "hyper/gerror.h"

typedef struct {
    char *text;
    guint64 number;
} value;

static void value_free(gpointer data)
{
    value *v = data;

    g_free(v->text);
    g_free(v);
}

/* Letters to insert, remove or change to make one of the other. */
static guint distance(const char *a, const char *b)
{
    gsize la = strlen(a), lb = strlen(b);
    g_autofree guint *row = g_new(guint, lb + 1);

    for (gsize j = 0; j <= lb; j++)
        row[j] = (guint)j;
    for (gsize i = 1; i <= la; i++) {
        guint diagonal = row[0];

        row[0] = (guint)i;
        for (gsize j = 1; j <= lb; j++) {
            guint changed = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = MIN(changed, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[lb];
}

/*
 * The one of @names that @word is, or is the unambiguous beginning of; else NULL and
 * a message that says what could have been meant. @what: "command", "option".
 */
static const char *choose(GPtrArray *names, const char *word, const char *what, const char *dashes, const char *hint,
                          GError **error)
{
    g_autoptr(GString) candidates = g_string_new(NULL);
    const char *found = NULL, *close = NULL;
    guint matches = 0, best = 3;

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        guint d = distance(word, name);

        if (d == 0)
            return name;
        if (*word && g_str_has_prefix(name, word)) {
            g_string_append_printf(candidates, "%s%s%s", matches++ ? ", " : "", dashes, name);
            found = name;
        }
        /* Nearer than that is a slip of the finger, further away another word. */
        if (d < best && d * 3 <= strlen(word) + 2) {
            best = d;
            close = name;
        }
    }
    if (matches == 1)
        return found;
    if (matches)
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "%s “%s%s” could be any of: %s", what, dashes, word,
                    candidates->str);
    else if (close)
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "there is no %s “%s%s”; did you mean “%s%s”?", what, dashes,
                    word, dashes, close);
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "there is no %s “%s%s”; %s", what, dashes, word, hint);
    return NULL;
}

static void add_once(GPtrArray *names, const char *name, gssize length)
{
    char *copy = length < 0 ? g_strdup(name) : g_strndup(name, (gsize)length);

    if (g_ptr_array_find_with_equal_func(names, copy, g_str_equal, NULL))
        g_free(copy);
    else
        g_ptr_array_add(names, copy);
}

/* One more word of the command's name. */
static gboolean take_word(drv_args *args, const char *word, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *what = args->group ? g_strdup_printf("“drover %s” command", args->group) : g_strdup("command");
    g_autofree char *prefix = args->group ? g_strconcat(args->group, " ", NULL) : g_strdup("");
    g_autofree char *hint = g_strdup_printf("“drover %s--help” lists them", prefix);
    g_autofree char *full = NULL;
    const char *name;

    for (const drv_command *c = drv_commands; c->name; c++)
        if (g_str_has_prefix(c->name, prefix)) {
            const char *rest = c->name + strlen(prefix);
            const char *space = strchr(rest, ' ');

            add_once(names, rest, space ? space - rest : -1);
        }
    name = choose(names, word, what, "", hint, error);
    if (!name)
        return FALSE;
    full = g_strconcat(prefix, name, NULL);
    g_clear_pointer(&args->group, g_free);
    for (const drv_command *c = drv_commands; c->name; c++)
        if (g_str_equal(c->name, full))
            args->command = c;
    if (!args->command)
        args->group = g_steal_pointer(&full);
    return TRUE;
}

/* "job pause": a command that is the first word of others as well. They are not shortened. */
static gboolean take_second_word(drv_args *args, const char *word)
{
    g_autofree char *full = g_strconcat(args->command->name, " ", word, NULL);

    for (const drv_command *c = drv_commands; !args->operands->len && c->name; c++)
        if (g_str_equal(c->name, full)) {
            args->command = c;
            return TRUE;
        }
    return FALSE;
}

/* The option tables that apply here, one behind the other. */
static const drv_option *find_option(const drv_args *args, const char *name, char letter)
{
    const drv_option *tables[] = {args->command ? args->command->options : NULL, drv_global_options};

    for (gsize t = 0; t < G_N_ELEMENTS(tables); t++)
        for (const drv_option *o = tables[t]; o && o->name; o++)
            if (name ? g_str_equal(o->name, name) : o->letter == letter)
                return o;
    return NULL;
}

static const drv_option *choose_option(const drv_args *args, const char *name, GError **error)
{
    const drv_option *tables[] = {args->command ? args->command->options : NULL, drv_global_options};
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *hint = g_strdup_printf("“drover %s%s--help” lists them", args->command ? args->command->name : "",
                                            args->command ? " " : "");
    const char *chosen;

    for (gsize t = 0; t < G_N_ELEMENTS(tables); t++)
        for (const drv_option *o = tables[t]; o && o->name; o++)
            add_once(names, o->name, -1);
    chosen = choose(names, name, "option", "--", hint, error);
    return chosen ? find_option(args, chosen, '\0') : NULL;
}

static gboolean set_option(drv_args *args, const drv_option *option, const char *text, GError **error)
{
    value *v = g_new0(value, 1);
    gboolean good = TRUE;

    if (option->type == DRV_OPTION_PAIR && drv_args_has(args, option->name))
        v->text = g_strconcat(drv_args_text(args, option->name), "\n", text, NULL);
    else
        v->text = g_strdup(text);
    g_hash_table_replace(args->values, (gpointer)option->name, v);
    switch (option->type) {
    case DRV_OPTION_FLAG:
    case DRV_OPTION_TEXT:
        break;
    case DRV_OPTION_PAIR:
        good = strchr(text, '=') && *text != '=' && strchr(text, '=')[1];
        if (!good)
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "“%s” is not of the form %s", text, option->value);
        break;
    case DRV_OPTION_DURATION:
        good = drv_units_parse_duration(text, &v->number, error);
        break;
    case DRV_OPTION_TIME_LIMIT:
        good = g_str_equal(text, "none") || drv_units_parse_duration(text, &v->number, error);
        break;
    case DRV_OPTION_RATE_LIMIT:
        good = g_str_equal(text, "none") || drv_units_parse_rate(text, &v->number, error);
        break;
    case DRV_OPTION_COUNT:
        good = g_ascii_string_to_unsigned(text, 10, 1, 1000000, &v->number, error);
        if (!good && error) {
            g_clear_error(error);
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "“%s” is not a number from 1 on", text);
        }
        break;
    case DRV_OPTION_PORT:
        good = g_ascii_string_to_unsigned(text, 10, 1, 65535, &v->number, error);
        if (!good && error) {
            g_clear_error(error);
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "“%s” is not a port; it is a number from 1 to 65535",
                        text);
        }
        break;
    }
    if (!good)
        g_prefix_error(error, "--%s: ", option->name);
    return good;
}

/* One argument that begins with a dash; may take the next one as its value. */
static gboolean take_option(drv_args *args, int argc, char *const *argv, int *at, GError **error)
{
    const char *arg = argv[*at];
    gboolean is_long = arg[1] == '-';
    const char *equals = is_long ? strchr(arg, '=') : NULL;
    const char *text = equals ? equals + 1 : NULL;
    const drv_option *option;

    if (is_long) {
        g_autofree char *name = equals ? g_strndup(arg + 2, (gsize)(equals - arg - 2)) : g_strdup(arg + 2);

        option = choose_option(args, name, error);
    } else {
        option = find_option(args, NULL, arg[1]);
        if (!option)
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "there is no option “%s”; --help lists them", arg);
        if (option && arg[2] && option->type == DRV_OPTION_FLAG) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "“%s”: write options of one letter one by one", arg);
            return FALSE;
        }
        text = arg[2] ? arg + 2 : NULL;
    }
    if (!option)
        return FALSE;
    if (option->type == DRV_OPTION_FLAG) {
        if (text) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "--%s takes no value", option->name);
            return FALSE;
        }
        return set_option(args, option, "", error);
    }
    if (!text && *at + 1 < argc)
        text = argv[++*at];
    if (!text || !*text) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "--%s needs a value: --%s %s", option->name, option->name,
                    option->value);
        return FALSE;
    }
    return set_option(args, option, text, error);
}

static gboolean check_operands(const drv_args *args, GError **error)
{
    const drv_command *c = args->command;
    guint count = args->operands->len;

    if (!c || (count >= c->least && count <= c->most))
        return TRUE;
    if (count > c->most)
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "“%s” is one word too many: drover %s [OPTION…]%s%s",
                    (const char *)args->operands->pdata[c->most], c->name, *c->operands ? " " : "", c->operands);
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "something is missing: drover %s [OPTION…] %s", c->name,
                    c->operands);
    return FALSE;
}

drv_args *drv_args_parse(int argc, char *const *argv, GError **error)
{
    g_autoptr(drv_args) args = g_new0(drv_args, 1);
    gboolean only_words = FALSE;

    args->operands = g_ptr_array_new_with_free_func(g_free);
    args->values = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, value_free);
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];

        if (!g_utf8_validate(arg, -1, NULL)) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_INVALID, "argument %d is not UTF-8", i);
            return NULL;
        }
        if (!only_words && g_str_equal(arg, "--")) {
            only_words = TRUE;
        } else if (!only_words && arg[0] == '-' && arg[1]) {
            if (!take_option(args, argc, argv, &i, error))
                return NULL;
        } else if (!args->command) {
            if (!take_word(args, arg, error))
                return NULL;
        } else if (only_words || !take_second_word(args, arg)) {
            g_ptr_array_add(args->operands, g_strdup(arg));
        }
    }
    if (!drv_args_has(args, "help") && !check_operands(args, error))
        return NULL;
    return g_steal_pointer(&args);
}

void drv_args_free(drv_args *args)
{
    if (!args)
        return;
    g_free(args->group);
    g_ptr_array_unref(args->operands);
    g_hash_table_unref(args->values);
    g_free(args);
}

gboolean drv_args_has(const drv_args *args, const char *option)
{
    return g_hash_table_contains(args->values, option);
}

const char *drv_args_text(const drv_args *args, const char *option)
{
    value *v = g_hash_table_lookup(args->values, option);

    return v ? v->text : NULL;
}

guint64 drv_args_number(const drv_args *args, const char *option)
{
    value *v = g_hash_table_lookup(args->values, option);

    return v ? v->number : 0;
}

const char *drv_args_operand(const drv_args *args, guint index)
{
    return index < args->operands->len ? args->operands->pdata[index] : NULL;
}
