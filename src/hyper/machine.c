/* SPDX-License-Identifier: Apache-2.0 */
/* Whether libvirt and QEMU of this host can run a machine: see machine.h. */
#include "hyper/machine.h"

#include "hyper/connection.h"
#include "hyper/machine-xml.h"

static char *capabilities(virConnectPtr connection, const drv_machine *machine)
{
    return virConnectGetDomainCapabilities(connection, machine->emulator, machine->arch, machine->type,
                                           machine->virt_type, 0);
}

drv_machine *drv_hyper_machine(drv_hyper *hyper, const char *uuid, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    g_autoptr(virDomain) domain = lease ? drv_lease_domain(lease, uuid, error) : NULL;
    gboolean active = domain && virDomainIsActive(domain) == 1;
    drv_machine *machine;
    char *xml;

    if (!domain)
        return NULL;
    /* As libvirt compares it itself when the VM arrives: with what QEMU really gave the guest. */
    xml = virDomainGetXMLDesc(domain,
                              active ? VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_UPDATE_CPU : VIR_DOMAIN_XML_INACTIVE);
    if (!xml) {
        drv_hyper_take_error(error, "cannot read VM %s", virDomainGetName(domain));
        return NULL;
    }
    machine = drv_machine_from_xml(xml, error);
    free(xml);
    if (machine && active && machine->cpu_of_host) {
        xml = capabilities(lease->connection, machine);
        machine->cpu = xml ? drv_cpu_from_capabilities(xml) : NULL;
        free(xml);
        virResetLastError();
    }
    return machine;
}

gboolean drv_hyper_knows_machine(drv_hyper *hyper, const drv_machine *machine, GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    char *xml;

    if (!lease)
        return FALSE;
    xml = capabilities(lease->connection, machine);
    if (!xml) {
        const char *reason = virGetLastErrorMessage();

        g_set_error_literal(error, DRV_ERROR, DRV_ERROR_REFUSED, reason);
        virResetLastError();
        return FALSE;
    }
    free(xml);
    return TRUE;
}

gboolean drv_hyper_compare_cpu(drv_hyper *hyper, const drv_machine *machine, GPtrArray **missing, char **incompatible,
                               GError **error)
{
    g_autoptr(drv_lease) lease = drv_hyper_lease(hyper, error);
    int result;

    *missing = NULL;
    *incompatible = NULL;
    if (!lease)
        return FALSE;
    result =
        virConnectCompareHypervisorCPU(lease->connection, machine->emulator, machine->arch, machine->type,
                                       machine->virt_type, machine->cpu, VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
    if (result < 0 && virGetLastErrorCode() != VIR_ERR_CPU_INCOMPATIBLE) {
        g_set_error_literal(error, DRV_ERROR, DRV_ERROR_FAILED, virGetLastErrorMessage());
        virResetLastError();
        return FALSE;
    }
    if (result < 0)
        *incompatible = g_strdup(virGetLastErrorMessage());
    else if (result == VIR_CPU_COMPARE_INCOMPATIBLE)
        *incompatible = g_strdup("libvirt calls it incompatible");
    *missing = drv_cpu_missing_features(*incompatible ? *incompatible : "");
    virResetLastError();
    return TRUE;
}
