# SPDX-License-Identifier: Apache-2.0
"""A cancel takes effect at once wherever a move is, also when the link says nothing any more."""
import time
from typing import Iterator

import pytest

from busy import VM, busy_guest
from lab import Lab, Move

CANCELLED = 6
# A second or two; the machine that tests may be busy, which says nothing about Drover.
PATIENCE_S = 6


@pytest.fixture(scope="module")
def calm(lab: Lab) -> Iterator[None]:
    with busy_guest(lab, dirty=4):
        yield


@pytest.mark.parametrize("moment", ["preparing, stalled", "copying-memory",
                                    "copying-memory, stalled"])
def test_cancel(lab: Lab, calm: None, moment: str) -> None:
    source, = lab.where(VM)
    target = next(h for h in lab.hosts if h != source)
    state, _, stalled = moment.partition(", ")
    lab.rate("60mbit")
    with lab.watching(VM, at=source) as watch:
        if state == "preparing":
            # So that it does not go by before the link is cut.
            lab.link(target, "--delay", "300ms")
        move = Move(lab, VM, source, target, ())
        move.until(state, wire_bytes=4 << 20 if state == "copying-memory" else 0)
        if stalled:
            lab.link(target, "--down")
        begun = time.monotonic()
        asked = lab.drover(source, "cancel", move.job)
        ended = move.wait()
        took_s = time.monotonic() - begun
        assert asked.code == 0, asked
        assert ended.code == CANCELLED and ended.json()["outcome"] == "cancelled", ended
        assert lab.state(VM, source) == "running"
        lab.link(target, "--up", "--delay", "none")
    assert took_s < PATIENCE_S
    watch.assert_unharmed()
    watch.assert_never_away()
    lab.wait_clean({source: (VM,), target: ()})
    # The next move is not in the way of what was cancelled.
    lab.rate("none")
    assert lab.move(VM, source, target)["outcome"] == "done"
    assert lab.move(VM, target, source)["outcome"] == "done"


def test_again_amid_it(lab: Lab, calm: None) -> None:
    """Who migrates the VM again, or cancels again, is told what goes on."""
    source, = lab.where(VM)
    target = next(h for h in lab.hosts if h != source)
    lab.rate("20mbit")
    move = Move(lab, VM, source, target, ())
    move.until("copying-memory", wire_bytes=1 << 20)
    for on in lab.hosts:
        for more in ((target,), (), (target, "--check")):
            again = lab.drover(on, "migrate", VM, *more)
            assert again.code == 4 and f"being moved already by job {move.job}" in again.err, again
            assert "session" not in again.err and "virsh" not in again.err, again
    # A link that is cut keeps the cancel from being over before the second one comes.
    lab.link(target, "--down")
    first = lab.drover(source, "cancel", move.job)
    second = lab.drover(source, "cancel", move.job)
    ended = move.wait()
    lab.link(target, "--up")
    lab.rate("none")
    assert first.code == 0 and "is asked to end" in first.err, first
    # It may have been quicker all the same.
    assert ("is being rolled back" in second.err if second.code == 0
            else second.code == 4 and "over already" in second.err), second
    assert ended.code == CANCELLED, ended
    assert lab.job(move.job)["error"] == "cancelled by the operator"
    lab.wait_clean({source: (VM,), target: ()})
