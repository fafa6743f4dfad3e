# SPDX-License-Identifier: Apache-2.0
"""
CPU time and peak memory of the relays and the QEMUs of a lab's hosts during a move. Such
processes begin and end with the move, so they are looked at all the while: what one used in
its last moments, up to EVERY_S, is missed.
"""
import os
import threading
from pathlib import Path
from typing import Any, Optional

from drover_lab import host, process

from .bed import HOSTS

EVERY_S = 0.05
LOOKS_A_SCAN = 5  # new processes are looked for that much more seldom
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
KINDS = {"drover-relay": "relay", "qemu-system-x86": "qemu"}


def _ticks(pid: int) -> Optional[int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[11]) + int(fields[12])


def _peak_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


class _Watched:
    def __init__(self, pid: int, kind: str, at: str, before: int) -> None:
        self.pid, self.kind, self.at, self.before = pid, kind, at, before
        self.ticks, self.peak_bytes = before, 0

    def look(self) -> None:
        ticks = _ticks(self.pid)
        if ticks is not None:
            self.ticks = max(self.ticks, ticks)
            self.peak_bytes = max(self.peak_bytes, _peak_bytes(self.pid))


class Sampler:
    """Looks from its making until finish()."""

    def __init__(self, lab: str) -> None:
        self.spaces = {process.inode(f"/proc/{host.pid_of(lab, h)}/ns/pid"): h for h in HOSTS}
        self.watched: dict[int, _Watched] = {}
        self.ended = threading.Event()
        self._scan(at_start=True)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _scan(self, at_start: bool) -> None:
        for pid in process.pids():
            if pid in self.watched:
                continue
            try:
                kind = KINDS.get(Path(f"/proc/{pid}/comm").read_text().strip())
            except OSError:
                continue
            at = self.spaces.get(process.inode(f"/proc/{pid}/ns/pid")) if kind else None
            if kind and at:
                before = (_ticks(pid) or 0) if at_start else 0
                self.watched[pid] = _Watched(pid, kind, at, before)

    def _run(self) -> None:
        looks = 0
        while not self.ended.wait(EVERY_S):
            if looks % LOOKS_A_SCAN == 0:
                self._scan(at_start=False)
            looks += 1
            for each in self.watched.values():
                each.look()

    def finish(self) -> dict[str, Any]:
        self.ended.set()
        self.thread.join()
        for each in self.watched.values():
            each.look()
        found: dict[str, Any] = {}
        for kind in KINDS.values():
            those = [w for w in self.watched.values() if w.kind == kind]
            found[f"{kind}_cpu_s"] = round(sum(w.ticks - w.before for w in those) / TICKS_PER_S, 2)
            found[f"{kind}_peak_bytes"] = max((w.peak_bytes for w in those), default=0)
        return found
