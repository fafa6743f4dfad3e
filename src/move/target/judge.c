/* SPDX-License-Identifier: Apache-2.0 */
/* What the source's libvirtd asks of this host's: see judge.h. */
#include "move/target/judge.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hyper/admission.h"
#include "hyper/belongings.h"
#include "move/target/arrival.h"
#include "relay/control/control.h"
#include "relay/rpc.h"

/* As libvirt numbers them. */
#define FLAG_TUNNELLED (1u << 2)
#define FLAG_OFFLINE (1u << 10)

static char *text_of(const struct drv_rpc_text *text)
{
    return text->at ? g_strndup(text->at, text->size) : NULL;
}

static gboolean deny(GError **error, const char *why)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_DENIED, "%s", why);
    return FALSE;
}

/* Absent, or just this socket of the session's directory. */
static gboolean is_socket(drv_incoming *incoming, const struct drv_rpc_text *uri, const char *socket)
{
    g_autofree char *is = text_of(uri);
    g_autofree char *right = g_strdup_printf("unix://%s/%s", incoming->dir, socket);

    return !is || g_str_equal(is, right);
}

static gboolean check_xml(drv_incoming *incoming, const struct drv_rpc_text *text, GError **error)
{
    g_autofree char *xml = text_of(text);
    g_autoptr(GHashTable) formats = drv_arrival_formats(incoming->step, FALSE);

    return drv_hyper_admit(incoming->ctx->hyper, xml, &incoming->uuid, incoming->vm.text, formats, error);
}

static gboolean check_prepare(drv_incoming *incoming, const struct drv_rpc_request *request, GError **error)
{
    g_autofree char *name = text_of(&request->name);

    if (!request->xml.at || (request->flags & (FLAG_TUNNELLED | FLAG_OFFLINE)) || request->listens ||
        !request->migrate_uri.at || !is_socket(incoming, &request->migrate_uri, DRV_SOCKET_RAM) ||
        !is_socket(incoming, &request->disks_uri, DRV_SOCKET_DISK) || (name && !g_str_equal(name, incoming->vm.text)))
        return deny(error, "the source's libvirtd wants a migration that is not the session's");
    return check_xml(incoming, &request->xml, error) &&
           (!request->persistent_xml.at || check_xml(incoming, &request->persistent_xml, error));
}

static gboolean check(drv_incoming *incoming, const uint8_t *bytes, gsize size, GError **error)
{
    struct drv_rpc_request request;
    struct drv_error problem = {0};
    g_autofree char *uri = NULL;

    if (drv_rpc_parse_request(&request, bytes, size, &problem) < 0) {
        drv_gerror_from(error, DRV_ERROR_DENIED, &problem);
        return FALSE;
    }
    if (request.procedure != DRV_RPC_CONNECT_OPEN)
        return check_prepare(incoming, &request, error);
    uri = text_of(&request.uri);
    return g_strcmp0(uri, "qemu:///system") == 0 ||
           deny(error, "the source's libvirtd wants another hypervisor than this host's");
}

void drv_judge(drv_incoming *incoming, drv_relay *relay)
{
    struct drv_error problem = {0};
    g_autoptr(GError) error = NULL;
    uint8_t *bytes = NULL;
    ssize_t size = drv_relay_asked(relay, &bytes, &problem);
    gboolean good;

    if (size < 0) {
        /* It was judged just now, or the session is over. */
        drv_log_debug("no call to judge: %s session=%s", problem.message, incoming->session.text);
        return;
    }
    good = check(incoming, bytes, (gsize)size, &error);
    free(bytes);
    if (!good)
        drv_log_warning("%s from %s is not let in: %s session=%s", incoming->vm.text, incoming->source.text,
                        error->message, incoming->session.text);
    if (drv_relay_judge(relay, good ? NULL : error->message, &problem) < 0)
        drv_log_debug("the relay did not hear: %s session=%s", problem.message, incoming->session.text);
}

gboolean drv_judge_saved(drv_incoming *incoming)
{
    g_autoptr(GError) error = NULL;
    drv_belongings has;
    gboolean good;

    if (!drv_hyper_belongings(incoming->ctx->hyper, incoming->uuid.text, &has, &error)) {
        drv_log_warning("the definition of %s cannot be read: %s", incoming->vm.text, error->message);
        return FALSE;
    }
    good = !has.definition ||
           drv_hyper_admit(incoming->ctx->hyper, has.definition, &incoming->uuid, incoming->vm.text, NULL, &error);
    drv_belongings_clear(&has);
    if (!good)
        drv_log_error("the saved definition of %s, from %s, is not one that may come from another node: look at it "
                      "(virsh dumpxml --inactive) before the VM is started anew: %s session=%s",
                      incoming->vm.text, incoming->source.text, error->message, incoming->session.text);
    return good;
}
