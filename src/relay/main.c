/* SPDX-License-Identifier: Apache-2.0 */
/* drover-relay: begins as root, makes its sockets and links, enters its sandbox, carries. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "drv-config.h"
#include "relay/daemon.h"
#include "relay/engine.h"
#include "relay/sandbox.h"

static const char help[] = "Usage: drover-relay [--help | --version]\n"
                           "\n"
                           "Carries the channels of one migration between two hosts. droverd starts it and\n"
                           "gives it its settings on standard input; it is not meant to be run by hand.\n"
                           "See drover-relay(8).\n";

static int read_settings(struct drv_settings *settings, struct drv_error *err)
{
    char text[DRV_SETTINGS_MAX];
    size_t used = 0;
    int rc;

    if (isatty(STDIN_FILENO))
        return drv_error_set(err, EINVAL, "drover-relay is started by droverd, not by hand");
    for (;;) {
        ssize_t got = read(STDIN_FILENO, text + used, sizeof text - 1 - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return drv_error_set(err, errno, "cannot read the settings: %s", strerror(errno));
        used += (size_t)got;
        if (got == 0 || used == sizeof text - 1)
            break;
    }
    text[used] = '\0';
    rc = drv_settings_parse(settings, text, err);
    explicit_bzero(text, sizeof text);
    return rc;
}

static void prepare(struct drv_daemon *daemon)
{
    daemon->admin_listener = -1;
    for (size_t i = 0; i < DRV_CHANNELS; i++)
        daemon->listener[i] = -1;
    for (size_t i = 0; i < DRV_ADMIN_CLIENTS_MAX; i++)
        daemon->client[i].fd = -1;
}

static int bring_up_links(struct drv_daemon *daemon, struct drv_error *err)
{
    struct drv_session *session = &daemon->session;
    drv_link *links[DRV_LINKS_MAX] = {NULL};
    struct drv_hello there;
    int rc;

    if (session->role == DRV_RELAY_TARGET)
        return drv_link_server_credentials(&daemon->credentials, err);
    rc = drv_connect_links(&daemon->settings, &session->secret, &session->hello, links, &there, err);
    if (rc)
        return rc;
    drv_coding_agree(&session->coding, &session->hello, &there);
    for (unsigned i = 0; i < session->links; i++)
        session->worker[i].link = links[i];
    atomic_store(&session->links_up, session->links);
    explicit_bzero(&session->secret.secret, sizeof session->secret.secret);
    return 0;
}

/* Which disks there are older images of: at the target their connections, at the source their names. */
static void take_older(const struct drv_settings *settings, struct drv_ahead *ahead)
{
    ahead->count = settings->role == DRV_RELAY_TARGET ? settings->older_files : settings->older_count;
    memcpy(ahead->name, settings->older, sizeof ahead->name);
    for (unsigned i = 0; settings->role == DRV_RELAY_TARGET && i < ahead->count; i++) {
        ahead->fd[i] = DRV_SETTINGS_OLDER_FD + (int)i;
        (void)fcntl(ahead->fd[i], F_SETFD, FD_CLOEXEC);
    }
}

static int set_up(struct drv_daemon *daemon, struct drv_error *err)
{
    struct drv_settings *settings = &daemon->settings;
    struct drv_session *session = &daemon->session;
    struct drv_sandbox_identity identity;
    int rc = read_settings(settings, err);

    if (!rc && geteuid() != 0)
        rc = drv_error_set(err, EPERM,
                           "drover-relay must be started by root: it gives up all "
                           "privileges by itself, but needs them to set up");
    if (!rc)
        rc = drv_sandbox_identify(settings->user, settings->group, &identity, err);
    if (!rc)
        rc = drv_session_init(session, settings->role, settings->links, err);
    if (rc)
        return rc;
    if (settings->cache_mib && settings->cache_mib < session->hello.cache_mib)
        session->hello.cache_mib = (uint16_t)settings->cache_mib;
    (void)snprintf(session->secret.session, sizeof session->secret.session, "%s", settings->session);
    memcpy(session->secret.secret, settings->secret, sizeof session->secret.secret);
    explicit_bzero(settings->secret, sizeof settings->secret);
    session->judges = settings->role == DRV_RELAY_TARGET && settings->judged;
    if (settings->role == DRV_RELAY_TARGET) {
        session->libvirt_fd = DRV_SETTINGS_LIBVIRT_FD;
        if (fcntl(session->libvirt_fd, F_SETFL, fcntl(session->libvirt_fd, F_GETFL) | O_NONBLOCK) ||
            fcntl(session->libvirt_fd, F_SETFD, FD_CLOEXEC))
            return drv_error_set(err, errno, "the target's relay got no socket of libvirtd: %s", strerror(errno));
    }
    if (settings->content_files && drv_known_take(&session->known, DRV_SETTINGS_CONTENT_FD, DRV_SETTINGS_CONTENT_FD + 1,
                                                  settings->content_files, err))
        return -err->code;
    take_older(settings, &session->ahead);
    rc = bring_up_links(daemon, err);
    if (!rc)
        rc = drv_daemon_open(daemon, identity.gid, err);
    if (!rc)
        rc = drv_sandbox_enter(settings->directory, &identity, settings->role, drv_session_cache_max(session),
                               drv_known_pack_bytes(&session->known), err);
    daemon->inside = rc == 0;
    if (!rc && settings->role == DRV_RELAY_SOURCE)
        rc = drv_session_start(session, &drv_engine, err);
    return rc;
}

/* Tells who started us, who then needs no more of us than the admin socket. */
static int say(const char *text)
{
    size_t size = strlen(text);
    bool said = write(STDOUT_FILENO, text, size) == (ssize_t)size;

    close(STDOUT_FILENO);
    close(STDIN_FILENO);
    return said ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct drv_daemon *daemon;
    struct drv_error err;
    char line[sizeof err.message + 16];

    if (argc > 1) {
        bool known = !strcmp(argv[1], "--help") || !strcmp(argv[1], "--version");

        if (!strcmp(argv[1], "--version"))
            printf("drover-relay %s\n", DRV_VERSION);
        else
            fputs(help, known ? stdout : stderr);
        return known ? 0 : 2;
    }
    drv_log_init("drover-relay", DRV_LOG_NOTICE);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* it may write no file, also not a log that is one */
    daemon = calloc(1, sizeof *daemon);
    if (!daemon) {
        (void)say("error: no memory\n");
        return 1;
    }
    drv_fault_remember();
    prepare(daemon);
    if (set_up(daemon, &err)) {
        drv_daemon_close(daemon);
        (void)snprintf(line, sizeof line, "error: %s\n", err.message);
        (void)say(line);
        return 1;
    }
    if (say("ready\n")) {
        drv_daemon_close(daemon);
        return 1; /* who started us has given up */
    }
    drv_daemon_run(daemon);
    drv_known_save(&daemon->session.known, daemon->settings.session);
    drv_known_done(&daemon->session.known);
    if (daemon->credentials)
        gnutls_psk_free_server_credentials(daemon->credentials);
    free(daemon);
    return 0;
}
