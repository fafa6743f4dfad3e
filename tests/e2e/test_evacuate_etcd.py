# SPDX-License-Identifier: Apache-2.0
"""
An operation with the store in etcd: the node that leads is stopped, and another one goes on; etcd is away,
or full. The tests go on from each other in their order.
"""
from typing import Iterator

import pytest

import operations as ops
import room_in_etcd
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


def two_guests(lab: Lab) -> tuple[str, str, str]:
    """Who leads; another node, where v1 and v2 run; the third."""
    lab.rate("none")
    first = wait_until(lambda: leader(lab, "h1"), "a node leads")
    others = [on for on in lab.hosts if on != first]
    source, other = sorted(others, key=lambda on: len(ops.missing(lab, on, VMS[:2])))
    lab.remove_guest(VMS[2])
    ops.fill(lab, source, VMS[:2])
    return first, source, other


def moved_once(lab: Lab, op: str, at: str) -> None:
    for vm in VMS[:2]:
        of_this = [j for j in lab.api(at).get("/v1/jobs")["jobs"]
                   if j.get("vm") == vm and j.get("operation") == op]
        assert len(of_this) == 1, of_this


def test_paused_at_one_leader_and_resumed_at_the_next(three: Lab) -> None:
    first, source, other = two_guests(three)
    three.rate("60mbit")
    op = ops.begin(three, {"goal": "evacuate", "node": source, "limits": {"per_node": 1}}, at=other)
    ops.until(three, op, lambda o: "running" in ops.states(o).values(), "it runs", at=other)
    assert three.drover(other, "job", "pause", op).code == 0
    ops.until(three, op, lambda o: o["state"] == "paused" and
              sorted(ops.states(o).values()) == ["done", "waiting"], "what ran is through", at=other)
    three.service(first, "droverd", "stop")
    try:
        wait_until(lambda: leader(three, other) not in ("", first), "another one leads", 60)
        assert ops.operation(three, op, at=other)["state"] == "paused"
        assert len(ops.on_host(three, source)) == 1, "it stays paused"
    finally:
        three.service(first, "droverd", "start")
    assert three.drover(source, "job", "resume", op).code == 0
    document = ops.ended(three, op, at=other)
    assert document["state"] == "done", document
    assert ops.on_host(three, source) == set()
    moved_once(three, op, other)


def test_a_stale_plan_is_planned_again(three: Lab) -> None:
    """Planned at one node, applied at another one, what changed in between was done at the third."""
    first, source, other = two_guests(three)
    status, plan = three.api(source).ask("POST", "/v1/plans", {"goal": "evacuate", "node": source})
    assert status == 200 and len(plan["steps"]) == 2, plan
    three.move("v1", source, first)
    status, answer = three.api(other).ask("POST", f"/v1/plans/{plan['id']}/apply")
    assert status == 409 and "v1" in answer["error"]["message"], answer
    old = three.api(first).get(f"/v1/plans/{plan['id']}")
    assert old["state"] == "stale" and old["replaced_by"], old
    new = three.api(first).get(f"/v1/plans/{old['replaced_by']}")
    assert [s["vm"] for s in new["steps"]] == ["v2"], new
    done = three.drover(other, "apply", plan["id"], "--yes", "--json")
    assert done.code == 0 and done.json()["plan"] == new["id"], done
    assert ops.on_host(three, source) == set()


def test_etcd_is_full_in_the_middle(three: Lab) -> None:
    """The move that runs ends; nothing else begins until there is room, and then all is recorded."""
    _, source, other = two_guests(three)
    op = None
    try:
        room_in_etcd.fill(three.name, 20)  # the rest goes while a VM moves
        three.rate("30mbit")
        op = ops.begin(three, {"goal": "evacuate", "node": source, "limits": {"per_node": 1}}, at=source)
        document = ops.until(three, op, lambda o: bool(o["children"]), "a move runs", at=source)
        job, vm = document["children"][0], next(s["vm"] for s in document["steps"] if s["job"])
        assert room_in_etcd.fill(three.name), "etcd took all of it"
        assert not three.job(job)["ended"], "the test was too slow"
        three.rate("none")
        wait_until(lambda: three.job(job)["ended"], "its job ends", 60)
        assert three.job(job)["state"] == "done"
        assert ops.whereabouts(three, [vm])[vm] != [source]
        wait_until(lambda: three.stored(source, "outbox"), "it waits to be recorded")
        key = room_in_etcd.b64(f"/drover/doc/operations/{op}".encode())
        kept = room_in_etcd.ask(three.name, "kv/range", {"key": key})["kvs"][0]["mod_revision"]
        refused = three.drover(other, "plan", "evacuate", source)
        assert refused.code != 0 and "alarm disarm" in refused.err, refused
        again = room_in_etcd.ask(three.name, "kv/range", {"key": key})["kvs"][0]["mod_revision"]
        assert again == kept, "nothing of it can be recorded"
        assert len(ops.on_host(three, source)) == 1
    finally:
        room_in_etcd.make(three.name)
        three.rate("none")
    document = ops.ended(three, op, at=other)
    assert document["state"] == "done", document
    assert ops.on_host(three, source) == set()
    moved_once(three, op, other)
    wait_until(lambda: not three.stored(source, "outbox"), "all is recorded")


def test_all_nodes_in_turn_with_the_one_that_leads(three: Lab) -> None:
    """
    The command kills the droverd that leads, on whose host `drover roll` runs: it waits until a node
    leads again, and brings the VM back.
    """
    first, source, other = two_guests(three)
    three.remove_guest("v2")
    three.move("v1", source, first)
    killing = f"test $DROVER_NODE != {first} || kill -9 $(cat /run/drover/droverd.pid)"
    done = three.drover(first, "roll", "--yes", "--exec", killing, source, other, first)
    assert done.code == 0, done
    assert ops.on_host(three, first) == {"v1"}
    assert {ops.maintenance(three, on, at=source) for on in three.hosts} == {"none"}
