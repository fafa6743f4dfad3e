# SPDX-License-Identifier: Apache-2.0
"""
A dry run and a real move look at the same things, and all that is wrong is said at once. The hosts of a
lab share one kernel: what they differ in here is their network, files, and libvirt.
"""
import contextlib
import os
import re
import socket
from typing import Any, Iterator

import pytest

from conftest import VM, Guest
from disks import disk_xml, make_pool
from lab import IMAGES, Lab, wait_until

REFUSED, NOT_FOUND = 4, 3
ADMISSION = "/etc/drover/admission"
QEMU_CONF = "/etc/libvirt/qemu.conf"
# No host that runs this test has them.
PROCESSOR, NODE = 1001, 101
# Of h1 alone, where a test says so.
SCREEN = "10.9.9.9"


def check(lab: Lab, on: str, *words: str) -> dict[str, Any]:
    """The report of a dry run; its exit code agrees with it."""
    ended = lab.drover(on, "migrate", *words, "--check", "--json")
    report: dict[str, Any] = ended.json()
    assert ended.code == (0 if report["ok"] else REFUSED), ended
    assert set(report) == {"vm", "source", "target", "ok", "checks", "predicted"}, report
    return report


def found(report: dict[str, Any], status: str) -> dict[str, str]:
    """Names of the checks with that status → all that they say."""
    said: dict[str, str] = {}
    for entry in report["checks"]:
        if entry["status"] == status:
            said[entry["name"]] = f"{said.get(entry['name'], '')}{entry['message']}\n{entry['remedy']}\n"
    return said


def everything(lab: Lab) -> dict[str, Any]:
    """All that a move would change."""
    return {on: (lab.stored(on, "job"), lab.stored(on, "plan"), lab.stored(on, "session"),
                 lab.sessions(on), lab.pids(on, "drover-relay"),
                 {f.name: (f.stat().st_ino, f.stat().st_size)
                  for f in lab.path(on, IMAGES).iterdir()},
                 sorted(lab.virsh(on, "list", "--all", "--name").split()))
            for on in lab.hosts}


@contextlib.contextmanager
def lock_manager(lab: Lab, on: str, name: str) -> Iterator[None]:
    """As after an edit of the file. libvirtd is not restarted: nothing is run under it."""
    file = lab.path(on, QEMU_CONF)
    before = file.read_text()
    file.write_text(f'{before}\nlock_manager = "{name}"\n')
    try:
        yield
    finally:
        file.write_text(before)


def define(lab: Lab, on: str, name: str, inside: str = "", devices: str = "", mib: int = 64) -> None:
    path = f"/run/{name}.xml"
    lab.path(on, path).write_text(
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>{mib}</memory>{inside}"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<devices>{devices}</devices></domain>")
    lab.virsh(on, "define", path)


@pytest.fixture
def off(lab: Lab, web: Guest) -> Iterator[str]:
    """A name for a VM that is shut off; a bridge and an address that h1 alone has."""
    lab.run("h1", "ip", "link", "add", "lone", "type", "bridge")
    lab.run("h1", "ip", "address", "add", f"{SCREEN}/32", "dev", "lo")
    try:
        yield "off"
    finally:
        lab.run("h1", "ip", "link", "del", "lone")
        lab.run("h1", "ip", "address", "del", f"{SCREEN}/32", "dev", "lo")
        lab.remove_guest("off")


def test_a_guest_that_can_move(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    before = everything(lab)
    report = check(lab, source, VM, target)
    assert (report["vm"], report["source"], report["target"]) == (VM, source, target)
    assert report["ok"] and not found(report, "problem") and not found(report, "warning"), report
    ok = found(report, "ok")
    assert "pc-q35" in ok["machine-type"] and target in ok["machine-type"]
    assert lab.address(target) in ok["links"] and "7443" in ok["links"]
    for name in ("state", "clock", "cpu", "qemu-version", "memory", "disks", "disk-room", "cold-start",
                 "others", "networks", "permissions", "existing-vm", "leftovers", "lock-manager", "devices"):
        assert name in ok, (name, report)
    assert set(found(report, "skipped")) == {"hugepages", "pinning", "numa", "graphics", "firmware", "tpm",
                                             "snapshots", "post-copy"}
    assert {"host-uuid", "needs"} <= set(ok), ok

    for words in ((VM,), (VM, target), (VM, target, "--method", "pre-copy", "--bandwidth", "80mbit")):
        ended = lab.drover(target, "migrate", *words, "--check")
        assert ended.code == 0 and ended.err == "", ended
        assert f"{VM} can move from {source} to {target}" in ended.out.splitlines()
    # Asked by REST: there is no plan that could be applied.
    status, plan = lab.api(source).ask("POST", "/v1/plans",
                                       {"goal": "migrate", "vm": VM, "check": True})
    assert status == 200 and plan["id"] is None and plan["state"] == "ready", plan
    assert everything(lab) == before
    assert lab.state(VM, source) == "running"


def test_nothing_to_look_at(lab: Lab, web: Guest) -> None:
    ended = lab.drover("h1", "migrate", "nosuch", "--check", "--json")
    assert ended.code == NOT_FOUND, ended
    assert ended.json()["checks"] == [] and "nosuch" in ended.json()["error"]


def test_all_that_is_wrong_is_said_at_once(lab: Lab, off: str) -> None:
    """And the real command says the same, and changes nothing either."""
    image = f"{IMAGES}/{off}.raw"
    more_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1 << 20) + 1024
    define(lab, "h1", off,
           "<memoryBacking><hugepages/></memoryBacking><vcpu>1</vcpu>"
           f"<cputune><vcpupin vcpu='0' cpuset='{PROCESSOR}'/></cputune>"
           f"<numatune><memory mode='strict' nodeset='{NODE}'/></numatune>"
           "<cpu mode='custom' match='exact' check='partial'><model fallback='forbid'>qemu64</model>"
           "<feature policy='require' name='avx512f'/><feature policy='require' name='avx512bw'/></cpu>",
           disk_xml("vda", image) +
           f"<graphics type='vnc' port='-1' listen='{SCREEN}'/>"
           "<interface type='bridge'><source bridge='lone'/><model type='virtio'/></interface>",
           mib=more_mib)
    for on in lab.hosts:
        lab.path(on, image).write_bytes(on.encode() * 4096)
    define(lab, "h2", off)
    uuid = lab.virsh("h1", "domuuid", off)  # the name alone stands for both
    wanted = {
        "cpu": ("avx512f", "avx512bw", "hypervisor-cpu-baseline"),
        "hugepages": ("huge pages", "allocpages", "mount -t hugetlbfs"),
        "pinning": (f"vCPU 0 to {PROCESSOR}", "vcpupin"),
        "numa": (f"no node {NODE}", "<numatune>"),
        "graphics": (f"vnc listens on {SCREEN}", "0.0.0.0"),
        "networks": ("no bridge lone", "--map-network lone="),
        "disks": (image, "exists on h2", "move it away"),
        "existing-vm": (f"name {off}", "undefine or rename"),
    }
    before = everything(lab)
    with lock_manager(lab, "h2", "lockd"):
        report = check(lab, "h1", uuid, "h2", "--offline")
        problems = found(report, "problem")
        assert set(problems) == set(wanted), report
        for name, words in wanted.items():
            for word in words:
                assert word in problems[name], (name, word, problems[name])
        assert set(found(report, "warning")) == {"lock-manager", "memory"}
        assert all(e["remedy"] for e in report["checks"] if e["status"] in ("problem", "warning"))

        table = lab.drover("h2", "migrate", uuid, "h2", "--offline", "--check")
        assert table.code == REFUSED, table
        # Of huge pages both is said: that there are none, and that no file system for them is mounted.
        assert table.out.splitlines()[-1] == f"{off} cannot move to h2: {len(wanted) + 1} problems"
        assert table.out.count("to do: ") == len(wanted) + 3

        for options in (("--offline",), (), ("--offline", "--no-wait")):
            real = lab.drover("h1", "migrate", uuid, "h2", *options)
            assert real.code == REFUSED and real.err.count("\n") == 1, real
            for name, words in wanted.items():
                for word in words:
                    assert word in real.err, (name, word, real)
    assert everything(lab) == before

    # One after the other is put right, until it can move.
    lab.virsh("h2", "undefine", off)
    lab.path("h2", image).unlink()
    lab.run("h2", "ip", "link", "add", "lone", "type", "bridge")
    lab.run("h2", "ip", "address", "add", f"{SCREEN}/32", "dev", "lo")
    try:
        assert set(found(check(lab, "h1", off, "h2"), "problem")) == {"cpu", "hugepages", "pinning",
                                                                     "numa"}
    finally:
        lab.run("h2", "ip", "link", "del", "lone")
        lab.run("h2", "ip", "address", "del", f"{SCREEN}/32", "dev", "lo")


def listen(lab: Lab, on: str, port: int) -> socket.socket:
    def bind() -> socket.socket:
        it = socket.socket()
        it.bind(("127.0.0.1", port))
        it.listen()
        return it
    return lab.in_netns(on, bind)


def test_what_a_definition_names(lab: Lab, web: Guest) -> None:
    """Paths, ports and secrets that libvirt looks at only when the VM is there already: seen before."""
    vm, secret, own = "named", "5f1b0000-0000-4000-8000-000000000001", "/var/lib/libvirt/named"
    volume, directory = f"{own}/secret.qcow2", lab.path("h1", own)
    lab.run("h1", "mkdir", "-p", f"{own}/logs", f"{own}/run")
    (directory / "fw.bin").write_bytes(b"of h1")
    xml = (f"<secret ephemeral='no' private='no'><uuid>{secret}</uuid>"
           f"<usage type='volume'><volume>{volume}</volume></usage></secret>")

    def give_secret(on: str) -> None:
        lab.path(on, "/run/secret.xml").write_text(xml)
        lab.virsh(on, "secret-define", "/run/secret.xml")
        lab.virsh(on, "secret-set-value", secret, "c2VjcmV0")  # "secret"

    give_secret("h1")
    lab.run("h1", "qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=secret", "-o",
            "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", volume, "1M")
    define_named = (
        f"<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>{vm}</name>"
        "<memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='{volume}'>"
        f"<encryption format='luks'><secret type='passphrase' uuid='{secret}'/></encryption></source>"
        "<target dev='vda' bus='virtio'/><readonly/></disk>"
        f"<serial type='file'><source path='{own}/logs/serial.log'/><log file='{own}/logs/copy.log'/></serial>"
        "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='5555' tls='no'/>"
        "<protocol type='raw'/></serial>"
        f"<channel type='unix'><source mode='bind' path='{own}/run/agent.sock'/>"
        "<target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        "<graphics type='vnc' port='-1' autoport='yes' websocket='5777' listen='127.0.0.1'/></devices>"
        f"<qemu:commandline><qemu:arg value='-fw_cfg'/><qemu:arg value='name=opt/a,file={own}/fw.bin'/>"
        "</qemu:commandline></domain>")
    lab.path("h1", f"/run/{vm}.xml").write_text(define_named)
    lab.virsh("h1", "create", f"/run/{vm}.xml", "--paused")
    try:
        with listen(lab, "h2", 5555), listen(lab, "h2", 5777):
            before = everything(lab)
            problems = found(check(lab, "h1", vm, "h2"), "problem")
            assert set(problems) == {"needs", "graphics", "disks", "admission"}, problems
            for words in (f"mkdir -p {own}/logs", f"{own}/logs/copy.log", f"{own}/run/agent.sock", "port 5555",
                          secret, "secret-set-value", f"the file {own}/fw.bin, which -fw_cfg needs"):
                assert words in problems["needs"], (words, problems)
            assert "port 5777" in problems["graphics"] and "mkdir -p" in problems["disks"]
            ended = lab.drover("h1", "migrate", vm, "h2")
            assert ended.code == REFUSED and "port 5555" in ended.err, ended
            assert everything(lab) == before
        lab.run("h2", "mkdir", "-p", f"{own}/logs", f"{own}/run")
        lab.path("h2", f"{own}/fw.bin").write_bytes(b"of h1")
        give_secret("h2")
        refused = found(check(lab, "h1", vm, "h2"), "problem")
        assert set(refused) == {"admission"} and "write the line qemu-arguments" in refused["admission"], refused
        ended = lab.drover("h1", "migrate", vm, "h2")
        assert ended.code == REFUSED and "qemu-arguments" in ended.err, ended
        lab.path("h2", ADMISSION).write_text("qemu-arguments\n")
        report = check(lab, "h1", vm, "h2")
        assert report["ok"] and {"needs", "graphics"} <= set(found(report, "ok")), report
        assert lab.drover("h1", "migrate", vm, "h2", "--quiet").code == 0
        assert lab.where(vm) == ["h2"]
    finally:
        for on in lab.hosts:
            lab.virsh(on, "destroy", vm, check=False)
            lab.virsh(on, "secret-undefine", secret, check=False)
            lab.run(on, "rm", "-rf", own, ADMISSION)


def test_a_disk_that_kills_the_target_s_qemu(lab: Lab, web: Guest) -> None:
    """QEMU before 9.0: an I/O thread of a virtio-scsi controller, and a copied disk on it."""
    vm, image = "scsi", f"{IMAGES}/scsi.raw"
    lab.path("h1", image).write_bytes(bytes(1 << 20))
    lab.path("h1", f"/run/{vm}.xml").write_text(
        f"<domain type='qemu'><name>{vm}</name><memory unit='MiB'>64</memory><iothreads>1</iothreads>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        "<controller type='scsi' index='0' model='virtio-scsi'><driver iothread='1'/></controller>"
        + disk_xml("sda", image).replace("bus='sata'", "bus='scsi'") + "</devices></domain>")
    lab.virsh("h1", "create", f"/run/{vm}.xml", "--paused")
    try:
        version = lab.run("h1", "qemu-system-x86_64", "--version").out
        old = int(re.search(r"version (\d+)", version).group(1)) < 9  # type: ignore[union-attr]
        problems = found(check(lab, "h1", vm, "h2"), "problem")
        assert set(problems) == ({"devices"} if old else set()), problems
        if old:
            assert "disk sda" in problems["devices"] and "--offline" in problems["devices"]
    finally:
        lab.virsh("h1", "destroy", vm)
        lab.path("h1", image).unlink()


def test_live_and_not_live(lab: Lab, web: Guest) -> None:
    """The way matters: libvirt refuses between lock managers live only, and so on."""
    source, target = web.host, web.other
    with lock_manager(lab, target, "lockd"):
        said = found(check(lab, source, VM, target), "problem")
        assert set(said) == {"lock-manager"} and "lockd" in said["lock-manager"]
        both = found(check(lab, source, VM, target, "--offline"), "problem")
        assert set(both) == {"state"} and "shut it down" in both["state"]
    image = lab.path(target, f"{IMAGES}/{VM}-data.raw")
    image.write_bytes(b"in the way")
    try:
        assert set(found(check(lab, source, VM, target), "problem")) == {"disks"}
        assert check(lab, source, VM, target, "--target-pool", "nosuch")["ok"] is False
    finally:
        image.unlink()


def test_a_directory_that_qemu_cannot_enter(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    lab.run(target, "mkdir", "-p", "-m", "0700", "/var/lib/libvirt/closed")
    make_pool(lab, target, "closed", "/var/lib/libvirt/closed/images")
    try:
        said = found(check(lab, source, VM, target, "--target-pool", "closed"), "problem")
        assert set(said) == {"permissions"} and "chmod o+x" in said["permissions"]
        lab.run(target, "chmod", "o+x", "/var/lib/libvirt/closed")
        assert check(lab, source, VM, target, "--target-pool", "closed")["ok"]
    finally:
        lab.virsh(target, "pool-destroy", "closed")
        lab.run(target, "rm", "-r", "/var/lib/libvirt/closed")


def test_warnings_are_said_and_do_not_stop_it(lab: Lab, off: str) -> None:
    define(lab, "h1", off)
    with lock_manager(lab, "h2", "lockd"):
        ended = lab.drover("h1", "migrate", off, "h2", "--quiet")
    assert ended.code == 0, ended
    assert "warning: nop at h1, lockd at h2" in ended.err and "qemu.conf" in ended.err
    assert lab.where(off) == ["h2"]


def test_the_target_looks_again(lab: Lab, off: str) -> None:
    """What was true when the plan was made need not be when its move begins."""
    define(lab, "h1", off)
    api = lab.api("h1")
    status, plan = api.ask("POST", "/v1/plans", {"goal": "migrate", "vm": off, "target": "h2"})
    assert status == 200 and plan["state"] == "ready", plan
    assert {e["status"] for e in plan["checks"]} == {"ok", "skipped"}, plan["checks"]
    define(lab, "h2", off)
    status, applied = api.ask("POST", f"/v1/plans/{plan['id']}/apply")
    assert status == 200, applied
    job = applied["jobs"][0]
    wait_until(lambda: lab.job(job)["ended"], "the job ends")
    ended = lab.job(job)
    assert ended["state"] in ("failed", "rolled-back"), ended
    assert f"{off} cannot go to h2" in ended["error"] and "undefine or rename" in ended["error"], ended
    assert lab.where(off) == ["h1", "h2"]
