/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as tables: every command with its options and help text. The
 * parser, --help, `drover help --json` and the tests that compare the manual and the
 * completion with it all read these tables, so that nothing is said twice.
 */
#pragma once

#include <glib.h>
#include <stdio.h>

#include <json-c/json.h>

typedef struct drv_cli drv_cli;
typedef struct drv_args drv_args;

typedef enum {
    DRV_OPTION_FLAG,
    DRV_OPTION_TEXT,
    DRV_OPTION_DURATION,   /* as a number: milliseconds */
    DRV_OPTION_TIME_LIMIT, /* the same, or "none": 0 */
    DRV_OPTION_RATE_LIMIT, /* as a number: bytes a second, or "none": 0 */
    DRV_OPTION_PORT,
    DRV_OPTION_COUNT, /* as a number: from 1 on */
    DRV_OPTION_PAIR,  /* A=B, may be given again: then the text has them all, a line each */
} drv_option_type;

typedef struct {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* '\0': none */
    drv_option_type type;
    const char *value; /* "TIME", as help shows it; NULL for a flag */
    const char *help;  /* one line, two at most */
} drv_option;

typedef struct {
    const char *name;     /* "migrate", "node list" */
    const char *operands; /* "VM [NODE]"; "" for none */
    guint least, most;    /* number of operands */
    const char *summary;  /* one line, no full stop */
    const char *text;     /* what a user must know, wrapped at 80 columns */
    const char *examples; /* lines "  drover …" */
    const drv_option *options;
    /* Return: a drv_exit, or -1 with the error set. Results go to cli->out, messages to cli->err.
     */
    int (*run)(drv_cli *cli, const drv_args *args, GError **error);
} drv_command;

/* The last one's name is NULL. src/cli/commands.c */
extern const drv_command drv_commands[];
extern const drv_option drv_global_options[];

struct drv_args {
    const drv_command *command; /* NULL: none was named */
    char *group;                /* "node": a command's first word without its second */
    GPtrArray *operands;        /* of char* */
    GHashTable *values;         /* by option name */
};

/**
 * drv_args_parse() - what was asked, options and words in any order. Commands and
 * options may be shortened as long as it stays clear which is meant. "--" ends options.
 * The number of operands is checked unless --help is there.
 * Return: transfer full, or NULL and DRV_ERROR_INVALID with a message for the user.
 */
drv_args *drv_args_parse(int argc, char *const *argv, GError **error);
void drv_args_free(drv_args *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(drv_args, drv_args_free)

gboolean drv_args_has(const drv_args *args, const char *option);
/* NULL when not given. */
const char *drv_args_text(const drv_args *args, const char *option);
/* 0 when not given; of a limit also "none". */
guint64 drv_args_number(const drv_args *args, const char *option);
/* NULL when there are fewer. */
const char *drv_args_operand(const drv_args *args, guint index);
