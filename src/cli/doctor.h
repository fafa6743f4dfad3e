/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this host ready, and what is missing? A table of checks; each adds one finding
 * (or several: one a node), with what to do about it.
 */
#pragma once

#include "api/identity.h"
#include "cli/cli.h"
#include "hyper/hyper.h"

/* Room that a store should have, and what is too little for anything. */
#define DRV_STORE_LEAST_BYTES (64 * 1024 * 1024LL)
#define DRV_STORE_LOW_BYTES (512 * 1024 * 1024LL)

typedef enum { DRV_CHECK_OK, DRV_CHECK_WARNING, DRV_CHECK_PROBLEM } drv_check_state;

typedef struct {
    drv_check_state state;
    char *name;
    char *message;
    char *remedy; /* NULL when all is well */
} drv_finding;

/* What checks share; those that come first fill it in for those that follow. */
typedef struct {
    drv_cli *cli;           /* its api is used if there is an identity */
    const char *root;       /* put before each path: "", or a test's directory */
    GPtrArray *findings;    /* of drv_finding */
    drv_identity *identity; /* NULL: none that is good */
    gboolean answers;       /* droverd does */
} drv_doctor;

typedef void (*drv_check)(drv_doctor *doctor, const char *name);

void drv_doctor_ok(drv_doctor *doctor, const char *name, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/** drv_doctor_found() - takes @remedy. */
void drv_doctor_found(drv_doctor *doctor, drv_check_state state, const char *name, char *remedy,
                      const char *fmt, ...) G_GNUC_PRINTF(5, 6);
/** drv_doctor_path() - @path under the root. Transfer full. */
char *drv_doctor_path(drv_doctor *doctor, const char *path);
void drv_finding_free(drv_finding *finding);

/* doctor-host.c: the machine and what confines QEMU on it */
void drv_check_root(drv_doctor *doctor, const char *name);
void drv_check_clock(drv_doctor *doctor, const char *name);
void drv_check_post_copy(drv_doctor *doctor, const char *name);
void drv_check_relay_user(drv_doctor *doctor, const char *name);
void drv_check_qemu_group(drv_doctor *doctor, const char *name);
void drv_check_acceleration(drv_doctor *doctor, const char *name);
void drv_check_confinement(drv_doctor *doctor, const char *name);
/* doctor-hyper.c: libvirt and QEMU */
void drv_check_hyper(drv_doctor *doctor, const char *name);
/**
 * drv_libvirt_first_look() - have libvirt find out what its QEMU can do, which it does when it is first asked,
 * and say so when that takes long: later a migration would wait for it. Two minutes at most.
 */
void drv_libvirt_first_look(drv_cli *cli);

/** drv_libvirt_suffices() - @version ("9.0.0") knows migration over unix sockets. */
gboolean drv_libvirt_suffices(const char *version);
/** drv_host_uuid() - by which libvirt tells this host from others; NULL: it does not say. Transfer full. */
char *drv_host_uuid(void);
/* doctor-files.c: what Drover keeps on this host */
void drv_check_relay_program(drv_doctor *doctor, const char *name);
void drv_check_sessions(drv_doctor *doctor, const char *name);
void drv_check_admission(drv_doctor *doctor, const char *name);
void drv_check_store(drv_doctor *doctor, const char *name);
void drv_check_identity(drv_doctor *doctor, const char *name);
/* doctor-cluster.c: droverd, its port, the other nodes */
void drv_check_droverd(drv_doctor *doctor, const char *name);
void drv_check_port(drv_doctor *doctor, const char *name);
void drv_check_nodes(drv_doctor *doctor, const char *name);
/* doctor-store.c: the cluster's data */
void drv_check_cluster_store(drv_doctor *doctor, const char *name);
