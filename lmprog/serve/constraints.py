"""The constraint that a request asks for. Imported by the checker too, so without anything of a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple

from ..grammars import Grammar, any_text, choices, gbnf, json_schema, lark, literal, regex
from ..grammars.errors import InvalidConstraint, UnsupportedConstraint
from ..tools import call_grammar
from .errors import refused

if TYPE_CHECKING:
    from .wire import Generation


class Spec(NamedTuple):
    """A constraint as it was written: plain data that can be compared and sent. `source` is JSON but for regexes and
    grammars; values hold none of `without`."""

    kind: str
    source: str
    without: tuple[str, ...] = ()
    param: str = "response_format"


def spec_of(asked: Generation) -> Spec | None:
    """Raises ApiError when there are several."""
    found = [*_formatted(asked), *_structured(asked), *_guided(asked)]
    if len(found) > 1:
        message = f"{found[1].param}: there is another constraint already, {found[0].param}"
        raise refused(message, found[1].param, "several_constraints")
    return found[0]._replace(without=tuple(asked.stops)) if found else None


def _formatted(asked: Generation) -> list[Spec]:
    given = asked.response_format
    if given is None or given.type == "text":
        return []
    if given.type == "json_object":
        return [Spec("schema", '{"type": "object"}')]
    if given.type == "json_schema":
        return [_schema(given.json_schema.schema_, "response_format.json_schema.schema")]
    if given.type == "regex":
        return [Spec("regex", given.regex, param="response_format.regex")]
    return [_grammar(given.grammar, "response_format.grammar", given.syntax)]


def _structured(asked: Generation) -> list[Spec]:
    given = asked.structured_outputs
    if given is None:
        return []
    found = _some(given.json_, given.regex, given.choice, given.grammar, "structured_outputs.")
    if given.json_object:
        found.append(Spec("schema", '{"type": "object"}', param="structured_outputs.json_object"))
    if len(found) != 1:
        message = "structured_outputs: give one of json, regex, choice, grammar, json_object"
        raise refused(message, "structured_outputs", "several_constraints")
    return found


def _guided(asked: Generation) -> list[Spec]:
    return _some(asked.guided_json, asked.guided_regex, asked.guided_choice, asked.guided_grammar, "guided_")


def _some(schema: Any, pattern: str | None, options: list[str] | None, grammar: str | None, prefix: str) -> list[Spec]:
    found = []
    if schema is not None:
        found.append(_schema(schema, f"{prefix}json"))
    if pattern is not None:
        found.append(Spec("regex", pattern, param=f"{prefix}regex"))
    if options is not None:
        found.append(Spec("choice", json.dumps(options), param=f"{prefix}choice"))
    if grammar is not None:
        found.append(_grammar(grammar, f"{prefix}grammar", None))
    return found


def _schema(schema: Any, param: str) -> Spec:
    return Spec("schema", schema if isinstance(schema, str) else json.dumps(schema), param=param)


def _grammar(source: str, param: str, syntax: str | None) -> Spec:
    """GBNF writes ::= where Lark writes a colon."""
    return Spec(syntax or ("gbnf" if "::=" in source else "lark"), source, param=param)


def build(spec: Spec) -> Grammar:
    """The grammar. Raises ConstraintError."""
    grammar = _BUILDERS[spec.kind](spec.source)
    if spec.without:
        return grammar.except_(*[any_text() + stop + any_text() for stop in spec.without])
    return grammar


def _json(source: str) -> Grammar:
    try:
        schema = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise InvalidConstraint(f"the schema is not JSON: {error}") from None
    return json_schema(schema, whitespace="compact")


def _lark(source: str) -> Grammar:
    if "\n" not in source and source.endswith(".lark"):
        raise InvalidConstraint("a grammar is sent as its text, not as the name of a file")
    return lark(source)


def _choices(source: str) -> Grammar:
    options = json.loads(source)
    if not options:
        raise InvalidConstraint("there are no options to choose from")
    return choices(options)


def _calls(source: str) -> Grammar:
    return reduce(or_, [call_grammar(name, _arguments(name, schema)) for name, schema in json.loads(source)])


def _arguments(name: str, schema: Any) -> Grammar:
    try:
        return json_schema(schema, whitespace="compact") & json_schema({"type": "object"}, whitespace="compact")
    except (InvalidConstraint, UnsupportedConstraint) as error:
        raise type(error)(f"the parameters of {name}: {error}") from None


def _calls_or_text(source: str) -> Grammar:
    """Text does not begin as a call does."""
    return _calls(source) | any_text().except_(literal('{"name":') + any_text())


_BUILDERS: dict[str, Callable[[str], Grammar]] = {
    "schema": _json,
    "regex": regex,
    "choice": _choices,
    "gbnf": gbnf,
    "lark": _lark,
    "calls": _calls,
    "calls or text": _calls_or_text,
}


def calls(tools: Sequence[tuple[str, Any]], *, text: bool, without: Sequence[str] = ()) -> Spec:
    """A call of one of the tools, given by name and the schema of the arguments; with `text`, or any other text."""
    return Spec("calls or text" if text else "calls", json.dumps(tools), tuple(without), "tools")
