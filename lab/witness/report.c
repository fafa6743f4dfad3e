/* SPDX-License-Identifier: Apache-2.0 */
/* What the witness's client prints; see report.h. */
#include "report.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define NUMBER(name) {#name "=", offsetof(struct witness_status, name)}
static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
    NUMBER(number), NUMBER(clock_ns), NUMBER(memory_bytes), NUMBER(passes), NUMBER(errors),
    NUMBER(generation), NUMBER(rewritten), NUMBER(checked), NUMBER(fault_offset),
    NUMBER(fault_expected), NUMBER(fault_found), NUMBER(disk_slots), NUMBER(disk_highest),
    NUMBER(disk_oldest), NUMBER(disk_missing), NUMBER(disk_damaged), NUMBER(disk_acknowledged),
    NUMBER(disk_errors), NUMBER(disk_started_at), NUMBER(work), NUMBER(work_ns),
    NUMBER(verify_wanted), NUMBER(verify_memory_done), NUMBER(verify_disk_done),
};
/* clang-format on */
enum { NUMBERS = sizeof(numbers) / sizeof(*numbers) };

static const char *value_of(const char *line, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = line; (at = strchr(at, ' '));)
        if (!strncmp(++at, name, length))
            return at + length;
    return NULL;
}

bool witness_status_parse(const char *line, struct witness_status *out)
{
    const char *text;

    memset(out, 0, sizeof(*out));
    if (strncmp(line, "status ", 7))
        return false;
    for (size_t i = 0; i < NUMBERS; i++) {
        text = value_of(line, numbers[i].name);
        if (!text)
            return false;
        *(uint64_t *)((char *)out + numbers[i].offset) = strtoull(text, NULL, 10);
    }
    text = value_of(line, "nonce=");
    if (!text)
        return false;
    out->nonce = strtoull(text, NULL, 16);
    text = value_of(line, "boot=");
    /* Letters, digits and '-' only: it is printed as JSON. */
    return text && sscanf(text, "%39[0-9a-f-]", out->boot) == 1;
}

void witness_series_add(struct witness_series *s, uint64_t at_ns, const struct witness_status *status)
{
    const struct witness_status *old = &s->last;
    double seconds = (double)(at_ns - s->last_at_ns) / 1e9;

    if (s->have_last && old->nonce == status->nonce && s->points < WITNESS_MAX_SERIES && seconds > 0) {
        double work = (double)(status->work - old->work);
        double busy_ms = (double)(status->work_ns - old->work_ns) / 1e6;

        s->point[s->points++] = (struct witness_point){
            .at_s = (double)at_ns / 1e9,
            .work_per_s = work / seconds,
            .speed = busy_ms > 0 ? work / busy_ms : 0,
            .rewritten_mib_s = (double)(status->rewritten - old->rewritten) / seconds / 1048576,
        };
    }
    s->have_last = true;
    s->last_at_ns = at_ns;
    s->last = *status;
}

void witness_report_history(FILE *out, const struct witness_history *h)
{
    fprintf(out,
            "\"answered\": %" PRIu64 ", \"network_duplicates\": %" PRIu64
            ", \"longest_gap_ms\": %.3f, \"longest_gap_at_s\": %.3f, \"gaps\": [",
            h->answered, h->network_duplicates, (double)h->longest.length_ns / 1e6, (double)h->longest.at_ns / 1e9);
    for (unsigned i = 0; i < h->gaps; i++)
        fprintf(out, "%s{\"at_s\": %.3f, \"ms\": %.3f}", i ? ", " : "", (double)h->gap[i].at_ns / 1e9,
                (double)h->gap[i].length_ns / 1e6);
    fprintf(out,
            "], \"gaps_left_out\": %u, \"split_brain\": %s, \"backwards\": %" PRIu64 ", \"overtaken\": %" PRIu64
            ", \"answered_twice\": %" PRIu64 ", \"boots_returned\": %" PRIu64 ", \"boots\": [",
            h->gaps_left_out, witness_history_split(h) ? "true" : "false", h->backwards, h->overtaken,
            h->answered_twice, h->boots_returned);
    for (unsigned i = 0; i < h->boots; i++)
        fprintf(out, "%s{\"nonce\": \"%016" PRIx64 "\", \"at_s\": %.3f}", i ? ", " : "", h->boot[i].nonce,
                (double)h->boot[i].at_ns / 1e9);
    fprintf(out, "]");
}

bool witness_report_status(FILE *out, const struct witness_status *s, uint64_t acknowledged, bool verified)
{
    uint64_t lost;

    if (!s) {
        fprintf(out, "\"boot\": null, \"verified\": false, \"memory\": null, \"disk\": null");
        return false;
    }
    if (s->disk_acknowledged > acknowledged)
        acknowledged = s->disk_acknowledged;
    lost = s->disk_missing;
    if (acknowledged > s->disk_highest)
        lost += acknowledged - s->disk_highest;
    fprintf(out,
            "\"boot\": \"%s\", \"nonce\": \"%016" PRIx64 "\", \"uptime_s\": %.3f, "
            "\"number\": %" PRIu64 ", \"verified\": %s, ",
            s->boot, s->nonce, (double)s->clock_ns / 1e9, s->number, verified ? "true" : "false");
    fprintf(out,
            "\"memory\": {\"bytes\": %" PRIu64 ", \"passes\": %" PRIu64 ", \"errors\": %" PRIu64
            ", \"generation\": %" PRIu64 ", \"rewritten_bytes\": %" PRIu64 ", \"checked_bytes\": %" PRIu64
            ", \"first_error\": ",
            s->memory_bytes, s->passes, s->errors, s->generation, s->rewritten, s->checked);
    if (s->errors)
        fprintf(out, "{\"offset\": %" PRIu64 ", \"expected\": %" PRIu64 ", \"found\": %" PRIu64 "}}, ", s->fault_offset,
                s->fault_expected, s->fault_found);
    else
        fprintf(out, "null}, ");
    if (s->disk_slots)
        fprintf(out,
                "\"disk\": {\"acknowledged\": %" PRIu64 ", \"highest\": %" PRIu64 ", \"lost\": %" PRIu64
                ", \"damaged\": %" PRIu64 ", \"errors\": %" PRIu64 ", \"oldest\": %" PRIu64
                ", \"found_at_boot\": %" PRIu64 "}, ",
                acknowledged, s->disk_highest, lost, s->disk_damaged, s->disk_errors, s->disk_oldest,
                s->disk_started_at);
    else
        fprintf(out, "\"disk\": null, ");
    fprintf(out, "\"work\": %" PRIu64, s->work);
    return s->errors || lost;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_summary(FILE *out, const struct witness_series *s, const char *name, size_t offset)
{
    static double sorted[WITNESS_MAX_SERIES];

    for (unsigned i = 0; i < s->points; i++)
        sorted[i] = *(const double *)((const char *)&s->point[i] + offset);
    qsort(sorted, s->points, sizeof(*sorted), compare);
    fprintf(out, "\"%s\": {\"min\": %.3f, \"median\": %.3f}", name, s->points ? sorted[0] : 0.0,
            s->points ? sorted[s->points / 2] : 0.0);
}

void witness_report_series(FILE *out, const struct witness_series *s)
{
    fprintf(out, "\"work_done\": {");
    print_summary(out, s, "work_per_s", offsetof(struct witness_point, work_per_s));
    fprintf(out, ", ");
    print_summary(out, s, "speed", offsetof(struct witness_point, speed));
    fprintf(out, ", ");
    print_summary(out, s, "rewritten_mib_s", offsetof(struct witness_point, rewritten_mib_s));
    fprintf(out, ", \"series\": [");
    for (unsigned i = 0; i < s->points; i++)
        fprintf(out,
                "%s{\"at_s\": %.3f, \"work_per_s\": %.0f, \"speed\": %.1f, "
                "\"rewritten_mib_s\": %.3f}",
                i ? ", " : "", s->point[i].at_s, s->point[i].work_per_s, s->point[i].speed,
                s->point[i].rewritten_mib_s);
    fprintf(out, "]}");
}
