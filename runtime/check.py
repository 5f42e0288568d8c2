"""What can be known to be wrong with a request before it runs."""

from __future__ import annotations

import math

from .errors import ContextOverflow, OutOfSlots, RequestError
from .request import Request
from .sequence import Sequence


def check(seq: Sequence, width: int, context: int, slots: int) -> None:
    """Raises RequestError; ContextOverflow and OutOfSlots for one that is too long. `width`: logits of the model."""
    request, prompt = seq.request, seq.prompt
    if request.model is not None:
        raise RequestError("another model can be named in the requests of a routine only: see `run`")
    if prompt == 0 or request.max_tokens < (not request.asks):
        raise RequestError("a request needs at least one prompt token (the BOS, say) and max_tokens of 1 or more")
    if request.asks:
        _check_asks(request, width)
    if int(seq.ids[:prompt].min()) < 0 or int(seq.ids[:prompt].max()) >= width:
        raise RequestError(f"prompt ids must lie in [0, {width})")
    if request.timeout is not None and not 0 < request.timeout < math.inf:
        raise RequestError(f"a timeout must be a finite number of seconds above 0, or None, not {request.timeout}")
    if request.top_logprobs < 0:
        raise RequestError(f"top_logprobs must be 0 or more, not {request.top_logprobs}")
    most = f"{prompt} prompt tokens and max_tokens={request.max_tokens}"
    longest = prompt + max(1, request.max_tokens)
    if longest > context:
        raise ContextOverflow(
            f"{most} make {longest}, but the model's context is {context}: shorten the prompt or lower max_tokens"
        )
    if longest > slots:
        raise OutOfSlots(f"{most} need {longest} KV slots, the engine has {slots}: load the model with more slots")


def _check_asks(request: Request, width: int) -> None:
    if request.max_tokens or request.constraint is not None:
        raise RequestError("a request with asks generates nothing: it has max_tokens=0 and no constraint")
    for ask in request.asks:
        if not 1 <= ask.after <= len(request.ids):
            raise RequestError(f"an ask is about what comes after 1 to {len(request.ids)} ids, not {ask.after}")
        if not len(ask.tokens) or int(ask.tokens.min()) < 0 or int(ask.tokens.max()) >= width:
            raise RequestError(f"an ask names tokens, of which the ids lie in [0, {width})")
