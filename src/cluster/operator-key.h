/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's certificate of this host. */
#pragma once

#include <glib.h>

/**
 * drv_operator_ready() - see to it that there is an operator's certificate in @etc_dir that is good for
 * some hours more: renew it if the authority's key is there too. Any process.
 * Return: whether there is one that can be used; no error otherwise, there need not be one.
 */
gboolean drv_operator_ready(const char *etc_dir);
