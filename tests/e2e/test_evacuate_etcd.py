# SPDX-License-Identifier: Apache-2.0
"""An operation with the store in etcd: the node that leads is stopped, and another one goes on."""
from typing import Iterator

import pytest

import operations as ops
from drover_lab import etcd
from lab import Lab, wait_until

VMS = ("v1", "v2", "v3")


@pytest.fixture(scope="module")
def three() -> Iterator[Lab]:
    with ops.three_hosts("ee", "--etcd") as lab:
        yield lab


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
    ops.until(three, op, lambda o: any(s["state"] == "running" and s["job"] for s in o["steps"]),
              "a move runs", at=other)
    three.service(first, "droverd", "stop")
    try:
        wait_until(lambda: leader(three, other) not in ("", first), "another one leads", 60)
        # One may be on its way to where droverd is away: it needs attention until that is back.
        ops.until(three, op, lambda o: any(s["state"] == "done" or "has touched neither" in (s["why"] or "")
                                           for s in o["steps"]), "a step goes on", at=other)
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


def test_the_store_is_away_for_a_while(three: Lab) -> None:
    """What moves completes without it; nothing else begins until it is back, and nothing twice."""
    first = wait_until(lambda: leader(three, "h1"), "a node leads")
    source, other = [on for on in three.hosts if on != first]
    for vm in VMS:
        three.remove_guest(vm)
    ops.resume(three, source)
    ops.resume(three, other)
    ops.make_guests(three, {source: VMS})
    three.rate("40mbit")
    op = ops.begin(three, {"goal": "evacuate", "node": source, "limits": {"per_node": 1}}, at=source)
    document = ops.until(three, op, lambda o: bool(o["children"]), "a move runs", at=source)
    job, vm = document["children"][0], next(s["vm"] for s in document["steps"] if s["job"])
    for member in etcd.MEMBERS:
        etcd.stop_member(three.name, member)
    try:
        wait_until(lambda: ops.whereabouts(three, [vm])[vm] not in ([source], []),
                   f"{vm} arrives without the store", 60)
        wait_until(lambda: three.job(job)["ended"], "its job ends", 60)
        assert three.job(job)["state"] == "done"
    finally:
        for member in etcd.MEMBERS:
            etcd.start_member(three.name, member)
    document = ops.ended(three, op, at=source)
    assert document["state"] == "done", document
    assert ops.on_host(three, source) == set()
    for vm in VMS:
        jobs = [j for j in three.api(source).get("/v1/jobs")["jobs"]
                if j.get("vm") == vm and j.get("operation") == op]
        assert len(jobs) == 1, jobs
