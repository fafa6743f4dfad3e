/* SPDX-License-Identifier: Apache-2.0 */
/* For these tests: a store in a directory of its own that vanishes with the test. */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>

#include "hyper/gerror.h"
#include "store/store.h"

typedef struct {
    char *directory;
    char *path;
    drv_store *store;
} scratch;

static inline drv_store *scratch_open(const scratch *s)
{
    g_autoptr(GError) error = NULL;
    drv_store *store = drv_store_open(s->path, &error);

    g_assert_no_error(error);
    g_assert_nonnull(store);
    return store;
}

static inline void scratch_reopen(scratch *s)
{
    drv_store_close(s->store);
    s->store = scratch_open(s);
}

/* In @base, or the system's temporary directory. */
static inline void scratch_init(scratch *s, const char *base)
{
    s->directory = g_build_filename(base ? base : g_get_tmp_dir(), "drv-store-XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(s->directory));
    s->path = g_build_filename(s->directory, "drover.db", NULL);
    s->store = NULL;
}

static inline void scratch_done(scratch *s)
{
    const char *const suffixes[] = {"", "-wal", "-shm", "-journal", "-seen"};

    drv_store_close(s->store);
    for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *name = g_strconcat(s->path, suffixes[i], NULL);
        g_unlink(name);
    }
    g_assert_cmpint(g_rmdir(s->directory), ==, 0); /* nothing else was left there */
    g_free(s->path);
    g_free(s->directory);
}

static inline void scratch_set_up(scratch *s, gconstpointer data)
{
    scratch_init(s, NULL);
    s->store = scratch_open(s);
}

static inline void scratch_tear_down(scratch *s, gconstpointer data)
{
    scratch_done(s);
}
