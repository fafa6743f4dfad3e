/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One move of a VM that runs: both libvirtds, both relays, both droverds, the link, and up to
 * FAULTS deaths of any of them, of the hosts, of QEMU, and cuts of the link, at any step.
 * docs/migration.rst says what is modelled and what is not. The states, their allowed moves
 * and the verdicts come from the program itself: states.pml is printed by table.c.
 *
 * Shown for all interleavings:
 *   - the source never runs while the target runs, nor after it has; and the target never
 *     runs after the source has gone on alone (run_source, run_target);
 *   - when everything is back, the job has ended, exactly one copy is left, and it runs
 *     unless its own QEMU or host died; or the job needs attention, and then for facts
 *     that fit no row (the end of init).
 */
#include "states.pml"

#ifndef FAULTS
#define FAULTS 2
#endif

/*
 * The one window that three faults at once find: the target's host dies within the
 * milliseconds between the resume and its record, and the source's libvirtd and relay, who
 * know as well, have died just before. -DWINDOW shows it; without it the record is as good as
 * there with the resume, and nothing else is found.
 */
#ifdef WINDOW
#define SURVIVES resumed_recorded
#else
#define SURVIVES resumed
#endif

/* Where libvirt's migration is at the source; what a libvirtd that starts again does hangs on it. */
#define P_NONE 0
#define P_PERFORM 1  /* copying: recovery cancels, the guest runs */
#define P_SWITCHED 2 /* the guest is stopped: recovery resumes it */
#define P_FINISH 3   /* Finish is called: recovery leaves the guest paused */
#define P_READ 4     /* the reply is read: likewise */
#define P_CONFIRM 5  /* QEMU is ended: recovery leaves the definition */

/* The steps of the source's droverd; a restart begins at D_TAKE_UP. */
#define D_BEGIN 0
#define D_RECORDED 1
#define D_OPENED 2
#define D_LINKED 3
#define D_CALL 4
#define D_WATCH 5
#define D_FINISH 6
#define D_TAKE_UP 7
#define D_GIVE_UP 8
#define D_ENDED 9

byte state = ST_planned;
byte sd = IS_running; /* the domain at the source, as libvirt has it */
byte td = IS_absent;  /* and at the target */
byte phase = P_NONE;
bool called;          /* droverd's call has reached the source's libvirtd */
bool arriving;        /* the target's libvirtd has a job on it */
bool control;         /* libvirt's connection between the two */
bool finish_call, finish_done, reply_under_way, reply_here;
bool confirmed_ok;    /* libvirt at the source was through with success */
bool hung_up;         /* the source's libvirtd died: its relay cannot tell what it had read */

bool link = true, broken; /* broken: the relays have noticed, and close everything */
bool source_relay, target_relay;
bool noted, marked, told_relay; /* the Finish reply was read: known to, told by, told to a relay */

bool source_up = true, target_up = true; /* hosts, with all on them */
bool target_droverd = true;
byte step = D_BEGIN;
bool recorded, fact_finish, fact_handed, fact_confirmed; /* in the source's store, with the state */
bool session, resumed_recorded;             /* in the target's store */
bool told, resumed;                         /* in the memory of the target's droverd */

byte faults = FAULTS;
bool source_died, target_died; /* a host or a QEMU: then the guest may be down */
bool has_run_there;            /* the copy at the target has run */
bool went_on_here;             /* the source's guest has run after it had been stopped for the switch */

#define connected (source_relay && target_relay && link && !broken)
#define peer_answers (link && source_up && target_up && target_droverd)
#define source_busy (phase != P_NONE)
#define seen_there (resumed || td == IS_running)
#define told_there (told || (target_relay && told_relay))

inline run_source() {
    assert(td != IS_running && !has_run_there);
    went_on_here = true;
    sd = IS_running
}

inline run_target() {
    assert(sd != IS_running && !went_on_here);
    has_run_there = true;
    td = IS_running
}

active proctype source_libvirtd() {
end:
    do
    :: atomic { source_up && called && (!connected || !session || sd != IS_running) ->
           called = false }
    :: atomic { source_up && called && connected && target_up && session && sd == IS_running ->
           called = false; phase = P_PERFORM; td = IS_paused; arriving = true; control = true }
    :: atomic { source_up && phase == P_PERFORM && connected && control ->
           phase = P_SWITCHED; sd = IS_paused }
    :: atomic { source_up && phase == P_SWITCHED && connected && control ->
           phase = P_FINISH; finish_call = true }
    :: atomic { source_up && phase == P_FINISH && reply_here && source_relay ->
           reply_here = false; phase = P_READ }
    :: atomic { source_up && phase == P_READ -> phase = P_CONFIRM; sd = IS_shut_off }
    :: atomic { source_up && phase == P_CONFIRM ->
           phase = P_NONE; sd = IS_absent; confirmed_ok = true }
    :: atomic { source_up && phase >= P_PERFORM && phase <= P_FINISH &&
                (broken || !source_relay || !control) && !(reply_here && source_relay) ->
           if
           :: phase == P_PERFORM -> skip
           :: else -> run_source()
           fi;
           control = false; phase = P_NONE }
    od
}

active proctype target_libvirtd() {
end:
    do
    :: atomic { target_up && finish_call && arriving ->
           finish_call = false; arriving = false; finish_done = true; reply_under_way = true }
    :: atomic { target_up && arriving && (broken || !control || !target_relay) ->
           arriving = false; finish_call = false; td = IS_absent }
    od
}

active proctype relays() {
end:
    do
    :: atomic { !link && !broken && (source_relay || target_relay) -> broken = true }
    :: atomic { reply_under_way && connected -> reply_under_way = false; reply_here = true }
    :: atomic { reply_under_way && (broken || !target_relay || !source_relay) ->
           reply_under_way = false }
    :: atomic { source_relay && !noted && !hung_up && (phase >= P_READ || confirmed_ok) ->
           noted = true }
    :: atomic { noted && !marked && connected -> marked = true; told_relay = true }
    od
}

/* ---- the target's droverd ---- */

/* What abandon() in incoming.c does, under the session's lock; a crash may come before the record goes. */
inline abandon() {
    target_relay = false; broken = true; told_relay = false;
    arriving = false; finish_call = false; td = IS_absent;
    if
    :: session = false
    :: skip
    fi
}

active proctype drover_at_target() {
end:
    do
    :: atomic { target_up && target_droverd && session && target_relay && told_relay && !told ->
           told = true }
    :: atomic { target_up && target_droverd && session && told && !resumed && td == IS_paused &&
                !arriving -> run_target(); resumed = true }
    :: atomic { target_up && target_droverd && session && told && !resumed && td == IS_running ->
           resumed = true }
    :: atomic { target_up && target_droverd && session && resumed && !resumed_recorded ->
           resumed_recorded = true }
    :: atomic { target_up && target_droverd && session && (broken || !target_relay) &&
                td == IS_absent && !resumed -> abandon() }
    :: atomic { peer_answers && session && (broken || !target_relay) && !arriving &&
                !(td == IS_absent && !resumed) && STATE_ENDED(state) &&
                state != ST_needs_attention ->
           /* A job does not end, but in need of attention, while the copy could have run. */
           assert(!seen_there && !told_there);
           abandon() }
    od
}

/* ---- the source's droverd ---- */

byte s, t, verdict;
bool ran, delivered, steady, ok, lost;

#define s_now (source_busy -> IS_unknown : sd)
#define t_now ((!peer_answers || arriving) -> IS_unknown : td)
#define ran_now (fact_handed || (peer_answers && session && seen_there))
#define delivered_now (fact_finish || (noted && source_relay) || \
                       (peer_answers && session && td != IS_absent && told_there))
/* That nothing has changed: while libvirt works a job is on the domain, so it is never "so for a while". */
#define nothing_new (s == s_now && t == t_now && ran == ran_now && delivered == delivered_now)

/* POST …/finish; the answer may be lost. */
inline call_finish() {
    ok = false;
    if
    :: peer_answers && session && (resumed || td == IS_running) ->
        session = false; target_relay = false; ok = true
    :: peer_answers && session && !resumed && td == IS_paused && !arriving ->
        run_target(); resumed = true;
        session = false; target_relay = false; ok = true
    :: peer_answers && !session && td == IS_running -> ok = true
    :: else -> skip
    fi;
    if
    :: faults > 0 && ok -> faults--; ok = false
    :: skip
    fi
}

/* DELETE …; refused for a copy that has run. */
inline call_abandon() {
    ok = false;
    if
    :: peer_answers && !session -> ok = true
    :: peer_answers && session && td != IS_absent && (seen_there || told_there) -> skip
    :: peer_answers && session && !(seen_there) && !(td != IS_absent && told_there) ->
        abandon(); ok = true
    :: else -> skip
    fi;
    if
    :: faults > 0 && ok -> faults--; ok = false
    :: skip
    fi
}

#define ALIVE source_up && step == D_FINISH

active proctype drover_at_source() {
end:
    do
    :: atomic { source_up && step == D_BEGIN -> enter(ST_preparing); recorded = true;
           step = D_RECORDED }
    :: atomic { source_up && step == D_RECORDED ->
           if
           :: peer_answers -> session = true; target_relay = true; step = D_OPENED
           :: !peer_answers -> step = D_GIVE_UP
           fi }
    :: atomic { source_up && step == D_OPENED ->
           if
           :: link && target_relay && !broken -> source_relay = true; step = D_LINKED
           :: else -> step = D_GIVE_UP
           fi }
    :: atomic { source_up && step == D_LINKED ->
           if
           :: enter(ST_copying_disks)
           :: enter(ST_copying_memory)
           fi;
           step = D_CALL }
    :: atomic { source_up && step == D_CALL -> called = true; step = D_WATCH }
    :: atomic { source_up && step == D_GIVE_UP ->
           call_abandon(); source_relay = false; broken = true; enter(ST_failed); step = D_ENDED }

    /* Watching; cancelling is one more way for libvirt's job to end. */
    :: atomic { source_up && step == D_WATCH && state == ST_copying_disks && phase == P_PERFORM ->
           enter(ST_copying_memory) }
    :: atomic { source_up && step == D_WATCH && phase >= P_SWITCHED &&
                (state == ST_copying_disks || state == ST_copying_memory) -> enter(ST_switching) }
    :: atomic { source_up && step == D_WATCH && !called && !source_busy ->
           enter(ST_finishing); step = D_FINISH }
    :: atomic { source_up && step == D_TAKE_UP ->
           if
           :: STATE_ENDED(state) -> step = D_ENDED
           :: state == ST_planned -> enter(ST_preparing); enter(ST_failed); step = D_ENDED
           :: !STATE_ENDED(state) && state != ST_planned -> step = D_WATCH
           fi }

    /* Finishing: both ends are asked one after the other, then the table of settle.c decides. */
    :: atomic { ALIVE && fact_confirmed && !source_busy &&
                (sd == IS_absent || sd == IS_shut_off) ->
           sd = IS_absent; source_relay = false; broken = true;
           enter(ST_done); step = D_ENDED }
    :: atomic { ALIVE -> s = s_now };
       if
       :: atomic { ALIVE -> t = t_now; ran = ran_now; lost = !peer_answers }
       :: !(ALIVE) -> goto end
       fi;
       if
       :: atomic { ALIVE -> delivered = delivered_now; fact_finish = delivered;
              steady = nothing_new; settle(s, t, ran, delivered, steady, verdict) }
       :: !(ALIVE) -> goto end
       fi;
       if
       :: atomic { ALIVE && verdict == VERDICT_done ->
              fact_handed = true;
              call_finish();
              if
              :: ok -> fact_confirmed = true
              :: else -> skip
              fi }
       :: atomic { ALIVE && verdict == VERDICT_complete ->
              fact_handed = true;
              call_finish();
              if
              :: ok -> fact_confirmed = true
              :: else -> skip
              fi };
          if
          :: atomic { ALIVE && ok && sd == IS_paused && !source_busy -> sd = IS_absent }
          :: atomic { ALIVE && !(ok && sd == IS_paused && !source_busy) }
          :: !(ALIVE) -> goto end
          fi
       :: atomic { ALIVE && verdict == VERDICT_roll_back -> call_abandon() };
          if
          :: atomic { ALIVE && ok ->
                 if
                 :: s == IS_paused && sd == IS_paused -> run_source()
                 :: else -> skip
                 fi;
                 source_relay = false; broken = true; enter(ST_rolled_back); step = D_ENDED }
          :: ALIVE && !ok
          :: !(ALIVE) -> goto end
          fi
       :: atomic { ALIVE && verdict == VERDICT_attention ->
              enter(ST_needs_attention); step = D_ENDED }
       :: atomic { ALIVE && verdict == VERDICT_wait && lost && s == IS_running ->
              /* Patience with a lost target is over: the source runs, that is safe. */
              source_relay = false; broken = true; enter(ST_rolled_back); step = D_ENDED }
       :: atomic { ALIVE && verdict == VERDICT_wait && lost && s != IS_running &&
                   s != IS_unknown -> enter(ST_needs_attention); step = D_ENDED }
       :: ALIVE && verdict == VERDICT_wait && !(nothing_new && steady)
       :: !(ALIVE) -> goto end
       fi

    /* Reconcile: looked at again, and taken up only if it fits by now. */
    :: atomic { source_up && step == D_ENDED && state == ST_needs_attention && !source_busy &&
                peer_answers && !arriving && !nothing_new ->
           s = s_now; t = t_now; ran = ran_now; delivered = delivered_now;
           settle(s, t, ran, delivered, true, verdict);
           if
           :: verdict == VERDICT_done || verdict == VERDICT_roll_back ||
              verdict == VERDICT_complete -> enter(ST_finishing); step = D_FINISH
           :: else -> skip
           fi }
    od
}

/* ---- faults ---- */

inline source_libvirtd_dies() {
    if
    :: phase == P_SWITCHED -> run_source()
    :: else -> skip
    fi;
    phase = P_NONE; called = false; control = false; reply_here = false; hung_up = true
}

inline target_libvirtd_dies() {
    control = false; finish_call = false;
    if
    :: arriving -> arriving = false; td = IS_absent
    :: finish_done && td == IS_paused && reply_under_way ->
        /* Its phase is still Finish: libvirt may kill the copy when it starts again. */
        reply_under_way = false;
        if
        :: td = IS_shut_off
        :: skip
        fi
    :: else -> skip
    fi
}

inline source_host_dies() {
    phase = P_NONE; called = false; control = false; source_relay = false; broken = true;
    reply_here = false; hung_up = true; step = D_TAKE_UP; source_up = false;
    if
    :: sd == IS_running || sd == IS_paused -> sd = IS_shut_off; source_died = true
    /* Ended for a copy that has not heard of it: the power failed in the middle. */
    :: sd == IS_shut_off && !has_run_there -> source_died = true
    /* The removed definition may not have been written to the disk yet. */
    :: sd == IS_absent && confirmed_ok && !STATE_ENDED(state) ->
        sd = IS_shut_off;
        if
        :: !has_run_there -> source_died = true
        :: else -> skip
        fi
    :: else -> skip
    fi
}

inline target_host_dies() {
    control = false; target_relay = false; broken = true; finish_call = false;
    reply_under_way = false; told_relay = false; told = false; resumed = SURVIVES;
    arriving = false; target_up = false; target_died = true;
    if
    :: finish_done && td != IS_absent -> td = IS_shut_off
    :: else -> td = IS_absent
    fi
}

active proctype nature() {
end:
    do
    :: atomic { faults > 0 -> faults = 0 }
    :: atomic { faults > 0 && source_up -> faults--; source_libvirtd_dies() }
    :: atomic { faults > 0 && target_up -> faults--; target_libvirtd_dies() }
    :: atomic { faults > 0 && source_relay -> faults--;
           source_relay = false; broken = true; reply_here = false }
    :: atomic { faults > 0 && target_relay -> faults--;
           target_relay = false; broken = true; told_relay = false }
    :: atomic { faults > 0 && link -> faults--; link = false }
    :: atomic { faults > 0 && source_up && step != D_TAKE_UP -> faults--; step = D_TAKE_UP }
    :: atomic { faults > 0 && target_droverd -> faults--;
           target_droverd = false; told = false; resumed = resumed_recorded }
    :: atomic { faults > 0 && source_up -> faults--; source_host_dies() }
    :: atomic { faults > 0 && target_up -> faults--; target_host_dies() }
    :: atomic { faults > 0 && (sd == IS_running || sd == IS_paused) && phase <= P_SWITCHED ->
           faults--; sd = IS_shut_off; source_died = true; phase = P_NONE; control = false;
           called = false }
    :: atomic { faults > 0 && td != IS_absent && td != IS_shut_off ->
           faults--; target_died = true;
           if
           :: arriving -> arriving = false; finish_call = false; control = false; td = IS_absent
           :: else -> td = IS_shut_off
           fi }

    /* Everything comes back. */
    :: atomic { !link -> link = true }
    :: atomic { !target_droverd -> target_droverd = true }
    :: atomic { !source_up -> source_up = true }
    :: atomic { !target_up -> target_up = true }
    od
}

active proctype rest() {
    timeout;
    if
    :: state == ST_done ->
        assert(sd == IS_absent && !session && !source_relay);
        assert(td == IS_running || (td == IS_shut_off && target_died))
    :: state == ST_rolled_back || state == ST_failed ->
        assert(td == IS_absent && !session && !source_relay);
        assert(sd == IS_running || (sd == IS_shut_off && (source_died || target_died)))
    :: state == ST_needs_attention ->
        d_step { settle(sd, td, ran_now, delivered_now, true, verdict) };
        assert(verdict == VERDICT_attention);
        /*
         * Never for want of a decision: the guest's own end came before; or the source's
         * libvirtd was ending the guest and died before anybody knew why.
         */
        assert(source_died || target_died || (sd == IS_shut_off && td == IS_paused))
    :: else -> assert(false)
    fi
}
