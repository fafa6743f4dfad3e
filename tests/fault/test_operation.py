# SPDX-License-Identifier: Apache-2.0
"""
An operation whose leader, or whose source, dies exactly behind each thing that it records or asks
for: every VM moves, and none twice. Needs a build with fault points.
"""
from typing import Iterator

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
    status, answer = api.ask("POST", f"/v1/plans/{plan['id']}/apply")
    # It may have died before it answered; the plan knows.
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
