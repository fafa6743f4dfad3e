/* SPDX-License-Identifier: Apache-2.0 */
/* What the witness's client prints: the guest's status read, and all of it as JSON. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "history.h"

struct witness_status {
    uint64_t number, nonce, clock_ns;
    char boot[40];
    uint64_t memory_bytes, passes, errors, generation, rewritten, checked;
    uint64_t fault_offset, fault_expected, fault_found;
    uint64_t disk_slots, disk_highest, disk_oldest, disk_missing, disk_damaged;
    uint64_t disk_acknowledged, disk_errors, disk_started_at;
    uint64_t work, work_ns;
    uint64_t verify_wanted, verify_memory_done, verify_disk_done;
};

/** witness_status_parse() - reads a "status" line; false if it is not a whole one. */
bool witness_status_parse(const char *line, struct witness_status *out);

enum { WITNESS_MAX_SERIES = 3600 };

/* What the guest got done, from status to status. */
struct witness_series {
    struct witness_point {
        double at_s, work_per_s, speed, rewritten_mib_s;
    } point[WITNESS_MAX_SERIES];
    unsigned points;
    bool have_last;
    uint64_t last_at_ns;
    struct witness_status last;
};

/** witness_series_add() - a status that came @at_ns after the start. */
void witness_series_add(struct witness_series *s, uint64_t at_ns, const struct witness_status *status);

/* Each prints members of an object, without the braces and without a comma at the end. */
void witness_report_history(FILE *out, const struct witness_history *h);
void witness_report_series(FILE *out, const struct witness_series *s);

/**
 * witness_report_status() - @status may be NULL: the guest did not answer at the end.
 * @acknowledged: highest record that the client was told is on the disk
 * @verified: the guest has just checked all of its memory and disk
 * Return: true if memory is wrong or a write was lost
 */
bool witness_report_status(FILE *out, const struct witness_status *status, uint64_t acknowledged, bool verified);
