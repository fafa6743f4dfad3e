# SPDX-License-Identifier: Apache-2.0
"""A node is drained and its VMs come back; and the bad days of an operation."""
import contextlib
from typing import Iterator

import pytest

import operations as ops
from lab import Lab, wait_until

VMS = ("v1", "v2", "v3", "v4")


@pytest.fixture(scope="module")
def three() -> Iterator[Lab]:
    with ops.three_hosts("ev") as lab:
        yield lab


@pytest.fixture
def full(three: Lab) -> Iterator[Lab]:
    """h2 is full of guests: it is not the one that leads, h1 is."""
    ops.fill(three, "h2", VMS)
    yield three
    ops.tidy(three, ops.missing(three, "h2", VMS))


def slow(lab: Lab) -> None:
    """A move takes seconds."""
    lab.rate("60mbit")


def test_a_node_is_drained_and_its_vms_come_back(full: Lab) -> None:
    with contextlib.ExitStack() as stack:
        watched = {vm: stack.enter_context(full.watching(vm)) for vm in VMS[:2]}
        done = full.drover("h3", "node", "drain", "h2", "--yes", "--json")
        assert done.code == 0, done
        operation = done.json()
        assert operation["state"] == "done" and operation["kind"] == "evacuate", operation
        assert set(ops.states(operation).values()) == {"done"}
        assert ops.on_host(full, "h2") == set()
        assert ops.maintenance(full, "h2") == "drained"
        # A host bears one move for every two of its processors, and two at most.
        cpus = next(n["cpus"] for n in full.api("h2").get("/v1/nodes")["nodes"] if n["name"] == "h2")
        jobs = [job for vm in VMS for job in ops.moves_of(full, vm) if job.get("operation") == operation["id"]]
        assert len(jobs) == len(VMS)
        assert ops.most_at_once(jobs) <= max(1, min(2, cpus // 2)), jobs
        # It takes nothing, wherever that is asked.
        vm = VMS[0]
        refused = full.drover("h1", "migrate", vm, "h2")
        assert refused.code == 4 and "node resume h2" in refused.err, refused
        back = full.drover("h1", "node", "resume", "h2", "--bring-back", "--json")
        assert back.code == 0, back
        assert back.json()["kind"] == "return", back
    assert ops.on_host(full, "h2") == set(VMS)
    assert ops.maintenance(full, "h2") == "none"
    assert full.api("h1").get("/v1/nodes/h2/maintenance")["came_from"] == []
    for watch in watched.values():
        watch.assert_unharmed()
    jobs = full.drover("h1", "jobs")
    assert operation["id"] in jobs.out, jobs


def test_the_leader_dies_in_the_middle(full: Lab) -> None:
    """kill -9 of the droverd that leads, again and again: no step twice, none lost."""
    slow(full)
    op = ops.begin(full, {"goal": "evacuate", "node": "h2", "drain": True}, at="h3")
    for state in ("running", "done"):
        ops.until(full, op, lambda o, s=state: s in ops.states(o).values(), f"a step is {state}")
        full.kill("h1", "droverd")
    document = ops.ended(full, op, at="h3")
    assert document["state"] == "done", document
    assert ops.on_host(full, "h2") == set()
    for vm in VMS:
        assert len(ops.moves_of(full, vm)) >= 1
        of_this = [job for job in ops.moves_of(full, vm) if job.get("operation") == op]
        assert len(of_this) == 1, of_this
    assert ops.maintenance(full, "h2") == "drained"


def test_the_source_dies_in_the_middle(full: Lab) -> None:
    """Its droverd alone: the moves go on, and the steps are followed when it is back."""
    slow(full)
    op = ops.begin(full, {"goal": "evacuate", "node": "h2"})
    ops.until(full, op, lambda o: "running" in ops.states(o).values() and bool(o["children"]), "a job runs")
    full.kill("h2", "droverd")
    document = ops.ended(full, op)
    assert document["state"] == "done", document
    assert ops.on_host(full, "h2") == set()


def test_droverds_that_die_again_and_again(full: Lab) -> None:
    """Each one, the source's most of all, as soon as it answers: what is restarted is waited for."""
    victims = ("h2", "h3", "h2", "h1")
    op = ops.begin(full, {"goal": "evacuate", "node": "h2"}, at="h3")
    for turn in range(40):
        victim = victims[turn % len(victims)]

        def answers(on: str = victim) -> bool:
            with contextlib.suppress(OSError):
                return full.api(on).ask("GET", "/v1/version")[0] == 200
            return False

        wait_until(answers, f"droverd answers on {victim}")
        full.kill(victim, "droverd")
    document = ops.ended(full, op, at="h3")
    assert document["state"] == "done", [(s["vm"], s["state"], s["why"]) for s in document["steps"]]
    assert set(ops.states(document).values()) == {"done"}, document
    assert ops.on_host(full, "h2") == set()
    for vm in VMS:
        done = [job for job in ops.moves_of(full, vm)
                if job.get("operation") == op and job["state"] == "done"]
        assert len(done) == 1, done


def test_a_target_that_is_lost_is_replaced(full: Lab) -> None:
    slow(full)
    # When it is planned h3 is the only one that takes VMs.
    assert full.drover("h1", "node", "drain", "h1", "--yes").code == 0
    try:
        op = ops.begin(full, {"goal": "evacuate", "node": "h2", "limits": {"per_node": 1}})
        assert full.drover("h1", "pause", op).code == 0
    finally:
        assert full.drover("h1", "node", "resume", "h1").code == 0
    document = ops.until(full, op, lambda o: o["state"] == "paused" and "running" not in ops.states(o).values(),
                         "nothing runs")
    lost = [s["vm"] for s in document["steps"] if (s["state"], s["target"]) == ("waiting", "h3")]
    assert lost, [(s["vm"], s["state"], s["target"]) for s in document["steps"]]
    full.service("h3", "droverd", "stop")
    try:
        assert full.drover("h1", "resume", op).code == 0
        document = ops.ended(full, op)
    finally:
        full.service("h3", "droverd", "start")
    assert document["state"] == "done", document
    assert {s["target"] for s in document["steps"] if s["vm"] in lost} == {"h1"}, document
    assert ops.on_host(full, "h2") == set()


def test_pause_resume_cancel(full: Lab) -> None:
    slow(full)
    op = ops.begin(full, {"goal": "evacuate", "node": "h2", "limits": {"per_node": 1}})
    ops.until(full, op, lambda o: "running" in ops.states(o).values(), "it runs")
    assert full.drover("h3", "pause", op).code == 0
    paused = ops.until(full, op, lambda o: o["state"] == "paused" and
                       "running" not in ops.states(o).values(), "what ran is through")
    waiting = [s["vm"] for s in paused["steps"] if s["state"] == "waiting"]
    assert len(waiting) == len(VMS) - 1, paused
    assert full.drover("h3", "resume", op).code == 0
    ops.until(full, op, lambda o: "running" in ops.states(o).values(), "it runs again")
    assert full.drover("h3", "job", "cancel", op).code == 0
    document = ops.ended(full, op)
    assert document["state"] == "cancelled", document
    left = [s["vm"] for s in document["steps"] if s["state"] == "skipped"]
    assert left and set(left) <= ops.on_host(full, "h2"), document
    again = full.drover("h1", "job", "cancel", op)
    assert again.code == 4 and "over already" in again.err, again


def test_what_changes_behind_its_back(full: Lab) -> None:
    """One VM vanishes, one is moved by virsh, one appears; the node is empty all the same."""
    slow(full)
    op = ops.begin(full, {"goal": "evacuate", "node": "h2", "limits": {"per_node": 1}})
    document = ops.until(full, op, lambda o: "running" in ops.states(o).values(), "it runs")
    waiting = [s for s in document["steps"] if s["state"] == "waiting"]
    gone = waiting[-1]["vm"]
    full.virsh("h2", "destroy", gone)
    full.virsh("h2", "undefine", gone)
    ops.make_guests(full, {"h2": ["late"]})
    try:
        document = ops.ended(full, op)
        assert document["state"] == "done", document
        states = ops.states(document)
        assert states[gone] == "skipped" and states["late"] == "done", document
        assert ops.on_host(full, "h2") == set()
    finally:
        full.remove_guest("late")


def test_a_stale_plan_is_planned_again(full: Lab) -> None:
    api = full.api("h1")
    status, plan = api.ask("POST", "/v1/plans", {"goal": "evacuate", "node": "h2"})
    assert status == 200 and len(plan["steps"]) == len(VMS), plan
    moved = full.drover("h2", "migrate", VMS[0], "h3", "--json")
    assert moved.code == 0, moved
    status, answer = api.ask("POST", f"/v1/plans/{plan['id']}/apply")
    assert status == 409 and VMS[0] in answer["error"]["message"], answer
    old = api.get(f"/v1/plans/{plan['id']}")
    assert old["state"] == "stale" and old["replaced_by"], old
    new = api.get(f"/v1/plans/{old['replaced_by']}")
    assert len(new["steps"]) == len(VMS) - 1, new
    # The command does what is said, on what there is now.
    done = full.drover("h1", "apply", plan["id"], "--yes", "--json")
    assert done.code == 0 and done.json()["plan"] == new["id"], done
    assert ops.on_host(full, "h2") == set()


def test_no_target_fits(full: Lab) -> None:
    """All others are being kept free: it is listed at once, with the way out, and nothing moves."""
    for other in ("h1", "h3"):
        assert full.drover("h1", "node", "drain", other, "--yes").code == 0
    done = full.drover("h1", "node", "drain", "h2", "--yes", "--json")
    assert done.code == 4, done
    document = done.json()
    assert document["state"] == "failed" and len(document["refused"]) == len(VMS), document
    assert all("node resume" in r["message"] + r.get("remedy", "") for r in document["refused"]), document
    assert ops.on_host(full, "h2") == set(VMS)
    assert ops.maintenance(full, "h2") == "draining"


def test_the_budget_is_shared(full: Lab) -> None:
    budget = 20_000_000
    op = ops.begin(full, {"goal": "evacuate", "node": "h2",
                          "limits": {"per_node": 4, "per_link": 4, "bandwidth_bps": budget}})
    seen = 0

    def look() -> bool:
        nonlocal seen
        document = ops.operation(full, op)
        for link in {(s["source"], s["target"]) for s in document["steps"]}:
            shares = [s.get("share_bps", 0) for s in document["steps"] if s["state"] == "running"
                      and (s["source"], s["target"]) == link]
            assert sum(shares) <= budget and all(shares), document
            seen = max(seen, len(shares))
        return bool(document["ended"])

    wait_until(look, "its end", 120)
    assert seen >= 2
    jobs = [job for vm in VMS for job in ops.moves_of(full, vm) if job.get("operation") == op]
    assert all(0 < job["step"]["bandwidth_bps"] <= budget for job in jobs), jobs


def test_one_node_after_the_other_until_the_first_trouble(full: Lab) -> None:
    done = full.drover("h1", "roll", "--yes", "--exec",
                       "echo $DROVER_NODE $DROVER_ADDRESS >>/run/rolled; test $DROVER_NODE != h3", "h2", "h3",
                       "h1")
    assert done.code == 1, done
    assert "node resume h3" in done.err and "exit code 1" in done.err, done
    rolled = full.path("h1", "/run/rolled").read_text().split()
    assert rolled == ["h2", full.address("h2"), "h3", full.address("h3")], rolled
    assert ops.on_host(full, "h2") == set(VMS)
    assert (ops.maintenance(full, "h2"), ops.maintenance(full, "h3")) == ("none", "drained")


def test_two_operations_do_not_take_the_same_room_or_vm(full: Lab) -> None:
    """The second of two plans for the same VMs does not fit any more when the first runs."""
    slow(full)
    api = full.api("h3")
    plans = [api.ask("POST", "/v1/plans", {"goal": "evacuate", "node": "h2"})[1] for _ in range(2)]
    status, first = api.ask("POST", f"/v1/plans/{plans[0]['id']}/apply")
    assert status == 200, first
    status, answer = api.ask("POST", f"/v1/plans/{plans[1]['id']}/apply")
    assert status == 409 and first["operation"] in answer["error"]["message"], answer
    status, answer = api.ask("POST", f"/v1/plans/{plans[0]['id']}/apply")
    assert status == 409 and "applied already" in answer["error"]["message"], answer
    assert ops.ended(full, first["operation"])["state"] == "done"
    for vm in VMS:
        assert len([j for j in ops.moves_of(full, vm) if j.get("operation") == first["operation"]]) == 1
