"""Saying nothing rather than something doubtful."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .errors import OutputError
from .leaves import Tree, data, leaves


def abstain(answer: Tree, least: float, read: Callable[[str], Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Make values of a confidence below `least` null, the least sure first, where `read` still takes the answer then.

    Returns two mappings from pointers to reasons: what is null now, and what is doubtful but could not be made null.
    """
    abstained, doubted = {}, {}
    for pointer, leaf in sorted(leaves(answer), key=lambda at: at[1].confidence or 0.0):
        if leaf.confidence is None or leaf.confidence >= least:
            continue
        reason, value = f"confidence {leaf.confidence:.2g} is below {least:g}", leaf.value
        leaf.value = None
        if value is None:
            doubted[pointer] = f"{reason}; it is null anyway"
        elif _accepted(answer, read):
            abstained[pointer] = f"{reason}, for {json.dumps(value, ensure_ascii=False)}"
            leaf.place = None
        else:
            doubted[pointer], leaf.value = f"{reason}, and the schema allows no null here", value
    return abstained, doubted


def _accepted(answer: Tree, read: Callable[[str], Any]) -> bool:
    try:
        read(json.dumps(data(answer)))
    except OutputError:
        return False
    return True
