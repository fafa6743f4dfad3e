/* SPDX-License-Identifier: Apache-2.0 */
/* What drover-relay is told: see settings.h. */
#include "relay/control/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "pack/format.h"

#define CACHE_SHARE 16
#define CACHE_MIB_MAX 4096

uint16_t drv_relay_cache_mib(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t mib;

    if (pages <= 0 || page <= 0)
        return 0;
    mib = (uint64_t)pages * (uint64_t)page / CACHE_SHARE >> 20;
    return (uint16_t)(mib < CACHE_MIB_MAX ? mib : CACHE_MIB_MAX);
}

static int copy_text(char *to, size_t size, const char *value, const char *key, struct drv_error *err)
{
    if (!*value || strlen(value) >= size)
        return drv_error_set(err, EINVAL, "the relay's setting %s must have 1 to %zu characters", key, size - 1);
    (void)snprintf(to, size, "%s", value);
    return 0;
}

static int copy_number(unsigned *to, unsigned most, const char *value, const char *key, struct drv_error *err)
{
    char *end;
    unsigned long number;

    errno = 0;
    number = strtoul(value, &end, 10);
    if (errno || end == value || *end || *value == '-' || number < 1 || number > most)
        return drv_error_set(err, EINVAL, "the relay's setting %s must be 1 to %u, not \"%s\"", key, most, value);
    *to = (unsigned)number;
    return 0;
}

static int set_one(struct drv_settings *settings, const char *key, const char *value, struct drv_error *err)
{
    uint8_t id[DRV_SESSION_ID_SIZE];
    unsigned port = 0;
    int rc;

    if (!strcmp(key, "role")) {
        if (strcmp(value, "source") != 0 && strcmp(value, "target") != 0)
            return drv_error_set(err, EINVAL, "a relay is source or target, not \"%s\"", value);
        settings->role = !strcmp(value, "source") ? DRV_RELAY_SOURCE : DRV_RELAY_TARGET;
        return 0;
    }
    if (!strcmp(key, "session")) {
        rc = drv_hex_decode(id, sizeof id, value, err);
        return rc ? rc : copy_text(settings->session, sizeof settings->session, value, key, err);
    }
    if (!strcmp(key, "secret"))
        return drv_hex_decode(settings->secret, sizeof settings->secret, value, err);
    if (!strcmp(key, "links"))
        return copy_number(&settings->links, 16, value, key, err);
    if (!strcmp(key, "directory"))
        return copy_text(settings->directory, sizeof settings->directory, value, key, err);
    if (!strcmp(key, "peer_host"))
        return copy_text(settings->peer_host, sizeof settings->peer_host, value, key, err);
    if (!strcmp(key, "peer_port")) {
        rc = copy_number(&port, 65535, value, key, err);
        if (!rc)
            settings->peer_port = (uint16_t)port;
        return rc;
    }
    if (!strcmp(key, "content_files"))
        return copy_number(&settings->content_files, 1 + DRV_PACKS_MAX, value, key, err);
    if (!strcmp(key, "cache_mib"))
        return copy_number(&settings->cache_mib, CACHE_MIB_MAX, value, key, err);
    if (!strcmp(key, "judged"))
        return copy_number(&settings->judged, 1, value, key, err);
    if (!strcmp(key, "older_files"))
        return copy_number(&settings->older_files, DRV_OLDER_IMAGES, value, key, err);
    if (!strcmp(key, "older") && settings->older_count < DRV_OLDER_IMAGES)
        return copy_text(settings->older[settings->older_count++], sizeof settings->older[0], value, key, err);
    if (!strcmp(key, "user"))
        return copy_text(settings->user, sizeof settings->user, value, key, err);
    if (!strcmp(key, "group"))
        return copy_text(settings->group, sizeof settings->group, value, key, err);
    return drv_error_set(err, EINVAL, "the relay has no setting \"%s\"", key);
}

int drv_settings_parse(struct drv_settings *settings, char *text, struct drv_error *err)
{
    char *rest = text;
    char *line;

    memset(settings, 0, sizeof *settings);
    while ((line = strsep(&rest, "\n"))) {
        char *value = strchr(line, '=');
        int rc;

        if (!*line)
            continue;
        if (!value)
            return drv_error_set(err, EINVAL, "a line of the relay's settings has no \"=\"");
        *value++ = '\0';
        rc = set_one(settings, line, value, err);
        if (rc)
            return rc;
    }
    if (!*settings->session || !settings->links || !*settings->directory || !*settings->user || !*settings->group)
        return drv_error_set(err, EINVAL,
                             "the relay's settings lack one of session, links, "
                             "directory, user, group");
    if (settings->role == DRV_RELAY_SOURCE && (!*settings->peer_host || !settings->peer_port))
        return drv_error_set(err, EINVAL, "the relay's settings lack peer_host or peer_port");
    return 0;
}

/* Return: how many characters, or -1. */
static int print_older(const struct drv_relay_config *config, char *text, size_t size)
{
    size_t used = 0;

    *text = '\0';
    if (config->older_count && config->older_fds)
        used = (size_t)snprintf(text, size, "older_files=%u\n", config->older_count);
    for (unsigned i = 0; config->older_disks && i < config->older_count && used < size; i++) {
        if (strchr(config->older_disks[i], '\n'))
            return -1;
        used += (size_t)snprintf(text + used, size - used, "older=%s\n", config->older_disks[i]);
    }
    return used < size ? (int)used : -1;
}

int drv_settings_print(const struct drv_relay_config *config, char *text, size_t size, struct drv_error *err)
{
    bool source = config->role == DRV_RELAY_SOURCE;
    char secret[2 * sizeof config->secret + 1];
    struct drv_settings check;
    char peer[160] = "", content[32] = "", cache[32] = "", older[DRV_OLDER_IMAGES * (DRV_OLDER_NAME_MAX + 8)];
    char copy[DRV_SETTINGS_MAX];
    const char *const texts[] = {config->session, config->directory, config->peer_host, config->user, config->group};
    int length, rc;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i] && strchr(texts[i], '\n'))
            return drv_error_set(err, EINVAL, "a relay's setting has a line break in it");
    if (source)
        (void)snprintf(peer, sizeof peer, "peer_host=%s\npeer_port=%u\n", config->peer_host ? config->peer_host : "",
                       config->peer_port);
    if (config->content_file_count)
        (void)snprintf(content, sizeof content, "content_files=%u\n", config->content_file_count);
    if (config->cache_mib)
        (void)snprintf(cache, sizeof cache, "cache_mib=%u\n", config->cache_mib);
    if (print_older(config, older, sizeof older) < 0)
        return drv_error_set(err, EINVAL, "the names of older disks make no sense to a relay");
    drv_hex_encode(secret, config->secret, sizeof config->secret);
    length = snprintf(text, size,
                      "role=%s\nsession=%s\nsecret=%s\nlinks=%u\ndirectory=%s\n%s%s%s%s%suser=%s\n"
                      "group=%s\n",
                      source ? "source" : "target", config->session, secret, config->links,
                      config->directory ? config->directory : "", peer, content, cache, older,
                      config->judged ? "judged=1\n" : "", config->user ? config->user : "",
                      config->group ? config->group : "");
    explicit_bzero(secret, sizeof secret);
    if (length < 0 || (size_t)length >= size || size > sizeof copy)
        return drv_error_set(err, EINVAL, "the relay's settings are too long");
    /* The relay would refuse it as well, but here the caller hears it without a process. */
    memcpy(copy, text, (size_t)length + 1);
    rc = drv_settings_parse(&check, copy, err);
    explicit_bzero(copy, sizeof copy);
    explicit_bzero(&check, sizeof check);
    return rc ? rc : length;
}
