# SPDX-License-Identifier: Apache-2.0
"""Known content: what a move leaves on its hosts serves the next ones, and never harms them."""
import os
from typing import Iterator

import pytest

from lab import Lab, wait_until

STORE = "/var/lib/drover/content"
MEMORY = 160


def contents(lab: Lab, on: str) -> list[dict]:
    """What a host keeps."""
    every = lab.drover(on, "content", "list", "--json").json()
    assert not every["unreachable"], every
    return [one for one in every["contents"] if one["node"] == on]


def figures(lab: Lab, on: str) -> dict:
    every = lab.drover(on, "content", "list", "--json").json()
    return next(one for one in every["nodes"] if one["node"] == on)


def packs(lab: Lab, on: str) -> list[os.PathLike]:
    return sorted(lab.path(on, STORE).glob("*.pack"))


def settle(lab: Lab) -> None:
    """Until what the last move's relays write is written and taken over."""
    wait_until(lambda: not any(lab.pids(on, "drover-relay") for on in lab.hosts) and
               not any(list(lab.path(on, STORE).glob("*.part")) for on in lab.hosts),
               "the packs are whole")


def move(lab: Lab, vm: str, source: str, target: str) -> dict:
    with lab.watching(vm) as watch:
        report = lab.move(vm, source, target)
    watch.assert_unharmed()
    settle(lab)
    return report


@pytest.fixture
def known(lab: Lab) -> Iterator[Lab]:
    """Content is kept, and there is none yet; a link that is slow enough for the relays to encode."""
    lab.rate("200mbit")
    ended = lab.drover("h1", "content", "on")
    assert ended.code == 0, ended
    lab.guest("known", "h1", memory=MEMORY, work=64, compress=0, dirty=1, disk=0)
    try:
        yield lab
    finally:
        lab.remove_guest("known")
        lab.rate("none")
        assert lab.drover("h1", "content", "off").code == 0
        lab.wait_clean({on: () for on in lab.hosts})


def test_return(known: Lab) -> None:
    first = move(known, "known", "h1", "h2")
    assert first["recycled_bytes"] == 0
    for on in known.hosts:
        (one,) = contents(known, on)
        assert (one["vm"], one["owner"], one["saved_bytes"]) == ("known", "cluster", 0)
        assert one["bytes"] > 48 << 20
    back = move(known, "known", "h2", "h1")
    assert back["wire_bytes"] < first["wire_bytes"] / 10, (first, back)
    assert back["recycled_bytes"] > 48 << 20
    for on in known.hosts:
        assert contents(known, on)[0]["saved_bytes"] == back["recycled_bytes"]
        assert figures(known, on)["saved_bytes"] >= back["recycled_bytes"]
    shown = known.drover("h1", "content", "list").out
    assert "known" in shown and "it has saved" in shown


def test_return_at_once(known: Lab) -> None:
    """A drain that is undone at once: nobody waits between the two migrations."""
    first = known.move("known", "h1", "h2")
    back = known.move("known", "h2", "h1")
    assert back["wire_bytes"] <= first["wire_bytes"] / 10, (first, back)
    assert back["recycled_bytes"] > 48 << 20
    again = known.move("known", "h1", "h2")
    assert again["wire_bytes"] <= first["wire_bytes"] / 10, (first, again)
    settle(known)


def test_after_a_restart_of_droverd(known: Lab) -> None:
    first = move(known, "known", "h1", "h2")
    for on in known.hosts:
        known.service(on, "droverd", "stop")
        known.service(on, "droverd", "start")
    wait_until(lambda: known.drover("h2", "content", "list", "--json").code == 0 and
               all(len(contents(known, on)) == 1 for on in known.hosts), "droverd is back")
    back = move(known, "known", "h2", "h1")
    assert back["recycled_bytes"] > 48 << 20
    # It writes all the while that its hosts are restarted.
    assert back["wire_bytes"] < first["wire_bytes"] / 4, (first, back)


def test_damage_costs_speed_only(known: Lab) -> None:
    """Every fourth MiB of one end's pack is hit; then all of the other end's."""
    first = move(known, "known", "h1", "h2")
    (pack,) = packs(known, "h2")
    with open(pack, "r+b") as file:
        for at in range(5000, pack.stat().st_size - 200000, 4 << 20):
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 16]))
    back = move(known, "known", "h2", "h1")
    assert first["wire_bytes"] / 20 < back["wire_bytes"] < first["wire_bytes"] * 3 / 4
    # It was found out, and is not used again.
    assert pack not in packs(known, "h2")

    for pack in packs(known, "h1") + packs(known, "h2"):
        pack.write_bytes(os.urandom(pack.stat().st_size))
    again = move(known, "known", "h1", "h2")
    assert again["recycled_bytes"] == 0
    assert again["wire_bytes"] > first["wire_bytes"] * 3 / 4


def test_without_its_key_it_is_worth_nothing(known: Lab) -> None:
    """A store that was copied away, or has outlived its host, is swept."""
    move(known, "known", "h1", "h2")
    known.service("h2", "droverd", "stop")
    (known.path("h2", STORE) / "id").write_text("00112233445566778899aabbccddeeff")
    known.service("h2", "droverd", "start")
    wait_until(lambda: known.drover("h2", "content", "list").code == 0, "droverd is back")
    assert not packs(known, "h2") and not contents(known, "h2")
    assert move(known, "known", "h2", "h1")["recycled_bytes"] == 0


def test_owners_are_apart(known: Lab) -> None:
    """What one owner's VM has left serves none of another's."""
    move(known, "known", "h1", "h2")
    ended = known.drover("h1", "vm", "owner", "known", "shop")
    assert ended.code == 0 and ended.out.strip() == "shop", ended
    assert known.drover("h2", "vm", "owner", "known", "--json").json()["owner"] == "shop"
    back = move(known, "known", "h2", "h1")
    assert back["recycled_bytes"] == 0
    assert sorted(one["owner"] for one in contents(known, "h1")) == ["cluster", "shop"]
    # It has travelled with the VM, and its own content serves it.
    assert move(known, "known", "h1", "h2")["recycled_bytes"] > 48 << 20
    assert known.drover("h1", "vm", "owner", "known", "--clear").out.strip() == "cluster"


def test_pruned_and_off(known: Lab) -> None:
    move(known, "known", "h1", "h2")
    assert known.drover("h1", "content", "prune").code == 2
    ended = known.drover("h1", "content", "prune", "--vm", "other", "--json")
    assert [node["removed"] for node in ended.json()["nodes"]] == [0, 0]
    ended = known.drover("h1", "content", "prune", "--older-than", "1h", "--json")
    assert [node["removed"] for node in ended.json()["nodes"]] == [0, 0]
    ended = known.drover("h1", "content", "prune", "--vm", "known", "--node", "h2", "--json")
    assert [(n["node"], n["removed"]) for n in ended.json()["nodes"]] == [("h2", 1)]
    assert packs(known, "h1") and not packs(known, "h2")
    ended = known.drover("h2", "content", "off", "h1")
    assert ended.code == 0 and "off" in ended.out
    assert not packs(known, "h1")
    assert move(known, "known", "h2", "h1")["recycled_bytes"] == 0
    assert not packs(known, "h1") and not packs(known, "h2")
    assert known.drover("h1", "content", "prune", "--all", "--node", "h9").code != 0


def test_no_room_left(known: Lab) -> None:
    """What could be written of a pack serves, and that some could not is said."""
    known.service("h2", "droverd", "stop")
    known.run("h2", "mount", "-t", "tmpfs", "-o", "size=400m,mode=700", "none", STORE)
    known.service("h2", "droverd", "start")
    try:
        wait_until(lambda: known.drover("h2", "content", "list").code == 0, "droverd is back")
        # What passes is written at once: slowly, until the place is full.
        known.rate("10mbit")
        going = known.begin("known", "h1", "h2")
        going.until("copying-memory")
        # 25 MiB are allowed in such a place; now there is room for ten.
        known.run("h2", "fallocate", "-l", "390m", f"{STORE}/filler")
        known.rate("200mbit")
        assert going.wait().code == 0
        settle(known)
        wait_until(lambda: figures(known, "h2")["problem"], "h2 says that not all is kept")
        problem = figures(known, "h2")["problem"]["message"]
        assert "content of known" in problem and "could not be written" in problem
        listed = known.drover("h1", "content", "list")
        assert listed.code == 0 and "warning: h2" in listed.err and "no room" not in listed.err
        assert len(contents(known, "h1")) == len(contents(known, "h2")) == 1
        known.run("h2", "rm", f"{STORE}/filler")
        back = move(known, "known", "h2", "h1")
        assert 4 << 20 < back["recycled_bytes"] < 16 << 20
        wait_until(lambda: figures(known, "h2")["problem"] is None, "h2 keeps content again")
    finally:
        known.service("h2", "droverd", "stop")
        known.run("h2", "umount", STORE)
        known.service("h2", "droverd", "start")
        wait_until(lambda: known.drover("h2", "content", "list").code == 0, "droverd is back")
