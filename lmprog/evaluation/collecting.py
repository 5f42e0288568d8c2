"""Suites as pytest collects them; see `lmprog.pytest_plugin`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from ..errors import EvaluationError, LmprogError
from .running import Loaded
from .suites import Case, Suite, read


class CaseFailed(Exception):
    """What does not hold, a line each."""


class SuiteFile(pytest.File):
    """A file of cases; its program and model are loaded when the first of them runs."""

    @cached_property
    def suite(self) -> Suite:
        try:
            return read(self.path)
        except EvaluationError as error:
            raise self.CollectError(str(error)) from None

    @cached_property
    def loaded(self) -> Loaded:
        return Loaded(self.suite)

    def collect(self) -> Iterator[CaseItem]:
        for case in self.suite.cases:
            yield CaseItem.from_parent(self, name=case.name, case=case)


class CaseItem(pytest.Item):
    """One case, run by itself."""

    def __init__(self, *, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case

    def runtest(self) -> None:
        assert isinstance(self.parent, SuiteFile)
        (verdict,) = self.parent.loaded.run([self.case])
        if verdict.why:
            raise CaseFailed("\n".join(verdict.why))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CaseFailed):
            return f"{self.path}:{self.case.line}: {self.case.name}\n{excinfo.value}"
        if isinstance(excinfo.value, LmprogError):
            return f"{type(excinfo.value).__name__}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.case.line - 1, self.case.name
