# SPDX-License-Identifier: Apache-2.0
"""A guest of its own for the tests of how a move converges: no disk, and memory that it rewrites."""
import contextlib
import fcntl
from pathlib import Path
from typing import Iterator

from lab import Lab

VM = "busy"
USERFAULT = Path("/proc/sys/vm/unprivileged_userfaultfd")


def make_busy(lab: Lab, dirty: int) -> None:
    lab.remove_guest(VM)
    lab.guest(VM, "h1", memory=176, work=96, compress=0, dirty=dirty, disk="0")


@contextlib.contextmanager
def busy_guest(lab: Lab, dirty: int) -> Iterator[str]:
    """Yields the host on which it runs."""
    make_busy(lab, dirty)
    try:
        yield "h1"
    finally:
        lab.remove_guest(VM)
        for on in lab.hosts:
            lab.link(on, "--up", "--rate", "none", "--delay", "none")


@contextlib.contextmanager
def userfault(allowed: bool) -> Iterator[None]:
    """The machine's setting, which all labs share, put back afterwards; others wait for it till then."""
    with USERFAULT.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = held.read()
        USERFAULT.write_text("1" if allowed else "0")
        try:
            yield
        finally:
            USERFAULT.write_text(before)


def rungs(report: dict) -> list[str]:
    return [entry["rung"] for entry in report["ladder"]]
