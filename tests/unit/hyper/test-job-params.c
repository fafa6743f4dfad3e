/* SPDX-License-Identifier: Apache-2.0 */
/* libvirt's job statistics as ours; the numbers are of a real move. */
#include <string.h>

#include "hyper/job-params.h"
#include "hyper/job.h"

typedef struct {
    virTypedParameterPtr params;
    int count, max;
} list;

static void add(list *l, const char *name, unsigned long long value)
{
    g_assert_cmpint(virTypedParamsAddULLong(&l->params, &l->count, &l->max, name, value), ==, 0);
}

static list job_of(int operation)
{
    list l = {0};

    g_assert_cmpint(virTypedParamsAddInt(&l.params, &l.count, &l.max, VIR_DOMAIN_JOB_OPERATION, operation), ==, 0);
    add(&l, VIR_DOMAIN_JOB_TIME_ELAPSED, 10435);
    add(&l, VIR_DOMAIN_JOB_DOWNTIME, 14);
    add(&l, VIR_DOMAIN_JOB_MEMORY_TOTAL, 537665536);
    add(&l, VIR_DOMAIN_JOB_MEMORY_PROCESSED, 212551470);
    add(&l, VIR_DOMAIN_JOB_MEMORY_REMAINING, 4096);
    add(&l, VIR_DOMAIN_JOB_MEMORY_BPS, 21203778);
    add(&l, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, 23);
    add(&l, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, 4096);
    add(&l, VIR_DOMAIN_JOB_MEMORY_ITERATION, 3);
    add(&l, VIR_DOMAIN_JOB_DISK_TOTAL, 269877248);
    add(&l, VIR_DOMAIN_JOB_DISK_PROCESSED, 268435456);
    add(&l, VIR_DOMAIN_JOB_DISK_REMAINING, 1441792);
    add(&l, VIR_DOMAIN_JOB_DISK_BPS, 5);
    return l;
}

static void test_outgoing(void)
{
    list l = job_of(VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT);
    drv_job_stats stats;

    g_assert_true(drv_job_stats_from_params(l.params, l.count, VIR_DOMAIN_JOB_UNBOUNDED, &stats));
    g_assert_true(stats.active);
    g_assert_true(stats.outgoing);
    g_assert_false(stats.switching);
    g_assert_cmpuint(stats.elapsed_ms, ==, 10435);
    g_assert_cmpuint(stats.downtime_ms, ==, 14);
    g_assert_cmpuint(stats.memory_total_bytes, ==, 537665536);
    g_assert_cmpuint(stats.memory_processed_bytes, ==, 212551470);
    g_assert_cmpuint(stats.memory_remaining_bytes, ==, 4096);
    g_assert_cmpuint(stats.memory_bps, ==, 21203778);
    g_assert_cmpuint(stats.dirty_rate_bps, ==, 23 * 4096);
    g_assert_cmpuint(stats.page_size_bytes, ==, 4096);
    g_assert_cmpuint(stats.rounds, ==, 3);
    g_assert_cmpuint(stats.disk_total_bytes, ==, 269877248);
    g_assert_cmpuint(stats.disk_processed_bytes, ==, 268435456);
    g_assert_cmpuint(stats.disk_remaining_bytes, ==, 1441792);
    g_assert_cmpuint(stats.disk_bps, ==, 5);
    g_assert_cmpuint(stats.qemu_bytes, ==, 212551470);
    virTypedParamsFree(l.params, l.count);
}

static void test_completed(void)
{
    list l = job_of(VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN);
    drv_job_stats stats;

    g_assert_true(drv_job_stats_from_params(l.params, l.count, VIR_DOMAIN_JOB_COMPLETED, &stats));
    g_assert_false(stats.active);
    g_assert_false(stats.outgoing);
    g_assert_cmpuint(stats.downtime_ms, ==, 14);
    virTypedParamsFree(l.params, l.count);
}

static void test_other_job(void)
{
    list l = job_of(VIR_DOMAIN_JOB_OPERATION_BACKUP);
    drv_job_stats stats, zero = {0};

    g_assert_false(drv_job_stats_from_params(l.params, l.count, VIR_DOMAIN_JOB_UNBOUNDED, &stats));
    g_assert_cmpmem(&stats, sizeof(stats), &zero, sizeof(zero));
    virTypedParamsFree(l.params, l.count);
    g_assert_false(drv_job_stats_from_params(NULL, 0, VIR_DOMAIN_JOB_UNBOUNDED, &stats));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(virInitialize(), ==, 0);
    g_test_add_func("/hyper/job/outgoing", test_outgoing);
    g_test_add_func("/hyper/job/completed", test_completed);
    g_test_add_func("/hyper/job/other-job", test_other_job);
    return g_test_run();
}
