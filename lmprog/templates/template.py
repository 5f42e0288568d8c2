"""`lp.Template`: a Jinja2 source as a program."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, cast

import jinja2
from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

from ..decoders import Decoder, check_decoder
from ..errors import ProgramError, TemplateError
from ..holes import Boundary, Hole, check_boundary
from ..models import LanguageModel
from ..options import Options
from ..programs import Program
from ..prompt import Prompt
from .environment import FILLED, Prompts
from .loaders import Sources, loader_of
from .render import Pieces, Rendering


class Template(Program[..., dict[str, Any]]):
    """A program written as a Jinja2 template. Its arguments are the template's variables, by name or as one mapping;
    a call gives the values of its holes by name.

    `{{ gen("name", regex="…") }}`, `{{ select("kind", ["math", "poem"]) }}`, `{{ quote("evidence", document) }}`, or as
    tags, `{% gen "name", int, ge=0 %}`, are filled where they stand. Afterwards the name is the value:
    `{% if kind == "math" %}`, `{% for item in items %}`. A hole that stands inside of a `{% for %}` gives the list of
    its values to the caller, and its last one to the template. Holes that were not reached are not in the result.

    `{% system %}…{% endsystem %}`, `{% user %}`, `{% assistant %}` and `{% tool "name" %}` make a chat; white space at
    the edges of messages and between them is dropped.

    name      stands in messages
    loader    where `include`, `extends` and `import` look: a folder, which they cannot leave, or {name: source}
    trim_blocks, lstrip_blocks, keep_trailing_newline   as in Jinja; also `{%- … -%}`

    Templates are sandboxed, unknown names are errors, nothing is escaped. Holes where order cannot be kept (in filter,
    macro, call and set blocks, under filters and in expressions) raise TemplateError with the line when the template is
    compiled. Errors of a run carry the template's line.

    >>> import lmprog as lp
    >>> card = lp.Template('Topic: {{ topic }}\\nKind: {{ select("kind", ["math", "poem"]) }}\\n')
    >>> print(card.prompt(topic="cats"))
    Topic: cats
    Kind: ⟨kind: one of 'math', 'poem'⟩
    """

    def __init__(
        self,
        source: str,
        *,
        name: str = "template",
        loader: Sources | None = None,
        model: LanguageModel | None = None,
        decoder: Decoder | None = None,
        seed: int | None = None,
        boundary: Boundary = "heal",
        trim_blocks: bool = False,
        lstrip_blocks: bool = False,
        keep_trailing_newline: bool = False,
        filename: str | None = None,
    ) -> None:
        if decoder is not None:
            check_decoder(decoder)
        self._environment = Prompts(
            loader_of(loader),
            trim_blocks=trim_blocks,
            lstrip_blocks=lstrip_blocks,
            keep_trailing_newline=keep_trailing_newline,
        )
        self.source, self.filename = source, filename or f"<{name}>"
        self._template = self._compiled(source, name, self.filename)
        super().__init__(self._render, model, Options(decoder, seed, check_boundary(boundary)))
        self.__name__ = name

    @classmethod
    def from_file(cls, path: str | Path, *, loader: Sources | None = None, **options: Any) -> Template:
        """The template in a file (UTF-8). Without `loader`, includes look in the file's folder."""
        file = Path(path)
        options = {"name": file.name, "filename": str(file), "loader": loader or file.parent, **options}
        return cls(file.read_text("utf-8"), **options)

    def asks(self) -> dict[str, bool]:
        """The names that the source takes from its caller; True for those that it goes through in a loop."""
        tree = self._environment.parse(self.source)
        calls = [node for node in tree.find_all(nodes.Call) if node.args and isinstance(node.args[0], nodes.Const)]
        filled = {cast(nodes.Const, node.args[0]).value for node in calls}
        looped = {node.iter.name for node in tree.find_all(nodes.For) if isinstance(node.iter, nodes.Name)}
        names = find_undeclared_variables(tree) - filled - self._environment.globals.keys()
        return {name: name in looped for name in sorted(names)}

    def _compiled(self, source: str, name: str, filename: str) -> jinja2.Template:
        environment = self._environment
        try:
            code = environment.compile(source, name, filename)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(error.message or "syntax error", error.name or name, error.lineno) from None
        return environment.template_class.from_code(environment, code, environment.make_globals(None))

    @cached_property
    def said(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset(self._environment.texts(self.source))

    def _render(self, p: Prompt, variables: Mapping[str, Any] | None = None, /, **more: Any) -> dict[str, Any]:
        if variables is not None and not isinstance(variables, Mapping):
            raise ProgramError(
                f"{self.__name__} takes its variables by name or as one mapping, not {type(variables).__name__}"
            )
        known = {**(variables or {}), **more}
        filled: dict[str, Any] = {}
        context = self._template.new_context({**known, FILLED: filled})
        taken = {name for name, value in known.items() if not isinstance(value, Hole)}
        rendering = Rendering(p, filled, taken | self._environment.globals.keys())
        try:
            return rendering.run(cast(Pieces, self._template.root_render_func(context)))
        except Exception as error:
            self._tell(error)

    def _tell(self, error: Exception) -> NoReturn:
        """Raise it with the template's name and line."""
        name, line = _place(error.__traceback__) or (self.__name__, None)
        if isinstance(error, jinja2.TemplateSyntaxError):
            raise TemplateError(error.message or "syntax error", error.name or name, error.lineno) from error
        if isinstance(error, jinja2.TemplateError):
            raise TemplateError(_message(error), name, line) from error
        error.add_note(f"in the template {name!r}" + (f", line {line}" if line else ""))
        self._environment.handle_exception()

    def __get__(self, instance: Any, owner: type | None = None) -> Template:
        return self

    def __deepcopy__(self, memo: object) -> Template:
        """Itself: it never changes."""
        return self

    def __repr__(self) -> str:
        return f"<template {self.__name__}{self._changed()}>"


def _message(error: jinja2.TemplateError) -> str:
    if isinstance(error, jinja2.TemplateNotFound):
        return f"there is no template {error.message!r} where loader= looks"
    return error.message or type(error).__name__


def _place(traceback: TracebackType | None) -> tuple[str, int] | None:
    """The innermost template and line of a traceback."""
    found = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            found = template.name or "template", template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return found
