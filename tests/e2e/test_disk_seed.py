# SPDX-License-Identifier: Apache-2.0
"""A disk of which the target has an older image: only what differs goes over the wire."""
import os
import random
from pathlib import Path
from typing import Iterator

import pytest

from disks import IMAGES, add_devices, disk_xml, migrate, refused
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
    assert report["disk_wire_bytes"] < 0.05 * DATA, report
