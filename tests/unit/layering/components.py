#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Checks that no more than three files of src/ need each other, and that a header declares only what the file of its
name implements.

usage: components.py SRC | components.py --self-test

A file here is NAME.c with NAME.h. One needs another if it includes that one's header or calls one of its functions.
"""
import pathlib
import re
import sys
import tempfile
from collections import defaultdict

MOST = 3
COMMENT = re.compile(r"/\*.*?\*/", re.S)
STRING = re.compile(r"'(?:\\.|[^'\\\n])'|\"(?:\\.|[^\"\\\n])*\"")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)\.h"', re.M)
# A function's head, from the beginning of a line to what follows its parameters.
HEAD = re.compile(r"^(?!static\b|typedef\b|return\b|else\b)[A-Za-z_][^\n;={}()]*?\b(drv_[a-z0-9_]+)\(", re.M)
NAME = re.compile(r"\bdrv_[a-z0-9_]+\b")


def bare(text: str) -> str:
    return COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text)


def heads(text: str, ends: str) -> set[str]:
    """Functions whose head is followed by this: { where they are implemented, ; where they are declared."""
    found = set()
    for head in HEAD.finditer(text):
        at, depth = head.end(), 1
        while depth and at < len(text):
            depth += (text[at] == "(") - (text[at] == ")")
            at += 1
        rest = re.sub(r"^\s*G_GNUC_\w+(\([^)]*\))?", "", text[at:])
        if rest.lstrip()[:1] == ends:
            found.add(head.group(1))
    return found


class Tree:
    def __init__(self, src: pathlib.Path) -> None:
        self.text: dict[str, dict[str, str]] = defaultdict(dict)
        for path in sorted(src.rglob("*.[ch]")):
            name = str(path.relative_to(src).with_suffix(""))
            self.text[name][path.suffix] = bare(path.read_text())
        self.home = {function: name for name, text in self.text.items()
                     for function in heads(text.get(".c", ""), "{")}

    def needs(self, name: str) -> set[str]:
        found = set()
        for suffix, text in self.text[name].items():
            found |= {other for other in INCLUDE.findall(text) if other in self.text}
            if suffix == ".c":
                used = set(NAME.findall(STRING.sub('""', text)))
                found |= {self.home[function] for function in used if function in self.home}
        return found - {name}

    def misplaced(self) -> list[str]:
        return [f"{name}.h declares {function}(), which {self.home[function]}.c implements"
                for name, text in sorted(self.text.items())
                for function in sorted(heads(text.get(".h", ""), ";"))
                if self.home.get(function, name) != name]


def components(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Tarjan's strongly connected components."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(arrows.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            found.append(sorted(stack[at:]))
            del stack[at:]

    sys.setrecursionlimit(10000)
    for name in sorted(arrows):
        if name not in index:
            visit(name)
    return found


def offenders(src: pathlib.Path) -> list[str]:
    tree = Tree(src)
    knots = [one for one in components({name: tree.needs(name) for name in tree.text}) if len(one) > MOST]
    return [f"{len(one)} files need each other: {', '.join(one)}" for one in knots] + tree.misplaced()


def self_test() -> int:
    """A ring of four, one of three, and a function that is declared elsewhere."""
    ring = {f"plan/{name}": f'void drv_{name}(void)\n{{\n    drv_{to}(); /* drv_z() */\n}}\n'
            for name, to in ("ab", "bc", "cd", "da", "xy", "yz", "zx")}
    with tempfile.TemporaryDirectory() as place:
        for name, text in ring.items():
            path = pathlib.Path(place, name)
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".c").write_text(f'#include "{name}.h"\n' + text)
            path.with_suffix(".h").write_text(f"void drv_{path.name}(void);\n")
        pathlib.Path(place, "plan/all.h").write_text("/** drv_a() - */\nvoid drv_a(void);\n")
        found = offenders(pathlib.Path(place))
    expected = ["4 files need each other: plan/a, plan/b, plan/c, plan/d",
                "plan/all.h declares drv_a(), which plan/a.c implements"]
    if found == expected:
        return 0
    print(f"expected {expected}\nfound    {found}", file=sys.stderr)
    return 1


def main() -> int:
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1], "base").is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    found = offenders(pathlib.Path(sys.argv[1]))
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
