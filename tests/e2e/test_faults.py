# SPDX-License-Identifier: Apache-2.0
"""
Something breaks in the middle of a move. The guest is watched from inside its own host, so
that whatever is missed was missed by the guest and not by the network.
"""
import fcntl
import os
import re
import signal
from pathlib import Path

import pytest

from conftest import VM, Guest
from lab import Api, Lab, Move, wait_until

FAILED, REFUSED, CANCELLED = 1, 4, 6
MIDDLES = ["copying-disks", "copying-memory"]


def begin_and_get_to(lab: Lab, guest: Guest, middle: str) -> Move:
    source, target = guest.host, guest.other
    move = lab.begin(VM, source, target)
    move.until(middle, wire_bytes=4 << 20)
    lab.rate("20mbit")  # what a test does takes its time on a busy machine
    return move


def check_rolled_back(lab: Lab, move: Move, code: int, outcome: str, why: str) -> None:
    ended = move.wait()
    assert ended.code == code, ended
    report = ended.json()
    assert report["outcome"] == outcome and why in report["error"], report
    assert report["pause_ms"] is None
    assert lab.state(VM, move.source) == "running"
    assert move.view()["state"] == "rolled-back"


def check_next_try(lab: Lab, guest: Guest, move: Move) -> None:
    guest.assert_clean(on=move.source)
    lab.rate("none")
    assert move.target
    with lab.watching(VM) as watch:
        lab.move(VM, move.source, move.target)
    watch.assert_unharmed()
    guest.assert_clean(on=move.target)
    assert guest.data_on(move.target) == guest.filling


@pytest.mark.parametrize("middle,cut", [("copying-disks", "source"), ("copying-memory", "target")])
def test_link_cut(lab: Lab, slow: Guest, middle: str, cut: str) -> None:
    source = slow.host
    with lab.watching(VM, at=source) as watch:
        move = begin_and_get_to(lab, slow, middle)
        assert move.target
        where = move.source if cut == "source" else move.target
        lab.link(where, "--down")
        check_rolled_back(lab, move, FAILED, "rolled-back", f"connection with {move.target}")
        lab.link(where, "--up")
    watch.assert_unharmed()
    watch.assert_never_away()
    check_next_try(lab, slow, move)


@pytest.mark.parametrize("end", ["source", "target"])
@pytest.mark.parametrize("middle", MIDDLES)
def test_relay_killed(lab: Lab, slow: Guest, middle: str, end: str) -> None:
    with lab.watching(VM, at=slow.host) as watch:
        move = begin_and_get_to(lab, slow, middle)
        assert move.target
        lab.kill(move.source if end == "source" else move.target, "drover-relay")
        check_rolled_back(lab, move, FAILED, "rolled-back", "relay died" if end == "source" else
                          f"connection with {move.target}")
    watch.assert_unharmed()
    watch.assert_never_away()
    check_next_try(lab, slow, move)


def test_targets_qemu_dies_with_words(lab: Lab, slow: Guest) -> None:
    """What the target's QEMU said last is the reason, and nothing that followed from its death."""
    with lab.watching(VM, at=slow.host) as watch:
        move = begin_and_get_to(lab, slow, "copying-memory")
        assert move.target
        pid = lab.qemu(move.target, VM)
        words = "qemu-system-x86_64: hw/core/cause.c:12: first_cause: Assertion `0' failed."
        # Where its own messages go: libvirt's log of the VM.
        with open(f"/proc/{pid}/fd/2", "a", encoding="ascii") as messages:
            messages.write(words + "\n")
        os.kill(pid, signal.SIGKILL)
        check_rolled_back(lab, move, FAILED, "rolled-back", f'QEMU ended at {move.target}, and said last: "{words}"')
    why = move.view()["error"]
    for consequence in ("relay died", "connection with", "the migration"):
        assert consequence not in why.replace("migrate it", ""), why
    watch.assert_unharmed()
    watch.assert_never_away()
    check_next_try(lab, slow, move)


@pytest.mark.parametrize("middle,ends", [("copying-disks", "source"), ("copying-disks", "both"),
                                         ("copying-memory", "target"), ("copying-memory", "both")])
def test_droverd_killed(lab: Lab, slow: Guest, middle: str, ends: str) -> None:
    """The move belongs to libvirtd and the relays: it completes, and history knows of it."""
    with lab.watching(VM) as watch:
        move = begin_and_get_to(lab, slow, middle)
        assert move.target
        victims = {"source": [move.source], "target": [move.target],
                   "both": [move.source, move.target]}[ends]
        before = {on: lab.pids(on, "droverd") for on in victims}
        for on in victims:
            lab.kill(on, "droverd")
        for on in victims:
            wait_until(lambda on=on: set(lab.pids(on, "droverd")) - set(before[on]),
                       f"droverd on {on} is started again")
        lab.rate("none")
        ended = move.wait()
    assert ended.code == 0, ended
    watch.assert_unharmed()
    job = lab.job(move.job)
    assert job["state"] == "done", job
    assert job["report"]["outcome"] == "done"
    assert job["report"]["wire_bytes"] > len(slow.filling)
    assert ended.json() == job["report"]
    slow.assert_clean(on=move.target)
    assert slow.data_on(move.target) == slow.filling
    lab.move(VM, move.target, move.source)
    slow.assert_clean(on=move.source)


@pytest.mark.parametrize("middle", MIDDLES)
def test_cancel(lab: Lab, slow: Guest, middle: str) -> None:
    with lab.watching(VM, at=slow.host) as watch:
        move = begin_and_get_to(lab, slow, middle)
        asked = lab.drover(str(move.target), "cancel", move.job)
        assert asked.code == 0, asked
        check_rolled_back(lab, move, CANCELLED, "cancelled", "operator")
    watch.assert_unharmed()
    watch.assert_never_away()
    again = lab.drover(move.source, "cancel", move.job)
    assert again.code == REFUSED and "over" in again.err, again
    shown = lab.drover(move.source, "job", move.job, "--follow")
    assert shown.code == CANCELLED, shown
    check_next_try(lab, slow, move)


def test_cancel_while_the_link_is_cut(lab: Lab, slow: Guest) -> None:
    """Cancelling works also when nothing gets through to the target."""
    move = begin_and_get_to(lab, slow, "copying-memory")
    assert move.target
    lab.link(move.target, "--down")
    assert lab.drover(move.source, "cancel", move.job).code == 0
    check_rolled_back(lab, move, CANCELLED, "cancelled", "operator")
    lab.link(move.target, "--up")
    check_next_try(lab, slow, move)


def test_target_dies(lab: Lab, slow: Guest) -> None:
    with lab.watching(VM, at=slow.host) as watch:
        move = begin_and_get_to(lab, slow, "copying-memory")
        assert move.target
        lab.lab("kill", move.target)
        check_rolled_back(lab, move, FAILED, "rolled-back", f"connection with {move.target}")
        lab.lab("boot", move.target)
    watch.assert_unharmed()
    watch.assert_never_away()
    check_next_try(lab, slow, move)


def test_source_dies(lab: Lab, slow: Guest) -> None:
    """The VM dies with its host. The job ends, the target keeps nothing, and the VM can be started."""
    move = begin_and_get_to(lab, slow, "copying-memory")
    assert move.target
    lab.lab("kill", move.source)
    lab.lab("boot", move.source)
    wait_until(lambda: move.view()["ended"], "the job has ended")
    view = move.view()
    assert view["state"] == "rolled-back", view
    lab.virsh(move.source, "start", VM)
    lab.wait_answer(VM)
    check_next_try(lab, slow, move)


def test_cancel_at_once(lab: Lab, web: Guest) -> None:
    """Cancelled as early as can be: whatever has been made by then is taken away again."""
    lab.rate("20mbit")
    move = lab.begin(VM, web.host, web.other)
    first = lab.drover(move.source, "cancel", move.job)
    assert first.code == 0, first
    check_rolled_back(lab, move, CANCELLED, "cancelled", "operator")
    check_next_try(lab, web, move)


def test_request_that_was_held_up(lab: Lab, slow: Guest) -> None:
    """
    A request of an earlier move, kept by a link until its move was over and the next one is
    under way, opens nothing and harms nothing.
    """
    lab.rate("none")
    lab.move(VM, slow.host, slow.other)
    lab.move(VM, slow.host, slow.other)
    source, target = slow.host, slow.other
    early = [job for job in lab.api(source).get("/v1/jobs")["jobs"]
             if job["vm"] == VM and job["source"] == source][-1]
    lab.rate("150mbit")
    etc = lab.path(source, "/etc/drover")
    as_source = Api(lab.netns(source), lab.address(target), etc / "ca.crt",
                    (etc / "node.crt", etc / "node.key"))
    with lab.watching(VM, at=source) as watch:
        move = lab.begin(VM, source, target)
        move.until("copying-memory", wire_bytes=1 << 20)
        status, answer = as_source.ask("POST", "/v1/peer/sessions", {
            "session": "0123456789abcdef" * 2, "secret": "ab" * 32, "links": 2, "job": early["id"],
            "step": early["step"]})
        assert status == 409 and "too late" in answer["error"]["message"], (status, answer)
        lab.rate("none")
        ended = move.wait()
    assert ended.code == 0, ended
    watch.assert_unharmed()
    slow.assert_clean(on=target)


def resident_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+)", status, re.M).group(1)) >> 10  # type: ignore[union-attr]


def test_memory_of_relays(lab: Lab, slow: Guest) -> None:
    """Reserved before a session is opened, more than the relay takes, and the next droverd counts the same."""
    source, target = slow.host, slow.other

    def reserved(on: str) -> int:
        node = next(n for n in lab.api(source).get("/v1/nodes")["nodes"] if n["name"] == on)
        return (node["relay_memory_bytes"] - node["relay_memory_left_bytes"]) >> 20

    before = {on: reserved(on) for on in lab.hosts}
    move = begin_and_get_to(lab, slow, "copying-memory")
    for on in lab.hosts:
        taken = sum(resident_mib(pid) for pid in lab.pids(on, "drover-relay"))
        assert 0 < taken <= reserved(on), (on, taken)
    held = reserved(target)
    old = set(lab.pids(target, "droverd"))
    lab.kill(target, "droverd")
    wait_until(lambda: set(lab.pids(target, "droverd")) - old, "droverd is started again")
    wait_until(lambda: reserved(target) == held, "the next one counts the same")
    assert held > before[target]
    lab.rate("none")
    assert move.wait().code == 0
    wait_until(lambda: {on: reserved(on) for on in lab.hosts} == before, "nothing is reserved any more")


def test_no_memory_for_a_relay(lab: Lab, slow: Guest) -> None:
    """Said before anything has begun; the reservation that is in the way is one that somebody holds."""
    sessions = lab.path(slow.other, "/run/drover/sessions")
    node = next(n for n in lab.api(slow.host).get("/v1/nodes")["nodes"] if n["name"] == slow.other)
    with open(sessions / ("0" * 32 + ".memory"), "w+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{node['relay_memory_bytes'] >> 20}\n")
        file.flush()
        ended = lab.drover(slow.host, "migrate", VM, slow.other, "--quiet")
        assert ended.code == REFUSED and "has no memory for another migration" in ended.err, ended
        assert "drover jobs" in ended.err and lab.where(VM) == [slow.host], ended
    lab.rate("none")
    assert lab.drover(slow.host, "migrate", VM, slow.other, "--quiet").code == 0
