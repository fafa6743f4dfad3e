#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that a room of src/ includes only rooms above it, and lists its offenders.

usage: layering.py SRC | layering.py --self-test
"""
import pathlib
import re
import sys
import tempfile

ROOMS = ["base", "pack", "relay", "hyper", "store", "model", "plan", "node", "cache", "facts", "move", "fleet",
         "cluster", "serve", "api", "daemon", "cli"]
# Parts of a room that never see each other.
APART = [("move/source/", "move/target/")]
# Sizes come from outside down there: an allocation may fail, GLib would abort.
PLAIN = ROOMS[:ROOMS.index("hyper")]
FOREIGN = re.compile(r"^(glib|gio|gmodule|gobject|libvirt)[-/.]")
GENERATED = {"drv-config.h"}
INCLUDE = re.compile(r"""^\s*#\s*include\s*([<"])([^>"]+)[>"]""")


def check_include(room: str, bracket: str, path: str) -> str | None:
    """What is wrong with this include in that room, or None."""
    if bracket == "<":
        if room in PLAIN and FOREIGN.match(path):
            return f"{room} uses neither GLib nor libvirt"
        if path.startswith("libvirt/") and room != "hyper":
            return "only hyper calls libvirt"
        return None
    if path in GENERATED:
        return None
    other = path.split("/")[0]
    if "/" not in path or other not in ROOMS:
        return 'includes are written "room/file.h"'
    if ".." in path.split("/"):
        return "no way round the rooms"
    if ROOMS.index(other) > ROOMS.index(room):
        return f"{room} is above {other}"
    return None


def check_apart(file: str, path: str) -> str | None:
    for one, other in APART:
        for mine, theirs in ((one, other), (other, one)):
            if file.startswith(mine) and path.startswith(theirs):
                return f"{mine} and {theirs} do not see each other"
    return None


def offenders(src: pathlib.Path) -> list[str]:
    """One line for each include that may not be, and for each folder that is no room."""
    found = []
    for folder in sorted(p for p in src.iterdir() if p.is_dir()):
        if folder.name not in ROOMS:
            found.append(f"{folder.name}/: not a room; rooms are {', '.join(ROOMS)}")
            continue
        for file in sorted(p for p in folder.rglob("*") if p.suffix in (".c", ".h")):
            for number, line in enumerate(file.read_text().splitlines(), 1):
                include = INCLUDE.match(line)
                wrong = include and (check_include(folder.name, *include.groups()) or
                                     check_apart(str(file.relative_to(src)), include.group(2)))
                if wrong:
                    found.append(f"{file.relative_to(src)}:{number}: {line.strip()}: {wrong}")
    return found


def self_test() -> int:
    """A tree with one offender of each kind among includes that are fine."""
    tree = {
        "base/good.c": '#include "base/error.h"\n#include <stdio.h>\n',
        "base/glib.c": "#include <glib.h>\n",
        "base/unix.c": "int x;\n#  include <glib-unix.h>\n",
        "relay/virt.h": "#include <libvirt/libvirt.h>\n",
        "relay/up.c": '#include "base/fd.h"\n\n#include "hyper/hyper.h"\n',
        "hyper/good.c": '#include <glib.h>\n#include <libvirt/libvirt.h>\n#include "base/fd.h"\n',
        "plan/virt.c": "#include <libvirt/libvirt.h>\n",
        "plan/bare.c": '#include "plan.h"\n',
        "plan/round.c": '#include "base/../fleet/plan.h"\n',
        "plan/good.c": '#include "drv-config.h"\n#include "model/peers.h"\n',
        "move/source/good.c": '#include "move/job.h"\n',
        "move/source/over.c": '#include "move/target/judge.h"\n',
        "move/up.c": '#include "fleet/rules.h"\n',
        "cli/good.c": '#include "cluster/client.h"\n',
        "attic/old.c": "\n",
    }
    expected = ["attic/", "base/glib.c:1", "base/unix.c:2", "move/source/over.c:1", "move/up.c:1", "plan/bare.c:1",
                "plan/round.c:1", "plan/virt.c:1", "relay/up.c:3", "relay/virt.h:1"]
    with tempfile.TemporaryDirectory() as name:
        for path, text in tree.items():
            file = pathlib.Path(name, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        found = [re.match(r"[^:]+(:\d+)?", line).group() for line in offenders(pathlib.Path(name))]
    if found == expected:
        return 0
    print(f"expected {expected}\nfound    {found}", file=sys.stderr)
    return 1


def main() -> int:
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    src = pathlib.Path(sys.argv[1])
    if not (src / "base").is_dir():
        print(f"{src} has no rooms", file=sys.stderr)
        return 2
    found = offenders(src)
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
