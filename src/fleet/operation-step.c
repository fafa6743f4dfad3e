/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step of an operation while it runs, in a thread of its own: the VM is looked for where it is now,
 * the move is planned with all facts, its source begins a job (operations-drive.c says why never two), which
 * is followed to its end. What does not go is tried once more with another target. It may end at any
 * point with droverd: the next leader begins here again.
 */
#include "fleet/operation-step.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "fleet/goal-steps.h"
#include "fleet/maintenance.h"
#include "fleet/operation-outcome.h"
#include "fleet/operation-passing.h"
#include "fleet/operations.h"
#include "fleet/planning.h"
#include "fleet/snapshot.h"
#include "move/source/new-job.h"

#define FOLLOW_MS 1000     /* so soon a cancel is noticed */
#define AGAIN_MS 1000      /* a node that does not answer is asked again */
#define PATIENCE_MS 120000 /* and after that the step is given up; so is a move that needs attention */
#define PASSING_MS 60000   /* nodes that are restarted amid planning, again and again */
#define MOST_FAILURES 2    /* jobs of one step that may fail */
#define MOST_AVOIDED 4     /* targets that are tried for one step */

typedef struct {
    drv_context *ctx;
    drv_operation *operation;
    guint index;
    gboolean taken_up;
    gint64 silent_ms;      /* since when a node does not answer, or the move needs attention; else 0 */
    gboolean cancel_asked; /* of the job */
} stepping;

static void skip(stepping *s, const char *why, gboolean fine)
{
    const drv_outcome what = {.index = s->index, .state = DRV_STEP_SKIPPED, .why = why, .fine = fine};

    drv_outcome_set(s->operation, &what);
}

static void fail(stepping *s, const char *why)
{
    const drv_outcome what = {.index = s->index, .state = DRV_STEP_FAILED, .why = why};

    drv_outcome_set(s->operation, &what);
}

/* ---- waiting ---- */

static gboolean goes_on(stepping *s)
{
    return !drv_node_is_stopping(s->ctx) && !drv_operation_lost(s->operation);
}

/* A node does not answer, or the move needs attention. Return: whether to ask again. */
static gboolean be_patient(stepping *s, const GError *error)
{
    gint64 now_ms = drv_clock_ms();

    if (!s->silent_ms) {
        s->silent_ms = now_ms;
        drv_outcome_note_why(s->operation, s->index, error->message);
    }
    return now_ms - s->silent_ms < PATIENCE_MS && !drv_fault_soon("step-patience") && goes_on(s) &&
           drv_node_pause(s->ctx, AGAIN_MS);
}

/* TRUE: @node answers. FALSE: not within @most_ms, or the step is not to go on. */
static gboolean comes_back(stepping *s, const char *node, gint64 most_ms)
{
    gint64 until_ms = drv_clock_ms() + most_ms;

    for (;;) {
        g_autoptr(drv_fleet) fleet = drv_snapshot_fleet(s->ctx, NULL);
        const drv_fleet_node *found = drv_fleet_find_node(fleet, node);

        if (found && found->up)
            return TRUE;
        if (!found || drv_clock_ms() >= until_ms || drv_fault_soon("step-patience") || !goes_on(s) ||
            !drv_node_pause(s->ctx, AGAIN_MS))
            return FALSE;
    }
}

static void heard(stepping *s)
{
    if (!s->silent_ms)
        return;
    s->silent_ms = 0;
    drv_outcome_note_why(s->operation, s->index, NULL);
}

static gboolean is_cancelled(stepping *s)
{
    g_autoptr(json_object) doc = drv_operation_view(s->operation);

    return drv_json_bool(doc, "cancel_requested");
}

/* Whether only the planned target will do: where the VM was before. */
static gboolean is_bound(stepping *s)
{
    g_autoptr(json_object) doc = drv_operation_view(s->operation);

    return g_str_equal(drv_json_string(doc, "kind", ""), "return");
}

/* ---- what failed ---- */

/*
 * The move did not go to @target. Another one is looked for; what never began may try the same again.
 * The step waits then, since the limits of the other link hold.
 */
static void try_another(stepping *s, json_object *step, const char *why, gboolean job_failed, gboolean same_again)
{
    const char *target = drv_json_string(step, "target", "");
    json_object *avoid = drv_json_array(step, "avoid");
    g_autoptr(json_object) tried = avoid ? drv_json_copy(avoid) : json_object_new_array();
    /* Without its source the VM would be taken for one that is gone. */
    gboolean there = comes_back(s, drv_json_string(step, "source", ""), PATIENCE_MS);
    g_autoptr(drv_fleet) fleet = drv_snapshot_fleet(s->ctx, NULL);
    const drv_fleet_vm *vm = there ? drv_fleet_goal_vm(fleet, drv_json_string(step, "uuid", "")) : NULL;
    gboolean enough = drv_json_int(step, "failures", 0) + (job_failed ? 1 : 0) >= MOST_FAILURES ||
                      drv_json_length(tried) + 1 >= MOST_AVOIDED;
    gboolean fixed = is_bound(s);
    g_autofree char *next = NULL;
    g_autofree char *text = NULL;
    drv_outcome what = {.index = s->index, .state = DRV_STEP_WAITING, .failed = job_failed};

    if (!goes_on(s))
        return; /* the next leader finds the step as it is */
    json_object_array_add(tried, json_object_new_string(target));
    if (vm && g_str_equal(vm->node, drv_json_string(step, "source", "")) && !enough && !fixed)
        next = drv_fleet_goal_target(s->ctx, fleet, vm, tried, NULL);
    if (next || (same_again && !enough)) {
        text = g_strdup_printf("to %s it did not go (%s); it is tried once more", target, why);
        what.target = next ? next : target;
        what.avoid = next ? target : NULL;
    } else {
        text = g_strdup_printf("%s. No other node takes it: when that is mended, plan again, or move it "
                               "by hand ('drover migrate %s')",
                               why, drv_json_string(step, "vm", "?"));
        what.state = DRV_STEP_FAILED;
    }
    what.why = text;
    drv_outcome_set(s->operation, &what);
}

/* ---- beginning ---- */

/* Goals of the plan hold for each of its moves. */
static json_object *goal_of(stepping *s, json_object *step)
{
    static const char *const passed[] = {"max_pause_ms", "max_time_ms", "post_copy"};
    g_autoptr(json_object) doc = drv_operation_view(s->operation);
    json_object *of_all = drv_json_object(doc, "goal");
    json_object *goal = json_object_new_object();

    drv_json_set_string(goal, "goal", "migrate");
    drv_json_set_string(goal, "uuid", drv_json_string(step, "uuid", ""));
    drv_json_set_string(goal, "target", drv_json_string(step, "target", ""));
    for (guint i = 0; i < G_N_ELEMENTS(passed); i++)
        if (json_object_object_get(of_all, passed[i]))
            drv_json_set(goal, passed[i], drv_json_copy(json_object_object_get(of_all, passed[i])));
    return goal;
}

/* Its own limit holds, too. */
static void share_link(json_object *move, gint64 share_bps)
{
    gint64 own = drv_json_int(move, "bandwidth_bps", 0);

    if (share_bps && (!own || own > share_bps)) {
        drv_json_set_int(move, "bandwidth_bps", share_bps);
        if (drv_json_object(move, "goals_from"))
            drv_json_set_string(drv_json_object(move, "goals_from"), "bandwidth_bps", "operation");
    }
}

/* Where the VM is now. Return: FALSE: the step has ended, or waits again. */
static gboolean look_for_vm(stepping *s, json_object *step)
{
    const char *uuid = drv_json_string(step, "uuid", "");
    const char *source = drv_json_string(step, "source", "");
    g_autoptr(drv_fleet) fleet = NULL;
    const drv_fleet_vm *vm;
    const drv_fleet_node *node;
    g_autofree char *why = NULL;

    for (;;) {
        g_autoptr(GError) lost = NULL;

        fleet = drv_snapshot_fleet(s->ctx, NULL);
        vm = drv_fleet_goal_vm(fleet, uuid);
        node = drv_fleet_find_node(fleet, source);
        if (vm ? !vm->busy : node && node->up)
            break;
        if (vm)
            g_set_error(&lost, DRV_ERROR, DRV_ERROR_CONFLICT, "%s is at work on it: it is waited for", vm->busy);
        else
            g_set_error(&lost, DRV_ERROR, DRV_ERROR_UNREACHABLE, "%s does not answer: %s", source,
                        node && node->error ? node->error : "it is no node any more");
        if (!be_patient(s, lost)) {
            if (goes_on(s)) {
                why = g_strdup_printf(
                    vm ? "%s. When that is over, plan again" : "%s. Start droverd there and plan again", lost->message);
                fail(s, why);
            }
            return FALSE;
        }
        g_clear_pointer(&fleet, drv_fleet_free);
    }
    heard(s);
    if (!vm) {
        why = g_strdup_printf("it is not on %s any more, nor on any node that answers", source);
        skip(s, why, TRUE);
        return FALSE;
    }
    if (g_str_equal(vm->node, source))
        return TRUE;
    if (g_str_equal(vm->node, drv_json_string(step, "target", "")) || !is_bound(s)) {
        why = g_strdup_printf("somebody else has moved it to %s", vm->node);
        skip(s, why, TRUE);
    } else {
        drv_outcome what = {.index = s->index, .state = DRV_STEP_WAITING, .source = vm->node};

        why = g_strdup_printf("somebody else has moved it to %s, it goes on from there", vm->node);
        what.why = why;
        drv_outcome_set(s->operation, &what);
    }
    return FALSE;
}

static json_object *ask_for_job(stepping *s, json_object *step, GError **error)
{
    g_autofree char *key = drv_new_job_key(drv_operation_id(s->operation), s->index, drv_json_int(step, "attempt", 0));
    g_autofree char *path = g_strconcat("/v1/peer/step-jobs/", key, NULL);

    return drv_node_call(s->ctx, drv_json_string(step, "source", ""), "GET", path, NULL, DRV_NODE_PEER_TIMEOUT_MS,
                         error);
}

/*
 * Planning failed. Whether it did since a node is being restarted, which by now answers again, or whose
 * source is waited for by look_for_vm(). @move: what was planned, with problems; or NULL and @error.
 */
static gboolean was_passing(stepping *s, json_object *step, const drv_checks *checks, json_object *move,
                            const GError *error)
{
    const char *target = move ? drv_json_string(move, "target", "") : drv_json_string(step, "target", "");
    g_autoptr(drv_fleet) fleet = NULL;
    const drv_fleet_node *source;

    if (move ? !drv_checks_has(checks, DRV_ABOUT_LINKS) : error->code != DRV_ERROR_UNREACHABLE) {
        /* Something else, unless the source was lost behind it: then what it found may be half of the truth. */
        fleet = drv_snapshot_fleet(s->ctx, NULL);
        source = drv_fleet_find_node(fleet, drv_json_string(step, "source", ""));
        return source && !source->up;
    }
    return comes_back(s, target, DRV_PASSING_TARGET_MS);
}

/* The move with all facts. Transfer full; NULL: the step has ended, or waits again. */
static json_object *plan_move(stepping *s, json_object *step)
{
    g_autoptr(json_object) goal = goal_of(s, step);
    gint64 until_ms = drv_clock_ms() + PASSING_MS;

    for (;;) {
        g_autoptr(drv_checks) checks = drv_checks_new();
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) move = NULL;
        g_autofree char *against = NULL;

        if (!look_for_vm(s, step))
            return NULL;
        move = drv_planning_move(s->ctx, goal, checks, &error);
        if (move && !drv_checks_problems(checks)) {
            share_link(move, drv_json_int(step, "share_bps", 0));
            return g_steal_pointer(&move);
        }
        if (!goes_on(s))
            return NULL;
        if (drv_clock_ms() < until_ms && was_passing(s, step, checks, move, error)) {
            if (!drv_node_pause(s->ctx, AGAIN_MS))
                return NULL;
            continue;
        }
        if (!goes_on(s))
            return NULL;
        if (move)
            against = drv_checks_text(checks);
        try_another(s, step, move ? against : error->message, FALSE, FALSE);
        return NULL;
    }
}

static json_object *post_job(stepping *s, json_object *step, json_object *move, GError **error)
{
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) doc = drv_operation_view(s->operation);

    drv_json_set_string(request, "plan", drv_json_string(doc, "plan", NULL));
    drv_json_set(request, "step", json_object_get(move));
    drv_json_set_string(request, "operation", drv_operation_id(s->operation));
    drv_json_set_int(request, "index", s->index);
    drv_json_set_int(request, "attempt", drv_json_int(step, "attempt", 0));
    return drv_node_call(s->ctx, drv_json_string(step, "source", ""), "POST", "/v1/peer/jobs", request,
                         DRV_NODE_PREPARE_TIMEOUT_MS, error);
}

/*
 * The job that this attempt has at the source, if the answer to whoever asked for it was lost. Return:
 * FALSE: nobody can say; the step has ended.
 */
static gboolean find_job(stepping *s, json_object *step, json_object **job)
{
    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autofree char *why = NULL;

        *job = ask_for_job(s, step, &error);
        if (*job || error->code == DRV_ERROR_NOT_FOUND) {
            heard(s);
            return TRUE;
        }
        if (be_patient(s, error))
            continue;
        if (goes_on(s)) {
            why = g_strdup_printf("whether it moves only %s can say, and it does not answer: %s. When it "
                                  "is back, 'drover jobs' tells",
                                  drv_json_string(step, "source", "?"), error->message);
            fail(s, why);
        }
        return FALSE;
    }
}

/* Transfer full; NULL: the step has ended, or waits again. */
static json_object *begin_job(stepping *s, json_object *step)
{
    json_object *job = NULL;
    g_autoptr(json_object) move = NULL;
    g_autoptr(GError) error = NULL;
    gint64 until_ms;

    if (s->taken_up && !find_job(s, step, &job))
        return NULL;
    if (job)
        return job;
    if (is_cancelled(s)) {
        skip(s, "the operation was cancelled before it began", FALSE);
        return NULL;
    }
    move = plan_move(s, step);
    if (!move)
        return NULL;
    drv_fault("step-planned");
    until_ms = drv_clock_ms() + PATIENCE_MS;
    job = post_job(s, step, move, &error);
    drv_fault("step-begun");
    while (!job && error->code == DRV_ERROR_UNREACHABLE && drv_clock_ms() < until_ms && goes_on(s)) {
        if (!find_job(s, step, &job))
            return NULL;
        if (!job) {
            g_clear_error(&error);
            job = post_job(s, step, move, &error);
        }
    }
    if (!job && goes_on(s))
        try_another(s, step, error->message, FALSE, FALSE);
    return job;
}

/* ---- following ---- */

static void cancel_job(stepping *s, const char *source, const char *job)
{
    g_autofree char *path = g_strdup_printf("/v1/peer/jobs/%s/cancel", job);
    g_autoptr(json_object) answer G_GNUC_UNUSED =
        drv_node_call(s->ctx, source, "POST", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, NULL);

    s->cancel_asked = TRUE;
}

/* Transfer full; NULL: droverd ends, or the step has been given up. */
static json_object *follow_job(stepping *s, const char *source, const char *id)
{
    gint64 revision = -1;

    while (goes_on(s)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) job = NULL;
        g_autofree char *path =
            g_strdup_printf("/v1/peer/jobs/%s?after=%" G_GINT64_FORMAT "&wait_ms=%d", id, revision, FOLLOW_MS);

        if (!s->cancel_asked && is_cancelled(s))
            cancel_job(s, source, id);
        job = drv_node_call(s->ctx, source, "GET", path, NULL, DRV_NODE_PEER_TIMEOUT_MS, &error);
        if (!job) {
            g_autofree char *why = NULL;

            if (be_patient(s, error))
                continue;
            if (goes_on(s)) {
                why = g_strdup_printf("%s does not answer (%s). Job %s goes on there if it can; when the "
                                      "node is back, 'drover job %s' tells",
                                      source, error->message, id, id);
                fail(s, why);
            }
            return NULL;
        }
        /* It settles by itself when the other end is back (move/source/reconcile.c). */
        if (g_str_equal(drv_json_string(job, "state", ""), "needs-attention")) {
            g_set_error_literal(&error, DRV_ERROR, DRV_ERROR_FAILED, drv_json_string(job, "error", "?"));
            if (be_patient(s, error) || !goes_on(s))
                continue;
        } else {
            heard(s);
        }
        if (drv_json_bool(job, "ended"))
            return g_steal_pointer(&job);
        revision = drv_json_int(job, "revision", revision);
        drv_operation_progress(s->operation, s->index,
                               (gint)drv_json_int(drv_json_object(job, "progress"), "percent", 0));
    }
    return NULL;
}

/* Where it came from is kept with the node, so that 'drover node resume' can bring it back. */
static void note_place(stepping *s, json_object *step)
{
    g_autoptr(json_object) doc = drv_operation_view(s->operation);
    json_object *goal = drv_json_object(doc, "goal");
    gboolean back = g_str_equal(drv_json_string(goal, "goal", ""), "return");
    g_autoptr(GError) error = NULL;

    if (!back && !drv_json_bool(goal, "drain"))
        return;
    if (!drv_maintenance_came_from(s->ctx, drv_json_string(goal, "node", ""), step, !back, &error))
        drv_log_error("where %s came from could not be recorded: %s", drv_json_string(step, "vm", "?"), error->message);
}

/* The same once more, to the same target, and it does not count as a failure. FALSE: that does not help. */
static gboolean try_again(stepping *s, json_object *step, json_object *job, const char *why)
{
    const char *target = drv_json_string(job, "target", "");
    g_autofree char *text = NULL;
    drv_outcome what = {.index = s->index, .state = DRV_STEP_WAITING, .target = target, .passing = TRUE};

    if (!drv_passing_job(job) || !drv_passing_is_borne(step, drv_clock_real_ms()) ||
        !comes_back(s, target, DRV_PASSING_TARGET_MS))
        return FALSE;
    text = g_strdup_printf("it was interrupted (%s); it begins again", why);
    what.why = text;
    drv_outcome_set(s->operation, &what);
    return TRUE;
}

static void judge(stepping *s, json_object *step, json_object *job)
{
    const char *state = drv_json_string(job, "state", "");
    const char *why = drv_json_string(job, "error", "it has not said why");
    g_autofree char *text = NULL;

    if (g_str_equal(state, "done")) {
        const drv_outcome what = {.index = s->index, .state = DRV_STEP_DONE};

        note_place(s, step);
        drv_outcome_set(s->operation, &what);
    } else if (g_str_equal(state, "needs-attention")) {
        text = g_strdup_printf("%s. 'drover job %s' says what is where", why, drv_json_string(job, "id", "?"));
        fail(s, text);
    } else if (drv_json_bool(job, "cancel_requested")) {
        skip(s, s->cancel_asked ? "the operation was cancelled" : "its job was cancelled", FALSE);
    } else if (!try_again(s, step, job, why)) {
        try_another(s, step, why, TRUE, g_str_equal(state, "failed"));
    }
}

static void carry_out(stepping *s)
{
    g_autoptr(json_object) step = drv_operation_step(s->operation, s->index);
    g_autofree char *id = g_strdup(drv_json_string(step, "job", NULL));
    const char *source = drv_json_string(step, "source", "");
    g_autoptr(json_object) job = NULL;

    if (!id) {
        g_autoptr(json_object) begun = begin_job(s, step);

        if (!begun)
            return;
        id = g_strdup(drv_json_string(begun, "id", ""));
        drv_json_set_string(step, "target", drv_json_string(begun, "target", ""));
        if (!drv_outcome_note_job(s->operation, s->index, id, drv_json_string(begun, "target", "")))
            return;
        drv_fault("step-noted");
    }
    job = follow_job(s, source, id);
    if (job)
        judge(s, step, job);
}

static gpointer step_thread(gpointer data)
{
    stepping *s = data;
    drv_context *ctx = s->ctx;

    carry_out(s);
    drv_operations_wake(ctx->operations);
    drv_operation_unref(s->operation);
    g_free(s);
    drv_node_thread_ended(ctx);
    return NULL;
}

void drv_operation_step_start(drv_context *ctx, drv_operation *operation, guint index, gboolean taken_up)
{
    stepping *s = g_new0(stepping, 1);

    s->ctx = ctx;
    s->operation = drv_operation_ref(operation);
    s->index = index;
    s->taken_up = taken_up;
    drv_node_thread(ctx, "step", step_thread, s);
}
