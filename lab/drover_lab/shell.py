# SPDX-License-Identifier: Apache-2.0
"""Running programs, and waiting for something to become true."""
import subprocess
import time
from typing import Callable, Optional

from .errors import LabError


def run(*argv: str, check: bool = True, stdin: Optional[str] = None,
        env: Optional[dict[str, str]] = None) -> str:
    """Runs a program to its end and returns its stdout; a failure becomes a LabError."""
    try:
        done = subprocess.run(argv, input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                              capture_output=True, text=True, env=env, check=False)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed: install the packages in lab/packages.txt "
                       "(apt-get install)") from None
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise LabError(f"{' '.join(argv)}: {said}")
    return done.stdout


def wait_until(condition: Callable[[], bool], seconds: float, what: str,
               interval: float = 0.02) -> None:
    """Polls where there is no event to wait on."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what} did not happen within {seconds:g} s")
        time.sleep(interval)
