/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client has seen of a witness: each gap between answers, and whether the answers can
 * come from one guest that never went back. Takes no clock and no socket: times are given.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { WITNESS_MAX_GAPS = 256, WITNESS_MAX_BOOTS = 32, WITNESS_RECENT = 4096, WITNESS_OVERTAKEN = 256 };

/*
 * A guest whose processors stood still for longer than its clock source can count (80 s, seen in
 * post-copy without a link) sets its own clock back by less than a tick.
 */
#define WITNESS_CLOCK_SLACK_NS 10000000u

struct witness_answer {
    uint64_t seq;          /* of the question */
    uint64_t number;       /* the guest's running number */
    uint64_t nonce;        /* of the guest's boot */
    uint64_t clock_ns;     /* the guest's, since its boot */
    uint64_t acknowledged; /* highest record on its disk */
};

struct witness_gap {
    uint64_t at_ns, length_ns; /* began at, since the start of watching */
};

struct witness_history {
    uint64_t start_ns, last_ns, remember_over_ns;
    uint64_t answered, network_duplicates;
    uint64_t backwards;      /* number, or clock by more than the slack, went back within a boot */
    uint64_t overtaken;      /* answers that others overtook on the network: no fault */
    uint64_t answered_twice; /* one question, two different answers */
    uint64_t boots_returned; /* answers of a boot after those of a later one */
    struct witness_gap longest, gap[WITNESS_MAX_GAPS];
    unsigned gaps, gaps_left_out;
    struct {
        uint64_t nonce, at_ns, number, clock_ns;
    } boot[WITNESS_MAX_BOOTS];
    unsigned boots;
    uint64_t acknowledged; /* highest ever told */
    struct witness_answer recent[WITNESS_RECENT];
    uint64_t given[WITNESS_RECENT]; /* numbers of the newest boot, by their remainder */
};

/** witness_history_init() - begins at @now_ns; gaps longer than @remember_over_ns are listed. */
void witness_history_init(struct witness_history *h, uint64_t now_ns, uint64_t remember_over_ns);

/** witness_history_answer() - an answer has come. */
void witness_history_answer(struct witness_history *h, uint64_t now_ns, const struct witness_answer *a);

/** witness_history_end() - watching ends: the time since the last answer is a gap, too. */
void witness_history_end(struct witness_history *h, uint64_t now_ns);

/** witness_history_split() - true if the answers cannot come from one guest. */
bool witness_history_split(const struct witness_history *h);
