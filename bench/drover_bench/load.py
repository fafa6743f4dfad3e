# SPDX-License-Identifier: Apache-2.0
"""Other work for the processors: what bench/run --busy adds to a machine while guests move."""
import contextlib
import subprocess
import sys
from typing import Iterator

# It ends with who has started it, however that ends.
COMPUTE = "import ctypes, signal\nctypes.CDLL(None).prctl(1, signal.SIGKILL)\nwhile True: pass"


@contextlib.contextmanager
def computing(count: int) -> Iterator[list[int]]:
    """
    So many processes that do nothing but compute. Each is in a session of its own, as VMs are: Linux may share the
    processors out by session. Yields their ids.
    """
    running: list["subprocess.Popen[bytes]"] = []
    try:
        for _ in range(count):
            running.append(subprocess.Popen([sys.executable, "-c", COMPUTE], start_new_session=True,
                                            stdin=subprocess.DEVNULL))
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
