# SPDX-License-Identifier: Apache-2.0
"""The witness guest: it moves, survives its host's services, and finds what is wrong with it."""
import json
import os
import re
import struct
import subprocess
from pathlib import Path

import pytest
from conftest import LAB, Watch, host_of, lab, lab_json, other, until

from drover_lab import host as lab_host, process

MIB = 1 << 20


def migrate(name: str, vm: str, *argv: str) -> str:
    """A plain libvirt move to the other host; returns where it is now."""
    source = host_of(name, vm)
    target = other(source)
    lab("virsh", name, target, "vol-create-as", "default", f"{vm}.raw", "64M", "--format", "raw",
        check=False)  # it may be there from an earlier stay
    lab("virsh", name, source, "migrate", "--live", "--p2p", "--persistent", "--undefinesource",
        "--copy-storage-all", *argv, vm, lab_host.uri(name, target))
    lab("virsh", name, source, "vol-delete", f"{vm}.raw", "--pool", "default")
    return target


def test_moves(shared, guest, tmp_path):
    seen = Watch(shared, guest, tmp_path, "--verify-after")
    target = migrate(shared, guest)
    assert host_of(shared, guest) == target
    result = seen.end()
    assert result["verified"] and result["memory"]["errors"] == 0, result["memory"]
    assert result["memory"]["bytes"] == 64 * MIB and result["memory"]["rewritten_bytes"] > 0
    assert result["disk"]["lost"] == 0 and result["disk"]["damaged"] == 0
    assert result["disk"]["acknowledged"] > 0
    assert not result["split_brain"] and len(result["boots"]) == 1
    assert result["tcp"]["connections_lost"] == 0
    assert 0 < result["longest_gap_ms"] < 10000
    assert result["work_done"]["work_per_s"]["median"] > 0
    assert len(result["work_done"]["series"]) >= 1


def test_services_restart_around_it(shared, guest, tmp_path):
    on = host_of(shared, guest)
    seen = Watch(shared, guest, tmp_path)
    _, pid = lab("service", shared, on, "libvirtd", "status").stdout.split()
    lab("run", shared, on, "--", "kill", "-9", pid)

    def again() -> bool:
        status, new = lab("service", shared, on, "libvirtd", "status").stdout.split()
        return status == "running" and new != pid
    until(again)
    lab_host.wait_for_libvirt(shared, on)
    assert host_of(shared, guest) == on
    lab("service", shared, on, "libvirtd", "stop")
    assert lab("virsh", shared, on, "list", check=False).returncode != 0
    lab("service", shared, on, "libvirtd", "start")
    assert host_of(shared, guest) == on
    result = seen.end()
    assert len(result["boots"]) == 1 and result["tcp"]["connections_lost"] == 0


def test_host_dies_and_keeps_its_disks(shared, guest, tmp_path):
    on = host_of(shared, guest)
    seen = Watch(shared, guest, tmp_path)
    pid = lab_host.pid_of(shared, on)
    lab("run", shared, on, "--", "touch", "/run/forgotten", "/var/lib/drover/kept")
    lab("kill", shared, on)
    assert process.start_time(pid) is None
    assert lab("virsh", shared, on, "list", check=False).returncode == 1
    lab("boot", shared, on)
    assert lab("run", shared, on, "--", "ls", "/run/forgotten", check=False).returncode != 0
    lab("run", shared, on, "--", "rm", "/var/lib/drover/kept")
    lab("virsh", shared, on, "start", guest)
    until(lambda: lab("witness", shared, guest, "--status", "--timeout", "20",
                      check=False).returncode == 0)
    result = lab_json("witness", shared, guest, "--verify")
    watched = seen.end()
    # The client of before saw two boots, and no connection was closed by the dying host.
    assert len(watched["boots"]) == 2 and not watched["split_brain"]
    # No acknowledged record of the first life is missing in the second.
    assert result["disk"]["found_at_boot"] > 0 and result["disk"]["lost"] == 0
    assert watched["disk"]["acknowledged"] >= result["disk"]["found_at_boot"]


def ram_of(pid: int, size: int) -> int:
    """Where in QEMU's memory the guest's is."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, end = (int(x, 16) for x in re.match(r"(\w+)-(\w+)", line).groups())
        if end - start == size and "rw" in line:
            return start
    raise AssertionError("QEMU has no such memory")


def find_page(pid: int, number: int) -> int:
    """The address in QEMU of the witness's page of this number."""
    # Two pages less under emulation: see --dirty-log in docs/lab.rst.
    emulated = "memory-backend=lab.ram" in cmdline(pid)
    base = ram_of(pid, 128 * MIB - (2 * 4096 if emulated else 0))
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for offset in range(0, 128 * MIB, MIB):
            memory.seek(base + offset)
            chunk = memory.read(MIB)
            for at in range(0, MIB, 4096):
                # Page, generation 1, then the pattern's phase: see lab/witness/memory.h.
                phase = [((number * 4096 + 16 + i) % 251) ^ 1 for i in range(32)]
                if chunk[at:at + 48] == struct.pack("<QQ", number, 1) + bytes(phase):
                    return base + offset + at
    raise AssertionError("the witness's page is not in QEMU's memory")


def test_wrong_byte_is_found(shared):
    """Spoils one byte of the guest's memory from outside."""
    lab("guest", shared, "spoilt", "--host", "h1", "--memory", "128", "--work", "8",
        "--disk", "0")
    try:
        assert lab_json("witness", shared, "spoilt", "--verify")["memory"]["errors"] == 0
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
        qemu = next(p for p in pids if cmdline(p).startswith("/usr/bin/qemu") and
                    "guest=spoilt," in cmdline(p))
        address = find_page(qemu, 1234)
        with open(f"/proc/{qemu}/mem", "r+b", buffering=0) as memory:
            memory.seek(address + 3000)
            old = memory.read(1)[0]
            memory.seek(address + 3000)
            memory.write(bytes([old ^ 0xff]))
        done = lab("witness", shared, "spoilt", "--verify", check=False)
        said = json.loads(done.stdout)
        assert done.returncode == 3
        assert said["memory"]["errors"] >= 1
        assert said["memory"]["first_error"] == {"offset": 1234 * 4096 + 3000, "expected": old,
                                                 "found": old ^ 0xff}
    finally:
        lab("virsh", shared, "h1", "destroy", "spoilt")
        lab("virsh", shared, "h1", "undefine", "spoilt")


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@pytest.mark.parametrize("argv, message", [
    (["--memory", "64"], "at least 96 MiB"),
    (["--work", "200"], "at most --memory less 80 MiB"),
    (["--disk", "tiny"], "is not understood"),
    (["--work", "0", "--dirty", "5"], "--dirty needs --work"),
    (["--compress", "101"], "--compress 101"),
])
def test_guest_refusals(shared, argv, message):
    done = lab("guest", shared, "refused", "--host", "h1", *argv, check=False)
    assert done.returncode == 1 and message in done.stderr
    assert "refused" not in lab("virsh", shared, "h1", "list", "--all").stdout


def test_guest_twice(shared, guest):
    done = lab("guest", shared, guest, "--host", "h2", check=False)
    assert done.returncode == 1 and "already" in done.stderr


def test_nobody_answers(shared):
    done = subprocess.run([str(LAB), "witness", shared, "nobody", "--status", "--timeout", "1"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "no answer" in done.stderr
