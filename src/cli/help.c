/* SPDX-License-Identifier: Apache-2.0 */
/* --help, from the same tables that are parsed: see args.h. */
#include "cli/help.h"

#include <string.h>

#include "cli/args.h"

enum { HELP_COLUMN = 29 };

static gboolean contains(const drv_option *options, const char *name)
{
    for (const drv_option *o = options; o && o->name; o++)
        if (g_str_equal(o->name, name))
            return TRUE;
    return FALSE;
}

/* All of @options but those that @except has a meaning of its own for. */
static void print_options(FILE *out, const drv_option *options, const drv_option *except)
{
    for (const drv_option *o = options; o && o->name; o++) {
        if (contains(except, o->name))
            continue;

        g_autofree char *left =
            g_strdup_printf("  %c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                            o->letter ? ", " : "  ", o->name, o->value ? " " : "", o->value ? o->value : "");
        g_auto(GStrv) lines = g_strsplit(o->help, "\n", -1);

        if (strlen(left) > HELP_COLUMN - 2)
            fprintf(out, "%s\n%*s%s\n", left, HELP_COLUMN, "", lines[0]);
        else
            fprintf(out, "%-*s%s\n", HELP_COLUMN, left, lines[0]);
        for (guint i = 1; lines[i]; i++)
            fprintf(out, "%*s%s\n", HELP_COLUMN, "", lines[i]);
    }
}

static void print_command(FILE *out, const drv_command *c)
{
    g_autofree char *left = g_strdup_printf("  %s%s%s", c->name, *c->operands ? " " : "", c->operands);

    fprintf(out, "%-*s %s\n", HELP_COLUMN - 1, left, c->summary);
}

void drv_help_overview(FILE *out)
{
    fputs("Usage: drover [OPTION…] COMMAND …\n\n"
          "Moves virtual machines between hosts while they run.\n\nCommands:\n",
          out);
    for (const drv_command *c = drv_commands; c->name; c++)
        print_command(out, c);
    fputs("\nOptions of every command:\n", out);
    print_options(out, drv_global_options, NULL);
    fputs("\n“drover COMMAND --help” says more about one command, drover(1) all of it.\n", out);
}

void drv_help_group(FILE *out, const char *group)
{
    g_autofree char *prefix = g_strconcat(group, " ", NULL);

    fprintf(out, "Usage: drover %s COMMAND …\n\nCommands:\n", group);
    for (const drv_command *c = drv_commands; c->name; c++)
        if (g_str_has_prefix(c->name, prefix))
            print_command(out, c);
    fprintf(out, "\n“drover %s COMMAND --help” says more about one command.\n", group);
}

void drv_help_command(FILE *out, const drv_command *c)
{
    g_autofree char *page = g_strdup(c->name);
    char *space = strchr(page, ' ');

    if (space)
        *space = '\0';
    fprintf(out, "Usage: drover %s [OPTION…]%s%s\n\n%s.\n", c->name, *c->operands ? " " : "", c->operands, c->summary);
    if (c->text)
        fprintf(out, "\n%s\n", c->text);
    if (c->options && c->options->name) {
        fputs("\nOptions:\n", out);
        print_options(out, c->options, NULL);
    }
    fputs("\nOptions of every command:\n", out);
    print_options(out, drv_global_options, c->options);
    fprintf(out, "\nExamples:\n%s\n", c->examples);
    fprintf(out, "\nThe manual page is drover-%s(1); exit codes are in drover(1).\n", page);
}

static json_object *options_json(const drv_option *options)
{
    json_object *list = json_object_new_array();

    for (const drv_option *o = options; o && o->name; o++) {
        json_object *one = json_object_new_object();
        char letter[2] = {o->letter, '\0'};

        json_object_object_add(one, "name", json_object_new_string(o->name));
        json_object_object_add(one, "letter", o->letter ? json_object_new_string(letter) : NULL);
        json_object_object_add(one, "value", o->value ? json_object_new_string(o->value) : NULL);
        json_object_object_add(one, "help", json_object_new_string(o->help));
        json_object_array_add(list, one);
    }
    return list;
}

json_object *drv_help_json(void)
{
    json_object *all = json_object_new_object();
    json_object *list = json_object_new_array();

    for (const drv_command *c = drv_commands; c->name; c++) {
        json_object *one = json_object_new_object();

        json_object_object_add(one, "name", json_object_new_string(c->name));
        json_object_object_add(one, "operands", json_object_new_string(c->operands));
        json_object_object_add(one, "summary", json_object_new_string(c->summary));
        json_object_object_add(one, "options", options_json(c->options));
        json_object_array_add(list, one);
    }
    json_object_object_add(all, "commands", list);
    json_object_object_add(all, "options", options_json(drv_global_options));
    return all;
}
