# SPDX-License-Identifier: Apache-2.0
"""What a lab leaves behind: nothing, also when it was only half made or its files are lost."""
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import LAB, lab, lab_json, until

from drover_lab import names, process, state


def traces(name: str) -> dict[str, object]:
    """All that there is of a lab on this machine."""
    return {
        "namespaces": state.netns_names(name),
        "processes": process.of_lab(name, state.netns_names(name)),
        "directory": state.lab_dir(name).exists(),
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines()
                   if f"{name}-" in line or f"/{name}/" in line],
        "registry": (state.REGISTRY / "labs" / name).exists(),
    }


NOTHING = {"namespaces": [], "processes": [], "directory": False, "mounts": [], "registry": False}


def devices() -> set[str]:
    return set(os.listdir("/sys/class/net"))


def test_up_and_down(fresh):
    before = devices()
    lab("up", fresh, "--hosts", "3", "--no-drover", "--delay", "1ms")
    assert devices() == before, "something was made in the machine's own network"
    found = next(entry for entry in lab_json("list", "--json") if entry["name"] == fresh)
    assert [(h["name"], h["up"], h["address"]) for h in found["hosts"]] == [
        ("h1", True, "10.77.0.11"), ("h2", True, "10.77.0.12"), ("h3", True, "10.77.0.13")]
    for h in ("h1", "h2", "h3"):
        assert lab("run", fresh, h, "--", "hostname").stdout == f"{h}\n"
        assert "default" in lab("virsh", fresh, h, "pool-list").stdout
        assert lab("virsh", fresh, h, "net-list", "--all", "--name").stdout.strip() == ""
    assert traces(fresh)["processes"]
    again = lab("up", fresh, "--no-drover", check=False)
    assert again.returncode == 1 and "already" in again.stderr
    lab("down", fresh)
    assert traces(fresh) == NOTHING
    assert devices() == before


def crash_up(name: str, condition) -> None:
    """Kills `lab up` at the moment when the condition becomes true."""
    up = subprocess.Popen([str(LAB), "up", name, "--hosts", "3", "--no-drover"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: condition() or up.poll() is not None)
    up.send_signal(signal.SIGKILL)
    up.wait()


@pytest.mark.parametrize("moment", ["directory", "lan", "host", "init"])
def test_down_after_crash_in_up(fresh, moment):
    moments = {
        "directory": state.lab_dir(fresh).exists,
        "lan": lambda: names.lan_netns(fresh) in state.netns_names(fresh),
        "host": lambda: names.host_netns(fresh, "h2") in state.netns_names(fresh),
        "init": lambda: (state.lab_dir(fresh) / "h1" / "init.pid").exists(),
    }
    crash_up(fresh, moments[moment])
    assert state.exists(fresh)
    lab("list")
    # What the killed `lab up` had started is still starting up.
    lab("down", fresh)
    assert traces(fresh) == NOTHING


@pytest.mark.parametrize("damage", ["truncated", "no lab.json", "no pids", "no directory"])
def test_down_with_damaged_state(fresh, damage):
    lab("up", fresh, "--no-drover")
    here = state.lab_dir(fresh)
    if damage == "truncated":
        os.truncate(here / "lab.json", 10)
        (here / "h1" / "init.pid").write_text("")
    elif damage == "no lab.json":
        (here / "lab.json").unlink()
    elif damage == "no pids":
        for h in ("h1", "h2"):
            (here / h / "init.pid").unlink()
    else:
        shutil.rmtree(here)
    assert fresh in lab("list").stdout
    lab("down", fresh)
    assert traces(fresh) == NOTHING


def test_side_by_side(shared, fresh):
    """The same names and addresses in two labs; one goes, the other stays."""
    lab("up", fresh, "--no-drover")
    ids = {n: lab("run", n, "h1", "--", "sh", "-c", "touch /etc/drover/$0; ls /etc/drover; "
                  "virsh -c qemu:///system capabilities | grep -m1 uuid", n).stdout
           for n in (shared, fresh)}
    assert shared in ids[shared] and fresh not in ids[shared]
    assert ids[shared].split()[-1] != ids[fresh].split()[-1]
    lab("down", fresh)
    assert shared in lab("run", shared, "h1", "--", "ls", "/etc/drover").stdout
    assert lab("run", shared, "h1", "--", "rm", f"/etc/drover/{shared}").returncode == 0
    assert "running" in lab("service", shared, "h1", "libvirtd", "status").stdout
