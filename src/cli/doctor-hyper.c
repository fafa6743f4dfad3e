/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: libvirt and QEMU. The only place of the command line that talks to libvirt. */
#include "cli/doctor.h"

#include <stdio.h>

#include "cli/units.h"

gboolean drv_libvirt_suffices(const char *version)
{
    unsigned major = 0, minor = 0;

    return version && sscanf(version, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 8));
}

char *drv_host_uuid(void)
{
    drv_hyper *hyper = drv_hyper_new("qemu:///system");
    drv_host_facts facts = {0};
    char *uuid = drv_hyper_host(hyper, &facts, NULL) ? g_strdup(facts.uuid) : NULL;

    drv_host_facts_clear(&facts);
    drv_hyper_free(hyper);
    return uuid;
}

void drv_check_hyper(drv_doctor *doctor, const char *name)
{
    drv_hyper *hyper = drv_hyper_new("qemu:///system");
    drv_host_facts facts = {0};
    g_autoptr(GError) error = NULL;

    if (!drv_hyper_host(hyper, &facts, &error)) {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, "libvirt",
                         g_strdup("install libvirt with its QEMU driver (Debian: apt install "
                                  "libvirt-daemon-system qemu-system-x86) and start it\n"
                                  "(systemctl enable --now libvirtd)"),
                         "%s", error->message);
        drv_hyper_free(hyper);
        return;
    }
    if (drv_libvirt_suffices(facts.libvirt_version))
        drv_doctor_ok(doctor, "libvirt", "%s answers", facts.libvirt_version);
    else
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, "libvirt",
                         g_strdup("upgrade libvirt to 6.8 or newer"),
                         "%s cannot migrate over unix sockets",
                         facts.libvirt_version ? facts.libvirt_version : "an unknown version");
    if (facts.qemu_version && *facts.qemu_version) {
        g_autofree char *memory = drv_units_bytes(facts.memory_bytes);
        g_autofree char *free_now = drv_units_bytes(facts.memory_free_bytes);

        drv_doctor_ok(doctor, "QEMU", "%s; %u CPUs, %s of memory (%s free), VMs running: %u",
                      facts.qemu_version, facts.cpus, memory, free_now, facts.domains_running);
    } else {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, "QEMU",
                         g_strdup("install it (Debian: apt install qemu-system-x86) and restart "
                                  "libvirtd"),
                         "libvirt knows of no QEMU on this host");
    }
    drv_host_facts_clear(&facts);
    drv_hyper_free(hyper);
}
