/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: the machine, its users, and what confines QEMU on it. */
#include "cli/doctor-host.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <pwd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/paths.h"
#include "cli/doctor.h"
#include "hyper/hyper.h"
#include "hyper/userfault.h"

void drv_check_root(drv_doctor *doctor, const char *name)
{
    if (geteuid() == 0)
        drv_doctor_ok(doctor, name, "this runs as root and sees everything");
    else
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name, g_strdup("sudo drover doctor"),
                         "not root: what only root may read counts as missing below");
}

void drv_check_clock(drv_doctor *doctor, const char *name)
{
    time_t now = time(NULL);
    struct tm parts;

    gmtime_r(&now, &parts);
    if (parts.tm_year + 1900 >= 2024 && parts.tm_year + 1900 < 2100)
        drv_doctor_ok(doctor, name, "it is %04d-%02d-%02d %02d:%02d:%02d UTC here", parts.tm_year + 1900,
                      parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    else
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name,
                         g_strdup("set the clock; timedatectl set-ntp true keeps it right"),
                         "it cannot be the year %d: certificates will not be accepted", parts.tm_year + 1900);
}

void drv_check_post_copy(drv_doctor *doctor, const char *name)
{
    g_autoptr(GError) error = NULL;

    if (drv_hyper_can_post_copy(NULL, &error))
        drv_doctor_ok(doctor, name, "VMs can arrive here by post-copy");
    else
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name, g_strdup("sysctl -w vm.unprivileged_userfaultfd=1"), "%s",
                         error->message);
}

void drv_check_relay_user(drv_doctor *doctor, const char *name)
{
    if (getpwnam("drover"))
        drv_doctor_ok(doctor, name, "relays run as user drover");
    else
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name,
                         g_strdup("useradd --system --no-create-home --shell /usr/sbin/nologin "
                                  "drover"),
                         "there is none: relays run as nobody, which others may use as well");
}

void drv_check_qemu_group(drv_doctor *doctor, const char *name)
{
    static const char *const known[] = {"libvirt-qemu", "qemu", "kvm"};

    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (getgrnam(known[i])) {
            drv_doctor_ok(doctor, name, "%s", known[i]);
            return;
        }
    drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name,
                     g_strdup("install libvirt's QEMU driver, which makes it (Debian: apt install "
                              "libvirt-daemon-system)"),
                     "there is no group libvirt-qemu, qemu or kvm, through which QEMU and the relay "
                     "share sockets");
}

void drv_check_acceleration(drv_doctor *doctor, const char *name)
{
    g_autofree char *path = drv_doctor_path(doctor, "/dev/kvm");
    g_autofree char *paravirtual = drv_doctor_path(doctor, "/sys/module/kvm_pvm");
    drv_autoclose int kvm = open(path, O_RDWR | O_CLOEXEC);
    drv_autoclose int vm = -1;

    if (kvm < 0) {
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name,
                         g_strdup(errno == ENOENT ? "enable virtualisation in the firmware (or nested "
                                                    "virtualisation in the host of this VM) and modprobe "
                                                    "kvm_intel or kvm_amd"
                                                  : "run this as root, or as a member of group kvm"),
                         "/dev/kvm: %s. VMs run by emulation only, which is slow", g_strerror(errno));
        return;
    }
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0)
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name, g_strdup("dmesg | grep -i kvm says more"),
                         "/dev/kvm opens but makes no VM (%s). VMs run by emulation only", g_strerror(errno));
    else if (access(paravirtual, F_OK) == 0)
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name,
                         g_strdup("where a guest hangs as it boots, use <domain type='qemu'>"),
                         "KVM is a paravirtual one (kvm_pvm): ordinary guests may not boot under it");
    else
        drv_doctor_ok(doctor, name, "KVM makes VMs");
}

/* TRUE if @file has @text in a line that is not a comment. */
static gboolean line_with(const char *file, const char *text)
{
    g_autofree char *all = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(file, &all, NULL, NULL))
        return FALSE;
    lines = g_strsplit(all, "\n", -1);
    for (guint i = 0; lines[i]; i++)
        if (*g_strstrip(lines[i]) != '#' && strstr(lines[i], text))
            return TRUE;
    return FALSE;
}

/* libvirt was told not to confine QEMU. */
static gboolean unconfined(drv_doctor *doctor)
{
    g_autofree char *path = drv_doctor_path(doctor, "/etc/libvirt/qemu.conf");
    g_autofree char *all = NULL;

    return g_file_get_contents(path, &all, NULL, NULL) &&
           g_regex_match_simple("^\\s*security_driver\\s*=\\s*(\\[\\s*)?\"none\"", all, G_REGEX_MULTILINE, 0);
}

static gboolean apparmor_knows(drv_doctor *doctor)
{
    static const char *const files[] = {"/etc/apparmor.d/local/abstractions/libvirt-qemu",
                                        "/etc/apparmor.d/abstractions/libvirt-qemu"};
    g_autofree char *folder = drv_doctor_path(doctor, "/etc/apparmor.d/abstractions/libvirt-qemu.d");
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *entry;

    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = drv_doctor_path(doctor, files[i]);

        if (line_with(path, "/drover/sessions"))
            return TRUE;
    }
    while (dir && (entry = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, entry, NULL);

        if (line_with(path, "/drover/sessions"))
            return TRUE;
    }
    return FALSE;
}

static gboolean first_char_is(drv_doctor *doctor, const char *path, char wanted)
{
    g_autofree char *full = drv_doctor_path(doctor, path);
    g_autofree char *text = NULL;

    return g_file_get_contents(full, &text, NULL, NULL) && text[0] == wanted;
}

void drv_check_confinement(drv_doctor *doctor, const char *name)
{
    gboolean apparmor = first_char_is(doctor, "/sys/module/apparmor/parameters/enabled", 'Y');
    gboolean selinux = first_char_is(doctor, "/sys/fs/selinux/enforce", '1');

    if (!apparmor && !selinux)
        drv_doctor_ok(doctor, name, "neither AppArmor nor SELinux is on");
    else if (unconfined(doctor))
        drv_doctor_ok(doctor, name, "/etc/libvirt/qemu.conf has it off (security_driver)");
    else if (apparmor && apparmor_knows(doctor))
        drv_doctor_ok(doctor, name, "AppArmor lets QEMU use " DRV_SESSIONS_DIR);
    else if (apparmor)
        drv_doctor_found(doctor, DRV_CHECK_PROBLEM, name,
                         g_strdup("mkdir -p /etc/apparmor.d/local/abstractions\n"
                                  "cat >>/etc/apparmor.d/local/abstractions/libvirt-qemu <<'EOF'\n"
                                  "  # Drover: the sockets between QEMU and its relay\n"
                                  "  /{,var/}run/drover/sessions/*/*.sock rw,\n"
                                  "EOF\n"
                                  "(for VMs that start from then on; a running one keeps its old rules)"),
                         "AppArmor keeps QEMU from the relay's sockets in " DRV_SESSIONS_DIR);
    else
        drv_doctor_found(doctor, DRV_CHECK_WARNING, name,
                         g_strdup("if a move fails, “ausearch -m avc -ts recent” names the rule that is missing"),
                         "SELinux confines QEMU; whether it may use sockets in " DRV_SESSIONS_DIR
                         " cannot be seen from here");
}
