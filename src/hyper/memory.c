/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a running guest's memory: see memory.h.
 *
 * QEMU's command line, as libvirt writes it, names each block of memory with its size, and /proc/PID/maps has a mapping of
 * exactly that size. When other mappings have it too nobody can tell which is the guest's, and none is read. Memory
 * that was plugged in later is on no command line; samples leave it out.
 */
#include "hyper/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hyper/gerror.h"

/* Where libvirt's system daemons keep the number of each VM's process. */
#define PID_FILE "/run/libvirt/qemu/%s.pid"

#define PAGE 4096u
/* Of /proc/PID/pagemap: in memory, in swap. */
#define PAGE_HAS_BYTES (UINT64_C(3) << 62)

typedef struct {
    guint64 start, size;
} region;

typedef struct {
    guint64 start, end, inode;
    char perms[5];
    char device[32];
} mapping;

struct drv_guest_memory {
    int fd;    /* /proc/PID/mem: of this process' memory, also when its number has gone to another */
    int pages; /* /proc/PID/pagemap, likewise; or -1 */
    GArray *regions;
    guint chunks;
};

/* ---- what QEMU was told ---- */

typedef struct {
    char *id;
    guint64 bytes;
    gboolean memdev; /* a NUMA node or a module of memory names it */
} backend;

static void backend_clear(gpointer data)
{
    g_free(((backend *)data)->id);
}

/*
 * The value of @key in an option, which is JSON or key=value,...; NULL: it is not there. Inside a string of JSON a quote
 * has a backslash before it, so a key is found nowhere else. Transfer full.
 */
static char *value_of(const char *word, const char *key)
{
    g_autofree char *quoted = g_strdup_printf("\"%s\":", key);
    g_autofree char *plain = g_strdup_printf(",%s=", key);
    const char *at = strstr(word, *word == '{' ? quoted : plain);

    if (!at)
        return NULL;
    at += strlen(*word == '{' ? quoted : plain);
    at += *at == '"';
    return g_strndup(at, strcspn(at, ",\"}"));
}

static guint64 bytes_of(const char *size)
{
    static const char units[] = "kmgt";
    char *end = NULL;
    guint64 number = g_ascii_strtoull(size, &end, 10);
    const char *unit = *end ? strchr(units, g_ascii_tolower(*end)) : NULL;
    guint shift = unit ? 10 * (guint)(unit - units + 1) : 0;

    return number <= G_MAXUINT64 >> shift ? number << shift : 0;
}

static void add_backend(GArray *backends, const char *word)
{
    g_autofree char *id = value_of(word, "id");
    g_autofree char *size = value_of(word, "size");

    if (id && size && strstr(word, "memory-backend-"))
        g_array_append_val(backends, ((backend){.id = g_steal_pointer(&id), .bytes = bytes_of(size)}));
}

static void mark(GArray *backends, const char *word)
{
    g_autofree char *memdev = value_of(word, "memdev");

    for (guint i = 0; i < backends->len; i++) {
        backend *it = &g_array_index(backends, backend, i);

        it->memdev |= g_strcmp0(it->id, memdev) == 0;
    }
}

/* The size of each block of memory; NULL: this process is not that VM's QEMU. */
static GArray *blocks_of(const char *words, gsize length, const char *uuid)
{
    g_autoptr(GArray) blocks = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_autoptr(GArray) backends = g_array_new(FALSE, FALSE, sizeof(backend));
    g_autofree char *machine = NULL; /* the backend that the machine names last */
    const char *before = "";
    gboolean ours = FALSE;

    g_array_set_clear_func(backends, backend_clear);
    for (const char *word = words; word < words + length; word += strlen(word) + 1) {
        g_autofree char *named = strcmp(before, "-machine") == 0 ? value_of(word, "memory-backend") : NULL;

        if (!named && strcmp(before, "-machine") == 0 && g_str_has_prefix(word, "memory-backend="))
            named = g_strdup(word + strlen("memory-backend="));
        if (named) {
            g_free(machine);
            machine = g_steal_pointer(&named);
        }
        ours |= strcmp(before, "-uuid") == 0 && g_ascii_strcasecmp(word, uuid) == 0;
        if (strcmp(before, "-object") == 0)
            add_backend(backends, word);
        else if (strcmp(before, "-numa") == 0 || strcmp(before, "-device") == 0)
            mark(backends, word);
        before = word;
    }
    for (guint i = 0; i < backends->len; i++) {
        const backend *it = &g_array_index(backends, backend, i);

        if (it->bytes && (it->memdev || g_strcmp0(it->id, machine) == 0))
            g_array_append_val(blocks, it->bytes);
    }
    return ours ? g_steal_pointer(&blocks) : NULL;
}

/* ---- what its mappings are ---- */

static GArray *mappings_of(const char *text)
{
    GArray *mappings = g_array_new(FALSE, FALSE, sizeof(mapping));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        mapping m = {0};

        if (sscanf(lines[i], "%" SCNx64 "-%" SCNx64 " %4s %*s %31s %" SCNu64, &m.start, &m.end, m.perms, m.device,
                   &m.inode) == 5 &&
            m.end > m.start)
            g_array_append_val(mappings, m);
    }
    return mappings;
}

static gboolean follows(const mapping *m, const mapping *before)
{
    return m->start == before->end && m->inode == before->inode && strcmp(m->perms, before->perms) == 0 &&
           strcmp(m->device, before->device) == 0;
}

/* How many mappings from here on are a block of so many bytes: advice for a part of it makes several of one. 0: none. */
static guint block_at(const GArray *mappings, guint at, guint64 bytes)
{
    const mapping *first = &g_array_index(mappings, mapping, at);

    if (strncmp(first->perms, "rw-", 3) != 0)
        return 0;
    for (guint i = at; i < mappings->len; i++) {
        const mapping *m = &g_array_index(mappings, mapping, i);

        if (i > at && !follows(m, m - 1))
            return 0;
        if (m->end - first->start >= bytes)
            return m->end - first->start == bytes ? i - at + 1 : 0;
    }
    return 0;
}

static guint count_of(const GArray *blocks, guint64 bytes)
{
    guint count = 0;

    for (guint i = 0; i < blocks->len; i++)
        count += g_array_index(blocks, guint64, i) == bytes;
    return count;
}

/* Adds the places of all blocks of this size; none when there are more such places than blocks. */
static void add_regions(GArray *regions, const GArray *mappings, const GArray *blocks, guint64 bytes)
{
    guint before = regions->len, step;

    for (guint i = 0; i < mappings->len; i += MAX(step, 1)) {
        step = block_at(mappings, i, bytes);
        if (step)
            g_array_append_val(regions, ((region){g_array_index(mappings, mapping, i).start, bytes}));
    }
    if (regions->len - before > count_of(blocks, bytes))
        g_array_set_size(regions, before);
}

static GArray *regions_of(const GArray *blocks, const char *maps)
{
    GArray *regions = g_array_new(FALSE, FALSE, sizeof(region));
    g_autoptr(GArray) mappings = mappings_of(maps);

    for (guint i = 0; i < blocks->len; i++) {
        guint64 bytes = g_array_index(blocks, guint64, i);
        gboolean seen = FALSE;

        for (guint j = 0; j < i; j++)
            seen |= g_array_index(blocks, guint64, j) == bytes;
        if (!seen)
            add_regions(regions, mappings, blocks, bytes);
    }
    return regions;
}

/* ---- the process ---- */

static char *read_whole(int directory, const char *name, gsize *length)
{
    drv_autoclose int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    g_autoptr(GString) text = g_string_new(NULL);
    char part[16384];
    ssize_t got = -1;

    while (fd >= 0 && (got = read(fd, part, sizeof part)) > 0)
        g_string_append_len(text, part, got);
    if (got < 0)
        return NULL;
    *length = text->len;
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static drv_guest_memory *fail(GError **error, pid_t pid, const char *what)
{
    g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the guest's memory cannot be read in process %d: %s", pid, what);
    return NULL;
}

drv_guest_memory *drv_hyper_memory_open_process(pid_t pid, const char *uuid, GError **error)
{
    g_autoptr(drv_guest_memory) memory = g_new0(drv_guest_memory, 1);
    g_autofree char *path = g_strdup_printf("/proc/%d", pid);
    drv_autoclose int process = open(path, O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GArray) blocks = NULL;
    g_autofree char *words = NULL;
    g_autofree char *maps = NULL;
    gsize words_length = 0, maps_length = 0;

    memory->fd = memory->pages = -1;
    if (process < 0 || !(words = read_whole(process, "cmdline", &words_length)))
        return fail(error, pid, "it is gone");
    blocks = blocks_of(words, words_length, uuid);
    if (!blocks)
        return fail(error, pid, "it is not this VM's QEMU");
    memory->fd = openat(process, "mem", O_RDONLY | O_CLOEXEC);
    if (memory->fd < 0 || !(maps = read_whole(process, "maps", &maps_length)))
        return fail(error, pid, g_strerror(errno));
    if (sysconf(_SC_PAGESIZE) == PAGE)
        memory->pages = openat(process, "pagemap", O_RDONLY | O_CLOEXEC);
    memory->regions = regions_of(blocks, maps);
    for (guint i = 0; i < memory->regions->len; i++)
        memory->chunks += (guint)(g_array_index(memory->regions, region, i).size / DRV_PEEK_BYTES);
    if (!memory->chunks)
        return fail(error, pid, "its mappings do not show which memory is the guest's");
    return g_steal_pointer(&memory);
}

drv_guest_memory *drv_hyper_memory_open(const char *name, const char *uuid, GError **error)
{
    g_autofree char *path = g_strdup_printf(PID_FILE, name);
    g_autofree char *text = NULL;
    gint64 pid = 0;

    if (!strchr(name, '/') && g_file_get_contents(path, &text, NULL, NULL))
        pid = g_ascii_strtoll(text, NULL, 10);
    if (pid <= 1 || pid > G_MAXINT32) {
        g_set_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND, "libvirt has no process for VM %s in %s", name, path);
        return NULL;
    }
    return drv_hyper_memory_open_process((pid_t)pid, uuid, error);
}

void drv_hyper_memory_free(drv_guest_memory *memory)
{
    if (!memory)
        return;
    if (memory->fd >= 0)
        close(memory->fd);
    if (memory->pages >= 0)
        close(memory->pages);
    if (memory->regions)
        g_array_unref(memory->regions);
    g_free(memory);
}

guint drv_hyper_memory_chunks(const drv_guest_memory *memory)
{
    return memory->chunks;
}

static gboolean read_bytes(const drv_guest_memory *memory, guint64 from, guint8 *bytes, gsize size, GError **error)
{
    for (gsize done = 0; done < size;) {
        ssize_t got = pread(memory->fd, bytes + done, size - done, (off_t)(from + done));

        if (got <= 0) {
            g_set_error(error, DRV_ERROR, DRV_ERROR_FAILED, "the guest's memory cannot be read: %s",
                        got < 0 ? g_strerror(errno) : "its process has ended");
            return FALSE;
        }
        done += (gsize)got;
    }
    return TRUE;
}

gboolean drv_hyper_memory_read(const drv_guest_memory *memory, guint chunk, guint8 *bytes, GError **error)
{
    const region *r = &g_array_index(memory->regions, region, 0);
    guint64 pages[DRV_PEEK_BYTES / PAGE], from;

    g_return_val_if_fail(chunk < memory->chunks, FALSE);
    for (; chunk >= r->size / DRV_PEEK_BYTES; r++)
        chunk -= (guint)(r->size / DRV_PEEK_BYTES);
    from = r->start + (guint64)chunk * DRV_PEEK_BYTES;
    if (memory->pages < 0 ||
        pread(memory->pages, pages, sizeof pages, (off_t)(from / PAGE * sizeof *pages)) != sizeof pages)
        return read_bytes(memory, from, bytes, DRV_PEEK_BYTES, error);
    /* To read what was never touched would take memory for it, where it is shared or in huge pages. */
    for (gsize i = 0, count; i < G_N_ELEMENTS(pages); i += count) {
        gboolean has = (pages[i] & PAGE_HAS_BYTES) != 0;

        for (count = 1; i + count < G_N_ELEMENTS(pages) && ((pages[i + count] & PAGE_HAS_BYTES) != 0) == has; count++)
            ;
        if (!has)
            memset(bytes + i * PAGE, 0, count * PAGE);
        else if (!read_bytes(memory, from + i * PAGE, bytes + i * PAGE, count * PAGE, error))
            return FALSE;
    }
    return TRUE;
}
