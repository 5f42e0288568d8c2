"""From what `gen` and `select` are told to a grammar, a way to read its texts, and a few words that describe it.

A program describes its holes anew in every run, so what is built from equal descriptions is kept.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple

from .errors import EmptyLanguage, HoleError, InvalidConstraint
from .grammars import Grammar, choices, literal
from .verbalizer import Verbalizer, verbalizer_of


class Language(NamedTuple):
    """`grammar` is None for any text. `options`: all its texts, of a choice between a few; `words`: of classes."""

    kind: str
    grammar: Grammar | None
    parse: Callable[[str], Any]
    options: tuple[str, ...] | None = None
    words: Verbalizer | None = None


def language(source: str, value: Any, limits: dict[str, Any]) -> Language:
    """The language of one source ("type", "regex", "json", "grammar", "choices") and its value."""
    if limits:
        _check_names(limits)
    if limits and source != "type":
        raise HoleError(f"{next(iter(limits))}= limits a type, as in gen(int, ge=0); it cannot go with {source}=")
    found = _SOURCES[source](value, limits)
    if found.grammar is not None and found.options is None and _accepts_nothing(found.grammar):
        raise EmptyLanguage(f"{found.kind} accepts no text at all")
    return found


def _check_names(limits: dict[str, Any]) -> None:
    from .grammars.types import LIMITS
    from .holes import gen

    for name in sorted(limits.keys() - LIMITS):
        near = get_close_matches(name, [*inspect.signature(gen).parameters, *LIMITS], 1)
        mend = f"did you mean {near[0]}=?" if near else f"limits of a type are {', '.join(sorted(LIMITS))}"
        raise HoleError(f"gen has no argument {name}=: {mend}")


@lru_cache(maxsize=1024)
def _accepts_nothing(grammar: Grammar) -> bool:
    from .grammars.where import empty

    return empty(grammar.expr)


def _type(tp: Any, limits: dict[str, Any]) -> Language:
    if tp is str and not limits:
        return Language("str", None, str)
    kind = ", ".join([type_name(tp), *(f"{key}={value!r}" for key, value in limits.items())])
    grammar = _from_type(tp, limits)
    return Language(kind, grammar, grammar.parse, None if limits else texts_of(tp))


def texts_of(tp: Any) -> tuple[str, ...] | None:
    """All texts of a type that has a few values; None for others."""
    from .grammars.types import bare_values

    values = bare_values(tp)
    return None if values is None else tuple(values)


def _from_type(tp: Any, limits: dict[str, Any]) -> Grammar:
    from .grammars import from_type

    try:
        return _known_type(tp, tuple(limits.items()))
    except TypeError:  # a type or limit that cannot be hashed
        return from_type(tp, **limits)


@lru_cache(maxsize=256)
def _known_type(tp: Any, limits: tuple[tuple[str, Any], ...]) -> Grammar:
    from .grammars import from_type

    return from_type(tp, **dict(limits))


def _regex(pattern: Any, limits: dict[str, Any]) -> Language:
    if not isinstance(pattern, str):
        raise HoleError(f"regex= takes the pattern as a text, not {type(pattern).__name__}")
    return Language(f"/{pattern}/", _known_regex(pattern), str)


@lru_cache(maxsize=1024)
def _known_regex(pattern: str) -> Grammar:
    from .grammars import regex

    return regex(pattern)


def _json(schema: Any, limits: dict[str, Any]) -> Language:
    if isinstance(schema, type):  # a pydantic model, a dataclass, a TypedDict
        return _type(schema, limits)
    if not isinstance(schema, str | bool | dict):
        raise HoleError(f"json= takes a schema (dict, or JSON text) or a model class, not {type(schema).__name__}")
    grammar = _known_schema(schema if isinstance(schema, str) else _dumps(schema))
    return Language("json", grammar, grammar.parse)


def _dumps(schema: bool | dict[str, Any]) -> str:
    try:
        return json.dumps(schema)
    except (TypeError, ValueError) as error:
        raise InvalidConstraint(f"the schema is not JSON: {error}") from None


@lru_cache(maxsize=256)
def _known_schema(schema: str) -> Grammar:
    try:
        loaded = json.loads(schema)
    except json.JSONDecodeError as error:
        raise InvalidConstraint(f"the schema is not JSON: {error}") from None
    from .grammars import json_schema

    return json_schema(loaded, whitespace="compact")


def _grammar(grammar: Any, limits: dict[str, Any]) -> Language:
    if not isinstance(grammar, Grammar | str):
        raise HoleError(f"grammar= takes a Grammar or a text, not {type(grammar).__name__}")
    whole = literal(grammar)
    return Language(whole.name or "grammar", whole, whole.parse)


def _choices(options: Any, limits: dict[str, Any]) -> Language:
    return options_language(options)


_SOURCES = {"type": _type, "regex": _regex, "json": _json, "grammar": _grammar, "choices": _choices}


def options_language(options: Any) -> Language:
    """The language of a choice; a text is read as the option that it was made of."""
    if (words := verbalizer_of(options)) is not None:
        texts = tuple(words.values)
        return Language(_one_of(words.words), _known_options(texts), words.values.__getitem__, texts, words)
    by_text = options_by_text(options)
    texts = tuple(by_text)
    return Language(_one_of(texts), _known_options(texts), by_text.__getitem__, texts)


def _one_of(options: Iterable[Any]) -> str:
    listed = list(options)
    return f"one of {', '.join([repr(option) for option in listed[:4]] + ['…'] * (len(listed) > 4))}"


def options_by_text(options: Any) -> dict[str, Any]:
    """The options by their texts. Raises HoleError."""
    if isinstance(options, str | bytes):
        raise HoleError(f"options are a list, not one {type(options).__name__}: write select([...])")
    by_text: dict[str, Any] = {}
    for option in options:
        if isinstance(option, bytes | bytearray):
            raise HoleError(f"an option is text, not bytes: {option!r}")
        text = str(option)
        if text.encode(errors="ignore").decode() != text:
            raise HoleError(f"an option holds half a surrogate pair, which is not text: {text!r}")
        if text in by_text:
            raise HoleError(f"two options have the same text: {text!r}")
        by_text[text] = option
    if not by_text:
        raise HoleError("there are no options to choose from: give at least one")
    return by_text


@lru_cache(maxsize=256)
def _known_options(options: tuple[str, ...]) -> Grammar:
    return choices(options)


def restricted(grammar: Grammar | None, where: Any) -> Grammar:
    """The texts of a language (None: any text) that meet a condition."""
    from .grammars import any_text
    from .grammars.where import restrict

    if not isinstance(where, str):
        raise HoleError(
            f"where= takes a condition on x as a text, such as 'len(x) < 40', or a function of the value, "
            f"not {type(where).__name__}"
        )
    return restrict(any_text() if grammar is None else grammar, where)


def type_name(tp: Any) -> str:
    return tp.__name__ if isinstance(tp, type) and not hasattr(tp, "__args__") else str(tp).replace("typing.", "")
