/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of busy processors a session of processes gets. Linux may share them out by session (autogroups),
 * so that a process with all its threads, in a session of its own, gets no more than any other. What works for a
 * migration does so for one VM, for a short time, and never faster than its link: it gets three shares, as nice -5
 * does. Without autogroups, or in a control group of its own, this changes nothing.
 */
#pragma once

/** drv_shares_raise() - of the calling process' session, after setsid(). Safe between fork and exec; as root. */
void drv_shares_raise(void);
