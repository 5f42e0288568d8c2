"""Counters of an engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Stats:
    """What an engine did since it was made.

    prompt_tokens            tokens of all prompts
    prompt_tokens_computed   those that went through the model (repeats after a preemption included)
    cached                   tokens found in the prefix cache at admission
    sampled, forced          tokens sampled (stop tokens included) and tokens appended without sampling
    narrow                   those of `sampled` for which only the allowed columns of the logits were computed
    evicted, preempted       cached tokens given up for room; requests sent back to wait for room
    """

    requests: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    prompt_tokens_computed: int = 0
    cached: int = 0
    sampled: int = 0
    narrow: int = 0
    forced: int = 0
    evicted: int = 0
    preempted: int = 0
    mask_seconds: float = 0.0
    forward_seconds: float = 0.0
    sample_seconds: float = 0.0
    schedule_seconds: float = 0.0
