"""Runs a server for as long as the process lives that wants it: `python warden.py PID COMMAND ...`.

A worker of a cluster may be killed at any moment; the server that it started must not stay behind, with its memory. Nor
may it when the warden itself is killed, as Ray does with the children of workers that end: a second process, which is
nobody's child, watches the warden. Only the standard library is imported, as this file is run by itself.
"""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

PAUSE = 0.2  # seconds


def main() -> int:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    server = subprocess.Popen(command, start_new_session=True)
    _second(server.pid)
    try:
        while server.poll() is None and os.getppid() == parent:
            time.sleep(PAUSE)
    finally:
        _end(server.pid)
    return server.wait()


def _second(server: int) -> None:
    """Start a process that ends the server when this one has ended."""
    if sys.platform != "linux":
        return
    watched = os.pidfd_open(os.getpid())
    if (between := os.fork()) == 0:
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setsid()
            select.select([watched], [], [])  # readable when the process has ended
            _end(server)
        os._exit(0)
    os.close(watched)
    os.waitpid(between, 0)


def _end(server: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server, signal.SIGKILL)  # with the processes that it started


if __name__ == "__main__":
    sys.exit(main())
