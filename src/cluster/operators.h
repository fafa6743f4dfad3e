/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators' certificates. They are good for a day; where the authority's key is, whoever runs a
 * command renews his before he uses it (/etc/drover/operator.crt). The key stays, and it is the key that is
 * revoked, with all certificates that it had.
 */
#pragma once

#include "cluster/cluster.h"

/** drv_operator_fingerprint() - of the key of the certificate in a PEM file: what is revoked. Transfer full. */
char *drv_operator_fingerprint(const char *file, GError **error);

/** drv_operators_revoke() - DELETE /v1/operators/FINGERPRINT. Return: an empty object. */
json_object *drv_operators_revoke(drv_cluster *cluster, const char *fingerprint, GError **error);
