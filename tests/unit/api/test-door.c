/* SPDX-License-Identifier: Apache-2.0 */
/* Strangers at the door: garbage, silence, floods; and a good client that must not notice. */
#include <glib.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/connections.h"
#include "harness.h"

static test_node *founder;

static void expect_served(drv_client *client)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) answer = test_get(client, "/v1/version", &error);

    g_assert_no_error(error);
    g_assert_nonnull(answer);
}

/* A client of its own each time: the handshake has to get through as well. */
static void expect_newcomer_served(void)
{
    g_autoptr(drv_client) client = test_client(founder, founder);

    expect_served(client);
}

static void test_garbage(void)
{
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                        "SSH-2.0-x\r\n",
                                        "\n",
                                        "\x16\x03\x09\x02",
                                        "\x16\x03\x01\x01",
                                        "\x80\x2e\x01",
                                        "\x15\x03\x01\x01\x02\x02\x28"};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        int fd = test_connect(founder, "127.0.0.1");
        gsize size = strlen(texts[i]);

        g_assert_cmpint(send(fd, texts[i], size, MSG_NOSIGNAL), ==, (gssize)size);
        shutdown(fd, SHUT_WR);
        g_assert_true(test_closed(fd, DRV_HELLO_MS + 5000));
        close(fd);
        expect_newcomer_served();
    }
}

/* They get their seconds and no more; nobody else waits for them. */
static void test_slow(void)
{
    int silent = test_connect(founder, "127.0.0.1"), half = test_connect(founder, "127.0.0.1");
    g_autoptr(drv_client) client = test_client(founder, founder);
    static const guint8 beginning[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
    gint64 from = g_get_monotonic_time();

    g_assert_cmpint(send(half, beginning, sizeof beginning, MSG_NOSIGNAL), ==, sizeof beginning);
    expect_served(client);
    expect_newcomer_served();
    g_assert_true(test_closed(silent, DRV_HELLO_MS + 10000));
    g_assert_true(test_closed(half, DRV_HELLO_MS + 10000));
    g_assert_cmpint(g_get_monotonic_time() - from, >=, (DRV_HELLO_MS - 500) * 1000);
    close(silent);
    close(half);
    expect_served(client);
}

/* TLS, and then half a request: a stranger's time is over as well. */
static void test_half_request(void)
{
    int fd = test_connect(founder, "127.0.0.1"), rc;
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;
    static const char text[] = "GET /v1/version HTTP/1.1\r\nHost: x\r\nX: ";
    char answer[64];
    ssize_t size;

    gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    do
        rc = gnutls_handshake(session);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    g_assert_cmpint(rc, >=, 0);
    g_assert_cmpint(gnutls_record_send(session, text, strlen(text)), ==, strlen(text));
    gnutls_record_set_timeout(session, DRV_STRANGER_MS + 10000);
    do
        size = gnutls_record_recv(session, answer, sizeof answer);
    while (size == GNUTLS_E_AGAIN || size == GNUTLS_E_INTERRUPTED);
    g_assert_cmpint(size, !=, GNUTLS_E_TIMEDOUT);
    g_assert_cmpint(size, <=, 0);
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
    close(fd);
}

/* How many of these are still open, once no more than @most are, or time is up. */
static guint count_open(const int *fds, guint count, guint most)
{
    gint64 until = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    g_autofree struct pollfd *wait = g_new0(struct pollfd, count);
    guint open = count;

    for (guint i = 0; i < count; i++)
        wait[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    while (open > most && g_get_monotonic_time() < until) {
        poll(wait, count, 1000);
        for (guint i = 0; i < count; i++)
            if (wait[i].fd >= 0 && wait[i].revents) {
                wait[i].fd = -1;
                open--;
            }
    }
    return open;
}

/* One address takes all that it can get; another one comes in. */
static void test_flood(void)
{
    int flood[DRV_STRANGERS_MOST + 100];
    g_autoptr(drv_client) kept = test_client(founder, founder);

    expect_served(kept);
    for (guint i = 0; i < G_N_ELEMENTS(flood); i++) {
        flood[i] = test_connect(founder, "127.0.0.66");
        if (i % 50 == 49) {
            expect_served(kept);
            expect_newcomer_served();
        }
    }
    /* They have made room for each other, the oldest first. */
    g_assert_cmpuint(count_open(flood, G_N_ELEMENTS(flood), DRV_STRANGERS_MOST_PER_ADDRESS), <=,
                     DRV_STRANGERS_MOST_PER_ADDRESS);
    g_assert_true(test_closed(flood[0], 1000));
    expect_served(kept);
    expect_newcomer_served();
    for (guint i = 0; i < G_N_ELEMENTS(flood); i++)
        close(flood[i]);
}

/* Many addresses: the total is bounded as well, and whoever authenticates comes in. */
static void test_wide_flood(void)
{
    int flood[2 * DRV_STRANGERS_MOST];

    for (guint i = 0; i < G_N_ELEMENTS(flood); i++) {
        g_autofree char *from = g_strdup_printf("127.0.%u.%u", 2 + i % 40, 1 + i / 40);

        flood[i] = test_connect(founder, from);
        if (i % 100 == 99)
            expect_newcomer_served();
    }
    g_assert_cmpuint(count_open(flood, G_N_ELEMENTS(flood), DRV_STRANGERS_MOST), <=, DRV_STRANGERS_MOST);
    expect_newcomer_served();
    for (guint i = 0; i < G_N_ELEMENTS(flood); i++)
        close(flood[i]);
}

/* Has joined with everything but the last byte of its body. */
typedef struct {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int fd;
} slow_joiner;

static void begin_joining(slow_joiner *one, const char *from)
{
    static const char text[] = "POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    int rc;

    one->fd = test_connect(founder, from);
    gnutls_init(&one->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    gnutls_certificate_allocate_credentials(&one->credentials);
    gnutls_set_default_priority(one->session);
    gnutls_credentials_set(one->session, GNUTLS_CRD_CERTIFICATE, one->credentials);
    gnutls_transport_set_int(one->session, one->fd);
    do
        rc = gnutls_handshake(one->session);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    g_assert_cmpint(rc, >=, 0);
    g_assert_cmpint(gnutls_record_send(one->session, text, sizeof text - 1), ==, sizeof text - 1);
}

/* Hosts that take their time, from many addresses and from one: another one joins meanwhile. */
static void test_slow_joiners(void)
{
    slow_joiner all[32];
    test_node *quick;

    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autofree char *from = g_strdup_printf("127.0.9.%u", i % 2 ? 1 : i + 2);

        begin_joining(&all[i], from);
    }
    expect_newcomer_served(); /* their headers have been read by now, or are before this one's */
    quick = test_node_join("h2", founder, FALSE);
    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        gnutls_deinit(all[i].session);
        gnutls_certificate_free_credentials(all[i].credentials);
        close(all[i].fd);
    }
    test_node_free(quick);
}

/* An operator's connections that do nothing, all the places there are: nodes and others are served. */
static void test_idle_operator(void)
{
    g_autofree char *text = test_token(founder, "operator", 600, NULL);
    drv_client *idle[DRV_KNOWN_MOST_PER_CALLER + 40];

    for (guint i = 0; i < G_N_ELEMENTS(idle); i++) {
        idle[i] = test_bearer_client(text, founder, founder);
        expect_served(idle[i]); /* it keeps its connection */
    }
    expect_newcomer_served();
    for (guint i = 0; i < G_N_ELEMENTS(idle); i++)
        drv_client_free(idle[i]);
}

static void say_hello(int fd, const char *name)
{
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;

    gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name));
    gnutls_transport_set_int(session, fd);
    gnutls_handshake(session); /* sends its first message */
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
}

static void test_relay(void)
{
    int known = test_connect(founder, "127.0.0.1"), unknown = test_connect(founder, "127.0.0.1");

    say_hello(known, TEST_SESSION ".relay.drover");
    say_hello(unknown, "ffffffffffffffffffffffffffffffff.relay.drover");
    g_assert_cmpuint(test_links(TEST_SESSION, 5000), ==, 1);
    g_assert_true(test_closed(unknown, 5000));
    g_assert_true(test_closed(known, 5000)); /* the door closes its own copy */
    close(known);
    close(unknown);
}

int main(int argc, char **argv)
{
    int rc;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    founder = test_node_found("h1");
    g_test_add_func("/door/garbage", test_garbage);
    g_test_add_func("/door/slow", test_slow);
    g_test_add_func("/door/half-request", test_half_request);
    g_test_add_func("/door/flood", test_flood);
    g_test_add_func("/door/wide-flood", test_wide_flood);
    g_test_add_func("/door/relay", test_relay);
    g_test_add_func("/door/slow-joiners", test_slow_joiners);
    g_test_add_func("/door/idle-operator", test_idle_operator);
    rc = g_test_run();
    test_node_free(founder);
    return rc;
}
