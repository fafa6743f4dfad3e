# SPDX-License-Identifier: Apache-2.0
"""bench/run on its smallest case: every way comes through, and what it says of them is complete."""
import json
import os
import subprocess
import sys
from pathlib import Path

from lab import ROOT, wait_until

sys.path.insert(0, str(ROOT / "bench"))
from drover_bench import load  # noqa: E402

WAYS = ["drover", "plain", "qmp"]
MEASURED = {"total_ms", "pause_ms", "client_gap_ms", "uplink_bytes", "hosts_cpu_s", "qemu_cpu_s",
            "relay_cpu_s", "relay_peak_bytes", "lost_work_s", "outcome", "guest"}


def bench(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(ROOT / "bench/run"), *map(str, words)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400)


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_tiny(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    name = f"e2e{os.getpid()}b"
    # Without --exact the emulation may harm a guest, which is not what is looked at here.
    done = bench("tiny", "--exact", "--json", out, "--name", name)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    found = json.loads(out.read_text())["cases"]["tiny"]
    assert found["lost"] == []
    assert [(m["way"], m["move"]) for m in found["moves"]] == [
        (way, move) for way in WAYS for move in ("first", "return")]
    for move in found["moves"]:
        assert MEASURED <= set(move)
        assert (move["outcome"], move["guest"]) == ("done", "well")
        assert move["uplink_bytes"] > 24 << 20 or move["way"] != "plain"
        assert (move["relay_cpu_s"] > 0) == (move["way"] == "drover")
        assert move["qemu_cpu_s"] > 0 and move["hosts_cpu_s"] > 0
    for move in ("first", "return"):
        assert list(found["medians"][move]) == WAYS
        for figure in ("total_ms", "client_gap_ms", "uplink_bytes"):
            assert found["ratios"][move]["plain"]["qmp"][figure] > 0
    assert {t["reached"] for t in found["targets"]} <= {True, False}
    assert len(found["targets"]) == 9
    for picture in ("r-tiny", "r-targets"):
        assert (tmp_path / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (tmp_path / f"{picture}.svg").read_text()
    assert "ratios to virsh" in done.stdout and "QEMU multifd+zstd" in done.stdout
    assert name not in subprocess.run([str(ROOT / "lab/lab"), "list"], capture_output=True,
                                      text=True).stdout


def test_busy() -> None:
    """What --busy adds computes, each in a session of its own, and is gone afterwards."""
    with load.computing(3) as pids:
        assert len(set(pids)) == 3
        wait_until(lambda: all(cpu_ticks(pid) > 5 for pid in pids), "they compute")
        assert all(os.getsid(pid) == pid for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert bench("tiny", "--busy", "-1").returncode == 2


def test_names() -> None:
    listed = bench("--list")
    assert listed.returncode == 0
    for case in ("quick", "redis-200", "postgres-200", "idle-200", "large", "random", "busy",
                 "siblings", "redis-work", "witness-loss1", "witness-rtt50"):
        assert f"\n{case} " in "\n" + listed.stdout
    unknown = bench("no-such-case")
    assert unknown.returncode == 1 and "no-such-case" in unknown.stderr
    assert bench().returncode == 2
