/* SPDX-License-Identifier: Apache-2.0 */
/* One question to every node at the same time: see fleet.h. */
#include "model/ask.h"

#include "model/fleet.h"

void drv_member_free(drv_member *member)
{
    if (!member)
        return;
    g_free(member->name);
    g_free(member->address);
    g_free(member);
}

typedef struct {
    const drv_peers *peers;
    const drv_member *member;
    const char *path;
    guint timeout_ms;
    json_object *answer;
    GError *error;
    GThread *thread;
} question;

static gpointer ask_one(gpointer data)
{
    question *q = data;

    q->answer = q->peers->call(q->peers->data, q->member->name, "GET", q->path, NULL, q->timeout_ms, &q->error);
    return NULL;
}

static void answer_free(gpointer answer)
{
    json_object_put(answer);
}

static void error_free(gpointer error)
{
    if (error)
        g_error_free(error);
}

GPtrArray *drv_model_ask_all(const drv_peers *peers, GPtrArray *members, const char *path, guint timeout_ms,
                             drv_model_local_func local, gpointer data, GPtrArray **errors)
{
    GPtrArray *answers = g_ptr_array_new_with_free_func(answer_free);
    g_autofree question *questions = g_new0(question, members->len);

    *errors = g_ptr_array_new_with_free_func(error_free);
    for (guint i = 0; i < members->len; i++) {
        const drv_member *member = members->pdata[i];

        questions[i] = (question){.peers = peers, .member = member, .path = path, .timeout_ms = timeout_ms};
        if (!member->self)
            questions[i].thread = g_thread_new("ask", ask_one, &questions[i]);
    }
    for (guint i = 0; i < members->len; i++) {
        if (questions[i].thread)
            g_thread_join(questions[i].thread);
        else
            questions[i].answer = local(path, data, &questions[i].error);
        g_ptr_array_add(answers, questions[i].answer);
        g_ptr_array_add(*errors, questions[i].error);
    }
    return answers;
}
