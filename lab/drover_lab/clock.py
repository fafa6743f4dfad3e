# SPDX-License-Identifier: Apache-2.0
"""Hosts whose clocks are apart, by libfaketime: all hosts of a lab have this machine's kernel."""
import re
from pathlib import Path

from .errors import LabError

LIBRARY = "*/faketime/libfaketimeMT.so.1"


def parse(given: list[str], hosts: list[str]) -> dict[str, int]:
    """From HOST=SECONDS, how much later each host believes that it is."""
    clocks = dict.fromkeys(hosts, 0)
    for one in given:
        match = re.fullmatch(r"([^=]+)=([+-]?\d{1,9})", one)
        if not match or match[1] not in clocks:
            raise LabError(f"--clock {one}: write HOST=SECONDS, for one of {', '.join(hosts)}, "
                           "e.g. h2=300 or h2=-300")
        clocks[match[1]] = int(match[2])
    return clocks


def wrapper(seconds: int) -> list[str]:
    """What stands before a program that shall believe it. What waits and measures is left alone."""
    if seconds == 0:
        return []
    library = next(Path("/usr/lib").glob(LIBRARY), None)
    if not library:
        raise LabError("libfaketime is not installed: install the packages in lab/packages.txt")
    return ["/usr/bin/env", f"LD_PRELOAD={library}", f"FAKETIME={seconds:+d}",
            "FAKETIME_DONT_FAKE_MONOTONIC=1"]
