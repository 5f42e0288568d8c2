"""What is sent: a request in the words of each server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import RequestError
from ..sampling import Sampling
from .servers import Capabilities
from .texts import Prompt

OLD_VLLM = (0, 11)  # before, constraints were called guided_…
GREEDY = Sampling()


@dataclass(frozen=True)
class Enforced:
    """What a server is told to enforce: one of these, or nothing. `schema` is JSON."""

    grammar: str | None = None
    regex: str | None = None
    schema: str | None = None


@dataclass(frozen=True)
class Sent:
    """A path below the API's base, and a JSON body."""

    path: str
    body: dict[str, Any]

    @property
    def chat(self) -> bool:
        return self.path.startswith("/chat")


def sent(
    model: str,
    can: Capabilities,
    prompt: Prompt,
    enforced: Enforced,
    max_tokens: int,
    sampling: Sampling,
    stop: tuple[str, ...],
    logprobs: bool,
) -> Sent:
    """The request for a completion. Raises RequestError for what the server has no word for."""
    body: dict[str, Any] = {"model": model, **_prompt(can, prompt), **_sampling(can, sampling)}
    body["max_completion_tokens" if can.server == "openai" else "max_tokens"] = max_tokens
    if stop:
        body["stop"] = list(stop)
    chat = "messages" in body
    if logprobs:
        body.update({"logprobs": True} if chat else {"logprobs": 1})
    body.update(_constraint(can, enforced, chat))
    return Sent("/chat/completions" if chat else "/completions", body)


def _prompt(can: Capabilities, prompt: Prompt) -> dict[str, Any]:
    if prompt.messages is None:
        if can.completions:
            return {"prompt": prompt.text}
        return {"messages": [{"role": "user", "content": prompt.text}]}
    messages = [*prompt.messages]
    if not prompt.text:
        return {"messages": messages}
    if not can.continues:
        raise RequestError(
            f"{can.server} does not continue a message that the assistant has begun ({prompt.text[-60:]!r}): let the "
            "hole come first in the assistant's message"
        )
    whole = [*messages, {"role": "assistant", "content": prompt.text}]
    return {"messages": whole, "continue_final_message": True, "add_generation_prompt": False}


def _sampling(can: Capabilities, s: Sampling) -> dict[str, Any]:
    """Defaults are sent too: servers have others of their own."""
    body: dict[str, Any] = {"temperature": s.temperature, "top_p": s.top_p}
    if s.seed is not None:
        body["seed"] = s.seed % 2**31
    if s.presence_penalty or s.frequency_penalty:
        body.update(presence_penalty=s.presence_penalty, frequency_penalty=s.frequency_penalty)
    if s.logit_bias:
        body["logit_bias"] = {str(token): max(bias, -100.0) for token, bias in s.logit_bias.items()}
    penalty = "repeat_penalty" if can.server == "llama.cpp" else "repetition_penalty"
    own = {"top_k": s.top_k, "min_p": s.min_p, penalty: s.repetition_penalty}
    if can.server in ("vllm", "sglang", "llama.cpp", "lmprog"):
        return {**body, **own, **({"top_k": -1} if can.server == "sglang" and not s.top_k else {})}
    default = {"top_k": GREEDY.top_k, "min_p": GREEDY.min_p, penalty: GREEDY.repetition_penalty}
    changed = {name: value for name, value in own.items() if value != default[name]}
    if changed and can.server != "other":
        raise RequestError(f"{can.server} does not know {next(iter(changed))}")
    return {**body, **changed}


def _constraint(can: Capabilities, e: Enforced, chat: bool) -> dict[str, Any]:
    if e == Enforced():
        return {}
    if chat and can.server == "sglang" and e.schema is not None:
        return {"response_format": response_format(_loaded(e.schema))}
    match can.server:
        case "vllm" | "lmprog":
            given = {"grammar": e.grammar, "regex": e.regex, "json": _loaded(e.schema)}
            given = {name: value for name, value in given.items() if value is not None}
            if _version(can.version) < OLD_VLLM:
                return {f"guided_{name}": value for name, value in given.items()}
            return {"structured_outputs": given}
        case "sglang":
            given = {"ebnf": e.grammar, "regex": e.regex, "json_schema": e.schema}
            return {name: value for name, value in given.items() if value is not None}
        case "llama.cpp":
            return {"grammar": e.grammar} if e.grammar is not None else {"json_schema": _loaded(e.schema)}
    return {"response_format": response_format(_loaded(e.schema))}


def response_format(schema: Any) -> Mapping[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _loaded(schema: str | None) -> Any:
    return None if schema is None else json.loads(schema)


def _version(text: str) -> tuple[int, ...]:
    numbers = tuple([int(part) for part in re.findall(r"\d+", text)[:2]])
    return numbers or (999,)
