# SPDX-License-Identifier: Apache-2.0
"""Processes: known by pid and start time, found by what carries the lab's name, ended."""
import os
import select
import signal
import time
from pathlib import Path
from typing import Optional

from .errors import LabError

MARK = "DROVER_LAB_MARK"  # in the environment of what the lab starts


def start_time(pid: int) -> Optional[str]:
    """When the process began, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def remember(path: Path, pid: int) -> None:
    path.write_text(f"{pid} {start_time(pid)}\n")


def recall(path: Path) -> Optional[int]:
    """The remembered process if it is still the same one."""
    try:
        pid_text, began = path.read_text().split()
        pid = int(pid_text)
    except (OSError, ValueError):
        return None
    return pid if start_time(pid) == began else None


def kill_and_wait(pids: list[int], seconds: float = 15) -> None:
    """SIGKILL, then waits for the ends. An init's end includes all its host's processes."""
    fds = []
    for pid in pids:
        try:
            fds.append(os.pidfd_open(pid))
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + seconds
    for fd in fds:
        left = max(0.0, deadline - time.monotonic())
        ended = select.select([fd], [], [], left)[0]
        os.close(fd)
        if not ended:
            raise LabError(f"a process of the lab does not end (one of {pids}): see what "
                           "it waits for in /proc/PID/wchan, then run the command again")


def pids() -> list[int]:
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def of_lab(lab: str, netns: list[str]) -> list[int]:
    """Everything that carries the lab's mark or is in one of its network namespaces."""
    spaces = {inode(f"/run/netns/{n}") for n in netns} - {0}
    mark = f"{MARK}={lab}".encode()
    found = []
    for pid in pids():
        if pid == os.getpid() or start_time(pid) is None:
            continue
        if inode(f"/proc/{pid}/ns/net") in spaces:
            found.append(pid)
            continue
        try:
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            pass
    return found
