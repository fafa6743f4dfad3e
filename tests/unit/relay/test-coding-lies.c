/* SPDX-License-Identifier: Apache-2.0 */
/* A source that lies, against a real target's relay: the session ends, and no byte comes out. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "relay/codec/ram-parser.h"
#include "relay/codec/record.h"
#include "relay/connect.h"

struct liar {
    struct pair *pair;
    drv_link *link;
    int ram; /* the target's QEMU; -1: not connected */
};

static void say(struct liar *liar, struct drv_frame frame, const void *payload)
{
    struct drv_error err;

    if (frame.length)
        memcpy(liar->link->out + DRV_FRAME_HEADER_SIZE, payload, frame.length);
    check_ok(drv_link_send(liar->link, &frame, &err), err);
    check_ok(drv_link_flush(liar->link, &err), err);
}

static void liar_start(struct liar *liar, uint16_t codec)
{
    struct drv_link_secret secret;
    struct drv_settings settings = {.links = 1, .peer_host = "127.0.0.1"};
    const struct drv_hello here = {.codec = codec, .cache_mib = 16, .links = 1};
    struct drv_hello there;
    struct drv_error err;

    *liar = (struct liar){.pair = g_new0(struct pair, 1), .ram = -1};
    check_ok(pair_prepare(liar->pair, 1, &err), err);
    check_ok(pair_start_target(liar->pair, &err), err);
    memcpy(secret.session, liar->pair->config[PAIR_TARGET].session, sizeof secret.session);
    memcpy(secret.secret, liar->pair->config[PAIR_TARGET].secret, sizeof secret.secret);
    settings.peer_port = liar->pair->port;
    check_ok(drv_connect_links(&settings, &secret, &here, &liar->link, &there, &err), err);
    check_ok(drv_link_established(liar->link, &err), err);
    g_assert_cmpuint(there.codec, ==, DRV_WIRE_CODEC);
    g_assert_cmpuint(there.cache_mib, >, 0);
}

/* Opens an encoded stream of memory and waits until it may be used. */
static void liar_open(struct liar *liar)
{
    const struct drv_frame open = {.type = DRV_FRAME_OPEN, .channel = DRV_CHANNEL_RAM, .stream = 1, .encoding = 1};
    struct drv_frame frame;
    const uint8_t *payload;
    struct drv_error err;

    say(liar, open, NULL);
    liar->ram = pair_accept(liar->pair, DRV_CHANNEL_RAM, &err);
    check_ok(liar->ram, err);
    do
        check_ok(drv_link_receive(liar->link, &frame, &payload, &err), err);
    while (frame.type != DRV_FRAME_CREDIT);
}

/* The target has noticed, says so in these words, and its QEMU gets no more. */
static void liar_end(struct liar *liar, const char *words)
{
    struct drv_relay_status status = check_until(liar->pair, PAIR_TARGET, check_is_over);

    g_assert_cmpint(status.state, ==, DRV_RELAY_LOST);
    g_assert_nonnull(strstr(status.error, words));
    if (liar->ram >= 0) {
        check_eof(liar->ram);
        close(liar->ram);
    }
    drv_link_free(liar->link);
    pair_stop(liar->pair);
    g_free(liar->pair);
}

static void send_record(struct liar *liar, struct drv_record record, const uint8_t *body, size_t size)
{
    uint8_t bytes[256];

    g_assert_cmpuint(size, <=, sizeof bytes - DRV_RECORD_HEADER_SIZE);
    drv_record_encode(bytes, &record);
    memcpy(bytes + DRV_RECORD_HEADER_SIZE, body, size);
    size += DRV_RECORD_HEADER_SIZE;
    say(liar,
        (struct drv_frame){.type = DRV_FRAME_DATA,
                           .channel = DRV_CHANNEL_RAM,
                           .stream = 1,
                           .length = (uint32_t)size,
                           .raw_length = (uint32_t)size},
        bytes);
}

static void wrong_check(void)
{
    static const uint8_t body[] = {DRV_OP_BYTES << DRV_OP_COUNT_BITS | 4, 'w', 'r', 'o', 'n', 'g'};
    struct liar liar;

    liar_start(&liar, DRV_WIRE_CODEC);
    liar_open(&liar);
    send_record(
        &liar,
        (struct drv_record){
            .method = DRV_RECORD_STORED, .body = sizeof body, .raw = 5, .ops = 1, .expanded = sizeof body, .check = 1},
        body, sizeof body);
    liar_end(&liar, "its check is wrong");
}

static void missing_page(void)
{
    static const uint8_t body[] = {DRV_OP_SAME << DRV_OP_COUNT_BITS, 0};
    struct liar liar;

    liar_start(&liar, DRV_WIRE_CODEC);
    liar_open(&liar);
    send_record(&liar,
                (struct drv_record){.method = DRV_RECORD_STORED,
                                    .body = sizeof body,
                                    .raw = DRV_RAM_PAGE_SPAN,
                                    .ops = sizeof body,
                                    .expanded = sizeof body},
                body, sizeof body);
    liar_end(&liar, "wrong references");
}

/* Of a disk that was never opened, although there could be one. */
static void missing_block(void)
{
    static const uint8_t body[] = {DRV_OP_OTHER << DRV_OP_COUNT_BITS, 2, 0};
    struct liar liar;

    liar_start(&liar, DRV_WIRE_CODEC);
    liar_open(&liar);
    send_record(&liar,
                (struct drv_record){.method = DRV_RECORD_STORED,
                                    .body = sizeof body,
                                    .raw = DRV_RAM_PAGE_SPAN,
                                    .ops = sizeof body,
                                    .expanded = sizeof body},
                body, sizeof body);
    liar_end(&liar, "wrong references");
}

/* That is for the target to say. */
static void shared_with_the_source(void)
{
    struct liar liar;

    liar_start(&liar, DRV_WIRE_CODEC);
    liar_open(&liar);
    say(&liar, (struct drv_frame){.type = DRV_FRAME_SHARED, .channel = DRV_CHANNEL_RAM, .stream = 1, .offset = 0},
        NULL);
    liar_end(&liar, "was not sent");
}

/* Of an older disk, where there is none; and what is the target's to say. */
static void older_disks(void)
{
    static const uint8_t digest[16];
    const struct drv_frame frames[] = {
        {.type = DRV_FRAME_OLDER, .channel = DRV_CHANNEL_RAM, .stream = 1, .encoding = 1},
        {.type = DRV_FRAME_DIGESTS, .channel = DRV_CHANNEL_RAM, .stream = 1, .length = 16},
        {.type = DRV_FRAME_OLDER, .channel = DRV_CHANNEL_RAM, .stream = 1, .encoding = 9},
        {.type = DRV_FRAME_OLDER, .channel = DRV_CHANNEL_RAM, .stream = 1},
    };
    static const char *const words[] = {"may not", "unasked", "no sense", "no sense"};

    for (size_t i = 0; i < G_N_ELEMENTS(frames); i++) {
        struct liar liar;

        liar_start(&liar, DRV_WIRE_CODEC);
        liar_open(&liar);
        say(&liar, frames[i], digest);
        liar_end(&liar, words[i]);
    }
}

static void end_within_a_record(void)
{
    static const uint8_t body[10] = "plain";
    struct liar liar;

    liar_start(&liar, DRV_WIRE_CODEC);
    liar_open(&liar);
    send_record(&liar, (struct drv_record){.method = DRV_RECORD_PLAIN, .body = 100, .raw = 100}, body, sizeof body);
    say(&liar,
        (struct drv_frame){.type = DRV_FRAME_FIN,
                           .channel = DRV_CHANNEL_RAM,
                           .stream = 1,
                           .offset = DRV_RECORD_HEADER_SIZE + sizeof body},
        NULL);
    liar_end(&liar, "within a record");
}

static void open_twice(void)
{
    struct liar liar;

    liar_start(&liar, DRV_WIRE_CODEC);
    liar_open(&liar);
    say(&liar, (struct drv_frame){.type = DRV_FRAME_OPEN, .channel = DRV_CHANNEL_RAM, .stream = 2, .encoding = 1},
        NULL);
    liar_end(&liar, "may not");
}

static void open_control(void)
{
    struct liar liar;

    liar_start(&liar, DRV_WIRE_CODEC);
    say(&liar, (struct drv_frame){.type = DRV_FRAME_OPEN, .stream = 1, .encoding = 1}, NULL);
    liar_end(&liar, "may not");
}

/* An older relay says nothing of a codec, and then may use none. */
static void open_not_agreed(void)
{
    struct liar liar;

    liar_start(&liar, 0);
    say(&liar, (struct drv_frame){.type = DRV_FRAME_OPEN, .channel = DRV_CHANNEL_RAM, .stream = 1, .encoding = 1},
        NULL);
    liar_end(&liar, "may not");
}

/* But it can carry what it always could. */
static void plain_with_an_older_relay(void)
{
    struct drv_frame frame = {.type = DRV_FRAME_OPEN, .channel = DRV_CHANNEL_RAM, .stream = 1};
    struct liar liar;
    struct drv_error err;
    char got[5];

    liar_start(&liar, 0);
    say(&liar, frame, NULL);
    liar.ram = pair_accept(liar.pair, DRV_CHANNEL_RAM, &err);
    check_ok(liar.ram, err);
    do {
        const uint8_t *payload;

        check_ok(drv_link_receive(liar.link, &frame, &payload, &err), err);
    } while (frame.type != DRV_FRAME_CREDIT);
    say(&liar,
        (struct drv_frame){
            .type = DRV_FRAME_DATA, .channel = DRV_CHANNEL_RAM, .stream = 1, .length = 5, .raw_length = 5},
        "plain");
    check_read(liar.ram, got, 5);
    g_assert_cmpmem(got, 5, "plain", 5);
    say(&liar, (struct drv_frame){.type = DRV_FRAME_MARK, .offset = DRV_MARK_RESUMED}, NULL);
    liar_end(&liar, "a mark that it may not");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    check_add("/relay/coding/lies/wrong-check", wrong_check);
    check_add("/relay/coding/lies/missing-page", missing_page);
    check_add("/relay/coding/lies/missing-block", missing_block);
    check_add("/relay/coding/lies/shared-with-the-source", shared_with_the_source);
    check_add("/relay/coding/lies/older-disks", older_disks);
    check_add("/relay/coding/lies/end-within-a-record", end_within_a_record);
    check_add("/relay/coding/lies/open-twice", open_twice);
    check_add("/relay/coding/lies/open-control", open_control);
    check_add("/relay/coding/lies/open-not-agreed", open_not_agreed);
    check_add("/relay/coding/lies/older-relay", plain_with_an_older_relay);
    return g_test_run();
}
