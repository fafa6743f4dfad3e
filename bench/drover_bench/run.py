# SPDX-License-Identifier: Apache-2.0
"""The command line of bench/run."""
import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from drover_lab import names
from drover_lab.errors import LabError

from . import cases, compare, plot, runner, ways
from .cli import say

DESCRIPTION = """\
Drover beside what people would otherwise use, case by case: each case is a guest, a link, some ways
to move and some moves, made by turns in one run, in a lab of its own. Prints medians, ratios
and whether the targets are reached. Must be run as root."""
EPILOG = """\
examples:
  bench/run --list                        the cases
  bench/run quick                         a few minutes
  bench/run redis-200 --json r.json       one case; plots go to r-redis-200.png and .svg
  bench/run all --json all.json           everything: some hours

A case whose name is not known may be a beginning: `bench/run redis` are all with Redis.
The first case with a Debian guest makes it with debootstrap, which takes some minutes.
environment: DROVER_BUILD, and that of lab/lab
exit codes: 0 all moves worked and the guests lost nothing, 1 something failed, 2 bad usage.
Neither how fast anything is nor a missed target decides the exit code, nor that a move by virsh or
QEMU was called off since it did not come to an end."""


def chosen_cases(words: list[str]) -> list[cases.Case]:
    found: dict[str, cases.Case] = {}
    for word in words:
        if word == cases.TINY.name:
            those = [cases.TINY]
        elif word in cases.BY_NAME:
            those = [cases.BY_NAME[word]]
        else:
            those = [c for c in cases.CASES if word == "all" or c.name.startswith(word)]
        if not those:
            raise LabError(f"there is no case {word}: bench/run --list names them")
        found.update({c.name: c for c in those})
    return list(found.values())


def show_list() -> None:
    for c in cases.CASES:
        print(f"{c.name:<16} {c.about}\n{'':<16} {c.guest}; {c.link}\n{'':<16} "
              f"{', '.join(ways.LABEL[w] for w in c.ways)}; {', '.join(c.moves)}; "
              f"{c.repeat} repetitions")


def plots(stem: Path, found: dict[str, Any]) -> None:
    for name, of in found["cases"].items():
        for file in plot.case(name, of, stem.with_name(f"{stem.name}-{name}")):
            say(f"written: {file}")
    for file in plot.targets(found["cases"], stem.with_name(f"{stem.name}-targets")):
        say(f"written: {file}")


def bench(args: argparse.Namespace, found: dict[str, Any]) -> int:
    """What was measured is written after each case, also of one that failed or was ended early."""
    failed = 0
    for case in chosen_cases(args.cases):
        say(f"{case.name}: {case.guest}; {case.link}")
        old = found["cases"].get(case.name) if args.add else None
        ran: dict[str, Any] = {"moves": old["moves"] if old else [],
                               "lost": old["lost"] if old else []}
        try:
            with tempfile.TemporaryDirectory(prefix="drover-bench-") as scratch:
                runner.run_case(case, args.name, Path(scratch), say, ran, args.keep, args.repeat,
                                args.away, args.ways.split(",") if args.ways else None, args.exact, args.busy)
        except LabError as e:
            print(f"bench/run: {case.name}: {e}", file=sys.stderr)
            failed = 1
        finally:
            if ran["moves"]:
                failed |= bool(ran["lost"])
                found["cases"][case.name] = of = {"case": cases.described(case), **ran,
                                                  **compare.summary(case, ran)}
                compare.table(case.name, of)
                sys.stdout.flush()
                if args.json:
                    args.json.write_text(json.dumps(found, indent=1) + "\n")
    return failed


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="bench/run", description=DESCRIPTION, epilog=EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cases", nargs="*", metavar="CASE", help="a case's name, its beginning, or all")
    p.add_argument("--list", action="store_true", help="name the cases")
    p.add_argument("--json", type=Path, metavar="FILE",
                   help="write everything there, and plots beside it")
    p.add_argument("--add", action="store_true",
                   help="count what FILE has already of the same cases as well: one long run may be "
                        "several short ones")
    p.add_argument("--repeat", type=int, metavar="N", help="instead of the case's own number")
    p.add_argument("--ways", metavar="LIST", help=f"only these of {','.join(ways.LABEL)}")
    p.add_argument("--away", type=float, metavar="S",
                   help="how long a guest is away before it returns (default: the case's, 60)")
    p.add_argument("--busy", type=int, default=0, metavar="N",
                   help="while the moves are made, N processes compute, each in a session of its own, as "
                        "VMs are (default 0)")
    p.add_argument("--exact", action="store_true",
                   help="emulated guests that lose no writes in a move (docs/lab.rst), at the price of "
                        "standing still at its beginning, which spoils the longest gap")
    p.add_argument("--no-plots", action="store_true", help="with --json: no pictures")
    p.add_argument("--keep", action="store_true", help="leave the lab of the case up")
    p.add_argument("--name", default=f"run{os.getpid()}", help="the lab's name")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    if args.list:
        show_list()
        return 0
    if not args.cases or (args.repeat is not None and args.repeat < 1) or args.busy < 0:
        p.error("say which cases (bench/run --list), --repeat of at least 1, --busy of at least 0")
    if args.add and not args.json:
        p.error("--add needs --json")
    if args.ways and set(args.ways.split(",")) - set(ways.LABEL):
        p.error(f"--ways are some of {','.join(ways.LABEL)}")
    if os.geteuid() != 0:
        print("bench/run: must be run as root: it makes network namespaces", file=sys.stderr)
        return 2
    found: dict[str, Any] = {"cases": {}}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the lab shall go down with us
    try:
        names.check_lab(args.name)
        chosen_cases(args.cases)
        if args.add and args.json and args.json.exists():
            found = json.loads(args.json.read_text())
        code = bench(args, found)
        if args.json and not args.no_plots and found["cases"]:
            plots(args.json.with_suffix(""), found)
        return code
    except LabError as e:
        print(f"bench/run: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
