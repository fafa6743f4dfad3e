/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions as people read them. */
#pragma once

#include "cli/cli.h"

/**
 * drv_predicted_print() - of a plan's step: three lines and the verdict; nothing without one.
 * @predicted: the PREDICTION of docs/rest.rst, or NULL
 */
void drv_predicted_print(FILE *out, json_object *predicted);

/** drv_predicted_beside() - of a report: what had been said. Transfer full; NULL: nothing. */
char *drv_predicted_beside(json_object *report);
