# SPDX-License-Identifier: Apache-2.0
"""
Where programs are: the lab's own C pieces and Drover's. Both come from a meson build
directory, $DROVER_BUILD (default: build/ in the repository). The lab's own pieces need
nothing but libc, so without such a directory they are compiled on the spot and cached.
"""
import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from typing import Optional

from .errors import LabError
from .shell import run

LAB = Path(__file__).resolve().parent.parent
SOURCES = {  # program: (where a build has it, sources, flags)
    "lab-init": ("lab", ["init.c"], []),
    "lab-wire": ("lab", ["wire.c"], []),
    "witness": ("lab/witness", ["witness/client.c", "witness/history.c", "witness/report.c"], []),
    "witness-guest": ("lab/witness", ["witness/guest.c", "witness/memory.c", "witness/records.c"],
                      ["-static", "-pthread"]),
}
HEADERS = sorted(str(p.relative_to(LAB)) for p in (LAB / "witness").glob("*.h"))
DROVER = {"drover": "src/cli", "droverd": "src/daemon", "drover-relay": "src/relay",
          "drover-stand-in": "src/move"}


def build_dir() -> Path:
    return Path(os.environ.get("DROVER_BUILD", LAB.parent / "build")).absolute()


def cache_dir() -> Path:
    """Shared by all labs of the machine; QEMU's user must be able to read it."""
    path = Path(os.environ.get("DROVER_LAB_CACHE", "/var/cache/drover-lab"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def own(program: str) -> Path:
    """One of the lab's own pieces."""
    where, sources, flags = SOURCES[program]
    built = build_dir() / where / program
    return built if built.exists() else compiled(program, sources, flags)


def compiled(program: str, sources: list[str], flags: list[str]) -> Path:
    digest = hashlib.sha256(" ".join(flags).encode())
    for name in sources + HEADERS:
        digest.update((LAB / name).read_bytes())
    target = cache_dir() / f"{program}-{digest.hexdigest()[:16]}"
    lock = os.open(cache_dir(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            fresh = target.with_suffix(".new")
            run("cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-o", str(fresh),
                *(str(LAB / s) for s in sources), *flags)
            fresh.rename(target)
    finally:
        os.close(lock)
    return target


def find_drover(program: str) -> Optional[Path]:
    built = build_dir() / DROVER[program] / program
    if built.exists():
        return built
    installed = shutil.which(program) or shutil.which(program, path="/usr/libexec:/usr/lib/drover")
    return Path(installed) if installed else None


def drover(program: str) -> Path:
    """One of Drover's programs, or an error that says how to get it."""
    path = find_drover(program)
    if path is None:
        raise LabError(
            f"{program} is neither in the build directory {build_dir()} nor installed: build it "
            "(meson setup build && ninja -C build), set DROVER_BUILD to where it is built, "
            "or make a lab with libvirt only (lab up --no-drover)")
    return path
