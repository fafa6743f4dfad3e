# SPDX-License-Identifier: Apache-2.0
"""
The fault table: {what dies} x {at which end} x {in which state}. A cell begins a move, gets it
exactly into its state (by a fault point where a state is short, by a slow link where it is
long), does its evil, lets everything come back, and then looks: one copy, memory as it
should be, no acknowledged write lost, nothing left over, the next move works.
"""
import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

os.environ["DROVER_FAULT"] = "/run/drover-fault"  # inside the hosts; before the lab is up

from lab import IMAGES, Lab, Move, Watch, wait_until  # noqa: E402
from power import Disk  # noqa: E402

VM = "web"
POINTS = "/run/drover-fault"
RATE = "40mbit"


@dataclass(frozen=True)
class State:
    """How a move is held in a state, and what is true there."""
    name: str
    at: str = ""        # the end whose program is held
    point: str = ""     # the fault point where it is held; none: a slow link holds it
    job: str = ""       # the state of the job that is waited for without a point
    moved: bool = False  # the guest belongs to the target from here on
    either: bool = False  # libvirt at the target has said that it has it, at the source nobody knows yet
    relays: bool = True  # both relays live
    copy: bool = True    # there is a QEMU at the target
    cancel: bool = False  # the move is being rolled back
    halves: bool = False  # post-copy: neither end has all of the guest, and the target's runs
    cut: bool = False   # the link is cut already, and heals when the fault is over
    way: str = ""       # a move of another kind than a running VM's to another host: see WAYS


STATES = [
    State("planned", "source", "state-planned", relays=False, copy=False),
    State("preparing", "source", "source-relay-ready", copy=False),
    State("copying-disks", job="copying-disks"),
    State("copying-memory", job="copying-memory"),
    State("switching", "source", "relay-finish-reply", either=True),
    State("post-copy", job="post-copy", moved=True, halves=True),
    State("recovering", job="recovering", moved=True, halves=True, relays=False, cut=True),
    State("reply read", "source", "relay-finish-read", moved=True, either=True),
    State("resumed", "target", "target-resumed", moved=True),
    State("finishing", "source", "source-confirmed", moved=True, relays=False),
    State("rolling back", "source", "source-abandoned", relays=False, copy=False, cancel=True),
    State("done", job="done", moved=True, relays=False),
]
# Only for power losses: what is moved, and what is given up there because it is elsewhere now.
WAYS = {"storage": ("--storage-only", "--target-pool"), "cold storage": ("--storage-only", "--target-pool"),
        "cold": (), "kept": (), "written while equal": ()}
POWER_STATES = [
    State("cold storage, before the old image goes", "source", "storage-definition-changed", way="cold storage"),
    State("cold storage, done", job="done", way="cold storage"),
    State("storage, before the old image goes", "source", "storage-definition-changed", way="storage"),
    State("storage, done", job="done", way="storage"),
    State("cold, copied", "target", "target-images-flushed", way="cold"),
    State("cold, recorded", "source", "source-offline-defined", moved=True, way="cold"),
    State("cold, done", job="done", moved=True, way="cold"),
    State("kept, done", job="done", moved=True, way="kept"),
    State("written while the disks are equal, confirmed", "source", "source-confirmed", moved=True, relays=False,
          way="written while equal"),
]
POWER = "power loss"
BOOTS = "droverd before libvirtd"  # as when a host boots; not in the table, which has hosts that do
PROCESSES = {"droverd": "droverd", "relay": "drover-relay", "libvirtd": "libvirtd",
             "qemu": "qemu-system-x86"}
FROZEN = {f"{name} frozen": process for name, process in PROCESSES.items()}  # SIGSTOP, then SIGCONT
FROZEN_S = 15
FAULTS = ["droverd", "relay", "libvirtd", "qemu", "host", "link cut", "link cut and healed",
          "slow link", "store full", "images full", POWER, *FROZEN]
ENDS = ["source", "target"]


@dataclass(frozen=True)
class Cell:
    fault: str
    end: str
    state: State

    @property
    def name(self) -> str:
        return f"{self.fault}, {self.end}, {self.state.name}"

    def why_not(self) -> str:
        """Why there is no such cell; empty if there is one."""
        what = self.fault.removesuffix(" frozen")
        if what == "relay" and not self.state.relays:
            return "no relay"
        if what == "relay" and self.end == "source" and self.state.name == "resumed":
            return "it has done its work and ended"
        if what == "qemu" and self.end == "target" and not self.state.copy:
            return "no QEMU there"
        if what == "qemu" and self.end == "source" and self.state.moved \
                and self.state.name != "reply read" and not self.state.halves:
            return "no QEMU there"
        if what == "qemu" and self.end == "source" and self.state.name == "reply read":
            return "libvirt is just ending it"
        if self.fault == "images full" and (
                self.end == "source" or self.state.name not in ("preparing", "copying-disks")):
            return "nothing is written there"
        return ""

    @property
    def takes_the_guest(self) -> bool:
        """Whether the fault takes the only copy that may run: down is what is expected then."""
        if self.is_cold:
            return True
        if self.fault not in ("qemu", "host", POWER):
            return False
        return self.state.halves or self.state.either or (self.end == "target") == self.state.moved


    @property
    def is_cold(self) -> bool:
        """The VM is shut off before it is moved."""
        return self.state.way.startswith("cold")

    @property
    def stays(self) -> bool:
        """Only its disks are moved."""
        return self.state.way.endswith("storage")

    @property
    def may_take_the_guest(self) -> bool:
        """What post-copy costs: QEMU at the target may wait for a page itself, then it answers nobody."""
        return self.takes_the_guest or (self.state.halves and self.fault in
                                        ("relay", "libvirtd", "link cut", "link cut and healed",
                                         "relay frozen", "libvirtd frozen", "qemu frozen"))


@dataclass
class Result:
    cell: str
    outcome: str = ""
    seconds: float = 0.0
    gap_ms: float = 0.0
    problem: str = ""
    down: bool = False   # the guest was taken by the fault, and started by hand
    asked: bool = False  # the job needed a person's choice
    notes: list[str] = field(default_factory=list)


class Bench:
    """A lab with the guest that goes from host to host. @power: its hosts can lose their power."""

    def __init__(self, name: str, power: bool = False) -> None:
        self.lab = Lab(name)
        self.content: dict[str, str] = {}  # of a VM that was shut off
        self.disks = {on: Disk(self.lab, on) for on in self.lab.hosts} if power else {}
        self.frozen: set[int] = set()  # processes

    def up(self) -> None:
        self.lab.up()
        for disk in self.disks.values():
            disk.make()

    def down(self) -> None:
        for disk in self.disks.values():
            disk.remove()
        self.lab.down()

    # ---- points ----

    def _points(self, on: str) -> Path:
        directory = self.lab.path(on, POINTS)
        directory.mkdir(exist_ok=True)
        return directory

    def _arm(self, on: str, point: str) -> None:
        # Whoever was killed while it was held has left this behind.
        (self._points(on) / f"{point}.held").unlink(missing_ok=True)
        (self._points(on) / point).write_text("hold\n")

    def disarm(self) -> None:
        for on in self.lab.hosts:
            for file in self._points(on).glob("*"):
                if file.suffix != ".held":
                    file.unlink(missing_ok=True)
            for pid in self._stopped(on):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _stopped(self, on: str) -> list[int]:
        if not self.is_up(on):
            return []
        found = []
        for pid in set(self.lab.pids(on, "drover-relay")) - self.frozen:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                    found.append(pid)
        return found

    def is_up(self, on: str) -> bool:
        from drover_lab import host
        return host.is_up(self.lab.name, on)

    # ---- the guest ----

    def fresh(self) -> str:
        """The guest runs on one host and all is as on the first day. Returns that host."""
        lab = self.lab
        for on in lab.hosts:
            if not self.is_up(on):
                lab.lab("boot", on)
            lab.link(on, "--up", "--rate", "none")
            lab.service(on, "droverd", "start")
        self.disarm()
        hosts = lab.where(VM)
        if len(hosts) == 1 and lab.state(VM, hosts[0]) == "running" and \
                not any(lab.leftovers(on, (VM,) if on == hosts[0] else ()) for on in lab.hosts) and \
                "/fast/" not in lab.virsh(hosts[0], "domblklist", VM):
            return hosts[0]
        # A cell that failed may have left anything: a new lab is the only clean one.
        self.down()
        self.up()
        lab.guest(VM, "h1", memory=128, work=40, compress=0, dirty=1, disk="16M", records=20)
        lab.add_disk(VM, "h1", 16)
        for on in self.disks:
            lab.run(on, "sync", "-f", IMAGES)
        return "h1"

    # ---- a cell ----

    def run(self, cell: Cell) -> Result:
        result = Result(cell.name)
        began = time.monotonic()
        try:
            self._run(cell, result)
        except Exception as e:  # a failed cell is a row of the table, not the end of the run
            result.problem = f"{type(e).__name__}: {e}"[:2000]
        finally:
            with contextlib.suppress(Exception):
                self.disarm()
        result.seconds = round(time.monotonic() - began, 1)
        return result

    def _run(self, cell: Cell, result: Result) -> None:
        lab = self.lab
        source = self.fresh()
        target = next(h for h in lab.hosts if h != source)
        victim = source if cell.end == "source" else target
        with self._disks(cell, victim) as fill:
            with lab.watching(VM, interval_ms=10) as watch:
                self.content = {}
                if cell.is_cold:
                    lab.virsh(source, "destroy", VM)
                    self.content = self._contents(source)
                move = self.get_there(cell, source, target)
                self._evil(cell, victim, move, fill)
                for on in lab.hosts:
                    lab.link(on, "--up", "--rate", "none")
                job = self._wait_ended(move, 100)
                result.notes.append(job["state"])
                where = self._settle(cell, move, job, result)
                if cell.state.way == "kept":  # what is kept must not be in the way
                    lab.move(VM, where, source)
                    where = source
                    lab.drover(source, "content", "off")
            self._judge(cell, watch, where, result)
            result.outcome = self.lab.job(move.job)["state"]
            move.process.kill()
            move.process.communicate()
            if fill is not None:
                fill(False)
        if cell.fault == "images full":
            assert where == source, "a move onto a full disk cannot be done"
        if cell.stays:
            self._storage_back(where)
        else:
            self._next_move(where)

    def _contents(self, on: str) -> dict[str, str]:
        """Of a VM that is shut off, by the disk's name."""
        disks = [line.split() for line in self.lab.virsh(on, "domblklist", VM).splitlines()[2:]]
        return {name: hashlib.sha256(self.lab.path(on, path).read_bytes()).hexdigest()
                for name, path in disks}

    def _pool(self, on: str) -> str:
        """The pool that a storage move goes to: "fast", which is made."""
        lab, path = self.lab, "/var/lib/libvirt/fast"
        if "fast" not in lab.virsh(on, "pool-list", "--all", "--name").split():
            lab.run(on, "mkdir", "-p", path)
            lab.virsh(on, "pool-define-as", "fast", "dir", "--target", path)
        lab.virsh(on, "pool-start", "fast", check=False)
        lab.run(on, "sync", "-f", path)
        return "fast"

    def _storage_back(self, on: str) -> None:
        self.lab.virsh(on, "pool-start", "fast", check=False)
        ended = self.lab.drover(on, "migrate", VM, "--storage-only", "--target-pool", "default", "--json")
        assert ended.code == 0 and ended.json()["outcome"] == "done", ended
        assert not os.listdir(self.lab.path(on, "/var/lib/libvirt/fast")), "an image stays behind"
        self.lab.virsh(on, "pool-destroy", "fast")

    def get_there(self, cell: Cell, source: str, target: str) -> Move:
        lab, state = self.lab, cell.state
        held = source if state.at == "source" else target
        if state.point:
            self._arm(held, state.point)
        equal = state.way == "written while equal"
        if not state.point or state.cancel or equal:
            lab.rate(RATE)
        options = ("--method", "post-copy") if state.halves else WAYS.get(state.way, ())
        if cell.stays:
            options = (*options, self._pool(source))
        if state.way == "kept":
            lab.drover(source, "content", "on")
        move = lab.begin(VM, source, None if cell.stays else target, *options)
        if state.cancel:
            move.until("copying-disks", "copying-memory", wire_bytes=1 << 20)
            lab.drover(source, "cancel", move.job)
        if equal:
            move.until("copying-memory", wire_bytes=1 << 19)
            self._write_more()
            move.until("copying-memory")
            lab.rate("none")
        if state.point.startswith("relay-"):
            wait_until(lambda: self._stopped(held), f"the relay on {held} stops at {state.point}",
                       60)
        elif state.point:
            wait_until((self._points(held) / f"{state.point}.held").exists,
                       f"droverd on {held} stops at {state.point}", 60)
        elif state.job == "done":
            lab.rate("none")
            wait_until(lambda: move.view()["ended"], "the move ends", 60)
        elif state.halves:
            self._hand_over(move)
            if state.cut:
                lab.link(target, "--down")
                move.until(state.job)
        else:
            move.until(state.job, wire_bytes=1 << 19)
        return move

    def _acknowledged(self) -> int:
        """The number of the last record that the guest has flushed."""
        number: int = self.lab.lab("witness", VM, "--status").json()["disk"]["acknowledged"]
        return number

    def _write_more(self) -> None:
        """Until the guest has flushed some more records, in places of its disk where none was before."""
        enough = self._acknowledged() + 40
        wait_until(lambda: self._acknowledged() > enough, f"{VM} writes to its disk", 30)

    def _hand_over(self, move: Move) -> None:
        """
        Until the guest runs at the target and a good part of its memory has still to come. In the hand-over
        itself a broken link costs the memory (docs/migration.rst): that is QEMU's.
        """
        lab, target = self.lab, move.target
        assert target
        move.until("post-copy")
        wait_until(lambda: "post-copy" in lab.virsh(target, "domstate", VM, "--reason", check=False),
                   f"{VM} runs on {target}")
        there = move.view()["progress"]["wire_bytes"]
        move.until("post-copy", wire_bytes=there + (8 << 20))

    @contextlib.contextmanager
    def _freeze(self, on: str, process: str) -> Iterator[None]:
        pids = self.lab.pids(on, process)
        assert pids, f"there is no {process} on {on}"
        self.frozen.update(pids)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self.frozen.clear()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _while_frozen(self, cell: Cell, move: Move, said: int) -> None:
        """What must come to pass before the frozen program goes on; so much had the target's log when it was stopped."""
        lab, target = self.lab, move.target
        assert target
        if not (cell.state.name in ("switching", "reply read") and
                (cell.end == "target" or cell.fault == "droverd frozen")):
            return  # the guest runs, or nobody who is awake can know that it may
        if cell.fault == "droverd frozen":
            wait_until(lambda: lab.state(VM, target) == "running",
                       f"{VM} is resumed on {target} all the same", 60)
        elif cell.fault in ("libvirtd frozen", "qemu frozen"):
            wait_until(lambda: f"{VM} stands still: libvirtd" in lab.log(target).read_text()[said:],
                       f"{target} says why it cannot be resumed", 60)

    def _evil(self, cell: Cell, victim: str, move: Move,
              fill: Optional[Callable[[bool], None]]) -> None:
        lab = self.lab
        if cell.fault in PROCESSES:
            lab.kill(victim, PROCESSES[cell.fault])
            self.disarm()
        elif cell.fault == BOOTS:
            lab.service(victim, "libvirtd", "stop")
            lab.kill(victim, "droverd")
            self.disarm()
            wait_until(lambda: self.job(move), "droverd is there again")
            lab.service(victim, "libvirtd", "start")
        elif cell.fault in FROZEN:
            assert move.target
            said = len(lab.log(move.target).read_text())
            over = self._after(FROZEN_S)
            with self._freeze(victim, FROZEN[cell.fault]):
                self.disarm()
                self._while_frozen(cell, move, said)
                wait_until(over, f"{FROZEN_S} seconds pass", FROZEN_S + 5)
        elif cell.fault in ("host", POWER):
            if cell.fault == POWER:
                self.disks[victim].lose_power()
            else:
                lab.lab("kill", victim)
            self.disarm_up()
            if victim == move.target and not cell.state.moved:
                with contextlib.suppress(AssertionError):
                    self._wait_ended(move, 20)
            lab.lab("boot", victim)
        elif cell.fault in ("link cut", "link cut and healed"):
            lab.link(victim, "--down")
            self.disarm()
            if cell.fault == "link cut":
                with contextlib.suppress(AssertionError):
                    self._wait_ended(move, 75)
            else:
                wait_until(self._after(3), "three seconds pass")
            lab.link(victim, "--up")
        elif cell.fault == "slow link":
            lab.rate("2mbit")
            self.disarm()
            wait_until(self._after(4), "four seconds pass")
        elif fill is not None:
            fill(True)
            self.disarm()
            if cell.fault == "images full":
                with contextlib.suppress(AssertionError):
                    self._wait_ended(move, 30)
            else:
                lab.rate("none")
                wait_until(self._after(6), "six seconds pass")
                fill(False)

    def disarm_up(self) -> None:
        self.disarm()

    @staticmethod
    def _after(seconds: float) -> Callable[[], bool]:
        until = time.monotonic() + seconds
        return lambda: time.monotonic() >= until

    def job(self, move: Move) -> Optional[dict[str, Any]]:
        """None while the source's droverd cannot be asked."""
        try:
            return move.view()
        except (OSError, AssertionError, KeyError):
            return None

    def _wait_ended(self, move: Move, seconds: float) -> dict[str, Any]:
        def ended() -> Optional[dict[str, Any]]:
            job = self.job(move) if self.is_up(move.source) else None
            return job if job and job["ended"] else None

        job: dict[str, Any] = wait_until(ended, f"{move.job} ends", seconds)
        return job

    def _boot_anew(self, move: Move, job: dict[str, Any], result: Result) -> None:
        """As the job says, also what it says of libvirt 9.0."""
        for command in job["attention"]["keep_target"]:
            on, _, words = command.partition(": virsh ")
            done = self.lab.run(on, "virsh", "-c", "qemu:///system", *words.split(), check=False)
            assert done.code == 0 or "domain is not running" in done.err, f"{command}: {done}"
        try:
            wait_until(lambda: VM not in self.lab.virsh(move.source, "list", "--all", "--name"),
                       f"{VM} is not on {move.source} any more", 20)
        except AssertionError:
            result.notes.append("libvirtd restarted, as the job said")
            self.lab.service(move.source, "libvirtd", "restart")

    def _settle(self, cell: Cell, move: Move, job: dict[str, Any], result: Result) -> str:
        """Everything is back: where the guest is. What was taken is started, as an operator would."""
        lab = self.lab
        for on in lab.hosts:
            wait_until(lambda on=on: lab.run(on, "virsh", "-c", "qemu:///system", "list",
                                             check=False).code == 0, f"libvirtd on {on} answers")

        def one_place() -> Optional[str]:
            states = {on: lab.state(VM, on) for on in lab.hosts
                      if VM in lab.virsh(on, "list", "--all", "--name", check=False).split()}
            running = [on for on, is_ in states.items() if is_ == "running"]
            assert len(running) < 2, f"two copies run: {states}"
            if running and len(states) == 1:
                return running[0]
            off = [on for on, is_ in states.items() if is_ == "shut off"]
            now = self.job(move)
            if cell.may_take_the_guest and (len(states) == 2 or cell.state.halves) and now and \
                    now["state"] == "needs-attention" and not result.asked:
                # A person's choice: here the copy at the target, which is whole.
                result.notes.append(f"asked: {now['error']}")
                result.asked = True
                if cell.state.halves:
                    result.down = True
                    self._boot_anew(move, now, result)
                    return None
                for command in now["attention"]["keep_target"]:
                    on, _, words = command.partition(": virsh ")
                    lab.virsh(on, *words.split())
            if cell.takes_the_guest and off and len(states) == 1 and now and now["ended"]:
                text = now["error"] or ""
                if now["state"] != "done" and cell.state.name != "done" and not cell.is_cold:
                    assert "shut off" in text or now["state"] == "failed", now
                result.notes.append(f"down, said: {text}" if text else "down")
                result.down = True
                if self.content:
                    assert self._contents(off[0]) == self.content, "an image is not what it was"
                lab.virsh(off[0], "start", VM)
                lab.wait_answer(VM)
            return None

        where: str = wait_until(one_place, f"{VM} runs in one place and is defined nowhere else",
                                90)

        def settled() -> bool:
            now = self.job(move)
            return bool(now and now["ended"] and now["state"] != "needs-attention")

        wait_until(settled, f"{move.job} is settled", 60)
        return where

    def _judge(self, cell: Cell, watch: Watch, where: str, result: Result) -> None:
        seen = watch.seen
        result.gap_ms = round(seen["longest_gap_ms"], 1)
        brief = {k: v for k, v in seen.items() if k not in ("gaps", "work_done")}
        assert not seen["split_brain"], f"two copies ran: {brief}"
        assert seen["verified"], brief
        assert seen["memory"]["errors"] == 0, seen["memory"]
        assert seen["disk"]["lost"] == 0, seen["disk"]
        assert seen["disk"]["errors"] == 0, seen["disk"]
        # A record that was being written when its host died may be torn.
        assert seen["disk"]["damaged"] <= (1 if result.down else 0), seen["disk"]
        if not result.down:
            assert len(seen["boots"]) == 1, f"the guest was booted anew: {seen['boots']}"
        self.lab.wait_clean({h: (VM,) if h == where else () for h in self.lab.hosts}, 60)

    def _next_move(self, where: str) -> None:
        other = next(h for h in self.lab.hosts if h != where)
        self.lab.rate("none")
        with self.lab.watching(VM, interval_ms=10) as watch:
            self.lab.move(VM, where, other)
        try:
            watch.assert_unharmed()
        except AssertionError:
            brief = {k: v for k, v in watch.seen.items() if k not in ("gaps", "work_done")}
            raise AssertionError(f"the next move: {brief}") from None
        self.lab.wait_clean({h: (VM,) if h == other else () for h in self.lab.hosts})

    # ---- full disks ----

    @contextlib.contextmanager
    def _disks(self, cell: Cell, victim: str) -> Iterator[Optional[Callable[[bool], None]]]:
        """A small file system where it is to be full; yields what fills it and empties it again."""
        if cell.fault not in ("store full", "images full"):
            yield None
            return
        lab = self.lab
        store = cell.fault == "store full"
        where = "/var/lib/drover" if store else "/var/lib/libvirt/images"
        size = "8m" if store else "64m"
        if store:
            lab.service(victim, "droverd", "stop")
        lab.run(victim, "sh", "-c",
                f"mkdir -p /run/small && mount -t tmpfs -o size={size},mode=0711 none /run/small && "
                f"cp -a {where}/. /run/small/ && mount --move /run/small {where}"
                if store else f"mount -t tmpfs -o size={size},mode=0711 none {where}")
        if store:
            lab.service(victim, "droverd", "start")

        def fill(full: bool) -> None:
            lab.run(victim, "sh", "-c",
                    f"dd if=/dev/zero of={where}/.full bs=64k 2>/dev/null; "
                    f"dd if=/dev/zero of={where}/.full2 bs=512 2>/dev/null; true" if full
                    else f"rm -f {where}/.full {where}/.full2")

        try:
            yield fill
        finally:
            fill(False)
            if store:
                lab.service(victim, "droverd", "stop")
                lab.run(victim, "sh", "-c",
                        f"mkdir -p /run/small && mount --move {where} /run/small && "
                        f"rm -f {where}/drover.db* && cp -a /run/small/. {where}/ && "
                        "umount /run/small")
                lab.service(victim, "droverd", "start")
            else:
                lab.run(victim, "umount", where)


def all_cells() -> list[Cell]:
    return [Cell(fault, end, state) for state in STATES for fault in FAULTS for end in ENDS
            if not (fault == "slow link" and end == "target")] + power_cells()


def power_cells() -> list[Cell]:
    """Power losses in moves of other kinds."""
    return [Cell(POWER, end, state) for state in POWER_STATES for end in ENDS
            if end == "source" or not state.way.endswith("storage")]


def save(results: dict[str, Result], file: Path) -> None:
    file.write_text(json.dumps({name: vars(r) for name, r in results.items()}, indent=1))


def load(file: Path) -> dict[str, Result]:
    if not file.exists():
        return {}
    return {name: Result(**r) for name, r in json.loads(file.read_text()).items()}
