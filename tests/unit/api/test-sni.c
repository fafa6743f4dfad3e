/* SPDX-License-Identifier: Apache-2.0 */
/* ClientHellos as real clients send them, cut at every byte, bent at every byte. */
#include <glib.h>
#include <signal.h>
#include <string.h>

#include "api/sni.h"

#define SESSION "0123456789abcdef0123456789abcdef.relay.drover"

static const struct {
    const char *file;
    const char *name;
} hellos[] = {
    {"openssl", "h1.drover"}, {"openssl-no-name", ""}, {"openssl-tls12", "h1.drover"}, {"gnutls-relay", SESSION},
    {"gnutls-psk", SESSION},  {"curl", "h2.drover"},   {"python", "h3.drover"},        {"three-records", SESSION},
};

static guint8 *load(const char *file, gsize *size)
{
    g_autofree char *path = g_build_filename(g_getenv("SNI_CORPUS"), file, NULL);
    char *bytes = NULL;

    g_assert_true(g_file_get_contents(path, &bytes, size, NULL));
    return (guint8 *)bytes;
}

/* A copy that ends where a sanitizer notices one byte too many. */
static enum drv_sni_result parse_exactly(const guint8 *bytes, gsize size, char *name)
{
    g_autofree guint8 *copy = g_memdup2(bytes, size);

    return drv_sni_parse(copy, size, name);
}

static void test_whole_and_cut(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(hellos); i++) {
        char name[DRV_SNI_NAME_MOST + 1];
        gsize size;
        g_autofree guint8 *bytes = load(hellos[i].file, &size);

        g_assert_cmpint(parse_exactly(bytes, size, name), ==, DRV_SNI_FOUND);
        g_assert_cmpstr(name, ==, hellos[i].name);
        for (gsize cut = 0; cut < size; cut++)
            g_assert_cmpint(parse_exactly(bytes, cut, name), ==, DRV_SNI_MORE);
    }
}

/* Whatever one byte becomes: an answer, and never a name that could not be one. */
static void test_bent(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(hellos); i++) {
        gsize size;
        g_autofree guint8 *bytes = load(hellos[i].file, &size);

        for (gsize at = 0; at < size; at++) {
            static const guint8 values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

            for (guint v = 0; v < G_N_ELEMENTS(values); v++) {
                g_autofree guint8 *copy = g_memdup2(bytes, size);
                char name[DRV_SNI_NAME_MOST + 1];

                copy[at] = values[v];
                if (drv_sni_parse(copy, size, name) == DRV_SNI_FOUND)
                    g_assert_cmpuint(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-._"), ==, strlen(name));
            }
        }
    }
}

static void test_garbage(void)
{
    static const char *const files[] = {"http", "ssh"};
    char name[DRV_SNI_NAME_MOST + 1];
    guint8 zeros[DRV_SNI_MOST_BYTES] = {0};

    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        gsize size;
        g_autofree guint8 *bytes = load(files[i], &size);

        g_assert_cmpint(parse_exactly(bytes, size, name), ==, DRV_SNI_BAD);
        g_assert_cmpint(parse_exactly(bytes, 1, name), ==, DRV_SNI_BAD);
    }
    g_assert_cmpint(drv_sni_parse(zeros, sizeof zeros, name), ==, DRV_SNI_BAD);
    /* The beginning of a record that would be endless is not waited for for ever. */
    memcpy(zeros, "\x16\x03\x01\x40\x00\x01\x00\x3f\xf0", 9);
    g_assert_cmpint(drv_sni_parse(zeros, 9, name), ==, DRV_SNI_MORE);
    g_assert_cmpint(drv_sni_parse(zeros, sizeof zeros, name), ==, DRV_SNI_BAD);
    memcpy(zeros, "\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9); /* a message of 16 MiB */
    g_assert_cmpint(drv_sni_parse(zeros, 9, name), ==, DRV_SNI_BAD);
    memcpy(zeros, "\x16\x03\x01\x00\x00", 5); /* an empty record */
    g_assert_cmpint(drv_sni_parse(zeros, 5, name), ==, DRV_SNI_BAD);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    g_test_add_func("/sni/whole-and-cut", test_whole_and_cut);
    g_test_add_func("/sni/bent", test_bent);
    g_test_add_func("/sni/garbage", test_garbage);
    return g_test_run();
}
