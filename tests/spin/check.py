#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks migration.pml with Spin: check.py TABLE_PROGRAM [--faults N]. Exit code 77: no Spin here."""
import argparse
import concurrent.futures
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mutants import MUTANTS, Mutant

HERE = Path(__file__).resolve().parent
MEMORY_MIB = 2000


def run(*words: str, cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def search(scratch: Path, model: str, table: str, *defines: str, optimise: str = "-O1") -> str:
    """Pan's report about all reachable states."""
    scratch.mkdir()
    (scratch / "migration.pml").write_text(model)
    (scratch / "states.pml").write_text(table)
    run("spin", "-a", *defines, "migration.pml", cwd=scratch)
    run("cc", optimise, "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MIB}", "-o", "pan",
        "pan.c", cwd=scratch)
    return run("./pan", "-m1000000", cwd=scratch)


def states(report: str) -> int:
    found = re.search(r"^ *([0-9.e+]+) states, stored", report, re.M)
    return int(float(found[1])) if found else 0


def check_model(scratch: Path, model: str, table: str, faults: int) -> str | None:
    """What is wrong, or None."""
    report = search(scratch, model, table, f"-DFAULTS={faults}")
    print(report)
    if "errors: 0" not in report or "max search depth too small" in report:
        trail = subprocess.run(["spin", "-t", "-p", "-g", f"-DFAULTS={faults}", "migration.pml"],
                               cwd=scratch, capture_output=True, text=True)
        print(trail.stdout)
        return "a property does not hold, or not everything was searched"
    # A model in which something can never happen shows nothing about it.
    unreached = re.findall(r"migration\.pml:\d+, state \d+, \"(.*)\"", report)
    unexpected = [text for text in unreached if text not in ("assert(0)", "-end-")]
    if unexpected:
        return f"never reached: {unexpected}"
    # So what it enters anywhere it does enter; and that must be every state of the program's.
    theirs = set(re.findall(r"^#define ST_(\w+) ", table, re.M))
    ours = set(re.findall(r"\benter\(ST_(\w+)\)", model)) | \
        set(re.findall(r"^byte state = ST_(\w+);", model, re.M))
    if theirs != ours:
        return f"the states differ: {sorted(theirs ^ ours)}"
    print(f"{states(report)} states with up to {faults} faults: all properties hold, "
          f"and each of the table's {len(theirs)} states is entered")
    return None


def check_mutant(scratch: Path, model: str, table: str, mutant: Mutant) -> str | None:
    if model.count(mutant.old) != 1:
        return f"where to change it is not found: {mutant.what}"
    report = search(scratch, model.replace(mutant.old, mutant.new), table,
                    f"-DFAULTS={mutant.faults}", optimise="-O1" if mutant.faults > 2 else "-O0")
    return None if "errors: 1" in report else f"not found: {mutant.what}"


def check_window(scratch: Path, model: str, table: str, define: str) -> str | None:
    """With a window that docs/migration.rst names."""
    report = search(scratch, model, table, "-DFAULTS=3", define)
    return None if "errors: 1" in report else f"the known window is not found any more: {define}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="prints states.pml")
    parser.add_argument("--faults", type=int, default=3, help="at most so many at once (default 3)")
    args = parser.parse_args()
    if not shutil.which("spin"):
        print("skipped: spin is not installed (packaging/packages.txt)")
        return 77
    model = (HERE / "migration.pml").read_text()
    with tempfile.TemporaryDirectory(prefix="drover-spin-") as directory, \
            concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        scratch = Path(directory)
        table = run(str(args.table.absolute()), cwd=scratch)
        tasks = [pool.submit(check_model, scratch / "model", model, table, args.faults)]
        tasks += [pool.submit(check_window, scratch / define, model, table, define)
                  for define in ("-DWINDOW", "-DRESTS")]
        tasks += [pool.submit(check_mutant, scratch / str(number), model, table, mutant)
                  for number, mutant in enumerate(MUTANTS)]
        problems = [problem for task in tasks if (problem := task.result())]
    for problem in problems:
        print(f"FAILED: {problem}")
    if not problems:
        print(f"and {len(tasks) - 1} wrong models are found to be wrong")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
