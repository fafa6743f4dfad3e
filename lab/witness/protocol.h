/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the witness guest and its client must agree on; docs/lab.rst describes it.
 * Requests and answers are lines of text, the same over UDP and TCP:
 *
 *   ping SEQ   ->  pong SEQ NUMBER NONCE CLOCK_NS ACKNOWLEDGED
 *   status     ->  status NAME=VALUE ...
 *   verify     ->  verify TICKET     (done when status says verify_..._done >= TICKET)
 */
#pragma once

enum { WITNESS_PORT = 7000, WITNESS_MAX_LINE = 1400 };
