"""Runs one engine on some work and measures it; started by `peers.py` in each engine's own Python (3.10 or newer).

    python worker.py ENGINE WORK.json RESULTS.jsonl

Stands alone but for the engine's module on_ENGINE.py beside it. That holds a class Engine: `Engine(folder, options)`
loads the model, and its methods extract, tree, free and form take items and return Output; a method that is missing
is not offered. One line of results for each workload; what fails leaves its error instead.
"""

import importlib
import json
import os
import re
import sys
import time
import traceback
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Output:
    """Answers in order (of a tree: the chosen paths), generated tokens in all (forced ones included), and the prompt
    tokens that went through the model (None: the engine does not tell)."""

    texts: list[str]
    tokens: int
    computed: "int | None"


def grow(items: list, draw: Any, start: str = "ids", between: str = "between") -> list:
    """The tree of thought: in each round, every path is continued once for each seed, and goes on with one of them.

    draw    continues items, each with its path so far under `start` and its seed under "seed": all of them at once
    """
    paths = [item[start] for item in items]
    for depth in range(items[0]["depth"]):
        rows = list(zip(items, paths, strict=True))
        forks = iter(
            draw([{**item, start: path, "seed": seed + 100 * depth} for item, path in rows for seed in item["seeds"]])
        )
        for n, (item, path) in enumerate(rows):
            branches = [next(forks) for _ in item["seeds"]]
            paths[n] = path + branches[item["choose"][depth]] + item[between]
    return paths


def main() -> None:
    name, work, results = sys.argv[1:]
    task = json.loads(Path(work).read_text())
    module = importlib.import_module(f"on_{name.split('-')[0]}")
    with open(results, "a") as file:
        began = time.perf_counter()
        try:
            engine = module.Engine(task["folder"], task["options"])
            warm_up(engine, task["warm"])
        except Exception as error:
            file.write(json.dumps({"error": describe(error)}) + "\n")
            return
        names = " ".join(f"{package} {version(package)}" for package in module.PACKAGES)
        about = {"versions": names, "load": round(time.perf_counter() - began, 1)}
        file.write(json.dumps(about) + "\n")
        for workload, (kind, items) in task["work"].items():
            method = getattr(engine, kind, None)
            if method is not None:
                line = {"workload": workload, "items": len(items), **measured(method, items)}
                file.write(json.dumps(line) + "\n")
                file.flush()
                if "error" in line:  # it may be left in some odd state
                    engine = module.Engine(task["folder"], task["options"])
    os._exit(0)  # engines with threads of their own may not end by themselves


def warm_up(engine: Any, items: dict) -> None:
    """What an engine sets up at the first request is not timed; compiling a constraint is."""
    for kind, item in items.items():
        if hasattr(engine, kind):
            getattr(engine, kind)([item])


def measured(method: Any, items: list) -> dict:
    cpu, wall = cpu_seconds(), time.perf_counter()
    try:
        output = method(items)
    except Exception as error:
        return {"error": describe(error)}
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    return {"cpu": round(cpu, 2), "wall": round(wall, 2), "rss": peak_bytes(), **vars(output)}


def describe(error: Exception) -> str:
    traceback.print_exc()
    text = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {text[:200]}"


def family() -> "list[Path]":
    """This process and all below it."""
    found, todo = [], [os.getpid()]
    while todo:
        home = Path(f"/proc/{todo.pop()}")
        found.append(home)
        for children in home.glob("task/*/children"):
            todo += [int(pid) for pid in children.read_text().split()]
    return found


def cpu_seconds() -> float:
    """User and system time of all, those that have ended included."""
    fields = [(home / "stat").read_text().rsplit(")", 1)[1].split() for home in family()]
    return sum(int(ticks) for some in fields for ticks in some[11:15]) / TICKS


def peak_bytes() -> int:
    peaks = [re.search(r"VmHWM:\s+(\d+)", (home / "status").read_text()) for home in family()]
    return sum(int(peak[1]) * 1024 for peak in peaks if peak)


if __name__ == "__main__":
    main()
