/* SPDX-License-Identifier: Apache-2.0 */
/* Why a migration was rolled back: the first cause alone, and what to do. */
#include <string.h>

#include "move/first-cause.h"

typedef struct {
    drv_cause cause;
    const char *call; /* what libvirt's call returned, or NULL */
    drv_error_code code;
    const char *says;
    const char *remedy;
} row;

static const char *const causes[] = {"shut off at h1", "would not converge", "connection with h2 is lost", "relay died",
                                     "said last",      "QEMU says no",       "droverd was restarted"};

static void test_first_alone(void)
{
    /* Each has all consequences that it can have. */
    static const row rows[] = {
        {{.shut_off = TRUE, .link_lost = TRUE, .relay_dead = TRUE, .relay_error = "x"},
         "QEMU says no",
         DRV_ERROR_FAILED,
         "shut off at h1",
         "virsh start web1"},
        {{.gave_up = "it writes faster than the link", .relay_error = ""},
         "QEMU says no",
         DRV_ERROR_FAILED,
         "would not converge",
         "--max-pause"},
        {{.link_lost = TRUE, .relay_dead = TRUE, .relay_error = "no answer for 5 s", .qemu_words = "said last"},
         "QEMU says no",
         DRV_ERROR_UNREACHABLE,
         "connection with h2 is lost",
         "Migrate it again when"},
        {{.relay_dead = TRUE, .relay_error = ""}, "QEMU says no", DRV_ERROR_FAILED, "relay died", "journalctl -k"},
        {{.relay_error = "", .qemu_words = "Assertion `0' failed."},
         "QEMU says no",
         DRV_ERROR_CONFLICT,
         "said last",
         "migrate it again"},
        {{.relay_error = ""}, "QEMU says no", DRV_ERROR_CONFLICT, "QEMU says no", "/var/log/libvirt/qemu/web1.log"},
        {{.relay_error = ""}, NULL, DRV_ERROR_FAILED, "droverd was restarted", "Migrate it again"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) call = rows[i].call ? g_error_new_literal(DRV_ERROR, DRV_ERROR_CONFLICT, rows[i].call) : NULL;
        drv_cause cause = rows[i].cause;
        g_autofree char *text = NULL;
        int code = -1;

        cause.vm = "web1";
        cause.source = "h1";
        cause.target = "h2";
        cause.call_error = call;
        text = drv_cause_text(&cause, &code);
        g_test_message("%s", text);
        g_assert_cmpint(code, ==, (int)rows[i].code);
        g_assert_nonnull(strstr(text, rows[i].says));
        g_assert_nonnull(strstr(text, rows[i].remedy));
        for (gsize j = 0; j < G_N_ELEMENTS(causes); j++)
            /* What libvirt said goes with what QEMU said: it is the same trouble. */
            if (!g_str_equal(causes[j], rows[i].says) && !(rows[i].cause.qemu_words && j == 5))
                g_assert_null(strstr(text, causes[j]));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run/cause/first-alone", test_first_alone);
    return g_test_run();
}
