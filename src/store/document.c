/* SPDX-License-Identifier: Apache-2.0 */
/* Documents: see document.h. */
#include "store/document.h"

#include "hyper/gerror.h"

void drv_document_free(drv_document *document)
{
    if (!document)
        return;
    g_free(document->key);
    g_free(document->json);
    g_free(document);
}

drv_document *drv_document_new(const char *key, const char *json, gint64 revision)
{
    drv_document *document = g_new0(drv_document, 1);

    document->key = g_strdup(key);
    document->json = g_strdup(json);
    document->revision = revision;
    return document;
}

GPtrArray *drv_documents_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)drv_document_free);
}

gboolean drv_store_no_such(const char *bucket, const char *key, GError **error)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "there is no %s/%s in the store", bucket, key);
    return FALSE;
}

gboolean drv_store_compare(const drv_store_change *change, gint64 found, GError **error)
{
    if (!change->json && found == 0)
        return drv_store_no_such(change->bucket, change->key, error);
    if (change->expected == DRV_REVISION_ANY || change->expected == found)
        return TRUE;
    if (change->expected == DRV_REVISION_NEW)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s/%s is in the store already", change->bucket, change->key);
    else if (found == 0)
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT, "%s/%s is not in the store any more", change->bucket,
                    change->key);
    else
        g_set_error(error, DRV_ERROR, DRV_ERROR_CONFLICT,
                    "%s/%s has been changed meanwhile (its revision is %" G_GINT64_FORMAT ", not %" G_GINT64_FORMAT
                    "): read it again",
                    change->bucket, change->key, found, change->expected);
    return FALSE;
}
