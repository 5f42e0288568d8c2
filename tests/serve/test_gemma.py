"""The default model behind the server: a chat without a template of its own, JSON by a schema, a large vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from lmprog.runtime.load import load

from .serving import Serving, serving

pytestmark = pytest.mark.slow

SCHEMA: Any = {
    "type": "object",
    "properties": {
        "animal": {"type": "string", "maxLength": 20},
        "legs": {"type": "integer", "minimum": 0, "maximum": 8},
        "home": {"enum": ["sea", "house", "forest", "air"]},
    },
    "required": ["animal", "legs", "home"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def gemma() -> Iterator[Serving]:
    with load(slots=4096) as model, serving(model) as live:
        yield live
        live.check()


def test_answers_follow_the_schema(gemma: Serving) -> None:
    kind: Any = {"type": "json_schema", "json_schema": {"name": "animal", "strict": True, "schema": SCHEMA}}
    whale: Any = [{"role": "user", "content": "Describe the whale."}]
    client = gemma.openai()
    for temperature in (0, 1):
        answer = client.chat.completions.create(
            model="gemma-3-270m", messages=whale, response_format=kind, temperature=temperature, seed=1
        )
        jsonschema_rs.validate(SCHEMA, json.loads(answer.choices[0].message.content or ""))


def test_a_chat_ends_before_the_next_turn(gemma: Serving) -> None:
    messages: Any = [{"role": "user", "content": "How many legs has a spider?"}]
    choice = gemma.openai().chat.completions.create(
        model="gemma-3-270m", messages=messages, max_tokens=48, temperature=0
    ).choices[0]  # fmt: skip

    assert choice.message.content
    assert "\n\nuser:" not in choice.message.content


def test_completions_are_those_of_the_engine(gemma: Serving) -> None:
    from lmprog.runtime.request import Request

    model = gemma.model
    ids = [model.bos or 0, *model.encode("The Danube flows through")]
    expected = model.submit(Request(ids, 8)).result().ids
    actual = gemma.openai().completions.create(
        model="gemma-3-270m", prompt="The Danube flows through", max_tokens=8, temperature=0
    )

    assert b"".join([model.vocab.token_bytes[i] or b"" for i in expected]).decode() == actual.choices[0].text
