"""`lp.posix`: how much the probabilities of answers depend on which of several prompts that mean the same was asked.

Chatterjee et al. 2024, "POSIX: A Prompt Sensitivity Index For Large Language Models": of prompts x_1 ... x_n that mean
the same, and the model's answers y_1 ... y_n to them, the mean over all i and j != i of

    | log P(y_j | x_i) - log P(y_j | x_j) | / L_j

where L_j is the number of tokens of y_j; and of that the mean over the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ..batch import bar_of
from ..decoders import Decoder
from ..errors import ProgramError
from ..evaluation.data import Data, arguments, read
from ..holes import Hole
from ..models import Canceller, LanguageModel, around, choose
from ..options import Options
from ..preview import refuse
from ..programs import Program
from ..prompt import Prompt, finish
from ..replay import Body
from ..run import Usage
from ..scoring import Place, weighing
from ..session import Live
from ..transcript import Place as Stand
from ..transcript import Transcript
from .formats import formats as formats_of
from .formats import styled
from .subject import check

TOGETHER = 16  # runs that are under way at once


@dataclass(frozen=True)
class Posix:
    """What `posix` found.

    index      the mean over the rows; 0 where all prompts are the same
    rows       the index of each row
    prompts    how many prompts of each row were compared: programs, or formats of one
    answers    of each row the answer to each prompt
    """

    index: float
    rows: tuple[float, ...] = field(repr=False)
    prompts: tuple[str, ...] = field(repr=False)
    answers: tuple[tuple[str, ...], ...] = field(repr=False)

    @property
    def agreement(self) -> float:
        """The share of rows with the same answer to all prompts."""
        return sum([len({*some}) == 1 for some in self.answers]) / len(self.answers)

    def __str__(self) -> str:
        return (
            f"POSIX {self.index:.4f} over {len(self.prompts)} prompts and {len(self.rows)} rows; "
            f"the same answer to all prompts on {self.agreement:.0%} of the rows"
        )


class Watched(Live):
    """A session that remembers where the holes stood, by where their values begin in the run's text."""

    def __init__(self, model: LanguageModel, options: Options, body: Body) -> None:
        super().__init__(model, options, Canceller(), body)
        self.stands: dict[int, Stand] = {}

    def fill(self, hole: Hole, follow: str) -> Any:
        stand = self.transcript.place()
        value = super().fill(hole, follow)
        self.stands[self.recorder.captures[-1].span[0]] = stand
        return value


def posix(
    programs: Program[..., Any] | Sequence[Program[..., Any]],
    data: Data,
    *,
    model: LanguageModel | None = None,
    hole: str | None = None,
    formats: int = 8,
    decoder: Decoder | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Posix:
    """POSIX, the prompt sensitivity index, of one program in several formats, or of programs that mean the same.

    For each row every program is run, and every answer is then scored behind every prompt. A prompt is what the model
    was given before the hole, the answer the hole's value. log P(answer | prompt) is that of `p.score`: of the text,
    under the model alone, with the end of the prompt spelt anew where the program heals borders. What is the same is
    asked once, so that the index of equal prompts is exactly 0. It is inf where an answer is impossible behind another
    prompt.

    programs   one: it and formats of it (see `format_spread`) are compared; several: these, in the formats that they
               have
    data       rows of arguments, as in `lp.evaluate`; labels are not needed
    hole       the name of the hole whose value is the answer; None: the last one that the run filled
    formats    how many, of one program, itself among them
    seed       of the draw of formats, and of holes that sample

    Raises ProgramError when there are not two prompts to compare, for a hole that is not there, and for a model that
    cannot score; EvaluationError for data that do not fit.
    """
    rows = read(data)
    some = [programs] if isinstance(programs, Program) else list(programs)
    if not some:
        raise ProgramError("there is no program to compare")
    for one in some:
        check(one, {})
    chosen = choose(model, some[0].model, some[0].__name__)
    if not chosen.scores:
        raise ProgramError(f"{chosen.name} does not tell how probable given texts are")
    calls = [[arguments(one, row, f"row {n}") for one in some] for n, row in enumerate(rows)]
    some, names = _variants(some, [each[0] for each in calls], formats, seed)
    found, answers = [], []
    jobs = [
        (one, args, n) for n, each in enumerate(calls) for one, args in zip(some, _for_each(each, some), strict=True)
    ]
    pool = ThreadPoolExecutor(TOGETHER)
    try:
        runs = pool.map(lambda job: _asked(job[0], job[1], job[2], chosen, hole, decoder, seed), jobs)
        with bar_of(progress, f"POSIX of {some[0].__name__}", len(rows)) as bar:
            for _ in rows:
                asked = [next(runs) for _ in some]
                found.append(_index(asked, chosen, heal=some[0].options.boundary != "token"))
                answers.append(tuple([one.answer for one in asked]))
                bar(sum([one.usage for one in asked], Usage()), False)
    finally:
        pool.shutdown(cancel_futures=True)
    return Posix(sum(found) / len(found), tuple(found), tuple(names), tuple(answers))


def _for_each(args: Sequence[Mapping[str, Any]], some: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    """The arguments of each program; formats of one take the same."""
    return args if len(args) == len(some) else [args[0]] * len(some)


def _variants(
    some: list[Program[..., Any]], rows: Sequence[Mapping[str, Any]], most: int, seed: int
) -> tuple[list[Program[..., Any]], list[str]]:
    if len(some) > 1:
        return some, [program.__name__ for program in some]
    every, labels = formats_of(some[0], rows, max(2, most), seed)
    if len(every) < 2:
        raise ProgramError(
            f"{some[0].__name__} has nothing that could be formatted in another way: give several programs"
        )
    return [styled(some[0], format, labels) for format in every], [str(format) for format in every]


@dataclass(frozen=True)
class Asked:
    """An answer, where its hole stood, and what the run cost."""

    stand: Stand
    answer: str
    usage: Usage

    @property
    def prompt(self) -> tuple[tuple[int, ...], bytes]:
        return tuple(self.stand.ids), self.stand.pending


def _asked(
    program: Program[..., Any],
    args: Mapping[str, Any],
    row: int,
    model: LanguageModel,
    hole: str | None,
    decoder: Decoder | None,
    seed: int,
) -> Asked:
    refuse(f"{program.__name__} runs")
    body = program.body((), dict(args))
    options = replace(program._options({"decoder": decoder, "seed": seed}), preview=False)
    live = Watched(model, options.for_row(row), body)
    p = Prompt(live)
    try:
        with around(model):
            value = body.run(p)
    finally:
        finish(p)
    run = live.finished(value)
    captures = run.captures.all(hole)
    if not captures:
        raise ProgramError(f"{program.__name__} filled no hole {hole!r}" if hole else f"{program.__name__} has no hole")
    return Asked(live.stands[captures[-1].span[0]], captures[-1].text, run.usage)


def _index(asked: Sequence[Asked], model: LanguageModel, *, heal: bool) -> float:
    """Of one row."""
    pairs = {(prompt.prompt, answer.answer): prompt for answer in asked for prompt in asked}
    canceller = Canceller()
    pending = {
        key: canceller.start(model, weighing((key[1],), b"", _place(prompt.stand, model, heal), model))
        for key, prompt in pairs.items()
        if key[1]
    }
    scores = {key: one.result() for key, one in pending.items()}
    total = 0.0
    for own in asked:
        if not own.answer:
            continue  # certain behind every prompt
        there = scores[own.prompt, own.answer]
        length = max(1, there.tokens[0])
        for other in asked:
            here = scores[other.prompt, own.answer]
            if here is not there:
                total += abs(float(here.logprobs[0] - there.logprobs[0])) / length
    return total / (len(asked) * (len(asked) - 1))


def _place(stand: Stand, model: LanguageModel, heal: bool) -> Place:
    transcript = Transcript(model.vocab)
    transcript.go_to(stand)
    return Place.of(transcript, model, heal)
