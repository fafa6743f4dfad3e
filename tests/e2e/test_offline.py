# SPDX-License-Identifier: Apache-2.0
"""VMs that are shut off: all of it arrives, and until it has the source keeps it."""
import os
from typing import Iterator

import pytest

from disks import (IMAGES, add_devices, allocated, disk_xml, image_info, migrate, refused, sources,
                   with_data_file)
from lab import Lab, wait_until

MIB = 1 << 20


@pytest.fixture
def vm(lab: Lab) -> Iterator[str]:
    for on in lab.hosts:
        lab.link(on, "--up", "--rate", "none")
    yield "o"
    for on in lab.hosts:
        lab.virsh(on, "destroy", "o", check=False)
        lab.virsh(on, "undefine", "o", "--snapshots-metadata", "--checkpoints-metadata", check=False)
    lab.remove_guest("o")


def define_off(lab: Lab, vm: str, on: str, *disks: str, memory: int = 128) -> None:
    """A VM that need never run."""
    lab.path(on, f"/run/{vm}.xml").write_text(
        f"<domain type='qemu'><name>{vm}</name><title>Asleep</title>"
        f"<memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<devices>{''.join(disks)}</devices></domain>")
    lab.virsh(on, "define", f"/run/{vm}.xml")


def test_chain_snapshots_and_flags(lab: Lab, vm: str) -> None:
    """Images go as they are: their chain, the snapshots in them, holes and odd lengths."""
    base, top, odd = (f"{IMAGES}/{vm}-{name}" for name in ("base.qcow2", "top.qcow2", "odd.raw"))
    lab.run("h1", "qemu-img", "create", "-q", "-f", "qcow2", base, "24M")
    lab.run("h1", "qemu-io", "-c", "write -P 5 1M 2M", base)
    lab.run("h1", "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top)
    lab.run("h1", "qemu-io", "-c", "write -P 6 8M 1M", top)
    file = lab.path("h1", odd)
    with file.open("wb") as out:
        out.write(os.urandom(100_001))
        out.truncate(32 * MIB)
        out.seek(30 * MIB + 77)
        out.write(b"end")
    define_off(lab, vm, "h1", disk_xml("vda", top, "qcow2"))
    lab.virsh("h1", "snapshot-create-as", vm, "first")
    lab.virsh("h1", "snapshot-create-as", vm, "second")
    # Added now, for a raw image cannot hold a snapshot.
    add_devices(lab, vm, "h1", disk_xml("vdb", odd), start=False)
    xml = lab.virsh("h1", "dumpxml", vm)
    lab.virsh("h1", "autostart", vm)
    before = {p: lab.path("h1", p).read_bytes() for p in (base, top, odd)}
    report = migrate(lab, "h1", vm, "h2")
    assert report["method"] == "offline" and report["pause_ms"] is None
    assert lab.where(vm) == ["h2"] and lab.state(vm, "h2") == "shut off"
    assert {p: lab.path("h2", p).read_bytes() for p in before} == before
    assert allocated(lab.path("h2", odd)) <= 256 << 10
    assert image_info(lab, "h2", top)["backing-filename"] == base
    assert lab.virsh("h2", "snapshot-list", vm, "--name").split() == ["first", "second"]
    assert lab.virsh("h2", "snapshot-current", vm, "--name") == "second"
    assert "Autostart:      enable" in lab.virsh("h2", "dominfo", vm)
    assert lab.virsh("h2", "dumpxml", vm) == xml
    # The base may be another VM's base, too: it stays. The rest is gone.
    assert [f.name for f in lab.path("h1", IMAGES).glob(f"{vm}-*")] == [f"{vm}-base.qcow2"]
    lab.wait_clean({"h1": (vm,), "h2": (vm,)})

    # Back: the base that is there already is the same and is kept.
    kept = lab.path("h1", base).stat().st_mtime_ns
    migrate(lab, "h2", vm, "h1", "--offline")
    assert lab.path("h1", base).stat().st_mtime_ns == kept
    assert {p: lab.path("h1", p).read_bytes() for p in before} == before
    assert "first" in lab.run("h1", "qemu-img", "snapshot", "-l", top).out
    # Another base in its place is found out.
    lab.run("h2", "qemu-io", "-c", "write -P 9 0 64k", base)
    assert base in refused(lab, "h1", vm, "h2")
    lab.path("h2", base).unlink()


def test_its_disk_is_whole(lab: Lab, vm: str) -> None:
    """What the witness wrote before it was shut down is there when it starts at the target."""
    lab.guest(vm, "h1", memory=128, work=16, disk="16M", records=50)
    assert "--offline" in refused(lab, "h1", vm, "h2", "--offline")
    with lab.watching(vm) as watch:
        pass
    acknowledged = watch.seen["disk"]["acknowledged"]
    lab.virsh("h1", "shutdown", vm)
    wait_until(lambda: lab.state(vm, "h1") == "shut off", "it is shut off", 60)
    migrate(lab, "h1", vm, "h2", "--offline")
    lab.virsh("h2", "start", vm)
    lab.wait_answer(vm, 90)
    with lab.watching(vm) as watch:
        pass
    disk = watch.seen["disk"]
    assert disk["found_at_boot"] >= acknowledged and not disk["lost"] and not disk["damaged"]


def test_another_pool_and_format(lab: Lab, vm: str) -> None:
    lab.run("h1", "qemu-img", "create", "-q", "-f", "qcow2", f"{IMAGES}/{vm}.qcow2", "16M")
    lab.run("h1", "qemu-io", "-c", "write -P 6 8M 1M", f"{IMAGES}/{vm}.qcow2")
    define_off(lab, vm, "h1", disk_xml("vda", f"{IMAGES}/{vm}.qcow2", "qcow2"))
    lab.run("h2", "mkdir", "-p", "/var/lib/libvirt/cold")
    lab.virsh("h2", "pool-create-as", "cold", "dir", "--target", "/var/lib/libvirt/cold")
    try:
        migrate(lab, "h1", vm, "h2", "--target-pool", "cold")
        path = f"/var/lib/libvirt/cold/{vm}.qcow2"
        assert sources(lab, vm, "h2") == {"vda": path}
        lab.run("h2", "qemu-io", "-f", "qcow2", "-c", "read -P 6 8M 1M", path)
        migrate(lab, "h2", vm, "h1", "--target-pool", "default")
        assert not list(lab.path("h2", "/var/lib/libvirt/cold").iterdir())
    finally:
        lab.virsh("h2", "pool-destroy", "cold")


def test_a_data_file_and_a_base_of_others(lab: Lab, vm: str) -> None:
    """The contents go with the image that names them; what others are based on stays, and it is said."""
    image, data = f"{IMAGES}/{vm}-db.qcow2", f"{IMAGES}/{vm}-db.data"
    with_data_file(lab, "h1", f"{vm}-db", "16M")
    lab.run("h1", "qemu-io", "-c", "write -P 7 3M 1M", image)
    content = lab.path("h1", data).read_bytes()
    define_off(lab, vm, "h1", disk_xml("vda", image, "qcow2"))
    migrate(lab, "h1", vm, "h2", "--offline")
    assert not list(lab.path("h1", IMAGES).glob(f"{vm}-*"))
    assert lab.path("h2", data).read_bytes() == content
    lab.run("h2", "qemu-io", "-c", "read -P 7 3M 1M", image)
    lab.virsh("h2", "start", vm)
    lab.virsh("h2", "destroy", vm)
    # What is in the way of it there is not overwritten.
    lab.path("h1", data).write_bytes(b"precious")
    assert data in refused(lab, "h2", vm, "h1")
    lab.path("h1", data).unlink()
    # To a pool as one image, which needs no other.
    migrate(lab, "h2", vm, "h1", "--target-pool", "default")
    assert "data-file" not in str(image_info(lab, "h1", image)) and not lab.path("h2", data).exists()
    lab.run("h1", "qemu-io", "-c", "read -P 7 3M 1M", image)

    # Named without a directory, as qemu-img lets one: it is carried, although QEMU would not find it.
    lab.run("h1", "rm", image)
    lab.run("h1", "sh", "-c", f"cd {IMAGES} && qemu-img create -q -f qcow2 "
            f"-o data_file={vm}-db.data,data_file_raw=on {vm}-db.qcow2 16M")
    lab.path("h1", data).write_bytes(content)
    ended = lab.drover("h1", "migrate", vm, "h2", "--offline", "--quiet")
    assert ended.code == 0 and "qemu-img amend" in ended.err, ended
    assert lab.path("h2", data).read_bytes() == content and not lab.path("h1", data).exists()
    assert "amend" in refused(lab, "h2", vm, "h1", "--target-pool", "default")
    lab.run("h2", "sh", "-c", f"cd {IMAGES} && qemu-img amend -f qcow2 -o data_file={data} {image}")
    migrate(lab, "h2", vm, "h1", "--target-pool", "default")

    # Another VM has a clone of it, by a name that libvirt does not look into.
    clone = f"{IMAGES}/{vm}-clone.qcow2"
    base = '{"file":{"driver":"file","filename":"%s"}}' % image
    lab.run("h1", "qemu-img", "create", "-q", "-f", "qcow2", "-b", f"json:{base}", "-F", "qcow2", clone)
    define_off(lab, f"{vm}-clone", "h1", disk_xml("vda", clone, "qcow2"))
    try:
        before = lab.path("h1", image).read_bytes()
        ended = lab.drover("h1", "migrate", vm, "h2", "--offline", "--quiet")
        assert ended.code == 0 and f"VM {vm}-clone has it as the base of its disk vda" in ended.err, ended
        assert lab.where(vm) == ["h2"]
        assert lab.path("h1", image).read_bytes() == before == lab.path("h2", image).read_bytes()
        lab.virsh("h1", "start", f"{vm}-clone")
    finally:
        lab.virsh("h1", "destroy", f"{vm}-clone", check=False)
        lab.virsh("h1", "undefine", f"{vm}-clone")


def big(lab: Lab, vm: str) -> bytes:
    content = os.urandom(24 * MIB)
    lab.path("h1", f"{IMAGES}/{vm}.raw").write_bytes(content)
    define_off(lab, vm, "h1", disk_xml("vda", f"{IMAGES}/{vm}.raw"))
    return content


def assert_still_here(lab: Lab, vm: str, content: bytes) -> None:
    lab.wait_clean({"h1": (vm,), "h2": ()})
    assert lab.where(vm) == ["h1"]
    assert lab.path("h1", f"{IMAGES}/{vm}.raw").read_bytes() == content


def test_cancelled_started_and_cut(lab: Lab, vm: str) -> None:
    """However it fails, the source is as before, the target as well, and the next move works."""
    content = big(lab, vm)
    for on in lab.hosts:
        lab.link(on, "--rate", "40mbit")

    move = lab.begin(vm, "h1", "h2", "--offline")
    move.until("copying-disks", wire_bytes=2 * MIB)
    lab.virsh("h1", "start", vm, check=False)
    assert lab.state(vm, "h1") == "shut off", "an image that is read cannot be started from"
    assert lab.drover("h1", "cancel", move.job).code == 0
    ended = move.wait()
    assert ended.code != 0 and ended.json()["outcome"] == "cancelled"
    assert_still_here(lab, vm, content)

    move = lab.begin(vm, "h1", "h2", "--offline")
    move.until("copying-disks", wire_bytes=2 * MIB)
    lab.kill("h1", "drover-relay")
    ended = move.wait()
    assert ended.code != 0 and ended.json()["outcome"] == "rolled-back", ended
    assert_still_here(lab, vm, content)

    # A droverd that dies is no reason to stop.
    move = lab.begin(vm, "h1", "h2", "--offline")
    move.until("copying-disks", wire_bytes=2 * MIB)
    lab.kill("h1", "droverd")
    lab.rate("none")
    ended = move.wait()
    assert ended.code == 0, ended
    lab.wait_clean({"h1": (), "h2": (vm,)})
    assert lab.path("h2", f"{IMAGES}/{vm}.raw").read_bytes() == content


def test_written_to_meanwhile(lab: Lab, vm: str) -> None:
    content = big(lab, vm)
    for on in lab.hosts:
        lab.link(on, "--rate", "40mbit")
    move = lab.begin(vm, "h1", "h2", "--offline")
    move.until("copying-disks", wire_bytes=2 * MIB)
    with lab.path("h1", f"{IMAGES}/{vm}.raw").open("r+b") as image:
        image.write(b"changed")
    lab.rate("none")
    ended = move.wait()
    assert ended.code != 0 and "written to" in ended.json()["error"], ended
    assert_still_here(lab, vm, b"changed" + content[7:])


def test_refusals(lab: Lab, vm: str) -> None:
    big(lab, vm)
    lab.virsh("h1", "start", vm)
    lab.virsh("h1", "managedsave", vm)
    assert "managedsave-remove" in refused(lab, "h1", vm, "h2")
    lab.virsh("h1", "managedsave-remove", vm)
    lab.virsh("h1", "snapshot-create-as", vm, "out", "--disk-only")
    assert "files of their own" in refused(lab, "h1", vm, "h2", "--offline")
    lab.virsh("h1", "undefine", vm, "--snapshots-metadata")
