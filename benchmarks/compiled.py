"""What previews save and cost: whole programs with and without them, on one model.

    python benchmarks/compiled.py [--model FOLDER | random] [--runs 20] [--rows 64] [--write]

The card of the documentation (two holes, a branch), ten choices of 50, and seven `if`s on choices.
Runs take turns, with and without previews, after one of each, so that prompts are cached and masks known. `preview` is
the processor time of looking at the program, `alone` the milliseconds of one run after the other by the clock,
`rows` those of a row when many run together by `map`.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from report import machine, report, table, versions

import lmprog as lp
from lmprog import Program, gen, program, select
from lmprog.explore import explore
from lmprog.preview import preview
from lmprog.replay import Body
from lmprog.testing import RandomModel


@program
def card(p: lp.Prompt, i: int) -> None:
    kind = p(f"Topic: cats {i}\nKind: ", select(["math", "poem"], name="kind"), "\n")
    if kind == "math":
        p("n = ", gen(int, ge=0, le=999), "\n")
    else:
        p("line: ", gen(regex="[a-z ]{1,20}"), "\n")


@program
def ten_choices(p: lp.Prompt, i: int) -> None:
    for k in range(10):
        p(f"{i}, {k}. ", select([f"option {n}" for n in range(50)]), "\n")


@program
def seven_ifs(p: lp.Prompt, i: int) -> None:
    for k in range(7):
        p("Good.\n" if p(f"Q{i} {k} ", select(["yes", "no"]), "\n") == "yes" else "Bad.\n")


PROGRAMS = {"card": card, "ten choices of 50": ten_choices, "seven ifs": seven_ifs}


def looking(made: Program[..., Any]) -> float:
    """Processor milliseconds of a preview."""
    body = Body(made.function, (1,), {})
    times = []
    for _ in range(20):
        start = time.thread_time()
        explore(lambda answers: preview(body, (), answers).items)
        times.append(time.thread_time() - start)
    return median(times) * 1e3


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def measure(name: str, made: Program[..., Any], model: Any, runs: int, rows: int) -> list[Any]:
    alone: dict[bool, list[float]] = {True: [], False: []}
    together: dict[bool, list[float]] = {True: [], False: []}
    requests = {how: made.run(0, model=model, preview=how).usage.requests for how in (True, False)}
    for i in range(runs):
        for how in (True, False) if i % 2 else (False, True):
            alone[how].append(milliseconds(lambda how=how: made.run(0, model=model, preview=how)))
    for i in range(4):
        for how in (True, False) if i % 2 else (False, True):
            many = program(preview=how)(made.function)
            took = milliseconds(lambda many=many: many.map(range(rows), model=model, concurrency=rows))
            together[how] += [took / rows] if i else []
    pairs = [f"{median(times[False]):.2f} → {median(times[True]):.2f}" for times in (alone, together)]
    return [name, f"{requests[False]} → {requests[True]}", f"{looking(made):.2f}", *pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="a folder or hub id, random for RandomModel; the default model")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--write", action="store_true", help="append to docs/benchmarks.md")
    args = parser.parse_args()
    model = RandomModel(0) if args.model == "random" else lp.load(args.model)
    with model:
        rows = [measure(name, made, model, args.runs, args.rows) for name, made in PROGRAMS.items()]
    head = ["program", "requests", "preview", "alone", f"rows, {args.rows} at once"]
    name = model.name if args.model == "random" else "gemma-3-270m" if args.model is None else args.model
    setting = f"{name}; {machine(1)}; {versions('lmprog', 'torch')}. Milliseconds, without → with previews"
    report("Previews", setting, table(head, rows), args.write)


if __name__ == "__main__":
    main()
