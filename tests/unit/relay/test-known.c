/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known content between two real relays: a session fills what the next one, of fresh processes with
 * their roles changed, begins with. Whatever happens to what was kept in between, every byte
 * arrives.
 */
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "checks.h"
#include "pack/brief.h"
#include "pack/pack.h"
#include "relay/known.h"
#include "ram-stream.h"

#define PAGES 6000 /* of the guest */

/* What one host keeps: its key, and packs of earlier sessions, the newest last. */
struct host {
    struct drv_seal_key key;
    unsigned packs;
    int pack[4];
    uint8_t id[4][DRV_SESSION_ID_SIZE];
};

static void host_init(struct host *host, uint8_t number)
{
    *host = (struct host){.key.bytes = {number, 2, 3}};
}

static void host_done(struct host *host)
{
    while (host->packs)
        close(host->pack[--host->packs]);
}

static struct drv_seal_key pack_key(const struct host *host, unsigned pack)
{
    struct drv_seal_key key;
    struct drv_error err;

    check_ok(drv_seal_pack_key(&key, &host->key, "cluster", host->id[pack], &err), err);
    return key;
}

/* A file in memory for a new pack. */
static int new_pack(struct host *host)
{
    struct drv_pack_head head = {.uuid = "u", .vm = "v", .owner = "cluster"};
    unsigned pack = host->packs++;
    struct drv_error err;

    g_assert_cmpuint(pack, <, G_N_ELEMENTS(host->pack));
    head.id[0] = (uint8_t)pack;
    memcpy(host->id[pack], head.id, sizeof head.id);
    host->pack[pack] = memfd_create("pack", MFD_CLOEXEC);
    check_ok(drv_pack_begin(host->pack[pack], &head, &err), err);
    return host->pack[pack];
}

static struct drv_pack_manifest read_manifest(const struct host *host, unsigned pack)
{
    struct drv_seal_key key = pack_key(host, pack);
    struct drv_pack_manifest manifest = {0};
    struct drv_error err;

    check_ok(drv_pack_read_manifest(host->pack[pack], &key, &manifest, &err), err);
    return manifest;
}

/* All segments of all packs that there are, but for the one to write, which is the last. */
static void make_brief(struct host *host, struct drv_brief *brief)
{
    *brief = (struct drv_brief){.most_segments = 512, .packs = host->packs};
    brief->segment = g_new0(struct drv_brief_segment, 2048);
    for (unsigned pack = 0; pack < brief->packs; pack++) {
        struct drv_pack_manifest manifest = read_manifest(host, pack);

        brief->pack_key[pack] = pack_key(host, pack);
        for (unsigned i = 0; i < manifest.count; i++)
            brief->segment[brief->count++] =
                (struct drv_brief_segment){.pack = (uint8_t)pack, .index = (uint16_t)i, .segment = manifest.segment[i]};
        drv_pack_manifest_done(&manifest);
    }
    (void)new_pack(host);
    brief->key = pack_key(host, brief->packs);
}

struct side {
    struct host *host;
    struct drv_brief brief;
    int brief_fd;
    int files[1 + 4];
    unsigned passing; /* segments that must be written while the session is up */
};

static void side_init(struct side *side, struct host *host)
{
    side->host = host;
    side->passing = 0;
    make_brief(host, &side->brief);
}

/* After a test has changed the brief as it likes. */
static void side_hand(struct side *side, struct drv_relay_config *config)
{
    struct drv_error err;
    unsigned last = side->host->packs - 1;

    side->brief_fd = drv_brief_write(&side->brief, &err);
    check_ok(side->brief_fd, err);
    side->files[0] = side->host->pack[last];
    for (unsigned i = 0; i < last; i++)
        side->files[1 + i] = side->host->pack[i];
    config->content_fd = side->brief_fd;
    config->content_files = side->files;
    config->content_file_count = 1 + last;
}

static void side_done(struct side *side)
{
    close(side->brief_fd);
    g_free(side->brief.segment);
}

struct push {
    int fd;
    const struct ram_stream *stream;
};

static void *push(void *argument)
{
    struct push *work = argument;

    check_write(work->fd, work->stream->bytes, work->stream->size);
    close(work->fd);
    return NULL;
}

struct outcome {
    uint64_t wire_bytes, recycled_bytes;
};

/* It may still write its pack when its connection has ended. */
static void wait_for_exit(int process)
{
    struct pollfd wait = {.fd = process, .events = POLLIN};

    g_assert_cmpint(poll(&wait, 1, CHECK_MS), ==, 1);
    close(process);
}

/* Until so much of the pack is written, by a relay that still works. */
static void wait_passing(const struct side *side)
{
    gint64 until = g_get_monotonic_time() + CHECK_MS * G_TIME_SPAN_MILLISECOND;
    struct stat info = {0};

    while (side->passing && info.st_size <= (off_t)drv_slot_at(side->passing - 1)) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(2000);
        g_assert_cmpint(fstat(side->files[0], &info), ==, 0);
    }
}

/* A whole session that carries @stream, from one side to the other. */
static struct outcome carry(struct side *source, struct side *target, const struct ram_stream *stream)
{
    g_autofree uint8_t *got = g_malloc(stream->size);
    struct push work = {.stream = stream};
    struct drv_relay_status status;
    struct outcome outcome;
    int ends[PAIR_ENDS];
    int process[PAIR_ENDS];
    struct drv_error err;
    struct pair pair;
    GThread *thread;

    check_ok(pair_prepare(&pair, 3, &err), err);
    side_hand(source, &pair.config[PAIR_SOURCE]);
    side_hand(target, &pair.config[PAIR_TARGET]);
    check_ok(pair_start_target(&pair, &err), err);
    check_ok(pair_start_source(&pair, &err), err);
    for (size_t end = 0; end < PAIR_ENDS; end++)
        process[end] = (int)syscall(SYS_pidfd_open, pair_pid(&pair, (enum pair_end)end), 0);
    check_ok(pair_stream(&pair, DRV_CHANNEL_RAM, ends, &err), err);
    work.fd = ends[PAIR_SOURCE];
    thread = g_thread_new("push", push, &work);
    check_read(ends[PAIR_TARGET], got, stream->size);
    g_assert_true(memcmp(got, stream->bytes, stream->size) == 0);
    check_eof(ends[PAIR_TARGET]);
    close(ends[PAIR_TARGET]);
    g_thread_join(thread);
    status = check_status(&pair, PAIR_SOURCE);
    outcome = (struct outcome){status.wire_out_bytes, status.recycled_bytes};
    g_assert_cmpuint(check_status(&pair, PAIR_TARGET).recycled_bytes, ==, status.recycled_bytes);
    wait_passing(source);
    wait_passing(target);
    pair_stop(&pair);
    for (size_t end = 0; end < PAIR_ENDS; end++)
        wait_for_exit(process[end]);
    side_done(source);
    side_done(target);
    return outcome;
}

static struct outcome move(struct host *from, struct host *to, const struct ram_stream *stream)
{
    struct side source, target;

    side_init(&source, from);
    side_init(&target, to);
    return carry(&source, &target, stream);
}

/* Flips a bit of every segment of a pack whose number is odd; of all when @all. */
static unsigned damage(struct host *host, unsigned pack, bool all)
{
    struct drv_pack_manifest manifest = read_manifest(host, pack);
    unsigned damaged = 0;

    for (unsigned i = 0; i < manifest.count; i++) {
        off_t at = (off_t)drv_slot_at(i) + 100 + i * 37;
        uint8_t byte;

        if (!all && i % 2 == 0)
            continue;
        g_assert_cmpint(pread(host->pack[pack], &byte, 1, at), ==, 1);
        byte ^= 1;
        g_assert_cmpint(pwrite(host->pack[pack], &byte, 1, at), ==, 1);
        damaged++;
    }
    drv_pack_manifest_done(&manifest);
    return damaged;
}

struct scene {
    struct host h1, h2;
    struct ram_stream stream;
    struct outcome first;
};

/* A first move from h1 to h2. */
static void scene_init(struct scene *scene)
{
    struct drv_pack_manifest one, other;

    host_init(&scene->h1, 1);
    host_init(&scene->h2, 2);
    ram_stream_make(&scene->stream, 7, PAGES, 2);
    scene->first = move(&scene->h1, &scene->h2, &scene->stream);
    g_assert_cmpuint(scene->first.recycled_bytes, ==, 0);
    /* Both have kept the same. */
    one = read_manifest(&scene->h1, 0);
    other = read_manifest(&scene->h2, 0);
    g_assert_cmpuint(one.count, >, 4);
    g_assert_cmpuint(one.count, ==, other.count);
    g_assert_cmpint(memcmp(one.segment, other.segment, one.count * sizeof *one.segment), ==, 0);
    drv_pack_manifest_done(&one);
    drv_pack_manifest_done(&other);
}

static void scene_done(struct scene *scene)
{
    host_done(&scene->h1);
    host_done(&scene->h2);
    ram_stream_free(&scene->stream);
}

static void return_costs_a_fraction(void)
{
    struct scene scene;
    struct outcome back;
    struct drv_pack_manifest kept;

    scene_init(&scene);
    back = move(&scene.h2, &scene.h1, &scene.stream);
    g_test_message("first %" G_GUINT64_FORMAT ", back %" G_GUINT64_FORMAT, scene.first.wire_bytes, back.wire_bytes);
    g_assert_cmpuint(back.wire_bytes, <, scene.first.wire_bytes / 10);
    g_assert_cmpuint(back.recycled_bytes, >, scene.stream.size / 2);
    /* What was known already is not kept twice, and who kept it is credited. */
    kept = read_manifest(&scene.h1, 1);
    g_assert_cmpuint(kept.count, <=, 1);
    g_assert_cmpuint(kept.uses, ==, 1);
    g_assert_cmpuint(kept.use[0].bytes, ==, back.recycled_bytes);
    g_assert_cmpuint(kept.use[0].damaged, ==, 0);
    drv_pack_manifest_done(&kept);
    /* And out again, with two packs at each end. */
    g_assert_cmpuint(move(&scene.h1, &scene.h2, &scene.stream).wire_bytes, <, scene.first.wire_bytes / 10);
    scene_done(&scene);
}

/* The first pack of both ends anew, with room for @most segments, of which @passing are written by relays that still work. */
static struct drv_pack_manifest again(struct scene *scene, unsigned most, unsigned passing)
{
    struct drv_pack_manifest here, there;
    struct side source, target;

    host_done(&scene->h1);
    host_done(&scene->h2);
    side_init(&source, &scene->h1);
    side_init(&target, &scene->h2);
    source.brief.most_segments = target.brief.most_segments = most;
    source.passing = target.passing = passing;
    (void)carry(&source, &target, &scene->stream);
    here = read_manifest(&scene->h1, 0);
    there = read_manifest(&scene->h2, 0);
    g_assert_cmpuint(here.count, ==, there.count);
    g_assert_cmpuint(here.missing + there.missing, ==, 0);
    g_assert_cmpint(memcmp(here.segment, there.segment, here.count * sizeof *here.segment), ==, 0);
    drv_pack_manifest_done(&there);
    return here;
}

/* A way back that begins at once: nearly all is written before the session is over, the same at both ends. */
static void written_while_it_passes(void)
{
    struct drv_pack_manifest whole, kept;
    struct scene scene;

    scene_init(&scene);
    whole = read_manifest(&scene.h1, 0);
    kept = again(&scene, 512, whole.count - 2);
    g_assert_cmpuint(kept.count, >=, whole.count - 1);
    drv_pack_manifest_done(&kept);
    drv_pack_manifest_done(&whole);
    g_assert_cmpuint(move(&scene.h2, &scene.h1, &scene.stream).wire_bytes, <, scene.first.wire_bytes / 10);
    scene_done(&scene);
}

/* A pack that is too small has the first of what passes, and the newest of it: the same at both ends. */
static void no_room_for_all(void)
{
    struct drv_pack_manifest kept;
    struct scene scene;

    scene_init(&scene);
    kept = again(&scene, 8, 6);
    g_assert_cmpuint(kept.count, ==, 8);
    /* The last segment is one that is not full. */
    g_assert_cmpuint(kept.segment[5].pages, ==, DRV_SEGMENT_PAGES);
    g_assert_cmpuint(kept.segment[7].pages, <, DRV_SEGMENT_PAGES);
    drv_pack_manifest_done(&kept);
    scene_done(&scene);
}

static void damage_costs_speed(void)
{
    struct scene scene;
    struct outcome back;
    struct drv_pack_manifest kept;
    uint64_t whole_bytes;
    unsigned damaged;

    scene_init(&scene);
    whole_bytes = move(&scene.h2, &scene.h1, &scene.stream).recycled_bytes;
    scene_done(&scene);

    /* Half of it. How much goes over the wire depends on how well the rest is compressed, which follows the machine. */
    scene_init(&scene);
    damaged = damage(&scene.h2, 0, false);
    back = move(&scene.h2, &scene.h1, &scene.stream);
    g_assert_cmpuint(back.recycled_bytes, >, whole_bytes / 4);
    g_assert_cmpuint(back.recycled_bytes, <, whole_bytes * 3 / 4);
    g_assert_cmpuint(back.wire_bytes, >, scene.first.wire_bytes / 10);
    kept = read_manifest(&scene.h2, 1);
    g_assert_cmpuint(kept.use[0].damaged, ==, damaged);
    drv_pack_manifest_done(&kept);
    scene_done(&scene);

    scene_init(&scene);
    (void)damage(&scene.h1, 0, true);
    back = move(&scene.h2, &scene.h1, &scene.stream);
    g_assert_cmpuint(back.recycled_bytes, ==, 0);
    g_assert_cmpuint(back.wire_bytes, >, scene.first.wire_bytes / 2);
    scene_done(&scene);
}

/* The two ends were told of different lists: none is used. */
static void other_list(void)
{
    struct scene scene;
    struct side source, target;

    scene_init(&scene);
    side_init(&source, &scene.h2);
    side_init(&target, &scene.h1);
    source.brief.segment[1].segment.digest[3] ^= 1;
    g_assert_cmpuint(carry(&source, &target, &scene.stream).recycled_bytes, ==, 0);
    scene_done(&scene);

    scene_init(&scene);
    side_init(&source, &scene.h2);
    side_init(&target, &scene.h1);
    target.brief.count--;
    g_assert_cmpuint(carry(&source, &target, &scene.stream).recycled_bytes, ==, 0);
    scene_done(&scene);
}

static void wrong_key(void)
{
    struct scene scene;
    struct side source, target;
    struct outcome back;

    scene_init(&scene);
    side_init(&source, &scene.h2);
    side_init(&target, &scene.h1);
    target.brief.pack_key[0].bytes[31] ^= 0x80;
    back = carry(&source, &target, &scene.stream);
    g_assert_cmpuint(back.recycled_bytes, ==, 0);
    scene_done(&scene);
}

/* Files that end too early, at any place. */
static void cut_off(void)
{
    struct scene scene;
    struct side source, target;
    struct outcome back;

    scene_init(&scene);
    side_init(&source, &scene.h2);
    side_init(&target, &scene.h1);
    g_assert_cmpint(ftruncate(scene.h1.pack[0], (off_t)drv_slot_at(2) + 12345), ==, 0);
    back = carry(&source, &target, &scene.stream);
    g_assert_cmpuint(back.recycled_bytes, >, 0);
    g_assert_cmpuint(back.wire_bytes, >, scene.first.wire_bytes / 10);
    scene_done(&scene);
}

/* More than fits beside what is new: none of it. */
static void more_than_the_cache(void)
{
    struct scene scene;
    struct side source, target;
    unsigned count;

    scene_init(&scene);
    side_init(&source, &scene.h2);
    side_init(&target, &scene.h1);
    count = source.brief.count;
    source.brief.segment = g_renew(struct drv_brief_segment, source.brief.segment, 4096);
    target.brief.segment = g_renew(struct drv_brief_segment, target.brief.segment, 4096);
    for (unsigned i = count; i < 4096; i++) {
        source.brief.segment[i] = source.brief.segment[i % count];
        target.brief.segment[i] = target.brief.segment[i % count];
    }
    source.brief.count = target.brief.count = 4096;
    g_assert_cmpuint(carry(&source, &target, &scene.stream).recycled_bytes, ==, 0);
    scene_done(&scene);
}

/* A busy machine loads slowly, but quicker than a link: then it is worth to wait. */
static void loading_ends(void)
{
    const uint64_t mb = 1000 * 1000;

    g_assert_true(drv_known_go_on(0, 0));
    g_assert_true(drv_known_go_on(2 * mb - 1, 0));
    g_assert_false(drv_known_go_on(2 * mb, 0));
    g_assert_false(drv_known_go_on(4 * mb, 499 * mb));
    g_assert_true(drv_known_go_on(4 * mb, 500 * mb));
    g_assert_false(drv_known_go_on(8 * mb, 4000 * mb));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    check_add("/relay/known/loading-ends", loading_ends);
    check_add("/relay/known/return", return_costs_a_fraction);
    check_add("/relay/known/written-while-it-passes", written_while_it_passes);
    check_add("/relay/known/no-room-for-all", no_room_for_all);
    check_add("/relay/known/damage", damage_costs_speed);
    check_add("/relay/known/other-list", other_list);
    check_add("/relay/known/wrong-key", wrong_key);
    check_add("/relay/known/cut-off", cut_off);
    check_add("/relay/known/more-than-the-cache", more_than_the_cache);
    return g_test_run();
}
