# SPDX-License-Identifier: Apache-2.0
"""Nodes whose clocks are half an hour apart, one ahead and one behind: it is said, and nothing else changes."""
import re
from typing import Iterator

import pytest

import operations as ops
from lab import Lab

APART_S = 1800
VMS = ("v1", "v2", "v3")


@pytest.fixture(scope="module")
def apart() -> Iterator[Lab]:
    """h1 leads; the guests are on h2."""
    with ops.three_hosts("ck", "--clock", f"h2={APART_S}", "--clock", f"h3=-{APART_S}") as lab:
        ops.fill(lab, "h2", VMS)
        yield lab


def assert_sane(document: dict) -> None:
    """What lasted seconds is not said to have lasted as long as the clocks are apart, or less than nothing."""
    for it in (document, *document["steps"]):
        assert 0 < it["ended_ms"] - it["started_ms"] < APART_S * 1000, it


def test_it_is_said(apart: Lab) -> None:
    said = apart.drover("h1", "doctor")
    assert re.search(r"node h2.*its clock is (30 min|29 min 5\d s).* ahead of this host's", said.out), said
    assert re.search(r"node h3.*its clock is (30 min|29 min 5\d s).* behind this host's", said.out), said
    checked = apart.drover("h1", "migrate", VMS[0], "h3", "--check", "--json")
    assert checked.code == 0, checked
    clock = next(c for c in checked.json()["checks"] if c["name"] == "clock")
    assert clock["status"] == "warning" and "the clock of h3 is 3600." in clock["message"], clock


def test_all_nodes_are_there(apart: Lab) -> None:
    """Whoever is asked, nobody is lost."""
    for at in apart.hosts:
        nodes = apart.api(at).get("/v1/nodes")["nodes"]
        assert {n["name"]: n["state"] for n in nodes} == dict.fromkeys(apart.hosts, "up"), nodes


@pytest.mark.parametrize("at", ["h1", "h2", "h3"])
def test_a_host_is_drained_and_filled_again(apart: Lab, at: str) -> None:
    ops.fill(apart, "h2", VMS)
    with apart.watching(VMS[0]) as watch:
        done = apart.drover(at, "node", "drain", "h2", "--yes", "--json")
        assert done.code == 0, done
        assert done.json()["state"] == "done", done
        assert_sane(done.json())
        assert ops.on_host(apart, "h2") == set()
        back = apart.drover(at, "node", "resume", "h2", "--bring-back", "--json")
        assert back.code == 0, back
        assert_sane(back.json())
    assert ops.on_host(apart, "h2") == set(VMS)
    watch.assert_unharmed()
    for vm in VMS:
        for job in ops.moves_of(apart, vm):
            assert 0 < job["report"]["total_ms"] < APART_S * 1000, job


def test_a_plan_of_one_node_is_applied_at_another(apart: Lab) -> None:
    ops.fill(apart, "h2", VMS)
    status, plan = apart.api("h2").ask("POST", "/v1/plans", {"goal": "evacuate", "node": "h2"})
    assert status == 200, plan
    status, answer = apart.api("h3").ask("POST", f"/v1/plans/{plan['id']}/apply")
    assert status == 200, answer
    document = ops.ended(apart, answer["operation"])
    assert document["state"] == "done", document
    assert_sane(document)
    assert ops.on_host(apart, "h2") == set()
