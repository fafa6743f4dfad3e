/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned columns for people: see table.h. */
#include "cli/table.h"

struct drv_table {
    GPtrArray *cells; /* of char*, row by row, the titles first */
    guint columns;
    gboolean *right;
};

char *drv_text_clean(const char *text)
{
    GString *clean = g_string_new(NULL);

    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);

        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_c(clean, '?');
            text++;
            continue;
        }
        if (g_unichar_isprint(c))
            g_string_append_unichar(clean, c);
        else
            g_string_append_c(clean, g_unichar_isspace(c) ? ' ' : '?');
        text = g_utf8_next_char(text);
    }
    return g_string_free(clean, FALSE);
}

int drv_text_width(const char *text)
{
    int width = 0;

    for (; *text; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);

        width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

drv_table *drv_table_new(const char *const *heads)
{
    drv_table *table = g_new0(drv_table, 1);

    table->cells = g_ptr_array_new_with_free_func(g_free);
    table->columns = g_strv_length((char **)heads);
    table->right = g_new0(gboolean, table->columns);
    for (guint i = 0; i < table->columns; i++) {
        table->right[i] = heads[i][0] == '>';
        g_ptr_array_add(table->cells, g_strdup(heads[i] + (table->right[i] ? 1 : 0)));
    }
    return table;
}

void drv_table_free(drv_table *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->cells);
    g_free(table->right);
    g_free(table);
}

void drv_table_add(drv_table *table, char *cell)
{
    g_ptr_array_add(table->cells, drv_text_clean(cell && *cell ? cell : "-"));
    g_free(cell);
}

void drv_table_print(const drv_table *table, FILE *out)
{
    g_autofree int *widths = g_new0(int, table->columns);

    for (guint i = 0; i < table->cells->len; i++)
        widths[i % table->columns] = MAX(widths[i % table->columns], drv_text_width(table->cells->pdata[i]));
    for (guint i = 0; i < table->cells->len; i++) {
        const char *cell = table->cells->pdata[i];
        guint column = i % table->columns;
        int pad = widths[column] - drv_text_width(cell);
        gboolean last = column + 1 == table->columns;

        fprintf(out, "%*s%s%*s", table->right[column] ? pad : 0, "", cell, table->right[column] || last ? 0 : pad, "");
        fputs(last ? "\n" : "  ", out);
    }
}
