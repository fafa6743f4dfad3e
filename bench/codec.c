/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec alone on a recorded stream: how small each of its steps makes it, and how many
 * megabytes a second one core encodes and decodes. Every byte is compared. CPU time of this thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "relay/codec/decoder.h"
#include "relay/codec/encoder.h"

#define RUNS_MAX 99

struct step {
    const char *name;
    unsigned tricks, effort;
};

/* Each adds one thing to the one before. */
static const struct step steps[] = {
    {"plain copy", DRV_TRICKS_ALL, DRV_EFFORT_PLAIN},
    {"headers", DRV_TRICK_RAM, DRV_EFFORT_STORED},
    {"+ same pages", DRV_TRICK_RAM | DRV_TRICK_SAME, DRV_EFFORT_STORED},
    {"+ deltas", DRV_TRICKS_ALL, DRV_EFFORT_STORED},
    {"+ zstd -5", DRV_TRICKS_ALL, 2},
    {"+ zstd -3", DRV_TRICKS_ALL, 3},
    {"+ zstd -1", DRV_TRICKS_ALL, 4},
    {"+ zstd 1", DRV_TRICKS_ALL, 5},
    {"+ zstd 2", DRV_TRICKS_ALL, 6},
    {"+ zstd 3", DRV_TRICKS_ALL, 7},
    {"zstd 1 alone", 0, 5},
};
#define STEPS (sizeof steps / sizeof steps[0])

struct figures {
    double ratio; /* encoded / raw */
    double encode_bytes_per_s, decode_bytes_per_s;
    struct drv_encoder_stats stats;
};

static size_t cache_pages = (size_t)512 << 8;
static size_t batch_bytes = (size_t)128 << 10;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fputs("bench-codec: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    exit(1);
}

static double cpu_s(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void decode(drv_decoder *decoder, const uint8_t *record, size_t size, const uint8_t *expected)
{
    struct drv_error err;
    const uint8_t *out;
    size_t used, came;

    if (drv_decoder_feed(decoder, record, size, &used, &err) < 0)
        fail("%s", err.message);
    came = drv_decoder_output(decoder, &out);
    if (memcmp(out, expected, came) != 0)
        fail("other bytes came out than went in");
    drv_decoder_take(decoder, came);
}

static void run(const struct step *step, const uint8_t *bytes, size_t size, struct figures *figures)
{
    struct drv_encoder_config config = {.cache_pages = cache_pages, .tricks = step->tricks};
    uint8_t *record = malloc(DRV_RECORD_MAX);
    double encode_s = 0, decode_s = 0, before;
    size_t done = 0, decoded = 0;
    drv_encoder *encoder;
    drv_decoder *decoder;
    struct drv_error err;

    if (!record || drv_encoder_new(&encoder, &config, &err) || drv_decoder_new(&decoder, cache_pages, 1, 0, &err))
        fail("no memory");
    drv_encoder_set_effort(encoder, step->effort);
    drv_encoder_set_batch(encoder, batch_bytes);
    while (decoded < size) {
        size_t made = 0;

        before = cpu_s();
        while (!made) {
            uint8_t *at;
            size_t room = drv_encoder_room(encoder, &at);

            if (!room)
                room = drv_encoder_missing(encoder, &at);
            if (room > size - done)
                room = size - done;
            if (!room) {
                made = drv_encoder_close(encoder, record);
                break;
            }
            /* The copy stands for the read from QEMU's socket. */
            memcpy(at, bytes + done, room);
            drv_encoder_commit(encoder, room);
            done += room;
        }
        encode_s += cpu_s() - before;
        before = cpu_s();
        decode(decoder, record, made, bytes + decoded);
        decode_s += cpu_s() - before;
        decoded = drv_encoder_stats(encoder)->raw_bytes;
    }
    figures->stats = *drv_encoder_stats(encoder);
    figures->ratio = (double)figures->stats.encoded_bytes / (double)size;
    figures->encode_bytes_per_s = (double)size / encode_s;
    figures->decode_bytes_per_s = (double)size / decode_s;
    drv_encoder_free(encoder);
    drv_decoder_free(decoder);
    free(record);
}

static int by_speed(const void *a, const void *b)
{
    double left = ((const struct figures *)a)->encode_bytes_per_s;
    double right = ((const struct figures *)b)->encode_bytes_per_s;

    return (left > right) - (left < right);
}

static void write_json(const char *path, size_t size, unsigned runs, const struct figures *medians)
{
    FILE *file = fopen(path, "w");

    if (!file)
        fail("cannot write %s: %s", path, strerror(errno));
    fprintf(file,
            "{\"bytes\": %zu, \"runs\": %u, \"cache_pages\": %zu, \"batch_bytes\": %zu,\n"
            " \"steps\": [",
            size, runs, cache_pages, batch_bytes);
    for (size_t i = 0; i < STEPS; i++) {
        const struct drv_encoder_stats *stats = &medians[i].stats;

        fprintf(file,
                "%s\n  {\"name\": \"%s\", \"ratio\": %.5f, \"encode_bytes_per_s\": %.0f, "
                "\"decode_bytes_per_s\": %.0f, \"literal_pages\": %llu, \"same_pages\": %llu, "
                "\"delta_pages\": %llu, \"zero_pages\": %llu}",
                i ? "," : "", steps[i].name, medians[i].ratio, medians[i].encode_bytes_per_s,
                medians[i].decode_bytes_per_s, (unsigned long long)stats->literal_pages,
                (unsigned long long)stats->same_pages, (unsigned long long)stats->delta_pages,
                (unsigned long long)stats->zero_pages);
    }
    fprintf(file, "\n ]}\n");
    fclose(file);
}

static const uint8_t *map(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    void *bytes;

    if (fd < 0 || fstat(fd, &info))
        fail("cannot read %s: %s", path, strerror(errno));
    *size = (size_t)info.st_size;
    if (!*size)
        fail("%s is empty", path);
    bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED)
        fail("cannot read %s: %s", path, strerror(errno));
    close(fd);
    return bytes;
}

static const char help[] = "Usage: bench-codec [--json FILE] [--runs N] [--cache MIB] [--batch KIB] STREAM\n"
                           "Encodes and decodes a recorded stream of QEMU's migration by each step of the codec,\n"
                           "by turns, --runs times (3), and prints the bytes that are left and medians of the speed.\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", required_argument, NULL, 'j'},  {"runs", required_argument, NULL, 'r'},
        {"cache", required_argument, NULL, 'c'}, {"batch", required_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},        {0}};
    static struct figures figures[STEPS][RUNS_MAX];
    struct figures medians[STEPS];
    const char *json = NULL;
    const uint8_t *bytes;
    unsigned runs = 3;
    size_t size;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'j')
            json = optarg;
        else if (option == 'r')
            runs = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'c')
            cache_pages = strtoul(optarg, NULL, 10) << 8;
        else if (option == 'b')
            batch_bytes = strtoul(optarg, NULL, 10) << 10;
        else {
            fputs(help, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (optind + 1 != argc) {
        fputs(help, stderr);
        return 2;
    }
    if (!runs || runs > RUNS_MAX)
        fail("--runs must be 1 to %d", RUNS_MAX);
    bytes = map(argv[optind], &size);
    for (unsigned i = 0; i < runs; i++)
        for (size_t j = 0; j < STEPS; j++)
            run(&steps[j], bytes, size, &figures[j][i]);
    printf("%.1f MB, cache %zu MiB, batches of %zu KiB, medians of %u\n", (double)size / 1e6, cache_pages >> 8,
           batch_bytes >> 10, runs);
    printf("%-14s %8s %12s %12s\n", "step", "left", "encode MB/s", "decode MB/s");
    for (size_t j = 0; j < STEPS; j++) {
        qsort(figures[j], runs, sizeof figures[j][0], by_speed);
        medians[j] = figures[j][runs / 2];
        printf("%-14s %7.2f%% %12.0f %12.0f\n", steps[j].name, 100 * medians[j].ratio,
               medians[j].encode_bytes_per_s / 1e6, medians[j].decode_bytes_per_s / 1e6);
    }
    printf("pages with all steps: %llu literal, %llu same, %llu delta, %llu zero\n",
           (unsigned long long)medians[7].stats.literal_pages, (unsigned long long)medians[7].stats.same_pages,
           (unsigned long long)medians[7].stats.delta_pages, (unsigned long long)medians[7].stats.zero_pages);
    if (json)
        write_json(json, size, runs, medians);
    return 0;
}
