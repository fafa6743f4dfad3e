# SPDX-License-Identifier: Apache-2.0
"""
What is kept about a lab on disk: one directory a lab, with lab.json (intent: hosts, links,
guests) and one directory a host (its disks, its logs, its init's pid).

What exists is always read from the kernel; lab.json may be missing or truncated, and
`lab down` still works.
"""
import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any, Iterator

from . import names
from .errors import LabError

# Mount points that the labs had to create on this machine, and the labs that may use them.
REGISTRY = Path("/run/drover-lab")
NETNS_DIR = Path("/run/netns")


def base_dir() -> Path:
    return Path(os.environ.get("DROVER_LAB_DIR", "/var/lib/drover-lab"))


def lab_dir(lab: str) -> Path:
    return base_dir() / names.check_lab(lab)


def host_dir(lab: str, host: str) -> Path:
    names.host_number(host)
    return lab_dir(lab) / host


@contextlib.contextmanager
def machine_lock() -> Iterator[None]:
    """Held for the short moments in which labs touch what they share. /run exists always."""
    fd = os.open("/run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def lab_lock(lab: str) -> Iterator[None]:
    """Held while lab.json is changed."""
    fd = os.open(lab_dir(lab), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def exists(lab: str) -> bool:
    return lab_dir(lab).exists() or bool(netns_names(lab))


def netns_names(lab: str) -> list[str]:
    """The lab's network namespaces that exist now."""
    if not NETNS_DIR.is_dir():
        return []
    return sorted(n for n in os.listdir(NETNS_DIR) if names.netns_of_lab(lab, n))


def all_labs() -> list[str]:
    """Every lab of which something exists."""
    found = set()
    if base_dir().is_dir():
        found.update(p.name for p in base_dir().iterdir()
                     if names.LAB_PATTERN.fullmatch(p.name))
    if NETNS_DIR.is_dir():
        found.update(n[:-len("-lan")] for n in os.listdir(NETNS_DIR) if n.endswith("-lan"))
    return sorted(found)


def load(lab: str) -> dict[str, Any]:
    """The lab's intent. Fails with a remedy if there is no such lab or its file is broken."""
    path = lab_dir(lab) / "lab.json"
    try:
        data = json.loads(path.read_text())
        if not isinstance(data["hosts"], dict) or not isinstance(data["guests"], dict):
            raise ValueError("hosts or guests is not an object")
        return data
    except FileNotFoundError:
        if exists(lab):
            raise LabError(f"lab '{lab}' is only half there ({path} is missing): "
                           f"remove it with `lab down {lab}`") from None
        raise LabError(f"there is no lab '{lab}': `lab list` shows those that are, "
                       f"`lab up {lab}` makes it") from None
    except (ValueError, KeyError, TypeError) as e:
        raise LabError(f"{path} cannot be read ({e}): remove the lab with "
                       f"`lab down {lab}`") from None


def save(lab: str, data: dict[str, Any]) -> None:
    """Written beside and renamed, so that a reader sees the old or the new."""
    path = lab_dir(lab) / "lab.json"
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(data, indent=2) + "\n")
    fresh.rename(path)


@contextlib.contextmanager
def changed(lab: str) -> Iterator[dict[str, Any]]:
    """`with changed(lab) as data:` loads, lets the block change, and saves if it succeeds."""
    load(lab)  # says which lab is missing, before the lock does
    with lab_lock(lab):
        data = load(lab)
        yield data
        save(lab, data)


def check_host(lab: str, host: str) -> dict[str, Any]:
    """The host's intent, or an error that names the hosts there are."""
    data = load(lab)
    names.host_number(host)
    if host not in data["hosts"]:
        raise LabError(f"lab '{lab}' has no host {host}: it has {', '.join(data['hosts'])}")
    return data["hosts"][host]


def claim_mount_points(lab: str, wanted: list[str]) -> None:
    """
    Makes directories on this machine that hosts mount over. A directory can only be taken
    away again when no lab is left: removing it takes it from under every other lab.
    """
    with machine_lock():
        (REGISTRY / "labs").mkdir(parents=True, exist_ok=True)
        (REGISTRY / "labs" / lab).touch()
        for path in wanted:
            if not os.path.exists(path):
                with open(REGISTRY / "created", "a", encoding="utf-8") as f:
                    f.write(path + "\n")
                os.makedirs(path)


def release_mount_points(lab: str) -> None:
    with machine_lock():
        (REGISTRY / "labs" / lab).unlink(missing_ok=True)
        if not REGISTRY.is_dir() or any((REGISTRY / "labs").iterdir()):
            return
        created = REGISTRY / "created"
        for path in reversed(created.read_text().split("\n") if created.exists() else []):
            with contextlib.suppress(OSError):  # somebody uses it by now
                if path:
                    os.rmdir(path)
        shutil.rmtree(REGISTRY)


def remove(lab: str) -> None:
    """Takes the lab's directory away, and the labs' when it was the last one."""
    if lab_dir(lab).exists():
        shutil.rmtree(lab_dir(lab))
    with contextlib.suppress(OSError):
        base_dir().rmdir()
