# SPDX-License-Identifier: Apache-2.0
"""The fault table as a page of the manual."""
from cells import ENDS, FAULTS, STATES, Cell, Result, power_cells

HEAD = """\
===============
The fault table
===============

Written by ``tests/fault/all``; do not edit. What dies, at which end, and in which state of a
move it does (how the move is held there is in :file:`tests/fault/cells.py`). In each cell a
witness guest is watched by its client all the while. Afterwards one copy runs, its memory is
verified, no write that it had acknowledged is lost, nothing of the move is left on either host,
and the next move works; a cell that has not shown all of it is **FAILED**.

* ``done``, ``rolled back``, ``failed``: how the job ended, by itself.
* *down*: the fault takes the guest with it (its QEMU, or the host on which it runs). That it is
  shut off is what is expected; it is said so, never started twice, and starts with all that it
  had acknowledged.
* *asked*: the job needed attention, nothing ran meanwhile, and a person chose the target's copy by
  the commands that the job gives; the rest went by itself.
* *frozen*: the program is stopped (SIGSTOP) for 15 seconds and goes on then. When it is the droverd of the target,
  or of the source, and the guest stands still, the guest must run at the target while that droverd is still
  frozen. When it is the target's libvirtd or QEMU nobody else can resume the guest: then the log says so.
* In *post-copy* and *recovering* neither end has all of the guest: whichever QEMU or host dies takes its
  memory along. It is *asked* and *down* then: booted anew, with the commands that the job gives, at the
  target, where it ran last. So it may be when the way is lost: one break in about seven, asked by a client 100 times a
  second, finds the emulated QEMU itself waiting for a page. The cells begin when the guest runs at the target and a good part of its
  memory has still to come; what can happen in the hand-over before is said in `migration.rst <migration.rst>`_.
* *power loss*: as *host*, but the host boots from what was on its disk (:file:`tests/fault/power.py`). Disks of a VM that was
  shut off are compared byte by byte.
* ``–``: nothing of the kind exists there in that state. Empty: not run.

"""


def entry(cell: Cell, results: dict[str, Result]) -> str:
    if cell.fault == "slow link" and cell.end == "target":
        return "as source"
    if cell.why_not():
        return "–"
    result = results.get(cell.name)
    if not result:
        return ""
    if result.problem:
        return "**FAILED**"
    text = result.outcome.replace("-", " ")
    words = ["*asked*"] * result.asked + ["*down*"] * result.down + [text]
    return ", ".join(words)


def rst(results: dict[str, Result]) -> str:
    out = [HEAD, ".. list-table::\n   :header-rows: 1\n   :stub-columns: 1\n\n"]
    rows = [["state"] + [f"{fault}, {end}" for fault in FAULTS for end in ENDS
                         if not (fault == "slow link" and end == "target")]]
    columns = [(fault, end) for fault in FAULTS for end in ENDS
               if not (fault == "slow link" and end == "target")]
    for state in STATES:
        rows.append([state.name] + [entry(Cell(f, e, state), results) for f, e in columns])
    # One row a fault reads better than one row a state: there are more faults than states.
    for column in zip(*rows):
        out.append("   * - " + "\n     - ".join(text or "\\ " for text in column) + "\n")
    out.append("\nPower losses in other moves\n===========================\n\n*cold*: the VM is shut off; *storage*: only "
               "its disks are moved, on one host; *kept*: its images are kept\nfor its return, which is the next move.\n\n"
               ".. list-table::\n   :stub-columns: 1\n\n")
    for cell in power_cells():
        out.append(f"   * - {cell.state.name}, {cell.end}\n     - {entry(cell, results) or chr(92) + ' '}\n")
    failed = [r for r in results.values() if r.problem]
    passed = len(results) - len(failed)
    out.append(f"\n{passed} cells passed, {len(failed)} failed.\n")
    for r in failed:
        first = r.problem.splitlines()[0][:200]
        out.append(f"\n* {r.cell}: {first}\n")
    return "".join(out)
