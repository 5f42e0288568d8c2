"""Drawing tokens where the logits are: the same logic as on a GPU, on CPU tensors, against the path of the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmprog.grammars import compile, json_schema
from lmprog.grammars.regex import regex
from lmprog.grammars.vocabulary import Vocabulary
from lmprog.runtime import device_masks
from lmprog.runtime.choice import Choice
from lmprog.runtime.device import Device
from lmprog.runtime.device_masks import MaskPool
from lmprog.runtime.device_sampler import draw
from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import ModelMismatch, SamplingError
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.penalties import Penalties
from lmprog.runtime.request import Request, Result
from lmprog.runtime.runner import Batch, Span
from lmprog.runtime.sampler import Pick, pick
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.uniforms import generator

from .drafting import Oracle, drafting
from .toys import HF, prompts, tiny

CPU = torch.device("cpu")
VOCAB = Vocabulary([bytes([i]) if i < 256 else None for i in range(300)], eos={299})
PROMPTS = prompts(11, 12, shared=20, longest=40, size=290)

samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0]),
    top_k=st.sampled_from([0, 0, 1, 5, 4000]),
    top_p=st.sampled_from([1.0, 1.0, 0.3, 0.9, 0.999]),
    min_p=st.sampled_from([0.0, 0.0, 0.05, 0.5]),
    seed=st.integers(0, 1 << 30),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    frequency_penalty=st.sampled_from([0.0, 0.4]),
    logit_bias=st.sampled_from([None, {3: 4.0, 5: -np.inf}]),
)


def choice(kind: str, width: int, rng: np.random.Generator) -> Choice:
    ids = np.sort(rng.permutation(width)[: int(rng.integers(1, width + 1))]).astype(np.int32)
    if kind == "any":
        return Choice()
    return Choice(columns=ids) if kind == "columns" else Choice(row=device_masks.packed(ids, width))


def asked(at: int, of: Choice, sampling: Sampling, width: int) -> Pick:
    penalties = None
    if sampling.changes_logits:
        penalties = Penalties(sampling, np.array([1, 4, 4, 7], np.int32), width)
        penalties.count(np.array([2, 4, 2], np.int32))
    return Pick(at, of, sampling, generator(sampling), penalties)


def on_host(logits: NDArray[np.floating], width: int, p: Pick) -> int | str:
    try:
        return pick(logits.copy(), width, p.choice, p.sampling, p.uniforms, p.penalties)
    except SamplingError as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    width=st.sampled_from([9, 70, 600, 3000]),
    kinds=st.lists(st.tuples(st.sampled_from(["any", "row", "columns"]), samplings), min_size=1, max_size=5),
    levels=st.sampled_from([3, 1 << 20]),
)
def test_a_batch_gets_the_tokens_that_the_host_would_draw(
    seed: int, width: int, kinds: list[tuple[str, Sampling]], levels: int
) -> None:
    """In double precision; with few levels there are many ties."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(0, levels, (len(kinds), width)) / levels * 12.0
    choices = [choice(kind, width, rng) for kind, _ in kinds]
    todo = [(i, c, s, width) for i, (c, (_, s)) in enumerate(zip(choices, kinds, strict=True))]
    expected = [on_host(row, width, asked(*args)) for row, args in zip(logits, todo, strict=True)]
    pool = MaskPool(width, CPU)
    rows = torch.tensor(pool.indices(choices))
    got = draw(torch.from_numpy(logits.copy()), [asked(*args) for args in todo], lambda x: pool.apply(x, rows))

    assert expected == [str(token) if isinstance(token, Exception) else token for token in got]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_no_numbers_fail_alone(bad: float) -> None:
    logits = torch.randn(3, 50)
    logits[1, 7] = bad
    settings = Sampling(), Sampling(1.0, seed=1), Sampling(1.0, top_k=3, seed=2)
    got = draw(logits, [asked(i, Choice(), s, 50) for i, s in enumerate(settings)], lambda x: None)

    assert [True, False, True] == [isinstance(token, int) for token in got]
    assert ("NaN" if np.isnan(bad) else "inf") in str(got[1])


def test_a_masks_row_is_sent_once_and_kept_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_masks, "FIRST", 2)
    monkeypatch.setattr(device_masks, "MOST", 4)
    pool = MaskPool(40, CPU)
    masks = [Choice(row=device_masks.packed(np.array([i], np.int32), 40)) for i in range(8)]

    def shown(*which: int) -> list[list[int]]:
        logits = torch.zeros(len(which), 40)
        pool.apply(logits, torch.tensor(pool.indices([masks[i] for i in which])))
        return [row.isfinite().nonzero()[:, 0].tolist() for row in logits]

    assert [[0], [1], [0]] == shown(0, 1, 0)
    assert 2 == pool.uploaded
    assert [[1], [2]] == shown(1, 2)
    assert 3 == pool.uploaded
    assert [[i] for i in range(8)] == shown(*range(8)), "a step may need more rows than are kept"
    assert [[3], [0]] == shown(3, 0)


def test_masks_that_did_not_arrive_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, mask = MaskPool(40, CPU), Choice(row=device_masks.packed(np.array([3], np.int32), 40))
    with monkeypatch.context() as patch:
        patch.setattr(device_masks, "to_device", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pool.indices([mask])
    logits = torch.zeros(1, 40)
    pool.apply(logits, torch.tensor(pool.indices([mask])))

    assert [3] == logits[0].isfinite().nonzero()[:, 0].tolist()


SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["cat", "dog"]}, "n": {"type": "integer"}, "s": {"type": "string"}},
    "required": ["kind", "n", "s"],
    "additionalProperties": False,
}


def requests() -> list[Request]:
    some = compile(json_schema(SCHEMA, whitespace="compact"), VOCAB), compile(regex("[a-f]{3}-(x|yz)[0-9]*"), VOCAB)
    out: list[Request] = []
    for i, prompt in enumerate(PROMPTS):
        constraint = [None, *some][i % 3]
        out += [
            Request(prompt, 40, constraint),
            Request(prompt, 36, constraint, sampling=Sampling(1.0, seed=i)),
            Request(prompt, 36, constraint, sampling=Sampling(0.7, top_p=0.8, repetition_penalty=1.2, seed=i)),
            Request(prompt, 4, sampling=Sampling(1.0, seed=5, arithmetic=(i, 12))),  # few, as rounding adds up there
            Request(prompt, 36, constraint, open_end=True, sampling=Sampling(2.0, min_p=0.01, seed=i)),
            Request(prompt, 36, constraint, top_logprobs=2),
            Request(prompt, 36, constraint, logprobs=True, sampling=Sampling(0.8, top_p=0.7, top_k=20, seed=i)),
            Request(prompt, 36, constraint, top_logprobs=3, sampling=Sampling(1.5, frequency_penalty=0.5, seed=i)),
        ]
    return out


def outcome(result: Result) -> tuple[Any, ...]:
    return result.ids, result.finish, result.forced_tokens, result.sampled_tokens, result.state


@pytest.mark.parametrize("narrow", [0, 300])
@pytest.mark.parametrize("family", ["Llama", "Gemma2", "Cohere"])
def test_results_are_those_of_the_host(family: str, narrow: int) -> None:
    """Ids, ends, and what was forced, with choices made while the model runs; Gemma 2 caps logits, Cohere scales."""
    model = tiny(family, "float64")
    with Engine(HFRunner(model, on_device=False), VOCAB) as engine:
        expected = engine.generate(requests())
    runner = HFRunner(model, on_device=True)
    device(runner).narrow = narrow
    with Engine(runner, VOCAB) as engine:
        got = engine.generate(requests())

    assert [outcome(r) for r in expected] == [outcome(r) for r in got]
    for want, result in zip(expected, got, strict=True):
        assert np.allclose(want.logprobs, result.logprobs, equal_nan=True)
        assert np.allclose(want.masked_logprobs, result.masked_logprobs, equal_nan=True)
        assert want.allowed == result.allowed
        for ours, theirs in (
            (want.top_logprobs, result.top_logprobs),
            (want.top_masked_logprobs, result.top_masked_logprobs),
        ):
            assert [list(d) for d in ours] == [list(d) for d in theirs]
            assert np.allclose([p for d in ours for p in d.values()], [p for d in theirs for p in d.values()])


def test_drafts_are_verified_on_the_device() -> None:
    """Several draws in a step, round by round; asks are answered beside them."""
    model = tiny("Llama", "float64")
    todo = [Request(r.ids, r.max_tokens, r.constraint, sampling=r.sampling) for r in requests()[::7]]
    with Engine(HFRunner(model, on_device=False), VOCAB) as engine:
        expected = [r.ids for r in engine.generate(todo)]
    answers = {tuple(r.ids): ids for r, ids in zip(todo, expected, strict=True)}
    with drafting(HFRunner(model, on_device=True), VOCAB, Oracle(answers, VOCAB.size, 0)) as engine:
        assert expected == [r.ids for r in engine.generate(todo)]
        assert engine.stats.accepted > len(todo)


def device(runner: HFRunner) -> Device:
    found = runner._device
    assert found is not None
    return found


@pytest.mark.parametrize("family", ["Qwen3", "GPT2", "Mixtral", "OPT", "GptOss", "Gemma3Text"])
def test_bodies_run_by_themselves(family: str) -> None:
    model = tiny(family)
    with Engine(HFRunner(model), HF) as engine:
        expected = [r.ids for r in engine.generate([Request(p, 12) for p in PROMPTS])]
    with Engine(HFRunner(model, on_device=True), HF) as engine:
        assert expected == [r.ids for r in engine.generate([Request(p, 12) for p in PROMPTS])]


def test_a_narrow_head_computes_no_more_than_the_union() -> None:
    runner = HFRunner(tiny("Llama"), on_device=True)
    runner.reserve(64)
    device(runner).narrow = 10
    few, more = (np.array(ids, np.int32) for ids in ([3, 5], [5, 9, 200]))
    table = np.arange(4)

    def rows(*columns: NDArray[np.int32] | None) -> Any:
        ids = np.arange(4, dtype=np.int32)
        batch = Batch(ids, ids, table, [Span(0, 4, table)], table[:0], [])
        return runner.launch(batch).rows(np.array([2, 3]), list(columns), [0, 1])

    wide, narrow = rows(None, more), rows(few, more)

    assert (2, 300) == tuple(wide._logits.shape)
    assert (2, 4) == tuple(narrow._logits.shape)
    assert np.allclose(wide[0][few], narrow[0])
    assert np.allclose(wide[1], narrow[1])


def test_deterministic_results_stay_so_on_the_device() -> None:
    """Whatever is beside them: narrow heads, whose width depends on the company, are off."""
    runner = HFRunner(tiny("Llama"), on_device=True, deterministic=True)
    todo = [request for request in requests() if request.sampling.greedy and not request.scored]
    seen = []
    for running in (64, 3):
        with Engine(runner, VOCAB, max_running=running, max_batch_tokens=50) as engine:
            seen.append([outcome(r) for r in engine.generate(todo)])

    assert 0 == device(runner).narrow
    assert seen[0] == seen[1]


class Watched:
    """A constraint that tells whether the model was at work when its masks were asked for."""

    def __init__(self, constraint: Any, running: list[bool]) -> None:
        self._constraint, self._running, self.seen = constraint, running, list[bool]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._constraint, name)

    def allowed(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(bool(self._running))
        return self._constraint.allowed(*args, **kwargs)


def test_masks_are_computed_while_the_model_runs() -> None:
    runner = HFRunner(tiny("Llama"), on_device=True)
    half: Any = device(runner)
    whole: Any = runner
    running: list[bool] = []
    launch, logits = runner.launch, half.logits

    def launched(batch: Batch) -> Any:
        running.append(True)
        return launch(batch)

    def headed(*args: Any) -> Any:
        running.clear()
        return logits(*args)

    whole.launch, half.logits = launched, headed
    watched = Watched(compile(regex("[a-f]{9}"), VOCAB), running)
    with Engine(runner, VOCAB) as engine:
        (result,) = engine.generate([Request(PROMPTS[0], 20, watched)])

    assert 9 == len(result.ids)
    assert [False, *[True] * 8] == watched.seen, "the first is known at submission"


def test_a_model_whose_body_cannot_run_by_itself() -> None:
    class Odd(type(tiny("Llama"))):  # type: ignore[misc]
        def get_decoder(self) -> Any:
            return self

    model = tiny("Llama")
    model.__class__ = Odd
    with pytest.raises(ModelMismatch):
        HFRunner(model, on_device=True)


def test_a_request_whose_constraint_fails_while_the_model_runs_fails_alone() -> None:
    class Faulty(Watched):
        def allowed(self, *args: Any, **kwargs: Any) -> Any:
            if self._running:
                raise OSError("disk")
            return self._constraint.allowed(*args, **kwargs)

    running: list[bool] = []
    faulty = Faulty(compile(regex("[a-f]{9}"), VOCAB), running)
    with Engine(HFRunner(tiny("Llama"), on_device=True), VOCAB) as engine:
        fine = engine.submit(Request(PROMPTS[0], 10, ignore_eos=True))
        running.append(True)
        handle = engine.submit(Request(PROMPTS[1], 20, faulty, state=faulty.start()))
        with pytest.raises(OSError, match="disk"):
            handle.result(60)

        assert 10 == len(fine.result(60).ids)
        engine.check()


@pytest.mark.slow
def test_the_benchmark_for_gpus_runs_here_in_small() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--tiny"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert 6 == done.stdout.count("| tiny |")
    assert "failed" not in done.stdout
