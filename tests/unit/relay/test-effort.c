/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How hard the encoder tries, on machines and links that are simulated: time is what they say.
 * The link's rate is found by pace.c, as in a session.
 */
#include <glib.h>
#include <string.h>

#include "relay/effort.h"
#include "relay/pace.h"

#define MB 1e6
#define LOOK_BYTES ((uint64_t)1 << 20)

/* A machine, a link, and what a guest's pages are like. */
struct world {
    double link_bps;
    unsigned senders, cores;
    double slow;    /* than the author's machine */
    double steep;   /* how much more the higher efforts cost than one would think; 1: not */
    double gain;    /* 1: a usual guest; 0: nothing can be compressed */
    double content; /* what references leave of a byte */
    double noise;   /* of each figure */
};

struct sim {
    struct world world;
    struct drv_effort effort;
    struct drv_pace pace;
    double now_us;
    double raw, wire; /* bytes so far */
    unsigned changes;
    bool near; /* the switch: it may only rise */
    GRand *rand;
};

static const double press_ns[DRV_EFFORTS] = {0, 0.1, 1.4, 1.5, 1.8, 2.3, 3.3, 4.2};
static const double gains[DRV_EFFORTS] = {0, 0, 0.60, 0.63, 0.69, 0.72, 0.735, 0.75};

static double press_of(const struct world *world, unsigned at)
{
    double more = at > DRV_EFFORT_FIRST ? world->steep : 1;

    return press_ns[at] * world->slow * more;
}

static double encoded_of(const struct world *world, unsigned at)
{
    return at == DRV_EFFORT_PLAIN ? 1 : world->content * (1 - gains[at] * world->gain);
}

static double alone_of(const struct world *world, unsigned at)
{
    return (at == DRV_EFFORT_PLAIN ? 0.15 : 0.7) * world->slow;
}

/* Bytes of the channel a second. @cpu: receives what there would be without a link */
static double speed_of(const struct world *world, unsigned at, double *cpu)
{
    double alone = alone_of(world, at);
    double press = at == DRV_EFFORT_PLAIN ? 0 : world->content * press_of(world, at);
    double all = alone + press + 0.5 * world->slow * encoded_of(world, at);
    unsigned at_once = MIN(world->senders, world->cores);

    *cpu = 1e9 / MAX(alone, all / at_once);
    return MIN(*cpu, world->link_bps / encoded_of(world, at));
}

static double best_speed(const struct world *world)
{
    double best = 0, cpu;

    for (unsigned i = 0; i < DRV_EFFORTS; i++)
        best = MAX(best, speed_of(world, i, &cpu));
    return best;
}

static double noisy(struct sim *sim, double value)
{
    return value * (1 + sim->world.noise * g_rand_double_range(sim->rand, -1, 1));
}

/* As many batches as make a look. */
static void one_look(struct sim *sim)
{
    const struct drv_encoder_copy copy = {0};
    const struct world *world = &sim->world;
    unsigned at = sim->effort.now;
    double raw = LOOK_BYTES, content = at == DRV_EFFORT_PLAIN ? 0 : raw * world->content;
    double encoded = raw * encoded_of(world, at), cpu;
    double passed_us = raw / speed_of(world, at, &cpu) * 1e6;
    /* More threads than cores: each takes longer by the clock. */
    double crowd = (double)world->senders / MIN(world->senders, world->cores);
    struct drv_effort_look look = {
        .raw_bytes = (uint64_t)raw,
        .content_bytes = (uint64_t)content,
        .encoded_bytes = (uint64_t)encoded,
        .alone_us = (uint64_t)noisy(sim, raw * alone_of(world, at) / 1e3),
        .press_us = (uint64_t)noisy(sim, content * press_of(world, at) / 1e3),
        .send_us = (uint64_t)noisy(sim, encoded * 0.5 * world->slow * crowd / 1e3),
    };
    unsigned next;

    look.pressed_us = (uint64_t)noisy(sim, (double)look.press_us * crowd);
    look.blocked_us = (uint64_t)((passed_us - raw / cpu * 1e6) * world->senders);
    sim->now_us += passed_us;
    sim->raw += raw;
    sim->wire += encoded;
    drv_pace_sent(&sim->pace, look.encoded_bytes, look.blocked_us);
    drv_pace_look(&sim->pace, (int64_t)sim->now_us, world->senders, &copy);
    next = drv_effort_look(&sim->effort, &look, world->senders, atomic_load(&sim->pace.link_bps), DRV_EFFORT_PLAIN,
                           sim->near);
    sim->changes += next != at;
}

static void start(struct sim *sim, const struct world *world)
{
    *sim = (struct sim){.world = *world, .now_us = 1e6, .rand = g_rand_new_with_seed(4)};
    drv_effort_init(&sim->effort);
}

/* For so many seconds of the simulation. Return: mean speed. */
static double run(struct sim *sim, double seconds)
{
    double end_us = sim->now_us + seconds * 1e6, began_us = sim->now_us, before = sim->raw;

    while (sim->now_us < end_us)
        one_look(sim);
    return (sim->raw - before) / (sim->now_us - began_us) * 1e6;
}

static const struct world usual = {
    .link_bps = 25 * MB, .senders = 2, .cores = 2, .slow = 1, .steep = 1, .gain = 1, .content = 0.93, .noise = 0.1};

/* At 100 and 200 Mbit/s any of these machines has time for the best compression. */
static void slow_links_get_the_most(void)
{
    for (double link = 6 * MB; link < 30 * MB; link *= 2)
        for (double slow = 0.5; slow <= 2; slow *= 2) {
            struct world world = usual;
            struct sim sim;

            world.link_bps = link;
            world.slow = slow;
            start(&sim, &world);
            (void)run(&sim, 0.25);
            g_assert_cmpuint(sim.effort.now, ==, DRV_EFFORTS - 1);
            sim.changes = 0;
            (void)run(&sim, 10);
            g_assert_cmpuint(sim.effort.now, ==, DRV_EFFORTS - 1);
            g_assert_cmpuint(sim.changes, ==, 0);
            g_rand_free(sim.rand);
        }
}

/* Whatever the link and the machine: nearly as fast as it could be, and hardly ever changing. */
static void every_bottleneck_is_found(void)
{
    static const double links[] = {12.5 * MB, 25 * MB, 60 * MB, 119 * MB, 300 * MB, 600 * MB};

    for (unsigned i = 0; i < G_N_ELEMENTS(links); i++)
        for (double slow = 0.5; slow <= 8; slow *= 2)
            for (double steep = 0.7; steep < 4; steep *= 2)
                for (unsigned cores = 1; cores <= 4; cores *= 2)
                    for (double gain = 0; gain <= 1; gain += 0.5) {
                        struct world world = usual;
                        struct sim sim;
                        double speed, most;

                        world.link_bps = links[i];
                        world.slow = slow;
                        world.steep = steep;
                        world.cores = cores;
                        world.senders = cores;
                        world.gain = gain;
                        start(&sim, &world);
                        (void)run(&sim, 2);
                        sim.changes = 0;
                        speed = run(&sim, 5);
                        /* Where nothing can be compressed it is tried now and then. */
                        most = 30 + (gain > 0 ? 0 : 5 * speed / LOOK_BYTES / 32 * 5);
                        if (speed < best_speed(&world) * 0.8 || sim.changes > most)
                            g_test_message("link %.0f MB/s, slow %.1f, steep %.1f, %u cores, gain "
                                           "%.1f: %.0f MB/s at %u, best %.0f, %u changes",
                                           links[i] / MB, slow, steep, cores, gain, speed / MB, sim.effort.now,
                                           best_speed(&world) / MB, sim.changes);
                        g_assert_cmpfloat(speed, >=, best_speed(&world) * 0.8);
                        g_assert_cmpfloat(sim.changes, <=, most);
                        g_rand_free(sim.rand);
                    }
}

/* What changes in the midst of a move is followed. */
static void changes_are_followed(void)
{
    struct sim sim;

    start(&sim, &usual);
    (void)run(&sim, 2);
    g_assert_cmpuint(sim.effort.now, ==, DRV_EFFORTS - 1);
    /* The machine has other work. */
    sim.world.slow = 12;
    (void)run(&sim, 0.5);
    g_assert_cmpfloat(run(&sim, 2), >=, best_speed(&sim.world) * 0.8);
    g_assert_cmpuint(sim.effort.now, <, DRV_EFFORTS - 1);
    sim.world.slow = 1;
    (void)run(&sim, 2);
    g_assert_cmpuint(sim.effort.now, ==, DRV_EFFORTS - 1);
    /* The link is faster than was thought. */
    sim.world.link_bps = 600 * MB;
    (void)run(&sim, 2);
    g_assert_cmpfloat(run(&sim, 1), >=, best_speed(&sim.world) * 0.95);
    /* And slow again: pace.c takes some looks of 100 ms to believe it. */
    sim.world.link_bps = 12 * MB;
    (void)run(&sim, 1.5);
    g_assert_cmpuint(sim.effort.now, ==, DRV_EFFORTS - 1);
    g_rand_free(sim.rand);
}

/* A guest full of noise, and then one that is not. */
static void what_could_be_compressed_is_found_again(void)
{
    struct world world = usual;
    struct sim sim;

    world.gain = 0;
    world.content = 1;
    start(&sim, &world);
    (void)run(&sim, 3);
    g_assert_cmpuint(sim.effort.now, ==, DRV_EFFORT_STORED);
    sim.changes = 0;
    (void)run(&sim, 10);
    /* It wonders each 32 MiB. */
    g_assert_cmpuint(sim.changes, <=, 10 * 25 / 32 * 6 + 6);
    sim.world.gain = 1;
    (void)run(&sim, 2);
    g_assert_cmpuint(sim.effort.now, ==, DRV_EFFORTS - 1);
    g_rand_free(sim.rand);
}

/* The switch came near while nothing was compressed, and the link turns out to be slow. */
static void near_the_switch_it_only_rises(void)
{
    struct world world = usual;
    unsigned reached;
    struct sim sim;

    world.link_bps = 1e12;
    start(&sim, &world);
    (void)run(&sim, 3);
    g_assert_cmpuint(sim.effort.now, ==, DRV_EFFORT_PLAIN);
    sim.near = true;
    sim.world.link_bps = 12 * MB;
    (void)run(&sim, 5);
    reached = sim.effort.now;
    g_assert_cmpuint(reached, >=, DRV_EFFORT_FIRST);
    sim.world.link_bps = 1e12;
    (void)run(&sim, 3);
    g_assert_cmpuint(sim.effort.now, >=, reached);
    g_rand_free(sim.rand);
}

/* Nobody waits for the link: it is not known how fast it is, and less is done step by step. */
static void nobody_waits(void)
{
    const struct drv_effort_look look = {.raw_bytes = 1000000,
                                         .content_bytes = 930000,
                                         .encoded_bytes = 250000,
                                         .alone_us = 700,
                                         .press_us = 2000,
                                         .pressed_us = 2000,
                                         .send_us = 200};
    struct drv_effort effort;

    for (unsigned least = 0; least < 2; least++) {
        drv_effort_init(&effort);
        g_assert_cmpuint(drv_effort_look(&effort, &look, 2, 0, least, false), ==, DRV_EFFORT_FIRST);
        for (unsigned i = 0; i < 100; i++)
            (void)drv_effort_look(&effort, &look, 2, 0, least, false);
        g_assert_cmpuint(effort.now, ==, least);
    }
    /* What must not be given up is not, although the link takes everything. */
    g_assert_cmpuint(drv_effort_look(&effort, &look, 2, UINT64_MAX / 2, DRV_EFFORT_STORED, false), ==,
                     DRV_EFFORT_STORED);
    /* A look at nothing says nothing. */
    g_assert_cmpuint(drv_effort_look(&effort, &(struct drv_effort_look){0}, 2, 1000, 0, false), ==, DRV_EFFORT_STORED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/relay/effort/slow-links", slow_links_get_the_most);
    g_test_add_func("/relay/effort/every-bottleneck", every_bottleneck_is_found);
    g_test_add_func("/relay/effort/changes", changes_are_followed);
    g_test_add_func("/relay/effort/noise", what_could_be_compressed_is_found_again);
    g_test_add_func("/relay/effort/near", near_the_switch_it_only_rises);
    g_test_add_func("/relay/effort/nobody-waits", nobody_waits);
    return g_test_run();
}
