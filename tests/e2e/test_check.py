# SPDX-License-Identifier: Apache-2.0
"""
A dry run and a real move look at the same things, and all that is wrong is said at once. The hosts of a
lab share one kernel: what they differ in here is their network, files, and libvirt.
"""
import contextlib
import os
from typing import Any, Iterator

import pytest

from conftest import VM, Guest
from disks import disk_xml, make_pool
from lab import IMAGES, Lab, wait_until

REFUSED, NOT_FOUND = 4, 3
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
    for name in ("state", "clock", "cpu", "qemu-version", "memory", "disks", "disk-room", "networks",
                 "permissions", "existing-vm", "leftovers", "lock-manager", "devices"):
        assert name in ok, (name, report)
    assert set(found(report, "skipped")) == {"hugepages", "pinning", "numa", "graphics", "firmware", "tpm",
                                             "snapshots", "post-copy"}

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
        "hugepages": ("huge pages", "allocpages"),
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
        assert set(found(report, "warning")) == {"lock-manager"}
        assert all(e["remedy"] for e in report["checks"] if e["status"] in ("problem", "warning"))

        table = lab.drover("h2", "migrate", uuid, "h2", "--offline", "--check")
        assert table.code == REFUSED, table
        assert table.out.splitlines()[-1] == f"{off} cannot move to h2: {len(wanted)} problems"
        assert table.out.count("to do: ") == len(wanted) + 1

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
