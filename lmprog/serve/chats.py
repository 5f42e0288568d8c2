"""The prompt of a chat: the model's own template, or a plain one for models that have none.

    user:
    How many legs has a spider?

    assistant:

is what a base model gets to see; its answer ends where it begins another turn. Tools are told of in a system message;
a call is written as `{"name":"add","arguments":{"a":1,"b":2}}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..runtime.errors import RequestError
from ..runtime.model import Model
from ..tools import call_head
from .wire import Called, FunctionTool, Message

TURNS = ("\n\nuser:", "\n\nsystem:", "\n\nassistant:", "\n\ntool:")
TOOLS = "You may call these tools, by answering with nothing but a call such as {example}:\n{lines}"
Turn = dict[str, str]


class Chats:
    """What the chat template of a model understands; a model without one gets the plain template."""

    def __init__(self, model: Model) -> None:
        self._model = model
        user = {"role": "user", "content": "x"}
        self.plain = not self._understood([user])
        self._system = self.plain or self._understood([{"role": "system", "content": "x"}, user])
        call = {"role": "assistant", "content": "x"}
        self._tool = self.plain or self._understood([user, call, {"role": "tool", "content": "x"}])

    def _understood(self, messages: list[Turn]) -> bool:
        try:
            self._model.chat(messages)
        except RequestError:
            return False
        return True

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts before which an answer ends, beside those that a request names."""
        return TURNS if self.plain else ()

    def ids(self, messages: Sequence[Message], tools: Sequence[FunctionTool]) -> list[int]:
        """The prompt. Raises RequestError when the template refuses the messages."""
        turns = self._turns(messages, tools)
        if not self.plain:
            return self._model.chat(turns)
        text = "".join([f"{turn['role']}:\n{turn['content']}\n\n" for turn in turns]) + "assistant:\n"
        bos = [] if self._model.bos is None else [self._model.bos]
        return bos + self._model.encode(text)

    def _turns(self, messages: Sequence[Message], tools: Sequence[FunctionTool]) -> list[Turn]:
        turns = [self._turn(message) for message in messages]
        if tools:
            turns.insert(0, {"role": "system", "content": described(tools)})
        out: list[Turn] = []
        for turn in turns:
            if out and out[-1]["role"] == "system" and turn["role"] in ("system", *["user"] * (not self._system)):
                out[-1] = {"role": turn["role"], "content": f"{out[-1]['content']}\n\n{turn['content']}"}
            else:
                out.append(turn)
        return out if self._system else [{**turn, "role": turn["role"].replace("system", "user")} for turn in out]

    def _turn(self, message: Message) -> Turn:
        role = "system" if message.role == "developer" else message.role
        content = message.text
        if message.tool_calls:
            content = "\n".join([content] * bool(content) + [call_text(call) for call in message.tool_calls])
        if role == "tool" and not self._tool:
            return {"role": "user", "content": f"The tool answered: {content}"}
        return {"role": role, "content": content}


def call_text(call: Called) -> str:
    return f"{call_head(call.function.name)}{call.function.arguments}}}"


def described(tools: Sequence[FunctionTool]) -> str:
    """What the model is told of tools."""
    lines = [json.dumps(tool.function.model_dump(exclude_none=True, exclude={"strict"})) for tool in tools]
    example = f"{call_head(tools[0].function.name)}{{…}}}}"
    return TOOLS.format(example=example, lines="\n".join(lines))
