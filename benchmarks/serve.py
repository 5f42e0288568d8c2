"""Throughput and latency of `lmprog serve` under 1, 32 and 200 clients, beside the bare engine and another server.

    python benchmarks/serve.py [--write]
    python benchmarks/serve.py --url http://127.0.0.1:8761/v1 --model gemma --name "vLLM 0.32"

Every client asks for the next document of a job when it has its answer: 7 worked examples that all share, a text, and
a schema for the answer. The client is the same for all servers: httpx in a process of its own. The bare engine gets the
same requests from coroutines in one process. Answers are checked against the schema.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from report import machine, report, table, versions
from workload import Item, made, valid

CLIENTS = (1, 32, 200)
REQUESTS = {1: 24, 32: 96, 200: 400}  # by the number of clients
Ask = Callable[[Item], Awaitable[str]]


def items(count: int, salt: int) -> list[Item]:
    """Documents that differ from one another, and from those of other runs."""
    some = [item for item in made() if item["w"] == "W1"]
    found = []
    for n, item in zip(range(count), itertools.cycle(some), strict=False):
        prompt = item["prompt"].removesuffix("\nJSON: ")
        found.append(item | {"prompt": f"{prompt} Page {salt + n}.\nJSON: "})
    return found


async def measured(ask: Ask, clients: int) -> list[str]:
    """A row: requests a second, and the median and 95th percentile of their times."""
    for item in items(2, 10_000):
        await ask(item)
    todo, times, bad = iter(items(REQUESTS[clients], 100 * clients)), [], 0
    began = time.perf_counter()

    async def client() -> None:
        nonlocal bad
        for item in todo:
            start = time.perf_counter()
            answer = await ask(item)
            times.append(time.perf_counter() - start)
            bad += not valid(item, answer)

    await asyncio.gather(*[client() for _ in range(clients)])
    seconds = time.perf_counter() - began
    times.sort()
    p50, p95 = times[len(times) // 2], times[int(0.95 * len(times))]
    return [
        str(clients),
        f"{len(times) / seconds:.2f}",
        f"{p50:.2f}",
        f"{p95:.2f}",
        f"{len(times) - bad} of {len(times)}",
    ]


async def of_server(url: str, model: str) -> list[list[str]]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as client:

        async def ask(item: Item) -> str:
            body = {
                "model": model,
                "prompt": item["prompt"],
                "max_tokens": item["max_new"],
                "temperature": 0,
                "structured_outputs": {"json": item["schema"]},
            }
            answer = await client.post("/completions", json=body)
            answer.raise_for_status()
            return str(answer.json()["choices"][0]["text"])

        return [await measured(ask, clients) for clients in CLIENTS]


async def of_engine(name: str | None) -> list[list[str]]:
    from lmprog.grammars import compile, json_schema
    from lmprog.runtime.request import Request
    from lmprog.serve.run import loaded

    with loaded(name) as model:
        constraint = compile(json_schema(items(1, 0)[0]["schema"], whitespace="compact"), model.vocab)

        async def ask(item: Item) -> str:
            ids = [model.bos or 0, *model.encode(item["prompt"])]
            result = await model.submit(Request(ids, item["max_new"], constraint, open_end=True))
            return b"".join([model.vocab.token_bytes[i] or b"" for i in result.ids]).decode()

        return [await measured(ask, clients) for clients in CLIENTS]


@contextmanager
def served(name: str | None) -> Iterator[str]:
    """`lmprog serve` in a process."""
    model = [] if name is None else ["--model", name]
    command = [sys.executable, "-m", "lmprog", "serve", "--port", "0", "--name", "served", *model]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+/v1", line)))
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        while not _ready(url.removesuffix("/v1")):
            time.sleep(0.1)
        yield url
        drain.kill()
    finally:
        process.terminate()
        process.wait()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


def alone(name: str | None) -> list[list[str]]:
    """The rows of the engine, from a process of its own."""
    model = [] if name is None else ["--local", name]
    done = subprocess.run([sys.executable, __file__, "--engine", *model], capture_output=True, text=True, check=True)
    rows: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--local", help="model of lmprog serve; random:0 costs nothing, so that the server's cost shows"
    )
    parser.add_argument("--url", help="of another server, which runs already")
    parser.add_argument("--model", default="gemma", help="what the model is called there")
    parser.add_argument("--name", default="another server", help="what the table calls it")
    parser.add_argument("--engine", action="store_true", help="print the figures of the bare engine as JSON")
    parser.add_argument("--write", action="store_true", help="append the table to docs/benchmarks.md")
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(asyncio.run(of_engine(options.local))))
        return
    rows: list[list[Any]] = []
    if options.url:
        rows += [[options.name, *row] for row in asyncio.run(of_server(options.url, options.model))]
    else:
        rows += [["engine alone", *row] for row in alone(options.local)]
        with served(options.local) as url:
            rows += [["lmprog serve", *row] for row in asyncio.run(of_server(url, "served"))]
    threads = int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1
    packages = versions("lmprog", "torch", "starlette", "uvicorn", "h11")
    setting = f"{options.local or 'Gemma 3 270M'}; {machine(threads)}; {packages}"
    header = ["", "clients", "requests a second", "p50, s", "p95, s", "valid"]
    report("The server", setting, table(header, rows), options.write)


if __name__ == "__main__":
    main()
