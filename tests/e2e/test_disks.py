# SPDX-License-Identifier: Apache-2.0
"""Disks of every kind: what is shared, what is copied and how, and what is refused."""
import gzip
import os
import re
from pathlib import Path
from typing import Iterator

import pytest

from disks import (IMAGES, add_devices, allocated, block_devices, disk_xml, image_info, make_pool,
                   migrate, nbd_server, nbd_xml, pool_volumes, raw_content, refused,
                   shared_directory, sources, with_data_file)
from lab import Lab

MIB = 1 << 20


@pytest.fixture
def vm(lab: Lab) -> Iterator[str]:
    """A name; whatever is made under it is removed from both hosts."""
    for on in lab.hosts:
        lab.link(on, "--up", "--rate", "none")
    yield "d"
    lab.remove_guest("d")


def make(lab: Lab, vm: str, on: str = "h1", disk: str = "16M", **more: object) -> None:
    lab.guest(vm, on, memory=128, work=16, disk=disk, records=20, **more)


def test_all_kinds_in_one_vm(lab: Lab, vm: str) -> None:
    """Local raw, network, qcow2 on a base, sparse with zeros, a medium, a read-only disk, an empty drive."""
    images = lab.path("h1", IMAGES)
    make(lab, vm)
    network = Path(f"/var/tmp/drover-e2e-{os.getpid()}-nbd.img")
    network.write_bytes(bytes(8 * MIB))
    base, top = f"{IMAGES}/{vm}-base.qcow2", f"{IMAGES}/{vm}-top.qcow2"
    raw = os.urandom(3 * MIB)
    (images / f"{vm}-fill.raw").write_bytes(raw)
    lab.run("h1", "qemu-img", "convert", "-f", "raw", "-O", "qcow2", f"{IMAGES}/{vm}-fill.raw", base)
    (images / f"{vm}-fill.raw").unlink()
    lab.run("h1", "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top, "24M")
    lab.run("h1", "qemu-io", "-c", "write -P 7 20M 1M", top)
    # 48 MiB: 4 MiB of data, 20 MiB of zeros that are allocated, the rest a hole.
    sparse = images / f"{vm}-sparse.raw"
    with sparse.open("wb") as out:
        out.write(os.urandom(4 * MIB) + bytes(20 * MIB))
        out.truncate(48 * MIB)
    content = sparse.read_bytes()
    assert allocated(sparse) >= 24 * MIB
    medium, fixed = os.urandom(2 * MIB), os.urandom(1 * MIB)
    # QEMU must find out the alignment of an image that is no multiple of 4 KiB (cache='none').
    odd = os.urandom(1 * MIB + 512)
    (images / f"{vm}-odd.raw").write_bytes(odd)
    (images / f"{vm}-medium.iso").write_bytes(medium)
    (images / f"{vm}-fixed.raw").write_bytes(fixed)
    try:
        with nbd_server(lab, network, 10900) as address:
            add_devices(lab, vm, "h1", nbd_xml("vdb", address, 10900, "disk"),
                        disk_xml("vdc", top, "qcow2"), disk_xml("vdd", str(f"{IMAGES}/{vm}-sparse.raw")),
                        disk_xml("vde", f"{IMAGES}/{vm}-fixed.raw", extra="<readonly/>"),
                        disk_xml("vdf", f"{IMAGES}/{vm}-odd.raw"),
                        disk_xml("sda", f"{IMAGES}/{vm}-medium.iso", device="cdrom",
                                 extra="<readonly/>"),
                        disk_xml("sdb", None, device="cdrom", extra="<readonly/>"))
            expected = raw_content(lab, "h1", top, "qcow2")
            with lab.watching(vm) as watch:
                migrate(lab, "h1", vm, "h2")
            watch.assert_unharmed()

            there = lab.path("h2", IMAGES)
            info = image_info(lab, "h2", top)
            assert info["format"] == "qcow2" and "backing-filename" not in info
            assert raw_content(lab, "h2", top, "qcow2") == expected
            copy = there / f"{vm}-sparse.raw"
            assert copy.read_bytes() == content
            assert allocated(copy) <= 5 * MIB, "zeros are holes at the target"
            assert (there / f"{vm}-medium.iso").read_bytes() == medium
            assert (there / f"{vm}-fixed.raw").read_bytes() == fixed
            assert (there / f"{vm}-odd.raw").read_bytes() == odd
            # The VM's own images are gone; what it only reads and the base belong to others, too.
            assert sorted(f.name for f in images.glob(f"{vm}-*")) == [
                f"{vm}-base.qcow2", f"{vm}-fixed.raw", f"{vm}-medium.iso"]
            assert sources(lab, vm, "h2")["sdb"] is None
            assert "detect_zeroes" not in lab.virsh("h2", "dumpxml", "--inactive", vm)

            # Back: media of the same content are kept as they are.
            before = {f.name: f.stat().st_mtime_ns for f in images.glob(f"{vm}-*")}
            migrate(lab, "h2", vm, "h1")
            assert before.items() <= {f.name: f.stat().st_mtime_ns for f in images.glob(f"{vm}-*")}.items()
            assert raw_content(lab, "h1", top, "qcow2") == expected

            # A medium of another content in its place is not overwritten.
            (there / f"{vm}-medium.iso").write_bytes(b"other" * 1000)
            assert f"{vm}-medium.iso" in refused(lab, "h1", vm, "h2")
    finally:
        network.unlink()


def test_two_definitions_and_a_data_file(lab: Lab, vm: str) -> None:
    """What it runs without and starts with the next time goes along, as do contents that lie elsewhere."""
    make(lab, vm)
    images, there = lab.path("h1", IMAGES), lab.path("h2", IMAGES)
    later, medium, db = (f"{IMAGES}/{vm}-{name}" for name in ("later.raw", "medium.iso", "db.qcow2"))
    filling, iso = os.urandom(2 * MIB), os.urandom(1 * MIB)
    lab.path("h1", later).write_bytes(filling)
    lab.path("h1", medium).write_bytes(iso)
    with_data_file(lab, "h1", f"{vm}-db", "8M")
    lab.run("h1", "qemu-io", "-c", "write -P 9 2M 1M", db)
    expected = raw_content(lab, "h1", db, "qcow2")
    add_devices(lab, vm, "h1", disk_xml("sda", medium, device="cdrom", extra="<readonly/>"),
                disk_xml("vdc", db, "qcow2"))
    lab.virsh("h1", "change-media", vm, "sda", "--eject", "--live", "--force")
    lab.virsh("h1", "attach-disk", vm, later, "vdb", "--driver", "qemu", "--subdriver", "raw", "--config")
    said = lab.drover("h1", "migrate", vm, "h2", "--check")
    assert said.code == 0 and "sda: copy" in said.out and "vdb: copy" in said.out, said
    with lab.watching(vm) as watch:
        migrate(lab, "h1", vm, "h2")
    watch.assert_unharmed()
    assert sources(lab, vm, "h2")["sda"] is None and "vdb" not in sources(lab, vm, "h2")
    assert sources(lab, vm, "h2", inactive=True) == {
        "vda": f"{IMAGES}/{vm}.raw", "vdb": later, "vdc": db, "sda": medium}
    assert (there / f"{vm}-later.raw").read_bytes() == filling
    assert (there / f"{vm}-medium.iso").read_bytes() == iso
    assert raw_content(lab, "h2", db, "qcow2") == expected
    # Its own have left; a medium stays.
    assert sorted(f.name for f in images.glob(f"{vm}*")) == [f"{vm}-medium.iso"]
    lab.virsh("h2", "destroy", vm)
    lab.virsh("h2", "start", vm)
    lab.wait_answer(vm)
    # One name for two things cannot be carried as such: it is said.
    lab.virsh("h2", "detach-disk", vm, "vdb", "--live")
    lab.path("h2", f"{IMAGES}/{vm}-other.raw").write_bytes(filling)
    lab.virsh("h2", "attach-disk", vm, f"{IMAGES}/{vm}-other.raw", "vdb", "--driver", "qemu", "--subdriver",
              "raw", "--live")
    message = refused(lab, "h2", vm, "h1")
    assert later in message and f"{vm}-other.raw" in message and "make them one" in message


def test_the_same_file_is_shared(lab: Lab, vm: str) -> None:
    """Seen by what both hosts see, though libvirt calls the file system local; the other disk is copied."""
    make(lab, vm)
    with shared_directory() as directory:
        image = directory / "shared.raw"
        image.write_bytes(os.urandom(4 * MIB))
        content = image.read_bytes()
        add_devices(lab, vm, "h1", disk_xml("vdb", str(image)))
        inode = image.stat().st_ino
        with lab.watching(vm) as watch:
            report = migrate(lab, "h1", vm, "h2")
        watch.assert_unharmed()
        assert report["disk_bytes"] < 20 * MIB
        assert image.stat().st_ino == inode and image.read_bytes() == content
        assert [f.name for f in directory.iterdir()] == ["shared.raw"], "no marker is left"
        assert sources(lab, vm, "h2") == {"vda": f"{IMAGES}/{vm}.raw", "vdb": str(image)}

        assert "--target-pool" in refused(lab, "h2", vm, "h1", "--disks", "copy")
        assert "vda" in refused(lab, "h2", vm, "h1", "--disks", "shared")
        # Without cache='none' the hosts' caches could differ.
        lab.virsh("h2", "destroy", vm)
        xml = lab.virsh("h2", "dumpxml", vm).replace("cache='none'", "cache='writeback'")
        lab.path("h2", f"/run/{vm}.xml").write_text(xml)
        lab.virsh("h2", "define", f"/run/{vm}.xml")
        lab.virsh("h2", "start", vm)
        assert "cache='none'" in refused(lab, "h2", vm, "h1")
        lab.virsh("h2", "destroy", vm)


def test_another_file_of_that_name_is_not_overwritten(lab: Lab, vm: str) -> None:
    make(lab, vm)
    other = lab.path("h2", f"{IMAGES}/{vm}.raw")
    other.write_bytes(b"precious")
    message = refused(lab, "h1", vm, "h2")
    assert f"{IMAGES}/{vm}.raw" in message and "h2" in message
    assert other.read_bytes() == b"precious"


def test_another_pool(lab: Lab, vm: str) -> None:
    """Both definitions say so, the volume is known to the pool, and a failed move leaves none."""
    make(lab, vm, disk_format="qcow2")
    make_pool(lab, "h2", "fast", "/var/lib/libvirt/fast")
    try:
        for on in lab.hosts:
            lab.link(on, "--rate", "40mbit")
        move = lab.begin(vm, "h1", "h2", "--target-pool", "fast")
        move.until("copying-disks", "copying-memory", wire_bytes=MIB)
        assert pool_volumes(lab, "h2", "fast") == [f"{vm}.qcow2"]
        assert lab.drover("h1", "cancel", move.job).code == 0
        assert move.wait().code != 0
        assert pool_volumes(lab, "h2", "fast") == []
        assert not list(lab.path("h2", "/var/lib/libvirt/fast").iterdir())
        assert lab.where(vm) == ["h1"]
        lab.rate("none")

        with lab.watching(vm) as watch:
            migrate(lab, "h1", vm, "h2", "--target-pool", "fast")
        watch.assert_unharmed()
        path = f"/var/lib/libvirt/fast/{vm}.qcow2"
        assert sources(lab, vm, "h2") == sources(lab, vm, "h2", inactive=True) == {"vda": path}
        assert pool_volumes(lab, "h2", "fast") == [f"{vm}.qcow2"]
        assert not list(lab.path("h1", IMAGES).glob(f"{vm}*"))
        assert "slow" in lab.drover("h2", "migrate", vm, "h1", "--target-pool", "slow").err

        # And within the host, running, then shut off.
        with lab.watching(vm) as watch:
            migrate(lab, "h2", vm, "--storage-only", "--target-pool", "default")
        watch.assert_unharmed()
        path = f"{IMAGES}/{vm}.qcow2"
        assert sources(lab, vm, "h2") == sources(lab, vm, "h2", inactive=True) == {"vda": path}
        assert pool_volumes(lab, "h2", "fast") == []
        content = raw_content(lab, "h2", path, "qcow2")
        lab.virsh("h2", "destroy", vm)
        content = raw_content(lab, "h2", path, "qcow2")
        migrate(lab, "h2", vm, "--storage-only", "--target-pool", "fast")
        path = f"/var/lib/libvirt/fast/{vm}.qcow2"
        assert sources(lab, vm, "h2") == {"vda": path}
        assert raw_content(lab, "h2", path, "qcow2") == content
        assert not list(lab.path("h2", IMAGES).glob(f"{vm}*"))
    finally:
        lab.rate("none")
        lab.virsh("h2", "destroy", vm, check=False)
        for file in lab.path("h2", "/var/lib/libvirt/fast").iterdir():
            file.unlink()
        lab.virsh("h2", "pool-destroy", "fast")


def test_no_room(lab: Lab, vm: str) -> None:
    make(lab, vm)
    lab.path("h1", f"{IMAGES}/{vm}-data.raw").write_bytes(os.urandom(64 * MIB))
    add_devices(lab, vm, "h1", disk_xml("vdb", f"{IMAGES}/{vm}-data.raw"))
    make_pool(lab, "h2", "tiny", "/run/tiny")
    lab.run("h2", "mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", "/run/tiny")
    try:
        message = refused(lab, "h1", vm, "h2", "--target-pool", "tiny")
        assert "80.0" in message and "8.0" in message and "/run/tiny" in message
        assert pool_volumes(lab, "h2", "tiny") == []
    finally:
        lab.virsh("h2", "pool-destroy", "tiny")
        lab.run("h2", "umount", "/run/tiny")


def test_block_devices(lab: Lab, vm: str) -> None:
    """Copied onto the device of that name if it is blank and large enough; never onto what holds data."""
    make(lab, vm)
    with block_devices(lab, {"h1": 16, "h2": 16}, "vmdisk") as device, \
            block_devices(lab, {"h1": 16, "h2": 8}, "vmsmall") as small:
        content = os.urandom(16 * MIB)
        (Path(lab.path("h1", "/run/fill"))).write_bytes(content)
        lab.run("h1", "dd", "if=/run/fill", f"of={device}", "bs=1M", "status=none")
        add_devices(lab, vm, "h1", disk_xml("vdb", device))
        with lab.watching(vm) as watch:
            migrate(lab, "h1", vm, "h2")
        watch.assert_unharmed()
        lab.run("h2", "dd", f"if={device}", "of=/run/back", "bs=1M", "count=16", "status=none")
        assert lab.path("h2", "/run/back").read_bytes() == content
        # The way back is not open: the device there still holds what it held.
        message = refused(lab, "h2", vm, "h1")
        assert device in message and "not empty" in message and "--disks shared" in message
        lab.virsh("h2", "destroy", vm)
        lab.virsh("h2", "undefine", vm)
        lab.remove_guest(vm)

        make(lab, vm)
        add_devices(lab, vm, "h1", disk_xml("vdb", small))
        message = refused(lab, "h1", vm, "h2")
        assert small in message and "8 MiB" in message and "16" in message
        lab.virsh("h1", "destroy", vm)
        with block_devices(lab, {"h1": 16, "h2": 24}, "vmlarge") as large:
            xml = lab.virsh("h1", "dumpxml", vm).replace(small, large)
            lab.path("h1", f"/run/{vm}.xml").write_text(xml)
            lab.virsh("h1", "define", f"/run/{vm}.xml")
            lab.virsh("h1", "start", vm)
            message = refused(lab, "h1", vm, "h2")
            assert large in message and str(16 * MIB) in message
            lab.virsh("h1", "destroy", vm)
            migrate(lab, "h1", vm, "h2")
            assert lab.state(vm, "h2") == "shut off"


def test_a_missing_device_can_become_an_image(lab: Lab, vm: str) -> None:
    make(lab, vm)
    with block_devices(lab, {"h1": 8}, "vmonly") as device:
        add_devices(lab, vm, "h1", disk_xml("vdb", device))
        assert "--target-pool" in refused(lab, "h1", vm, "h2")
        migrate(lab, "h1", vm, "h2", "--target-pool", "default")
        path = f"{IMAGES}/{vm}-vdb.raw"
        assert sources(lab, vm, "h2")["vdb"] == sources(lab, vm, "h2", inactive=True)["vdb"] == path
        assert lab.path("h2", path).stat().st_size == 8 * MIB
        lab.virsh("h2", "destroy", vm)


def test_disks_keep_to_the_rate(lab: Lab, vm: str) -> None:
    """16 MiB that cannot be compressed or skipped take two seconds at 8 MiB/s, whatever the link."""
    make(lab, vm)
    lab.path("h1", f"{IMAGES}/{vm}-data.raw").write_bytes(os.urandom(16 * MIB))
    add_devices(lab, vm, "h1", disk_xml("vdb", f"{IMAGES}/{vm}-data.raw"))
    report = migrate(lab, "h1", vm, "h2", "--bandwidth", "64mbit")
    assert report["total_ms"] >= 2000


def test_storage_alone_is_cancelled(lab: Lab, vm: str) -> None:
    make(lab, vm)
    data = f"{IMAGES}/{vm}-data.raw"
    lab.path("h1", data).write_bytes(os.urandom(16 * MIB))
    add_devices(lab, vm, "h1", disk_xml("vdb", data))
    make_pool(lab, "h1", "fast", "/var/lib/libvirt/fast")
    pool = lab.path("h1", "/var/lib/libvirt/fast")
    try:
        before = sources(lab, vm, "h1")
        move = lab.begin(vm, "h1", None, "--storage-only", "--target-pool", "fast",
                         "--bandwidth", "8mbit")
        move.until("copying-disks")
        lab.kill("h1", "droverd")
        ended = move.wait()
        assert ended.code != 0 and "restarted" in ended.json()["error"], ended
        move = lab.begin(vm, "h1", None, "--storage-only", "--target-pool", "fast",
                         "--bandwidth", "8mbit")
        move.until("copying-disks")
        assert lab.drover("h1", "cancel", move.job).code == 0
        ended = move.wait()
        assert ended.json()["outcome"] == "cancelled", ended
        assert sources(lab, vm, "h1") == sources(lab, vm, "h1", inactive=True) == before
        assert not list(pool.iterdir()) and "<mirror" not in lab.virsh("h1", "dumpxml", vm)
        with lab.watching(vm) as watch:
            migrate(lab, "h1", vm, "--storage-only", "--target-pool", "fast")
        watch.assert_unharmed()
        assert sorted(f.name for f in pool.iterdir()) == [f"{vm}-data.raw", f"{vm}.raw"]
        assert not list(lab.path("h1", IMAGES).glob(f"{vm}*"))
        # Shut off, and somebody writes to an image meanwhile: what was written is not given up.
        lab.virsh("h1", "destroy", vm)
        move = lab.begin(vm, "h1", None, "--storage-only", "--target-pool", "default", "--bandwidth", "8mbit")
        move.until("copying-disks")
        with open(pool / f"{vm}-data.raw", "r+b") as image:
            image.write(b"written")
        ended = move.wait()
        assert ended.code != 0 and "written to while" in ended.json()["error"], ended
        assert (pool / f"{vm}-data.raw").read_bytes().startswith(b"written")
        assert not list(lab.path("h1", IMAGES).glob(f"{vm}*"))
    finally:
        lab.virsh("h1", "destroy", vm, check=False)
        for file in pool.iterdir():
            file.unlink()
        lab.virsh("h1", "pool-destroy", "fast")


def files_in_memory(lab: Lab, vm: str, on: str) -> bytes:
    """What the guest has in its page cache: the files of its initramfs, each from a new block on."""
    path = re.search(r"<initrd>(.+)</initrd>", lab.virsh(on, "dumpxml", vm))
    assert path
    archive, at, files = gzip.decompress(Path(path[1]).read_bytes()), 0, b""
    while archive[at:at + 6] == b"070701":
        fields = [int(archive[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        at += -(-(110 + fields[11]) // 4) * 4
        files += archive[at:at + fields[6]] + bytes(-fields[6] % 4096)
        at += -(-fields[6] // 4) * 4
    return files


def test_only_what_is_new_goes_over_the_wire(lab: Lab, vm: str) -> None:
    """Zeros of a disk cost nothing, blocks that are there twice cost once, memory refers to a disk."""
    make(lab, vm)  # with a disk of its own, which it writes to
    files, noise = files_in_memory(lab, vm, "h1"), os.urandom(4 * MIB)
    assert len(files) > MIB
    content = noise + bytes(16 * MIB) + files + noise
    content += bytes(64 * MIB - len(content))
    path = f"{IMAGES}/{vm}-files.raw"
    lab.path("h1", path).write_bytes(content)
    add_devices(lab, vm, "h1", disk_xml("vdb", path))
    lab.rate("200mbit")  # slow enough for the relays to encode
    try:
        report = migrate(lab, "h1", vm, "h2")
    finally:
        lab.rate("none")
    assert lab.path("h2", path).read_bytes() == content
    assert allocated(lab.path("h2", path)) < 16 * MIB
    # All that is neither zeros nor there twice, and a little for each request and the other disk.
    assert report["disk_wire_bytes"] < len(noise) + len(files) + MIB
    assert report["from_disk_bytes"] > MIB
