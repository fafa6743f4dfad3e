# SPDX-License-Identifier: Apache-2.0
"""
An operation whose leader, or whose source, dies exactly behind each thing that it records or asks
for: every VM moves, and none twice. And one whose nodes stay silent until its patience is at an end. Needs
a build with fault points.
"""
import contextlib
from typing import Any, Iterator

import pytest

from cells import POINTS  # sets DROVER_FAULT, and the path to what follows
import operations as ops
from lab import Lab, wait_until

LEADER, SOURCE = "h1", "h2"
VMS = ("v1", "v2")
CELLS = [(LEADER, "plan-applied"), (LEADER, "step-planned"), (LEADER, "step-begun"),
         (LEADER, "step-noted"), (SOURCE, "step-job-kept"), (SOURCE, "state-planned")]


@pytest.fixture(scope="module")
def three() -> Iterator[Lab]:
    with ops.three_hosts("fo") as lab:
        ops.make_guests(lab, {SOURCE: VMS})
        yield lab


def bring_back(lab: Lab) -> None:
    for vm in VMS:
        at = ops.whereabouts(lab, [vm])[vm]
        if at != [SOURCE]:
            lab.move(vm, at[0], SOURCE)


@pytest.mark.parametrize("victim, point", CELLS)
def test_dies_there(three: Lab, victim: str, point: str) -> None:
    bring_back(three)
    api = three.api("h3")
    status, plan = api.ask("POST", "/v1/plans", {"goal": "evacuate", "node": SOURCE})
    assert status == 200, plan
    armed = three.path(victim, POINTS) / point
    armed.parent.mkdir(exist_ok=True)
    armed.write_text("kill")
    answer: dict[str, Any] = {}
    with contextlib.suppress(OSError):  # it may die before it answers; the plan knows
        _, answer = api.ask("POST", f"/v1/plans/{plan['id']}/apply")
    wait_until(lambda: not armed.exists(), f"{victim} dies at {point}")

    def begun() -> str:
        try:
            return api.get(f"/v1/plans/{plan['id']}").get("operation") or ""
        except (OSError, AssertionError):
            return ""

    op = answer.get("operation") or wait_until(begun, "the operation is known")
    document = ops.ended(three, op, at="h3")
    assert document["state"] == "done", [(s["vm"], s["state"], s["why"]) for s in document["steps"]]
    assert ops.on_host(three, SOURCE) == set()
    for vm in VMS:
        done = [job for job in ops.moves_of(three, vm)
                if job.get("operation") == op and job["state"] == "done"]
        assert len(done) == 1, done


@contextlib.contextmanager
def impatient(lab: Lab) -> Iterator[None]:
    """Who leads gives up at once what it waits for."""
    armed = lab.path(LEADER, POINTS) / "step-patience"
    armed.parent.mkdir(exist_ok=True)
    armed.write_text("soon")
    try:
        yield
    finally:
        armed.unlink()


def step_of(document: dict[str, Any], state: str) -> dict[str, Any]:
    found = [s for s in document["steps"] if s["state"] == state]
    assert found, document
    return found[0]


def begin_slowly(lab: Lab) -> tuple[str, dict[str, Any]]:
    """The operation, and the step of which a job runs; the other one waits."""
    lab.rate("40mbit")
    op = ops.begin(lab, {"goal": "evacuate", "node": SOURCE, "limits": {"per_node": 1}})
    document = ops.until(lab, op, lambda o: any(s["state"] == "running" and s["job"] for s in o["steps"]) and
                         lab.job(o["children"][0])["state"] == "copying-memory", "a job copies memory")
    return op, step_of(document, "running")


def test_a_source_that_stays_silent_is_given_up(three: Lab) -> None:
    """Both steps fail and say so; the move goes on all the same, and its node tells when it is back."""
    bring_back(three)
    op, running = begin_slowly(three)
    with impatient(three):
        three.service(SOURCE, "droverd", "stop")
        try:
            document = ops.ended(three, op)
        finally:
            three.rate("none")
            three.service(SOURCE, "droverd", "start")
    assert document["state"] == "failed", document
    why = {s["vm"]: s["why"] for s in document["steps"] if s["state"] == "failed"}
    assert f"drover job {running['job']}" in why.pop(running["vm"]), document
    assert [f"{SOURCE} does not answer" in w and "plan again" in w for w in why.values()] == [True], document
    wait_until(lambda: three.job(running["job"])["ended"], "its job ends")
    assert three.job(running["job"])["state"] == "done"
    assert ops.whereabouts(three, VMS)[running["vm"]] == [running["target"]]
    assert len(ops.on_host(three, SOURCE)) == 1


def test_a_move_that_stays_in_need_of_attention_is_given_up(three: Lab) -> None:
    """Its target is away when it would be over; it settles by itself when that is back, without the step."""
    bring_back(three)
    assert three.drover(LEADER, "node", "drain", LEADER, "--yes").code == 0  # who leads is no target
    try:
        op, running = begin_slowly(three)
        with impatient(three):
            three.service(running["target"], "droverd", "stop")
            three.rate("none")
            try:
                document = ops.ended(three, op)
            finally:
                three.service(running["target"], "droverd", "start")
        step = next(s for s in document["steps"] if s["vm"] == running["vm"])
        assert step["state"] == "failed" and f"drover job {running['job']}" in step["why"], document
        wait_until(lambda: three.job(running["job"])["ended"] and
                   three.job(running["job"])["state"] != "needs-attention", "it settles")
        assert len(ops.whereabouts(three, [running["vm"]])[running["vm"]]) == 1
    finally:
        assert ops.resume(three, LEADER).code == 0
