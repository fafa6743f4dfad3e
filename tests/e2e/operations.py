# SPDX-License-Identifier: Apache-2.0
"""Operations as tests look at them: a lab of three hosts, small guests, and `op-N` from the leader."""
import contextlib
import os
import subprocess
from typing import Any, Callable, Iterable, Iterator, Optional

from lab import LAB, Ended, Lab, wait_until

MEMORY = 128


def make_guests(lab: Lab, where: dict[str, Iterable[str]]) -> None:
    """All at once: each takes seconds to boot."""
    running = [subprocess.Popen([str(LAB), "guest", lab.name, vm, "--host", on, "--memory",
                                 str(MEMORY), "--work", "40", "--dirty", "1", "--disk", "8M", "--records",
                                 "20"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
               for on, vms in where.items() for vm in vms]
    assert all(one.wait(timeout=120) == 0 for one in running)


@contextlib.contextmanager
def three_hosts(prefix: str, *options: str) -> Iterator[Lab]:
    lab = Lab(f"{prefix}{os.getpid()}", 3)
    try:
        lab.up(*options)
        yield lab
    finally:
        lab.down()


def missing(lab: Lab, on: str, vms: Iterable[str]) -> list[str]:
    return [vm for vm in vms if whereabouts(lab, [vm])[vm] != [on]]


def fill(lab: Lab, on: str, vms: Iterable[str]) -> None:
    """All of them run there; those that do already are left alone."""
    others = missing(lab, on, vms)
    for vm in others:
        lab.remove_guest(vm)
    make_guests(lab, {on: others})


def whereabouts(lab: Lab, vms: Iterable[str]) -> dict[str, list[str]]:
    """Where each runs; one may leave between two looks."""
    return {vm: [on for on in lab.where(vm)
                 if lab.virsh(on, "domstate", vm, check=False) == "running"] for vm in vms}


def on_host(lab: Lab, on: str) -> set[str]:
    return set(lab.virsh(on, "list", "--name").split())


def operation(lab: Lab, op: str, at: str = "h1") -> dict[str, Any]:
    return lab.api(at).get(f"/v1/jobs/{op}")


def begin(lab: Lab, goal: dict[str, Any], at: str = "h1") -> str:
    """Plan and apply; the operation's id."""
    api = lab.api(at)
    status, plan = api.ask("POST", "/v1/plans", goal)
    assert status == 200, plan
    status, answer = api.ask("POST", f"/v1/plans/{plan['id']}/apply")
    assert status == 200, answer
    return answer["operation"]


def until(lab: Lab, op: str, condition: Callable[[dict[str, Any]], bool], what: str,
          at: str = "h1", seconds: float = 120) -> dict[str, Any]:
    """Until the operation is as wanted; droverd may be away in between."""
    def look() -> Optional[dict[str, Any]]:
        try:
            document = operation(lab, op, at)
        except (OSError, AssertionError):
            return None
        return document if condition(document) else None

    found: dict[str, Any] = wait_until(look, f"{op}: {what}", seconds)
    return found


def ended(lab: Lab, op: str, at: str = "h1", seconds: float = 180) -> dict[str, Any]:
    return until(lab, op, lambda o: o["ended"], "its end", at, seconds)


def states(document: dict[str, Any]) -> dict[str, str]:
    return {step["vm"]: step["state"] for step in document["steps"]}


def moves_of(lab: Lab, vm: str) -> list[dict[str, Any]]:
    """Every job that there ever was for a VM, on all nodes."""
    return [job for job in lab.api("h1").get("/v1/jobs")["jobs"] if job.get("vm") == vm]


def most_at_once(jobs: list[dict[str, Any]]) -> int:
    """How many of them ran side by side."""
    return max(sum(other["started_ms"] <= job["started_ms"] < other["ended_ms"] for other in jobs)
               for job in jobs)


def maintenance(lab: Lab, node: str, at: str = "h1") -> str:
    nodes = lab.api(at).get("/v1/nodes")["nodes"]
    return next(n["maintenance"] for n in nodes if n["name"] == node)


def resume(lab: Lab, node: str) -> Ended:
    return lab.drover("h1", "node", "resume", node, "--leave")


def tidy(lab: Lab, vms: Iterable[str]) -> None:
    """Ends what a test has left behind: operations, maintenance, guests."""
    for on in lab.hosts:
        lab.link(on, "--up", "--rate", "none")
    for job in lab.api("h1").get("/v1/jobs")["jobs"]:
        if job.get("kind") and not job["ended"]:
            lab.api("h1").ask("POST", f"/v1/jobs/{job['id']}/cancel")
            ended(lab, job["id"])
    for on in lab.hosts:
        resume(lab, on)
    for vm in vms:
        lab.remove_guest(vm)
