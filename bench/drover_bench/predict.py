# SPDX-License-Identifier: Apache-2.0
"""
Predictions beside what came of them: many moves of different guests over different links. Each line of
the file is a move: the case, the job's report with its prediction, and what the step expected, so that
another model can be tried on the same moves (bench-predict).
"""
import argparse
import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from drover_lab.errors import LabError
from drover_lab.shell import run

from .bed import HOSTS, LAB, lab

RATES = (50, 100, 150, 200, 200, 300, 300, 400, 400)  # Mbit/s
MEMORY = (128, 128, 160, 192, 256)  # MiB
DIRTY = (0, 1, 2, 4, 6, 9)  # MiB/s
COMPRESS = (0, 20, 40, 60, 80)  # percent of each page
GUESTS, MOVES = 4, 4
BOOTS = 2  # at once
LEAST_S = 15  # of what is left, to begin a move


def _drover(name: str, at: str, *words: str) -> Any:
    argv = [LAB, "drover", name, "--at", at, *words, "--json"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if not done.stdout.strip():
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _case(dice: random.Random) -> dict[str, int]:
    memory = dice.choice(MEMORY)
    return {"memory": memory, "work": min(memory * dice.choice((15, 30, 45)) // 100, memory - 80),
            "dirty": dice.choice(DIRTY), "compress": dice.choice(COMPRESS)}


def _rate(dice: random.Random, rates: list[int], cases: list[dict[str, int]]) -> int:
    """One at which all of them converge: what a guest rewrites takes less than half of the link."""
    least = max(8.4 * c["dirty"] * (1 - c["compress"] / 100) / 0.45 for c in cases)
    return dice.choice([rate for rate in rates if rate >= least] or [max(rates)])


def _boot(name: str, vm: str, case: dict[str, int]) -> None:
    run(LAB, "guest", name, vm, "--host", HOSTS[0], "--disk", "0",
        *(w for k, v in case.items() for w in (f"--{k}", str(v))))


def _remove(name: str, vm: str) -> None:
    for on in HOSTS:
        for verb in ("destroy", "undefine"):
            subprocess.run([LAB, "virsh", name, on, verb, vm], capture_output=True, check=False)


def _link(name: str, rate: int) -> dict[str, Any]:
    for on in HOSTS:
        run(LAB, "link", name, on, "--rate", f"{rate}mbit")
    for a, b in (HOSTS, HOSTS[::-1]):
        probed: dict[str, Any] = _drover(name, a, "link", "probe", a, b)
    return probed


def _move(name: str, vm: str, at: str, to: str) -> dict[str, Any]:
    report = _drover(name, at, "migrate", vm, to)
    jobs = [j for j in _drover(name, at, "jobs")["jobs"] if j["vm"] == vm]
    job = max(jobs, key=lambda j: j["created_ms"])
    step = job["step"]
    return {"outcome": report["outcome"], "report": job["report"], "expects": step.get("expects"),
            "model": step.get("model")}


def _batch(args: argparse.Namespace, dice: random.Random, number: int, until: float) -> int:
    """Some guests, each moved some times; the link changes between. Returns how many moves there were."""
    vms = {f"v{number}x{i}": _case(dice) for i in range(GUESTS)}
    count = 0
    with ThreadPoolExecutor(BOOTS) as at_once:
        list(at_once.map(lambda vm: _boot(args.lab, vm, vms[vm]), vms))
    try:
        with ThreadPoolExecutor(GUESTS) as at_once:
            list(at_once.map(lambda vm: _drover(args.lab, HOSTS[0], "migrate", vm, HOSTS[1], "--check"),
                             vms))
        for turn in range(MOVES):
            rate = _rate(dice, args.rates, list(vms.values()))
            probed = _link(args.lab, rate)
            at, to = (HOSTS, HOSTS[::-1])[turn % 2]
            for vm, case in vms.items():
                if time.monotonic() > until - LEAST_S:
                    return count
                line = {"at": time.time(), "vm": vm, "rate": rate, "turn": turn, "probed": probed,
                        **case, **_move(args.lab, vm, at, to)}
                with args.file.open("a") as out:
                    out.write(json.dumps(line) + "\n")
                count += 1
                _show(line)
        return count
    finally:
        for vm in vms:
            _remove(args.lab, vm)


def _show(line: dict[str, Any]) -> None:
    report, predicted = line["report"], line["report"].get("predicted") or {}

    def beside(actual: str, figure: str, unit: float) -> str:
        said = predicted.get(figure, {})
        return (f"{(report.get(actual) or 0) / unit:.2f} ({said.get('p50', 0) / unit:.2f}, "
                f"p90 {said.get('p90', 0) / unit:.2f})")

    print(f"{line['vm']:>6} turn {line['turn']} {line['rate']:>4} Mbit/s {line['memory']:>4} MiB "
          f"dirty {line['dirty']:>2} compress {line['compress']:>2}: "
          f"s {beside('total_ms', 'time_ms', 1000)}, MB {beside('wire_bytes', 'wire_bytes', 1e6)}, "
          f"ms {beside('pause_ms', 'pause_ms', 1)} {line['outcome']}", flush=True)


def _accuracy(file: Path) -> None:
    """The same program that says it of a history."""
    build = Path(os.environ.get("DROVER_BUILD", Path(LAB).parents[1] / "build"))
    subprocess.run([str(build / "bench" / "bench-predict"), str(file)], check=True)


def main(argv: list[str]) -> int:
    p = argparse.ArgumentParser(prog="bench/predict", description=__doc__)
    p.add_argument("file", type=Path, help="where lines of JSON are appended")
    p.add_argument("--lab", default="predict", help="name of the lab (%(default)s)")
    p.add_argument("--minutes", type=float, default=5.0,
                   help="stop in time; run it again for more (%(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of the cases; 0: by the number of lines")
    p.add_argument("--rates", type=lambda text: [int(rate) for rate in text.split(",")],
                   default=list(RATES), help="Mbit/s, of which one is drawn (%(default)s)")
    p.add_argument("--show", action="store_true", help="only what is in the file already")
    args = p.parse_args(argv)
    if not args.show:
        until = time.monotonic() + args.minutes * 60
        done = len(args.file.read_text().splitlines()) if args.file.exists() else 0
        dice = random.Random(args.seed or 1000 + done)
        try:
            with lab(args.lab, "100mbit", True, False):
                _drover(args.lab, HOSTS[0], "content", "off")
                number = 0
                while time.monotonic() < until - 2 * LEAST_S:
                    _batch(args, dice, number, until)
                    number += 1
        except LabError as e:
            print(e, file=sys.stderr)
            return 1
    _accuracy(args.file)
    return 0
