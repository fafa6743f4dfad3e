/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the relay that do no I/O: frames, libvirt's RPC, windows, settings, admin messages. */
#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <string.h>

#include "base/cursor.h"
#include "relay/control/admin-wire.h"
#include "relay/frame.h"
#include "relay/rpc.h"
#include "relay/control/settings.h"
#include "relay/window.h"

/* ---- frames ---- */

static void frame_round_trip(void)
{
    struct drv_frame frame = {.type = DRV_FRAME_DATA,
                              .channel = DRV_CHANNEL_DISK,
                              .stream = 0x01020304,
                              .length = 0x10203,
                              .raw_length = 0x10203,
                              .offset = UINT64_C(0x0102030405060708)};
    static const uint8_t expected[DRV_FRAME_HEADER_SIZE] = {3, 2, 0, 0, 1, 2, 3, 4, 0, 1, 2, 3,
                                                            0, 1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t bytes[DRV_FRAME_HEADER_SIZE];
    struct drv_frame back;

    drv_frame_encode(bytes, &frame);
    g_assert_cmpmem(bytes, sizeof bytes, expected, sizeof expected);
    g_assert_cmpint(drv_frame_decode(&back, bytes, NULL), ==, 0);
    g_assert_cmpint(back.type, ==, frame.type);
    g_assert_cmpint(back.channel, ==, frame.channel);
    g_assert_cmpuint(back.stream, ==, frame.stream);
    g_assert_cmpuint(back.length, ==, frame.length);
    g_assert_cmpuint(back.raw_length, ==, frame.raw_length);
    g_assert_cmpuint(back.offset, ==, frame.offset);
}

static void frame_refuses_nonsense(void)
{
    static const struct drv_frame nonsense[] = {
        {.type = 0},
        {.type = DRV_FRAME_TYPES},
        {.type = 255},
        {.type = DRV_FRAME_OPEN, .stream = 0},
        {.type = DRV_FRAME_OPEN, .stream = 1, .channel = DRV_CHANNELS},
        {.type = DRV_FRAME_OPEN, .stream = 1, .length = 1},
        {.type = DRV_FRAME_DATA, .stream = 1, .length = 0, .raw_length = 0},
        {.type = DRV_FRAME_DATA, .stream = 1, .length = 4, .raw_length = 5},
        {.type = DRV_FRAME_DATA, .stream = 1, .length = 4, .raw_length = 4, .encoding = 1},
        {.type = DRV_FRAME_DATA,
         .stream = 1,
         .length = DRV_FRAME_PAYLOAD_MAX + 1,
         .raw_length = DRV_FRAME_PAYLOAD_MAX + 1},
        {.type = DRV_FRAME_DATA, .stream = 1, .length = UINT32_MAX, .raw_length = UINT32_MAX},
        {.type = DRV_FRAME_DATA, .stream = 1, .length = 1, .raw_length = 1, .offset = UINT64_MAX},
        {.type = DRV_FRAME_DATA, .length = 1, .raw_length = 1},
        {.type = DRV_FRAME_FIN, .stream = 1, .offset = DRV_FRAME_OFFSET_MAX + 1},
        {.type = DRV_FRAME_MARK, .offset = 0},
        {.type = DRV_FRAME_MARK, .offset = DRV_MARKS},
        {.type = DRV_FRAME_MARK, .offset = 1, .stream = 1},
        {.type = DRV_FRAME_PING, .length = 1},
        {.type = DRV_FRAME_BYE, .length = DRV_FRAME_TEXT_MAX + 1},
        {.type = DRV_FRAME_HELLO, .length = DRV_FRAME_HELLO_SIZE - 1},
    };
    uint8_t bytes[DRV_FRAME_HEADER_SIZE];
    struct drv_frame back;
    struct drv_error err;

    for (size_t i = 0; i < G_N_ELEMENTS(nonsense); i++) {
        drv_frame_encode(bytes, &nonsense[i]);
        g_assert_cmpint(drv_frame_decode(&back, bytes, &err), ==, -EPROTO);
        g_assert_cmpint(err.code, ==, EPROTO);
    }
    /* The reserved byte must be zero. */
    drv_frame_encode(bytes, &(struct drv_frame){.type = DRV_FRAME_PING});
    g_assert_cmpint(drv_frame_decode(&back, bytes, &err), ==, 0);
    bytes[3] = 1;
    g_assert_cmpint(drv_frame_decode(&back, bytes, &err), ==, -EPROTO);
}

static void hello_round_trip_and_refusals(void)
{
    struct drv_hello hello = {.version = DRV_WIRE_VERSION, .index = 3, .links = 4}, back;
    uint8_t bytes[DRV_FRAME_HELLO_SIZE];
    struct drv_error err;

    for (size_t i = 0; i < sizeof hello.session; i++)
        hello.session[i] = (uint8_t)(i * 7);
    drv_hello_encode(bytes, &hello);
    g_assert_cmpint(drv_hello_decode(&back, bytes, sizeof bytes, &err), ==, 0);
    g_assert_cmpmem(back.session, sizeof back.session, hello.session, sizeof hello.session);
    g_assert_cmpint(back.index, ==, 3);
    g_assert_cmpint(back.links, ==, 4);
    g_assert_cmpint(drv_hello_decode(&back, bytes, sizeof bytes - 1, &err), ==, -EPROTO);
    bytes[0] ^= 1;
    g_assert_cmpint(drv_hello_decode(&back, bytes, sizeof bytes, &err), ==, -EPROTO);
    hello.version++;
    drv_hello_encode(bytes, &hello);
    g_assert_cmpint(drv_hello_decode(&back, bytes, sizeof bytes, &err), ==, -EPROTO);
    g_assert_nonnull(strstr(err.message, "same version"));
    hello.version--;
    hello.features = 1u << 31;
    drv_hello_encode(bytes, &hello);
    g_assert_cmpint(drv_hello_decode(&back, bytes, sizeof bytes, &err), ==, -EPROTO);
    g_assert_nonnull(strstr(err.message, "0x80000000"));
}

/* ---- libvirt's RPC ---- */

static void append_message(GByteArray *bytes, uint32_t program, uint32_t procedure, uint32_t type, uint32_t serial,
                           uint32_t status, size_t body)
{
    uint8_t head[DRV_RPC_HEADER_SIZE];
    struct drv_writer writer = drv_writer_over(head, sizeof head);

    drv_write_u32(&writer, (uint32_t)(sizeof head + body));
    drv_write_u32(&writer, program);
    drv_write_u32(&writer, 1);
    drv_write_u32(&writer, procedure);
    drv_write_u32(&writer, type);
    drv_write_u32(&writer, serial);
    drv_write_u32(&writer, status);
    g_byte_array_append(bytes, head, sizeof head);
    for (size_t i = 0; i < body; i++)
        g_byte_array_append(bytes, &(uint8_t){(uint8_t)i}, 1);
}

/* Feeds pieces that end at @split and writes down what is said, with offsets. */
static char *story(const GByteArray *bytes, size_t split, size_t piece)
{
    struct drv_rpc_watcher watcher = {0};
    GString *text = g_string_new(NULL);
    size_t at = 0;

    while (at < bytes->len) {
        size_t end = at < split ? split : bytes->len;
        size_t size = end - at < piece ? end - at : piece;

        while (size) {
            size_t used;
            int event = drv_rpc_feed(&watcher, bytes->data + at, size, &used, NULL);

            g_assert_cmpint(event, >=, 0);
            at += used;
            size -= used;
            if (event == DRV_RPC_HEADER)
                g_string_append_printf(text, "%zu:head %u/%u#%u ", at, watcher.message.procedure, watcher.message.type,
                                       watcher.message.serial);
            /* A message without a body ends without another byte. */
            if (drv_rpc_ends_now(&watcher)) {
                event = drv_rpc_feed(&watcher, bytes->data + at, 0, &used, NULL);
                g_assert_cmpuint(used, ==, 0);
            }
            if (event == DRV_RPC_END)
                g_string_append_printf(text, "%zu:end ", at);
        }
    }
    return g_string_free(text, FALSE);
}

static void rpc_tells_the_same_at_every_split(void)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autofree char *whole = NULL;

    append_message(bytes, DRV_RPC_PROGRAM_REMOTE, 66, DRV_RPC_CALL, 1, 0, 0);
    append_message(bytes, DRV_RPC_PROGRAM_REMOTE, 303, DRV_RPC_CALL, 2, 0, 61);
    append_message(bytes, DRV_RPC_PROGRAM_KEEPALIVE, 1, DRV_RPC_MESSAGE, 0, 0, 0);
    append_message(bytes, DRV_RPC_PROGRAM_REMOTE, 306, DRV_RPC_CALL, 3, 0, 5);
    whole = story(bytes, 0, SIZE_MAX);
    g_assert_cmpstr(whole, ==,
                    "28:head 66/0#1 28:end 56:head 303/0#2 117:end 145:head 1/2#0 145:end "
                    "173:head 306/0#3 178:end ");
    for (size_t split = 0; split <= bytes->len; split++) {
        g_autofree char *told = story(bytes, split, SIZE_MAX);

        g_assert_cmpstr(told, ==, whole);
    }
    for (size_t piece = 1; piece < 40; piece++) {
        g_autofree char *told = story(bytes, 0, piece);

        g_assert_cmpstr(told, ==, whole);
    }
}

static void rpc_refuses_impossible_lengths(void)
{
    static const uint32_t lengths[] = {0, 4, 27, DRV_RPC_MESSAGE_MAX + 1, UINT32_MAX};

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        struct drv_rpc_watcher watcher = {0};
        uint8_t head[DRV_RPC_HEADER_SIZE] = {0};
        struct drv_writer writer = drv_writer_over(head, sizeof head);
        struct drv_error err;
        size_t used;

        drv_write_u32(&writer, lengths[i]);
        g_assert_cmpint(drv_rpc_feed(&watcher, head, sizeof head, &used, &err), ==, -EPROTO);
    }
}

/* ---- calls that are judged ---- */

static void put_u32(GByteArray *to, guint32 value)
{
    guint32 wire = GUINT32_TO_BE(value);

    g_byte_array_append(to, (const guint8 *)&wire, sizeof wire);
}

static void put_text(GByteArray *to, const char *text)
{
    gsize length = strlen(text);

    put_u32(to, (guint32)length);
    g_byte_array_append(to, (const guint8 *)text, (guint)length);
    g_byte_array_append(to, (const guint8 *)"\0\0\0", (guint)((4 - length % 4) % 4));
}

static void put_parameter(GByteArray *to, const char *name, const char *value)
{
    put_text(to, name);
    put_u32(to, 7);
    put_text(to, value);
}

static GByteArray *call_of(guint32 procedure)
{
    const guint32 words[] = {0, DRV_RPC_PROGRAM_REMOTE, 1, procedure, DRV_RPC_CALL, 5, 0};
    GByteArray *bytes = g_byte_array_new();

    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        put_u32(bytes, words[i]);
    return bytes;
}

static int parse_call(GByteArray *bytes, struct drv_rpc_request *request)
{
    guint32 length = GUINT32_TO_BE(bytes->len);

    memcpy(bytes->data, &length, sizeof length);
    return drv_rpc_parse_request(request, bytes->data, bytes->len, NULL);
}

static gboolean is(const struct drv_rpc_text *text, const char *value)
{
    return text->at && text->size == strlen(value) && memcmp(text->at, value, text->size) == 0;
}

static GByteArray *prepare_call(const char *twice)
{
    GByteArray *bytes = call_of(DRV_RPC_MIGRATE_PREPARE3_PARAMS);

    put_u32(bytes, twice ? 5 : 4);
    put_parameter(bytes, "destination_xml", "<domain/>");
    put_parameter(bytes, "migrate_uri", "unix:///a");
    put_text(bytes, "bandwidth");
    put_u32(bytes, 4);
    put_u32(bytes, 0);
    put_u32(bytes, 9);
    put_parameter(bytes, "disks_uri", "unix:///b");
    if (twice)
        put_parameter(bytes, twice, "<other/>");
    put_text(bytes, "<cookie>");
    put_u32(bytes, 0x21);
    return bytes;
}

static void rpc_takes_a_call_apart(void)
{
    g_autoptr(GByteArray) prepare = prepare_call(NULL), open = call_of(DRV_RPC_CONNECT_OPEN);
    struct drv_rpc_request request;

    g_assert_cmpint(parse_call(prepare, &request), ==, 0);
    g_assert_true(is(&request.xml, "<domain/>"));
    g_assert_true(is(&request.migrate_uri, "unix:///a"));
    g_assert_true(is(&request.disks_uri, "unix:///b"));
    g_assert_null(request.persistent_xml.at);
    g_assert_false(request.listens);
    g_assert_cmpuint(request.flags, ==, 0x21);
    put_u32(open, 1);
    put_text(open, "qemu:///system");
    put_u32(open, 0);
    g_assert_cmpint(parse_call(open, &request), ==, 0);
    g_assert_true(is(&request.uri, "qemu:///system"));
}

static void rpc_call_that_is_none(void)
{
    g_autoptr(GByteArray) prepare = prepare_call(NULL), twice = prepare_call("destination_xml"),
                          listens = prepare_call("listen_address"), other = call_of(DRV_RPC_AUTH_LIST);
    struct drv_rpc_request request;

    for (guint size = 0; size < prepare->len; size++) {
        g_autoptr(GByteArray) cut = g_byte_array_new();

        g_byte_array_append(cut, prepare->data, size);
        g_assert_cmpint(size < 4 ? drv_rpc_parse_request(&request, cut->data, size, NULL) : parse_call(cut, &request),
                        ==, -EPROTO);
    }
    /* Two definitions: libvirt might take the one that nobody has looked at. */
    g_assert_cmpint(parse_call(twice, &request), ==, -EPROTO);
    g_assert_cmpint(parse_call(listens, &request), ==, 0);
    g_assert_true(request.listens);
    g_assert_cmpint(parse_call(other, &request), ==, -EPROTO);
    put_u32(prepare, 0);
    g_assert_cmpint(parse_call(prepare, &request), ==, -EPROTO);
}

static void rpc_allows_what_a_migration_does(void)
{
    static const uint32_t procedures[] = {1, 2, 60, 66, 303, 306, 360, 361};
    struct drv_rpc_message message = {.program = DRV_RPC_PROGRAM_REMOTE, .version = 1};
    struct drv_error err;
    unsigned count = 0;

    for (uint32_t procedure = 0; procedure < 1000; procedure++) {
        message.procedure = procedure;
        count += drv_rpc_call_allowed(&message, NULL) == 0;
    }
    g_assert_cmpuint(count, ==, G_N_ELEMENTS(procedures));
    for (size_t i = 0; i < G_N_ELEMENTS(procedures); i++) {
        message.procedure = procedures[i];
        g_assert_cmpint(drv_rpc_call_allowed(&message, NULL), ==, 0);
    }
    for (uint32_t type = DRV_RPC_REPLY; type < 9; type++) {
        message.type = type;
        g_assert_cmpint(drv_rpc_call_allowed(&message, NULL), ==, -EPERM);
    }
    message = (struct drv_rpc_message){.program = 0x20008087, .version = 1, .procedure = 1};
    g_assert_cmpint(drv_rpc_call_allowed(&message, NULL), ==, -EPERM);
    message = (struct drv_rpc_message){
        .program = DRV_RPC_PROGRAM_KEEPALIVE, .version = 1, .type = DRV_RPC_MESSAGE, .procedure = 1};
    g_assert_cmpint(drv_rpc_call_allowed(&message, NULL), ==, 0);
    message = (struct drv_rpc_message){.program = DRV_RPC_PROGRAM_REMOTE, .procedure = 12};
    g_assert_cmpint(drv_rpc_call_allowed(&message, &err), ==, -EPERM);
    g_assert_nonnull(strstr(err.message, "procedure 12"));
}

static void rpc_recognises_a_finish(void)
{
    struct drv_rpc_message message = {
        .length = 80, .program = DRV_RPC_PROGRAM_REMOTE, .version = 1, .procedure = 306, .type = DRV_RPC_REPLY};

    g_assert_true(drv_rpc_finish_succeeded(&message));
    message.length = DRV_RPC_HEADER_SIZE;
    g_assert_true(drv_rpc_is_finish_reply(&message));
    g_assert_false(drv_rpc_finish_succeeded(&message));
    message.length = 80;
    message.status = 1;
    g_assert_false(drv_rpc_finish_succeeded(&message));
    message.type = DRV_RPC_CALL;
    g_assert_false(drv_rpc_is_finish_reply(&message));
}

/* ---- windows ---- */

/* Pieces of random sizes arrive in random order, as over several links; all comes out in order. */
static void window_orders(void)
{
    enum { SIZE = 4096, TOTAL = 1 << 20, FLIGHT = 8 };
    struct {
        uint64_t offset;
        size_t size;
    } flight[FLIGHT];
    g_autofree uint8_t *sent = g_malloc(TOTAL);
    uint64_t next = 0, given = 0;
    struct drv_window window;
    size_t count = 0;

    for (size_t i = 0; i < TOTAL; i++)
        sent[i] = (uint8_t)g_test_rand_int();
    g_assert_cmpint(drv_window_init(&window, SIZE, NULL), ==, 0);
    g_assert_true(drv_window_grant(&window));
    while (given < TOTAL) {
        const uint8_t *bytes;
        size_t size;

        while (count < FLIGHT && next < TOTAL && next < window.limit) {
            uint64_t room = MIN(window.limit, TOTAL) - next;

            size = (size_t)g_test_rand_int_range(1, 600);
            flight[count].offset = next;
            flight[count].size = size < room ? size : (size_t)room;
            next += flight[count++].size;
        }
        if (count) {
            size_t which = (size_t)g_test_rand_int_range(0, (gint32)count);

            g_assert_cmpint(drv_window_reserve(&window, flight[which].offset, flight[which].size, NULL), ==, 0);
            drv_window_fill(&window, flight[which].offset, sent + flight[which].offset, flight[which].size);
            flight[which] = flight[--count];
        }
        size = drv_window_peek(&window, window.delivered, &bytes);
        if (size && g_test_rand_bit()) {
            size = 1 + (size_t)g_test_rand_int() % size;
            g_assert_cmpmem(bytes, size, sent + given, size);
            drv_window_take(&window, size);
            given += size;
        }
        (void)drv_window_grant(&window);
        g_assert_cmpuint(window.delivered, <=, window.contiguous);
        g_assert_cmpuint(window.contiguous, <=, window.limit);
        g_assert_cmpuint(window.limit, <=, window.delivered + SIZE);
    }
    g_assert_cmpuint(window.ahead, ==, 0);
    drv_window_done(&window);
}

static void window_refuses(void)
{
    struct drv_window window;
    struct drv_error err;

    g_assert_cmpint(drv_window_init(&window, 1000, &err), ==, -EINVAL);
    g_assert_cmpint(drv_window_init(&window, 1024, NULL), ==, 0);
    g_assert_cmpint(drv_window_reserve(&window, 0, 1, &err), ==, -EPROTO);
    g_assert_true(drv_window_grant(&window));
    g_assert_false(drv_window_grant(&window));
    g_assert_cmpint(drv_window_reserve(&window, 0, 1025, &err), ==, -EPROTO);
    g_assert_cmpint(drv_window_reserve(&window, 1024, 1, &err), ==, -EPROTO);
    g_assert_cmpint(drv_window_reserve(&window, UINT64_MAX, 2, &err), ==, -EPROTO);
    g_assert_cmpint(drv_window_reserve(&window, 100, 50, &err), ==, 0);
    /* Twice, whole and in part, on either side. */
    g_assert_cmpint(drv_window_reserve(&window, 100, 50, &err), ==, -EPROTO);
    g_assert_cmpint(drv_window_reserve(&window, 149, 1, &err), ==, -EPROTO);
    g_assert_cmpint(drv_window_reserve(&window, 90, 11, &err), ==, -EPROTO);
    drv_window_done(&window);
    drv_window_done(&window);
}

/* ---- settings and admin messages ---- */

static struct drv_relay_config good_config(void)
{
    return (struct drv_relay_config){.role = DRV_RELAY_SOURCE,
                                     .session = "00112233445566778899aabbccddeeff",
                                     .links = 4,
                                     .cache_mib = 100,
                                     .directory = "/run/drover/sessions/x",
                                     .peer_host = "192.0.2.1",
                                     .peer_port = 7443,
                                     .user = "nobody",
                                     .group = "libvirt-qemu"};
}

static void settings_round_trip(void)
{
    struct drv_relay_config config = good_config();
    struct drv_settings settings;
    char text[DRV_SETTINGS_MAX];

    memset(config.secret, 0xa5, sizeof config.secret);
    g_assert_cmpint(drv_settings_print(&config, text, sizeof text, NULL), >, 0);
    g_assert_cmpint(drv_settings_parse(&settings, text, NULL), ==, 0);
    g_assert_cmpint(settings.role, ==, DRV_RELAY_SOURCE);
    g_assert_cmpstr(settings.session, ==, config.session);
    g_assert_cmpmem(settings.secret, sizeof settings.secret, config.secret, sizeof config.secret);
    g_assert_cmpuint(settings.links, ==, 4);
    g_assert_cmpuint(settings.cache_mib, ==, 100);
    g_assert_cmpstr(settings.directory, ==, config.directory);
    g_assert_cmpstr(settings.peer_host, ==, config.peer_host);
    g_assert_cmpuint(settings.peer_port, ==, 7443);
    g_assert_cmpstr(settings.user, ==, "nobody");
    g_assert_cmpstr(settings.group, ==, "libvirt-qemu");
}

static void settings_refuse(void)
{
    /* clang-format off */
    static const char *const bad[] = {
        "role=third",     "links=0",   "links=17",         "links=4x",    "links=-1",
        "peer_port=0",    "secret=00", "session=zz",       "nothing",     "unknown=1",
        "peer_port=70000", "user=", "cache_mib=0", "cache_mib=9999",    "links=99999999999999999999",      "",
    };
    /* clang-format on */
    g_autofree char *long_path = g_strnfill(300, 'd');
    struct drv_relay_config config = good_config();
    struct drv_settings settings;
    char text[DRV_SETTINGS_MAX];
    struct drv_error err;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_strlcpy(text, bad[i], sizeof text);
        g_assert_cmpint(drv_settings_parse(&settings, text, &err), ==, -EINVAL);
    }
    config.directory = long_path;
    g_assert_cmpint(drv_settings_print(&config, text, sizeof text, &err), ==, -EINVAL);
    config = good_config();
    config.peer_host = NULL;
    g_assert_cmpint(drv_settings_print(&config, text, sizeof text, &err), ==, -EINVAL);
    config = good_config();
    /* A newline must not smuggle in another setting. */
    config.user = "nobody\ngroup=root";
    g_assert_cmpint(drv_settings_print(&config, text, sizeof text, &err), ==, -EINVAL);
}

static void admin_status_round_trip(void)
{
    struct drv_relay_status status = {.state = DRV_RELAY_LOST,
                                      .links_up = 3,
                                      .wire_in_bytes = UINT64_MAX,
                                      .finish_delivered = true,
                                      .resumed = true,
                                      .finish_us = 5,
                                      .resumed_us = 6,
                                      .memory_bytes = 7,
                                      .error = "gone"};
    struct drv_relay_status back;
    uint8_t bytes[DRV_ADMIN_MAX];
    size_t size;

    status.channel[DRV_CHANNEL_DISK].local_out_bytes = 1234567890123;
    status.channel[DRV_CHANNEL_CONTROL].streams_open = 9;
    size = drv_admin_encode_status(bytes, DRV_ADMIN_EVENT, &status);
    g_assert_cmpint(drv_admin_decode_status(&back, bytes, size, NULL), ==, 0);
    g_assert_cmpint(back.state, ==, DRV_RELAY_LOST);
    g_assert_cmpuint(back.channel[DRV_CHANNEL_DISK].local_out_bytes, ==, 1234567890123);
    g_assert_cmpuint(back.channel[DRV_CHANNEL_CONTROL].streams_open, ==, 9);
    g_assert_cmpuint(back.wire_in_bytes, ==, UINT64_MAX);
    g_assert_true(back.finish_delivered && !back.finish_ok && back.resumed);
    g_assert_cmpint(back.finish_us, ==, 5);
    g_assert_cmpint(back.resumed_us, ==, 6);
    g_assert_cmpstr(back.error, ==, "gone");
    g_assert_cmpint(drv_admin_decode_status(&back, bytes, size - 2, NULL), ==, -EPROTO);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    g_test_add_func("/frame/round-trip", frame_round_trip);
    g_test_add_func("/frame/refuses", frame_refuses_nonsense);
    g_test_add_func("/frame/hello", hello_round_trip_and_refusals);
    g_test_add_func("/rpc/splits", rpc_tells_the_same_at_every_split);
    g_test_add_func("/rpc/lengths", rpc_refuses_impossible_lengths);
    g_test_add_func("/rpc/allowed", rpc_allows_what_a_migration_does);
    g_test_add_func("/rpc/finish", rpc_recognises_a_finish);
    g_test_add_func("/window/orders", window_orders);
    g_test_add_func("/window/refuses", window_refuses);
    g_test_add_func("/settings/round-trip", settings_round_trip);
    g_test_add_func("/settings/refuse", settings_refuse);
    g_test_add_func("/admin/status", admin_status_round_trip);
    g_test_add_func("/relay/rpc/takes-a-call-apart", rpc_takes_a_call_apart);
    g_test_add_func("/relay/rpc/call-that-is-none", rpc_call_that_is_none);
    return g_test_run();
}
