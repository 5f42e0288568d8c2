"""`lp.lint`: all rules that need no run of the model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..evaluation.data import Data, arguments, read
from ..models import LanguageModel
from ..programs import Program
from . import decoding_rules, hole_rules, length_rules, name_rules
from .findings import Finding, wanted
from .subject import Subject, check

STATIC = (*hole_rules.RULES, *length_rules.RULES, *name_rules.RULES, *decoding_rules.RULES)


def lint(
    program: Program[..., Any],
    /,
    *,
    model: LanguageModel | None = None,
    data: Data | None = None,
    select: Collection[str] | None = None,
    ignore: Collection[str] = (),
    **args: Any,
) -> list[Finding]:
    """What is wrong with a program, or dear, as far as that is known without running it; by file and line.

    The body is previewed (see docs/plans.md) along its paths, and its source is read; the model is never asked.

    args     arguments of the program, by name. What is not given gets two stand-ins by its type: any text, a number, a
             list of texts; where there is none for a type, only the source is read
    data     rows of arguments, of which each is looked at: dicts, or a .jsonl or .csv file, as `lp.evaluate` takes them
    model    whose tokenizer counts tokens and whose context is the limit; None: the program's own, if it has one
    select   only these codes, or beginnings of codes: ["LM1", "LM30"]
    ignore   not these

    A comment `# lmprog: ignore[LM11]` (in a template `{# … #}`) silences its line, `# lmprog: ignore` all rules on it.
    The rules are in docs/lint.md.

    Raises ProgramError for codes that there are not and for arguments that the program does not take, EvaluationError
    for data that do not fit it.
    """
    check(program, args)
    rows = None if data is None else rows_of(program, data, args)
    return wanted(found(Subject(program, args, rows, model or program.model)), select, ignore)


def rows_of(program: Program[..., Any], data: Data, args: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What of each row the program takes, beside `args`."""
    return [arguments(program, {**row, **args}, f"row {n}") for n, row in enumerate(read(data))]


def found(subject: Subject) -> Iterator[Finding]:
    """All that the rules find."""
    for rule in STATIC:
        yield from rule(subject)
