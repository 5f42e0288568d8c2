"""The counters in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .stats import Histogram, Stats

PARTS = ("prefill", "decode", "mask", "sample", "schedule", "draft")
Series = Mapping[str, float]  # labels, as they are written, to value


def exposition(stats: Stats) -> str:
    return "".join(f"{line}\n" for line in _lines(stats))


def _lines(s: Stats) -> Iterator[str]:
    yield from _family("requests_total", "counter", "Requests submitted.", {"": s.requests})
    yield from _family("requests_ended_total", "counter", "Requests by how they ended.", _labelled("finish", s.ended))
    yield from _family("active_requests", "gauge", "Requests now.", _labelled("state", _now(s)))
    yield from _family("steps_total", "counter", "Forward passes.", {"": s.steps})
    yield from _family("faults_total", "counter", "Failures of the engine itself.", {"": s.faults})
    yield from _family("prompt_tokens_total", "counter", "Tokens of prompts.", {"": s.prompt_tokens})
    yield from _family("prompt_tokens_computed_total", "counter", "Not from cache.", {"": s.prompt_tokens_computed})
    tokens = {"sampled": s.sampled, "forced": s.forced}
    yield from _family("output_tokens_total", "counter", "Tokens of results.", _labelled("kind", tokens))
    drafts = {"accepted": s.accepted, "rejected": s.drafted - s.accepted}
    yield from _family("drafted_tokens_total", "counter", "Computed ahead of time.", _labelled("fate", drafts))
    yield from _family("cache_hit_ratio", "gauge", "Share of prompt tokens not computed.", {"": s.hit_rate})
    yield from _family("evicted_tokens_total", "counter", "Cached tokens given up for room.", {"": s.evicted})
    yield from _family("preemptions_total", "counter", "Running requests sent back to wait.", {"": s.preempted})
    slots = {"free": s.free, "cached": s.held, "running": s.slots - s.free - s.held}
    yield from _family("kv_slots", "gauge", "KV slots, one a token.", _labelled("state", slots))
    parts = {part: getattr(s, f"{part}_seconds") for part in PARTS}
    yield from _family("step_seconds_total", "counter", "Where time went.", _labelled("part", parts))
    yield from _histogram("request_seconds", "From submission to the end.", s.latency)
    yield from _histogram("first_token_seconds", "From submission to the first sampled token.", s.first_token)


def _now(s: Stats) -> dict[str, float]:
    return {"running": s.running, "waiting": s.waiting}


def _labelled(label: str, values: Mapping[str, float]) -> Series:
    return {f'{{{label}="{name}"}}': value for name, value in values.items()}


def _family(name: str, kind: str, about: str, series: Series) -> Iterator[str]:
    yield f"# HELP lmprog_{name} {about}"
    yield f"# TYPE lmprog_{name} {kind}"
    for labels, value in series.items():
        yield f"lmprog_{name}{labels} {value!r}"


def _histogram(name: str, about: str, histogram: Histogram) -> Iterator[str]:
    yield f"# HELP lmprog_{name} {about}"
    yield f"# TYPE lmprog_{name} histogram"
    count = 0
    for bound, n in zip([*histogram.bounds, "+Inf"], histogram.counts, strict=True):
        count += n
        yield f'lmprog_{name}_bucket{{le="{bound}"}} {count}'
    yield f"lmprog_{name}_sum {histogram.total!r}"
    yield f"lmprog_{name}_count {count}"
