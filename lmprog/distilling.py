"""An HMM distilled from a language model: texts that the model writes, and the HMM that makes them most probable."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .decoders import derive_seed
from .errors import DistillError
from .hmm import HMM
from .models import LanguageModel
from .progress import RowsBar
from .run import Usage
from .runtime.model_cache import cache_root
from .runtime.request import Request, Result
from .runtime.routine import Routine
from .runtime.sampling import Sampling

BATCH = 32  # samples that are drawn together, and kept together


@dataclass(frozen=True)
class Recipe:
    """What decides which samples are drawn."""

    prompts: tuple[str, ...]
    tokens: int
    seed: int


def distill(
    model: LanguageModel,
    *,
    states: int = 64,
    samples: int = 2000,
    tokens: int = 48,
    prompts: Sequence[str] = (),
    seed: int = 0,
    rounds: int = 40,
    folder: str | Path | None = None,
    progress: bool = False,
) -> HMM:
    """The HMM of `states` hidden states that explains best what `model` writes: `samples` texts of up to `tokens`
    tokens, from the beginning of a text, or behind each of `prompts` in turn. The better the samples look like the
    texts that `Lookahead` is used on, prompts included, the better it guesses.

    Both samples and result are kept in `folder` (by default one for this model in the user's cache, and for models
    without a tokenizer, as those of tests are, nowhere): a second call with the same arguments reads a file, one that
    was interrupted goes on where it was, more samples are added to those that are there. Tokens that came in no sample
    share one class; how much of the model's text they make up is judged by how many tokens came only once (Good 1953).

    Raises DistillError for numbers out of range and for a folder that holds something else.
    """
    if states < 1 or samples < 1 or tokens < 1 or rounds < 1:
        raise DistillError("states, samples, tokens and rounds are 1 or more")
    recipe = Recipe(tuple(prompts), tokens, seed)
    place = _place(model, recipe, folder)
    target = place and place / f"hmm-{states}-{samples}-{rounds}.npz"
    if target is not None and target.exists():
        return HMM.load(target)
    texts = _samples(model, recipe, samples, place and place / "samples.jsonl", progress)
    hmm = fit(texts, model, states, rounds=rounds, seed=seed)
    if target is not None:
        beside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        hmm.save(beside)
        beside.replace(target)
    return hmm


def fit(texts: Sequence[Sequence[int]], model: LanguageModel, states: int, *, rounds: int = 40, seed: int = 0) -> HMM:
    """The HMM of given texts of ids, by Baum–Welch; those that end have an EOS as their last id."""
    from .baum_welch import baum_welch

    texts = [text for text in texts if text]
    if not texts:
        raise DistillError("there are no texts to distil an HMM from: the model ends all of them at once")
    counts = Counter([token for text in texts for token in text])
    seen = sorted({*counts, *model.vocab.eos})
    size = model.vocab.size
    unseen = np.setdiff1d([i for i, data in enumerate(model.vocab.token_bytes) if data], seen)
    number = {token: i for i, token in enumerate(seen)}
    found = baum_welch([[number[t] for t in text] for text in texts], states, len(seen), rounds=rounds, seed=seed)
    new = sum([n == 1 for n in counts.values()]) / counts.total() if len(unseen) else 0.0
    new = min(new, 0.5)
    emit = np.hstack([found.emit * (1 - new), np.full((states, 1), new)]) if len(unseen) else found.emit
    of, share = np.full(size, len(seen) if len(unseen) else 0, np.int32), np.zeros(size)
    of[seen], share[seen] = np.arange(len(seen)), 1.0
    share[unseen] = 1 / max(1, len(unseen))
    note = f"{len(texts)} texts of {model.name}, {counts.total()} tokens, {len(counts)} different ones; "
    note += f"{states} states, {len(found.loglik)} rounds, log-likelihood {found.loglik[-1]:.3f} nats a token"
    return HMM(found.start, found.move, emit, of, share, note)


def _place(model: LanguageModel, recipe: Recipe, folder: str | Path | None) -> Path | None:
    """Where samples of this recipe are kept."""
    if folder is None and getattr(model, "tokenizer", None) is None:
        return None
    what = {"model": model.name, "vocab": _digest(model), **asdict(recipe)}
    text = json.dumps(what, indent=1) + "\n"
    base = cache_root() / "hmm" if folder is None else Path(folder)
    place = base / hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    place.mkdir(parents=True, exist_ok=True)
    about = place / "about.json"
    if not about.exists():
        about.write_text(text)
    elif about.read_text() != text:
        raise DistillError(f"{place} holds samples of something else; see {about}")
    return place


def _digest(model: LanguageModel) -> str:
    found = hashlib.blake2b(digest_size=8)
    for data in model.vocab.token_bytes:
        found.update(b"\0" if data is None else b"\1" + data)
    return found.hexdigest()


def _samples(model: LanguageModel, recipe: Recipe, samples: int, kept: Path | None, progress: bool) -> list[list[int]]:
    """The first so many samples; those that are not in the file are drawn, and added to it."""
    texts = _read(kept) if kept is not None and kept.exists() else []
    del texts[len(texts) - len(texts) % BATCH if len(texts) < samples else samples :]
    if kept is not None and len(texts) < samples:
        _write(kept, texts, "w")
    begin = [] if model.bos is None else [model.bos]
    prompts = [model.vocab.encode(prompt.encode()) for prompt in recipe.prompts] or [[]]
    bar = RowsBar("samples", samples) if progress else None
    with bar or nullcontext():
        for first in range(len(texts), samples, BATCH):
            numbers = range(first, min(first + BATCH, samples))
            wanted = [_request(begin + prompts[i % len(prompts)], recipe, i, model) for i in numbers]
            results = model.run(_all(wanted)).result()
            new = [_text(prompts[i % len(prompts)], result, model) for i, result in zip(numbers, results, strict=True)]
            if kept is not None:
                _write(kept, new, "a")
            texts += new
            for result in results if bar else ():
                assert bar is not None
                bar(Usage(1, result.prompt_tokens, result.prompt_tokens_computed, result.sampled_tokens), False)
    return texts


def _request(ids: Sequence[int], recipe: Recipe, i: int, model: LanguageModel) -> Request:
    ids = ids or sorted(model.vocab.eos)[:1]
    return Request(ids, recipe.tokens, sampling=Sampling(temperature=1.0, seed=derive_seed(recipe.seed, "hmm", i)))


def _all(requests: Sequence[Request]) -> Routine[list[Result]]:
    return (yield requests)


def _text(prompt: Sequence[int], result: Result, model: LanguageModel) -> list[int]:
    end = sorted(model.vocab.eos)[:1] if result.finish == "stop" else []
    return [*prompt, *result.ids, *end]


def _read(path: Path) -> list[list[int]]:
    """Up to the first line that was not written whole."""
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def _write(path: Path, texts: Sequence[Sequence[int]], mode: str) -> None:
    with path.open(mode) as file:
        file.writelines([json.dumps(list(text)) + "\n" for text in texts])
        file.flush()
        os.fsync(file.fileno())
