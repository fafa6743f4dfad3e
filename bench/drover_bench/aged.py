# SPDX-License-Identifier: Apache-2.0
"""
Disks that move along with their guest: a system's, or random bytes, of which some blocks have been rewritten
at random since the target got them in an older state.
"""
import os
import random
import shutil
from pathlib import Path

from drover_lab import host
from drover_lab.shell import run

from .bed import HOSTS

IMAGES = "/var/lib/libvirt/images"
BLOCK, PIECE = 4096, 1 << 20
DISK_XML = """\
    <disk type='file' device='disk'>
      <driver name='qemu' type='{format}' cache='none'/>
      <source file='{path}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
"""


def disk(vm: str) -> str:
    """As the hosts see it."""
    return f"{IMAGES}/{vm}-own.img"


def older(vm: str) -> str:
    return f"{IMAGES}/{vm}-older.raw"


def _outside(lab: str, on: str, path: str) -> Path:
    return host.root(lab, on) / path.lstrip("/")


def make(lab: str, on: str, vm: str, mib: int) -> None:
    with _outside(lab, on, disk(vm)).open("wb") as out:
        for _ in range(mib):
            out.write(os.urandom(PIECE))


def take(lab: str, on: str, vm: str, system: Path) -> None:
    """A qcow2 image of its own, with what the system has."""
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(system), str(_outside(lab, on, disk(vm))))


def age(lab: str, source: str, target: str, vm: str, percent: float) -> None:
    """The target gets the source's disk as it was before so many of its blocks were rewritten."""
    now, then = _outside(lab, source, disk(vm)), _outside(lab, target, older(vm))
    shutil.copyfile(now, then)
    blocks = then.stat().st_size // BLOCK
    with then.open("r+b") as out:
        for block in random.sample(range(blocks), round(blocks * percent / 100)):
            out.seek(block * BLOCK)
            out.write(os.urandom(BLOCK))


def forget(lab: str, on: str, vm: str) -> None:
    """virsh leaves the disk behind that it has copied; and an older one has served."""
    for path in (disk(vm), older(vm)):
        _outside(lab, on, path).unlink(missing_ok=True)
    run("virsh", "-c", host.uri(lab, on), "pool-refresh", "default", check=False)


def remove(lab: str, vm: str) -> None:
    for on in HOSTS:
        forget(lab, on, vm)
