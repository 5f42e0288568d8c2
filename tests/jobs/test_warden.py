"""A server ends with the process that wants it, and with its warden, however these end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from lmprog.jobs import warden

SERVER = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); os.fork(); time.sleep(600)"
WORKER = "import os, subprocess, sys; subprocess.run([sys.executable, sys.argv[1], str(os.getpid()), *sys.argv[2:]])"


def until(condition: Callable[[], object]) -> bool:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def group(leader: int) -> list[str]:
    """The living processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
            found += [stat.parent.name] * (of == str(leader) and state != "Z")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process that is no child ends")
@pytest.mark.parametrize("killed", ["worker", "warden"])
def test_nothing_stays_behind(tmp_path: Path, killed: str) -> None:
    note = tmp_path / "pid"
    words = [warden.__file__, sys.executable, "-c", SERVER, str(note)]
    worker = subprocess.Popen([sys.executable, "-c", WORKER, *words])
    assert until(lambda: note.exists() and note.read_text())
    server = int(note.read_text())
    assert until(lambda: len(group(server)) == 2)
    (child,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()

    os.kill(worker.pid if killed == "worker" else int(child), signal.SIGKILL)

    assert until(lambda: not group(server))
    worker.wait()
