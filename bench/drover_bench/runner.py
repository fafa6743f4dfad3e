# SPDX-License-Identifier: Apache-2.0
"""
Runs one case of bench/run. There is one guest that libvirt runs, for virsh and Drover, and an
equal one of QEMU alone; whose turn it is not stands still. Every repetition has every way once,
and which begins rotates.
"""
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Union

from drover_lab import host
from drover_lab.errors import LabError
from drover_lab.shell import run

from . import aged, bed, load, measure, ways
from .bed import HOSTS, LAB
from .cases import Case
from .guests import Debian, Guest, LibvirtGuest
from .qmp import QmpGuest
from .sampler import Sampler

# first: the target knows nothing of the guest. return: back to where it came from, after
# the case's away_s. worked: the same, after much work. aged: first, with a disk that the target has in
# an older state.
MOVES = ("first", "return", "worked", "aged")
AGED_PERCENT = 2
CLIENT_INTERVAL_MS = 5
CONTENT = "var/lib/drover/content"
BASELINE_S = 4
WORK_OPERATIONS, WORK_RATE, WORK_LIMIT_S = 40000, 4000, 240
REMEMBERS = ("drover",)  # only there it matters what the guest did while it was away
Say = Callable[[str], None]
AnyGuest = Union[LibvirtGuest, QmpGuest]


def set_link(lab: str, case: Case) -> None:
    """The rate holds for both links; delay and loss, of the whole way, are put on one."""
    for h in HOSTS:
        run(LAB, "link", lab, h, "--rate", case.link.rate)
    run(LAB, "link", lab, HOSTS[1], "--delay", f"{case.link.round_trip_ms / 2}ms", "--loss",
        f"{case.link.loss_percent}%")


def other(at: str) -> str:
    return HOSTS[1] if at == HOSTS[0] else HOSTS[0]


class Bench:
    """A lab, the case's guests in it, and what was measured so far."""

    def __init__(self, lab: str, case: Case, used: list[str], scratch: Path, say: Say,
                 lost: list[str], exact: bool) -> None:
        self.lab, self.case, self.used, self.scratch, self.say = lab, case, used, scratch, say
        self.guests: dict[str, list[AnyGuest]] = {}
        # Emulation loses a Debian's writes far too often (docs/lab.rst, "Emulation loses writes").
        self.lost, self.exact = lost, exact or isinstance(case.guest, Debian)

    # ---- guests ----

    def _new(self, kind: str, number: int) -> AnyGuest:
        if kind == "qmp":
            return QmpGuest(self.lab, f"qm{number}", self.case.guest, self.exact, self.scratch)
        return LibvirtGuest(self.lab, f"vm{number}", self.case.guest, self.exact)

    def _start(self, guests: list[AnyGuest]) -> None:
        """Boots them together; how much each works, alone, is measured. All stand still then."""
        def boot(guest: AnyGuest) -> None:
            guest.start()
            guest.suspend()

        with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1)) as pool:
            list(pool.map(boot, guests))  # list() raises the first error
        for guest in guests:
            guest.resume()
            before, begun = guest.status(), time.monotonic()
            time.sleep(BASELINE_S)  # this is measuring, not waiting
            after = guest.status()
            guest.boot_id = after["boot"]
            guest.work_per_s = (after["work"] - before["work"]) / (time.monotonic() - begun)
            guest.suspend()

    def start_guests(self) -> None:
        begun = time.monotonic()
        for kind in dict.fromkeys("qmp" if way == "qmp" else "libvirt" for way in self.used):
            self.guests[kind] = [self._new(kind, n + 1) for n in range(self.case.guests)]
        self._start([guest for those in self.guests.values() for guest in those])
        self.say(f"  guests took {time.monotonic() - begun:.0f} s to start")

    def check_guests(self) -> None:
        for guest in [g for those in self.guests.values() for g in those]:
            guest.resume()
            self.lost += guest.errors()
            guest.suspend()

    # ---- what a guest does between moves ----

    def _forget(self) -> None:
        """The hosts of a first move know nothing. Off and on: so goes what is still being written."""
        for word in ("off", "on"):
            bed.drover(self.lab, "content", word)
        for h in HOSTS:
            left = [f.name for f in (host.root(self.lab, h) / CONTENT).iterdir() if f.name != "id"]
            if left:
                raise LabError(f"{h} shall know nothing and has kept {', '.join(left)}")

    def _work_hard(self, guest: Guest) -> None:
        """Records of its Redis are overwritten as fast as it goes."""
        def done() -> int:
            return int(guest.redis("GET", "bench:done"))

        assert isinstance(guest.spec, Debian) and guest.spec.load == "redis"
        goal, deadline = done() + WORK_OPERATIONS, time.monotonic() + WORK_LIMIT_S
        guest.redis("SET", "bench:rate", str(WORK_RATE))
        while done() < goal and time.monotonic() < deadline:
            time.sleep(0.2)
        guest.redis("SET", "bench:rate", str(guest.spec.rate))

    def _before(self, move: str, way: str, guest: Guest, away_s: float) -> None:
        if move == "aged":
            aged.age(self.lab, guest.at, other(guest.at), guest.vm, AGED_PERCENT)
        if way not in REMEMBERS:
            return
        if move in ("first", "aged"):
            self._forget()
        elif move == "worked":
            self._work_hard(guest)
        else:
            time.sleep(away_s)  # the guest works meanwhile

    # ---- moves ----

    def _end_after_rounds(self, child: "subprocess.Popen[str]", guest: LibvirtGuest) -> None:
        """QEMU goes on sending what was changed, until it has done so often; then it may pause."""
        deadline = time.monotonic() + self.case.limit_s
        while child.poll() is None and time.monotonic() < deadline:
            if measure.rounds_so_far(self.lab, guest.at, guest.vm) >= ways.ROUNDS:
                measure.set_allowed_pause(self.lab, guest.at, ways.DEFAULT_PAUSE_MS, guest.vm,
                                          check=False)  # it may have ended just now
                return
            time.sleep(0.05)

    def _by_command(self, way: str, guest: LibvirtGuest, target: str) -> dict[str, Any]:
        """By virsh or drover. Returns how it ended and what they say themselves."""
        argv = host.enter(self.lab, guest.at) + ways.command(
            way, self.lab, guest.vm, target, guest.with_disk(),
            aged.older(guest.vm) if guest.disk_mib() else "")
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        if way == "rounds":
            self._end_after_rounds(child, guest)
        try:
            out, err = child.communicate(timeout=self.case.limit_s)
        except subprocess.TimeoutExpired:
            guest.virsh("domjobabort", guest.vm, check=False)
            out, err = child.communicate()
            if child.returncode != 0:
                return {"outcome": "gave up"}
        if child.returncode != 0:
            return {"outcome": f"failed: {err.strip()}"}
        if guest.with_disk():
            aged.forget(self.lab, guest.at, guest.vm)
        guest.at = target
        said = measure.libvirt_figures(self.lab, target, guest.vm)
        found = {"outcome": "done", "job_ms": said["libvirt_ms"], "rounds": said["rounds"],
                 "pause_ms": said["libvirt_pause_ms"], "qemu_bytes": said["qemu_bytes"]}
        return {**found, **(measure.drover_figures(out) if way == "drover" else {})}

    def move(self, way: str, guest: AnyGuest) -> dict[str, Any]:
        source, target = guest.at, other(guest.at)
        allowed = ways.allowed_pause_ms(way)
        if isinstance(guest, LibvirtGuest) and way != "drover":
            measure.set_allowed_pause(self.lab, source, allowed, guest.vm)
        client = measure.Client(self.lab, self.scratch, guest.vm, CLIENT_INTERVAL_MS)
        status, status_at = guest.status(), time.monotonic()
        sampler = Sampler(self.lab)
        wire = measure.uplink(self.lab, source)
        hosts, machine = measure.hosts_cpu_s(self.lab), measure.machine_cpu_s()
        begun = time.monotonic()
        if isinstance(guest, QmpGuest):
            found = guest.move(target, allowed, self.case.limit_s)
        else:
            found = self._by_command(way, guest, target)
        total_s = time.monotonic() - begun
        machine, hosts = measure.machine_cpu_s() - machine, measure.hosts_cpu_s(self.lab) - hosts
        sent, received = (b - a for a, b in zip(wire, measure.uplink(self.lab, source)))
        used = sampler.finish()
        if isinstance(guest, QmpGuest):  # its QEMUs are no children of the hosts' inits
            hosts = used["qemu_cpu_s"]
        seen = client.finish()
        well = measure.what_it_says(seen)
        result = {"way": way, "vm": guest.vm, "from": source, "to": target,
                  "total_ms": round(total_s * 1000, 1),
                  "client_gap_ms": round(seen["longest_gap_ms"], 1),
                  "uplink_bytes": sent + received, "uplink_sent_bytes": sent,
                  "hosts_cpu_s": round(hosts, 2),
                  "elsewhere_cpu_s": round(max(0.0, machine - hosts), 2),
                  "allowed_pause_ms": allowed, "guest": well, **used, **found}
        if isinstance(guest, LibvirtGuest) and guest.disk_mib():
            # Of the whole what is for the disk: Drover says it, digests included; of virsh's the rest is memory.
            disk = found.get("drover_disk_wire_bytes")
            if disk is None and found.get("qemu_bytes"):
                disk = sent + received - found["qemu_bytes"]
            if disk is not None:
                result["disk_to_image"] = round(disk / (guest.disk_mib() << 20), 4)
        after = guest.status() if well == "well" else status
        if guest.boot_id not in (None, after["boot"]) or after["boot"] != status["boot"]:
            result["guest"] = "it has crashed and booted again"
        elif found["outcome"] == "done" and well == "well":
            result["lost_work_s"] = round(time.monotonic() - status_at -
                                          (after["work"] - status["work"]) / guest.work_per_s, 2)
        return result

    def turn(self, way: str, away_s: float) -> Iterator[dict[str, Any]]:
        """All moves of one way. Every guest moves before the next kind of move begins."""
        guests = self.guests["qmp" if way == "qmp" else "libvirt"]
        for guest in guests:
            guest.resume()
        replaced: list[AnyGuest] = []
        for step, move in enumerate(self.case.moves):
            for number, guest in enumerate(guests):
                if guest in replaced and move != "first":
                    continue  # it has not been where it would return to
                if number == 0 or move != "first":
                    self._before(move, way, guest, away_s)
                kind = move if len(guests) == 1 else f"{move} of sibling {number + 1}"
                found = {"move": kind, "step": step, **self.move(way, guest)}
                self._tell(found)
                yield found
                if found["guest"] != "well" or found["outcome"].startswith("failed"):
                    self.lost.append(f"{guest.vm}: {ways.LABEL[way]}, {kind}: "
                                     f"{found['outcome']}; the guest: {found['guest']}")
                    guest.remove()
                    self._start([guest])
                    guest.resume()
                    replaced.append(guest)
        for guest in guests:
            guest.suspend()

    def _tell(self, m: dict[str, Any]) -> None:
        pause = f"{m['pause_ms']:.0f}" if m.get("pause_ms") is not None else "?"
        self.say(f"    {ways.LABEL[m['way']]:<17} {m['move']:<7} {m['outcome'][:60]}: "
                 f"{m['total_ms'] / 1000:6.1f} s, pause {pause} ms, gap {m['client_gap_ms']:.0f} "
                 f"ms, {m['uplink_bytes'] / (1 << 20):6.1f} MiB, {m['elsewhere_cpu_s']:.1f} s of "
                 "CPU elsewhere" + ("" if m["guest"] == "well" else f"; THE GUEST: {m['guest']}"))


def run_case(case: Case, lab: str, scratch: Path, say: Say, ran: dict[str, Any],
             keep: bool = False, repeat: Optional[int] = None, away_s: Optional[float] = None,
             chosen: Optional[list[str]] = None, exact: bool = False, busy: int = 0) -> None:
    """
    Adds to ran["moves"] and ran["lost"] as it goes, so that a run that is ended early is not for
    nothing. Makes a lab and takes it down. `busy` processes compute while the moves are made.
    """
    used = [way for way in case.ways if not chosen or way in chosen]
    if not used:
        raise LabError(f"case {case.name} has none of these ways: it has {', '.join(case.ways)}")
    repeat = repeat or case.repeat
    away_s = case.away_s if away_s is None else away_s
    before = 1 + max((m["repetition"] for m in ran["moves"]), default=-1)
    ran["setting"] = {"cpus": os.cpu_count(), "away_s": away_s, "ways": used,
                      "exact": exact or isinstance(case.guest, Debian), "busy": busy}
    with bed.lab(lab, case.link.rate, "drover" in used, keep):
        if "tls" in used:
            bed.enable_tls(lab, scratch)
        bed.warm_up(lab)
        bench = Bench(lab, case, used, scratch, say, ran["lost"], exact)
        bench.start_guests()
        set_link(lab, case)
        for number in range(repeat):
            say(f"  repetition {number + 1} of {repeat}")
            first = (before + number) % len(used)
            with load.computing(busy):
                for way in used[first:] + used[:first]:
                    for move in bench.turn(way, away_s):
                        ran["moves"].append({"repetition": before + number, **move})
        set_link_free(lab)
        bench.check_guests()


def set_link_free(lab: str) -> None:
    for h in HOSTS:
        run(LAB, "link", lab, h, "--rate", "none", "--delay", "none", "--loss", "none")
