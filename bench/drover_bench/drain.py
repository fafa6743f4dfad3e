# SPDX-License-Identifier: Apache-2.0
"""
A host of three is emptied, and gets its guests back: by `drover node drain` and `node resume`, and
by virsh one after another and all at once. Each guest has a client that talks to it all the while.
"""
import argparse
import contextlib
import json
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Iterator

from drover_lab import host
from drover_lab.errors import LabError
from drover_lab.shell import run, wait_until

from . import ways
from .bed import LAB
from .measure import Client, uplink_bytes

HOSTS = ("h1", "h2", "h3")
WAYS = ("drover", "one", "all")
LABEL = {"drover": "drover node drain", "one": "virsh, one after another", "all": "virsh, all at once"}
MOST_GAP_MS, OF_ONE, OF_ALL = 1000, 0.7, 0.9


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="bench/drain", description=__doc__)
    p.add_argument("--guests", type=int, default=8)
    p.add_argument("--memory", type=int, default=192, help="MiB of each (%(default)s)")
    p.add_argument("--work", type=int, default=96, help="MiB that it fills (%(default)s)")
    p.add_argument("--dirty", type=int, default=1, help="MiB/s that it rewrites (%(default)s)")
    p.add_argument("--rate", default="400mbit", help="of each host's link (%(default)s)")
    p.add_argument("--ways", default=",".join(WAYS), help="of %(default)s")
    p.add_argument("--repeat", type=int, default=1)
    p.add_argument("--interval-ms", type=int, default=20, help="between a client's questions")
    p.add_argument("--fast", action="store_true", help="guests that do not stand still at the beginning of a "
                   "move, but may lose a write of theirs on a busy machine")
    p.add_argument("--name", default="drain", help="of the lab")
    p.add_argument("--json", type=Path, metavar="FILE")
    p.add_argument("--add", action="store_true", help="count what is in FILE already")
    return p


@contextlib.contextmanager
def lab(args: argparse.Namespace) -> Iterator[list[str]]:
    """Three hosts, all guests on the first."""
    vms = [f"g{i}" for i in range(args.guests)]
    run(LAB, "up", args.name, "--hosts", "3", "--rate", args.rate)
    try:
        starting = [subprocess.Popen(
            [LAB, "guest", args.name, vm, "--host", "h1", "--memory", str(args.memory), "--work",
             str(args.work), "--dirty", str(args.dirty), "--disk", "0", "--dirty-log",
             "fast" if args.fast else "exact"], stdout=subprocess.DEVNULL) for vm in vms]
        if any(one.wait() for one in starting):
            raise LabError("a guest did not start")
        for on in HOSTS:
            run("virsh", "-c", host.uri(args.name, on), "capabilities")
        for one, other in (("h1", "h2"), ("h1", "h3"), ("h2", "h1"), ("h3", "h1")):
            drover(args, "link", "probe", one, other)
        wait_until(lambda: all(vm["expects"] for vm in drover(args, "vm", "list")["vms"]), 300,
                   "droverd has looked at each guest, for its predictions", 2)
        yield vms
    finally:
        run(LAB, "down", args.name)


def drover(args: argparse.Namespace, *words: str) -> Any:
    done = subprocess.run([LAB, "drover", args.name, *words, "--json"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"drover {' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def move(args: argparse.Namespace, vm: str, source: str, target: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(host.enter(args.name, source) +
                            ways.command("plain", args.name, vm, target, False),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def ended(moving: "subprocess.Popen[str]") -> None:
    _, said = moving.communicate()
    if moving.returncode:
        raise LabError(f"virsh migrate: {said.strip()}")


def virsh(args: argparse.Namespace, vms: list[str], away: bool, together: bool) -> None:
    """By turns to the other two hosts, or back."""
    running = []
    for i, vm in enumerate(vms):
        other = HOSTS[1 + i % 2]
        running.append(move(args, vm, *(("h1", other) if away else (other, "h1"))))
        if not together:
            ended(running.pop())
    for moving in running:
        ended(moving)


def watched(args: argparse.Namespace, vms: list[str], work: Any) -> dict[str, Any]:
    """What the clock, the clients and the host's device say of it."""
    with tempfile.TemporaryDirectory(prefix="drover-drain-") as scratch:
        clients = {}
        for vm in vms:
            (Path(scratch) / vm).mkdir()
            clients[vm] = Client(args.name, Path(scratch) / vm, vm, args.interval_ms)
        before = uplink_bytes(args.name, "h1")
        begin = time.monotonic()
        answer = work()
        seconds = time.monotonic() - begin
        moved = uplink_bytes(args.name, "h1") - before
        gaps = {vm: client.finish()["longest_gap_ms"] for vm, client in clients.items()}
    found = {"total_ms": round(seconds * 1000), "uplink_bytes": moved,
             "longest_gap_ms": round(max(gaps.values()), 1), "gaps_ms": gaps}
    if isinstance(answer, dict):
        found["predicted"] = answer["predicted"]
        found["state"] = answer["state"]
    return found


def expected(predicted: Any) -> str:
    if not predicted:
        return ""
    time_ms, wire = predicted["time_ms"], predicted["wire_bytes"]
    return (f"; predicted {time_ms['p50'] / 1000:.1f} s (p90 {time_ms['p90'] / 1000:.1f}), "
            f"{wire['p50'] / 2**20:.0f} MiB (p90 {wire['p90'] / 2**20:.0f})")


def is_kept(args: argparse.Namespace, vms: list[str]) -> bool:
    """Relays write it when their session is over, and in their own time."""
    kept = {(one["node"], one["vm"]) for one in drover(args, "content", "list")["contents"]}
    return all({("h1", vm["name"]), (vm["node"], vm["name"])} <= kept
               for vm in drover(args, "vm", "list")["vms"] if vm["name"] in vms)


def turn(args: argparse.Namespace, way: str, vms: list[str]) -> dict[str, Any]:
    def measured(what: str, work: Any) -> dict[str, Any]:
        found = watched(args, vms, work)
        print(f"{LABEL[way]}, {what}: {found['total_ms'] / 1000:.1f} s, longest gap "
              f"{found['longest_gap_ms']:.0f} ms, {found['uplink_bytes'] / 2**20:.0f} MiB"
              f"{expected(found.get('predicted'))}", flush=True)
        return found

    if way == "drover":
        drover(args, "content", "prune", "--all")
        away = measured("away", lambda: drover(args, "node", "drain", "h1", "--yes"))
        wait_until(lambda: is_kept(args, vms), 60, "what was sent is kept at both ends", 0.2)
        back = measured("back", lambda: drover(args, "node", "resume", "h1", "--bring-back"))
    else:
        away = measured("away", lambda: virsh(args, vms, True, way == "all"))
        back = measured("back", lambda: virsh(args, vms, False, way == "all"))
    return {"way": way, "away": away, "back": back}


def summary(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of each way, and the targets as far as they can be looked at."""
    medians = {way: {move: {key: median(t[move][key] for t in turns if t["way"] == way)
                            for key in ("total_ms", "uplink_bytes", "longest_gap_ms")}
                     for move in ("away", "back")}
               for way in WAYS if any(t["way"] == way for t in turns)}
    targets = {}
    if "drover" in medians:
        own = medians["drover"]["away"]
        targets["gap"] = own["longest_gap_ms"] <= MOST_GAP_MS
        for way, most in (("one", OF_ONE), ("all", OF_ALL)):
            if way in medians:
                ratio = own["total_ms"] / medians[way]["away"]["total_ms"]
                targets[f"of_{way}"] = ratio <= most
                print(f"drover's time: {ratio:.2f} of {LABEL[way]} (at most {most})")
        share = medians["drover"]["back"]["uplink_bytes"] / own["uplink_bytes"]
        print(f"the way back: {share:.2f} of the bytes of the way there")
        medians["drover"]["back_share"] = share
    return {"medians": medians, "targets": targets}


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    chosen = args.ways.split(",")
    turns: list[dict[str, Any]] = []
    if args.add and args.json and args.json.exists():
        turns = json.loads(args.json.read_text())["turns"]
    with lab(args) as vms:
        for i in range(args.repeat):
            for way in chosen[i % len(chosen):] + chosen[:i % len(chosen)]:
                turns.append(turn(args, way, vms))
                found = {"guests": args.guests, "memory_mib": args.memory, "work_mib": args.work,
                         "rate": args.rate, "turns": turns}
                if args.json:
                    args.json.write_text(json.dumps(found, indent=1))
    found.update(summary(turns))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return 0
