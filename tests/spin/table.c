/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what the model takes over from the program: the states with their allowed moves
 * (src/move/state.c) and the verdict for every combination of facts (src/move/outcome.c).
 * So the model cannot disagree with the tables: it has no copy of them.
 */
#include <stdbool.h>
#include <stdio.h>

#include "move/outcome.h"
#include "move/state.h"

static void print_name(const char *prefix, const char *name)
{
    printf("#define %s_", prefix);
    for (; *name; name++)
        putchar(*name == '-' || *name == ' ' ? '_' : *name);
}

static void print_states(void)
{
    for (guint state = 0; state < DRV_STATES; state++) {
        print_name("ST", drv_state_get(state)->name);
        printf(" %u\n", state);
    }
    puts("\n/* Bits of the states that may follow. */\n#define ALLOWED(s) \\");
    for (guint from = 0; from < DRV_STATES; from++)
        printf("    ((s) == %u -> %u : \\\n", from, drv_state_get(from)->next);
    printf("    0");
    for (guint from = 0; from < DRV_STATES; from++)
        putchar(')');
    puts("\n\ninline enter(to) {\n"
         "    assert(state == to || ((ALLOWED(state) >> to) & 1));\n"
         "    state = to\n"
         "}\n");
    puts("#define STATE_ENDED(s) ( \\");
    for (guint state = 0; state < DRV_STATES; state++)
        if (drv_state_get(state)->ended)
            printf("    (s) == %u || \\\n", state);
    puts("    false)\n");
}

/* What waits is left to the end of the expression. Return: whether one was printed. */
static bool print_verdict(guint source, guint target, guint bits)
{
    drv_settle_facts facts = {.source = source,
                              .target = target,
                              .was_running = TRUE,
                              .resumed = bits & 1,
                              .finish_ok = (bits & 2) != 0,
                              .steady = (bits & 4) != 0,
                              .source_split = (bits & 8) != 0,
                              .source_broken = (bits & 16) != 0,
                              .target_split = (bits & 32) != 0};
    drv_verdict verdict = drv_settle_decide(&facts);

    /* Only a paused source and a running target can be halves of a post-copy (finish.c). */
    if ((facts.source_split && source != DRV_PRESENCE_PAUSED) || (facts.source_broken && !facts.source_split) ||
        (facts.target_split && target != DRV_PRESENCE_RUNNING) || verdict == DRV_VERDICT_WAIT)
        return false;
    printf("    ((facts) == %u -> %u : \\\n", (source * 5 + target) * 64 + bits, verdict);
    return true;
}

static void print_verdicts(void)
{
    guint printed = 0;

    static const char *const names[] = {
        [DRV_VERDICT_DONE] = "done", [DRV_VERDICT_ROLL_BACK] = "roll_back", [DRV_VERDICT_COMPLETE] = "complete",
        [DRV_VERDICT_WAIT] = "wait", [DRV_VERDICT_ATTENTION] = "attention", [DRV_VERDICT_RECOVER] = "recover",
    };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        printf("#define VERDICT_%s %u\n", names[i], i);
    for (guint i = 0; i <= DRV_PRESENCE_UNKNOWN; i++) {
        print_name("IS", drv_presence_name((drv_presence)i));
        printf(" %u\n", i);
    }
    puts("\n/* The VM ran before the move, as it does in the model. */\n"
         "#define FACTS(s, t, ran, delivered, steady, half, broken, lacks) \\\n"
         "    (((s) * 5 + (t)) * 64 + (ran) + (delivered) * 2 + (steady) * 4 + (half) * 8 + \\\n"
         "     (broken) * 16 + (lacks) * 32)\n"
         "#define SETTLE(facts) \\");
    for (guint source = 0; source <= DRV_PRESENCE_UNKNOWN; source++)
        for (guint target = 0; target <= DRV_PRESENCE_UNKNOWN; target++)
            for (guint bits = 0; bits < 64; bits++)
                printed += print_verdict(source, target, bits);
    printf("    %u", DRV_VERDICT_WAIT);
    while (printed--)
        putchar(')');
    putchar('\n');
}

int main(void)
{
    puts("/* Made by tests/spin/table.c from src/move/state.c and src/move/outcome.c. */");
    print_states();
    print_verdicts();
    return 0;
}
