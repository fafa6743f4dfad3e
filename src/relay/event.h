/* SPDX-License-Identifier: Apache-2.0 */
/* Events between threads. */
#pragma once

/** drv_event_raise() - make an eventfd readable. */
void drv_event_raise(int event);

/** drv_event_clear() - until it is raised again. */
void drv_event_clear(int event);
