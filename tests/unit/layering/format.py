#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every C file is as `clang-format -i` leaves it: .clang-format is true of the whole tree."""
import subprocess
import sys
from pathlib import Path

root = Path(sys.argv[1])
files = sorted(str(file) for room in ("src", "lab", "tests", "bench") for file in (root / room).rglob("*.[ch]"))
found = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True)
print(found.stderr[:4000], end="")
wrong = {line.split(":")[0] for line in found.stderr.splitlines() if "[-Wclang-format-violations]" in line}
if wrong:
    print(f"{len(wrong)} files differ from the house style: clang-format -i", *sorted(wrong))
sys.exit(found.returncode)
