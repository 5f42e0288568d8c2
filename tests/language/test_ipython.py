"""The magics, in a real kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

ROOT = Path(__file__).parents[2]


class Kernel:
    """Runs cells: each gives its status and what it put out, by kind."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.manager, self.client = start_new_kernel(kernel_name="python3", env=environment)

    def __call__(self, cell: str) -> tuple[str, dict[str, Any]]:
        put_out: dict[str, Any] = {}

        def note(message: dict[str, Any]) -> None:
            content = message["content"]
            put_out[message["msg_type"]] = content.get("data", content)

        reply = self.client.execute_interactive(cell, output_hook=note, timeout=120)
        return reply["content"]["status"], put_out

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    assert kernel("%load_ext lmprog.ipython")[0] == kernel("%lm model random:0")[0] == "ok"
    yield kernel
    kernel.close()


def test_a_cell(kernel: Kernel) -> None:
    status, out = kernel('%%lm\nkind = p("Kind: ", select(["math", "poem"], name="kind"))\nkind * 2')
    _, value = kernel("kind, _.value, _.captures['kind'].value")

    assert "ok" == status
    assert '<div class="lmprog-run">' in out["execute_result"]["text/html"]
    assert "<script" not in out["execute_result"]["text/html"]
    assert "Run(value=" in out["execute_result"]["text/plain"]
    kind, twice, captured = eval(value["execute_result"]["text/plain"])
    assert (kind * 2, kind) == (twice, captured)


def test_a_cell_begins_anew_unless_told_to_go_on(kernel: Kernel) -> None:
    kernel("%%lm\np('one')")
    kernel("%%lm\np('two')")
    _, out = kernel("%%lm --go-on\np('three')")

    assert "text='twothree'" in out["execute_result"]["text/plain"]


def test_lines(kernel: Kernel) -> None:
    kernel('%%lm\nkind = p("Kind: ", select(["math", "poem"], name="kind"))')

    assert "one of 'math', 'poem'" in kernel("%lm why kind")[1]["display_data"]["text/plain"]
    assert "poem" in kernel("%lm dist kind")[1]["display_data"]["text/plain"]
    assert "text='Kind: " in kernel("%lm retry")[1]["execute_result"]["text/plain"]
    kernel("%%lm --model random:1\n1")
    assert "RandomModel(1)" in kernel("print(p._session.model.name)")[1]["stream"]["text"]


def test_what_goes_wrong_is_said_shortly(kernel: Kernel) -> None:
    for cell, message in {
        "%%lm\nx = 1\np(gen(int, regex='a'))": "line 2: p(gen(int, regex='a'))\nHoleError: ",
        "%%lm\np('a'": "SyntaxError",
        "%lm nix": "there is no command :nix",
    }.items():
        status, out = kernel(cell)

        assert "error" == status
        assert message in "\n".join(out["error"]["traceback"])
        assert "lmprog/" not in "\n".join(out["error"]["traceback"])
    for cell in ("%lm", "%%lm --modell x\n1"):
        assert "UsageError" in kernel(cell)[1]["stream"]["text"]
