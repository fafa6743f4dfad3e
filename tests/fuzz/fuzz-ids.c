/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that come from outside: what a parser takes leads nowhere, is taken again as it was made, and is a line of
 * a log.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static int is_quiet(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return 0;
    return 1;
}

#define NAME(type, parse)                                                                                              \
    do {                                                                                                               \
        struct drv_error err_ = {0};                                                                                   \
        type name_, again_;                                                                                            \
        if (parse(&name_, text, &err_) == 0) {                                                                         \
            require(*name_.text &&is_quiet(name_.text) && !strchr(name_.text, '/'));                                   \
            require(strcmp(name_.text, ".") && strcmp(name_.text, ".."));                                              \
            require(parse(&again_, name_.text, NULL) == 0 && !strcmp(name_.text, again_.text));                        \
        } else {                                                                                                       \
            require(err_.code > 0 && is_quiet(err_.message));                                                          \
        }                                                                                                              \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    drv_path path, directory;
    drv_volume_name name;

    require(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    NAME(drv_uuid, drv_uuid_parse);
    NAME(drv_session_id, drv_session_id_parse);
    NAME(drv_vm_name, drv_vm_name_parse);
    NAME(drv_volume_name, drv_volume_name_parse);
    NAME(drv_node_name, drv_node_name_parse);
    NAME(drv_disk_name, drv_disk_name_parse);
    NAME(drv_job_name, drv_job_name_parse);
    if (drv_path_parse(&path, text, NULL) == 0) {
        require(path.text[0] == '/' && is_quiet(path.text) && !strstr(path.text, "//") && !strstr(path.text, "/../"));
        if (drv_path_split(&path, &directory, &name, NULL) == 0) {
            require(drv_path_is_below(path.text, directory.text));
            require(strlen(directory.text) + strlen(name.text) <= strlen(path.text));
        }
    }
    free(text);
    return 0;
}
