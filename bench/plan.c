/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planner on fleets of several sizes: a file with so many hosts and VMs is made up, read, and so many of
 * its hosts are evacuated, each size in a process of its own, whose peak memory is measured.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model/fleet-json.h"
#include "plan/fleet-plan.h"

#define GIB (G_GINT64_CONSTANT(1) << 30)

typedef struct {
    guint hosts, per_host, evacuated;
    guint32 seed;
    double full; /* share of the hosts' memory that VMs have */
} size_of;

/* ---- a fleet made up ---- */

static json_object *names(const char *const *list, guint count)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < count; i++)
        json_object_array_add(array, json_object_new_string(list[i]));
    return array;
}

/* Two generations of processors: the newer ones have what the older ones lack. */
static json_object *features(gboolean newer)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < (newer ? 120u : 100u); i++) {
        char name[16];

        g_snprintf(name, sizeof name, "feature-%u", i);
        json_object_array_add(array, json_object_new_string(name));
    }
    return array;
}

static json_object *host_json(guint number, guint64 memory, guint64 used)
{
    static const char *const networks[] = {"bridge:br0", "bridge:br1", "network:default"};
    json_object *host = json_object_new_object();
    json_object *labels = json_object_new_object();
    json_object *pools = json_object_new_array(), *pool = json_object_new_object();
    g_autofree char *name = g_strdup_printf("host%u", number);
    g_autofree char *rack = g_strdup_printf("r%u", number / 20);

    drv_json_set_string(host, "name", name);
    drv_json_set_string(host, "state", "up");
    drv_json_set_int(host, "cpus", 64);
    drv_json_set(host, "cpu_used", json_object_new_double(10 + number % 30));
    drv_json_set_int(host, "memory_bytes", (gint64)memory);
    drv_json_set_int(host, "memory_free_bytes", (gint64)(memory - used));
    drv_json_set(host, "cpu_features", features(number % 3 != 0));
    drv_json_set(host, "networks", names(networks, 3));
    drv_json_set_string(labels, "rack", rack);
    drv_json_set(host, "labels", labels);
    drv_json_set_string(host, "site", number % 2 ? "east" : "west");
    drv_json_set_string(pool, "name", "images");
    drv_json_set_int(pool, "free_bytes", 4000 * GIB);
    drv_json_set_bool(pool, "shared", FALSE);
    json_object_array_add(pools, pool);
    drv_json_set(host, "pools", pools);
    return host;
}

static json_object *vm_json(GRand *dice, guint number, guint host, guint64 memory)
{
    static const char *const networks[] = {"bridge:br0"};
    json_object *vm = json_object_new_object();
    json_object *disks = json_object_new_array(), *disk = json_object_new_object();
    g_autofree char *name = g_strdup_printf("vm%u", number);
    g_autofree char *uuid = g_strdup_printf("%08x-0000-4000-8000-%012x", number, number);
    g_autofree char *on = g_strdup_printf("host%u", host);
    char group[16];
    const char *const one[] = {group};

    drv_json_set_string(vm, "name", name);
    drv_json_set_string(vm, "uuid", uuid);
    drv_json_set_string(vm, "node", on);
    drv_json_set_string(vm, "state", "running");
    drv_json_set_int(vm, "vcpus", 4);
    drv_json_set(vm, "cpu_used", json_object_new_double(g_rand_double_range(dice, 0, 2)));
    drv_json_set_int(vm, "memory_bytes", (gint64)memory);
    drv_json_set_int(vm, "dirty_bps", (gint64)(exp(g_rand_double_range(dice, 10, 18))));
    drv_json_set_int(vm, "priority", g_rand_int_range(dice, 0, 3));
    drv_json_set(vm, "networks", names(networks, 1));
    drv_json_set(vm, "cpu_features", features(host % 3 != 0 && number % 4 == 0));
    drv_json_set_string(disk, "target", "vda");
    drv_json_set_int(disk, "bytes", g_rand_int_range(dice, 1, 40) * GIB);
    drv_json_set_bool(disk, "shared", TRUE);
    json_object_array_add(disks, disk);
    drv_json_set(vm, "disks", disks);
    /* In tens of a service: three replicas on different hosts, some that stay beside each other. */
    g_snprintf(group, sizeof group, "g%u", number / 10);
    if (number % 10 < 3)
        drv_json_set(vm, "apart", names(one, 1));
    else if (number % 10 < 5)
        drv_json_set(vm, "together", names(one, 1));
    return vm;
}

static gboolean write_fleet(const size_of *size, const char *path)
{
    static const guint64 sizes[] = {2, 4, 4, 8, 8, 16, 32};
    g_autoptr(GRand) dice = g_rand_new_with_seed(size->seed);
    FILE *file = fopen(path, "w");
    const guint64 memory = (guint64)((double)size->per_host * 11 * (double)GIB / size->full);
    guint vms = 0;

    if (!file)
        return FALSE;
    fputs("{\"taken_ms\":1,\"vms\":[", file);
    for (guint i = 0; i < size->hosts; i++)
        for (guint k = 0; k < size->per_host; k++) {
            guint64 bytes = sizes[g_rand_int_range(dice, 0, G_N_ELEMENTS(sizes))] * (guint64)GIB;
            json_object *vm = vm_json(dice, vms, i, bytes);

            fprintf(file, "%s\n%s", vms++ ? "," : "", json_object_to_json_string_ext(vm, JSON_C_TO_STRING_PLAIN));
            json_object_put(vm);
        }
    fputs("],\"nodes\":[", file);
    for (guint i = 0; i < size->hosts; i++) {
        json_object *host = host_json(i, memory, (guint64)((double)memory * size->full));

        fprintf(file, "%s\n%s", i ? "," : "", json_object_to_json_string_ext(host, JSON_C_TO_STRING_PLAIN));
        json_object_put(host);
    }
    fputs("],\"links\":[]}\n", file);
    return fclose(file) == 0;
}

/* ---- measured ---- */

typedef struct {
    double read_ms, plan_ms, print_ms; /* of processor time */
    guint64 peak_bytes, file_bytes;
    guint steps, refused, side_by_side;
    gint64 time_ms;
} result;

static double cpu_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static gboolean plan_fleet(const size_of *size, const char *path, result *into)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(drv_fleet) fleet = NULL;
    g_autoptr(json_object) plan = NULL;
    g_autoptr(GError) error = NULL;
    double begin = cpu_ms();

    fleet = drv_fleet_load(path, &error);
    into->read_ms = cpu_ms() - begin;
    for (guint i = 0; i < size->evacuated; i++)
        g_ptr_array_add(nodes, g_strdup_printf("host%u", i * (size->hosts / size->evacuated)));
    g_ptr_array_add(nodes, NULL);
    begin = cpu_ms();
    if (fleet)
        plan = drv_plan_evacuate(fleet, (const char *const *)nodes->pdata, &DRV_PLAN_LIMITS_DEFAULT, &error);
    into->plan_ms = cpu_ms() - begin;
    if (!plan) {
        fprintf(stderr, "bench-plan: %s\n", error->message);
        return FALSE;
    }
    begin = cpu_ms();
    into->file_bytes = strlen(json_object_to_json_string_ext(plan, JSON_C_TO_STRING_PLAIN));
    into->print_ms = cpu_ms() - begin;
    into->steps = (guint)drv_json_length(drv_json_array(plan, "steps"));
    into->refused = (guint)drv_json_length(drv_json_array(plan, "refused"));
    into->side_by_side = (guint)drv_json_int(plan, "side_by_side", 0);
    into->time_ms = drv_json_int(drv_json_object(drv_json_object(plan, "predicted"), "time_ms"), "p50", 0);
    return TRUE;
}

/* In a process of its own, so that its peak is its own. */
static gboolean measure(const size_of *size, const char *path, result *into)
{
    struct rusage used;
    int ends[2], status = 0;
    pid_t child;
    ssize_t got;

    if (pipe(ends) < 0 || (child = fork()) < 0)
        return FALSE;
    if (child == 0) {
        result mine = {0};
        gboolean good = plan_fleet(size, path, &mine) && write(ends[1], &mine, sizeof mine) == (ssize_t)sizeof mine;

        _exit(good ? 0 : 1);
    }
    close(ends[1]);
    got = read(ends[0], into, sizeof *into);
    close(ends[0]);
    if (wait4(child, &status, 0, &used) != child || status != 0 || got != (ssize_t)sizeof *into)
        return FALSE;
    into->peak_bytes = (guint64)used.ru_maxrss << 10;
    return TRUE;
}

static int usage(FILE *out, int code)
{
    fputs("usage: bench-plan [--hosts N] [--vms-per-host N] [--evacuate N] [--full PERCENT] [--json FILE]\n"
          "                  [--write FILE]\n\n"
          "Without --hosts: 125, 250, 500, 1000 and 2000 hosts, a twentieth evacuated. With --write the fleet\n"
          "is only written to a file, which 'drover plan --fleet FILE' takes.\n",
          out);
    return code;
}

static void print_row(const size_of *size, const result *found, json_object *rows)
{
    json_object *row = json_object_new_object();

    printf("%6u %7u %9u %8.0f %8.0f %8.0f %9.1f %7u %8u %12u %9.0f\n", size->hosts, size->hosts * size->per_host,
           size->evacuated, found->read_ms, found->plan_ms, found->print_ms, (double)found->peak_bytes / (1 << 20),
           found->steps, found->refused, found->side_by_side, (double)found->time_ms / 1000);
    fflush(stdout);
    drv_json_set_int(row, "hosts", size->hosts);
    drv_json_set_int(row, "vms", size->hosts * size->per_host);
    drv_json_set_int(row, "evacuated", size->evacuated);
    drv_json_set(row, "read_ms", json_object_new_double(found->read_ms));
    drv_json_set(row, "plan_ms", json_object_new_double(found->plan_ms));
    drv_json_set(row, "print_ms", json_object_new_double(found->print_ms));
    drv_json_set_int(row, "peak_bytes", (gint64)found->peak_bytes);
    drv_json_set_int(row, "steps", found->steps);
    drv_json_set_int(row, "refused", found->refused);
    drv_json_set_int(row, "side_by_side", found->side_by_side);
    drv_json_set_int(row, "predicted_ms", found->time_ms);
    json_object_array_add(rows, row);
}

static gboolean one_size(const size_of *size, json_object *rows)
{
    g_autofree char *path = NULL;
    result found = {0};
    int file = g_file_open_tmp("drover-fleet-XXXXXX", &path, NULL);
    gboolean good;

    if (file < 0)
        return FALSE;
    close(file);
    good = write_fleet(size, path) && measure(size, path, &found);
    unlink(path);
    if (good)
        print_row(size, &found, rows);
    return good;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"hosts", required_argument, NULL, 'h'},    {"vms-per-host", required_argument, NULL, 'v'},
        {"evacuate", required_argument, NULL, 'e'}, {"full", required_argument, NULL, 'f'},
        {"json", required_argument, NULL, 'j'},     {"write", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, '?'},           {NULL}};
    static const guint hosts[] = {125, 250, 500, 1000, 2000};
    size_of size = {0, 20, 0, 1, 0.75};
    const char *json_path = NULL, *fleet_path = NULL;
    g_autoptr(json_object) rows = json_object_new_array();
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'h':
            size.hosts = (guint)atoi(optarg);
            break;
        case 'v':
            size.per_host = (guint)atoi(optarg);
            break;
        case 'e':
            size.evacuated = (guint)atoi(optarg);
            break;
        case 'f':
            size.full = atof(optarg) / 100;
            break;
        case 'j':
            json_path = optarg;
            break;
        case 'w':
            fleet_path = optarg;
            break;
        default:
            return usage(optopt ? stderr : stdout, optopt ? 2 : 0);
        }
    }
    if (optind < argc || size.full <= 0 || size.full > 1 || size.evacuated > size.hosts)
        return usage(stderr, 2);
    if (fleet_path) {
        size.hosts = size.hosts ? size.hosts : 1000;
        return write_fleet(&size, fleet_path) ? 0 : 1;
    }
    printf("%6s %7s %9s %8s %8s %8s %9s %7s %8s %12s %9s\n", "hosts", "VMs", "evacuated", "read ms", "plan ms",
           "print ms", "peak MiB", "steps", "refused", "side by side", "takes s");
    for (guint i = 0; i < (size.hosts ? 1 : G_N_ELEMENTS(hosts)); i++) {
        size_of one = size;

        one.hosts = size.hosts ? size.hosts : hosts[i];
        one.evacuated = size.evacuated ? size.evacuated : MAX(one.hosts / 20, 1);
        if (!one_size(&one, rows))
            return 1;
    }
    return json_path && json_object_to_file_ext(json_path, rows, JSON_C_TO_STRING_PRETTY) < 0;
}
