/* SPDX-License-Identifier: Apache-2.0 */
/* src/base: errors, the cursor, hexadecimal, descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/sanitized.h"
#include "base/secrets.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/hex.h"

static void error_says_what_and_returns_negative(void)
{
    struct drv_error err;

    g_assert_cmpint(drv_error_set(&err, ENOENT, "no %s", "thing"), ==, -ENOENT);
    g_assert_cmpint(err.code, ==, ENOENT);
    g_assert_cmpstr(err.message, ==, "no thing");
    drv_error_prefix(&err, "web%d", 1);
    g_assert_cmpstr(err.message, ==, "web1: no thing");
    g_assert_cmpint(drv_error_set(NULL, EIO, "nobody listens"), ==, -EIO);
    drv_error_prefix(NULL, "nobody listens");
}

static void error_cuts_what_is_too_long(void)
{
    g_autofree char *text = g_strnfill(2000, 'x');
    struct drv_error err;

    (void)drv_error_set(&err, EIO, "%s", text);
    g_assert_cmpuint(strlen(err.message), ==, sizeof err.message - 1);
    drv_error_prefix(&err, "where");
    g_assert_cmpuint(strlen(err.message), ==, sizeof err.message - 1);
    g_assert_true(g_str_has_prefix(err.message, "where: xxx"));
    drv_error_prefix(&err, "%s", text);
    g_assert_cmpuint(strlen(err.message), ==, sizeof err.message - 1);
    g_assert_true(g_str_has_prefix(err.message, "xxx"));
}

static void cursor_writes_and_reads_big_endian(void)
{
    static const uint8_t expected[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09,
                                       0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 'h',  'i'};
    uint8_t bytes[sizeof expected];
    struct drv_writer writer = drv_writer_over(bytes, sizeof bytes);
    struct drv_reader reader = drv_reader_over(bytes, sizeof bytes);

    drv_write_u8(&writer, 0x01);
    drv_write_u16(&writer, 0x0203);
    drv_write_u32(&writer, 0x04050607);
    drv_write_u64(&writer, 0x08090a0b0c0d0e0f);
    drv_write_bytes(&writer, "hi", 2);
    g_assert_false(writer.bad);
    g_assert_cmpmem(bytes, drv_writer_used(&writer), expected, sizeof expected);

    g_assert_cmpuint(drv_read_u8(&reader), ==, 0x01);
    g_assert_cmpuint(drv_read_u16(&reader), ==, 0x0203);
    g_assert_cmpuint(drv_read_u32(&reader), ==, 0x04050607);
    g_assert_cmpuint(drv_read_u64(&reader), ==, 0x08090a0b0c0d0e0f);
    g_assert_cmpmem(drv_read_bytes(&reader, 2), 2, "hi", 2);
    g_assert_false(reader.bad);
    g_assert_cmpuint(drv_reader_left(&reader), ==, 0);
}

static void cursor_stays_bad(void)
{
    uint8_t bytes[3] = {1, 2, 3};
    struct drv_reader reader = drv_reader_over(bytes, sizeof bytes);
    struct drv_writer writer = drv_writer_over(bytes, sizeof bytes);

    g_assert_cmpuint(drv_read_u32(&reader), ==, 0);
    g_assert_true(reader.bad);
    g_assert_cmpuint(drv_read_u8(&reader), ==, 0);
    g_assert_null(drv_read_bytes(&reader, SIZE_MAX));

    drv_write_u32(&writer, 7);
    g_assert_true(writer.bad);
    drv_write_u8(&writer, 9);
    g_assert_cmpuint(drv_writer_used(&writer), ==, 0);
    g_assert_cmpuint(bytes[0], ==, 1);
}

static void hex_round_trip(void)
{
    static const uint8_t bytes[] = {0x00, 0x7f, 0x80, 0xff, 0x1a};
    uint8_t back[sizeof bytes];
    char text[2 * sizeof bytes + 1];
    struct drv_error err;

    drv_hex_encode(text, bytes, sizeof bytes);
    g_assert_cmpstr(text, ==, "007f80ff1a");
    g_assert_cmpint(drv_hex_decode(back, sizeof back, "007F80fF1a", &err), ==, 0);
    g_assert_cmpmem(back, sizeof back, bytes, sizeof bytes);
    g_assert_cmpint(drv_hex_decode(back, sizeof back, "007f80ff1", &err), ==, -EINVAL);
    g_assert_cmpint(drv_hex_decode(back, sizeof back, "007f80ff1g", &err), ==, -EINVAL);
    g_assert_cmpint(drv_hex_decode(back, sizeof back, "007f80ff1a00", &err), ==, -EINVAL);
}

static void fd_hands_descriptors_over(void)
{
    int ends[2], pipe_ends[2], got = -1;
    char byte = 0;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), ==, 0);
    g_assert_cmpint(pipe(pipe_ends), ==, 0);
    g_assert_cmpint(drv_fd_send(ends[0], "x", 1, pipe_ends[1], NULL), ==, 0);
    g_assert_cmpint(drv_fd_send(ends[0], "y", 1, -1, NULL), ==, 0);
    g_assert_cmpint(drv_fd_receive(ends[1], &byte, 1, &got, NULL), ==, 1);
    g_assert_cmpint(byte, ==, 'x');
    g_assert_cmpint(got, >=, 0);
    g_assert_cmpint(fcntl(got, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    close(pipe_ends[1]);
    g_assert_cmpint(drv_fd_write_all(got, "z", 1, NULL), ==, 0);
    g_assert_cmpint(read(pipe_ends[0], &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, 'z');
    close(got);
    g_assert_cmpint(drv_fd_receive(ends[1], &byte, 1, &got, NULL), ==, 1);
    g_assert_cmpint(got, ==, -1);
    close(ends[0]);
    g_assert_cmpint(drv_fd_receive(ends[1], &byte, 1, &got, NULL), ==, 0);
    close(ends[1]);
    close(pipe_ends[0]);
}

static void fd_unix_sockets(void)
{
    g_autofree char *directory = g_dir_make_tmp("drover-base-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "a.sock", NULL);
    g_autofree char *too_long = g_strnfill(200, 'p');
    struct drv_error err;
    int listener, fd;

    g_assert_cmpint(drv_fd_unix_connect(path, SOCK_STREAM, &err), ==, -ENOENT);
    g_assert_nonnull(strstr(err.message, path));
    listener = drv_fd_unix_listen(path, SOCK_STREAM, &err);
    g_assert_cmpint(listener, >=, 0);
    fd = drv_fd_unix_connect(path, SOCK_STREAM, &err);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(drv_fd_unix_listen(path, SOCK_STREAM, &err), ==, -EADDRINUSE);
    g_assert_cmpint(drv_fd_unix_listen(too_long, SOCK_STREAM, &err), ==, -ENAMETOOLONG);
    close(fd);
    close(listener);
    g_unlink(path);
    g_rmdir(directory);
}

static void clock_does_not_go_back(void)
{
    int64_t before_us = drv_clock_us();

    g_assert_cmpint(drv_clock_us(), >=, before_us);
    g_assert_cmpint(drv_clock_ms(), >=, before_us / 1000);
    g_assert_cmpint(drv_clock_real_ms(), >, INT64_C(1600000000000));
}

static void secrets_are_not_dumped(void)
{
    int how = 0;
    pid_t child = fork();

    if (child == 0) {
        struct rlimit limit;

        drv_no_dumps();
        _exit(getrlimit(RLIMIT_CORE, &limit) == 0 && !limit.rlim_cur && !limit.rlim_max &&
                      (DRV_SANITIZED || prctl(PR_GET_DUMPABLE) == 0)
                  ? 0
                  : 1);
    }
    g_assert_cmpint(waitpid(child, &how, 0), ==, child);
    g_assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/says-what", error_says_what_and_returns_negative);
    g_test_add_func("/error/cuts", error_cuts_what_is_too_long);
    g_test_add_func("/cursor/big-endian", cursor_writes_and_reads_big_endian);
    g_test_add_func("/cursor/stays-bad", cursor_stays_bad);
    g_test_add_func("/hex/round-trip", hex_round_trip);
    g_test_add_func("/fd/hand-over", fd_hands_descriptors_over);
    g_test_add_func("/fd/unix", fd_unix_sockets);
    g_test_add_func("/clock/monotonic", clock_does_not_go_back);
    g_test_add_func("/secrets/not-dumped", secrets_are_not_dumped);
    return g_test_run();
}
