# SPDX-License-Identifier: Apache-2.0
"""A few cells of the fault table, those that come closest to two copies or to none."""
import os
from typing import Iterator

import pytest

from cells import BOOTS, POWER, POWER_STATES, STATES, VM, Bench, Cell
from busy import userfault  # found where cells has put it on the path
from lab import IMAGES, wait_until

# Durable before it is given up: what fails here is seen by no kill.
POWER_QUICK = [("source", "cold storage, done"), ("target", "cold, done"),
               ("target", "written while the disks are equal, confirmed")]
QUICK = [("droverd", "target", "resumed"), ("droverd", "source", "finishing"),
         ("libvirtd", "source", "reply read"), ("relay", "source", "reply read"),
         ("droverd frozen", "target", "switching"), ("libvirtd frozen", "target", "reply read"),
         ("host", "target", "copying-memory"), ("qemu", "target", "post-copy"),
         (BOOTS, "source", "storage, before the old image goes")]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    it = Bench(f"fault{os.getpid()}")
    with userfault(True):
        try:
            it.up()
            yield it
        finally:
            it.down()


@pytest.mark.parametrize("fault, end, state", QUICK)
def test_cell(bench: Bench, fault: str, end: str, state: str) -> None:
    found = next(s for s in STATES + POWER_STATES if s.name == state)
    result = bench.run(Cell(fault, end, found))
    assert not result.problem, result


def test_a_target_that_lost_its_definition_asks_first(bench: Bench) -> None:
    """
    libvirt had not flushed it when power failed, and the VM may have run: its images there wait for the source's
    word. That this one is taken away is what a power loss may do; where it strikes cannot be aimed.
    """
    lab = bench.lab
    source = bench.fresh()
    target = next(on for on in lab.hosts if on != source)
    resumed = next(s for s in STATES if s.name == "resumed")
    move = bench.get_there(Cell("host", "target", resumed), source, target)
    lab.service(source, "droverd", "stop")
    lab.lab("kill", target)
    lab.path(target, f"/etc/libvirt/qemu/{VM}.xml").unlink()
    bench.disarm()
    said = len(lab.log(target).read_text())
    lab.lab("boot", target)
    wait_until(lambda: "taking up an arrival" in lab.log(target).read_text()[said:], "the arrival is taken up")
    lab.service(source, "droverd", "start")
    wait_until(lambda: (bench.job(move) or {}).get("state") == "needs-attention", "the job needs attention", 60)
    assert list(lab.path(target, IMAGES).glob(f"{VM}*")), "the images are gone"
    move.process.kill()
    move.process.communicate()


@pytest.fixture(scope="module")
def power_bench() -> Iterator[Bench]:
    it = Bench(f"power{os.getpid()}", power=True)
    try:
        it.up()
        yield it
    finally:
        it.down()


@pytest.mark.parametrize("end, state", POWER_QUICK)
def test_power_loss(power_bench: Bench, end: str, state: str) -> None:
    found = next(s for s in POWER_STATES if s.name == state)
    result = power_bench.run(Cell(POWER, end, found))
    assert not result.problem, result
