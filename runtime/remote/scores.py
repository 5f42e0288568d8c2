"""How probable texts are behind a prompt, from a server that tells the log-probabilities of a prompt's own tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import RequestError
from ..request import Request, Result
from . import texts
from .errors import BackendAnswer
from .servers import Found

TOGETHER = 32  # prompts in one request
Spelling = list[tuple[str, float]]  # tokens by their ids, and their log-probabilities
Post = Callable[[dict[str, Any]], Awaitable[Any]]


@dataclass
class Scoring(Request):
    """Asks for the log-probability of each of `texts` behind the prompt, as the server's tokenizer spells prompt and
    text together: `answers` of the result are these, and the numbers of tokens that they take."""

    texts: Sequence[str] = ()


async def scored(request: Scoring, found: Found, url: str, post: Post) -> Result:
    """Raises RequestError for chats, BackendError."""
    prompt = texts.read(request.ids)
    if prompt.messages is not None:
        raise RequestError(f"{url} tells the probabilities of plain text only, not of what comes in a chat")
    wanted = [prompt.text, *[prompt.text + text for text in request.texts]]
    spelt: list[Spelling] = []
    for at in range(0, len(wanted), TOGETHER):
        some = wanted[at : at + TOGETHER]
        body = {"model": found.model, "prompt": some, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        choices = (await post(body)).get("choices") or ()
        ordered = sorted(choices, key=lambda choice: choice.get("index", 0))
        if len(ordered) != len(some):
            raise BackendAnswer(f"{url} gave {len(ordered)} answers to {len(some)} prompts", url)
        spelt += [_spelling(choice, url) for choice in ordered]
    prompt_alone, *others = spelt
    behind = [_behind(prompt_alone, one) for one in others]
    answers = [np.array([total for total, _ in behind]), np.array([tokens for _, tokens in behind])]
    tokens = sum(map(len, spelt))
    return Result([], "complete", None, tokens, tokens, 0, 0, [], 0.0, answers=answers)


def _spelling(choice: Mapping[str, Any], url: str) -> Spelling:
    known = choice.get("prompt_logprobs")
    if not isinstance(known, list):
        raise BackendAnswer(f"{url} does not tell the log-probabilities of prompts", url)
    return [next(((token, float(one["logprob"])) for token, one in place.items()), ("", 0.0)) for place in known[1:]]


def _behind(prompt: Spelling, whole: Spelling) -> tuple[float, int]:
    """The log-probability of what the whole has behind the prompt, and how many tokens that is. Tokens that both begin
    with do not matter; the prompt's last ones may be others when more text follows."""
    pairs = zip(prompt, whole, strict=False)
    same = next((i for i, (a, b) in enumerate(pairs) if a[0] != b[0]), min(len(prompt), len(whole)))
    total = sum([value for _, value in whole[same:]]) - sum([value for _, value in prompt[same:]])
    return total, max(1, len(whole) - len(prompt))
