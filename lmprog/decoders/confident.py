"""Values that branch where the model could have gone on otherwise, and the one whose answer it is surest of."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..errors import NoSample, SamplingError
from ..runtime.request import Finish, Result
from ..runtime.routine import Routine, one
from ..runtime.sampling import Sampling
from ..task import covering
from .draws import Draw, chosen, grouped, surviving
from .method import Outcome, Problem, Tally
from .whole import Undrawn, at_least_one, check_weighs


@dataclass(frozen=True)
class Confident(Undrawn):
    """Tries `k` ways of beginning, each continued by the most probable tokens, and takes the value whose answer the
    model is surest of (Wang & Zhou 2024, "Chain-of-Thought Reasoning Without Prompting").

    answer  a regular expression: its last match in the value's text, or the group 1 of that, is the answer. None: all
            of the text
    rounds  in each further one, k more values leave those found where the model was least sure between two tokens,
            before the answer, by the second of them; all at once

    The confidence of an answer is the mean, over its tokens, of how much more probable the token is than the next best
    one, under the mask. Places at which only one may come are left out; where nothing is left of an answer, the whole
    value is judged so. Values with the same answer add up, as each of them speaks for it; of these the most confident
    one is taken. A value without an answer comes last. Beginnings differ at the first place at which the hole's
    language lets different bytes come.

    Nothing is drawn: a seed or temperature of the hole changes nothing. The certificate has a particle for each answer,
    the best first, `score` being the sum of confidences, -inf for none. Values that fail the hole's condition are
    passed over.

    Raises SamplingError for settings that change single tokens (top_p, penalties) and for what is no regular
    expression; NoSample when no value passes.
    """

    k: int = 8
    answer: str | None = None
    rounds: int = 1
    _answer: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        at_least_one(k=self.k, rounds=self.rounds)
        if self.answer is not None:
            try:
                object.__setattr__(self, "_answer", re.compile(self.answer))
            except (re.error, TypeError) as error:
                raise SamplingError(f"answer is a regular expression, not {self.answer!r}: {error}") from None

    def fill(self, problem: Problem) -> Routine[Outcome]:
        check_weighs(self, problem)
        tally = Tally()
        paths = yield from self._continued(problem, [Path((), (problem.state,))], tally)
        if not paths:
            raise NoSample("the most probable tokens lead to where the hole's monitor allows nothing more")
        branches = paths[0].beginnings(problem)[: self.k - 1]
        for left in reversed(range(self.rounds)):
            paths += yield from self._continued(problem, branches, tally)
            branches = self._unsure(problem, paths) if left else []
        draws = [(path, path.draw(problem, tally)) for path in paths]
        draws = [(path, draw) for path, draw in draws if problem.passes(draw.text)]
        if not draws:
            raise NoSample(f"none of the {len(paths)} values found passes: raise k or rounds")
        sure = {id(draw): self._confidence(problem, path, draw.text) for path, draw in draws}
        ranked = sorted([draw for _, draw in draws], key=lambda draw: -sure[id(draw)])
        groups = grouped(ranked, lambda draw: self._said(draw.text))
        return chosen(groups, [math.fsum([sure[id(draw)] for draw in group]) for group in groups], tally)

    def _continued(self, problem: Problem, begun: Sequence[Path], tally: Tally) -> Routine[list[Path]]:
        """All of them by the most probable tokens, as one batch; not those that a monitor leads into a dead end so."""
        asked, top = problem.request, max(2, self.k)
        going = [path for path in begun if path.finish is None]
        requests = [
            replace(
                asked,
                ids=[*asked.ids, *path.ids],
                max_tokens=asked.max_tokens - len(path.ids),
                state=path.states[-1],
                sampling=Sampling(),
                logprobs=True,
                top_logprobs=top,
                on_tokens=None,
            )
            for path in going
        ]
        results = yield from surviving(one, requests)
        tally.add([result for result in results if result is not None])
        after = iter(results)
        pairs = [(path, next(after) if path.finish is None else None) for path in begun]
        return [path.and_then(result, problem) if result else path for path, result in pairs if result or path.finish]

    def _unsure(self, problem: Problem, paths: Sequence[Path]) -> list[Path]:
        """The k branches at the places, before answers, where the two most probable tokens are closest."""
        tried = {path.ids[: i + 1] for path in paths for i in range(len(path.ids))}
        tried |= {(*path.ids, *path.end) for path in paths}
        places = [
            (path.margin(i), n, i)
            for n, path in enumerate(paths)
            for i in range(path.begun, self._answer_begins(problem, path))
            if path.undecided(i, problem) and (*path.ids[:i], path.second(i)) not in tried
        ]
        return [paths[n].branch(i, paths[n].second(i), problem) for _, n, i in sorted(places)[: self.k]]

    def _answer_begins(self, problem: Problem, path: Path) -> int:
        """The place up to which there may be branches."""
        tokens = self._tokens(problem, path, path.text(problem))
        return tokens.start if self._answer and tokens else len(path.ids)

    def _confidence(self, problem: Problem, path: Path, text: str) -> float:
        if self._span(text) is None:
            return -math.inf
        tokens = self._tokens(problem, path, text)
        margins = [path.margin(i) for i in tokens if len(path.tops[i]) > 1]
        margins = margins or [path.margin(i) for i in range(len(path.ids)) if len(path.tops[i]) > 1]
        return math.fsum(margins) / len(margins) if margins else 0.0

    def _tokens(self, problem: Problem, path: Path, text: str) -> range:
        """The places of the answer's tokens."""
        begin, end = self._span(text) or (0, 0)
        before, size = len(text[:begin].encode()), len(text[begin:end].encode())
        return covering(problem.model.vocab.token_bytes, path.ids, len(problem.prefix) + before, size)

    def _span(self, text: str) -> tuple[int, int] | None:
        """Where the answer stands in a text."""
        if self._answer is None:
            return 0, len(text)
        found = [match.span(min(1, self._answer.groups)) for match in self._answer.finditer(text)]
        return found[-1] if found and found[-1][0] >= 0 else None

    def _said(self, text: str) -> str | None:
        span = self._span(text)
        return None if span is None else text[slice(*span)]


@dataclass(frozen=True)
class Path:
    """A value, or (`finish` is None) the beginning of one.

    states         before each token and behind the last
    logprobs       of each token under the model alone; nan for forced ones
    masked, tops   under the mask: of each token, and those of the most probable ones at its place
    begun          how many tokens it has in common with the path that it is a branch of, and one more
    end            the token that ended it, where a branch was one
    """

    ids: tuple[int, ...]
    states: tuple[int, ...]
    logprobs: tuple[float, ...] = ()
    masked: tuple[float, ...] = ()
    tops: tuple[dict[int, float], ...] = ()
    begun: int = 0
    finish: Finish | None = None
    end: tuple[int, ...] = ()

    def text(self, problem: Problem) -> str:
        return problem.text(self.ids, self.states[-1])

    def draw(self, problem: Problem, tally: Tally) -> Draw:
        assert self.finish is not None
        text = self.text(problem)
        result = tally.result(self.ids, self.finish, self.states[-1], self.logprobs, self.masked)
        return Draw(result, text, problem.hole.parse(text))

    def and_then(self, result: Result, problem: Problem) -> Path:
        states = list(self.states)
        for token in result.ids:
            state = problem.constraint.advance(states[-1], token)
            assert state is not None
            states.append(state)
        return Path(
            (*self.ids, *result.ids),
            tuple(states),
            (*self.logprobs, *result.logprobs),
            (*self.masked, *result.masked_logprobs),
            (*self.tops, *result.top_masked_logprobs),
            len(self.ids),
            result.finish,
        )

    def undecided(self, i: int, problem: Problem) -> bool:
        """Whether different bytes may come at a place."""
        return len(self.tops[i]) > 1 and not problem.constraint.forced(self.states[i])

    def margin(self, i: int) -> float:
        """By how much the token there is more probable than the best other one."""
        others = [p for token, p in self.tops[i].items() if token != self.ids[i]]
        return math.exp(self.masked[i]) - math.exp(max(others))

    def second(self, i: int) -> int:
        """The most probable one of the tokens that could have come instead."""
        return next(token for token in self.tops[i] if token != self.ids[i])

    def beginnings(self, problem: Problem) -> list[Path]:
        """The branches at the first place that has any, the most probable first."""
        at = next((i for i in range(len(self.ids)) if self.undecided(i, problem)), None)
        return [] if at is None else [self.branch(at, t, problem) for t in self.tops[at] if t != self.ids[at]]

    def branch(self, i: int, token: int, problem: Problem) -> Path:
        """With another token at a place."""
        ids, states = self.ids[:i], self.states[: i + 1]
        state = None if token in problem.model.vocab.eos else problem.constraint.advance(states[-1], token)
        if state is None:
            return Path(ids, states, self.logprobs[:i], self.masked[:i], self.tops[:i], i, "stop", (token,))
        masked, tops = self.tops[i][token], self.tops[: i + 1]
        raw = self.logprobs[i] + masked - self.masked[i]
        over: Finish | None = "complete" if problem.constraint.finished(state) else None
        if over is None and i + 1 >= problem.request.max_tokens:
            over = "length"
        return Path(
            (*ids, token),
            (*states, state),
            (*self.logprobs[:i], raw),
            (*self.masked[:i], masked),
            tops,
            i + 1,
            over,
        )
