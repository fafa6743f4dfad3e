# SPDX-License-Identifier: Apache-2.0
"""The one exception that ends a command with a message, a remedy and exit code 1."""


class LabError(Exception):
    """Says what failed, on what, and what to do about it."""
