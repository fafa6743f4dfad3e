#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Drover before your eyes: build it, start a lab of two hosts, move a running Linux guest from
one to the other and back while a client talks to it, and say what the client saw.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "lab" / "lab"
VM = "web1"
MEMORY_MIB = 1024
WORK_MIB = 256
DIRTY_MIB = 1  # MiB/s of the guest's memory written anew; a migration back carries what was written meanwhile
RATE = "1gbit"


class Trouble(Exception):
    """Something did not work; the message says what."""


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(*command: object, quiet: bool = False) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE if quiet else None,
                          stderr=subprocess.STDOUT if quiet else None, text=True)
    if done.returncode:
        raise Trouble(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout or ''}")


def output(*command: object) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Trouble(f"{' '.join(words)}: exit code {done.returncode}")
    return done.stdout


def build(directory: Path) -> None:
    if not (directory / "build.ninja").exists():
        run("meson", "setup", directory, ROOT, quiet=True)
    run("ninja", "-C", directory, quiet=True)


class Client:
    """The one outside who talks to the guest all the while and notices everything."""

    def __init__(self, lab: str, scratch: Path) -> None:
        self.stop = scratch / "stop"
        ready = scratch / "ready"
        for file in (self.stop, ready):
            file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [LAB, "witness", lab, VM, "--until-file", self.stop, "--ready-file", ready,
             "--verify-after"], stdout=subprocess.PIPE, text=True)
        while not ready.exists():
            if self.process.poll() is not None:
                raise Trouble("the client gets no answer from the guest")
            time.sleep(0.02)

    def finish(self) -> dict:
        self.stop.touch()
        text, _ = self.process.communicate()
        return json.loads(text)


def emulated(lab: str) -> bool:
    return "type='qemu'" in output(LAB, "virsh", lab, "h1", "dumpxml", VM)


def last_job(lab: str) -> dict:
    return json.loads(output(LAB, "drover", lab, "jobs", "--json"))["jobs"][-1]


def move(lab: str, source: str, target: str, scratch: Path) -> dict:
    say(f"drover migrate {VM} {target}")
    client = Client(lab, scratch)
    code = subprocess.run([LAB, "drover", lab, "--at", source, "migrate", VM, target]).returncode
    seen = client.finish()
    report = last_job(lab)["report"] or {}
    memory, disk = seen["memory"] or {}, seen["disk"] or {}
    if not seen["verified"] or memory.get("errors") or seen["split_brain"]:
        print(f"The guest is not well; its witness says:\n{json.dumps(seen, indent=2)}")
    return {
        "vm": VM, "from": source, "to": target,
        "outcome": report.get("outcome", f"exit code {code}"),
        "total_ms": report.get("total_ms"), "pause_ms": report.get("pause_ms"),
        "client_gap_ms": round(seen["longest_gap_ms"], 1),
        "qemu_bytes": report.get("qemu_bytes"), "wire_bytes": report.get("wire_bytes"),
        "known_bytes": report.get("recycled_bytes"),
        "verified": bool(seen["verified"]) and memory.get("errors") == 0
                    and not seen["split_brain"],
        "lost_writes": disk.get("lost"),
        "acknowledged_writes": disk.get("acknowledged"),
    }


def table(moves: list[dict]) -> None:
    def mib(value: object) -> str:
        return "-" if value is None else f"{int(str(value)) / 2**20:.0f} MiB"

    rows = [("", *[f"{m['from']} -> {m['to']}" for m in moves]),
            ("outcome", *[m["outcome"] for m in moves]),
            ("total time", *[f"{m['total_ms']} ms" for m in moves]),
            ("pause, as Drover measures it", *[f"{m['pause_ms']} ms" for m in moves]),
            ("longest gap the client saw", *[f"{m['client_gap_ms']} ms" for m in moves]),
            ("written by QEMU", *[mib(m["qemu_bytes"]) for m in moves]),
            ("on the wire, encrypted", *[mib(m["wire_bytes"]) for m in moves]),
            ("known from an earlier migration", *[mib(m["known_bytes"]) for m in moves]),
            (f"memory verified ({WORK_MIB} MiB of pattern)",
             *["yes" if m["verified"] else "NO" for m in moves]),
            ("disk writes acknowledged", *[str(m["acknowledged_writes"]) for m in moves]),
            ("disk writes lost", *[str(m["lost_writes"]) for m in moves])]
    width = max(len(row[0]) for row in rows)
    say("What happened")
    for row in rows:
        print(f"  {row[0]:<{width}}  " + "".join(f"{cell:>16}" for cell in row[1:]))


def what_next(lab: str) -> None:
    say("The lab is still there. Next, for example:")
    print(f"  lab/lab drover {lab} vm list\n"
          f"  lab/lab drover {lab} migrate {VM} h2\n"
          f"  lab/lab link {lab} h1 --rate 100mbit --delay 10ms\n"
          f"  lab/lab witness {lab} {VM} --seconds 10\n"
          f"  lab/lab down {lab}")


def show(arguments: argparse.Namespace, scratch: Path) -> bool:
    lab = arguments.name
    say("Building")
    build(Path(os.environ["DROVER_BUILD"]))
    say(f"A lab of two hosts with {RATE} between them, and a guest with {MEMORY_MIB} MiB")
    run(LAB, "up", lab, "--hosts", 2, "--rate", RATE)
    try:
        run(LAB, "guest", lab, VM, "--host", "h1", "--memory", MEMORY_MIB, "--disk", "256M",
            "--work", WORK_MIB, "--dirty", DIRTY_MIB)
        moves = [move(lab, "h1", "h2", scratch), move(lab, "h2", "h1", scratch)]
        table(moves)
        if emulated(lab):
            print("\n  The guest is emulated, KVM being of no use here: at the beginning of a move QEMU's\n"
                  "  emulation holds up the guest's network by itself, and the longest gap is often that\n"
                  "  (docs/lab.rst).")
        if arguments.json:
            arguments.json.write_text(json.dumps({"moves": moves}, indent=2) + "\n")
        if arguments.keep:
            what_next(lab)
    finally:
        if not arguments.keep:
            run(LAB, "down", lab)
    return all(m["outcome"] == "done" and m["verified"] and m["lost_writes"] == 0 for m in moves)


def main() -> int:
    parser = argparse.ArgumentParser(prog="try", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--keep", action="store_true",
                        help="leave the lab up and say what to type next")
    parser.add_argument("--name", default=f"try{os.getpid()}", help="the lab's name")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("try: must be run as root: it makes network namespaces", file=sys.stderr)
        return 2
    os.environ.setdefault("DROVER_BUILD", str(ROOT / "build"))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            return 0 if show(arguments, Path(scratch)) else 1
    except Trouble as trouble:
        print(f"try: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
