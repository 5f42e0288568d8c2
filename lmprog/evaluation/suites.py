"""Test suites in YAML: a program, and cases of arguments and what is expected of each.

    program: cards.py:card          # or module:name; files are looked for beside the suite
    model: random:0                 # as for lp.load; without it the program's own, or the default model
    seed: 7                         # of every case that has none itself
    slots: better.toml              # values for the program's slots
    cases:
      - name: cats are a poem
        args: {topic: cats}
        expect: poem                # the value, as the metric "exact" compares
      - args: {topic: primes}
        expect: {contains: [math, number], regex: "^[a-z]", metric: checks.py:polite, threshold: 0.8}

Of `expect` all must hold:

    equals, json        as the metrics "exact" and "json"
    contains, lacks     texts that stand in the value's text, or do not: one, or a list
    regex               is found in the value's text
    captures            values of holes by their names
    metric              a metric's name, or file.py:function or module:function of a row and its run, where the row has
                        the arguments and `expected`, if that is given; its score must be `threshold` (1) or more
    error               the name of the exception with which the run must end
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import EvaluationError
from ..run import Run
from .metrics import COMPARE, Metric, equal, exact, metrics, number, text_of

SUFFIXES = (".lmtest.yaml", ".lmtest.yml")
SUITE = {"program": str, "model": str, "seed": int, "slots": str, "cases": list}
CASE = {"name": str, "args": dict, "expect": object, "seed": int}


@dataclass(frozen=True)
class Case:
    """`line`: where it begins in its file."""

    name: str
    args: dict[str, Any]
    expect: dict[str, Any]
    seed: int | None
    line: int


@dataclass(frozen=True)
class Suite:
    path: Path
    program: str
    model: str | None
    slots: Path | None
    cases: list[Case] = field(default_factory=list)


class Located(dict[str, Any]):
    """A mapping that knows its line, and those of its keys."""

    line: int
    lines: dict[str, int]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Mappings are Located; a key that comes twice is an error."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[Located]:
    found = Located()
    found.line, found.lines = node.start_mark.line + 1, {}
    yield found
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str) or key in found:
            what = f"{key!r} comes twice" if isinstance(key, str) else f"a name is a text, not {key!r}"
            raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
        found.lines[key] = key_node.start_mark.line + 1
        found[key] = loader.construct_object(value_node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(path: Path) -> Suite:
    """Raises EvaluationError, naming the line, OSError."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise EvaluationError(f"{path}, line {line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} is not YAML: {error}") from None
    if not isinstance(data, Located):
        raise EvaluationError(f"{path}, line 1: a suite says program: and cases:")
    _check(data, SUITE, ("program", "cases"), path)
    slots = path.parent / data["slots"] if "slots" in data else None
    name = beside_suite(data["program"], path)
    cases = [_case(case, n, data, path) for n, case in enumerate(data["cases"], 1)]
    if not cases:
        raise EvaluationError(f"{path}, line {data.lines['cases']}: there are no cases")
    return Suite(path, name, data.get("model"), slots, cases)


def beside_suite(name: str, path: Path) -> str:
    """`file.py:name` with the file found beside the suite."""
    module, _, attribute = name.rpartition(":")
    return f"{path.parent / module}:{attribute}" if module.endswith(".py") else name


def _check(found: Located, known: Mapping[str, Any], needed: tuple[str, ...], path: Path) -> None:
    for name, value in found.items():
        place = f"{path}, line {found.lines[name]}"
        if name not in known:
            raise EvaluationError(f"{place}: {name!r} is none of {', '.join(known)}")
        if not isinstance(value, known[name]) or (isinstance(value, bool) and known[name] is int):
            raise EvaluationError(f"{place}: {name} is {_KINDS[known[name]]}, not {value!r:.60}")
    if missing := [name for name in needed if name not in found]:
        raise EvaluationError(f"{path}, line {found.line}: {missing[0]}: is missing")


_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "a mapping"}


def _case(case: Any, n: int, suite: Located, path: Path) -> Case:
    if not isinstance(case, Located):
        raise EvaluationError(f"{path}, line {suite.lines['cases']}: case {n} is not a mapping with args: and expect:")
    _check(case, CASE, ("expect",), path)
    expect = case["expect"] if isinstance(case["expect"], Located) else {"equals": case["expect"]}
    _check_expected(expect, case, path)
    args = _bare(case.get("args", {}))
    given = ", ".join([f"{name}={value!r}" for name, value in args.items()])
    name = case.get("name") or (given if len(given) <= 60 else f"{given[:59]}…") or f"case {n}"
    return Case(name, args, _bare(expect), case.get("seed", suite.get("seed")), case.line)


def _bare(value: Any) -> Any:
    """Without lines."""
    if isinstance(value, dict):
        return {name: _bare(part) for name, part in value.items()}
    return [_bare(part) for part in value] if isinstance(value, list) else value


def _check_expected(expect: dict[str, Any], case: Located, path: Path) -> None:
    lines = getattr(expect, "lines", {})
    known = (*CHECKS, "metric", "threshold", "expected", "error")
    for name, value in expect.items():
        place = f"{path}, line {lines.get(name, case.line)}"
        if name not in known:
            raise EvaluationError(f"{place}: {name!r} is none of {', '.join(known)}")
        if name == "regex":
            try:
                re.compile(value)
            except (re.error, TypeError) as error:
                raise EvaluationError(f"{place}: {value!r} is no regex: {error}") from None
        if name in ("metric", "error") and not isinstance(value, str):
            raise EvaluationError(f"{place}: {name} is a name, not {value!r}")
        if name == "threshold" and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise EvaluationError(f"{place}: threshold is a number, not {value!r}")
        if name == "captures" and not isinstance(value, dict):
            raise EvaluationError(f"{place}: captures are values by the names of holes, not {value!r}")
    if not expect.keys() & {*CHECKS, "metric", "error"}:
        raise EvaluationError(f"{path}, line {case.lines['expect']}: expect says nothing that could be checked")
    if "threshold" in expect and "metric" not in expect:
        raise EvaluationError(f"{path}, line {lines.get('threshold')}: threshold is that of a metric, which is missing")
    if "error" in expect and len(expect) > 1:
        raise EvaluationError(f"{path}, line {lines.get('error')}: a run that ends with an error has nothing else")


# -- checks ----------------------------------------------------------------------------------------------------------


def failures(case: Case, ran: Run[Any] | Exception, load: Callable[[str], Metric]) -> list[str]:
    """What does not hold; none where the case passes. `load` finds metrics that are no names."""
    error = case.expect.get("error")
    if isinstance(ran, Exception):
        said = f"{type(ran).__name__}: {ran}"
        return [] if error in {kind.__name__ for kind in type(ran).__mro__} else [f"it ended with {said}"]
    if error is not None:
        return [f"it ended with {ran.value!r:.200}, not with {error}"]
    found = [CHECKS[name](ran, wanted) for name, wanted in case.expect.items() if name in CHECKS]
    if "metric" in case.expect:
        found.append(_scored(case, ran, load(case.expect["metric"])))
    return [why for why in found if why]


def _scored(case: Case, run: Run[Any], metric: Metric) -> str:
    (name, function), *_ = metrics(metric).items()
    row = {**case.args, **{key: case.expect[key] for key in ("expected",) if key in case.expect}}
    if name in COMPARE and "expected" not in row:
        return f"the metric {name} needs expected:"
    try:
        score = number(function(row, run))
    except Exception as error:  # whatever a user's function raises
        return f"the metric {name} failed: {type(error).__name__}: {error}"
    least = case.expect.get("threshold", 1)
    return "" if score >= least else f"{name} is {score:g}, below {least:g}, for {run.value!r:.200}"


def _equals(run: Run[Any], wanted: Any) -> str:
    some = wanted if isinstance(wanted, list) and not isinstance(run.value, list | tuple) else [wanted]
    return "" if any(exact(run.value, one) for one in some) else f"the value is {run.value!r:.200}, not {wanted!r:.200}"


def _json(run: Run[Any], wanted: Any) -> str:
    return "" if equal(run.value, wanted) else f"the value is {text_of(run.value):.200}, not {text_of(wanted):.200}"


def _contains(run: Run[Any], wanted: Any) -> str:
    missing = [text for text in _listed(wanted) if text not in text_of(run.value)]
    return f"{missing[0]!r} is not in {run.value!r:.200}" if missing else ""


def _lacks(run: Run[Any], unwanted: Any) -> str:
    there = [text for text in _listed(unwanted) if text in text_of(run.value)]
    return f"{there[0]!r} is in {run.value!r:.200}" if there else ""


def _regex(run: Run[Any], pattern: str) -> str:
    return "" if re.search(pattern, text_of(run.value)) else f"{pattern!r} is not found in {run.value!r:.200}"


def _captures(run: Run[Any], wanted: Mapping[str, Any]) -> str:
    for name, value in wanted.items():
        if name not in run.captures:
            return f"there is no hole {name!r}; there are {', '.join(run.captures) or 'none'}"
        if not exact(run.captures[name].value, value):
            return f"{name} is {run.captures[name].value!r:.200}, not {value!r:.200}"
    return ""


def _listed(texts: Any) -> list[str]:
    return [text_of(text) for text in (texts if isinstance(texts, list) else [texts])]


CHECKS: dict[str, Callable[[Run[Any], Any], str]] = {
    "equals": _equals,
    "json": _json,
    "contains": _contains,
    "lacks": _lacks,
    "regex": _regex,
    "captures": _captures,
}
