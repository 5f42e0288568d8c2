"""Prompts of chats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lmprog.runtime.errors import RequestError
from lmprog.serve.chats import Chats
from lmprog.serve.wire import FunctionTool, Message
from lmprog.testing import RandomModel, TableModel


class Picky(RandomModel):
    """A template without some roles, whose messages are shown as text."""

    def __init__(self, *roles: str) -> None:
        super().__init__(0)
        self.known = roles

    def chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> list[int]:
        for message in messages:
            if message["role"] not in self.known:
                raise RequestError(f"no {message['role']}")
        return self.encode("|".join([f"{m['role']}={m['content']}" for m in messages]))


def shown(model: RandomModel, messages: list[Any], tools: list[Any]) -> str:
    ids = Chats(model).ids(
        [Message.model_validate(message) for message in messages], [FunctionTool.model_validate(t) for t in tools]
    )
    return model.vocab.decode(ids).decode()


TOOL = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
TALK = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": "1 and 2?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "3"},
]


def test_a_template_that_knows_all_roles() -> None:
    text = shown(Picky("system", "user", "assistant", "tool"), TALK, [])

    assert 'system=Be brief.|user=1 and 2?|assistant={"name":"add","arguments":{"a":1}}|tool=3' == text


def test_a_template_that_knows_two() -> None:
    text = shown(Picky("user", "assistant"), TALK, [TOOL])
    system, _, rest = text.partition("\n\nBe brief.\n\n")

    assert system.startswith("user=You may call these tools")
    assert json.loads(system.splitlines()[-1]) == TOOL["function"]
    assert '1 and 2?|assistant={"name":"add","arguments":{"a":1}}|user=The tool answered: 3' == rest


def test_no_template() -> None:
    with TableModel([bytes((b,)) for b in range(256)], lambda _: [1 / 257] * 257) as model:
        chats = Chats(model)
        ids = chats.ids([Message(role="user", content="hello")], [])

        assert chats.plain
        assert b"user:\nhello\n\nassistant:\n" == bytes(ids[1:])
        assert "\n\nuser:" in chats.stops
        assert () == Chats(RandomModel(0)).stops
