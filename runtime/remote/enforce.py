"""Which constraint a server is sent for a language, and how the value is read from what it gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from ...grammars.endings import goes_on, needed
from ...grammars.errors import UnsupportedConstraint
from ...grammars.expr import ANY_TEXT, EPS, Expr, alt, concat, text
from ...grammars.finite import texts
from ...grammars.grammar import Grammar
from ...grammars.sources import schema_of
from ...grammars.to_gbnf import to_gbnf
from ...grammars.to_regex import to_regex
from ..wanted import Wanted, value_in
from .dialects import Enforced
from .servers import Capabilities
from .texts import vocabulary

LONGEST = 200_000  # characters of a grammar that is sent
MOST_OPTIONS = 500  # of an enum in a schema


@dataclass(frozen=True)
class Means:
    """How a value is asked for: by a constraint that is exactly its language (`exact`), one that is close to it, or
    none; `wanted` is with all that may end the value, `why` says what kept it from being exact.

    wrapped   the server gives an object with the value as its "answer"
    longest   no value has more bytes
    """

    wanted: Wanted
    enforced: Enforced
    exact: bool
    wrapped: bool = False
    why: str = ""
    longest: int | None = None

    def read(self, answer: str) -> tuple[str, bool] | None:
        """The value in an answer, and whether it surely ended; None when there is none."""
        found = None if self.wrapped else self._valid(answer)
        if found is None and not self.exact:
            for candidate in self._candidates(answer):
                if (found := self._valid(candidate)) is not None and found[0] == candidate:
                    return candidate, True
            return None
        return found

    def _valid(self, answer: str) -> tuple[str, bool] | None:
        found = value_in(answer, self.wanted, vocabulary())
        return None if found and self.wanted.check and not self.wanted.check(found[0]) else found

    def _candidates(self, answer: str) -> list[str]:
        """What an answer may stand for that is not written as it was wanted: JSON with other blanks, say."""
        stripped = answer.strip()
        try:
            value, _ = json.JSONDecoder().raw_decode(stripped)
        except ValueError:
            return [] if self.wrapped else [stripped]
        if self.wrapped:
            value = value.get("answer") if isinstance(value, dict) else None
        compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return [*([value] if isinstance(value, str) else []), compact, *([] if self.wrapped else [stripped])]


def means(can: Capabilities, wanted: Wanted, blanks: str = "") -> Means:
    """How to ask for a value that `blanks` come before; these only a grammar can say."""
    value = wanted.value
    if value is None:
        told = blanks and can.grammar
        return Means(wanted, _grammar(can, concat(text(blanks), ANY_TEXT)) if told else Enforced(), exact=True)
    marks = wanted.ends or (("\n",) if schema_of(value) is None and not goes_on(value, b"\n") else ())
    ends = [end for mark in marks if (end := needed(value, mark))]
    why = f"{can.server} takes no grammars"
    try:
        if can.grammar:
            whole = concat(text(blanks), value, alt(EPS, *map(text, ends)))
            return Means(replace(wanted, ends=tuple(ends)), _grammar(can, whole), exact=True)
    except UnsupportedConstraint as error:
        why = str(error)
    wanted = replace(wanted, ends=marks)
    if can.json_schema and not blanks:
        return _by_schema(can, wanted, value, why)
    return Means(wanted, Enforced(), exact=False, why=why, longest=_longest(value))


def _longest(value: Expr) -> int | None:
    """The bytes of the longest text, of a language with few."""
    found = texts(value)
    return max([len(text.encode()) for text in found]) if found else None


def _grammar(can: Capabilities, whole: Expr) -> Enforced:
    try:
        enforced = Enforced(grammar=to_gbnf(Grammar(whole), most_repeats=can.most_repeats))
    except UnsupportedConstraint:
        if not can.regex:
            raise
        enforced = Enforced(regex=to_regex(Grammar(whole)))
    size = len(enforced.grammar or enforced.regex or "")
    if size > LONGEST:
        raise UnsupportedConstraint(f"the grammar takes {size} characters to write down")
    return enforced


def _by_schema(can: Capabilities, wanted: Wanted, value: Expr, why: str) -> Means:
    """What a server makes of a schema may be weaker than the language, so the answer is not taken for exact."""
    options = _options(value)
    schema = {"enum": options} if options else schema_of(value)
    if schema is None:
        return Means(wanted, Enforced(), exact=False, why=why)
    wrapped = can.server == "openai" and schema.get("type") != "object"
    enforced = Enforced(schema=json.dumps(_answer(schema) if wrapped else schema))
    return Means(wanted, enforced, False, wrapped, why)


def _answer(schema: Any) -> Any:
    """An object around what is not an object, as the root of a strict schema has to be one."""
    defs = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    inner = {key: part for key, part in schema.items() if key not in defs}
    whole = {"type": "object", "properties": {"answer": inner}, "required": ["answer"], "additionalProperties": False}
    return {**whole, **defs}


def _options(value: Expr) -> list[str] | None:
    found = texts(value)
    return [*found] if found and len(found) <= MOST_OPTIONS else None
