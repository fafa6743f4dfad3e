# SPDX-License-Identifier: Apache-2.0
"""
Goals that are kept: with the VM, where they travel along, and as a policy, which every node knows. What is
given with a move wins over both.
"""
from typing import Any, Iterator

import pytest

from conftest import VM, Guest
from lab import IN_ETCD, Lab, wait_until

USAGE, NOT_FOUND, REFUSED, UNREACHABLE = 2, 3, 4, 5
SPACE = "urn:drover:goals:1"
GOALS = ("max_pause_ms", "max_time_ms", "bandwidth_bps", "post_copy")


def metadata(lab: Lab, on: str, *options: str) -> str:
    return lab.virsh(on, "metadata", VM, SPACE, *options, check=False).replace("'", '"')


def step_of(lab: Lab, on: str, **options: Any) -> dict[str, Any]:
    """The step that a move would be, and its row of the checks."""
    status, plan = lab.api(on).ask("POST", "/v1/plans", {"goal": "migrate", "vm": VM, "check": True, **options})
    assert status == 200, plan
    step: dict[str, Any] = plan["steps"][0]
    step["row"] = next(c for c in plan["checks"] if c["name"] == "goals")
    return step


def goals_of(step: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(step[name] for name in GOALS)


def from_of(step: dict[str, Any]) -> tuple[str, ...]:
    return tuple(step["goals_from"][name] for name in GOALS)


@pytest.fixture
def kept(lab: Lab, web: Guest) -> Iterator[Guest]:
    """A guest whose goals, and whose policies, are gone afterwards."""
    yield web
    lab.drover(web.host, "vm", "goals", VM, "--clear")
    for policy in lab.drover("h1", "policy", "list", "--json").json()["policies"]:
        lab.drover("h1", "policy", "delete", policy["name"], "--force")


def test_a_vm_takes_its_goals_along(lab: Lab, kept: Guest) -> None:
    source, target = kept.host, kept.other
    # Asked at the other node: it is done where the VM is.
    ended = lab.drover(target, "vm", "goals", VM, "--max-pause", "450ms", "--max-time", "5m", "--json")
    assert ended.code == 0 and ended.json()["own"] == {"max_pause_ms": 450, "max_time_ms": 300000}, ended
    ended = lab.drover(source, "vm", "goals", VM, "--bandwidth", "800mbit", "--json")
    own = {"max_pause_ms": 450, "max_time_ms": 300000, "bandwidth_bps": 100000000}
    assert ended.code == 0 and ended.json()["own"] == own, "the others stay"
    # What another version or a person has written beside them stays, too.
    lab.virsh(source, "metadata", VM, SPACE, "--live", "--config", "--key", "drover", "--set",
              '<goals max_pause_ms="450" bandwidth_bps="100000000" later="1"/>')
    ended = lab.drover(source, "vm", "goals", VM, "--max-time", "5m")
    assert ended.code == 0 and ended.err == "", ended
    assert any(line.split() == ["max-pause", "450", "ms", "450", "ms", "vm"]
               for line in ended.out.splitlines()), ended.out

    report = lab.drover(source, "migrate", VM, target, "--json").json()
    assert report["outcome"] == "done", report
    kept.assert_clean(target)
    for where in ("--live", "--config"):
        text = metadata(lab, target, where)
        for attribute in ('max_pause_ms="450"', 'max_time_ms="300000"', 'bandwidth_bps="100000000"', 'later="1"'):
            assert attribute in text, (where, text)
    ended = lab.drover(source, "vm", "goals", VM, "--json")
    assert ended.json()["own"] == own and ended.json()["node"] == target, ended
    step = step_of(lab, source)
    assert goals_of(step) == (450, 300000, 100000000, "never")
    assert from_of(step) == ("vm", "vm", "vm", "built-in")

    ended = lab.drover(source, "vm", "goals", VM, "--clear", "--json")
    assert ended.code == 0 and ended.json()["own"] == {}, ended
    for where in ("--live", "--config"):
        assert "goals" not in metadata(lab, target, where)
    assert goals_of(step_of(lab, target)) == (300, 0, 0, "never")


def test_policies_and_who_wins(lab: Lab, kept: Guest) -> None:
    """Made at one node, used at the other."""
    assert lab.drover("h2", "policy", "set", "gold", "--max-pause", "150ms", "--bandwidth", "800mbit").code == 0
    assert lab.drover("h1", "policy", "set", "default", "--max-pause", "250ms", "--max-time", "10m").code == 0
    assert lab.drover("h2", "policy", "show", "gold", "--json").json() == \
        {"name": "gold", "max_pause_ms": 150, "bandwidth_bps": 100000000}
    for on in lab.hosts:
        assert [p["name"] for p in lab.api(on).get("/v1/policies")["policies"]] == ["default", "gold"]

    step = step_of(lab, "h2")
    assert goals_of(step) == (250, 600000, 0, "never")
    assert from_of(step) == ("policy:default", "policy:default", "built-in", "built-in")
    assert lab.drover("h2", "vm", "goals", VM, "--policy", "gold", "--bandwidth", "400mbit").code == 0
    for on in lab.hosts:
        step = step_of(lab, on)
        assert goals_of(step) == (150, 600000, 50000000, "never")
        assert from_of(step) == ("policy:gold", "policy:default", "vm", "built-in")
        assert step["row"]["status"] == "ok" and "150 ms (policy:gold)" in step["row"]["message"], step
    step = step_of(lab, "h2", max_pause_ms=777, bandwidth_bps=0, method="pre-copy")
    assert goals_of(step) == (777, 600000, 0, "never")
    assert from_of(step) == ("option", "policy:default", "option", "option")
    ended = lab.drover("h1", "policy", "delete", "gold")
    assert ended.code == REFUSED and VM in ended.err and "--force" in ended.err, ended

    # A real move, begun at the node that the VM goes to, has them.
    source, target = kept.host, kept.other
    report = lab.drover(target, "migrate", VM, target, "--max-time", "none", "--json").json()
    assert report["outcome"] == "done", report
    kept.assert_clean(target)
    plan = lab.api(source).get("/v1/plans")["plans"][-1]["steps"][0]
    assert goals_of(plan) == (150, 0, 50000000, "never")
    assert from_of(plan) == ("policy:gold", "option", "vm", "built-in")

    # A policy that is gone is named, and an explicit move goes on.
    assert lab.drover("h2", "policy", "delete", "gold", "--force").code == 0
    ended = lab.drover("h1", "migrate", VM, source)
    assert ended.code == REFUSED and "policy gold, which does not exist" in ended.err, ended
    ended = lab.drover("h1", "migrate", VM, source, "--check", "--max-pause", "1s", "--max-time", "none",
                       "--bandwidth", "none", "--post-copy", "never")
    assert ended.code == 0, ended


def test_what_is_refused(lab: Lab, kept: Guest) -> None:
    source = kept.host
    before = metadata(lab, source)
    for words, code, says in (
            (("--max-pause", "soon"), USAGE, "soon"),
            (("--max-pause", "40m"), USAGE, "must be from 1 to 2000000"),
            (("--post-copy", "maybe"), USAGE, "'never' or 'if-needed'"),
            (("--policy", "a/b"), USAGE, "cannot be a policy's name"),
            (("--policy", "nosuch"), NOT_FOUND, "there is no policy nosuch")):
        ended = lab.drover(kept.other, "vm", "goals", VM, *words)
        assert ended.code == code and says in ended.err, (words, ended)
    assert metadata(lab, source) == before
    for words, code, says in ((("policy", "set", "gold"), USAGE, "--max-pause"),
                              (("policy", "set", "gold", "--post-copy", "maybe"), USAGE, "'never' or 'if-needed'"),
                              (("policy", "show", "gold"), NOT_FOUND, "there is no policy gold"),
                              (("policy", "delete", "gold"), NOT_FOUND, "there is no policy gold"),
                              (("vm", "goals", "nosuch"), NOT_FOUND, "nosuch")):
        ended = lab.drover("h2", *words)
        assert ended.code == code and says in ended.err, (words, ended)
    status, answer = lab.api("h2").ask("PUT", f"/v1/vms/{VM}/goals", {"max_pause": 5})
    assert status == 400 and "max_pause_ms" in answer["error"]["message"], answer

    # Written by hand, and wrong.
    lab.virsh(source, "metadata", VM, SPACE, "--live", "--config", "--key", "drover", "--set",
              '<goals max_pause_ms="soon"/>')
    ended = lab.drover(source, "migrate", VM, kept.other)
    for part in (VM, "max_pause_ms is 'soon'", "--clear"):
        assert ended.code == REFUSED and part in ended.err, ended
    assert lab.drover(source, "vm", "goals", VM).code == USAGE
    assert lab.drover(source, "vm", "goals", VM, "--clear", "--max-pause", "90ms").code == 0
    assert goals_of(step_of(lab, source)) == (90, 0, 0, "never")

    # A method that excludes post-copy is an option, too.
    assert lab.drover(source, "vm", "goals", VM, "--post-copy", "if-needed").code == 0
    assert step_of(lab, source)["post_copy"] == "if-needed"
    step = step_of(lab, source, method="pre-copy")
    assert (step["post_copy"], step["goals_from"]["post_copy"]) == ("never", "option")


@pytest.mark.skipif(IN_ETCD, reason="no node is needed for policies in etcd")
def test_the_founder_is_away(lab: Lab, kept: Guest) -> None:
    """The VM is at the other node: its own must answer."""
    if kept.host == "h1":
        assert lab.drover("h1", "migrate", VM, "h2", "--json").json()["outcome"] == "done"
        kept.assert_clean("h2")
    assert lab.drover("h1", "policy", "set", "gold", "--max-pause", "150ms").code == 0
    assert lab.drover("h2", "vm", "goals", VM, "--policy", "gold", "--max-time", "5m").code == 0
    lab.service("h1", "droverd", "stop")
    try:
        answer = lab.drover("h2", "vm", "goals", VM, "--json").json()
        assert answer["own"] == {"max_time_ms": 300000, "policy": "gold"}
        assert answer["status"] == "problem", answer
        for part in ("policy gold, which cannot be asked for", "founder, node h1"):
            assert part in answer["message"], answer
        assert answer["remedy"].endswith("--max-pause, --bandwidth, --post-copy"), answer
        # One that names none is not held up by it.
        answer = lab.drover("h2", "vm", "goals", VM, "--clear", "--json").json()
        assert answer["status"] == "warning" and answer["max_pause_ms"] == 300, answer
        ended = lab.drover("h2", "policy", "list")
        assert ended.code == UNREACHABLE and "founder, node h1" in ended.err, ended
    finally:
        lab.service("h1", "droverd", "start")
        wait_until(lambda: lab.drover("h2", "policy", "list").code == 0, "the founder is back")


def test_a_policy_that_may_be_in_use(lab: Lab, kept: Guest) -> None:
    """Nobody knows what the VMs of a node name that does not answer."""
    assert lab.drover("h1", "policy", "set", "gold", "--max-pause", "150ms").code == 0
    lab.service("h2", "droverd", "stop")
    try:
        ended = lab.drover("h1", "policy", "delete", "gold")
        assert ended.code == UNREACHABLE and "node h2" in ended.err and "--force" in ended.err, ended
        assert lab.drover("h1", "policy", "show", "gold").code == 0
        assert lab.drover("h1", "policy", "delete", "gold", "--force").code == 0
        assert lab.drover("h1", "policy", "show", "gold").code == NOT_FOUND
    finally:
        lab.service("h2", "droverd", "start")
        wait_until(lambda: lab.drover("h2", "policy", "list").code == 0, "the node is back")


def test_a_vm_that_is_shut_off_keeps_goals(lab: Lab) -> None:
    definition = lab.path("h1", "/run/still.xml")
    definition.write_text("<domain type='qemu'><name>still</name><memory unit='MiB'>64</memory>"
                          "<os><type arch='x86_64'>hvm</type></os></domain>")
    lab.virsh("h1", "define", "/run/still.xml")
    try:
        ended = lab.drover("h2", "vm", "goals", "still", "--max-pause", "90ms", "--json")
        assert ended.code == 0 and ended.json()["own"] == {"max_pause_ms": 90}, ended
        assert lab.drover("h1", "migrate", "still", "h2", "--offline").code == 0
        ended = lab.drover("h1", "vm", "goals", "still", "--json")
        assert ended.json()["own"] == {"max_pause_ms": 90} and ended.json()["node"] == "h2", ended
    finally:
        lab.remove_guest("still")
        definition.unlink()
