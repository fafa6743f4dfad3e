/* SPDX-License-Identifier: Apache-2.0 */
/* The table of checks and the report of what they found: see checks.h. */
#include "plan/checks.h"

#include <string.h>

const drv_check drv_check_table[] = {
    [DRV_ABOUT_STATE] = {"state", "state", "whether the VM is in a state that this way of moving needs"},
    [DRV_ABOUT_LINKS] = {"links", "links", "whether the source's droverd reaches the target's"},
    [DRV_ABOUT_CLOCK] = {"clock", "clock", "the clocks of both hosts"},
    [DRV_ABOUT_HOST_UUID] = {"host-uuid", "host UUID", "the UUIDs by which libvirt tells both hosts apart"},
    [DRV_ABOUT_CPU] = {"cpu", "CPU", "the guest's CPU and what the target's hypervisor provides"},
    [DRV_ABOUT_MACHINE_TYPE] = {"machine-type", "machine type",
                                "emulator, acceleration and machine type, and what the target knows"},
    [DRV_ABOUT_QEMU_VERSION] = {"qemu-version", "QEMU", "the versions of QEMU at both hosts"},
    [DRV_ABOUT_MEMORY] = {"memory", "memory", "the VM's memory and what is free at the target"},
    [DRV_ABOUT_HUGEPAGES] = {"hugepages", "huge pages", "pages of the VM's size that are free"},
    [DRV_ABOUT_PINNING] = {"pinning", "pinning", "processors that the VM is pinned to"},
    [DRV_ABOUT_NUMA] = {"numa", "NUMA", "NUMA nodes that the VM's memory is bound to"},
    [DRV_ABOUT_DEVICES] = {"devices", "devices", "devices and features that cannot move live"},
    [DRV_ABOUT_GRAPHICS] = {"graphics", "VNC, SPICE", "addresses, ports, sockets and certificates of its screens"},
    [DRV_ABOUT_NEEDS] = {"needs", "files, ports",
                         "files, directories, sockets, ports, secrets and devices "
                         "that the definition names"},
    [DRV_ABOUT_ADMISSION] = {"admission", "admission", "what the target lets a definition from another node name"},
    [DRV_ABOUT_LOCK_MANAGER] = {"lock-manager", "lock manager", "lock_manager in both qemu.conf"},
    [DRV_ABOUT_DISKS] = {"disks", "disks", "each disk, and what the target has of it"},
    [DRV_ABOUT_DISK_ROOM] = {"disk-room", "room for disks", "what is copied and what is free there"},
    [DRV_ABOUT_COLD_START] = {"cold-start", "cold start",
                              "whether it starts at the target with all that its saved definition names"},
    [DRV_ABOUT_OTHERS] = {"others", "others", "whether anything that stays at the source needs what goes"},
    [DRV_ABOUT_NETWORKS] = {"networks", "networks", "bridges and networks of the VM's cards"},
    [DRV_ABOUT_FIRMWARE] = {"firmware", "firmware", "UEFI's code and variables"},
    [DRV_ABOUT_TPM] = {"tpm", "TPM", "swtpm and the state of the VM's TPM"},
    [DRV_ABOUT_SNAPSHOTS] = {"snapshots", "snapshots", "snapshots and a saved state"},
    [DRV_ABOUT_PERMISSIONS] = {"permissions", "permissions",
                               "QEMU's user and group, and directories that are written to"},
    [DRV_ABOUT_POST_COPY] = {"post-copy", "post-copy", "whether the target's kernel allows it"},
    [DRV_ABOUT_GOALS] = {"goals", "goals", "what the move, the VM and its policy want, and which wins"},
    [DRV_ABOUT_EXISTING_VM] = {"existing-vm", "existing VM", "VMs of that name or UUID at the target"},
    [DRV_ABOUT_LEFTOVERS] = {"leftovers", "leftovers", "what earlier moves of the VM left behind"},
};
G_STATIC_ASSERT(G_N_ELEMENTS(drv_check_table) == DRV_ABOUT_COUNT);

typedef enum { STATUS_SKIPPED, STATUS_OK, STATUS_WARNING, STATUS_PROBLEM } check_status;

static const char *const status_names[] = {"skipped", "ok", "warning", "problem"};

typedef struct {
    check_status status;
    char *message;
    char *remedy; /* or NULL */
} finding;

struct drv_checks {
    GPtrArray *findings[DRV_ABOUT_COUNT]; /* of finding */
    guint problems;
};

static void finding_free(gpointer data)
{
    finding *f = data;

    g_free(f->message);
    g_free(f->remedy);
    g_free(f);
}

drv_checks *drv_checks_new(void)
{
    drv_checks *checks = g_new0(drv_checks, 1);

    for (guint i = 0; i < DRV_ABOUT_COUNT; i++)
        checks->findings[i] = g_ptr_array_new_with_free_func(finding_free);
    return checks;
}

void drv_checks_free(drv_checks *checks)
{
    if (!checks)
        return;
    for (guint i = 0; i < DRV_ABOUT_COUNT; i++)
        g_ptr_array_unref(checks->findings[i]);
    g_free(checks);
}

/* Of a check's findings only those of the worst kind but warnings beside problems are kept. */
static void add(drv_checks *checks, drv_about about, check_status status, const char *fmt, va_list args)
{
    GPtrArray *list = checks->findings[about];
    finding *first = list->len ? list->pdata[0] : NULL;
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    const char *cut = strchr(text, *DRV_REMEDY);
    finding *f;

    if (first && status <= STATUS_OK && first->status > status)
        return;
    if (first && first->status <= STATUS_OK && status >= first->status)
        g_ptr_array_set_size(list, 0);
    f = g_new0(finding, 1);
    f->status = status;
    f->message = cut ? g_strndup(text, (gsize)(cut - text)) : g_strdup(text);
    f->remedy = cut ? g_strdup(cut + 1) : NULL;
    g_ptr_array_add(list, f);
    if (status == STATUS_PROBLEM)
        checks->problems++;
}

#define ADD(status)                                                                                                    \
    do {                                                                                                               \
        va_list args;                                                                                                  \
        va_start(args, fmt);                                                                                           \
        add(checks, about, status, fmt, args);                                                                         \
        va_end(args);                                                                                                  \
    } while (0)

void drv_checks_ok(drv_checks *checks, drv_about about, const char *fmt, ...)
{
    ADD(STATUS_OK);
}

void drv_checks_skip(drv_checks *checks, drv_about about, const char *fmt, ...)
{
    ADD(STATUS_SKIPPED);
}

void drv_checks_warn(drv_checks *checks, drv_about about, const char *fmt, ...)
{
    ADD(STATUS_WARNING);
}

void drv_checks_problem(drv_checks *checks, drv_about about, const char *fmt, ...)
{
    ADD(STATUS_PROBLEM);
}

void drv_checks_skip_rest(drv_checks *checks, const char *why)
{
    for (guint i = 0; i < DRV_ABOUT_COUNT; i++)
        if (!checks->findings[i]->len)
            drv_checks_skip(checks, (drv_about)i, "%s", why);
}

guint drv_checks_problems(const drv_checks *checks)
{
    return checks->problems;
}

gboolean drv_checks_has(const drv_checks *checks, drv_about about)
{
    for (guint i = 0; i < checks->findings[about]->len; i++)
        if (((finding *)checks->findings[about]->pdata[i])->status == STATUS_PROBLEM)
            return TRUE;
    return FALSE;
}

char *drv_checks_text(const drv_checks *checks)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < DRV_ABOUT_COUNT; i++)
        for (guint k = 0; k < checks->findings[i]->len; k++) {
            const finding *f = checks->findings[i]->pdata[k];

            if (f->status == STATUS_PROBLEM)
                g_string_append_printf(text, "%s%s%s%s", text->len ? "; " : "", f->message, f->remedy ? ": " : "",
                                       f->remedy ? f->remedy : "");
        }
    return g_string_free(text, FALSE);
}

static json_object *finding_json(guint about, const finding *f)
{
    json_object *object = json_object_new_object();

    drv_json_set_string(object, "name", drv_check_table[about].id);
    drv_json_set_string(object, "title", drv_check_table[about].title);
    drv_json_set_string(object, "status", status_names[f ? f->status : STATUS_SKIPPED]);
    drv_json_set_string(object, "message", f ? f->message : "not looked at");
    drv_json_set_string(object, "remedy", f ? f->remedy : NULL);
    return object;
}

json_object *drv_checks_json(const drv_checks *checks)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; i < DRV_ABOUT_COUNT; i++) {
        for (guint k = 0; k < checks->findings[i]->len; k++)
            json_object_array_add(list, finding_json(i, checks->findings[i]->pdata[k]));
        if (!checks->findings[i]->len)
            json_object_array_add(list, finding_json(i, NULL));
    }
    return list;
}
