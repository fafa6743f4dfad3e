/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a guest's memory: of a process that looks like a QEMU, which is this program run again. */
#include "hyper/memory.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hyper/gerror.h"

#define UUID "f09ca627-4ede-4213-b80d-82d1bc69fcce"
#define OTHER "f09ca627-4ede-4213-b80d-82d1bc69fccf"
#define ODD_BYTES ((gsize)(37 * 65536 + 8192)) /* no other mapping has just so many */
#define TWO_BYTES ((gsize)(53 * 65536))
#define SHARED_BYTES ((gsize)(41 * 65536))
#define BACKEND(id, size)                                                                                              \
    "-object", "{\"qom-type\":\"memory-backend-ram\",\"id\":\"" id "\",\"size\":" G_STRINGIFY(size) "}"
#define MACHINE(id) "-machine", "pc-q35-7.2,usb=off,memory-backend=" id
#define ODD BACKEND("pc.ram", 2433024)

static char *program;

/* ---- the process ---- */

/* Memory with nothing beside it, as QEMU has it. Each page has its number in it, from @first on. */
static guint8 *make(gsize bytes, int protection, guint first)
{
    guint8 *all = mmap(NULL, bytes + 2 * 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    guint8 *memory = all + 65536;

    g_assert_true(all != MAP_FAILED);
    g_assert_cmpint(mprotect(memory, bytes, PROT_READ | PROT_WRITE), ==, 0);
    for (gsize at = 0; at < bytes; at += 4096)
        memory[at] = (guint8)(first + at / 4096);
    g_assert_cmpint(mprotect(memory, bytes, protection), ==, 0);
    return memory;
}

/* Of a file in memory, as a backend for vhost-user is: one page in its second piece is touched. */
static void share(void)
{
    int fd = memfd_create("backend", MFD_CLOEXEC);
    guint8 *memory;

    g_assert_cmpint(ftruncate(fd, (off_t)SHARED_BYTES), ==, 0);
    memory = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(memory != MAP_FAILED);
    memory[65536 + 3 * 4096] = 77;
}

static int child(void)
{
    guint8 *split = make(ODD_BYTES, PROT_READ | PROT_WRITE, 1);

    madvise(split + 65536, 65536, MADV_DONTDUMP); /* three mappings of one block */
    make(TWO_BYTES, PROT_READ | PROT_WRITE, 101);
    make(TWO_BYTES, PROT_READ | PROT_WRITE, 101);
    make(TWO_BYTES, PROT_READ, 0);
    share();
    if (write(STDOUT_FILENO, "", 1) != 1)
        return 1;
    for (;;)
        pause();
}

typedef struct {
    GPid pid;
} process;

static process start(const char *uuid, const char *const *words)
{
    process it = {0};
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    int out = -1;
    char ready;

    g_ptr_array_add(argv, program);
    g_ptr_array_add(argv, (char *)"-uuid");
    g_ptr_array_add(argv, (char *)uuid);
    for (; *words; words++)
        g_ptr_array_add(argv, (char *)*words);
    g_ptr_array_add(argv, NULL);
    g_spawn_async_with_pipes(NULL, (char **)argv->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &it.pid, NULL,
                             &out, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(read(out, &ready, 1), ==, 1);
    close(out);
    return it;
}

static void stop(process *it)
{
    kill(it->pid, SIGKILL);
    waitpid(it->pid, NULL, 0);
    g_spawn_close_pid(it->pid);
}

/* ---- cases ---- */

static void check_bytes(const drv_guest_memory *memory, guint chunk, guint first)
{
    guint8 bytes[DRV_PEEK_BYTES];
    g_autoptr(GError) error = NULL;

    g_assert_true(drv_hyper_memory_read(memory, chunk, bytes, &error));
    g_assert_no_error(error);
    for (guint page = 0; page < DRV_PEEK_BYTES / 4096; page++)
        g_assert_cmpuint(bytes[page * 4096], ==, (guint8)(first + page));
}

static void test_blocks(void)
{
    process it =
        start(UUID, (const char *const[]){ODD, BACKEND("n0", 3473408), MACHINE("pc.ram"), BACKEND("n1", 3473408),
                                          "-numa", "node,nodeid=0,memdev=n0", "-device",
                                          "{\"driver\":\"pc-dimm\",\"memdev\":\"n1\",\"id\":\"dimm0\"}", NULL});
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_guest_memory) memory = drv_hyper_memory_open_process(it.pid, UUID, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(drv_hyper_memory_chunks(memory), ==, 37 + 2 * 53);
    check_bytes(memory, 0, 1);
    check_bytes(memory, 1, 17);
    check_bytes(memory, 36, 1 + 36 * 16);
    check_bytes(memory, 37, 101);
    check_bytes(memory, 37 + 53, 101);
    check_bytes(memory, 37 + 2 * 53 - 1, 101 + 52 * 16);
    stop(&it);
}

/* In units of 512 bytes: what the file of shared memory takes. */
static gint64 taken(GPid pid)
{
    g_autofree char *directory = g_strdup_printf("/proc/%d/fd", pid);
    g_autoptr(GDir) all = g_dir_open(directory, 0, NULL);
    gint64 blocks = -1;
    const char *name;

    while ((name = g_dir_read_name(all))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autofree char *to = g_file_read_link(path, NULL);
        struct stat info;

        if (to && g_str_has_prefix(to, "/memfd:backend") && stat(path, &info) == 0)
            blocks = info.st_blocks;
    }
    return blocks;
}

/* What was never touched reads as zeros, and takes no memory after it either. */
static void test_untouched(void)
{
    process it = start(UUID, (const char *const[]){BACKEND("pc.ram", 2686976), MACHINE("pc.ram"), NULL});
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_guest_memory) memory = drv_hyper_memory_open_process(it.pid, UUID, &error);
    gint64 before = taken(it.pid);
    guint8 bytes[DRV_PEEK_BYTES];

    g_assert_no_error(error);
    g_assert_cmpuint(drv_hyper_memory_chunks(memory), ==, 41);
    g_assert_cmpint(before, ==, 8);
    for (guint chunk = 0; chunk < 41; chunk++) {
        g_assert_true(drv_hyper_memory_read(memory, chunk, bytes, &error));
        for (gsize at = 0; at < sizeof bytes; at++)
            g_assert_cmpuint(bytes[at], ==, chunk == 1 && at == 3 * 4096 ? 77 : 0);
    }
    g_assert_cmpint(taken(it.pid), ==, before);
    stop(&it);
}

static void test_machine_says_last(void)
{
    process it = start(UUID, (const char *const[]){BACKEND("pc.ram", 3473408), MACHINE("pc.ram"), "-object",
                                                   "memory-backend-file,id=own.ram,mem-path=/x,size=2376K,share=on",
                                                   "-machine", "memory-backend=own.ram", NULL});
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_guest_memory) memory = drv_hyper_memory_open_process(it.pid, UUID, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(drv_hyper_memory_chunks(memory), ==, 37);
    stop(&it);
}

static void test_nothing_is_guessed(void)
{
    process it = start(UUID, (const char *const[]){BACKEND("pc.ram", 3473408), MACHINE("pc.ram"), NULL});
    g_autoptr(GError) error = NULL;

    /* Two mappings have the size of the one block: which is the guest's? */
    g_assert_null(drv_hyper_memory_open_process(it.pid, UUID, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "do not show which memory"));
    stop(&it);
}

static void test_another_process(void)
{
    process it = start(UUID, (const char *const[]){ODD, MACHINE("pc.ram"), NULL});
    g_autoptr(GError) error = NULL;

    g_assert_null(drv_hyper_memory_open_process(it.pid, OTHER, &error));
    g_assert_nonnull(strstr(error->message, "is not this VM's QEMU"));
    stop(&it);
    g_clear_error(&error);
    g_assert_null(drv_hyper_memory_open_process(it.pid, UUID, &error));
    g_assert_nonnull(strstr(error->message, "it is gone"));
    g_clear_error(&error);
    g_assert_null(drv_hyper_memory_open("../../etc/x", UUID, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_NOT_FOUND);
}

static void test_it_ends(void)
{
    process it = start(UUID, (const char *const[]){ODD, MACHINE("pc.ram"), NULL});
    g_autoptr(GError) error = NULL;
    g_autoptr(drv_guest_memory) memory = drv_hyper_memory_open_process(it.pid, UUID, &error);
    guint8 bytes[DRV_PEEK_BYTES];

    g_assert_no_error(error);
    stop(&it);
    g_assert_false(drv_hyper_memory_read(memory, 3, bytes, &error));
    g_assert_error(error, DRV_ERROR, DRV_ERROR_FAILED);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "-uuid") == 0)
        return child();
    program = argv[0];
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/untouched", test_untouched);
    g_test_add_func("/memory/blocks", test_blocks);
    g_test_add_func("/memory/the-machine-says-it-last", test_machine_says_last);
    g_test_add_func("/memory/nothing-is-guessed", test_nothing_is_guessed);
    g_test_add_func("/memory/another-process", test_another_process);
    g_test_add_func("/memory/it-ends", test_it_ends);
    return g_test_run();
}
