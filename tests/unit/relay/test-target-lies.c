/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target that lies about what it knows, against a real source's relay: the session ends, or
 * nothing comes of it. And one that offers less cache than the source does.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "checks.h"
#include "pack/agreement.h"
#include "pack/brief.h"
#include "pack/pack.h"
#include "nbd-stream.h"
#include "relay/codec/decoder.h"
#include "relay/connect.h"
#include "relay/link.h"

struct liar {
    struct pair *pair;
    struct drv_link_secret secret;
    gnutls_psk_server_credentials_t credentials;
    uint16_t cache_mib;
    drv_link *link;
    int brief, pack[2];
};

/* Steps of a handshake: until there is something to read. */
static int step(drv_link *link, int (*one)(drv_link *, struct liar *, struct drv_error *), struct liar *liar,
                struct drv_error *err)
{
    int rc;

    while ((rc = one(link, liar, err)) == -EAGAIN) {
        struct pollfd wait = {.fd = link->fd, .events = POLLIN};

        g_assert_cmpint(poll(&wait, 1, CHECK_MS), ==, 1);
    }
    return rc;
}

static int shake(drv_link *link, struct liar *liar, struct drv_error *err)
{
    return drv_link_handshake(link, err);
}

static int greet(drv_link *link, struct liar *liar, struct drv_error *err)
{
    struct drv_hello hello;

    return drv_connect_read_hello(link, &liar->secret, 1, &hello, err);
}

/* What stands for the target's relay. */
static gpointer welcome(gpointer argument)
{
    struct liar *liar = argument;
    const struct drv_hello here = {.codec = DRV_WIRE_CODEC, .cache_mib = liar->cache_mib, .links = 1};
    struct drv_error err;
    int fd = accept4(liar->pair->tcp, NULL, NULL, SOCK_CLOEXEC);

    check_ok(fd, err);
    check_ok(drv_link_new(&liar->link, fd, true, liar->credentials, &liar->secret, &err), err);
    check_ok(step(liar->link, shake, liar, &err), err);
    check_ok(step(liar->link, greet, liar, &err), err);
    check_ok(drv_connect_hello(liar->link, &liar->secret, &here, &err), err);
    check_ok(drv_link_established(liar->link, &err), err);
    return NULL;
}

/* A brief of so many segments, in a pack that cannot be opened. */
static void give_brief(struct liar *liar, unsigned segments)
{
    struct drv_relay_config *config = &liar->pair->config[PAIR_SOURCE];
    struct drv_pack_head head = {.uuid = "u", .vm = "v", .owner = "cluster"};
    struct drv_brief brief = {.most_segments = 4, .packs = 1, .count = segments};
    struct drv_error err;

    brief.segment = g_new0(struct drv_brief_segment, segments + 1);
    for (unsigned i = 0; i < segments; i++)
        brief.segment[i] = (struct drv_brief_segment){.index = (uint16_t)i, .segment = {.pages = DRV_SEGMENT_PAGES}};
    for (unsigned i = 0; i < 2; i++) {
        liar->pack[i] = memfd_create("pack", MFD_CLOEXEC);
        check_ok(drv_pack_begin(liar->pack[i], &head, &err), err);
    }
    liar->brief = drv_brief_write(&brief, &err);
    check_ok(liar->brief, err);
    config->content_fd = liar->brief;
    config->content_files = liar->pack;
    config->content_file_count = 2;
    g_free(brief.segment);
}

/* @segments: of the source's brief; less than 0: it has none. */
static void liar_start(struct liar *liar, uint16_t cache_mib, int segments)
{
    struct drv_error err;
    GThread *thread;

    *liar = (struct liar){.pair = g_new0(struct pair, 1), .cache_mib = cache_mib, .brief = -1, .pack = {-1, -1}};
    check_ok(pair_prepare(liar->pair, 1, &err), err);
    memcpy(liar->secret.session, liar->pair->config[PAIR_SOURCE].session, sizeof liar->secret.session);
    memcpy(liar->secret.secret, liar->pair->config[PAIR_SOURCE].secret, sizeof liar->secret.secret);
    check_ok(drv_link_server_credentials(&liar->credentials, &err), err);
    if (segments >= 0)
        give_brief(liar, (unsigned)segments);
    thread = g_thread_new("welcome", welcome, liar);
    check_ok(pair_start_source(liar->pair, &err), err);
    g_thread_join(thread);
    (void)check_until(liar->pair, PAIR_SOURCE, check_is_up);
}

static void liar_done(struct liar *liar)
{
    drv_link_free(liar->link);
    gnutls_psk_free_server_credentials(liar->credentials);
    pair_stop(liar->pair);
    g_free(liar->pair);
    if (liar->brief >= 0) {
        close(liar->brief);
        close(liar->pack[0]);
        close(liar->pack[1]);
    }
}

/* The source has noticed, and says so in these words. */
static void liar_end(struct liar *liar, const char *words)
{
    struct drv_relay_status status = check_until(liar->pair, PAIR_SOURCE, check_is_over);

    g_assert_cmpint(status.state, ==, DRV_RELAY_LOST);
    g_test_message("%s", status.error);
    g_assert_nonnull(strstr(status.error, words));
    liar_done(liar);
}

static void say(struct liar *liar, struct drv_frame frame, const void *payload)
{
    struct drv_error err;

    if (frame.length)
        memcpy(liar->link->out + DRV_FRAME_HEADER_SIZE, payload, frame.length);
    check_ok(drv_link_send(liar->link, &frame, &err), err);
    check_ok(drv_link_flush(liar->link, &err), err);
}

static void say_content(struct liar *liar, const struct drv_agreement *agreement)
{
    uint8_t bytes[DRV_AGREEMENT_MAX];
    size_t size = drv_agreement_encode(bytes, agreement);

    say(liar, (struct drv_frame){.type = DRV_FRAME_CONTENT, .length = (uint32_t)size}, bytes);
}

static void say_shared(struct liar *liar, enum drv_relay_channel channel, uint64_t pages)
{
    say(liar, (struct drv_frame){.type = DRV_FRAME_SHARED, .channel = (uint8_t)channel, .stream = 1, .offset = pages},
        NULL);
}

/* The next frame of this type; others are of no interest. */
static struct drv_frame hear(struct liar *liar, enum drv_frame_type type, const uint8_t **payload)
{
    struct drv_frame frame;
    struct drv_error err;

    do
        check_ok(drv_link_receive(liar->link, &frame, payload, &err), err);
    while (frame.type != type);
    return frame;
}

/* The source's QEMU has something; it may be sent. Return: its end. */
static int open_stream(struct liar *liar, enum drv_relay_channel channel)
{
    const uint8_t *payload;
    struct drv_error err;
    struct drv_frame frame;
    int fd = pair_connect(liar->pair, channel, &err);

    check_ok(fd, err);
    frame = hear(liar, DRV_FRAME_OPEN, &payload);
    g_assert_cmpuint(frame.stream, ==, 1);
    g_assert_cmpuint(frame.encoding, ==, channel == DRV_CHANNEL_RAM ? 1 : 2);
    say(liar, (struct drv_frame){.type = DRV_FRAME_CREDIT, .channel = (uint8_t)channel, .stream = 1, .offset = 8 << 20},
        NULL);
    return fd;
}

static void knows_what_was_not_sent(void)
{
    struct liar liar;
    int fd;

    liar_start(&liar, 64, -1);
    fd = open_stream(&liar, DRV_CHANNEL_DISK);
    say_shared(&liar, DRV_CHANNEL_DISK, 1);
    liar_end(&liar, "it knows what it was not sent");
    close(fd);
}

/* Nobody may refer to pages of a guest's memory. */
static void knows_memory(void)
{
    struct liar liar;
    int fd;

    liar_start(&liar, 64, -1);
    fd = open_stream(&liar, DRV_CHANNEL_RAM);
    say_shared(&liar, DRV_CHANNEL_RAM, 0);
    liar_end(&liar, "it knows what it was not sent");
    close(fd);
}

static void forgets(void)
{
    struct nbd_stream disk;
    struct liar liar;
    drv_decoder *decoder;
    struct drv_error err;
    uint64_t seed;
    int fd;

    liar_start(&liar, 64, -1);
    nbd_stream_make(&disk, 1, 64, 4);
    check_ok(drv_link_seed(liar.link, &seed, &err), err);
    check_ok(drv_decoder_new(&decoder, 4096, DRV_LANES_MAX, seed, &err), err);
    drv_decoder_keep(decoder);
    fd = open_stream(&liar, DRV_CHANNEL_DISK);
    check_write(fd, disk.sent.bytes, disk.sent.size);
    while (drv_decoder_remembered(decoder) < 8) {
        const uint8_t *payload, *out;
        struct drv_frame frame = hear(&liar, DRV_FRAME_DATA, &payload);
        size_t used;

        check_ok(drv_decoder_feed(decoder, payload, frame.length, &used, &err), err);
        g_assert_cmpuint(used, ==, frame.length);
        drv_decoder_take(decoder, drv_decoder_output(decoder, &out));
    }
    say_shared(&liar, DRV_CHANNEL_DISK, 8);
    say_shared(&liar, DRV_CHANNEL_DISK, 7);
    liar_end(&liar, "it has forgotten");
    close(fd);
    drv_decoder_free(decoder);
    nbd_stream_free(&disk);
}

static void speaks_unasked(void)
{
    const struct drv_agreement agreement = {0};
    struct liar liar;

    liar_start(&liar, 64, -1);
    say_content(&liar, &agreement);
    liar_end(&liar, "speaks of known content unasked");
}

static void speaks_twice(void)
{
    const struct drv_agreement agreement = {0};
    struct liar liar;

    liar_start(&liar, 64, 3);
    say_content(&liar, &agreement);
    say_content(&liar, &agreement);
    liar_end(&liar, "speaks of known content unasked");
}

static void makes_no_sense(void)
{
    uint8_t bytes[DRV_AGREEMENT_MAX] = {0, 3};
    struct liar liar;

    liar_start(&liar, 64, 3);
    bytes[DRV_AGREEMENT_MIN] = 0x0f; /* the fourth of three */
    say(&liar, (struct drv_frame){.type = DRV_FRAME_CONTENT, .length = DRV_AGREEMENT_MIN + 1}, bytes);
    liar_end(&liar, "makes no sense");
}

/* Whatever it says that it has: a source that has nothing of it refers to nothing. */
static void has_everything(void)
{
    struct drv_agreement agreement = {.count = 3, .has = {7}};
    const struct drv_agreement *said = &agreement;
    struct drv_agreement source;
    drv_decoder *decoder;
    const uint8_t *payload, *out;
    struct drv_frame frame;
    struct drv_error err;
    struct liar liar;
    uint8_t zeros[64] = {0};
    uint64_t seed;
    size_t used;
    int fd;

    liar_start(&liar, 64, 3);
    frame = hear(&liar, DRV_FRAME_CONTENT, &payload);
    check_ok(drv_agreement_decode(&source, payload, frame.length, &err), err);
    g_assert_cmpuint(source.count, ==, 3);
    g_assert_cmpuint(source.has[0], ==, 0); /* there was nothing to open */
    memcpy(agreement.root, source.root, sizeof agreement.root);
    say_content(&liar, said);
    fd = open_stream(&liar, DRV_CHANNEL_RAM);
    check_write(fd, zeros, sizeof zeros);
    frame = hear(&liar, DRV_FRAME_DATA, &payload);
    check_ok(drv_link_seed(liar.link, &seed, &err), err);
    check_ok(drv_decoder_new(&decoder, 4096, DRV_LANES_MAX, seed, &err), err);
    check_ok(drv_decoder_feed(decoder, payload, frame.length, &used, &err), err);
    g_assert_cmpuint(drv_decoder_output(decoder, &out), ==, sizeof zeros);
    g_assert_cmpint(memcmp(out, zeros, sizeof zeros), ==, 0);
    g_assert_cmpuint(check_status(liar.pair, PAIR_SOURCE).recycled_bytes, ==, 0);
    drv_decoder_free(decoder);
    close(fd);
    liar_done(&liar);
}

/*
 * The smaller cache counts, and a quarter of memory's part is for what is new: what droverd offers by
 * that rule (cache/cache.c) fits to the last segment, when both hosts have as much; more does not.
 */
static void smaller_cache_counts(void)
{
    for (uint16_t mib = 16; mib <= 64; mib *= 2)
        for (unsigned more = 0; more < 2; more++) {
            unsigned most = mib / 16u * 9u;
            struct drv_agreement source;
            const uint8_t *payload;
            struct drv_frame frame;
            struct drv_error err;
            struct liar liar;

            liar_start(&liar, mib, (int)(most + more));
            frame = hear(&liar, DRV_FRAME_CONTENT, &payload);
            check_ok(drv_agreement_decode(&source, payload, frame.length, &err), err);
            g_assert_cmpuint(source.count, ==, more ? 0 : most);
            liar_done(&liar);
        }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    check_add("/relay/target-lies/knows-what-was-not-sent", knows_what_was_not_sent);
    check_add("/relay/target-lies/knows-memory", knows_memory);
    check_add("/relay/target-lies/forgets", forgets);
    check_add("/relay/target-lies/speaks-unasked", speaks_unasked);
    check_add("/relay/target-lies/speaks-twice", speaks_twice);
    check_add("/relay/target-lies/makes-no-sense", makes_no_sense);
    check_add("/relay/target-lies/has-everything", has_everything);
    check_add("/relay/target-lies/smaller-cache-counts", smaller_cache_counts);
    return g_test_run();
}
