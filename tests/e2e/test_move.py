# SPDX-License-Identifier: Apache-2.0
"""Moves that succeed, and what is true afterwards."""
import xml.etree.ElementTree as ET

import pytest

from conftest import VM, Guest
from lab import IMAGES, Lab, wait_until

REPORT = {"vm", "source", "target", "method", "outcome", "total_ms", "pause_ms",
          "allowed_pause_ms", "memory_bytes", "qemu_bytes", "wire_bytes", "disk_bytes",
          "disk_wire_bytes", "seed_bytes", "from_disk_bytes", "recycled_bytes", "predicted", "seen_before", "stays", "copy_ms",
          "fixed_ms", "link_bps", "rounds",
          "ladder", "error"}


def check_report(report: dict, vm: str, source: str, target: str, memory_mib: int) -> None:
    assert set(report) == REPORT
    assert (report["vm"], report["source"], report["target"]) == (vm, source, target)
    assert (report["method"], report["outcome"], report["error"]) == ("pre-copy", "done", None)
    assert report["memory_bytes"] == memory_mib << 20
    assert report["qemu_bytes"] > 0
    # Of what QEMU says only what is new goes over the wire, with framing and encryption around it.
    assert 0 < report["wire_bytes"] < report["qemu_bytes"]
    assert report["rounds"] >= 1
    assert 0 <= report["pause_ms"] <= report["total_ms"]


def test_there_and_back(lab: Lab, web: Guest) -> None:
    for _ in range(2):
        source, target = web.host, web.other
        data = web.data_on(source)
        with lab.watching(VM) as watch:
            ended = lab.drover(source, "migrate", VM, target, "--json")
        assert ended.code == 0, ended
        report = ended.json()
        check_report(report, VM, source, target, 160)
        assert report["disk_bytes"] >= len(web.filling)
        # What the guest has read of its disk goes over the wire once.
        assert 0 < report["disk_wire_bytes"] <= report["disk_bytes"]
        assert report["from_disk_bytes"] % 4096 == 0
        watch.assert_unharmed()
        assert watch.seen["disk"]["acknowledged"] > 0

        assert lab.where(VM) == [target]
        assert lab.state(VM, target) == "running"
        assert VM in lab.virsh(target, "list", "--persistent", "--name").split()
        web.assert_clean(on=target)
        assert data == web.filling == web.data_on(target)

        # Both nodes tell the same story, of this job and of all.
        job = next(j for j in reversed(lab.drover(source, "jobs", "--json").json()["jobs"])
                   if j["vm"] == VM)
        assert job["state"] == "done" and job["ended"] and job["report"] == report
        assert job["progress"]["percent"] == 100
        for at in lab.hosts:
            shown = lab.drover(at, "job", job["id"], "--json")
            assert shown.code == 0 and shown.json() == job
            assert job["id"] in lab.drover(at, "jobs").out
        followed = lab.drover(target, "job", job["id"], "--follow", "--json")
        assert followed.code == 0 and followed.json() == report
        assert lab.drover(target, "vm", "list", "--json").json()["vms"][0]["job"] is None


def test_without_a_node_one_is_chosen(lab: Lab, web: Guest) -> None:
    target = web.other
    ended = lab.drover(web.host, "migrate", VM, "--json")
    assert ended.code == 0, ended
    assert ended.json()["target"] == target
    assert lab.where(VM) == [target]


def test_asked_of_the_target(lab: Lab, web: Guest) -> None:
    """Any node takes the order; the job is the source's."""
    source, target = web.host, web.other
    ended = lab.drover(target, "migrate", VM, target, "--json")
    assert ended.code == 0, ended
    assert lab.where(VM) == [target]
    assert lab.drover(target, "jobs", "--json").json()["jobs"][-1]["id"].startswith(source)


def test_by_uuid(lab: Lab, web: Guest) -> None:
    target = web.other
    uuid = lab.virsh(web.host, "domuuid", VM)
    ended = lab.drover(web.host, "migrate", uuid, target, "--json")
    assert ended.code == 0, ended
    assert ended.json()["vm"] == VM
    assert lab.where(VM) == [target]


def test_two_processors(lab: Lab) -> None:
    vm = "duo"
    try:
        lab.guest(vm, "h1", memory=160, work=48, dirty=1, vcpus=2, disk="0")
        for source, target in (("h1", "h2"), ("h2", "h1")):
            with lab.watching(vm) as watch:
                lab.move(vm, source, target)
            watch.assert_unharmed()
            assert lab.virsh(target, "vcpucount", vm, "--current", "--live") == "2"
        lab.wait_clean({"h1": (vm,), "h2": ()})
    finally:
        lab.remove_guest(vm)


def test_paused_by_its_user_stays_paused(lab: Lab, web: Guest) -> None:
    source, target = web.host, web.other
    lab.virsh(source, "suspend", VM)
    try:
        ended = lab.drover(source, "migrate", VM, target, "--json")
        assert ended.code == 0, ended
        assert lab.where(VM) == [target]
        assert lab.state(VM, target) == "paused"
        web.assert_clean(on=target)
    finally:
        lab.virsh(web.host, "resume", VM)
    with lab.watching(VM) as watch:
        pass
    watch.assert_unharmed()


def test_in_opposite_directions_at_once(lab: Lab, web: Guest) -> None:
    first, second = web.host, web.other
    lab.guest("bare", second, memory=128, disk=0)
    try:
        with lab.watching(VM) as one, lab.watching("bare") as two:
            moves = [lab.begin(VM, first, second), lab.begin("bare", second, first)]
            for move in moves:
                ended = move.wait()
                assert ended.code == 0, ended
        one.assert_unharmed()
        two.assert_unharmed()
        assert lab.where(VM) == [second] and lab.where("bare") == [first]
        assert two.seen["disk"] is None
        lab.wait_clean({first: ("bare",), second: (VM,)})
    finally:
        lab.remove_guest("bare")


def test_with_a_qcow2_disk(lab: Lab, web: Guest) -> None:
    lab.guest("cow", "h1", memory=128, disk="64M", disk_format="qcow2", records=50)
    try:
        with lab.watching("cow") as watch:
            report = lab.move("cow", "h1", "h2")
        watch.assert_unharmed()
        assert watch.seen["disk"]["acknowledged"] > 0
        assert report["disk_bytes"] > 0
        lab.wait_clean({h: ("cow",) if h == "h2" else () for h in lab.hosts if h != web.host})
        image = f"{IMAGES}/cow.qcow2"
        info = lab.run("h2", "qemu-img", "info", "-U", "--output=json", image).json()
        assert info["format"] == "qcow2"
        assert info["virtual-size"] == 64 << 20
    finally:
        lab.remove_guest("cow")


def test_the_definition_goes_along(lab: Lab, web: Guest) -> None:
    """What the guest will be after its next start is the same at the target."""
    source, target = web.host, web.other
    before = lab.virsh(source, "dumpxml", "--inactive", VM)
    lab.move(VM, source, target)
    after = lab.virsh(target, "dumpxml", "--inactive", VM)
    assert ET.canonicalize(before, strip_text=True) == ET.canonicalize(after, strip_text=True)


@pytest.mark.parametrize("option,wrong", [("--max-pause", "yesterday"), ("--bandwidth", "-1"),
                                          ("--colour", "red")])
def test_wrong_usage(lab: Lab, option: str, wrong: str) -> None:
    ended = lab.drover("h1", "migrate", VM, "h2", option, wrong)
    assert ended.code == 2, ended
    assert option in ended.err


def test_a_second_move_of_a_moving_vm_is_refused(lab: Lab, slow: Guest) -> None:
    source, target = slow.host, slow.other
    move = lab.begin(VM, source, target)
    move.until("copying-disks", "copying-memory", wire_bytes=1 << 20)
    second = lab.drover(target, "migrate", VM, target)
    assert second.code == 4, second
    lab.rate("none")
    ended = move.wait()
    assert ended.code == 0, ended
    wait_until(lambda: lab.where(VM) == [target], "it arrives")
