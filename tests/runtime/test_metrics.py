"""Metrics: as Prometheus reads them, and as a person does."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from rich.console import Console

from lmprog.runtime.live import LiveView, render
from lmprog.runtime.metrics import exposition
from lmprog.runtime.request import Request
from lmprog.runtime.scheduler import Scheduler
from lmprog.runtime.sequence import Sequence
from lmprog.runtime.stats import Histogram, Stats

from .toys import prompts, toy_engine

SAMPLE = re.compile(r'(lmprog_[a-z_]+)(?:\{([a-z_]+)="([^"\\\n]*)"\})? (\S+)')


def parsed(text: str) -> dict[tuple[str, str], float]:
    """By name and value of the label; every line must be a comment or a sample, and every sample's family declared."""
    assert text.endswith("\n")
    kinds: dict[str, str] = {}
    samples: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            kinds[name] = kind
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, label, value, number = match.groups()
        assert re.sub("_(bucket|sum|count)$", "", name) in kinds or name in kinds
        assert (label == "le") == name.endswith("_bucket")
        samples[name, value or ""] = float(number)
    return samples


def test_the_numbers_are_those_of_the_requests() -> None:
    todo = prompts(11, 20)
    with toy_engine() as engine:
        results = engine.generate([Request(p, 5) for p in todo])
        engine.submit(Request([1], 300, ignore_eos=True)).cancel()
        engine.between_steps(lambda: None)
        got = parsed(engine.metrics())

    finishes = Counter(result.finish for result in results)
    assert got["lmprog_requests_total", ""] == 21
    assert {"stop": finishes["stop"], "length": finishes["length"], "cancelled": 1} == {
        finish: got["lmprog_requests_ended_total", finish] for finish in ("stop", "length", "cancelled")
    }
    assert sum(map(len, todo)) + 1 == got["lmprog_prompt_tokens_total", ""]
    assert got["lmprog_request_seconds_count", ""] == 21 == got["lmprog_request_seconds_bucket", "+Inf"]
    assert 0 == got["lmprog_active_requests", "running"] == got["lmprog_active_requests", "waiting"]
    slots = [got["lmprog_kv_slots", state] for state in ("free", "cached", "running")]
    assert sum(slots) == engine.stats.slots
    assert slots[2] == 0
    parts = [got["lmprog_step_seconds_total", part] for part in ("prefill", "decode", "mask", "sample", "schedule")]
    assert all(seconds > 0 for seconds in parts)


def test_a_parser_of_prometheus_reads_them() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    with toy_engine() as engine:
        engine.generate([Request(p, 5) for p in prompts(11, 20)])
        text = engine.metrics()
        families = {family.name: family for family in parser.text_string_to_metric_families(text)}

    assert families["lmprog_active_requests"].type == "gauge"
    assert families["lmprog_request_seconds"].type == "histogram"
    samples = {(s.name, *s.labels.values()): s.value for f in families.values() for s in f.samples}
    assert parsed(text) == {(name, value[0] if value else ""): number for (name, *value), number in samples.items()}


def test_histograms() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 7.0):
        histogram.add(value)

    assert histogram.counts == [2, 2, 1]
    lines = exposition(Stats(latency=histogram)).splitlines()
    assert 'lmprog_request_seconds_bucket{le="2.0"} 4' in lines
    assert 'lmprog_request_seconds_bucket{le="+Inf"} 5' in lines
    assert "lmprog_request_seconds_sum 12.0" in lines


def test_a_step_knows_how_much_of_it_is_prefill() -> None:
    """Prefill is what computes prompts; decodes and forced text are not."""
    scheduler = Scheduler(100, max_tokens=6)
    first = Sequence(Request([1, 2, 3], 9))
    scheduler.add(first)
    seen = []
    for new in ([7], [8, 8, 8], [9]):
        step = scheduler.schedule()
        seen.append((step.prompt, step.tokens))
        scheduler.commit(step)
        for seq in [sample.seq for sample in step.samples]:
            for token in new if seq is first else [0]:
                seq.append(token)
        scheduler.add(Sequence(Request([4, 5, len(seen)], 9)))

    assert [(3, 3), (3, 4), (1, 5)] == seen


def test_a_copy_of_the_counters_does_not_change() -> None:
    with toy_engine() as engine:
        before = engine.stats
        engine.generate([Request([1], 2)])

        assert (0, 0, 0) == (before.requests, before.ended.total(), sum(before.latency.counts))
        assert engine.stats.ended.total() == 1


def test_the_live_view() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True)
    with toy_engine() as engine:
        with LiveView(lambda: engine.stats, console):
            engine.generate([Request(p, 5) for p in prompts(12, 10)])
        with engine.live():
            pass

    assert "10 ended" in out.getvalue()


def test_rates_of_the_live_view() -> None:
    a = Stats(slots=1000)
    b = Stats(
        steps=10,
        sampled=150,
        forced=50,
        prompt_tokens=1000,
        prompt_tokens_computed=250,
        cached=750,
        slots=1000,
        free=200,
        held=300,
        running=3,
        waiting=4,
        preempted=2,
        prefill_seconds=0.4,
        decode_seconds=0.3,
        mask_seconds=0.2,
        sample_seconds=0.1,
        ended=Counter({"stop": 5, "error": 1}),
    )
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(render((1.0, a), (3.0, b)))
        console.print(render((3.0, b), (4.0, b)))

    assert [line.rstrip() for line in capture.get().splitlines()] == [
        "tokens    100/s out, 500/s in",
        "cache     hit rate 75%, 300 tokens, 200 of 1,000 slots free",
        "requests  3 running, 4 waiting, 6 ended, 1 failed, 2 preempted",
        "step      100.0 ms: prefill 40%, decode 30%, mask 20%, sample 10%, schedule 0%",
        "tokens    0/s out, 0/s in",
        "cache     hit rate 75%, 300 tokens, 200 of 1,000 slots free",
        "requests  3 running, 4 waiting, 6 ended, 1 failed, 2 preempted",
        "step      idle",
    ]


def test_drafts_in_the_live_view() -> None:
    a = Stats(steps=10, drafted=10, accepted=10, slots=10)
    b = Stats(steps=20, drafted=50, accepted=40, slots=10, decode_seconds=0.9, draft_seconds=0.1)
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(render((1.0, a), (3.0, b)))

    assert [line.rstrip() for line in capture.get().splitlines()][3:] == [
        "drafts    4.0 tokens a step, 75% of them right",
        "step      100.0 ms: prefill 0%, decode 90%, mask 0%, sample 0%, schedule 0%, draft 10%",
    ]
