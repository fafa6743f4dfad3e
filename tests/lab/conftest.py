# SPDX-License-Identifier: Apache-2.0
"""Real labs for the tests of the lab: how to run `lab`, and one lab that most tests share."""
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "lab" / "lab"
sys.path.insert(0, str(ROOT / "lab"))

from drover_lab import names, state  # noqa: E402

PREFIX = f"t{os.getpid()}"


def lab(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs `lab` to its end."""
    done = subprocess.run([str(LAB), *argv], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    assert not check or done.returncode == 0, f"lab {' '.join(argv)}: {done.stderr}"
    return done


def lab_json(*argv: str) -> Any:
    return json.loads(lab(*argv).stdout)


def until(condition: Callable[[], Any], seconds: float = 120) -> None:
    """Polls where there is no event to wait on; patient, the machine may be busy."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.01)


class Watch:
    """A witness client that watches a guest while the test does something to it."""

    def __init__(self, name: str, vm: str, scratch: Path, *argv: str) -> None:
        self.stop_file = scratch / f"{vm}.stop"
        ready = scratch / f"{vm}.ready"
        for path in (self.stop_file, ready):
            path.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [str(LAB), "witness", name, vm, "--until-file", str(self.stop_file),
             "--ready-file", str(ready), *argv], stdout=subprocess.PIPE, text=True)
        until(ready.exists)

    def end(self) -> Any:
        self.stop_file.touch()
        said, _ = self.process.communicate(timeout=130)
        return json.loads(said)


@pytest.fixture
def fresh() -> Iterator[str]:
    """A name for a lab of the test's own, which is gone afterwards whatever happens."""
    name = f"{PREFIX}x"
    yield name
    lab("down", name, check=False)


@pytest.fixture(scope="session")
def shared() -> Iterator[str]:
    """A lab of two hosts. Tests leave it as they found it."""
    name = f"{PREFIX}s"
    lab("up", name, "--no-drover")
    yield name
    lab("down", name)
    assert not state.exists(name)


@pytest.fixture(scope="session")
def guest(shared: str) -> str:
    """A guest in the shared lab with a disk and memory that changes. Where it is changes."""
    lab("guest", shared, "web1", "--host", "h1", "--disk", "64M", "--dirty", "4",
        "--work", "64")
    return "web1"


def host_of(name: str, vm: str) -> str:
    """The host on which the guest runs."""
    found = [h["name"] for lab_ in lab_json("list", "--json") if lab_["name"] == name
             for h in lab_["hosts"] if vm in h["guests"]]
    assert len(found) == 1, f"{vm} runs on {found}"
    return found[0]


def other(host: str) -> str:
    return {"h1": "h2", "h2": "h1"}[host]


def lan(name: str) -> str:
    return names.lan_netns(name)
