/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One move of a VM that runs: both libvirtds, both relays, both droverds, the link, and up to
 * FAULTS deaths of any of them, of the hosts, of QEMU, and cuts of the link, at any step. The target's
 * droverd has somebody who stands in for it: either may be frozen at any step, which here is one that
 * does not come for a while.
 * docs/migration.rst says what is modelled and what is not. The states, their allowed moves
 * and the verdicts come from the program itself: states.pml is printed by table.c.
 *
 * Shown for all interleavings:
 *   - the source never runs while the target runs, nor after it has; and the target never
 *     runs after the source has gone on alone (run_source, run_target);
 *   - when everything is back, the job has ended, exactly one copy is left, and it runs
 *     unless its own QEMU or host died; or the job needs attention, and then for facts
 *     that fit no row (the end of init);
 *   - in post-copy: the source never runs again once the target has, nothing that has run is
 *     abandoned, the source's half is ended only when the target has all of it, and a broken
 *     link is recovered: the job never ends, but for the death of a half, which it says.
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
#define SURVIVES seen_running
#endif

/*
 * A guest that comes to rest lets QEMU switch by itself though the move may use post-copy, and
 * then nothing is paused at the target: a known window as well, which -DRESTS shows.
 */
#ifdef RESTS
#define SWITCHES true
#define STARTS if :: post_copy -> run_target() :: else -> skip fi
#else
#define SWITCHES !post_copy
#define STARTS skip
#endif

/* Where libvirt's migration is at the source; what a libvirtd that starts again does hangs on it. */
#define P_NONE 0
#define P_PERFORM 1  /* copying: recovery cancels, the guest runs */
#define P_SWITCHED 2 /* the guest is stopped: recovery resumes it */
#define P_FINISH 3   /* Finish is called: recovery leaves the guest paused */
#define P_READ 4     /* the reply is read: likewise */
#define P_CONFIRM 5  /* QEMU is ended: recovery leaves the definition */
/* Post-copy only. The hand-over is in P_PERFORM, P_FINISH lasts until all memory is there. */
#define P_UNATTENDED 6 /* a job that nobody works at: it is broken, or QEMU goes on alone */
#define P_RESUME 7     /* a broken one is being recovered */

/* Where the memory of a guest is that was handed over by post-copy, as both QEMUs have it. */
#define M_WHOLE 0    /* it was not */
#define M_HANDING 1  /* stopped at the source, and the target has not got the devices */
#define M_FLOWS 2    /* the target can run, and fetches */
#define M_BROKEN 3   /* both QEMUs wait for a new connection */
#define M_LOST 4     /* broken while handing over: the source's cannot go on, the target's ends */
#define M_GOT 5      /* the target has all of it */
#define M_CUT 6      /* likewise, and the source's QEMU will not hear of it */
#define M_COMPLETE 7 /* both know */

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
#define D_RECOVER 10
#define D_REOPEN 11
#define D_RELINK 12

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

bool post_copy, asked;  /* of the call: it may be handed over; droverd has asked for it */
byte memory = M_WHOLE;
bool half, half_broken; /* the source's libvirt: paused for post-copy; and has lost the way */
bool lacks, lacks_failed; /* the target's: running by post-copy; and has lost the way */
bool finish_runs;       /* its Finish waits for the memory */

bool link = true, broken; /* broken: the relays have noticed, and close everything */
bool source_relay, target_relay;
bool noted, marked, told_relay; /* the Finish reply was read: known to, told by, told to a relay */

bool source_up = true, target_up = true; /* hosts, with all on them */
bool target_droverd = true;
byte step = D_BEGIN;
bool recorded, fact_finish, fact_handed, fact_asked, fact_confirmed; /* in the source's store, with the state */
bool session, resumed_recorded;             /* in the target's store … */
bool old_session;                           /* … one of which the source has forgotten the id */
bool told, resumed;                         /* in the memory of the target's droverd */
bool seen_running;                          /* by any droverd there, or the stand-in, which records it */

/* Who stands in for the target's droverd, and the word that both share (decision.h). */
#define W_NONE 0
#define W_ABANDON 1
#define W_RESUME 2
#define W_RESUMED 3
bool stand_in, stand_in_told;
byte word = W_NONE;

byte faults = FAULTS;
bool source_died, target_died; /* a host or a QEMU: then the guest may be down */
bool has_run_there;            /* the copy at the target has run */
bool went_on_here;             /* the source's guest has run after it had been stopped for the switch */

#define connected (source_relay && target_relay && link && !broken)
#define peer_answers (link && source_up && target_up && target_droverd)
#define source_busy (phase != P_NONE)
#define stopped_for_good (memory == M_BROKEN || memory == M_CUT || memory == M_LOST)
#define finish_refused (phase == P_FINISH && memory == M_COMPLETE && !lacks && !finish_call && \
                        !reply_under_way)
#define all_there (memory == M_GOT || memory == M_CUT || memory == M_COMPLETE)
#define seen_there (resumed || word == W_RESUMED || td == IS_running)
#define told_there (told || word >= W_RESUME || (target_relay && told_relay))

inline run_source() {
    assert(td != IS_running && !has_run_there);
    went_on_here = true;
    sd = IS_running
}

inline now_resumed() {
    resumed = true; seen_running = true
}

inline run_target() {
    assert(sd != IS_running && !went_on_here);
    has_run_there = true;
    td = IS_running
}

/* The connections of both QEMUs end. */
inline lose_stream() {
    if
    :: memory == M_HANDING -> memory = M_LOST
    :: memory == M_FLOWS -> memory = M_BROKEN
    :: memory == M_GOT -> memory = M_CUT
    :: else -> skip
    fi
}

inline lose_link() {
    broken = true;
    lose_stream()
}

inline end_source(into) {
    sd = into; half = false; half_broken = false
}

active proctype source_libvirtd() {
end:
    do
    :: atomic { source_up && called && phase == P_NONE &&
                (!connected || !session || sd != IS_running) -> called = false }
    :: atomic { source_up && called && connected && target_up && session && sd == IS_running ->
           called = false; phase = P_PERFORM; td = IS_paused; arriving = true; control = true }
    :: atomic { source_up && phase == P_PERFORM && connected && control && SWITCHES &&
                memory == M_WHOLE -> phase = P_SWITCHED; sd = IS_paused; asked = false }
    :: atomic { source_up && phase == P_SWITCHED && connected && control ->
           phase = P_FINISH; finish_call = true }
    :: atomic { source_up && phase == P_FINISH && reply_here && source_relay ->
           reply_here = false; phase = P_READ }
    :: atomic { source_up && phase == P_READ ->
           assert(memory == M_WHOLE || all_there);
           phase = P_CONFIRM; end_source(IS_shut_off) }
    :: atomic { source_up && phase == P_CONFIRM ->
           phase = P_NONE; sd = IS_absent; confirmed_ok = true }
    :: atomic { source_up && phase >= P_PERFORM && phase <= P_FINISH &&
                (broken || !source_relay || !control) && !(reply_here && source_relay) &&
                memory == M_WHOLE ->
           if
           :: phase == P_PERFORM -> skip
           :: else -> run_source()
           fi;
           control = false; phase = P_NONE; asked = false }

    /* Post-copy: QEMU stops the guest, libvirt hears of it, its Perform returns. */
    :: atomic { source_up && phase == P_PERFORM && memory == M_WHOLE && connected && control &&
                asked -> asked = false; memory = M_HANDING; sd = IS_paused }
    :: atomic { source_up && phase == P_PERFORM && memory != M_WHOLE && !half ->
           half = true }
    :: atomic { source_up && phase == P_PERFORM && half && connected && control ->
           phase = P_FINISH; finish_call = true }
    :: atomic { source_up && half && (phase == P_PERFORM || phase == P_FINISH) &&
                (broken || !source_relay || !control || stopped_for_good || finish_refused) &&
                !(reply_here && source_relay) ->
           control = false;
           if
           :: memory == M_COMPLETE -> end_source(IS_shut_off); phase = P_NONE
           :: else -> half_broken = true; phase = P_UNATTENDED
           fi }
    :: atomic { source_up && phase == P_UNATTENDED && memory == M_COMPLETE ->
           end_source(IS_shut_off); phase = P_NONE; called = false }
    :: atomic { source_up && phase == P_UNATTENDED && !half_broken && stopped_for_good ->
           half_broken = true }
    :: atomic { source_up && phase == P_UNATTENDED && called ->
           called = false;
           if
           :: half_broken && connected && target_up && lacks && lacks_failed ->
               phase = P_RESUME; control = true; lacks_failed = false; finish_call = false
           :: else -> skip
           fi }
    :: atomic { source_up && phase == P_RESUME && connected && control && memory == M_BROKEN &&
                lacks -> memory = M_FLOWS; half_broken = false; phase = P_FINISH; finish_call = true }
    :: atomic { source_up && phase == P_RESUME &&
                (!connected || !control || memory != M_BROKEN || !lacks) ->
           phase = P_UNATTENDED; control = false }
    od
}

active proctype target_libvirtd() {
end:
    do
    :: atomic { target_up && finish_call && arriving && memory == M_WHOLE ->
           finish_call = false; arriving = false; finish_done = true; reply_under_way = true;
           STARTS }
    :: atomic { target_up && arriving && !lacks && (broken || !control || !target_relay) ->
           arriving = false; finish_call = false; td = IS_absent }

    /* Post-copy: Finish defines the VM, starts the guest, and returns when its memory is there. */
    :: atomic { target_up && finish_call && arriving && !lacks && memory == M_FLOWS ->
           finish_call = false; lacks = true; finish_runs = true; finish_done = true;
           run_target();
           if
           :: target_droverd -> now_resumed() /* by libvirt's event */
           :: else -> skip
           fi }
    :: atomic { target_up && finish_call && arriving && !lacks && stopped_for_good ->
           finish_call = false; arriving = false; td = IS_shut_off }
    :: atomic { target_up && finish_call && !arriving && all_there -> finish_call = false }
    :: atomic { target_up && finish_call && lacks -> finish_call = false; finish_runs = true }
    :: atomic { target_up && lacks && all_there ->
           lacks = false; lacks_failed = false; arriving = false;
           reply_under_way = finish_runs && control; finish_runs = false }
    :: atomic { target_up && lacks && !lacks_failed && memory == M_BROKEN &&
                !(phase == P_RESUME && control) -> lacks_failed = true; finish_runs = false }
    od
}

/* The memory of a guest in post-copy, between the two QEMUs. */
active proctype stream() {
end:
    do
    :: atomic { memory == M_HANDING && connected && arriving -> memory = M_FLOWS }
    :: atomic { memory == M_FLOWS && connected && lacks -> memory = M_GOT }
    :: atomic { memory == M_GOT && connected -> memory = M_COMPLETE }
    od
}

active proctype relays() {
end:
    do
    :: atomic { !link && !broken && (source_relay || target_relay) -> lose_link() }
    :: atomic { reply_under_way && connected -> reply_under_way = false; reply_here = true }
    :: atomic { reply_under_way && (broken || !target_relay || !source_relay) ->
           reply_under_way = false }
    :: atomic { source_relay && !noted && !hung_up &&
                (phase == P_READ || phase == P_CONFIRM || confirmed_ok) -> noted = true }
    :: atomic { noted && !marked && connected -> marked = true; told_relay = true }
    od
}

/* ---- the target's droverd ---- */

/* A session that is closed takes its stand-in and the word along. */
inline end_stand_in() {
    stand_in = false; stand_in_told = false; word = W_NONE
}

/* What abandon() in incoming.c does, under the session's lock; a crash may come before the record goes. */
inline abandon() {
    assert(!has_run_there && word < W_RESUME);
    word = W_ABANDON;
    target_relay = false; lose_link(); told_relay = false;
    arriving = false; finish_call = false; td = IS_absent;
    if
    :: session = false; end_stand_in()
    :: skip
    fi
}

/* Post-copy: an absent copy that nobody has seen run; the source knows if it may have. */
#define may_have_run_unseen \
    (post_copy && \
     (!peer_answers || (fact_asked && (!STATE_ENDED(state) || state == ST_needs_attention))))

active proctype drover_at_target() {
end:
    do
    :: atomic { target_up && target_droverd && session && target_relay && told_relay && !told ->
           told = true }
    :: atomic { target_up && target_droverd && session && !told && word >= W_RESUME -> told = true }
    /* It decides, and may be killed or frozen before it carries that out. */
    :: atomic { target_up && target_droverd && session && told && !resumed && td == IS_paused &&
                !arriving && word == W_NONE -> word = W_RESUME }
    :: atomic { target_up && target_droverd && session && told && !resumed && td == IS_paused &&
                !arriving && word == W_RESUME -> run_target(); word = W_RESUMED; now_resumed() }
    :: atomic { target_up && target_droverd && session && told && !resumed && td == IS_running ->
           now_resumed() }
    :: atomic { target_up && target_droverd && session && !resumed && word == W_RESUMED ->
           told = true; now_resumed() }
    :: atomic { target_up && target_droverd && (session || old_session) && resumed &&
                !resumed_recorded -> resumed_recorded = true }

    /* Post-copy: seen when the link is lost. */
    :: atomic { target_up && target_droverd && (session || old_session) && !resumed && lacks &&
                (broken || !target_relay) -> now_resumed() }
    /* A session of a broken one that no later took over from. */
    :: atomic { peer_answers && old_session && (broken || !target_relay) &&
                (!arriving || lacks) && STATE_ENDED(state) && state != ST_needs_attention ->
           assert(false) /* nobody is left who could close it */ }
    :: atomic { target_up && target_droverd && session && (broken || !target_relay) &&
                td == IS_absent && !resumed && word == W_NONE && !may_have_run_unseen -> word = W_ABANDON }
    :: atomic { peer_answers && session && (broken || !target_relay) && !arriving &&
                !(td == IS_absent && !resumed) && word != W_ABANDON && STATE_ENDED(state) &&
                state != ST_needs_attention ->
           /* A job does not end, but in need of attention, while the copy could have run. */
           assert(!seen_there && !told_there && !lacks);
           word = W_ABANDON }
    /* Decided, as above, before anything is taken away. */
    :: atomic { target_up && target_droverd && session && word == W_ABANDON -> abandon() }
    od
}

/* ---- who stands in for it ---- */

active proctype drover_stand_in() {
end:
    do
    :: atomic { target_up && stand_in && target_relay && told_relay && !stand_in_told ->
           stand_in_told = true }
    :: atomic { target_up && stand_in && stand_in_told && word == W_NONE -> word = W_RESUME }
    :: atomic { target_up && stand_in && stand_in_told && word == W_RESUME && td == IS_paused &&
                !arriving -> run_target(); seen_running = true; word = W_RESUMED }
    :: atomic { stand_in && ((!target_relay && !stand_in_told) || word == W_RESUMED || word == W_ABANDON) ->
           stand_in = false; stand_in_told = false }
    od
}

/* ---- the source's droverd ---- */

byte s, t, verdict;
bool ran, delivered, steady, ok, refused, lost;
bool half_seen, broken_seen, lacks_seen;

#define s_now ((source_busy && !half) -> IS_unknown : sd)
#define t_now ((!peer_answers || (arriving && !lacks)) -> IS_unknown : td)
#define lacks_now (peer_answers && lacks)
#define ran_now (fact_handed || (fact_asked && (s == IS_shut_off || s == IS_absent)) || \
                 (peer_answers && (session || old_session) && seen_there))
#define delivered_now (fact_finish || (noted && source_relay) || \
                       (peer_answers && (session || old_session) && td != IS_absent && told_there))
/* That nothing has changed: while libvirt works a job is on the domain, so it is never "so for a while". */
#define nothing_new (s == s_now && t == t_now && ran == ran_now && delivered == delivered_now && \
                     half_seen == half && lacks_seen == lacks_now && !under_way)
/* A post-copy has a job of libvirt all the time: these ends of it come by themselves, and soon. */
#define under_way ((lacks && all_there) || \
                   (half && (phase == P_READ || (memory == M_COMPLETE && phase != P_NONE))))

short facts;

/* What settle.c says of what was seen. */
inline settle(is_steady) {
    facts = FACTS(s, t, ran, delivered, is_steady, half_seen, broken_seen, lacks_seen);
    verdict = SETTLE(facts);
    facts = 0
}

/* What was seen is of no use any more: fewer states. */
inline forget() {
    s = 0; t = 0; ran = false; delivered = false; steady = false; lost = false; ok = false;
    half_seen = false; broken_seen = false; lacks_seen = false; verdict = VERDICT_wait
}

/* POST …/finish; the answer may be lost. */
inline call_finish() {
    ok = false; refused = false;
    if
    :: peer_answers && (session || old_session) && (resumed || td == IS_running) ->
        session = false; old_session = false; target_relay = false; lose_link(); end_stand_in();
        ok = true
    :: peer_answers && session && !resumed && td == IS_paused && !arriving && word != W_ABANDON ->
        run_target(); now_resumed();
        session = false; target_relay = false; lose_link(); end_stand_in(); ok = true
    :: peer_answers && !session && !old_session && td == IS_running -> ok = true
    :: else -> refused = peer_answers
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
    :: peer_answers && session && !(seen_there) && !(td != IS_absent && told_there) && word < W_RESUME ->
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
           :: peer_answers ->
               session = true; target_relay = true; stand_in = true; word = W_NONE; step = D_OPENED
           :: !peer_answers -> step = D_GIVE_UP
           fi }
    :: atomic { source_up && step == D_OPENED ->
           if
           :: link && target_relay && !broken -> source_relay = true; step = D_LINKED
           :: else -> step = D_GIVE_UP
           fi }
    :: atomic { source_up && step == D_LINKED ->
           if
           :: post_copy = true
           :: skip
           fi;
           if
           :: enter(ST_copying_disks)
           :: enter(ST_copying_memory)
           fi;
           step = D_CALL }
    :: atomic { source_up && step == D_CALL -> called = true; step = D_WATCH }
    :: atomic { source_up && step == D_GIVE_UP ->
           call_abandon(); source_relay = false; lose_link(); enter(ST_failed); step = D_ENDED; forget() }

    /* Watching; cancelling is one more way for libvirt's job to end. */
    :: atomic { source_up && step == D_WATCH && state == ST_copying_disks && phase == P_PERFORM ->
           enter(ST_copying_memory) }
    :: atomic { source_up && step == D_WATCH && !half &&
                (phase >= P_SWITCHED || (phase == P_PERFORM && memory != M_WHOLE)) &&
                (state == ST_copying_disks || state == ST_copying_memory) -> enter(ST_switching) }
    :: atomic { source_up && step == D_WATCH && post_copy && !asked && phase == P_PERFORM &&
                memory == M_WHOLE && (state == ST_copying_disks || state == ST_copying_memory) ->
           fact_asked = true; asked = true }
    :: atomic { source_up && step == D_WATCH && half &&
                (state == ST_copying_disks || state == ST_copying_memory ||
                 state == ST_switching || state == ST_recovering) ->
           if
           :: state == ST_copying_disks -> enter(ST_copying_memory)
           :: else -> skip
           fi;
           enter(ST_post_copy) }
    /* Libvirt's call has returned; one who has taken it up sees only that it is broken. */
    :: atomic { source_up && step == D_WATCH && !called &&
                (!source_busy || phase == P_UNATTENDED || (phase == P_RESUME && half_broken)) ->
           if
           :: state == ST_post_copy || state == ST_recovering -> skip
           :: else -> enter(ST_finishing)
           fi;
           step = D_FINISH }
    :: atomic { source_up && step == D_TAKE_UP ->
           if
           :: STATE_ENDED(state) -> step = D_ENDED
           :: state == ST_planned -> enter(ST_preparing); enter(ST_failed); step = D_ENDED
           :: !STATE_ENDED(state) && state != ST_planned -> step = D_WATCH
           fi }

    /* Finishing: both ends are asked one after the other, then the table of settle.c decides. */
    :: atomic { ALIVE && fact_confirmed && !source_busy &&
                (sd == IS_absent || sd == IS_shut_off) ->
           sd = IS_absent; source_relay = false; lose_link();
           enter(ST_done); step = D_ENDED; forget() }
    :: atomic { ALIVE -> s = s_now; half_seen = half; broken_seen = half_broken };
       if
       :: atomic { ALIVE -> t = t_now; ran = ran_now; lacks_seen = lacks_now;
              lost = !peer_answers }
       :: !(ALIVE) -> goto end
       fi;
       if
       :: atomic { ALIVE -> delivered = delivered_now; fact_finish = delivered;
              steady = nothing_new;
              settle(steady);
              if
              :: verdict == VERDICT_recover && fact_confirmed -> verdict = VERDICT_wait
              :: verdict == VERDICT_wait && broken_seen && t == IS_unknown && !fact_confirmed ->
                  verdict = VERDICT_recover
              :: verdict != VERDICT_wait && verdict != VERDICT_recover -> enter(ST_finishing)
              :: else -> skip
              fi }
       :: !(ALIVE) -> goto end
       fi;
       if
       :: atomic { ALIVE && verdict == VERDICT_recover -> step = D_RECOVER; forget() }
       :: atomic { ALIVE && verdict == VERDICT_done ->
              fact_handed = true;
              call_finish();
              if
              :: ok -> fact_confirmed = true
              :: !ok && refused && !fact_confirmed && nothing_new -> /* for as long as patience lasts */
                  enter(ST_needs_attention); step = D_ENDED
              :: else -> skip
              fi;
              refused = false }
       :: atomic { ALIVE && verdict == VERDICT_complete ->
              fact_handed = true;
              call_finish();
              if
              :: ok -> fact_confirmed = true
              :: else -> skip
              fi };
          if
          :: atomic { ALIVE && ok && sd == IS_paused && (!source_busy || half) ->
                 assert(!half || (all_there && !lacks));
                 phase = P_NONE; end_source(IS_absent) }
          :: atomic { ALIVE && !(ok && sd == IS_paused && (!source_busy || half)) }
          :: !(ALIVE) -> goto end
          fi
       :: atomic { ALIVE && verdict == VERDICT_roll_back -> call_abandon() };
          if
          :: atomic { ALIVE && ok ->
                 if
                 :: s == IS_paused && sd == IS_paused -> run_source()
                 :: else -> skip
                 fi;
                 source_relay = false; lose_link();
                 enter(ST_rolled_back); step = D_ENDED; forget() }
          :: ALIVE && !ok
          :: !(ALIVE) -> goto end
          fi
       :: atomic { ALIVE && verdict == VERDICT_attention ->
              enter(ST_needs_attention); step = D_ENDED }
       :: atomic { ALIVE && verdict == VERDICT_wait && lost && s == IS_running ->
              /* Patience with a lost target is over: the source runs, that is safe. */
              source_relay = false; lose_link(); enter(ST_rolled_back); step = D_ENDED; forget() }
       :: atomic { ALIVE && verdict == VERDICT_wait && lost && s != IS_running &&
                   s != IS_unknown && !half_seen -> enter(ST_needs_attention); step = D_ENDED }
       :: ALIVE && verdict == VERDICT_wait && !(nothing_new && steady && broken_seen == half_broken)
       :: !(ALIVE) -> goto end
       fi

    /* A broken post-copy: both relays end, the job has a new session, the target takes it over. */
    :: atomic { source_up && step == D_RECOVER ->
           enter(ST_recovering); source_relay = false; lose_link();
           old_session = old_session || session; session = false; step = D_REOPEN }
    :: atomic { source_up && step == D_REOPEN ->
           if
           :: peer_answers && lacks ->
               session = true; old_session = false; now_resumed(); resumed_recorded = true;
               told = false; told_relay = false; target_relay = true; broken = false;
               end_stand_in();
               step = D_RELINK
           :: peer_answers && td == IS_running && !lacks -> step = D_FINISH
           :: !peer_answers || (td != IS_running) -> step = D_FINISH
           fi }
    :: atomic { source_up && step == D_RELINK ->
           if
           :: link && target_relay && !broken ->
               source_relay = true; noted = false; marked = false; hung_up = false;
               reply_here = false; reply_under_way = false; called = true; step = D_WATCH
           :: else -> lose_link(); step = D_FINISH
           fi }

    /* Reconcile: looked at again, and taken up only if it fits by now. */
    :: atomic { source_up && step == D_ENDED && state == ST_needs_attention &&
                (!source_busy || half) && peer_answers && (!arriving || lacks) && !nothing_new ->
           s = s_now; t = t_now; ran = ran_now; delivered = delivered_now;
           half_seen = half; broken_seen = half_broken; lacks_seen = lacks_now;
           settle(true);
           if
           :: verdict == VERDICT_done || verdict == VERDICT_roll_back ||
              verdict == VERDICT_complete || verdict == VERDICT_recover ->
               enter(ST_finishing); step = D_FINISH
           :: else -> skip
           fi }
    od
}

/* ---- faults ---- */

inline source_libvirtd_dies() {
    if
    :: phase == P_SWITCHED -> run_source(); phase = P_NONE
    /* It cancels. QEMU goes on if libvirt does not know yet that it was for post-copy. */
    :: phase == P_PERFORM && memory != M_WHOLE ->
        memory = M_LOST; phase = P_NONE;
        if
        :: !half -> run_source()
        :: else -> skip
        fi
    /* Finish is called: QEMU goes on alone, or waits. */
    :: half && phase != P_PERFORM -> phase = P_UNATTENDED
    :: else -> phase = P_NONE
    fi;
    called = false; asked = false; control = false; reply_here = false; hung_up = true
}

inline target_libvirtd_dies() {
    control = false; finish_call = false; finish_runs = false;
    if
    :: arriving && lacks -> skip /* QEMU goes on alone, or waits */
    :: arriving && !lacks ->
        arriving = false; lose_stream();
        if
        :: td = IS_absent
        :: memory != M_WHOLE -> td = IS_shut_off /* Finish had defined it */
        fi
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
    phase = P_NONE; called = false; control = false; source_relay = false; lose_link();
    asked = false; half = false; half_broken = false;
    reply_here = false; hung_up = true; step = D_TAKE_UP; source_up = false; forget();
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
    control = false; target_relay = false; lose_link(); finish_call = false;
    finish_runs = false;
    reply_under_way = false; told_relay = false; told = false; resumed = SURVIVES;
    end_stand_in();
    resumed_recorded = resumed;
    arriving = false; target_up = false; target_died = true;
    if
    :: finish_done && td != IS_absent -> td = IS_shut_off
    :: lacks -> td = IS_absent /* a transient VM */
    :: else -> td = IS_absent
    fi;
    lacks = false; lacks_failed = false
}

active proctype nature() {
end:
    do
    :: atomic { faults > 0 -> faults = 0 }
    :: atomic { faults > 0 && source_up -> faults--; source_libvirtd_dies() }
    :: atomic { faults > 0 && target_up -> faults--; target_libvirtd_dies() }
    :: atomic { faults > 0 && source_relay -> faults--;
           source_relay = false; lose_link(); reply_here = false }
    :: atomic { faults > 0 && target_relay -> faults--;
           target_relay = false; lose_link(); told_relay = false }
    :: atomic { faults > 0 && link -> faults--; link = false }
    :: atomic { faults > 0 && source_up && step != D_TAKE_UP -> faults--; step = D_TAKE_UP;
           forget() }
    :: atomic { faults > 0 && target_droverd -> faults--;
           target_droverd = false; told = false; resumed = resumed_recorded }
    :: atomic { faults > 0 && stand_in -> faults--; stand_in = false; stand_in_told = false }
    :: atomic { faults > 0 && source_up -> faults--; source_host_dies() }
    :: atomic { faults > 0 && target_up -> faults--; target_host_dies() }
    :: atomic { faults > 0 && (sd == IS_running || sd == IS_paused) &&
                (phase <= P_SWITCHED || half) ->
           faults--; end_source(IS_shut_off); source_died = true; phase = P_NONE;
           control = false; called = false; asked = false; lose_stream() }
    :: atomic { faults > 0 && td != IS_absent && td != IS_shut_off ->
           faults--; target_died = true; lose_stream();
           if
           :: arriving && !lacks ->
               arriving = false; finish_call = false; control = false; td = IS_absent
           :: else ->
               if
               :: td = IS_shut_off
               :: lacks -> td = IS_absent /* a transient VM */
               fi;
               arriving = false; finish_call = false; lacks = false; lacks_failed = false;
               finish_runs = false
           fi }

    /* Everything comes back. */
    :: atomic { !link -> link = true }
    :: atomic { !target_droverd ->
           target_droverd = true; stand_in = target_up && session && !resumed }
    :: atomic { !source_up -> source_up = true }
    :: atomic { !target_up -> target_up = true }
    od
}

active proctype rest() {
    timeout;
    if
    :: state == ST_done ->
        assert(sd == IS_absent && !session && !old_session && !source_relay && !lacks);
        assert(td == IS_running ||
               (td == IS_shut_off && target_died))
    :: state == ST_rolled_back || state == ST_failed ->
        assert(td == IS_absent && !session && !old_session && !source_relay && !half);
        assert(!has_run_there);
        assert(sd == IS_running || (sd == IS_shut_off && (source_died || target_died)))
    :: state == ST_needs_attention ->
        d_step {
            s = sd; t = td; ran = ran_now; delivered = delivered_now;
            half_seen = half; broken_seen = half_broken; lacks_seen = lacks;
            settle(true)
        };
        /*
         * Or it is off at both ends and the target does not confirm it: its answer was lost, or the
         * hand-over broke when the VM was defined there, and the source has died since.
         */
        assert(verdict == VERDICT_attention ||
               (verdict == VERDICT_done && td == IS_shut_off &&
                (target_died || (post_copy && !has_run_there))));
        /*
         * Never for want of a decision: the guest's own end came before; or the source's
         * libvirtd was ending the guest and died before anybody knew why; or post-copy broke
         * before the target ran, and QEMU cannot take the source's up again.
         */
        assert(source_died || target_died || (sd == IS_shut_off && td == IS_paused) ||
               (half && !has_run_there && td != IS_running))
    :: else -> assert(false)
    fi
}
