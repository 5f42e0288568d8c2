"""Many clients at once."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator

import httpx
import jsonschema_rs
import openai
import pytest

from lmprog.serve.settings import Settings
from lmprog.testing import RandomModel

from .serving import Serving, serving

CLIENTS = 200
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["n"]}
SYSTEM = "You answer with JSON. " * 8


@pytest.fixture(scope="module")
def crowded() -> Iterator[Serving]:
    with RandomModel(0) as model, serving(model, Settings(keys=tuple([f"key{i}" for i in range(4)]))) as live:
        yield live


async def whole(client: openai.AsyncOpenAI, i: int) -> str:
    kind = {"type": "json_schema", "json_schema": {"name": "n", "schema": {**SCHEMA, "additionalProperties": False}}}
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"client {i}"}]
    done = await client.chat.completions.create(
        model="RandomModel(0)",
        messages=messages,
        seed=i,
        response_format=kind,  # type: ignore[call-overload]
    )
    return str(done.choices[0].message.content)


async def streamed(client: openai.AsyncOpenAI, i: int) -> str:
    chunks = await client.completions.create(
        model="RandomModel(0)", prompt=SYSTEM, seed=i, stream=True, extra_body={"guided_regex": "[a-f]{4,12}!"}
    )
    return "".join([chunk.choices[0].text async for chunk in chunks])


async def leaving(client: openai.AsyncOpenAI, i: int) -> None:
    chunks = await client.completions.create(
        model="RandomModel(0)", prompt=SYSTEM, max_tokens=2000, stream=True, extra_body={"guided_regex": "[ab]{2000}"}
    )
    async for _ in chunks:
        break
    await chunks.close()


def test_two_hundred_clients_get_valid_answers(crowded: Serving) -> None:
    async def crowd() -> tuple[list[str], list[str]]:
        url = f"{crowded.url}/v1"
        clients = [openai.AsyncOpenAI(base_url=url, api_key=f"key{i}", max_retries=0, timeout=120) for i in range(4)]
        three = [whole, streamed, leaving]
        answers = await asyncio.gather(*[three[i % 3](clients[i % 4], i) for i in range(CLIENTS)])
        for client in clients:
            await client.close()
        return answers[::3], answers[1::3]  # type: ignore[return-value]

    of_schema, of_regex = asyncio.run(crowd())

    for text in of_schema:
        jsonschema_rs.validate(SCHEMA, json.loads(text))
    assert all(re.fullmatch("[a-f]{4,12}!", text) for text in of_regex)
    crowded.check()
    stats = crowded.model.engine.stats
    assert stats.requests == sum(stats.ended.values())
    assert stats.ended["error"] == 0
    assert stats.hit_rate > 0.5


def test_the_figures_add_up(crowded: Serving) -> None:
    text = httpx.get(f"{crowded.url}/metrics", headers={"Authorization": "Bearer key0"}).text
    found = {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines() if line[0] != "#")
    }
    route = 'route="/v1/chat/completions"'

    assert 67 == found[f'lmprog_http_requests_total{{method="POST",{route},status="200"}}']
    assert 67 == found[f"lmprog_http_request_seconds_count{{{route}}}"]
    assert 1 == found["lmprog_http_active_requests"]
    assert found["lmprog_requests_total"] == crowded.model.engine.stats.requests
    assert httpx.get(f"{crowded.url}/metrics").status_code == 401
