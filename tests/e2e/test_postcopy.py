# SPDX-License-Identifier: Apache-2.0
"""
Post-copy that breaks: the guest waits and loses nothing, the way is made anew, whoever died.

Nobody asks the guest anything while it is broken: a packet for it could make QEMU itself, not
only the guest, wait for a page, and such a QEMU libvirt cannot recover (docs/migration.rst, "What
post-copy costs"). What it has kept is verified afterwards.
"""
import os
import signal
from typing import Callable, Iterator

import pytest

from busy import VM, busy_guest, make_busy, rungs, userfault
from lab import Lab, Move, wait_until

REFUSED, NEEDS_ATTENTION = 4, 7


@pytest.fixture(scope="module")
def calm(lab: Lab) -> Iterator[None]:
    with userfault(True), busy_guest(lab, dirty=4):
        yield


@pytest.fixture(autouse=True)
def anew(lab: Lab, calm: None) -> None:
    """A test that ended half-way does not spoil the next one: its guest may be at both hosts."""
    if len(lab.where(VM)) != 1:
        lab.down()
        lab.up()
        make_busy(lab, dirty=4)


def begin(lab: Lab) -> Move:
    """A move that has handed over and has a good part of the memory still to fetch."""
    source, = lab.where(VM)
    target = next(h for h in lab.hosts if h != source)
    lab.rate("60mbit")
    move = lab.begin(VM, source, target, "--method", "post-copy")
    move.until("post-copy")
    # What docs/migration.rst says of the hand-over itself: until the target runs, a broken
    # link costs the memory. That is QEMU's, and not what is tried here.
    wait_until(lambda: "post-copy" in lab.virsh(target, "domstate", VM, "--reason", check=False),
               "the guest runs at the target")
    move.until("post-copy", wire_bytes=16 << 20)
    return move


def check_arrived(lab: Lab, move: Move, broken: bool) -> None:
    lab.rate("none")
    ended = move.wait(200)
    assert ended.code == 0, ended
    report = ended.json()
    assert report["outcome"] == "done" and report["method"] == "post-copy", report
    assert ("recover" in rungs(report)) == broken, report
    assert move.target and lab.state(VM, move.target) == "running"
    lab.wait_clean({move.source: (), move.target: (VM,)})


def check_unharmed(lab: Lab) -> None:
    """It is the same guest as before, and checks all of its memory."""
    lab.wait_answer(VM)
    with lab.watching(VM) as watch:
        pass
    watch.assert_unharmed()


def test_cancel_is_refused_with_what_will_happen(lab: Lab, calm: None) -> None:
    with lab.watching(VM) as watch:
        move = begin(lab)
        ended = lab.drover(move.source, "cancel", move.job)
        assert ended.code == REFUSED, ended
        assert f"runs at {move.target} already" in ended.err, ended
        check_arrived(lab, move, broken=False)
    watch.assert_unharmed()


def relay_at_source(lab: Lab, move: Move) -> None:
    lab.kill(move.source, "drover-relay")


def relay_at_target_twice(lab: Lab, move: Move) -> None:
    assert move.target
    lab.kill(move.target, "drover-relay")
    move.until("post-copy", wire_bytes=40 << 20)
    lab.kill(move.target, "drover-relay")


def relay_and_both_droverds(lab: Lab, move: Move) -> None:
    assert move.target
    lab.kill(move.source, "droverd")
    lab.kill(move.target, "droverd")
    lab.kill(move.source, "drover-relay")


@pytest.mark.parametrize("death", [relay_at_source, relay_at_target_twice,
                                   relay_and_both_droverds])
def test_broken_and_recovered(lab: Lab, calm: None, death: Callable[[Lab, Move], None]) -> None:
    move = begin(lab)
    death(lab, move)
    check_arrived(lab, move, broken=True)
    check_unharmed(lab)


def test_link_cut_for_longer_than_a_session_bears(lab: Lab, calm: None) -> None:
    """Until the state says that it is being recovered; then it is mended."""
    move = begin(lab)
    assert move.target
    lab.link(move.target, "--down")
    move.until("recovering")
    lab.link(move.target, "--up")
    check_arrived(lab, move, broken=True)
    check_unharmed(lab)


def test_a_target_that_answers_nobody_is_said(lab: Lab, calm: None) -> None:
    """QEMU there waits for a page itself, which a stopped process does as well: no recovery begins."""
    move = begin(lab)
    assert move.target
    os.kill(lab.qemu(move.target, VM), signal.SIGSTOP)
    lab.kill(move.source, "drover-relay")
    ended = move.wait(150)
    assert ended.code == NEEDS_ATTENTION, ended
    job = lab.job(move.job)
    assert job["state"] == "needs-attention", job
    assert "answers nobody" in job["error"], job
    assert not job["attention"]["keep_source"], job
    for command in job["attention"]["keep_target"]:
        on, _, words = command.partition(": virsh ")
        lab.virsh(on, *words.split())
    lab.rate("none")
    wait_until(lambda: lab.job(move.job)["state"] == "done", "the job is settled")
    assert lab.where(VM) == [move.target]
    lab.wait_answer(VM)
    lab.wait_clean({move.source: (), move.target: (VM,)})


def test_both_halves_die_and_the_source_does_not_claim_it(lab: Lab, calm: None) -> None:
    """
    The model found it: the source had a new session in its store by then, of which the target knew
    nothing, took the guest for one that had never run there, and ended as rolled back. The last test: the
    guest is gone then.
    """
    move = begin(lab)
    assert move.target
    lab.link(move.target, "--down")
    move.until("recovering")
    for on in (move.target, move.source):
        os.kill(lab.qemu(on, VM), signal.SIGKILL)
        wait_until(lambda on=on: lab.state(VM, on) == "shut off", f"it is shut off on {on}")
    lab.link(move.target, "--up")
    ended = move.wait(60)
    # Down, said so, and only where it was the last to run.
    assert ended.json()["outcome"] == "done", ended
    assert lab.state(VM, move.target) == "shut off"
    lab.wait_clean({move.source: (), move.target: (VM,)})
