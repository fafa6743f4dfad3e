# SPDX-License-Identifier: Apache-2.0
"""A disk of which the target has an older image: only what differs goes over the wire."""
import os
import random
from pathlib import Path
from typing import Iterator

import pytest

from disks import IMAGES, add_devices, disk_xml, make_pool, migrate, refused
from lab import Lab, wait_until

MIB = 1 << 20
BLOCK = 4096
DATA = 64 * MIB
KEPT = f"{IMAGES}/.drover-kept"


def rewritten(content: bytes, share: float) -> bytes:
    """The same with that share of its blocks new."""
    changed = bytearray(content)
    blocks = len(content) // BLOCK
    for block in random.Random(4).sample(range(blocks), int(blocks * share)):
        changed[block * BLOCK:(block + 1) * BLOCK] = os.urandom(BLOCK)
    return bytes(changed)


def kept(lab: Lab, on: str) -> list[dict]:
    """Images that a host keeps."""
    every = lab.drover(on, "content", "list", "--json").json()
    return [one for one in every["contents"] if one["node"] == on and one["kind"] == "disk"]


def assert_no_server(lab: Lab) -> None:
    wait_until(lambda: not any(lab.pids(on, "qemu-nbd") for on in lab.hosts), "no qemu-nbd is left")


@pytest.fixture
def vm(lab: Lab) -> Iterator[str]:
    """Two disks: its own, and one full of random bytes. Links slow enough for the relays to encode."""
    lab.rate("200mbit")
    lab.guest("seed", "h1", memory=128, work=16, disk="16M", records=20)
    lab.path("h1", f"{IMAGES}/seed-data.raw").write_bytes(os.urandom(DATA))
    add_devices(lab, "seed", "h1", disk_xml("vdb", f"{IMAGES}/seed-data.raw"))
    try:
        yield "seed"
    finally:
        lab.remove_guest("seed")
        lab.rate("none")
        assert lab.drover("h1", "content", "off").code == 0
        for on in lab.hosts:
            for file in lab.path(on, IMAGES).glob("older*"):
                file.unlink()
        assert_no_server(lab)
        lab.wait_clean({on: () for on in lab.hosts})


def data(lab: Lab, on: str) -> Path:
    return lab.path(on, f"{IMAGES}/seed-data.raw")


def test_an_image_that_was_named(lab: Lab, vm: str) -> None:
    """2 % of its blocks differ from what the target has: no more than 5 % of it goes over the wire."""
    content = data(lab, "h1").read_bytes()
    lab.path("h2", f"{IMAGES}/older.raw").write_bytes(rewritten(content, 0.02))
    with lab.watching(vm) as watch:
        report = migrate(lab, "h1", vm, "h2", "--disk-seed", f"vdb={IMAGES}/older.raw")
    watch.assert_unharmed()
    assert data(lab, "h2").read_bytes() == content
    assert report["seed_bytes"] > 0.97 * DATA, report
    # Memory and the system's disk come to some 50 MB; without the image 0.7 × DATA would be added.
    assert report["predicted"]["wire_bytes"]["p50"] < DATA, report["predicted"]
    assert report["disk_wire_bytes"] < 0.05 * DATA, report


def test_images_that_cannot_serve(lab: Lab, vm: str) -> None:
    """Not there, in use, or of no disk of the VM: said before anything is begun."""
    images = lab.path("h2", IMAGES)
    assert "no such file" in refused(lab, "h1", vm, "h2", "--disk-seed", f"vdb={IMAGES}/older.raw")
    assert "no disk vdz" in refused(lab, "h1", vm, "h2", "--disk-seed", f"vdz={IMAGES}/older.raw")
    assert "POOL/VOLUME" in lab.drover("h1", "migrate", vm, "h2", "--disk-seed", "vdb=older.raw").err
    (images / "older.raw").write_bytes(data(lab, "h1").read_bytes())
    lab.virsh("h2", "pool-refresh", "default")
    shown = lab.drover("h1", "migrate", vm, "h2", "--check", "--disk-seed", "vdb=default/older.raw")
    assert f"vdb: copy (from the older image: {IMAGES}/older.raw)" in shown.out, shown
    # One that somebody writes to is not read: the move goes on without it.
    lab.guest("writer", "h2", memory=96, work=8, disk=0)
    try:
        add_devices(lab, "writer", "h2", disk_xml("vda", f"{IMAGES}/older.raw"))
        report = migrate(lab, "h1", vm, "h2", "--disk-seed", f"vdb={IMAGES}/older.raw")
        assert report["seed_bytes"] == 0, report
        assert "is being written to" in lab.log("h2").read_text()
    finally:
        lab.remove_guest("writer")


def test_an_earlier_stay(lab: Lab, vm: str) -> None:
    """A VM that goes, works a bit and comes back: what it left behind serves, and then goes."""
    assert lab.drover("h1", "content", "on").code == 0
    content = data(lab, "h1").read_bytes()
    migrate(lab, "h1", vm, "h2")
    assert not data(lab, "h1").exists()
    assert sorted(one["disk"] for one in kept(lab, "h1")) == ["vda", "vdb"]
    shown = lab.drover("h2", "migrate", vm, "h1", "--check").out
    assert "its image of an earlier stay" in shown, shown
    with lab.watching(vm) as watch:
        report = migrate(lab, "h2", vm, "h1")
    watch.assert_unharmed()
    assert data(lab, "h1").read_bytes() == content
    assert report["disk_wire_bytes"] < 0.1 * DATA, report
    assert not kept(lab, "h1") and not lab.path("h1", KEPT).exists()
    assert sorted(one["disk"] for one in kept(lab, "h2")) == ["vda", "vdb"]

    # Its owner has changed: what it left as another's does not serve.
    assert lab.drover("h1", "vm", "owner", vm, "shop").code == 0
    assert migrate(lab, "h1", vm, "h2")["seed_bytes"] == 0
    assert lab.drover("h1", "content", "prune", "--vm", vm).code == 0
    assert not kept(lab, "h1") and not lab.path("h1", KEPT).exists()


def test_a_kept_image_makes_room(lab: Lab, vm: str) -> None:
    """It counts as free, and goes when the room is needed; damage to one costs speed only."""
    lab.drover("h1", "content", "on")
    content = data(lab, "h1").read_bytes()
    migrate(lab, "h1", vm, "h2")
    (one,) = [image for image in kept(lab, "h1") if image["disk"] == "vdb"]
    file = lab.path("h1", one["path"])
    with file.open("r+b") as out:
        for at in range(0, DATA // 2, BLOCK):
            out.seek(at)
            out.write(b"\1")
        out.truncate(DATA - 5 * MIB - 3)
    report = migrate(lab, "h2", vm, "h1")
    assert data(lab, "h1").read_bytes() == content
    assert 0.3 * DATA < report["seed_bytes"] < 0.8 * DATA, report

    # On a small file system: both do not fit, so what is kept there gives way to the new image.
    lab.drover("h1", "content", "prune", "--all")
    lab.virsh("h1", "destroy", vm)
    make_pool(lab, "h2", "tiny", "/run/tiny")
    lab.run("h2", "mount", "-t", "tmpfs", "-o", "size=200M", "tmpfs", "/run/tiny")
    try:
        lab.virsh("h1", "start", vm)
        lab.wait_answer(vm)
        migrate(lab, "h1", vm, "h2", "--target-pool", "tiny")
        migrate(lab, "h2", vm, "h1", "--target-pool", "default")
        assert len(kept(lab, "h2")) == 2
        lab.run("h2", "dd", "if=/dev/urandom", "of=/run/tiny/filling", "bs=1M", "count=60")
        migrate(lab, "h1", vm, "h2", "--target-pool", "tiny")
        lab.run("h2", "cp", "/run/tiny/seed-data.raw", f"{IMAGES}/older.raw")
        assert lab.path("h2", f"{IMAGES}/older.raw").read_bytes() == content
        assert not kept(lab, "h2")
        assert lab.run("h2", "ls", "-A", "/run/tiny").out.split() == ["filling", "seed-data.raw", "seed.raw"]
    finally:
        lab.virsh("h2", "destroy", vm, check=False)
        lab.virsh("h2", "undefine", vm, check=False)
        lab.virsh("h2", "pool-destroy", "tiny")
        lab.run("h2", "umount", "/run/tiny")


def test_an_image_that_changes(lab: Lab, vm: str) -> None:
    """Written to behind all locks while it serves: the move fails, and the VM goes on where it was."""
    content = data(lab, "h1").read_bytes()
    older = lab.path("h2", f"{IMAGES}/older.raw")
    older.write_bytes(content)
    for on in lab.hosts:
        lab.link(on, "--rate", "40mbit")
    move = lab.begin(vm, "h1", "h2", "--bandwidth", "64mbit", "--disk-seed", f"vdb={IMAGES}/older.raw")
    move.until("copying-disks", wire_bytes=300000)
    with older.open("r+b") as out:
        out.write(os.urandom(DATA))
    ended = move.wait()
    assert ended.code != 0 and "older image" in ended.json()["error"], ended
    assert lab.where(vm) == ["h1"] and lab.state(vm, "h1") == "running"
    lab.wait_clean({"h1": (vm,), "h2": ("older",)})


@pytest.mark.parametrize("victim", ["qemu-nbd", "drover-relay", "droverd"])
def test_death_leaves_nothing(lab: Lab, vm: str, victim: str) -> None:
    """Whoever dies while an image serves: the VM is whole at one place, and no process is left."""
    content = data(lab, "h1").read_bytes()
    lab.path("h2", f"{IMAGES}/older.raw").write_bytes(content)
    move = lab.begin(vm, "h1", "h2", "--bandwidth", "64mbit", "--disk-seed", f"vdb={IMAGES}/older.raw")
    move.until("copying-disks", wire_bytes=100000)
    assert lab.pids("h2", "qemu-nbd")
    lab.kill("h2", victim)
    move.wait()
    on = wait_until(lambda: lab.where(vm), "it is somewhere")[0]
    wait_until(lambda: lab.state(vm, on) == "running", "it runs")
    assert data(lab, on).read_bytes() == content
    assert_no_server(lab)
    lab.wait_clean({h: (vm, "older") if h == on else ("older",) for h in lab.hosts})


def test_a_base_that_is_there(lab: Lab, vm: str) -> None:
    """An overlay whose base both hosts have arrives as one image; the base is not sent."""
    base, top = f"{IMAGES}/older-base.qcow2", f"{IMAGES}/seed-top.qcow2"
    lab.run("h1", "qemu-img", "convert", "-U", "-f", "raw", "-O", "qcow2", f"{IMAGES}/seed-data.raw", base)
    lab.path("h2", base).write_bytes(lab.path("h1", base).read_bytes())
    lab.run("h1", "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top)
    lab.run("h1", "qemu-io", "-c", "write -P 7 20M 1M", top)
    add_devices(lab, vm, "h1", disk_xml("vdc", top, "qcow2"))
    report = migrate(lab, "h1", vm, "h2")
    assert report["seed_bytes"] > 60 * MIB, report
    lab.run("h2", "qemu-img", "compare", "-U", "-f", "qcow2", "-F", "raw", base,
            f"{IMAGES}/seed-data.raw")
    lab.virsh("h2", "destroy", vm)
    assert "backing" not in lab.run("h2", "qemu-img", "info", top).out
    lab.run("h2", "qemu-io", "-c", "read -P 7 20M 1M", top)
