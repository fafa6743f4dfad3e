/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What droverd does: answers about the fleet, plans, jobs, and this node's end of
 * every migration. The HTTP routes and the door call nothing else. All functions may
 * be called from any thread but the main one; they may block on libvirt, the store
 * and peers, each bounded in time. JSON in and out as docs/rest.rst has it;
 * results are transfer full.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>

#include "hyper/hyper.h"
#include "model/peers.h"
#include "store/store.h"

typedef struct drv_run drv_run;

/* Everything is borrowed and must outlive the drv_run; strings are copied. */
typedef struct {
    const char *node;          /* this node's name */
    drv_hyper *hyper;
    drv_store *store;          /* this node's own */
    drv_store *shared;         /* what is kept once for the cluster: a gate; NULL: @store, at the founder */
    const drv_peers *peers;
    const char *relay_program; /* path of drover-relay */
    guint64 relay_memory_bytes; /* that all relays may take together; 0: an eighth of the host's memory */
    const char *stand_in_program; /* path of drover-stand-in; NULL: nobody stands in for droverd */
    const char *resumed_dir;   /* where stand-ins record; on a disk, made if missing */
    const char *sessions_dir;  /* DRV_SESSIONS_DIR */
    const char *content_dir;   /* of known content; NULL: none is kept */
    guint64 content_most_bytes; /* 0: as drv_content_config has it */
    guint64 content_age_s;     /* 0: the same */
    void (*looked)(gpointer data); /* libvirt has told all that a migration needs, or does not; from any thread; or NULL */
    gpointer looked_data;
} drv_run_config;

/** drv_run_new() - reads what was going on from the store; nothing moves before drv_run_start(). */
drv_run *drv_run_new(const drv_run_config *config, GError **error);
/** drv_run_start() - take up unfinished jobs and sessions, in threads of their own. */
void drv_run_start(drv_run *run);
/** drv_run_touch() - returns once the executor's lock can be had: it is held for moments only. Any thread. */
void drv_run_touch(drv_run *run);
/** drv_run_free() - leave everything that runs to the next droverd; waits for this one's threads. */
void drv_run_free(drv_run *run);

/* For operators. */
/** drv_run_lead_status() - set "leader" in @status (null: not known now), and "unrecorded", how many moves wait to be. */
void drv_run_lead_status(drv_run *run, json_object *status);
/* The goals that a VM keeps, and policies, with the answers of docs/rest.rst. */
json_object *drv_run_vm_goals(drv_run *run, const char *name, GError **error);
json_object *drv_run_vm_goals_set(drv_run *run, const char *name, json_object *goals, GError **error);
json_object *drv_run_vm_goals_clear(drv_run *run, const char *name, GError **error);
json_object *drv_run_policies(drv_run *run, GError **error);
json_object *drv_run_policy(drv_run *run, const char *name, GError **error);
json_object *drv_run_policy_set(drv_run *run, const char *name, json_object *goals, GError **error);
/** drv_run_policy_delete() - DRV_ERROR_REFUSED names the VMs that use it, unless @force. */
json_object *drv_run_policy_delete(drv_run *run, const char *name, gboolean force, GError **error);
/* Known content of all nodes, or of the one that {"node"} names; and whose a VM is. See docs/content.rst. */
json_object *drv_run_contents(drv_run *run, GError **error);
json_object *drv_run_contents_prune(drv_run *run, json_object *what, GError **error);
json_object *drv_run_contents_set(drv_run *run, json_object *what, GError **error);
json_object *drv_run_vm_owner(drv_run *run, const char *name, GError **error);
json_object *drv_run_vm_owner_set(drv_run *run, const char *name, json_object *body, GError **error);
json_object *drv_run_plan(drv_run *run, json_object *goal, GError **error);
/**
 * drv_run_predict() - {"predicted": PREDICTION or null} of a plan's step {"step"}, made with "predict": false.
 * Looks at the link and the VM's memory first, for some seconds.
 */
json_object *drv_run_predict(drv_run *run, json_object *body, GError **error);
json_object *drv_run_plans(drv_run *run, GError **error);
json_object *drv_run_plan_get(drv_run *run, const char *id, GError **error);
json_object *drv_run_apply(drv_run *run, const char *plan_id, GError **error);
json_object *drv_run_jobs(drv_run *run, GError **error);
/** drv_run_job() - at once if its revision is > @after, else when it changes or after @wait_ms. */
json_object *drv_run_job(drv_run *run, const char *id, gint64 after, guint wait_ms, GError **error);
/** drv_run_links() - what is known of the links between nodes. */
json_object *drv_run_links(drv_run *run, GError **error);
/** drv_run_links_probe() - measure one now: {"from", "to"}. */
json_object *drv_run_links_probe(drv_run *run, json_object *body, GError **error);
/** drv_run_accuracy() - how good the predictions of the moves in the history were. */
json_object *drv_run_accuracy(drv_run *run, GError **error);
json_object *drv_run_cancel(drv_run *run, const char *id, GError **error);
/** drv_run_job_act() - "pause", "resume" (of an operation) or "cancel"; the job as it is then. */
json_object *drv_run_job_act(drv_run *run, const char *id, const char *action, GError **error);
/* Maintenance of a node: run/maintenance.h. */
json_object *drv_run_node_settings(drv_run *run, const char *node, GError **error);
json_object *drv_run_node_settings_set(drv_run *run, const char *node, json_object *what, GError **error);
/** drv_run_reconcile() - ask both ends again about a job that needs attention; the job as it is then. */
json_object *drv_run_reconcile(drv_run *run, const char *id, GError **error);

/**
 * drv_run_peer() - everything under /v1/peer/ but what the API itself answers
 * (membership, join).
 * @caller: name of the node that asks, from its certificate
 * @path: what follows "/v1/peer/", with the query
 * @body: NULL when there is none
 * Return: the answer, or NULL and @error.
 */
json_object *drv_run_peer(drv_run *run, const char *caller, const char *method, const char *path,
                          json_object *body, GError **error);

/* Which nodes are obeyed; a node obeys itself in everything. */
typedef enum {
    DRV_PEER_MEMBER, /* any: it could do it by itself, or both ends of a move need it */
    DRV_PEER_LEADER, /* the one that leads: what operators ask for, who go there or to the node itself */
    DRV_PEER_ITSELF, /* the same, and a node about itself */
} drv_peer_who;

/**
 * drv_run_peer_at() - the table of these, for tests: the pattern of its @i-th one, NULL behind the last one.
 * Transfer full.
 */
char *drv_run_peer_at(guint i, const char **method, drv_peer_who *who);

/**
 * drv_run_hand_link() - a TCP connection whose ClientHello names @session: give it
 * to that session's relay. @fd stays the caller's (who closes it in any case).
 * DRV_ERROR_NOT_FOUND: no such session here.
 */
gboolean drv_run_hand_link(drv_run *run, const char *session, int fd, GError **error);
