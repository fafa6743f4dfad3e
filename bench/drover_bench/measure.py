# SPDX-License-Identifier: Apache-2.0
"""
One move, and what is measured of it: by the clock, by the guest's client, by the kernel's
counters, and as libvirt and Drover report it themselves.
"""
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from drover_lab import host, process
from drover_lab.errors import LabError
from drover_lab.shell import run, wait_until

from . import ways
from .bed import HOSTS, LAB, VM

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LIBVIRT_FIGURES = {"Time elapsed": "libvirt_ms", "Total downtime": "libvirt_pause_ms",
                   "Memory processed": "qemu_bytes", "Iteration": "rounds"}
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class Client:
    """One outside who talks to the guest all the while."""

    def __init__(self, lab: str, scratch: Path, vm: str = VM, interval_ms: int = 2) -> None:
        self.stop, ready = scratch / "stop", scratch / "ready"
        for file in (self.stop, ready):
            file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [LAB, "witness", lab, vm, "--interval-ms", str(interval_ms), "--until-file",
             str(self.stop), "--ready-file", str(ready), "--timeout", "20"],
            stdout=subprocess.PIPE, text=True)
        wait_until(lambda: ready.exists() or self.process.poll() is not None, 30,
                   "an answer of the guest to its client")

    def finish(self) -> dict[str, Any]:
        self.stop.touch()
        text, _ = self.process.communicate()
        if not text:
            raise LabError("the guest's client has seen no answer")
        return dict(json.loads(text))


def uplink(lab: str, at: str) -> tuple[int, int]:
    """Bytes that have left the host, and that have come, as its network device counts them."""
    text = run("ip", "netns", "exec", f"{lab}-{at}", "cat",
               "/sys/class/net/eth0/statistics/tx_bytes",
               "/sys/class/net/eth0/statistics/rx_bytes")
    sent, received = map(int, text.split())
    return sent, received


def uplink_bytes(lab: str, at: str) -> int:
    """Both directions."""
    return sum(uplink(lab, at))


def hosts_cpu_s(lab: str) -> float:
    """
    CPU time of everything that runs, or has run, on the lab's hosts. What has ended is in
    its parent's account, in the end in that of the host's init.
    """
    spaces = {process.inode(f"/proc/{host.pid_of(lab, h)}/ns/pid") for h in HOSTS}
    ticks = 0
    for pid in process.pids():
        if process.inode(f"/proc/{pid}/ns/pid") in spaces:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_PER_S


def machine_cpu_s() -> float:
    """CPU time of the whole machine."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / TICKS_PER_S


def libvirt_figures(lab: str, target: str, vm: str = VM) -> dict[str, Any]:
    text = run("virsh", "-c", host.uri(lab, target), "domjobinfo", vm, "--completed", check=False)
    found: dict[str, Any] = dict.fromkeys(LIBVIRT_FIGURES.values())
    for name, value, unit in re.findall(r"^(.+?):\s+([0-9.]+)(?: +(\w+))?\s*$", text, re.M):
        if name in LIBVIRT_FIGURES:
            found[LIBVIRT_FIGURES[name]] = round(float(value) * UNITS.get(unit, 1))
    return found


def rounds_so_far(lab: str, source: str, vm: str) -> int:
    """Of the job that runs."""
    text = run("virsh", "-c", host.uri(lab, source), "domjobinfo", vm, check=False)
    found = re.search(r"^Iteration:\s+(\d+)", text, re.M)
    return int(found.group(1)) if found else 0


def drover_figures(stdout: str) -> dict[str, Any]:
    try:
        said = json.loads(stdout)
    except ValueError:
        raise LabError(f"drover migrate --json has printed no JSON: '{stdout}'") from None
    return {"drover_ms": said["total_ms"], "drover_pause_ms": said["pause_ms"],
            "drover_wire_bytes": said["wire_bytes"], "drover_allowed_ms": said["allowed_pause_ms"],
            "recycled_bytes": said["recycled_bytes"], "drover_disk_wire_bytes": said["disk_wire_bytes"]}


def set_allowed_pause(lab: str, at: str, ms: int, vm: str = VM, check: bool = True) -> None:
    run("virsh", "-c", host.uri(lab, at), "migrate-setmaxdowntime", vm, str(ms), check=check)


def what_it_says(seen: dict[str, Any]) -> str:
    """How the guest is after a move: "well", or what is wrong with it."""
    if seen["split_brain"]:
        return ("two copies of it answer, or seem to: " +
                ", ".join(f"{k} {seen[k]}" for k in ("backwards", "answered_twice",
                                                     "boots_returned")))
    if len(seen["boots"]) > 1:
        return "it has crashed and booted again"
    if not seen["memory"]:
        return "it has crashed: it answers no more"
    return "well" if not seen["memory"]["errors"] else "its memory is wrong"


def move(lab: str, way: str, source: str, target: str, with_disk: bool,
         scratch: Path) -> dict[str, Any]:
    argv = host.enter(lab, source) + ways.command(way, lab, VM, target, with_disk)
    client = Client(lab, scratch)
    wire, hosts, machine = uplink_bytes(lab, source), hosts_cpu_s(lab), machine_cpu_s()
    begun = time.monotonic()
    child = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           check=False)
    total_s = time.monotonic() - begun
    machine, hosts = machine_cpu_s() - machine, hosts_cpu_s(lab) - hosts
    wire = uplink_bytes(lab, source) - wire
    seen = client.finish()
    if child.returncode != 0:
        raise LabError(f"{' '.join(argv)}: exit code {child.returncode}: {child.stderr.strip()}")
    return {
        "way": way, "from": source, "to": target, "total_ms": round(total_s * 1000, 1),
        "client_gap_ms": round(seen["longest_gap_ms"], 1), "uplink_bytes": wire,
        "guest": what_it_says(seen), "hosts_cpu_s": round(hosts, 2),
        "elsewhere_cpu_s": round(max(0.0, machine - hosts), 2),
        **libvirt_figures(lab, target),
        **(drover_figures(child.stdout) if way == "drover" else {}),
    }


def what_is_lost(lab: str) -> list[str]:
    """Has the guest check all its memory and its disk; empty if all is there."""
    done = subprocess.run([LAB, "witness", lab, VM, "--verify"], stdout=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode == 0:
        return []
    return [f"at the end the guest says: {done.stdout.strip() or 'nothing'}"]
