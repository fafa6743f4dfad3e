/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: libvirt and QEMU. The only place of the command line that talks to libvirt. */
#include "cli/doctor-hyper.h"

#include <stdio.h>

#include "cli/doctor.h"
#include "cli/units.h"
#include "hyper/capacity.h"
#include "hyper/connection.h"
#include "hyper/host.h"

gboolean drv_libvirt_suffices(const char *version)
{
    unsigned major = 0, minor = 0;

    return version && sscanf(version, "%u.%u", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 8));
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

/* ---- the first look ---- */

#define LOOK_QUIETLY_S 2
#define LOOK_AT_MOST_S 120

typedef struct {
    gatomicrefcount references; /* who waits, and the thread, which may be left behind */
    GMutex lock;
    GCond changed;
    gboolean over; /* guarded by lock */
} first_look;

static void first_look_unref(first_look *it)
{
    if (!g_atomic_ref_count_dec(&it->references))
        return;
    g_mutex_clear(&it->lock);
    g_cond_clear(&it->changed);
    g_free(it);
}

static gpointer look(gpointer data)
{
    first_look *it = data;
    drv_hyper *hyper = drv_hyper_new("qemu:///system");
    drv_host_facts facts = {0};
    drv_capacity capacity;

    /* What is wrong with it is for doctor to say. */
    if (drv_hyper_host(hyper, &facts, NULL)) {
        drv_hyper_capacity(hyper, &capacity);
        drv_capacity_clear(&capacity);
        drv_host_facts_clear(&facts);
    }
    drv_hyper_free(hyper);
    g_mutex_lock(&it->lock);
    it->over = TRUE;
    g_cond_broadcast(&it->changed);
    g_mutex_unlock(&it->lock);
    first_look_unref(it);
    return NULL;
}

/* Return: whether it is over. */
static gboolean wait_for(first_look *it, guint seconds)
{
    gint64 until = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
    gboolean over;

    g_mutex_lock(&it->lock);
    while (!it->over && g_cond_wait_until(&it->changed, &it->lock, until))
        ;
    over = it->over;
    g_mutex_unlock(&it->lock);
    return over;
}

void drv_libvirt_first_look(drv_cli *cli)
{
    first_look *it = g_new0(first_look, 1);

    g_atomic_ref_count_init(&it->references);
    g_atomic_ref_count_inc(&it->references);
    g_mutex_init(&it->lock);
    g_cond_init(&it->changed);
    g_thread_unref(g_thread_new("first-look", look, it));
    if (!wait_for(it, LOOK_QUIETLY_S)) {
        drv_cli_message(cli, "libvirt looks at this host's QEMU for the first time; while the host is busy that may "
                             "take a minute or two…");
        if (!wait_for(it, LOOK_AT_MOST_S))
            drv_cli_message(cli, "it is not through yet; “drover doctor” says how libvirt is");
    }
    first_look_unref(it);
}

void drv_check_hyper(drv_doctor *doctor, const char *name)
{
    drv_hyper *hyper = drv_hyper_new("qemu:///system");
    drv_host_facts facts = {0};
    g_autoptr(GError) error = NULL;

    drv_libvirt_first_look(doctor->cli);
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
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, "libvirt", g_strdup("upgrade libvirt to 6.8 or newer"),
                         "%s cannot migrate over unix sockets",
                         facts.libvirt_version ? facts.libvirt_version : "an unknown version");
    if (facts.qemu_version && *facts.qemu_version) {
        g_autofree char *memory = drv_units_bytes(facts.memory_bytes);
        g_autofree char *free_now = drv_units_bytes(facts.memory_free_bytes);

        drv_doctor_ok(doctor, "QEMU", "%s; %u CPUs, %s of memory (%s free), VMs running: %u", facts.qemu_version,
                      facts.cpus, memory, free_now, facts.domains_running);
    } else {
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, "QEMU",
                         g_strdup("install it (Debian: apt install qemu-system-x86) and restart "
                                  "libvirtd"),
                         "libvirt knows of no QEMU on this host");
    }
    drv_host_facts_clear(&facts);
    drv_hyper_free(hyper);
}
