# SPDX-License-Identifier: Apache-2.0
"""Guests with disks of every kind, for the tests of disks, state and offline moves."""
import contextlib
import json
import os
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, Iterator, Optional

from lab import IMAGES, Ended, Lab, wait_until


def disk_xml(target: str, path: Optional[str], fmt: str = "raw", device: str = "disk",
             extra: str = "", cache: str = "none") -> str:
    bus = "virtio" if target.startswith("vd") else "sata"
    kind, attribute = ("block", "dev") if path and path.startswith("/dev/") else ("file", "file")
    source = f"<source {attribute}='{path}'/>" if path else ""
    return (f"<disk type='{kind}' device='{device}'><driver name='qemu' type='{fmt}' cache='{cache}'/>"
            f"{source}<target dev='{target}' bus='{bus}'/>{extra}</disk>")


def nbd_xml(target: str, host: str, port: int, name: str) -> str:
    return ("<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none'/>"
            f"<source protocol='nbd' name='{name}'><host name='{host}' port='{port}'/></source>"
            f"<target dev='{target}' bus='virtio'/></disk>")


def add_devices(lab: Lab, vm: str, on: str, *devices: str, start: bool = True) -> None:
    """The guest is defined anew with these devices as well, and started."""
    xml = lab.virsh(on, "dumpxml", "--inactive", vm)
    definition = lab.path(on, f"/run/{vm}.xml")
    definition.write_text(xml.replace("<devices>", "<devices>" + "".join(devices), 1))
    lab.virsh(on, "destroy", vm, check=False)
    lab.virsh(on, "define", f"/run/{vm}.xml")
    if start:
        lab.virsh(on, "start", vm)
        lab.wait_answer(vm)


def sources(lab: Lab, vm: str, on: str, inactive: bool = False) -> dict[str, Optional[str]]:
    """Where each disk is, by its target."""
    words = ["--inactive"] if inactive else []
    root = ET.fromstring(lab.virsh(on, "dumpxml", *words, vm))
    found = {}
    for disk in root.iterfind("devices/disk"):
        source = disk.find("source")
        found[disk.find("target").get("dev")] = (  # type: ignore[union-attr]
            None if source is None else source.get("file") or source.get("dev")
            or source.get("name"))
    return found


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def image_info(lab: Lab, on: str, path: str) -> Any:
    return json.loads(lab.run(on, "qemu-img", "info", "-U", "--output=json", path).out)


def with_data_file(lab: Lab, on: str, name: str, size: str) -> None:
    """NAME.qcow2, whose contents are in NAME.data beside it. libvirt gives QEMU only the image."""
    lab.run(on, "qemu-img", "create", "-q", "-f", "qcow2", "-o",
            f"data_file={IMAGES}/{name}.data,data_file_raw=on", f"{IMAGES}/{name}.qcow2", size)
    lab.run(on, "chmod", "666", f"{IMAGES}/{name}.data")


def raw_content(lab: Lab, on: str, path: str, fmt: str) -> bytes:
    """What a guest would read from the image."""
    out = f"/run/raw-{os.getpid()}"
    lab.run(on, "qemu-img", "convert", "-U", "-f", fmt, "-O", "raw", path, out)
    try:
        return lab.path(on, out).read_bytes()
    finally:
        lab.path(on, out).unlink()


def migrate(lab: Lab, on: str, *words: str) -> dict[str, Any]:
    ended = lab.drover(on, "migrate", *words, "--json")
    assert ended.code == 0, ended
    report: dict[str, Any] = ended.json()
    assert report["outcome"] == "done", report
    return report


def refused(lab: Lab, on: str, *words: str) -> str:
    """The message of a move that is refused before anything is begun."""
    ended: Ended = lab.drover(on, "migrate", *words)
    assert ended.code == 4, ended
    for host in lab.hosts:
        assert not lab.sessions(host) and not lab.stored(host, "session")
    return ended.err


def make_pool(lab: Lab, on: str, name: str, directory: str) -> None:
    lab.run(on, "mkdir", "-p", directory)
    lab.virsh(on, "pool-create-as", name, "dir", "--target", directory)


def pool_volumes(lab: Lab, on: str, pool: str) -> list[str]:
    """As libvirt has them, without asking it to look again."""
    lines = lab.virsh(on, "vol-list", pool).splitlines()[2:]
    return sorted(line.split()[0] for line in lines if line.split())


@contextlib.contextmanager
def nbd_server(lab: Lab, path: Path, port: int) -> Iterator[str]:
    """A disk that every host reaches at the lab's switch: its address."""
    server = subprocess.Popen(["ip", "netns", "exec", lab.netns("lan"), "qemu-nbd", "--persistent",
                               "--shared=8", "-f", "raw", "-x", "disk", "-p", str(port), str(path)])
    try:
        wait_until(lambda: re.search(rf":{port}\s", subprocess.run(
            ["ip", "netns", "exec", lab.netns("lan"), "ss", "-ltn"], capture_output=True,
            text=True).stdout), "the NBD server listens")
        yield "10.77.0.1"
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def block_devices(lab: Lab, sizes: dict[str, int], name: str) -> Iterator[str]:
    """A block device of that name on each host, of so many MiB; not the same one."""
    loops, files = [], []
    try:
        for on, mib in sizes.items():
            file = Path(f"/var/tmp/drover-e2e-{os.getpid()}-{on}-{name}.img")
            files.append(file)
            with file.open("wb") as out:
                out.truncate(mib << 20)
            loop = subprocess.run(["losetup", "--find", "--show", str(file)], check=True,
                                  capture_output=True, text=True).stdout.strip()
            loops.append(loop)
            number = os.stat(loop).st_rdev
            lab.run(on, "mknod", f"/dev/{name}", "b", str(os.major(number)), str(os.minor(number)))
        yield f"/dev/{name}"
    finally:
        for on in sizes:
            lab.run(on, "rm", "-f", f"/dev/{name}", check=False)
        for loop in loops:
            subprocess.run(["losetup", "-d", loop], check=False)
        for file in files:
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def shared_directory() -> Iterator[Path]:
    """A directory that all hosts of a lab see, on a file system that libvirt calls local."""
    directory = Path(f"/var/tmp/drover-e2e-{os.getpid()}-shared")
    directory.mkdir(mode=0o755)
    try:
        yield directory
    finally:
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()


__all__ = ["IMAGES", "add_devices", "allocated", "block_devices", "disk_xml", "image_info",
           "make_pool", "migrate", "nbd_server", "nbd_xml", "pool_volumes", "raw_content",
           "refused", "shared_directory", "sources", "with_data_file"]
