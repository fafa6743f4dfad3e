/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two real relays back to back on this machine, for tests and benchmarks: this process
 * plays droverd on both hosts, libvirtd and QEMU. Needs root. No GLib.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "relay/control/control.h"

enum pair_end { PAIR_SOURCE, PAIR_TARGET, PAIR_ENDS };

struct pair {
    unsigned links;
    const char *program;
    char directory[PAIR_ENDS][64];
    struct drv_relay_config config[PAIR_ENDS];
    drv_relay *relay[PAIR_ENDS]; /* open admin connections; NULL when not started */
    int libvirt;                 /* the target's libvirtd: this process' end */
    int tcp;                     /* what stands for the target's droverd listens here */
    uint16_t port;
    int local[DRV_CHANNELS]; /* the target's ram.sock and disk.sock listen */
    int stop[2];             /* a pipe: ends the acceptor */
    pthread_t acceptor;
    bool accepting;
    pthread_mutex_t lock;
    bool release;          /* lock: keep no copies */
    int handed[32];        /* lock: copies of what was handed to the target's relay */
    unsigned handed_count; /* lock */
};

/** pair_unavailable() - why such tests cannot run here, or NULL. */
const char *pair_unavailable(void);

/** pair_program() - where drover-relay is: $DRV_RELAY_PROGRAM. */
const char *pair_program(void);

/** pair_prepare() - directories, configurations, listeners; no relay yet. */
int pair_prepare(struct pair *pair, unsigned links, struct drv_error *err);

/** pair_start_target() - and begin to hand over what connects. */
int pair_start_target(struct pair *pair, struct drv_error *err);

int pair_start_source(struct pair *pair, struct drv_error *err);

/** pair_start() - all of it. */
int pair_start(struct pair *pair, unsigned links, struct drv_error *err);

/** pair_connect() - what QEMU or libvirtd does at the source. */
int pair_connect(struct pair *pair, enum drv_relay_channel channel, struct drv_error *err);

/** pair_accept() - what QEMU does at the target; waits at most 10 s. Return: descriptor or -errno. */
int pair_accept(struct pair *pair, enum drv_relay_channel channel, struct drv_error *err);

/** pair_stream() - both ends of a new stream, blocking. */
int pair_stream(struct pair *pair, enum drv_relay_channel channel, int ends[PAIR_ENDS], struct drv_error *err);

/** pair_cut() - break one TCP connection between the relays. */
void pair_cut(struct pair *pair, unsigned index);

/** pair_release() - keep no copies of connections, as droverd does: from now on only relays have them. */
void pair_release(struct pair *pair);

/** pair_pid() - the process of a relay. */
pid_t pair_pid(struct pair *pair, enum pair_end end);

/** pair_stop() - end what runs and remove everything. */
void pair_stop(struct pair *pair);
