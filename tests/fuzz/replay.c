/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzzer's entry point over the files of directories, without libFuzzer: so every
 * input that was ever interesting is a regression test of the ordinary build.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

#define INPUT_MAX ((size_t)1 << 20)

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(INPUT_MAX);
    size_t size;

    if (!file || !bytes) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        exit(1);
    }
    size = fread(bytes, 1, INPUT_MAX, file);
    fclose(file);
    /* An allocation of its very size, so that a read beyond the end is seen. */
    bytes = realloc(bytes, size ? size : 1);
    if (LLVMFuzzerTestOneInput(bytes, size))
        exit(1);
    free(bytes);
    return 1;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        struct dirent *entry;

        if (!directory) {
            fprintf(stderr, "replay: there is no directory %s\n", argv[i]);
            return 1;
        }
        while ((entry = readdir(directory))) {
            char path[1024];

            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            count += run_file(path);
        }
        closedir(directory);
    }
    printf("%d inputs\n", count);
    return count ? 0 : 1;
}
