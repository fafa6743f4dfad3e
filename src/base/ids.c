/* SPDX-License-Identifier: Apache-2.0 */
/* Names that come from outside: see ids.h. */
#include "base/ids.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
/* Of what is refused a message shows no more. */
#define SHOWN 64

/* A message goes to logs and terminals: what is refused is shown without what could do harm there. */
static int refuse(struct drv_error *err, const char *text, const char *why)
{
    char shown[SHOWN + 1];
    size_t length = 0;

    for (; text && text[length] && length < SHOWN; length++)
        shown[length] = text[length] < ' ' || text[length] > '~' ? '?' : text[length];
    shown[length] = '\0';
    return drv_error_set(err, EINVAL, "'%s' %s", shown, why);
}

/* Bytes of the UTF-8 sequence at @at, 0 if there is none or if it is a control character. */
static size_t character(const char *at)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)at;
    size_t length;
    uint32_t code;

    if (bytes[0] < 0x80)
        return bytes[0] >= ' ' && bytes[0] != 0x7f;
    length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4)
        return 0;
    code = bytes[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (bytes[i] & 0x3f);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || code < 0xa0)
        return 0;
    return length;
}

/* Whether @text is printable UTF-8 without @without, from 1 to @most bytes. Stops there: @text may be huge. */
static bool is_text(const char *text, size_t most, char without)
{
    size_t length = 0;

    if (!text || !*text)
        return false;
    while (text[length]) {
        size_t more = text[length] == without ? 0 : character(text + length);

        if (!more || more > most - length)
            return false;
        length += more;
    }
    return true;
}

/* Whether @text is from 1 to @most of the characters in @allowed. */
static bool is_of(const char *text, size_t most, const char *allowed)
{
    size_t length = text ? strnlen(text, most + 1) : 0;

    return length && length <= most && strspn(text, allowed) == length;
}

int drv_uuid_parse(drv_uuid *uuid, const char *text, struct drv_error *err)
{
    drv_uuid made;

    if (!text || strnlen(text, DRV_UUID_TEXT + 1) != DRV_UUID_TEXT)
        return refuse(err, text, "is not a UUID");
    for (size_t i = 0; i < DRV_UUID_TEXT; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        char digit = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];

        if (dash ? digit != '-' : !((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f')))
            return refuse(err, text, "is not a UUID");
        made.text[i] = digit;
    }
    made.text[DRV_UUID_TEXT] = '\0';
    *uuid = made;
    return 0;
}

int drv_session_id_parse(drv_session_id *id, const char *text, struct drv_error *err)
{
    if (!is_of(text, DRV_SESSION_ID_TEXT, "abcdef" DIGITS) || strlen(text) != DRV_SESSION_ID_TEXT)
        return refuse(err, text, "is not a session's id");
    memcpy(id->text, text, sizeof id->text);
    return 0;
}

int drv_vm_name_parse(drv_vm_name *name, const char *text, struct drv_error *err)
{
    if (!is_text(text, DRV_VM_NAME_MOST, '/') || !strcmp(text, ".") || !strcmp(text, ".."))
        return refuse(err, text, "is not a VM's name");
    memcpy(name->text, text, strlen(text) + 1);
    return 0;
}

int drv_volume_name_parse(drv_volume_name *name, const char *text, struct drv_error *err)
{
    if (!is_text(text, DRV_FILE_NAME_MOST, '/') || *text == '.')
        return refuse(err, text, "is not the name of an image: it may have no / and must not begin with a dot");
    memcpy(name->text, text, strlen(text) + 1);
    return 0;
}

int drv_node_name_parse(drv_node_name *name, const char *text, struct drv_error *err)
{
    if (text && (!strcmp(text, "op") || !strcmp(text, "plan")))
        return refuse(err, text, "cannot be a node's name: ids of operations and plans begin so; use another");
    if (!is_of(text, DRV_NODE_NAME_MOST, LOWER DIGITS "-") || text[0] == '-' || text[strlen(text) - 1] == '-')
        return refuse(err, text, "cannot be a node's name: use 1 to 63 of a-z, 0-9 and -, not - at either end");
    memcpy(name->text, text, strlen(text) + 1);
    return 0;
}

int drv_disk_name_parse(drv_disk_name *name, const char *text, struct drv_error *err)
{
    if (!is_of(text, DRV_DISK_NAME_MOST, LOWER UPPER DIGITS))
        return refuse(err, text, "is not the name of a VM's disk");
    memcpy(name->text, text, strlen(text) + 1);
    return 0;
}

int drv_job_name_parse(drv_job_name *id, const char *text, struct drv_error *err)
{
    if (!is_of(text, DRV_JOB_NAME_MOST, LOWER UPPER DIGITS "-_"))
        return refuse(err, text, "is not a job's id");
    memcpy(id->text, text, strlen(text) + 1);
    return 0;
}

int drv_path_parse(drv_path *path, const char *text, struct drv_error *err)
{
    const char *at = text;

    if (!is_text(text, DRV_PATH_MOST, '\0') || *text != '/')
        return refuse(err, text, "is not an absolute path");
    while (*at) {
        size_t length = strcspn(++at, "/");

        /* "/" alone is the root; else no part is empty. */
        if (!length && text[1])
            return refuse(err, text, "is not a plain path: it ends with a / or has two in a row");
        if ((length == 1 && at[0] == '.') || (length == 2 && at[0] == '.' && at[1] == '.'))
            return refuse(err, text, "is not a plain path: . and .. have no place in it");
        at += length;
    }
    memcpy(path->text, text, (size_t)(at - text) + 1);
    return 0;
}

int drv_path_split(const drv_path *path, drv_path *directory, drv_volume_name *name, struct drv_error *err)
{
    const char *slash = strrchr(path->text, '/');
    size_t length;
    int rc;

    if (!slash || !slash[1])
        return refuse(err, path->text, "is not the path of a file");
    rc = drv_volume_name_parse(name, slash + 1, err);
    if (rc)
        return rc;
    length = slash == path->text ? 1 : (size_t)(slash - path->text);
    memmove(directory->text, path->text, length);
    directory->text[length] = '\0';
    return 0;
}

bool drv_path_is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    if (length == 1 && directory[0] == '/')
        return path[0] == '/';
    return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}
