#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks migration.pml with Spin: check.py TABLE_PROGRAM [--faults N]. Exit code 77: no Spin here."""
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MEMORY_MIB = 2000


def run(*words: str, cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def search(scratch: Path, *defines: str) -> str:
    """Pan's report about all reachable states."""
    run("spin", "-a", *defines, "migration.pml", cwd=scratch)
    run("cc", "-O1", "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MIB}", "-o", "pan",
        "pan.c", cwd=scratch)
    return run("./pan", "-m1000000", cwd=scratch)


def states(report: str) -> int:
    found = re.search(r"^ *([0-9.e+]+) states, stored", report, re.M)
    return int(float(found[1])) if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="prints states.pml")
    parser.add_argument("--faults", type=int, default=3, help="at most so many at once (default 3)")
    args = parser.parse_args()
    if not shutil.which("spin"):
        print("skipped: spin is not installed (packaging/packages.txt)")
        return 77
    with tempfile.TemporaryDirectory(prefix="drover-spin-") as directory:
        scratch = Path(directory)
        shutil.copy(HERE / "migration.pml", scratch)
        (scratch / "states.pml").write_text(run(str(args.table.absolute()), cwd=scratch))

        report = search(scratch, f"-DFAULTS={args.faults}")
        print(report)
        if "errors: 0" not in report or "max search depth too small" in report:
            trail = subprocess.run(["spin", "-t", "-p", "-g", f"-DFAULTS={args.faults}",
                                    "migration.pml"], cwd=scratch, capture_output=True, text=True)
            print(trail.stdout)
            print("FAILED: a property does not hold, or not everything was searched")
            return 1
        # A model in which something can never happen shows nothing about it.
        unreached = re.findall(r"migration\.pml:\d+, state \d+, \"(.*)\"", report)
        unexpected = [text for text in unreached
                      if not re.fullmatch(r"assert\(0\)|-end-|verdict = \d", text)]
        if unexpected:
            print(f"FAILED: never reached: {unexpected}")
            return 1
        # And it must be able to fail: with the window that docs/migration.rst names it does.
        window = search(scratch, "-DFAULTS=3", "-DWINDOW")
        if "errors: 1" not in window:
            print(window)
            print("FAILED: the known window is not found any more")
            return 1
        print(f"{states(report)} states with up to {args.faults} faults: all properties hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
