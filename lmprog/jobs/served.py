"""Workers of a cluster whose engine is a server of their own: vLLM inside Ray."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from typing import IO, Any

from ..runtime.remote.connect import connect
from ..runtime.remote.model import RemoteModel
from . import warden
from .errors import ClusterError

SECONDS = 600.0
PAUSE = 0.5  # between two looks whether it answers
TOLD = 2000  # bytes of its log in an error


class Served:
    """What each worker of a `Cluster` loads: an OpenAI-compatible server beside it, started and connected to.

    command  of the server; {port} stands for a free port: "vllm serve /models/qwen --port {port}"
    seconds  that it may take until it answers
    options  of `lp.connect`

    The server has the GPUs that Ray keeps for the worker, and ends with it, also when the worker is killed.
    Raises ClusterError when it ends or does not answer in time, with the end of what it wrote.
    """

    def __init__(self, command: str | Sequence[str], *, seconds: float = SECONDS, **options: Any) -> None:
        self.command = shlex.split(command) if isinstance(command, str) else list(command)
        self.seconds, self.options = seconds, options

    def __call__(self) -> RemoteModel:
        port = _free_port()
        words = [word.replace("{port}", str(port)) for word in self.command]
        watched = [sys.executable, warden.__file__, str(os.getpid()), *words]
        with tempfile.TemporaryFile() as log:
            server = subprocess.Popen(watched, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                self._wait(f"http://127.0.0.1:{port}/health", server, log)
                return connect(f"http://127.0.0.1:{port}/v1", **self.options)
            except BaseException:
                server.terminate()
                raise

    def _wait(self, url: str, server: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        until = time.monotonic() + self.seconds
        while not _answers(url):
            if server.poll() is not None or time.monotonic() > until:
                how = "did not answer in time" if server.returncode is None else f"ended with {server.returncode}"
                raise ClusterError(f"the server {shlex.join(self.command)} {how}: {_end_of(log)}")
            time.sleep(PAUSE)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _end_of(log: IO[bytes]) -> str:
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), TOLD, max(0, size - TOLD)).decode(errors="replace").strip()
