# SPDX-License-Identifier: Apache-2.0
"""Rules about where VMs are: kept with them or as a policy, known to every node, kept by plans and moves."""
from typing import Any, Iterator

import pytest

import operations as ops
from lab import Lab, wait_until

USAGE, REFUSED = 2, 4
VMS = ("r1", "r2", "r3", "r4")


@pytest.fixture(scope="module")
def three() -> Iterator[Lab]:
    with ops.three_hosts("ru") as lab:
        yield lab


@pytest.fixture
def full(three: Lab) -> Iterator[Lab]:
    """h2 is full of guests that have no rules yet."""
    ops.fill(three, "h2", VMS)
    yield three
    for vm in VMS:
        three.drover("h1", "vm", "goals", vm, "--clear")
    for policy in three.drover("h1", "policy", "list", "--json").json()["policies"]:
        three.drover("h1", "policy", "delete", policy["name"], "--force")
    for on in three.hosts:
        three.drover("h1", "node", "label", on, "--clear")
    ops.tidy(three, ops.missing(three, "h2", VMS))


def goals(lab: Lab, vm: str, *options: str) -> dict[str, Any]:
    ended = lab.drover("h1", "vm", "goals", vm, *options, "--json")
    assert ended.code == 0, ended
    answer: dict[str, Any] = ended.json()
    return answer


def plan(lab: Lab, on: str = "h3") -> dict[str, Any]:
    status, answer = lab.api(on).ask("POST", "/v1/plans", {"goal": "evacuate", "node": "h2"})
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


def targets(found: dict[str, Any]) -> dict[str, str]:
    return {step["vm"]: step["target"] for step in found["steps"]}


def refusals(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["vm"]: one for one in found["refused"]}


def test_what_nodes_and_vms_say(full: Lab) -> None:
    """The facts that plans are made of, from real hosts: what a VM needs its own host has."""
    api = full.api("h1")
    wait_until(lambda: all("cpu_used" in node for node in api.get("/v1/nodes")["nodes"]), "loads are known")
    nodes = {node["name"]: node for node in api.get("/v1/nodes")["nodes"]}
    wait_until(lambda: all("cpu_used" in vm for vm in api.get("/v1/vms")["vms"]), "VMs' loads are known")
    for vm in api.get("/v1/vms")["vms"]:
        own = nodes[vm["node"]]
        assert 0 <= vm["cpu_used"] <= own["cpus"] + 0.5, vm
        assert vm["networks"] and set(vm["networks"]) <= set(own["networks"]), (vm, own)
        assert [disk["target"] for disk in vm["disks"]] == ["vda"], vm
        assert set(vm.get("cpu_features", [])) <= set(own.get("cpu_features", [])), vm


def test_rules_travel_and_win_over_policies(full: Lab) -> None:
    ended = full.drover("h3", "policy", "set", "replicas", "--apart", "web", "--priority", "3")
    assert ended.code == 0, ended
    answer = goals(full, "r1", "--policy", "replicas", "--priority", "7", "--depends-on", "r2")
    assert answer["own"] == {"policy": "replicas", "priority": 7, "depends_on": ["r2"]}
    assert (answer["priority"], answer["apart"], answer["depends_on"]) == (7, ["web"], ["r2"])
    assert answer["goals_from"]["priority"] == "vm" and answer["goals_from"]["apart"] == "policy:replicas"
    assert 'depends_on="r2"' in full.virsh("h2", "metadata", "r1", "urn:drover:goals:1").replace("'", '"')
    assert goals(full, "r1", "--apart", "none")["apart"] == []


@pytest.mark.parametrize("options, both", [
    (("--apart", "web", "--together", "cache"), ("apart web", "together cache")),
    (("--node-label", "rack=1,rack=2"), ("rack=1", "rack=2")),
])
def test_a_policy_that_contradicts_itself(full: Lab, options: tuple[str, ...], both: tuple[str, ...]) -> None:
    ended = full.drover("h1", "policy", "set", "torn", *options)
    assert ended.code == USAGE, ended
    for rule in both:
        assert rule in ended.err, ended
    assert full.drover("h1", "policy", "list", "--json").json()["policies"] == []
    ended = full.drover("h1", "vm", "goals", "r1", "--apart", "x", "--together", "x")
    assert ended.code == USAGE and "apart x" in ended.err and "together x" in ended.err, ended
    ended = full.drover("h1", "vm", "goals", "r1", "--depends-on", "r1")
    assert ended.code == USAGE and "after itself" in ended.err, ended


def test_vms_that_contradict_each_other_stay_and_say_so(full: Lab) -> None:
    for vm in ("r1", "r2"):
        goals(full, vm, "--apart", "a", "--together", "t")
    found = plan(full)
    assert set(targets(found)) == {"r3", "r4"}
    for vm in ("r1", "r2"):
        one = refusals(found)[vm]
        assert one["code"] == "invalid" and "apart a" in one["message"] and "together t" in one["message"], one


def test_an_evacuation_keeps_the_rules(full: Lab) -> None:
    """Apart by a policy, a label, an order; planned so, and done so."""
    full.drover("h1", "policy", "set", "replicas", "--apart", "web")
    goals(full, "r1", "--policy", "replicas")
    goals(full, "r2", "--policy", "replicas")
    goals(full, "r3", "--node-label", "ssd=yes")
    goals(full, "r4", "--depends-on", "r3", "--priority", "9", "--together", "pair")
    goals(full, "r3", "--together", "pair")
    ended = full.drover("h2", "node", "label", "h3", "ssd=yes", "rack=7", "--site", "east")
    assert ended.code == 0 and "ssd" in ended.out, ended
    for on in full.hosts:  # whoever is asked knows the same
        found = plan(full, on)
        going = targets(found)
        assert set(going) == set(VMS) and found["refused"] == [], found
        assert {going["r1"], going["r2"]} == {"h1", "h3"}
        assert (going["r3"], going["r4"]) == ("h3", "h3")
    step = {one["vm"]: one for one in found["steps"]}
    assert step["r4"]["after"] == [step["r3"]["index"]] and step["r3"]["index"] == 0
    assert all(one["predicted"]["time_ms"]["p90"] >= one["predicted"]["time_ms"]["p50"] for one in found["steps"])

    done = full.drover("h1", "evacuate", "h2", "--yes", "--json")
    assert done.code == 0 and done.json()["state"] == "done", done
    where = {vm: on for vm, on in ((vm, ops.whereabouts(full, [vm])[vm]) for vm in VMS)}
    assert sorted(where["r1"] + where["r2"]) == ["h1", "h3"], where
    assert where["r3"] == where["r4"] == ["h3"], where
    jobs = {vm: ops.moves_of(full, vm)[-1] for vm in ("r3", "r4")}
    assert jobs["r4"]["created_ms"] >= jobs["r3"]["ended_ms"], jobs


def test_who_cannot_go_is_said_at_once_and_others_go(full: Lab) -> None:
    goals(full, "r1", "--node-label", "gpu=yes")
    found = plan(full)
    one = refusals(found)["r1"]
    assert "label gpu=yes" in one["message"] and "--node-label" in one["remedy"], one
    assert set(targets(found)) == {"r2", "r3", "r4"}
    # The same holds where a node is chosen for one VM.
    ended = full.drover("h1", "migrate", "r1")
    assert ended.code == REFUSED and "label gpu=yes" in ended.err, ended
