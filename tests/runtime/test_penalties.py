from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmprog.runtime.choice import Choice
from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import SamplingError
from lmprog.runtime.penalties import Penalties
from lmprog.runtime.request import Request
from lmprog.runtime.sampler import pick
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.table import TableRunner

from .test_sampler import packed
from .toys import TOY, toy_engine, toy_logits

N = 40
BIAS = st.floats(-9, 9) | st.just(-np.inf)
KINDS = st.fixed_dictionaries(
    {
        "repetition_penalty": st.sampled_from([1.0, 0.5, 1.3]),
        "presence_penalty": st.sampled_from([0.0, 0.7, -0.3]),
        "frequency_penalty": st.sampled_from([0.0, 0.4]),
        "logit_bias": st.none() | st.dictionaries(st.integers(0, N - 1), BIAS, max_size=5),
    }
)
TOKENS = st.lists(st.integers(0, N - 1), max_size=15)
SOME = st.sets(st.integers(0, N - 1), min_size=1)
Row = NDArray[np.floating]


def penalised(logits: Row, s: Sampling, prompt: list[int], generated: list[int]) -> NDArray[np.float64]:
    """One token at a time, by the definition."""
    out = logits.astype(np.float64)
    for t in range(len(out)):
        out[t] += (s.logit_bias or {}).get(t, 0.0)
        if t in prompt or t in generated:
            out[t] = out[t] * s.repetition_penalty if out[t] < 0 else out[t] / s.repetition_penalty
        out[t] -= s.frequency_penalty * generated.count(t) + s.presence_penalty * (t in generated)
    return out


@settings(max_examples=200, deadline=None)
@given(kind=KINDS, prompt=TOKENS, generated=TOKENS, cut=st.integers(0, 15), ids=SOME)
def test_the_definition(kind: Any, prompt: list[int], generated: list[int], cut: int, ids: set[int]) -> None:
    """Full rows and single columns; counted at once or bit by bit; the row is left as it was."""
    s = Sampling(**kind)
    logits = np.random.default_rng(len(prompt)).normal(size=N) * 3
    before, expected = logits.copy(), penalised(logits, s, prompt, generated)
    columns = np.array(sorted(ids), np.int32)
    p = Penalties(s, np.array(prompt, np.int32), N)
    p.count(np.array(generated[:cut], np.int32))
    p.count(np.array(generated, np.int32))
    with p.changing(logits) as wide:
        assert pytest.approx(expected, abs=1e-12) == wide.copy()
    with p.changing(logits[columns], columns) as narrow:
        assert pytest.approx(expected[columns], abs=1e-12) == narrow

    assert (before == logits).all()


@settings(max_examples=100, deadline=None)
@given(kind=KINDS, generated=TOKENS, ids=SOME)
def test_greedy_stays_inside_the_mask(kind: Any, generated: list[int], ids: set[int]) -> None:
    kind["logit_bias"] = {t: max(b, -9.0) for t, b in (kind["logit_bias"] or {}).items()}
    s = Sampling(**kind)
    logits = np.random.default_rng(len(generated)).normal(size=N)
    held = np.where(np.isin(np.arange(N), list(ids)), penalised(logits, s, [], generated), -np.inf)
    p = Penalties(s, np.zeros(0, np.int32), N)
    p.count(np.array(generated, np.int32))
    columns = np.array(sorted(ids), np.int32)
    wide = pick(logits, N, Choice(row=packed(sorted(ids), N)), s, None, p)
    narrow = pick(logits[columns], N, Choice(columns=columns), s, None, p)

    assert int(held.argmax()) == wide == narrow


def test_a_row_that_cannot_be_written_is_copied() -> None:
    logits = np.zeros(N)
    logits.flags.writeable = False
    p = Penalties(Sampling(logit_bias={7: 1.0}), np.zeros(0, np.int32), N)

    assert pick(logits, N, Choice(), Sampling(), None, p) == 7


@pytest.mark.parametrize("penalty", [0.6, 1.7])
def test_repetition_as_in_transformers(penalty: float) -> None:
    torch = pytest.importorskip("torch")
    processors = pytest.importorskip("transformers.generation.logits_process")
    bias = {3: 2.5, 9: -4.0}
    repeat = processors.RepetitionPenaltyLogitsProcessor(penalty)
    biased = processors.SequenceBiasLogitsProcessor({(t,): b for t, b in bias.items()})
    s = Sampling(repetition_penalty=penalty, logit_bias=bias)
    prompt, generated = [1, 3, 3, 5], [9, 9, 2]
    logits = np.random.default_rng(0).normal(size=(1, N)).astype(np.float32)
    ids = torch.tensor([[*prompt, *generated]])
    expected = repeat(ids, biased(ids, torch.from_numpy(logits.copy())))[0].numpy()
    p = Penalties(s, np.array(prompt, np.int32), N)
    p.count(np.array(generated, np.int32))
    with p.changing(logits[0]) as got:
        assert pytest.approx(expected, abs=1e-6) == got


@pytest.mark.parametrize("kind", [{"repetition_penalty": 1.5}, {"presence_penalty": 1.0, "frequency_penalty": 0.5}])
def test_greedy_requests(kind: Any) -> None:
    """Requests of one prompt share a row of logits, but not what each changes in it."""
    s = Sampling(**kind)
    prompt, ids = [1, 2, 3], list[int]()
    for _ in range(12):
        ids.append(int(penalised(toy_logits((*prompt, *ids)), s, prompt, ids).argmax()))
    with toy_engine() as engine:
        plain = Request(prompt, 12, ignore_eos=True)
        alone = engine.generate([plain])[0].ids
        requests = [Request(prompt, 12, sampling=s, ignore_eos=True), plain] * 2
        results = [r.ids for r in engine.generate(requests)]

    assert [ids, alone] * 2 == results
    assert ids != alone


def test_a_bias_can_ban_and_must_name_tokens_that_exist() -> None:
    with Engine(TableRunner(lambda p: -np.arange(TOY.size), TOY.size), TOY) as engine:
        (banned,) = engine.generate([Request([1], 3, sampling=Sampling(logit_bias={0: -np.inf, 1: -np.inf}))])
        with pytest.raises(SamplingError, match="token 12, but the vocabulary has 12"):
            engine.submit(Request([1], 3, sampling=Sampling(logit_bias={12: 1.0})))

    assert [2, 2, 2] == banned.ids
