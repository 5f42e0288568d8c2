"""`p.tool_call`: the model writes a call, the function is called, its result is appended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .errors import LmprogError, RoleError, ToolError
from .holes import gen
from .tools import Tool, ToolCall, calls_of, text_of_value, tools_of

if TYPE_CHECKING:
    from .prompt import Prompt

executed: ContextVar[list[bool] | None] = ContextVar("lmprog.executed", default=None)  # notes calls, and if they ran


def call_tool(
    p: Prompt, functions: Iterable[Callable[..., Any]], hole: dict[str, Any], *, errors: str, result: str, role: str
) -> ToolCall:
    """`Prompt.tool_call`."""
    tools = tools_of(functions)
    before, after = _around(result)
    if errors not in ("append", "raise"):
        raise ToolError(f'errors is "append" or "raise", not {errors!r}')
    if role not in ("tool", "user"):
        raise ToolError(f'role is "tool" or "user", not {role!r}')
    roles = p._session.roles
    if roles.open:
        raise RoleError(f"p.tool_call in the {roles.open} role: call it between messages, as it writes its own")
    call = gen(grammar=calls_of(tools), **hole)
    if roles.kind != "chat":
        made = p.effect(_made, tools, p(call, before), errors)
        p(made.text, after)
        return made
    with p.assistant():
        written = p(call)
    made = p.effect(_made, tools, written, errors)
    with p._role(role, made.name if role == "tool" else None):
        p(made.text)
    return made


def _around(result: str) -> tuple[str, str]:
    before, place, after = result.partition("{}")
    if not place:
        raise ToolError(f"result says where the result goes by {{}}, as in '\\nResult: {{}}\\n', not {result!r}")
    return before, after


def _made(tools: dict[str, Tool], call: Any, errors: str) -> ToolCall:
    """Call the function."""
    name, arguments = call["name"], call["arguments"]
    try:
        value = tools[name](arguments)
    except LmprogError:
        raise
    except Exception as error:
        _note(False)
        if errors == "raise":
            error.add_note(f"in the tool {name}, called with {arguments}")
            raise
        return ToolCall(name, arguments, error=error, text=f"{type(error).__name__}: {error}")
    _note(True)
    return ToolCall(name, arguments, value, text=text_of_value(value))


def _note(ran: bool) -> None:
    if (notes := executed.get()) is not None:
        notes.append(ran)
