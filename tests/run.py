#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Runs the parts of the test suite one after another, counts what passed, and says at the end
why anything was skipped or failed. The last line is `N passed, N failed[, N skipped]`.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# More than this is no accident.
MOST_SECOND_TRIES = 5
# Much of a test with hosts is waiting: for guests to boot, for timeouts.
AT_ONCE = 2


@dataclass
class Tally:
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    second_tries: list[str] = field(default_factory=list)

    def check(self, name: str, ok: bool) -> None:
        if ok:
            self.passed += 1
        else:
            self.failed.append(name)

    def read_junit(self, part: str, file: Path, failures: bool = True) -> None:
        for case in ET.parse(file).getroot().iter("testcase"):
            name = f"{part}: {case.get('classname') or ''} {case.get('name')}"
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                if failures:
                    self.failed.append(name)
            elif skip is not None:
                self.skipped.append(f"{name}: {skip.get('message') or skip.text or 'no reason'}")
            else:
                self.passed += 1


@dataclass
class Options:
    werror: bool
    fuzz_seconds: int
    scratch: Path


def run(*words: object, env: dict[str, str] | None = None) -> int:
    command = [str(word) for word in words]
    print("+", " ".join(command), flush=True)
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})},
                          stdin=subprocess.DEVNULL).returncode


def build(directory: Path, options: Options, *settings: str, clang: bool = False) -> bool:
    if not (directory / "build.ninja").exists():
        if run("meson", "setup", directory, f"-Dwerror={str(options.werror).lower()}", *settings,
               env={"CC": "clang"} if clang else None):
            return False
    return run("ninja", "-C", directory) == 0


def ended_badly(log: Path) -> dict[str, str]:
    """Programs that died or hung: no case of theirs is said to have failed."""
    tests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return {test["name"]: test["result"] for test in tests
            if test["result"] in ("ERROR", "FAIL", "TIMEOUT", "INTERRUPT")}


def meson_test(part: str, directory: Path, tally: Tally, *words: str,
               env: dict[str, str] | None = None) -> None:
    log = directory / "meson-logs" / "testlog.junit.xml"
    log.unlink(missing_ok=True)
    code = run("meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs", *words,
               env=env)
    before = len(tally.failed)
    if log.exists():
        tally.read_junit(part, log)
    if not code or len(tally.failed) > before:
        return
    badly = ended_badly(log.with_name("testlog.json"))
    for name, result in badly.items():
        # The machine may have stood still: what only hung has a second try, alone, and is named.
        if result == "TIMEOUT" and not run("meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs",
                                           *words, name.rpartition(" / ")[2], env=env):
            tally.second_tries.append(f"{part}: {name}")
        else:
            tally.failed.append(f"{part}: {name} ended with {result}")
    if not badly:
        tally.failed.append(f"{part}: meson test ended with {code}")


def unit(options: Options, tally: Tally) -> None:
    """Unit tests of every room, in the build that the tests with real hosts use."""
    if not build(ROOT / "build", options):
        tally.failed.append("unit: the build")
        return
    meson_test("unit", ROOT / "build", tally)


def sanitize(options: Options, tally: Tally) -> None:
    """The unit tests and the fuzzers with ASan and UBSan."""
    directory = ROOT / "build-asan"
    if not build(directory, options, "-Dfuzz=true", "-Db_sanitize=address,undefined",
                 "-Db_lundef=false", clang=True):
        tally.failed.append("sanitize: the build")
        return
    meson_test("sanitize", directory, tally, "--timeout-multiplier", "4",
               env={"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})
    fuzzers = sorted(f for f in (directory / "tests/fuzz").glob("fuzz-*")
                     if f.is_file() and os.access(f, os.X_OK))
    if not fuzzers:
        tally.failed.append("fuzz: there are no fuzzers")
    for fuzzer in fuzzers:
        fresh = options.scratch / fuzzer.name
        fresh.mkdir()
        corpus = ROOT / "tests/fuzz/corpus" / fuzzer.name.removeprefix("fuzz-")
        code = run(fuzzer, f"-max_total_time={options.fuzz_seconds}", "-timeout=10",
                   "-rss_limit_mb=1024", "-verbosity=0", f"-artifact_prefix={fresh}/", fresh,
                   *([corpus] if corpus.is_dir() else []))
        tally.check(f"fuzz: {fuzzer.name} (its input is in {fresh})", code == 0)


def threads(options: Options, tally: Tally) -> None:
    """The relay's tests with TSan."""
    directory = ROOT / "build-tsan"
    if not build(directory, options, "-Db_sanitize=thread", "-Db_lundef=false", clang=True):
        tally.failed.append("threads: the build")
        return
    meson_test("threads", directory, tally, "--suite", "relay", "--timeout-multiplier", "4",
               env={"TSAN_OPTIONS": "halt_on_error=1"})


def failed_nodes(log: Path) -> list[str]:
    """What failed in a run, as pytest takes it."""
    nodes = []
    for case in ET.parse(log).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            file = (case.get("classname") or "").replace(".", "/") + ".py"
            nodes.append(f"{ROOT / file}::{case.get('name')}")
    return nodes


def pytest(part: str, options: Options, tally: Tally, directory: Path = ROOT / "build",
           *settings: str, at_once: int = 1) -> None:
    """
    Tests with real hosts, so many files at once, each process with labs of its own. What fails
    has a second try, alone, and is named if that passes: guests are emulated and the machine is
    shared. A fault of ours fails twice.
    """
    if not build(directory, options, *settings):
        tally.failed.append(f"{part}: the build")
        return

    def go(log: Path, *what: object) -> int:
        return run("/usr/bin/python3", "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider",
                   f"--junitxml={log}", *what,
                   env={"DROVER_BUILD": str(directory), "PYTHONDONTWRITEBYTECODE": "1"})

    first, second = options.scratch / f"{part}.xml", options.scratch / f"{part}-again.xml"
    code = go(first, f"--numprocesses={at_once}", "--dist=loadfile", ROOT / "tests" / part)
    again = failed_nodes(first) if code == 1 and first.exists() else []
    if again and len(again) <= MOST_SECOND_TRIES:
        code = go(second, *again)
        if second.exists():
            tally.read_junit(part, second)
        else:
            tally.failed.append(f"{part}: the second try ended with {code}")
        tally.second_tries += [f"{part}: {node.rpartition('/')[2]}" for node in again]
        tally.read_junit(part, first, failures=False)
        return
    before = len(tally.failed)
    if first.exists():
        tally.read_junit(part, first)
    if code and len(tally.failed) == before:
        tally.failed.append(f"{part}: pytest ended with {code}")


def lab(options: Options, tally: Tally) -> None:
    """The lab itself: hosts, links, the witness."""
    pytest("lab", options, tally)


def e2e(options: Options, tally: Tally) -> None:
    """Drover on real hosts with real guests."""
    pytest("e2e", options, tally, at_once=AT_ONCE)


def fault(options: Options, tally: Tally) -> None:
    """A few cells of the fault table; tests/fault/all goes through the whole of it."""
    pytest("fault", options, tally, ROOT / "build-fault", "-Dfault_points=true", at_once=AT_ONCE)


PARTS = {"unit": unit, "sanitize": sanitize, "threads": threads, "lab": lab, "e2e": e2e,
         "fault": fault}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="test", description="Build Drover and run its tests.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {name:<9} {part.__doc__}" for name, part in PARTS.items()))
    parser.add_argument("part", nargs="*", metavar="PART", help="only these (default: all)")
    parser.add_argument("--werror", action="store_true", help="a compiler's warning is an error")
    parser.add_argument("--fuzz-seconds", type=int, default=5, help="for each fuzzer (default 5)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.part if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if os.geteuid() != 0:
        parser.error("must be run as root: it makes network namespaces")

    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="drover-test-") as scratch:
        options = Options(arguments.werror, arguments.fuzz_seconds, Path(scratch))
        for name in arguments.part or PARTS:
            began = time.monotonic()
            print(f"\n==== {name}: {PARTS[name].__doc__}", flush=True)
            PARTS[name](options, tally)
            print(f"==== {name} took {time.monotonic() - began:.0f} s", flush=True)

    print()
    for skipped in tally.skipped:
        print(f"skipped  {skipped}")
    for again in tally.second_tries:
        print(f"passed or failed at its second try: {again}")
    for failed in tally.failed:
        print(f"FAILED   {failed}")
    print(f"{tally.passed} passed, {len(tally.failed)} failed"
          + (f", {len(tally.skipped)} skipped" if tally.skipped else ""))
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
