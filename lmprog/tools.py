"""Functions that the model may call: their JSON Schemas, and the texts of calls."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, NotRequired, get_type_hints

from .docstrings import read_docstring
from .errors import InvalidConstraint, ToolError, UnsupportedConstraint
from .grammars import Grammar, from_type, literal

ASYNC = """\
{name} is async, and a tool is called in the middle of a plain function. Give a plain function that waits for it:

    def {name}_now(...): return asyncio.run({name}(...))
"""


@dataclass(frozen=True)
class ToolCall:
    """One call that the model made.

    arguments   Python values of the parameters' types, by name; those that the model left to their defaults are absent
    value       what the function returned; None after an error
    error       the exception that it raised, None otherwise
    text        what was appended: the value as text, or the error
    """

    name: str
    arguments: dict[str, Any]
    value: Any = None
    error: Exception | None = None
    text: str = ""


@dataclass(frozen=True)
class Tool:
    """A function as a tool. `schema`: the JSON Schema of its arguments, with descriptions from the docstring."""

    function: Callable[..., Any]
    name: str
    description: str
    schema: dict[str, Any]
    arguments: Grammar = field(repr=False)

    @property
    def signature(self) -> dict[str, Any]:
        """Name, description and parameters, as models are told of tools."""
        return {"name": self.name, "description": self.description, "parameters": self.schema}

    @property
    def grammar(self) -> Grammar:
        """The calls of it: `{"name":"add","arguments":{"a":1,"b":2}}`. A value has `name` and `arguments`."""
        return call_grammar(self.name, self.arguments)

    def __call__(self, arguments: dict[str, Any]) -> Any:
        places = [p.name for p in inspect.signature(self.function).parameters.values() if p.kind is p.POSITIONAL_ONLY]
        by_name = {name: value for name, value in arguments.items() if name not in places}
        value = self.function(*[arguments[name] for name in places if name in arguments], **by_name)
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise ToolError(ASYNC.format(name=self.name))
        return value


def tools_of(functions: Iterable[Callable[..., Any]]) -> dict[str, Tool]:
    """The tools by their names. Raises ToolError."""
    if callable(functions):
        raise ToolError(f"tools are a list of functions: [{getattr(functions, '__name__', functions)}]")
    tools = [_tool(function) for function in functions]
    if not tools:
        raise ToolError("there are no tools to call: give at least one function")
    names = [tool.name for tool in tools]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ToolError(f"two tools are called {twice[0]!r}: rename one of the functions")
    return dict(zip(names, tools, strict=True))


def call_head(name: str) -> str:
    """The text of a call up to its arguments; behind them comes `}`."""
    return f'{{"name":{json.dumps(name)},"arguments":'


def call_grammar(name: str, arguments: Grammar) -> Grammar:
    """The calls of a tool; a value has `name` and `arguments`."""
    head = call_head(name)
    whole = literal(head) + arguments + "}"
    return Grammar(whole.expr, lambda text: {"name": name, "arguments": arguments.parse(text[len(head) : -1])})


def calls_of(tools: dict[str, Tool]) -> Grammar:
    """The calls of any of them."""
    return reduce(or_, [tool.grammar for tool in tools.values()]).named(f"a call of {', '.join(tools)}")


def describe_tools(functions: Sequence[Callable[..., Any]]) -> str:
    """What a prompt says of tools: one line of JSON for each, with its name, description and parameters.

    >>> def add(a: int, b: int) -> int:
    ...     "Adds two numbers."
    >>> print(describe_tools([add]))
    {"name": "add", "description": "Adds two numbers.", "parameters": {"properties": {"a": {"type": "integer"}, "b": \
{"type": "integer"}}, "required": ["a", "b"], "type": "object"}}
    """
    return "\n".join(json.dumps(tool.signature, ensure_ascii=False) for tool in tools_of(functions).values())


def text_of_value(value: Any) -> str:
    """A result as text: a str as it is, JSON where there is one, `str(value)` otherwise."""
    from pydantic_core import to_json

    if isinstance(value, str):
        return value
    return to_json(value, fallback=str, inf_nan_mode="constants").decode()


def _tool(function: Callable[..., Any]) -> Tool:
    try:
        return _known_tool(function)
    except TypeError:  # cannot be hashed
        return _new_tool(function)


@lru_cache(maxsize=256)
def _known_tool(function: Callable[..., Any]) -> Tool:
    return _new_tool(function)


def _new_tool(function: Callable[..., Any]) -> Tool:
    if not callable(function):
        raise ToolError(f"a tool is a function, not {function!r}")
    name = getattr(function, "__name__", type(function).__name__)
    if not name.isidentifier():
        raise ToolError(f"a tool needs a name, and {function!r} has none: write a def")
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        raise ToolError(ASYNC.format(name=name))
    parameters = list(_parameters(function, name))
    about, fields = read_docstring(inspect.getdoc(function), [p.name for p in parameters])
    arguments = _arguments(function, name, parameters, fields)
    try:
        grammar = from_type(arguments)
    except (InvalidConstraint, UnsupportedConstraint) as error:
        raise ToolError(f"the parameters of {name} cannot be enforced: {error}") from error
    return Tool(function, name, about, _schema(arguments, parameters), grammar)


def _parameters(function: Callable[..., Any], name: str) -> Iterable[inspect.Parameter]:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ToolError(f"{name} takes *{parameter.name}: a model needs parameters with names and types")
        yield parameter


def _arguments(
    function: Callable[..., Any], name: str, parameters: Sequence[inspect.Parameter], fields: dict[str, str]
) -> Any:
    """The type of the arguments together: a TypedDict, as names of its keys are free."""
    from pydantic import Field
    from typing_extensions import TypedDict  # pydantic does not take that of typing before Python 3.12

    hints = _hints(function, name)
    types: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name not in hints:
            raise ToolError(f"parameter {parameter.name!r} of {name} has no type: annotate it")
        tp = hints[parameter.name]
        if about := fields.get(parameter.name):
            tp = Annotated[tp, Field(description=about)]
        types[parameter.name] = tp if parameter.default is parameter.empty else NotRequired[tp]
    return TypedDict(name, types)  # type: ignore[operator]  # made of what is only known now


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    plain = function if inspect.isroutine(function) else type(function).__call__
    try:
        return get_type_hints(plain, include_extras=True)
    except (NameError, TypeError) as error:
        raise ToolError(f"the types of {name} cannot be resolved: {error}") from error


def _schema(arguments: Any, parameters: Sequence[inspect.Parameter]) -> dict[str, Any]:
    from pydantic import TypeAdapter
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    schema: dict[str, Any] = _untitled(TypeAdapter(arguments).json_schema())
    for parameter in parameters:
        if parameter.default is not parameter.empty:
            try:
                schema["properties"][parameter.name]["default"] = to_jsonable_python(parameter.default)
            except PydanticSerializationError:
                continue  # a default that JSON cannot show
    return schema


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes up."""
    if isinstance(schema, list):
        return [_untitled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _untitled(part) for name, part in value.items()} if key == "properties" else _untitled(value)
        for key, value in schema.items()
        if key != "title" or not isinstance(value, str)
    }
