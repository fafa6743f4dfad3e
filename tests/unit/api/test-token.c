/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: there and back, and everything that is not one. */
#include <glib.h>
#include <signal.h>
#include <string.h>

#include "cluster/token.h"

#define FINGERPRINT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_round_trip(void)
{
    for (int i = 0; i < 100; i++) {
        drv_token token = {0}, again = {0};
        g_autofree char *text = NULL;
        g_autofree char *spaced = NULL;
        g_autofree char *hash = NULL;

        g_assert_true(drv_token_new(&token, FINGERPRINT, NULL));
        text = drv_token_text(&token);
        spaced = g_strdup_printf("  %s\n", text);
        g_assert_true(drv_token_parse(&again, spaced, NULL));
        g_assert_cmpmem(&token, sizeof token, &again, sizeof again);
        hash = drv_token_hash(&token);
        g_assert_true(drv_token_matches(&again, hash));
        again.secret[5] = again.secret[5] == 'A' ? 'B' : 'A';
        g_assert_false(drv_token_matches(&again, hash));
        g_assert_false(drv_token_matches(&token, ""));
        g_assert_null(strstr(hash, token.secret));
    }
}

/* Every single character matters: nothing else spells the same token. */
static void test_bent(void)
{
    drv_token token;
    g_autofree char *text = NULL;

    g_assert_true(drv_token_new(&token, FINGERPRINT, NULL));
    text = drv_token_text(&token);
    for (gsize at = 0; text[at]; at++) {
        for (const char *c = "Az0-_.=+/ \x01\xff"; *c; c++) {
            g_autofree char *bent = g_strdup(text);
            drv_token other;

            if (bent[at] == *c || (at == strlen(text) - 1 && *c == ' '))
                continue;
            bent[at] = *c;
            if (drv_token_parse(&other, bent, NULL)) {
                g_autofree char *spelled = drv_token_text(&other);

                g_assert_cmpstr(spelled, ==, bent);
            }
        }
    }
}

static void test_garbage(void)
{
    g_autofree char *endless = g_strnfill(100000, 'A');
    g_autofree char *dots = g_strnfill(500, '.');
    /* clang-format off */
    const char *const texts[] = {
        "", " ", ".", "...", "drover1", "drover1...", "drover2.0123456789abcdef.x.y", endless, dots,
        "drover1.0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA."
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.more",
        "drover1.0123456789abcdeg.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA."
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "drover1.0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA."
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    /* clang-format on */

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        drv_token token;

        g_assert_false(drv_token_parse(&token, texts[i], &error));
        g_assert_error(error, DRV_ERROR, DRV_ERROR_INVALID);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as the programs do */
    g_test_add_func("/token/round-trip", test_round_trip);
    g_test_add_func("/token/bent", test_bent);
    g_test_add_func("/token/garbage", test_garbage);
    return g_test_run();
}
