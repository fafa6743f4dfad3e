/* SPDX-License-Identifier: Apache-2.0 */
/* What another node may bring: see hyper/admission.h. */
#include <glib.h>
#include <string.h>

#include "hyper/admission-xml.h"
#include "hyper/admission.h"

#define UUID "0123abcd-4567-89ab-cdef-0123456789ab"
#define IMAGE "/var/lib/libvirt/images/web1.img"
#define DOMAIN(os, devices, rest)                                                                                      \
    "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>web1</name><uuid>" UUID          \
    "</uuid><title>/a title</title><metadata><x:y xmlns:x='urn:x' p='/etc/x'>/etc/y</x:y></metadata><memory>1024"      \
    "</memory><os><type>hvm</type>" os "</os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>" devices        \
    "</devices>" rest "</domain>"
#define DISK(path)                                                                                                     \
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='" path                            \
    "'/><target dev='vda'/></disk>"
#define ARGS(args) "<qemu:commandline>" args "</qemu:commandline>"
#define ARG(value) "<qemu:arg value='" value "'/>"

static gboolean lets_in(drv_admission *admission, const char *xml, GHashTable *formats, GPtrArray *written)
{
    drv_uuid uuid = {UUID};
    g_autoptr(GError) error = NULL;
    gboolean good = drv_admission_check_domain(admission, xml, &uuid, "web1", formats, written, &error);

    g_assert_true(good == (error == NULL));
    if (error)
        g_assert_error(error, DRV_ERROR, DRV_ERROR_DENIED);
    g_test_message("%s", error ? error->message : "let in");
    return good;
}

/* What VMs have that people have. */
static void test_lets_in(void)
{
    static const char *const good[] = {
        DOMAIN("", "", ""),
        DOMAIN("", DISK(IMAGE), ""),
        DOMAIN("", DISK("/srv/vms/web1.img"), ""),
        DOMAIN("",
               "<disk type='network' device='disk'><source protocol='nbd' name='/export'><host name='n'/></source>"
               "<target dev='vda'/></disk>",
               ""),
        DOMAIN("", "<disk type='block' device='disk'><source dev='/dev/none/there'/><target dev='vda'/></disk>", ""),
        DOMAIN("",
               "<serial type='pty'><source path='/dev/pts/3'/></serial><console type='pty' tty='/dev/pts/3'>"
               "<source path='/dev/pts/3'/></console>",
               ""),
        DOMAIN("", "<serial type='file'><source path='/var/log/libvirt/console/web1.log' append='on'/></serial>", ""),
        DOMAIN("",
               "<channel type='unix'><source mode='bind' path='/var/lib/libvirt/qemu/channel/target/"
               "domain-7-web1/a'/></channel>",
               ""),
        DOMAIN("", "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>", ""),
        DOMAIN("", "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>", ""),
        DOMAIN("<nvram>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>", "", ""),
        DOMAIN("<nvram template='/usr/share/of-another-host/VARS.fd'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>",
               "", ""),
        DOMAIN(
            "<nvram template='/var/lib/libvirt/images/not-there.fd'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>",
            "", ""),
        DOMAIN("", "<interface type='bridge'><source bridge='br0'/></interface>", ""),
        DOMAIN("", "", "<resource><partition>/machine</partition></resource>"),
        DOMAIN("", "", "<seclabel type='dynamic' model='dac' relabel='yes'><label>+64055:+64055</label></seclabel>"),
        DOMAIN("", "",
               ARGS(ARG("-object") ARG("memory-backend-ram,id=lab.ram,size=1K") ARG("-machine")
                        ARG("memory-backend=lab.ram") ARG("-m") ARG("size=1K"))),
        DOMAIN("", "", ARGS(ARG("-fw_cfg") ARG("name=opt/com.coreos/config,string=x"))),
        DOMAIN("", "", ARGS(ARG("-machine") ARG("q35,vmport=off,accel=kvm") ARG("-boot") ARG("menu=on,order=cd"))),
        DOMAIN("", "", ARGS(ARG("-global") ARG("ICH9-LPC.disable_s3=1") ARG("-boot") ARG("d"))),
    };
    g_autoptr(drv_admission) admission = drv_admission_new();

    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        if (!lets_in(admission, good[i], NULL, NULL))
            g_error("refused: %s", good[i]);
}

/* Each of these was a way to the host, or to another VM. */
static void test_keeps_out(void)
{
    /* clang-format off */
    static const char *const bad[] = {
        "", "<domain/>", "<network/>",
        "<domain type='kvm'><name>web1</name><uuid>ffffffff-4567-89ab-cdef-0123456789ab</uuid></domain>",
        "<domain type='kvm'><name>other</name><uuid>" UUID "</uuid></domain>",
        "<domain type='kvm'><name>web1</name><name>other</name><uuid>" UUID "</uuid></domain>",
        "<domain type='lxc'><name>web1</name><uuid>" UUID "</uuid></domain>",
        "<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain type='kvm'><name>web1</name><uuid>" UUID
        "</uuid><description>&e;</description></domain>",
        DOMAIN("", "<emulator>/tmp/evil</emulator>", ""),
        DOMAIN("", "<emulator>/usr/bin/../../tmp/qemu-system-x86_64</emulator>", ""),
        DOMAIN("", DISK("/etc/shadow"), ""),
        DOMAIN("", DISK("etc/shadow"), ""),
        DOMAIN("", DISK("/var/lib/libvirt/images/../../../../etc/shadow"), ""),
        DOMAIN("", DISK("/var/lib/libvirt/qemu/other.img"), ""),
        DOMAIN("", DISK("/srv/.hidden/x"), ""),
        DOMAIN("", DISK("/root/.bashrc"), ""),
        DOMAIN("", "<disk type='file'><source file='" IMAGE "'/><backingStore type='file'><format type='raw'/>"
                   "<source file='/etc/shadow'/></backingStore><target dev='vda'/></disk>", ""),
        DOMAIN("", "<disk type='file'><source file='" IMAGE "'><dataStore type='file'><source file='/etc/shadow'/>"
                   "</dataStore></source><target dev='vda'/></disk>", ""),
        DOMAIN("", "<disk type='dir'><source dir='/etc'/><target dev='vda'/></disk>", ""),
        DOMAIN("", "<disk type='dir'><source dir='/srv'/><target dev='vda'/></disk>", ""),
        DOMAIN("", "<disk type='block'><source dev='/dev/null'/><target dev='vda'/></disk>", ""),
        DOMAIN("", "<disk type='block'><source dev='/dev/../etc/shadow'/><target dev='vda'/></disk>", ""),
        DOMAIN("<kernel>/etc/shadow</kernel>", "", ""),
        DOMAIN("<kernel>etc/shadow</kernel>", "", ""),
        DOMAIN("<initrd>/proc/1/environ</initrd>", "", ""),
        DOMAIN("<nvram>/etc/cron.d/x</nvram>", "", ""),
        DOMAIN("<nvram template='/etc/shadow'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>", "", ""),
        DOMAIN("<nvram template='/var/lib/libvirt/images/not-there.qcow2'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>", "", ""),
        DOMAIN("<nvram template='/etc/made-later.fd'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>", "", ""),
        DOMAIN("<nvram template='/etc/made-later'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>", "", ""),
        DOMAIN("<nvram template='/run/made-later'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>", "", ""),
        DOMAIN("<nvram template='/usr/share/../../etc/made-later'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>", "", ""),
        DOMAIN("<acpi><table type='slic'>/etc/shadow</table></acpi>", "", ""),
        DOMAIN("", "", "<sysinfo type='fwcfg'><entry name='opt/x' file='/etc/shadow'/></sysinfo>"),
        DOMAIN("", "<serial type='file'><source path='/etc/cron.d/x'/></serial>", ""),
        DOMAIN("", "<serial type='pty'><log file='/etc/cron.d/x'/></serial>", ""),
        DOMAIN("", "<serial type='dev'><source path='/dev/sda'/></serial>", ""),
        DOMAIN("", "<channel type='unix'><source path='/run/systemd/private'/></channel>", ""),
        DOMAIN("", "<channel type='unix'><source path='/run/libvirt/libvirt-sock'/></channel>", ""),
        DOMAIN("", "<channel type='unix'><source mode='bind' path='/var/lib/libvirt/qemu/channel/target/domain-7-web/a'/>"
                   "</channel>", ""),
        DOMAIN("", "<serial type='unix'><source mode='connect' path='/var/lib/libvirt/qemu/domain-1-web2/monitor.sock'/>"
                   "</serial>", ""),
        DOMAIN("", "<serial type='unix'><source mode='connect' path='/var/lib/libvirt/qemu/domain-1-web1/monitor.sock'/>"
                   "</serial>", ""),
        DOMAIN("", "<channel type='unix'><source path='/run/libvirt/libvirt-sock-ro'/></channel>", ""),
        DOMAIN("", "<disk type='network'><source protocol='nbd'><host transport='unix' socket='/run/libvirt/virtqemud-sock'/>"
                   "</source><target dev='vda'/></disk>", ""),
        DOMAIN("", "", "<qemu:override><qemu:device alias='net0'><qemu:frontend><qemu:property name='romfile' type='string' "
                       "value='/srv/web2.raw'/></qemu:frontend></qemu:device></qemu:override>"),
        DOMAIN("", "", "<qemu:capabilities><qemu:add capability='x'/></qemu:capabilities>"),
        DOMAIN("", "<filesystem type='mount'><source dir='/etc'/><target dir='tag'/></filesystem>", ""),
        DOMAIN("", "<filesystem type='mount'><binary path='/bin/sh'/><source dir='/srv'/></filesystem>", ""),
        DOMAIN("", "<interface type='ethernet'><script path='/bin/sh'/></interface>", ""),
        DOMAIN("", "<interface type='ethernet'><script path='bin/sh'/></interface>", ""),
        DOMAIN("", "<interface type='hostdev'><source/></interface>", ""),
        DOMAIN("", "<hostdev mode='subsystem' type='pci'><source/></hostdev>", ""),
        DOMAIN("", "<input type='evdev'><source dev='/dev/input/event0'/></input>", ""),
        DOMAIN("", "<rng model='virtio'><backend model='random'>/etc/shadow</backend></rng>", ""),
        DOMAIN("", "<rng model='virtio'><backend model='egd' type='unix'><source path='/run/x'/></backend></rng>", ""),
        DOMAIN("", "<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>", ""),
        DOMAIN("", "<memory model='nvdimm'><source><path>/etc/shadow</path></source></memory>", ""),
        DOMAIN("", "<newdevice what='/etc/shadow'/>", ""),
        DOMAIN("", "<x:disk xmlns:x='urn:x' type='file'><source file='/etc/shadow'/></x:disk>", ""),
        DOMAIN("", "", "<seclabel type='static' model='dac'><label>root:root</label></seclabel>"),
        DOMAIN("", "", "<seclabel type='none'/>"),
        DOMAIN("", "<disk type='file'><source file='" IMAGE "'><seclabel model='dac'><label>root:root</label></seclabel>"
                   "</source><target dev='vda'/></disk>", ""),
        DOMAIN("", "", ARGS(ARG("-drive") ARG("file=/etc/shadow"))),
        DOMAIN("", "", ARGS(ARG("-fw_cfg") ARG("name=opt/x,file=/etc/shadow"))),
        DOMAIN("", "", ARGS(ARG("-object") ARG("memory-backend-file,id=x,mem-path=/etc/shadow"))),
        DOMAIN("", "", ARGS(ARG("-machine") ARG("firmware=/etc/shadow"))),
        DOMAIN("", "", ARGS(ARG("-machine") ARG("q35,kernel=vmlinuz"))),
        DOMAIN("", "", ARGS(ARG("-machine") ARG("dumpdtb=x"))),
        DOMAIN("", "", ARGS(ARG("-boot") ARG("order=c,splash=x"))),
        DOMAIN("", "", ARGS(ARG("-global") ARG("VGA.romfile=x"))),
        DOMAIN("", "", ARGS(ARG("-global") ARG("driver=VGA,property=romfile,value=x"))),
        DOMAIN("", "", ARGS(ARG("-m") ARG("1K") ARG("-snapshot"))),
        DOMAIN("", "", ARGS("<qemu:env name='LD_PRELOAD' value='x'/>")),
    };
    /* clang-format on */
    g_autoptr(drv_admission) admission = drv_admission_new();

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        if (lets_in(admission, bad[i], NULL, NULL))
            g_error("let in: %s", bad[i]);
}

static void test_operator_allows(void)
{
    static const struct {
        const char *line, *xml;
    } cases[] = {
        {"directory /opt/vms", DOMAIN("", DISK("/opt/vms/web1.img"), "")},
        {"emulator /opt/qemu", DOMAIN("", "<emulator>/opt/qemu</emulator>", "")},
        {"host-devices", DOMAIN("", "<hostdev mode='subsystem' type='pci'><source/></hostdev>", "")},
        {"qemu-arguments", DOMAIN("", "", ARGS(ARG("-drive") ARG("file=/x")))},
        {"labels", DOMAIN("", "", "<seclabel type='static' model='dac'><label>a:b</label></seclabel>")},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(drv_admission) admission = drv_admission_new();
        g_autofree char *text = g_strdup_printf("# comment\n\n  %s \n", cases[i].line);
        g_autoptr(GError) error = NULL;

        g_assert_false(lets_in(admission, cases[i].xml, NULL, NULL));
        g_assert_true(drv_admission_parse(admission, text, &error));
        g_assert_no_error(error);
        g_assert_true(lets_in(admission, cases[i].xml, NULL, NULL));
    }
}

static void test_file(void)
{
    static const char *const bad[] = {"everything",        "directory",        "directory vms",
                                      "directory /a/../b", "host-devices yes", NULL};

    for (guint i = 0; bad[i]; i++) {
        g_autoptr(drv_admission) admission = drv_admission_new();
        g_autofree char *text = g_strdup_printf("\n%s\ndirectory /good\n", bad[i]);
        g_autoptr(GError) error = NULL;

        g_assert_false(drv_admission_parse(admission, text, &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "line 2: "));
        g_assert_cmpuint(admission->directories->len, ==, 1); /* what is right still holds */
        g_assert_false(admission->host_devices);
    }
}

static void test_directories(void)
{
    /* clang-format off */
    static const char *const good[] = {"/var/lib/libvirt/images", "/var/lib/libvirt/images/deep", "/var/lib/libvirt/fast",
                                       "/srv", "/data/vms", "/mnt/x", "/home/anna/vms", "/tmp", "/var/tmp", "/run/pool/a"};
    /* clang-format on */
    static const char *const bad[] = {"/",
                                      "/etc",
                                      "/etc/cron.d",
                                      "/var",
                                      "/var/lib",
                                      "/var/lib/libvirt",
                                      "/var/lib/libvirt/qemu",
                                      "/var/lib/libvirt/qemu/nvram",
                                      "/var/lib/libvirt/swtpm/x",
                                      "/var/spool/cron",
                                      "/run",
                                      "/run/poolx",
                                      "/usr/lib",
                                      "/root",
                                      "/home/anna/.ssh",
                                      "/opt",
                                      "/dev/shm",
                                      "/boot",
                                      "/run/pool/.drover-kept",
                                      "/lib64"};
    g_autoptr(drv_admission) admission = drv_admission_new();

    g_ptr_array_add(admission->directories, g_strdup("/run/pool"));
    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        if (!drv_admission_has_directory(admission, good[i]))
            g_error("refused: %s", good[i]);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        if (drv_admission_has_directory(admission, bad[i]))
            g_error("let in: %s", bad[i]);
}

static void test_links(void)
{
    g_autofree char *top = g_dir_make_tmp("admission-XXXXXX", NULL);
    g_autofree char *link = g_build_filename(top, "link", NULL);
    g_autofree char *below = g_build_filename(link, "cron.d", "new", NULL);
    g_autofree char *beside = g_build_filename(top, "new", NULL);
    g_autoptr(drv_admission) admission = drv_admission_new();
    const char *argv[] = {"ln", "-s", "/etc", link, NULL}, *away[] = {"rm", "-r", top, NULL};

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_ptr_array_add(admission->directories, g_strdup(top));
    g_assert_true(drv_admission_check_file(admission, beside, NULL));
    g_assert_false(drv_admission_check_file(admission, below, NULL));
    g_assert_true(g_spawn_sync(NULL, (char **)away, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

/* What was written byte by byte is not read as an image. */
static void test_formats(void)
{
    g_autoptr(drv_admission) admission = drv_admission_new();
    g_autoptr(GHashTable) formats = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) written = g_ptr_array_new_with_free_func(drv_admission_file_free);

    g_hash_table_insert(formats, (gpointer)IMAGE, (gpointer) "qcow2");
    g_assert_true(lets_in(admission, DOMAIN("", DISK(IMAGE), ""), formats, written));
    g_assert_cmpuint(written->len, ==, 1);
    g_assert_cmpstr(((drv_admission_file *)written->pdata[0])->path, ==, IMAGE);
    g_hash_table_insert(formats, (gpointer)IMAGE, (gpointer) "raw");
    g_assert_false(lets_in(admission, DOMAIN("", DISK(IMAGE), ""), formats, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/admission/lets-in", test_lets_in);
    g_test_add_func("/admission/keeps-out", test_keeps_out);
    g_test_add_func("/admission/operator-allows", test_operator_allows);
    g_test_add_func("/admission/file", test_file);
    g_test_add_func("/admission/directories", test_directories);
    g_test_add_func("/admission/links", test_links);
    g_test_add_func("/admission/formats", test_formats);
    return g_test_run();
}
