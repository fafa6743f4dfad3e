/* SPDX-License-Identifier: Apache-2.0 */
/* What a definition needs of its host, and what libvirt's texts say. */
#include <string.h>

#include "hyper/machine-xml.h"
#include "hyper/machine.h"

#define DOMAIN(inside) "<domain type='kvm'><name>a</name><memory unit='MiB'>64</memory>" inside "</domain>"

static drv_machine *machine_of(const char *xml)
{
    g_autoptr(GError) error = NULL;
    drv_machine *machine = drv_machine_from_xml(xml, &error);

    g_assert_no_error(error);
    return machine;
}

static void test_whole(void)
{
    g_autoptr(drv_machine) machine = machine_of(
        DOMAIN("<vcpu placement='static' cpuset='0-3'>2</vcpu>"
               "<cputune><vcpupin vcpu='1' cpuset='63'/><emulatorpin cpuset='2'/><iothreadpin iothread='4' "
               "cpuset='5'/><shares>7</shares></cputune>"
               "<numatune><memory mode='strict' nodeset='1'/><memnode cellid='0' mode='preferred' nodeset='7'/>"
               "</numatune><memoryBacking><hugepages><page size='1' unit='GiB' nodeset='1'/><page size='2048'/>"
               "</hugepages></memoryBacking>"
               "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
               "<cpu mode='custom' check='full'><model>EPYC</model><feature name='aes' policy='require'/><numa>"
               "<cell id='0' memory='32768' unit='KiB'/><cell id='1' memory='2' unit='GiB'/></numa></cpu>"
               "<devices><emulator>/usr/bin/qemu</emulator></devices>"
               "<seclabel type='static' model='dac'><label>root:root</label></seclabel>"));
    const drv_pin *pin;
    const drv_pages *pages;

    g_assert_cmpstr(machine->virt_type, ==, "kvm");
    g_assert_cmpstr(machine->arch, ==, "x86_64");
    g_assert_cmpstr(machine->type, ==, "pc-q35-7.2");
    g_assert_cmpstr(machine->emulator, ==, "/usr/bin/qemu");
    g_assert_cmpstr(machine->cpu_name, ==, "EPYC");
    g_assert_cmpstr(machine->cpu_check, ==, "full");
    g_assert_true(g_str_has_prefix(machine->cpu, "<cpu ") && strstr(machine->cpu, "aes"));
    g_assert_cmpuint(machine->pins->len, ==, 4);
    pin = machine->pins->pdata[1];
    g_assert_cmpstr(pin->what, ==, "vCPU 1");
    g_assert_cmpstr(pin->cpus, ==, "63");
    g_assert_cmpstr(machine->nodes, ==, "1,7");
    g_assert_true(machine->nodes_strict);
    g_assert_true(machine->own_label);
    g_assert_cmpuint(machine->pages->len, ==, 2);
    pages = machine->pages->pdata[0];
    g_assert_cmpuint(pages->size_kib, ==, 2048);
    g_assert_cmpuint(pages->bytes, ==, 32 << 20);
    pages = machine->pages->pdata[1];
    g_assert_cmpuint(pages->size_kib, ==, 1 << 20);
    g_assert_cmpuint(pages->bytes, ==, G_GUINT64_CONSTANT(2) << 30);
}

static void test_little(void)
{
    g_autoptr(drv_machine) machine = machine_of(DOMAIN("<cpu mode='host-passthrough'/>"
                                                       "<vcpu placement='auto' cpuset='0-7'>1</vcpu>"
                                                       "<memoryBacking><hugepages/></memoryBacking>"));
    g_autoptr(drv_machine) empty = machine_of("<domain/>");
    g_autoptr(GError) error = NULL;
    const drv_pages *pages = machine->pages->pdata[0];

    g_assert_null(machine->cpu);
    g_assert_cmpstr(machine->cpu_name, ==, "host-passthrough");
    g_assert_true(machine->cpu_of_host);
    g_assert_cmpuint(machine->pins->len, ==, 0);
    g_assert_cmpuint(pages->size_kib, ==, 0);
    g_assert_cmpuint(pages->bytes, ==, 64 << 20);
    g_assert_null(machine->nodes);
    g_assert_null(empty->cpu);
    g_assert_null(drv_machine_from_xml("<network/>", &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
}

static void test_missing_features(void)
{
    g_autoptr(GPtrArray) two = drv_cpu_missing_features(
        "the CPU is incompatible with host CPU: Host CPU does not provide required features: avx512f, "
        "avx512bw");
    g_autoptr(GPtrArray) none = drv_cpu_missing_features("host CPU vendor does not match");

    g_assert_cmpuint(two->len, ==, 2);
    g_assert_cmpstr(two->pdata[0], ==, "avx512f");
    g_assert_cmpstr(two->pdata[1], ==, "avx512bw");
    g_assert_cmpuint(none->len, ==, 0);
}

static void test_capabilities(void)
{
    g_autofree char *cpu = drv_cpu_from_capabilities(
        "<domainCapabilities><cpu><mode name='host-passthrough' supported='yes'/>"
        "<mode name='host-model' supported='yes'><model>EPYC</model><feature policy='require' "
        "name='aes'/></mode></cpu></domainCapabilities>");

    g_assert_cmpstr(cpu, ==,
                    "<cpu mode=\"custom\" match=\"exact\"><model>EPYC</model><feature "
                    "policy=\"require\" name=\"aes\"/></cpu>");
    g_assert_null(drv_cpu_from_capabilities("<domainCapabilities/>"));
    g_assert_null(drv_cpu_from_capabilities("no XML"));
}

static void test_qemu_conf(void)
{
    static const char text[] = "# user = \"root\"\nuser_x = \"no\"\n  lock_manager=\"lockd\"\nuser = \"qemu\"\n"
                               "max = 12 # many\n";
    g_autofree char *lock = drv_qemu_conf_value(text, "lock_manager");
    g_autofree char *user = drv_qemu_conf_value(text, "user");
    g_autofree char *max = drv_qemu_conf_value(text, "max");

    g_assert_cmpstr(lock, ==, "lockd");
    g_assert_cmpstr(user, ==, "qemu");
    g_assert_cmpstr(max, ==, "12");
    g_assert_null(drv_qemu_conf_value(text, "group"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hyper/machine/whole", test_whole);
    g_test_add_func("/hyper/machine/little", test_little);
    g_test_add_func("/hyper/machine/missing-features", test_missing_features);
    g_test_add_func("/hyper/machine/capabilities", test_capabilities);
    g_test_add_func("/hyper/machine/qemu-conf", test_qemu_conf);
    return g_test_run();
}
