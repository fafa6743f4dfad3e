# SPDX-License-Identifier: Apache-2.0
"""An operation with the store in etcd: the node that leads is stopped, and another one goes on."""
from typing import Iterator

import pytest

import operations as ops
from lab import Lab, wait_until

VMS = ("v1", "v2", "v3")


@pytest.fixture(scope="module")
def three() -> Iterator[Lab]:
    lab = Lab(ops.name_of("ee"), 3)
    try:
        lab.up("--etcd")
        yield lab
    finally:
        lab.down()


def leader(lab: Lab, at: str) -> str:
    done = lab.drover(at, "store", "status", "--json")
    return (done.json().get("leader") or "") if done.code == 0 else ""


def test_another_node_goes_on(three: Lab) -> None:
    first = wait_until(lambda: leader(three, "h1"), "a node leads")
    source, other = [on for on in three.hosts if on != first]
    ops.make_guests(three, {source: VMS})
    three.rate("40mbit")
    op = ops.begin(three, {"goal": "evacuate", "node": source, "drain": True,
                           "limits": {"per_node": 1}}, at=source)
    ops.until(three, op, lambda o: "running" in ops.states(o).values() and bool(o["children"]),
              "a move runs", at=other)
    three.service(first, "droverd", "stop")
    try:
        wait_until(lambda: leader(three, other) not in ("", first), "another one leads", 60)
        ops.until(three, op, lambda o: "done" in ops.states(o).values(), "a step is done", at=other)
    finally:
        three.service(first, "droverd", "start")
    document = ops.ended(three, op, at=other)
    assert document["state"] == "done", document
    assert ops.on_host(three, source) == set()
    assert ops.maintenance(three, source, at=other) == "drained"
    for vm in VMS:
        of_this = [job for job in three.api(other).get("/v1/jobs")["jobs"]
                   if job.get("vm") == vm and job.get("operation") == op]
        assert len(of_this) == 1, of_this
