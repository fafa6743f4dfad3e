# SPDX-License-Identifier: Apache-2.0
"""
The command line of bench/pause: a guest of 512 MiB that is little busy moves to and fro
between two hosts at 1 Gbit/s, by each way in turn, and a client asks it all the while.
"""
import argparse
import os
import statistics
from pathlib import Path
from typing import Any, Iterator

from . import bed, measure
from .cli import rounds, run, say

DESCRIPTION = """\
How long a client misses a guest that moves: the longest time between two answers of it, over
many moves by drover, by virsh migrate --live --p2p with libvirt's default allowed pause (300 ms),
and by the same with the allowed pause set to 20 ms before. The three take turns, so that a
busy machine harms all alike. Must be run as root."""
EPILOG = """\
The aims are a median of at most 0.35 times that of virsh and at most 1.1 times that of virsh at
20 ms, and a worst gap that is no worse than virsh's. Whether they are reached is printed and is
in the JSON ("aims"), and does not decide the exit code: that is 0 if all moves worked and the
guest lost nothing, 1 if something failed, 2 for bad usage."""

WAYS = ("drover", "plain", "plain20")
LABEL = {"drover": "drover", "plain": "virsh", "plain20": "virsh at 20 ms"}
DEFAULT_PAUSE_MS, SMALL_PAUSE_MS = 300, 20


def prepare(lab: str, way: str, source: str) -> None:
    """What each way has to find: libvirt keeps a VM's allowed pause from one move to the next."""
    if way != "drover":
        measure.set_allowed_pause(lab, source,
                                  SMALL_PAUSE_MS if way == "plain20" else DEFAULT_PAUSE_MS)


def run_moves(lab: str, args: argparse.Namespace, scratch: Path) -> Iterator[dict[str, Any]]:
    at = "h1"
    for number, way in rounds(args.moves, args.ways):
        source, target = at, "h2" if at == "h1" else "h1"
        prepare(lab, way, source)
        move = measure.move(lab, "drover" if way == "drover" else "plain", source, target, False,
                            scratch)
        at = target
        yield {"round": number, **move, "way": way}
        say(f"  {number + 1:>2}/{args.moves}  {LABEL[way]:<15} {source} -> {target}  longest gap "
            f"{move['client_gap_ms']:6.1f} ms, {move['total_ms']:5.0f} ms in all"
            + ("" if move["guest"] == "well" else f"; THE GUEST: {move['guest']}"))
        if move["guest"] != "well":
            bed.remove_guest(lab, target)
            bed.start_guest(lab, target, args)


def figures(moves: list[dict[str, Any]], way: str) -> dict[str, float]:
    gaps = [m["client_gap_ms"] for m in moves if m["way"] == way]
    return {"median_ms": statistics.median(gaps), "worst_ms": max(gaps), "best_ms": min(gaps),
            "moves": len(gaps)}


def judge(of: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Each aim: what it is, what was found, whether that is enough."""
    found: dict[str, Any] = {}
    if "drover" not in of:
        return found

    def aim(name: str, value: float, most: float) -> None:
        found[name] = {"value": round(value, 3), "at_most": most, "reached": value <= most}

    if "plain" in of:
        aim("median_to_virsh", of["drover"]["median_ms"] / of["plain"]["median_ms"], 0.35)
        aim("worst_to_virsh", of["drover"]["worst_ms"] / of["plain"]["worst_ms"], 1.0)
    if "plain20" in of:
        aim("median_to_virsh_at_20_ms",
            of["drover"]["median_ms"] / of["plain20"]["median_ms"], 1.1)
    return found


def bench(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    lab = args.name
    say(f"a lab of two hosts at {args.rate} and a guest of {args.memory} MiB")
    with bed.lab(lab, args.rate, "drover" in args.ways, args.keep):
        accel = bed.start_guest(lab, "h1", args)
        moves = list(run_moves(lab, args, scratch))
        lost = measure.what_is_lost(lab)
    lost += [f"after {LABEL[m['way']]} in round {m['round'] + 1} the guest was not well: "
             f"{m['guest']}" for m in moves if m["guest"] != "well"]
    of = {way: figures(moves, way) for way in args.ways}
    setting = {"rate": args.rate, "memory_mib": args.memory, "work_mib": args.work,
               "dirty_mib_s": args.dirty, "moves": args.moves, "accel": accel,
               "cpus": os.cpu_count()}
    return {"setting": setting, "ways": of, "aims": judge(of), "lost": lost, "moves": moves}


def table(found: dict[str, Any]) -> None:
    s = found["setting"]
    print(f"\nguest: {s['memory_mib']} MiB, {s['work_mib']} MiB of it filled, {s['dirty_mib_s']} "
          f"MiB/s rewritten, {s['accel']}; {s['rate']}; {s['cpus']} processors; {s['moves']} moves "
          "each way\n\nlongest gap for the client, ms    median    worst    best")
    for way, f in found["ways"].items():
        print(f"  {LABEL[way]:<30}{f['median_ms']:8.1f} {f['worst_ms']:8.1f} {f['best_ms']:7.1f}")
    for name, a in found["aims"].items():
        print(f"  {name.replace('_', ' '):<30}{a['value']:8.2f}  aim: at most {a['at_most']:.2f}, "
              f"{'reached' if a['reached'] else 'NOT reached'}")
    print("\n".join(["WRONG:", *found["lost"]]) if found["lost"]
          else "the guest has checked all its memory: nothing is wrong")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="bench/pause", description=DESCRIPTION, epilog=EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--moves", type=int, default=20, metavar="N", help="each way (default 20)")
    p.add_argument("--ways", default=",".join(WAYS), metavar="LIST",
                   help=f"which (default {','.join(WAYS)})")
    p.add_argument("--rate", default="1gbit", help="of the hosts' links (default 1gbit)")
    p.add_argument("--memory", type=int, default=512, metavar="MIB", help="default 512")
    p.add_argument("--work", type=int, default=384, metavar="MIB",
                   help="memory that the guest has filled, as one that has run for a while has (default 384)")
    p.add_argument("--dirty", type=int, default=6, metavar="MIB/S",
                   help="how much of it it rewrites a second (default 6, a twentieth of the link)")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    p.add_argument("--keep", action="store_true", help="leave the lab up")
    p.add_argument("--name", default=f"pause{os.getpid()}", help="the lab's name")
    p.set_defaults(compress=50, vcpus=1, disk="0")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    args.ways = args.ways.split(",")
    if args.moves < 1 or len(set(args.ways)) != len(args.ways) or set(args.ways) - set(WAYS):
        p.error(f"--moves is at least 1, --ways some of {','.join(WAYS)}")
    return run("bench/pause", args, bench, table)
