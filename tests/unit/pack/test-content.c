/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of the known-content store: what was sealed comes out as it went in, and nothing
 * else ever does, whatever bit is changed and wherever a file ends.
 */
#include <errno.h>
#include <glib.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pack/agreement.h"
#include "pack/brief.h"
#include "pack/evict.h"
#include "pack/keyring.h"
#include "pack/pack.h"

#define PAGES 5u /* of the second segment; the first is full */

#define check_ok(rc, err)                                                                                              \
    do {                                                                                                               \
        if ((rc) < 0)                                                                                                  \
            g_error("%s:%d: %s", __FILE__, __LINE__, (err).message);                                                   \
    } while (0)

static const struct drv_seal_key host = {.bytes = {7, 1, 9}};

struct pack {
    int fd;
    struct drv_seal_key key;
    struct drv_pack_manifest manifest;
    guint8 *pages; /* of both segments, as they went in */
};

static guint64 address_of(unsigned page)
{
    return (guint64)page * 8192;
}

static void pack_make(struct pack *pack)
{
    struct drv_pack_head head = {
        .id = {1, 2}, .uuid = "u-u", .vm = "web", .owner = "shop", .created_ms = 12345, .bases = 2, .base = {{4}, {5}}};
    g_autofree guint8 *copy = NULL;
    guint64 addresses[DRV_SEGMENT_PAGES];
    size_t size = DRV_SEGMENT_BYTES + PAGES * DRV_CONTENT_PAGE;
    struct drv_error err;

    *pack = (struct pack){.fd = memfd_create("pack", MFD_CLOEXEC), .pages = g_malloc(size)};
    for (size_t i = 0; i < size; i++)
        pack->pages[i] = (guint8)(i * 31 + i / 4096);
    copy = g_memdup2(pack->pages, size);
    for (unsigned i = 0; i < DRV_SEGMENT_PAGES; i++)
        addresses[i] = address_of(i);
    check_ok(drv_seal_pack_key(&pack->key, &host, head.owner, head.id, &err), err);
    check_ok(drv_pack_begin(pack->fd, &head, &err), err);
    pack->manifest = (struct drv_pack_manifest){.count = 2,
                                                .segment = calloc(2, sizeof(struct drv_pack_segment)),
                                                .uses = 2,
                                                .use = {{.bytes = 77}, {.damaged = 3}},
                                                .missing = 9};
    check_ok(
        drv_pack_save(pack->fd, &pack->key, 0, copy, addresses, DRV_SEGMENT_PAGES, &pack->manifest.segment[0], &err),
        err);
    check_ok(drv_pack_save(pack->fd, &pack->key, 1, copy + DRV_SEGMENT_BYTES, addresses, PAGES,
                           &pack->manifest.segment[1], &err),
             err);
    check_ok(drv_pack_finish(pack->fd, &pack->key, &pack->manifest, &err), err);
}

static void pack_done(struct pack *pack)
{
    drv_pack_manifest_done(&pack->manifest);
    close(pack->fd);
    g_free(pack->pages);
}

/* Return: whether segment @index comes out; then it is what went in. */
static gboolean loads(const struct pack *pack, const struct drv_seal_key *key, unsigned index)
{
    g_autofree guint8 *pages = g_malloc(DRV_SEGMENT_BYTES);
    const struct drv_pack_segment *segment = &pack->manifest.segment[index];
    size_t size = (size_t)segment->pages * DRV_CONTENT_PAGE;
    guint64 addresses[DRV_SEGMENT_PAGES];

    memset(pages, 0x55, DRV_SEGMENT_BYTES);
    if (drv_pack_load(pack->fd, key, index, segment, pages, addresses, NULL)) {
        /* Nothing is left of what was damaged. */
        for (size_t i = 0; i < size; i++)
            g_assert_cmpuint(pages[i], ==, 0);
        return FALSE;
    }
    g_assert_cmpint(memcmp(pages, pack->pages + (size_t)index * DRV_SEGMENT_BYTES, size), ==, 0);
    for (unsigned i = 0; i < segment->pages; i++)
        g_assert_cmpuint(addresses[i], ==, address_of(i));
    return TRUE;
}

/* Return: whether the manifest can be read; then it is what was written. */
static gboolean opens(const struct pack *pack, const struct drv_seal_key *key)
{
    struct drv_pack_manifest got = {0};
    struct drv_error err;

    if (drv_pack_read_manifest(pack->fd, key, &got, &err))
        return FALSE;
    g_assert_cmpuint(got.count, ==, 2);
    g_assert_cmpmem(got.segment, 2 * sizeof *got.segment, pack->manifest.segment, 2 * sizeof *got.segment);
    g_assert_cmpuint(got.uses, ==, 2);
    g_assert_cmpuint(got.use[0].bytes, ==, 77);
    g_assert_cmpuint(got.use[1].damaged, ==, 3);
    g_assert_cmpuint(got.missing, ==, 9);
    drv_pack_manifest_done(&got);
    return TRUE;
}

static void comes_out_as_it_went_in(void)
{
    struct drv_pack_head head;
    struct drv_error err;
    struct pack pack;

    pack_make(&pack);
    g_assert_true(opens(&pack, &pack.key));
    g_assert_true(loads(&pack, &pack.key, 0));
    g_assert_true(loads(&pack, &pack.key, 1));
    check_ok(drv_pack_read_head(pack.fd, &head, &err), err);
    g_assert_cmpstr(head.vm, ==, "web");
    g_assert_cmpstr(head.owner, ==, "shop");
    g_assert_cmpuint(head.created_ms, ==, 12345);
    g_assert_cmpuint(head.bases, ==, 2);
    g_assert_cmpuint(head.base[1][0], ==, 5);
    pack_done(&pack);
}

static void flip(int fd, off_t at, unsigned bit)
{
    guint8 byte;

    g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
    byte ^= (guint8)(1u << bit);
    g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
}

/* Every byte of head, manifest and foot, and of the small segment; steps through the large one. */
static void any_bit_is_seen(void)
{
    const off_t slots[] = {(off_t)drv_slot_at(0), (off_t)drv_slot_at(1), (off_t)drv_slot_at(2)};
    const off_t first = slots[0] + DRV_SEGMENT_BYTES + DRV_SEGMENT_PAGES * 8 + DRV_SEAL_TAG_BYTES;
    const off_t second = slots[1] + PAGES * (DRV_CONTENT_PAGE + 8) + DRV_SEAL_TAG_BYTES;
    struct stat info;
    struct pack pack;

    pack_make(&pack);
    g_assert_cmpint(fstat(pack.fd, &info), ==, 0);
    for (off_t at = 0; at < info.st_size;) {
        gboolean in_first = at >= slots[0] && at < first, in_second = at >= slots[1] && at < second;
        gboolean in_rest = at < slots[0] || at >= slots[2];

        flip(pack.fd, at, (unsigned)at % 8);
        if (in_rest)
            g_assert_false(opens(&pack, &pack.key));
        if (in_first || at == first)
            g_assert_cmpint(loads(&pack, &pack.key, 0), ==, !in_first);
        if (in_second || at == second)
            g_assert_cmpint(loads(&pack, &pack.key, 1), ==, !in_second);
        flip(pack.fd, at, (unsigned)at % 8);
        at += at >= slots[0] && at < first ? 7919 : at >= slots[1] && at < slots[2] ? 13 : 1;
        if (at > first && at < slots[1])
            at = slots[1];
        if (at > second && at < slots[2])
            at = slots[2];
    }
    g_assert_true(opens(&pack, &pack.key) && loads(&pack, &pack.key, 0) && loads(&pack, &pack.key, 1));
    pack_done(&pack);
}

static void any_end_is_seen(void)
{
    struct stat info;
    struct pack pack;

    pack_make(&pack);
    g_assert_cmpint(fstat(pack.fd, &info), ==, 0);
    for (off_t size = info.st_size - 1; size >= 0; size -= size > (off_t)drv_slot_at(1) ? 97 : 65521) {
        g_assert_cmpint(ftruncate(pack.fd, size), ==, 0);
        g_assert_false(opens(&pack, &pack.key));
        if (size <= (off_t)drv_slot_at(1))
            g_assert_false(loads(&pack, &pack.key, 1));
    }
    pack_done(&pack);
}

static void other_keys_open_nothing(void)
{
    const guint8 id[DRV_SESSION_ID_SIZE] = {1, 2}, other_id[DRV_SESSION_ID_SIZE] = {1, 3};
    const struct drv_seal_key other_host = {.bytes = {7, 1, 8}};
    struct drv_seal_key keys[3];
    struct drv_error err;
    struct pack pack;

    pack_make(&pack);
    check_ok(drv_seal_pack_key(&keys[0], &other_host, "shop", id, &err), err);
    check_ok(drv_seal_pack_key(&keys[1], &host, "cluster", id, &err), err);
    check_ok(drv_seal_pack_key(&keys[2], &host, "shop", other_id, &err), err);
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_assert_false(opens(&pack, &keys[i]));
        g_assert_false(loads(&pack, &keys[i], 0));
    }
    pack_done(&pack);
}

/* A segment is bound to its slot and to its digest: none stands for another. */
static void segments_stay_where_they_are(void)
{
    g_autofree guint8 *slot = g_malloc(DRV_SLOT_BYTES);
    struct pack pack;

    pack_make(&pack);
    pack.manifest.segment[0].digest[31] ^= 1;
    g_assert_false(loads(&pack, &pack.key, 0));
    pack.manifest.segment[0].digest[31] ^= 1;
    pack.manifest.segment[0].pages--;
    g_assert_false(loads(&pack, &pack.key, 0));
    pack.manifest.segment[0].pages++;
    g_assert_cmpint(pread(pack.fd, slot, DRV_SLOT_BYTES, (off_t)drv_slot_at(0)), ==, DRV_SLOT_BYTES);
    g_assert_cmpint(pwrite(pack.fd, slot, DRV_SLOT_BYTES, (off_t)drv_slot_at(1)), ==, DRV_SLOT_BYTES);
    pack.manifest.segment[1] = pack.manifest.segment[0];
    g_assert_false(loads(&pack, &pack.key, 1));
    pack_done(&pack);
}

/* There was no room for all of the next one: what is before it counts. */
static void half_a_segment_is_cut_off(void)
{
    struct pack pack;
    struct drv_error err;

    pack_make(&pack);
    g_assert_cmpint(ftruncate(pack.fd, (off_t)drv_slot_at(2) + 7 * DRV_CONTENT_PAGE), ==, 0);
    g_assert_false(opens(&pack, &pack.key));
    check_ok(drv_pack_finish(pack.fd, &pack.key, &pack.manifest, &err), err);
    g_assert_true(opens(&pack, &pack.key));
    g_assert_true(loads(&pack, &pack.key, 1));
    pack_done(&pack);
}

/* ---- what relays are told, and tell each other ---- */

static void brief_in_and_out(void)
{
    struct drv_brief brief = {.key = {{9}}, .most_segments = 11, .packs = 2, .pack_key = {{{1}}, {{2}}}, .count = 3};
    struct drv_brief got = {0};
    guint8 root[DRV_DIGEST_BYTES], other[DRV_DIGEST_BYTES];
    g_autofree guint8 *bytes = NULL;
    struct drv_error err;
    size_t size;
    int fd;

    brief.segment = calloc(3, sizeof *brief.segment);
    for (unsigned i = 0; i < 3; i++)
        brief.segment[i] = (struct drv_brief_segment){
            .pack = (uint8_t)(i % 2), .index = (uint16_t)(i * 7), .segment = {.digest = {(uint8_t)i}, .pages = 256}};
    fd = drv_brief_write(&brief, &err);
    check_ok(fd, err);
    check_ok(drv_brief_read(fd, &got, &err), err);
    g_assert_cmpuint(got.most_segments, ==, 11);
    g_assert_cmpuint(got.packs, ==, 2);
    g_assert_cmpuint(got.pack_key[1].bytes[0], ==, 2);
    g_assert_cmpuint(got.count, ==, 3);
    g_assert_cmpuint(got.segment[2].index, ==, 14);
    check_ok(drv_brief_root(&brief, root, &err), err);
    check_ok(drv_brief_root(&got, other, &err), err);
    g_assert_cmpmem(root, sizeof root, other, sizeof other);
    got.segment[1].segment.pages = 255;
    check_ok(drv_brief_root(&got, other, &err), err);
    g_assert_cmpint(memcmp(root, other, sizeof root), !=, 0);
    drv_brief_done(&got);

    /* Cut off anywhere, and with a pack that is not there. */
    size = drv_brief_size(&brief);
    bytes = g_malloc(size);
    drv_brief_encode(bytes, &brief);
    for (size_t cut = 0; cut < size; cut++)
        g_assert_cmpint(drv_brief_decode(&got, bytes, cut, &err), ==, -EINVAL);
    brief.segment[2].pack = 2;
    drv_brief_encode(bytes, &brief);
    g_assert_cmpint(drv_brief_decode(&got, bytes, size, &err), ==, -EINVAL);
    drv_brief_done(&brief);
    close(fd);
}

static void only_what_both_have(void)
{
    struct drv_agreement here = {.count = 11, .root = {1}}, there = {.count = 11, .root = {1}};
    struct drv_agreement mine, got;
    guint8 bytes[DRV_AGREEMENT_MAX];
    struct drv_error err;
    size_t size;

    drv_agreement_add(&here, 0);
    drv_agreement_add(&here, 10);
    drv_agreement_add(&there, 10);
    drv_agreement_add(&there, 3);
    size = drv_agreement_encode(bytes, &there);
    g_assert_cmpuint(size, ==, DRV_AGREEMENT_MIN + 2);
    check_ok(drv_agreement_decode(&got, bytes, size, &err), err);
    mine = here;
    g_assert_true(drv_agreement_settle(&mine, &got));
    for (unsigned i = 0; i < 11; i++)
        g_assert_cmpint(drv_agreement_has(&mine, i), ==, i == 10);
    /* Another list, another length, none: nothing. */
    got.root[31] = 1;
    mine = here;
    g_assert_false(drv_agreement_settle(&mine, &got));
    g_assert_false(drv_agreement_has(&mine, 10));
    got = there;
    got.count = 12;
    mine = here;
    g_assert_false(drv_agreement_settle(&mine, &got));
    mine = got = (struct drv_agreement){0};
    g_assert_false(drv_agreement_settle(&mine, &got));
}

static void agreements_that_make_no_sense(void)
{
    struct drv_agreement got;
    guint8 bytes[DRV_AGREEMENT_MAX + 8] = {0};
    struct drv_error err;

    for (size_t size = 0; size < DRV_AGREEMENT_MIN; size++)
        g_assert_cmpint(drv_agreement_decode(&got, bytes, size, &err), ==, -EPROTO);
    g_assert_cmpint(drv_agreement_decode(&got, bytes, DRV_AGREEMENT_MIN, &err), ==, 0);
    g_assert_cmpint(drv_agreement_decode(&got, bytes, DRV_AGREEMENT_MIN + 1, &err), ==, -EPROTO);
    bytes[1] = 9;
    g_assert_cmpint(drv_agreement_decode(&got, bytes, DRV_AGREEMENT_MIN + 1, &err), ==, -EPROTO);
    g_assert_cmpint(drv_agreement_decode(&got, bytes, DRV_AGREEMENT_MIN + 2, &err), ==, 0);
    bytes[DRV_AGREEMENT_MIN + 1] = 2; /* segment 9 of 0 … 8 */
    g_assert_cmpint(drv_agreement_decode(&got, bytes, DRV_AGREEMENT_MIN + 2, &err), ==, -EPROTO);
    bytes[0] = 0x10;
    bytes[1] = 1; /* 4097 */
    g_assert_cmpint(drv_agreement_decode(&got, bytes, DRV_AGREEMENT_MAX + 1, &err), ==, -EPROTO);
}

/* ---- what has to go ---- */

static void the_longest_unused_goes(void)
{
    struct drv_evict_item items[] = {
        {.bytes = 10, .used_ms = 900, .created_ms = 1},
        {.bytes = 20, .used_ms = 500, .created_ms = 2},
        {.bytes = 30, .used_ms = 500, .created_ms = 1},
        {.bytes = 40, .used_ms = 100, .created_ms = 3},
    };

    g_assert_cmpuint(drv_evict(items, 4, 100, 1000, 1000), ==, 100);
    for (unsigned i = 0; i < 4; i++)
        g_assert_false(items[i].goes);
    /* By age alone. */
    g_assert_cmpuint(drv_evict(items, 4, 100, 600, 1000), ==, 60);
    g_assert_true(items[3].goes && !items[0].goes && !items[1].goes && !items[2].goes);
    /* By size: the longest unused, then of two the older. */
    g_assert_cmpuint(drv_evict(items, 4, 50, 1000, 1000), ==, 30);
    g_assert_true(items[3].goes && items[2].goes && !items[1].goes && !items[0].goes);
    g_assert_cmpuint(drv_evict(items, 4, 5, 1000, 1000), ==, 0);
    items[3].keep = true;
    g_assert_cmpuint(drv_evict(items, 4, 5, 1, 1000), ==, 40);
    g_assert_false(items[3].goes);
    g_assert_cmpuint(drv_evict(NULL, 0, 5, 1, 1000), ==, 0);
}

/* As each service of systemd's begins: with a session keyring of its own. */
static void in_a_session_of_its_own(void)
{
    g_autofree char *name = g_strdup_printf("drover:content:own-%d", (int)getpid());
    pid_t child = fork();
    struct drv_seal_key key;
    struct drv_error err;
    int status = 0;
    bool made;

    if (child == 0) {
        long joined = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);

        _exit(joined < 0 ? 2 : drv_keyring_key(name, 60, &key, &made, NULL) || !made);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) {
        g_test_skip("there are no keyrings here");
        return;
    }
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    /* Another session finds and reads it. */
    child = fork();
    if (child == 0) {
        (void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
        _exit(drv_keyring_key(name, 60, &key, &made, NULL) || made);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    check_ok(drv_keyring_key(name, 60, &key, &made, &err), err);
    drv_keyring_forget(name);
}

static void the_kernel_keeps_the_key(void)
{
    g_autofree char *name = g_strdup_printf("drover:content:test-%d", (int)getpid());
    struct drv_seal_key one, other;
    struct drv_error err;
    bool made;
    int rc = drv_keyring_key(name, 60, &one, &made, &err);

    g_assert_true(made);
    if (rc) {
        g_test_skip(err.message);
        return;
    }
    check_ok(drv_keyring_key(name, 60, &other, &made, &err), err);
    g_assert_false(made);
    g_assert_cmpmem(&one, sizeof one, &other, sizeof other);
    drv_keyring_forget(name);
    drv_keyring_forget(name);
    check_ok(drv_keyring_key(name, 60, &other, &made, &err), err);
    g_assert_true(made);
    g_assert_cmpint(memcmp(&one, &other, sizeof one), !=, 0);
    drv_keyring_forget(name);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/content/in-and-out", comes_out_as_it_went_in);
    g_test_add_func("/content/any-bit", any_bit_is_seen);
    g_test_add_func("/content/any-end", any_end_is_seen);
    g_test_add_func("/content/other-keys", other_keys_open_nothing);
    g_test_add_func("/content/bound", segments_stay_where_they_are);
    g_test_add_func("/content/pack/half-a-segment", half_a_segment_is_cut_off);
    g_test_add_func("/content/brief", brief_in_and_out);
    g_test_add_func("/content/agreement", only_what_both_have);
    g_test_add_func("/content/agreement-nonsense", agreements_that_make_no_sense);
    g_test_add_func("/content/evict", the_longest_unused_goes);
    g_test_add_func("/content/key", the_kernel_keeps_the_key);
    g_test_add_func("/content/key-of-a-service", in_a_session_of_its_own);
    return g_test_run();
}
