# SPDX-License-Identifier: Apache-2.0
"""
What must be found: the model with one thing done wrong, each by one replacement in its text.

The last four are what the program did before the model had post-copy.
"""
from typing import NamedTuple


class Mutant(NamedTuple):
    what: str
    faults: int  # that it takes
    old: str
    new: str


MUTANTS = (
    Mutant("the target resumes before the Finish reply is delivered", 1,
           "session && told && !resumed && td == IS_paused &&\n                !arriving && word == W_NONE",
           "session && !resumed && td == IS_paused &&\n                !arriving && word == W_NONE"),
    Mutant("the stand-in resumes before the Finish reply is delivered", 1,
           "stand_in && stand_in_told && word == W_NONE ->", "stand_in && word == W_NONE ->"),
    Mutant("that the stand-in has resumed the copy is not recorded", 3,
           "run_target(); seen_running = true; word", "run_target(); word"),
    Mutant("the source resumes when the link is lost in post-copy", 1,
           ":: else -> half_broken = true; phase = P_UNATTENDED",
           ":: else -> half = false; run_source(); phase = P_NONE"),
    Mutant("the target says that it has all of the memory before it has", 1,
           "target_up && lacks && all_there ->", "target_up && lacks ->"),
    Mutant("a recovery that breaks is not tried again", 1,
           "source_up && step == D_RECOVER ->",
           "source_up && step == D_RECOVER && state != ST_recovering ->"),
    Mutant("the target's half is taken for the whole VM", 1,
           "ran = ran_now; lacks_seen = lacks_now;", "ran = ran_now; lacks_seen = false;"),
    Mutant("the source does not record that it asks for the hand-over", 2,
           "fact_asked = true; asked = true", "asked = true"),
    Mutant("what the target has confirmed is recovered", 3,
           "t == IS_unknown && !fact_confirmed ->", "t == IS_unknown ->"),
    Mutant("the target gives up a copy that is gone without asking whether it was handed over", 2,
           "word == W_NONE && !may_have_run_unseen ->", "word == W_NONE ->"),
    Mutant("the target does not know the copy by a session whose id the source has given up", 1,
           "peer_answers && (session || old_session) && (resumed ||",
           "peer_answers && session && (resumed ||"),
)
