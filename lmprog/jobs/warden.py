"""Runs a server for as long as the process lives that wants it: `python warden.py PID COMMAND ...`.

A worker of a cluster may be killed at any moment; the server that it started must not stay behind, with its memory.
Only the standard library is imported, as this file is run by itself.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

PAUSE = 0.2  # seconds


def main() -> int:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    server = subprocess.Popen(command, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        while server.poll() is None and os.getppid() == parent:
            time.sleep(PAUSE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # with the processes that it started
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
