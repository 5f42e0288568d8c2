"""Suites that are run: the program and the model of each, its cases together, and what came of them."""

from __future__ import annotations

import inspect
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..commands import load_model
from ..compiling import program_of
from ..errors import EvaluationError
from ..jobs.target import named
from ..models import LanguageModel
from ..programs import Program
from ..visible import inline, visible
from .measure import Job, outcomes
from .metrics import COMPARE, Metric, metrics
from .suites import SUFFIXES, Case, Suite, beside_suite, failures


@dataclass(frozen=True)
class Verdict:
    """`why`: what does not hold; none where the case passes."""

    case: Case
    why: list[str]
    seconds: float


class Loaded:
    """A suite with its program and its model."""

    def __init__(self, suite: Suite, model: LanguageModel | None = None) -> None:
        self.suite = suite
        self._metrics: dict[str, Metric] = {}
        with beside(suite.path.parent):
            self.program: Program[..., Any] = program_of(suite.program, suite.slots)
        for case in suite.cases:
            self._check(case)
        self.model = model or self._model()

    def _model(self) -> LanguageModel:
        if self.suite.model is not None:
            local = self.suite.path.parent / self.suite.model
            return load_model(str(local) if local.is_dir() else self.suite.model)
        return self.program.model or load_model(None)

    def _check(self, case: Case) -> None:
        place = f"{self.suite.path}, line {case.line}"
        try:
            inspect.signature(self.program.function).bind(None, **case.args)
        except TypeError as error:
            raise EvaluationError(f"{place}: {case.name} does not fit {self.program.__name__}: {error}") from None
        try:
            metrics(self._metric(case.expect.get("metric", "exact")))
        except EvaluationError as error:
            raise EvaluationError(f"{place}: {error}") from None

    def _metric(self, name: str) -> Metric:
        if name in COMPARE or ":" not in name:
            return name
        if name not in self._metrics:
            with beside(self.suite.path.parent):
                self._metrics[name] = named(beside_suite(name, self.suite.path))
        if not callable(found := self._metrics[name]):
            raise EvaluationError(f"{name} is not a function of a row and its run")
        return found

    def run(self, cases: Sequence[Case], concurrency: int = 32) -> list[Verdict]:
        """Together; each with its own seed, whatever the others are."""
        options = self.program.options
        job = Job(
            self.program,
            self.model,
            lambda n: options if cases[n].seed is None else replace(options, seed=cases[n].seed),
            {n: case.args for n, case in enumerate(cases)},
            concurrency,
        )
        began, found = time.perf_counter(), dict[int, Verdict]()
        for done in outcomes(job, range(len(cases))):
            why = failures(cases[done.index], done.ran, self._metric)
            found[done.index] = Verdict(cases[done.index], why, time.perf_counter() - began)
        return [found[n] for n in range(len(cases))]


@contextmanager
def beside(folder: Path) -> Iterator[None]:
    """Modules beside a suite can be imported."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))


def found(paths: Iterable[Path]) -> list[Path]:
    """The suites among files and below folders. Raises EvaluationError."""
    suites = []
    for path in paths:
        if path.is_dir():
            suites += sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES) and p.is_file())
        elif path.is_file():
            suites.append(path)
        else:
            raise EvaluationError(f"there is no suite {path}")
    if not suites:
        raise EvaluationError(f"there are no suites: they are called name{SUFFIXES[0]}")
    return suites


Results = list[tuple[Suite, list[Verdict]]]


def shown(results: Results, console: Console) -> None:
    """A table for each suite, and what does not hold below it."""
    for suite, verdicts in results:
        table = Table(
            "", "line", "case", "why", box=None, header_style="bold", title=str(suite.path), title_justify="left"
        )
        for verdict in verdicts:
            mark = "[green]passed[/]" if not verdict.why else "[red]failed[/]"
            table.add_row(mark, str(verdict.case.line), inline(verdict.case.name).replace("[", r"\["), _why(verdict))
        console.print(table)
    every = [verdict for _, verdicts in results for verdict in verdicts]
    failed = sum(bool(verdict.why) for verdict in every)
    console.print(f"{len(every) - failed} passed, {failed} failed", style="red" if failed else "green")


def _why(verdict: Verdict) -> str:
    return "\n".join([visible(why) for why in verdict.why]).replace("[", r"\[")


def junit(results: Results) -> bytes:
    """As CI systems read it."""
    root = ET.Element("testsuites")
    for suite, verdicts in results:
        failed = str(sum(bool(verdict.why) for verdict in verdicts))
        counts = {"tests": str(len(verdicts)), "failures": failed, "errors": "0", "skipped": "0"}
        one = ET.SubElement(root, "testsuite", {"name": str(suite.path), **counts})
        for verdict in verdicts:
            about = {"classname": suite.path.name, "name": visible(verdict.case.name), "time": f"{verdict.seconds:.3f}"}
            case = ET.SubElement(one, "testcase", about | {"file": str(suite.path), "line": str(verdict.case.line)})
            if verdict.why:
                said = [visible(why) for why in verdict.why]
                ET.SubElement(case, "failure", {"message": said[0]}).text = "\n".join(said)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written
