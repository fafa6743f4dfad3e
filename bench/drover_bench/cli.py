# SPDX-License-Identifier: Apache-2.0
"""The command line of bench/move: rounds of moves, each way there and back, in turn."""
import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

from drover_lab import names
from drover_lab.errors import LabError

from . import bed, measure, report, ways

DESCRIPTION = """\
Moves one running guest between two hosts of a lab of its own, there and back, by each way in
turn, several rounds in one run, and compares the ways: time, pause, bytes, CPU time.
Must be run as root."""
EPILOG = """\
environment:
  DROVER_BUILD  meson build directory with Drover's programs (default: build/ here)
  and that of lab/lab
exit codes: 0 all moves worked and the guest lost nothing, 1 something failed, 2 bad usage.
How fast anything is never decides the exit code. bench/README.rst says what the figures mean."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def rounds(count: int, chosen: list[str]) -> Iterator[tuple[int, str]]:
    """Each round has every way once; who goes first rotates, so that no way always follows
    the same other one."""
    for number in range(count):
        first = number % len(chosen)
        for way in chosen[first:] + chosen[:first]:
            yield number, way


def run_moves(lab: str, args: argparse.Namespace, scratch: Path) -> Iterator[dict[str, Any]]:
    for number, way in rounds(args.rounds, args.ways):
        for source, target in (("h1", "h2"), ("h2", "h1")):
            if args.disk != "0":
                bed.forget_disk(lab, target)
            move = measure.move(lab, way, source, target, args.disk != "0", scratch)
            yield {"round": number, **move}
            say(f"  round {number + 1}/{args.rounds}  {ways.LABEL[way]:<12} {source} -> {target}  "
                f"{move['total_ms']:6.0f} ms, longest gap {move['client_gap_ms']:4.0f} ms, "
                f"{move['elsewhere_cpu_s']:.1f} s of CPU elsewhere"
                + ("" if move["guest"] == "well" else f"; THE GUEST: {move['guest']}"))
            if move["guest"] != "well":  # the next move gets a sound one
                bed.remove_guest(lab, target)
                bed.start_guest(lab, target, args)


def bench(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    lab = args.name
    say(f"a lab of two hosts, {args.rate if args.rate != 'none' else 'unshaped'}, and a guest of "
        f"{args.memory} MiB")
    with bed.lab(lab, args.rate, "drover" in args.ways, args.keep):
        if "tls" in args.ways:
            bed.enable_tls(lab, scratch)
        bed.warm_up(lab)
        accel = bed.start_guest(lab, "h1", args)
        moves = list(run_moves(lab, args, scratch))
        lost = measure.what_is_lost(lab)
    lost += [f"after {ways.LABEL[m['way']]} {m['from']} -> {m['to']} in round {m['round'] + 1} "
             f"the guest was not well: {m['guest']}" for m in moves if m["guest"] != "well"]
    setting = {"rate": args.rate, "memory_mib": args.memory, "work_mib": args.work,
               "dirty_mib_s": args.dirty, "compress_percent": args.compress,
               "vcpus": args.vcpus, "disk": args.disk, "rounds": args.rounds, "accel": accel,
               "cpus": os.cpu_count()}
    return {"setting": setting, "ways": report.summary(moves), "ratios": report.ratios(moves),
            "lost": lost, "moves": moves}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="bench/move", description=DESCRIPTION, epilog=EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5, metavar="N",
                   help="each moves there and back by every way (default 5)")
    p.add_argument("--ways", default=",".join(ways.OF_BENCH_MOVE), metavar="LIST",
                   help=f"which (default {','.join(ways.OF_BENCH_MOVE)})")
    p.add_argument("--rate", default="none", help="of the hosts' links, e.g. 1gbit (default none)")
    p.add_argument("--memory", type=int, default=1024, metavar="MIB", help="default 1024")
    p.add_argument("--work", type=int, default=512, metavar="MIB",
                   help="memory that the guest has filled (default 512)")
    p.add_argument("--dirty", type=int, default=4, metavar="MIB/S",
                   help="how much of it it rewrites a second (default 4)")
    p.add_argument("--compress", type=int, default=50, metavar="PERCENT",
                   help="how much of each page of it is compressible (default 50)")
    p.add_argument("--vcpus", type=int, default=1, metavar="N", help="default 1")
    p.add_argument("--disk", default="0", metavar="SIZE",
                   help="the guest has one, which moves along, e.g. 256M (default 0: none)")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    p.add_argument("--keep", action="store_true", help="leave the lab up")
    p.add_argument("--name", default=f"bench{os.getpid()}", help="the lab's name")
    return p


def run(program: str, args: argparse.Namespace, bench: Callable[..., dict[str, Any]],
        table: Callable[[dict[str, Any]], None]) -> int:
    """Do it in a scratch directory, print and write what was found. Returns the exit code."""
    if os.geteuid() != 0:
        print(f"{program}: must be run as root: it makes network namespaces", file=sys.stderr)
        return 2
    try:
        names.check_lab(args.name)
        with tempfile.TemporaryDirectory() as scratch:
            found = bench(args, Path(scratch))
    except LabError as e:
        print(f"{program}: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    table(found)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if found["lost"] else 0


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    args.ways = args.ways.split(",")
    if (args.rounds < 1 or len(set(args.ways)) != len(args.ways)
            or set(args.ways) - set(ways.OF_BENCH_MOVE)):
        p.error(f"--rounds is at least 1, --ways some of {','.join(ways.OF_BENCH_MOVE)}")
    return run("bench/move", args, bench, report.table)
