# SPDX-License-Identifier: Apache-2.0
"""
Fixtures. One lab of two hosts serves nearly all tests, and one guest in it is moved again
and again: it is looked at before each test and made anew only if a test has spoilt it.
"""
import contextlib
import os
from typing import Any, Iterator

import pytest

from lab import Lab, host

VM = "web"
DATA_MIB = 48


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    it = Lab(f"e2e{os.getpid()}")
    try:
        it.up()
        yield it
    finally:
        it.down()


class Guest:
    """The guest that is moved about: a disk with records, a disk full of data, memory at work."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.name = VM
        self.filling = b""

    @property
    def host(self) -> str:
        hosts = self.lab.where(VM)
        assert len(hosts) == 1, f"{VM} is on {hosts}"
        return hosts[0]

    @property
    def other(self) -> str:
        return next(h for h in self.lab.hosts if h != self.host)

    def make(self) -> None:
        self.lab.remove_guest(VM)
        self.lab.kept.add(VM)
        self.lab.guest(VM, "h1", memory=160, work=72, compress=0, dirty=1, disk="16M",
                       records=20)
        self.filling = self.lab.add_disk(VM, "h1", DATA_MIB)

    def is_well(self) -> bool:
        """It runs at one place and nothing moves or is left over."""
        hosts = self.lab.where(VM)
        return (len(hosts) == 1 and self.lab.state(VM, hosts[0]) == "running" and
                all(host.is_up(self.lab.name, on) and
                    not self.lab.leftovers(on, (VM,) if on in hosts else ())
                    for on in self.lab.hosts))

    def assert_clean(self, on: str) -> None:
        """It is on this host and of its moves nothing is left anywhere."""
        self.lab.wait_clean({h: (VM,) if h == on else () for h in self.lab.hosts})

    def data_on(self, on: str) -> bytes:
        return self.lab.path(on, f"/var/lib/libvirt/images/{VM}-data.raw").read_bytes()


@pytest.fixture(scope="session")
def _guest(lab: Lab) -> Guest:
    return Guest(lab)


@pytest.fixture
def web(lab: Lab, _guest: Guest) -> Guest:
    """Whole and alone in the lab, links unshaped and up."""
    for on in lab.hosts:
        lab.link(on, "--up", "--rate", "none")
    if not _guest.filling:
        _guest.make()
    elif not _guest.is_well():
        # A test failed half-way: it shall not spoil the next ones.
        lab.down()
        lab.up()
        _guest.make()
    return _guest


@pytest.fixture
def slow(lab: Lab, web: Guest) -> Iterator[Guest]:
    """The same, and a link on which a move takes long enough to do something in its middle."""
    lab.rate("150mbit")
    yield web
    lab.rate("none")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[None]:
    """A failed test says what the daemons had to say."""
    outcome = yield
    report = outcome.get_result()
    labs = [v for v in getattr(item, "funcargs", {}).values() if isinstance(v, Lab)]
    if not report.failed:
        return
    for it in labs:
        for on in it.hosts:
            logs = [it.log(on, "droverd"), it.log(on, "libvirtd"),
                    *it.path(on, "/var/log/libvirt/qemu").glob("*.log"),
                    *it.path(on, "/var/log/libvirt/console").glob("*.log")]
            for log in logs:
                with contextlib.suppress(OSError):
                    lines = log.read_text(errors="replace").splitlines()[-200:]
                    once = list({line.partition(" ")[2]: line for line in lines}.values())
                    report.sections.append((f"{on}: {log.name}", "\n".join(once[-15:])))
