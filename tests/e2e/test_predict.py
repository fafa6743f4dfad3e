# SPDX-License-Identifier: Apache-2.0
"""
Predictions with real hosts: a dry run says what a move will take, the report has it beside what came,
and what was learnt goes along with the VM. How good they are is for bench/predict to say.
"""
from typing import Any, Iterator

import pytest

from lab import Lab, wait_until

RATE_MBIT = 100


@pytest.fixture(scope="module")
def pair() -> Iterator[Lab]:
    lab = Lab("e2e-predict")
    lab.up("--rate", f"{RATE_MBIT}mbit")
    lab.guest("p1", "h1", memory=160, work=64, dirty=2, disk=0)
    yield lab
    lab.down()


def links(lab: Lab) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["from"], each["to"]): each
            for each in lab.drover("h1", "link", "list", "--json").json()["links"]}


def test_a_probe_measures_the_link_and_leaves_nothing(pair: Lab) -> None:
    assert not links(pair)
    probed = pair.drover("h2", "link", "probe", "h1", "h2", "--json").json()
    assert (probed["from"], probed["to"], probed["by"]) == ("h1", "h2", "probe")
    # What the link is set to, less headers: far from it would be another machine's link.
    assert 0.5 < probed["rate_bps"] * 8 / (RATE_MBIT * 1e6) < 1.2, probed
    assert set(links(pair)) == {("h1", "h2")}
    for on in pair.hosts:
        assert not pair.sessions(on) and not pair.pids(on, "drover-relay")
    for wrong in (("h1", "h1"), ("h1", "h9"), ("h9", "h1")):
        assert pair.drover("h1", "link", "probe", *wrong).code != 0


def test_what_is_said_before_and_after_two_moves(pair: Lab) -> None:
    said = pair.drover("h1", "migrate", "p1", "h2", "--check", "--json").json()["predicted"]
    assert said["verdict"] == "converges" and said["basis"] == "model", said
    for figure in ("time_ms", "pause_ms", "wire_bytes"):
        assert 0 < said[figure]["p50"] <= said[figure]["p90"], said
    # 64 MiB, half of each page noise, and a kernel.
    assert 30e6 < said["wire_bytes"]["p50"] < 120e6, said

    first = pair.move("p1", "h1", "h2")
    assert first["predicted"]["time_ms"]["p50"] and not first["seen_before"]
    second = pair.move("p1", "h2", "h1")
    assert second["seen_before"] and second["predicted"]["basis"] == "vm-history", second

    accuracy = pair.drover("h2", "report", "accuracy", "--json").json()
    assert [accuracy[group]["moves"] for group in ("all", "never_seen", "seen_before")] == [2, 1, 1]
    # By the move this time, as it filled the link.
    assert {each["by"] for each in links(pair).values()} == {"move"}


def test_the_remaining_time_comes_down(pair: Lab) -> None:
    move = pair.begin("p1", "h1", "h2")
    left: list[int] = []
    revision = 0
    while True:
        job = pair.api("h1").get(f"/v1/jobs/{move.job}?after={revision}&wait_ms=5000")
        revision = job["revision"]
        if job["ended"]:
            break
        remaining = (job["progress"] or {}).get("remaining_ms")
        if job["state"] == "copying-memory" and remaining is not None:
            left.append(remaining)
    assert move.wait().code == 0
    assert len(left) > 5, left
    # It may change its mind, but all in all it comes down, and not by going up and down all the while.
    up = sum(max(after - before, 0) for before, after in zip(left, left[1:]))
    down = sum(max(before - after, 0) for before, after in zip(left, left[1:]))
    assert left[-1] < left[0] and up < down / 2, left


def test_what_the_target_has_already_is_reckoned(pair: Lab) -> None:
    (at,) = pair.where("p1")
    to = next(h for h in pair.hosts if h != at)
    pair.drover("h1", "content", "on")
    try:
        went = pair.move("p1", at, to)
        for on in pair.hosts:  # it is written when the move is over
            wait_until(lambda on=on: any(
                each["node"] == on and each["vm"] == "p1" for each in
                pair.drover(on, "content", "list", "--json").json()["contents"]), "content is kept")
        said = pair.drover(to, "migrate", "p1", at, "--check", "--json").json()["predicted"]
        assert said["wire_bytes"]["p50"] < went["wire_bytes"] / 2, (said, went)
        planned = pair.drover(at, "plan", "evacuate", to, "--json").json()["steps"][0]["predicted"]
        assert planned["wire_bytes"]["p50"] < went["wire_bytes"] / 2, (planned, went)
        back = pair.move("p1", to, at)
        assert back["recycled_bytes"] > 0
        assert back["predicted"]["wire_bytes"]["p50"] < went["wire_bytes"] / 2, back
    finally:
        pair.drover("h1", "content", "off")
