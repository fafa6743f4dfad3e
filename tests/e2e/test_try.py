# SPDX-License-Identifier: Apache-2.0
"""The first command of a stranger: ./try."""
import json
import os
import subprocess
import sys
from pathlib import Path

from lab import ROOT

FIELDS = {"vm", "from", "to", "outcome", "total_ms", "pause_ms", "client_gap_ms", "qemu_bytes",
          "wire_bytes", "known_bytes", "verified", "lost_writes"}


def test_try(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    name = f"e2e{os.getpid()}y"
    done = subprocess.run([sys.executable, str(ROOT / "lab/try.py"), "--json", str(out), "--name",
                           name], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    moves = json.loads(out.read_text())["moves"]
    assert [(m["from"], m["to"]) for m in moves] == [("h1", "h2"), ("h2", "h1")]
    for move in moves:
        assert FIELDS <= set(move)
        assert move["outcome"] == "done" and move["verified"] is True
        assert move["lost_writes"] == 0
        assert move["wire_bytes"] > 0 and move["qemu_bytes"] > 0
        assert 0 <= move["pause_ms"] <= move["total_ms"]
    # The way back begins at once, and what the hosts know from the way there is not sent again.
    there, back = moves
    # A tenth where nothing else runs; what the guest writes meanwhile counts as well, and that grows with the time.
    assert back["known_bytes"] > there["qemu_bytes"] / 2, moves
    assert back["wire_bytes"] < there["wire_bytes"] / 7, moves
    assert "memory verified" in done.stdout and "disk writes lost" in done.stdout
    assert name not in subprocess.run([str(ROOT / "lab/lab"), "list"], capture_output=True,
                                      text=True).stdout
