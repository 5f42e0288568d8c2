"""Monte-Carlo tree search: the value that a function likes best, sought behind the beginnings that did well so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import BudgetError, EmptyLanguage, NoSample, SamplingError
from ..runtime.request import Request, Result
from ..runtime.routine import Routine, one, together
from ..runtime.sampling import Sampling, real
from .base import derive_seed
from .best_first import after
from .best_of import worths
from .draws import Draw, chosen, grouped, surviving
from .exhaustive import Found
from .method import Outcome, Problem
from .places import Places
from .potentials import Prefix
from .whole import at_least_one, check_weighs, number_of


@dataclass(frozen=True)
class MCTS:
    """Looks for the value that `value`, a function, likes best, in a tree of tokens (Chaffin et al. 2022, "PPL-MCTS:
    Constrained Textual Generation Through Discriminator-Guided MCTS Decoding"). Again and again it goes down from the
    root to where the tree ends, by the mean of what was found behind a token and by the token's probability under the
    mask (PUCT: Silver et al. 2017, "Mastering the Game of Go without Human Knowledge"); there it draws a value, asks
    the function, and counts it for all beginnings on the way.

    value     a finite number for the text of a whole value. `Prefix(f)`: f is asked of the beginnings in the tree
              themselves, and no values are drawn
    rollouts  how often, in all
    width     so many at a time, as one batch: each on its way counts as a bad one meanwhile, so that they part
    c         how much trying what was tried little weighs against going on where it went well; what the function says
              is scaled to what lies between its least and its greatest
    power     values are ranked by log(value) + power × log(worth), with a value of 0 or more: 1 is the most probable
              product. 0: by the value alone
    commit    after so many rollouts the token that was tried most is settled, and the search goes on behind it. None:
              the tree is one, from the beginning to the end

    The best value of all that were tried is taken, the first of equal ones. Where no beginning is left that was not
    tried, that is the best one of all, and `gap` in the certificate is 0 (with `commit` it is not known, None). The
    particles are the different values that were tried, the best first, with their share of the rollouts; `score` is
    what they are ranked by. Values that fail the hole's condition, and draws that a monitor leads into a dead end,
    count as the worst, and are passed over. Draws have the `temperature`, and are reproducible with a `seed`; at 0 they
    are the most probable tokens.

    The function is called once for each text, on the engine's thread, and must be quick. With `Prefix` the beginning
    that was tried most is completed by the most probable tokens at the end.

    Raises SamplingError for settings that change single tokens (top_p, penalties), and for what is no number;
    NoSample when no value that was tried passes.
    """

    value: Callable[[str], float] | Prefix
    rollouts: int = 64
    width: int = 8
    c: float = 0.5
    power: float = 0.0
    commit: int | None = None
    temperature: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        self.sampling()
        at_least_one(rollouts=self.rollouts, width=self.width, commit=1 if self.commit is None else self.commit)
        for name in ("c", "power"):
            if not 0 <= real(getattr(self, name)) < math.inf:
                raise SamplingError(f"{name} is a finite number of 0 or more, not {getattr(self, name)!r}")
        if not (isinstance(self.value, Prefix) or callable(self.value)):
            raise SamplingError(f"value is a function of the text, or Prefix of one, not {self.value!r}")

    @property
    def choices(self) -> bool:
        return False

    @property
    def heals(self) -> bool:
        return True

    def sampling(self) -> Sampling:
        return Sampling(self.temperature, seed=self.seed)

    def fill(self, problem: Problem) -> Routine[Outcome]:
        check_weighs(self, problem)
        search = Search(self, problem)
        yield from search.run()
        if not search.tried:
            raise NoSample(f"none of the values of {self.rollouts} rollouts passes: raise rollouts")
        groups = grouped(search.tried, lambda draw: search.key(draw))
        outcome = chosen(groups, [search.scores[search.key(group[0])] for group in groups], search.places.tally)
        assert outcome.certificate is not None
        return replace(outcome, certificate=replace(outcome.certificate, gap=search.gap))


@dataclass(eq=False)
class Node:
    """A beginning in the tree, or a value.

    visits, good, total  what was found behind it: how often, how often something that has a rank, and the sum of these
    away                 how many rollouts of this round are under way through it
    branch, ahead        once the model was asked: the continuations that are no children yet, and the next one of them
    closed               nothing behind it is left to be tried, in this round at least
    """

    found: Found
    parent: Node | None = None
    prior: float = 1.0
    visits: int = 0
    good: int = 0
    total: float = 0.0
    away: int = 0
    branch: Iterator[Found] | None = None
    ahead: Found | None = None
    children: list[Node] = field(default_factory=list)
    waiting: bool = False
    closed: bool = False

    @property
    def whole(self) -> bool:
        """A value ends here, if only because the budget does."""
        return self.found.finish is not None or self.found.spot.left <= 0

    def up(self) -> Iterator[Node]:
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def wait(self) -> None:
        """It is to be tried now."""
        self.waiting = True
        for node in self.up():
            node.away += 1
            node.close()

    def tried(self, score: float) -> None:
        self.waiting = False
        for node in self.up():
            node.away -= 1
            node.visits += 1
            if score > -math.inf:
                node.good += 1
                node.total += score
            node.close()

    def close(self) -> None:
        over = (
            self.whole if self.branch is None else self.ahead is None and all([node.closed for node in self.children])
        )
        self.closed = self.waiting or (over and self.visits + self.away > 0)

    def opened(self, branch: Iterator[Found]) -> None:
        self.branch, self.ahead = branch, next(branch, None)

    def grow(self) -> Node:
        """The next continuation becomes a child."""
        assert self.branch is not None
        assert self.ahead is not None
        child = Node(self.ahead, self, self.chance(self.ahead))
        self.children.append(child)
        self.ahead = next(self.branch, None)
        return child

    def chance(self, after: Found) -> float:
        """Of a continuation, under the mask."""
        return math.exp(after.masked - self.found.masked)


class Search:
    """The tree of one problem, and the values that were tried."""

    def __init__(self, method: MCTS, problem: Problem) -> None:
        self.method, self.problem = method, problem
        self.places = Places(replace(problem, request=replace(problem.request, sampling=Sampling(1.0))))
        self.root = Node(Found(self.places.start))
        self.tried: list[Draw] = []  # those that pass
        self.scores: dict[object, float] = {}
        self.used, self.settled = 0, False
        self._low, self._high = math.inf, -math.inf
        self.guided = isinstance(method.value, Prefix)
        self._ask = method.value.weigh if isinstance(method.value, Prefix) else method.value
        self._known: dict[str, float] = {}

    @property
    def gap(self) -> float | None:
        return 0.0 if self.root.closed and not self.settled else None

    def run(self) -> Routine[None]:
        method, since = self.method, 0
        while self.used < method.rollouts and not self.root.closed:
            room = method.rollouts if method.commit is None else method.commit - since
            leaves = self._leaves(min(method.width, method.rollouts - self.used, room))
            yield from self._try(leaves)
            self.used, since = self.used + len(leaves), since + len(leaves)
            if since == method.commit:
                self._settle()
                since = 0
        if self.guided and not self.root.closed:
            yield from self._complete()

    def key(self, draw: Draw) -> object:
        """Values of the same are the same: spellings have their own probabilities."""
        return (tuple(draw.result.ids), draw.result.finish) if self.method.power else draw.text

    def _leaves(self, most: int) -> list[Node]:
        leaves: list[Node] = []
        while len(leaves) < most and not self.root.closed:
            node = self.root
            while node.branch is not None:
                node = self._best(node)
            node.wait()
            leaves.append(node)
        return leaves

    def _best(self, node: Node) -> Node:
        """The child to go on to, which may be a new one."""
        explore = self.method.c * math.sqrt(node.visits + node.away)
        best, most = None, -math.inf
        if node.ahead is not None:
            most = self._mean(node) + explore * node.chance(node.ahead)
        for child in node.children:
            score = self._mean(child) + explore * child.prior / (1 + child.visits + child.away)
            if score > most and not child.closed:
                best, most = child, score
        return best or node.grow()

    def _mean(self, node: Node) -> float:
        """Of what was found behind it, between 0 and 1."""
        span = self._high - self._low
        found = (node.total - node.good * self._low) / span if span > 0 else float(node.good)
        return found / (node.visits + node.away)

    def _try(self, leaves: Sequence[Node]) -> Routine[None]:
        """Grow the tree behind all of them, and rank what they lead to."""
        going = [leaf for leaf in leaves if not leaf.whole]
        spots = [leaf.found.spot for leaf in going]
        ends, sampling = [leaf for leaf in leaves if leaf.whole or not self.guided], self.problem.request.sampling
        work: list[Routine[Any]] = [self.places.rows(spots), self._drawn(ends, sampling)]
        try:
            rows, draws = yield from together(work)
        except (BudgetError, EmptyLanguage):  # a draw came to a dead end, and ends the round
            rows = yield from self.places.rows(spots)
            draws = yield from self._drawn(ends, sampling)
        for leaf, row in zip(going, rows, strict=True):
            leaf.opened(after(leaf.found, row, self.places, self.method.rollouts - self.used + 1))
        scores = yield from self._ranked(leaves, draws)
        for leaf, score in zip(leaves, scores, strict=True):
            leaf.tried(score)

    def _drawn(self, leaves: Sequence[Node], sampling: Sampling) -> Routine[dict[Node, Draw]]:
        """A value behind each, but for those that a monitor led into a dead end."""
        going = [leaf for leaf in leaves if not leaf.whole]
        seeds = [derive_seed(sampling.seed, "rollout", self.used + i) for i in range(len(going))]
        requests = [self._request(leaf, replace(sampling, seed=s)) for leaf, s in zip(going, seeds, strict=True)]
        results = yield from surviving(one, requests)
        drawn = {leaf: result for leaf, result in zip(going, results, strict=True) if result is not None}
        self.places.tally.add(list(drawn.values()))
        return {leaf: self._draw(leaf.found, drawn.get(leaf)) for leaf in leaves if leaf.whole or leaf in drawn}

    def _request(self, leaf: Node, sampling: Sampling) -> Request:
        asked, spot = self.problem.request, leaf.found.spot
        ids = [*asked.ids, *spot.ids]
        return replace(asked, ids=ids, max_tokens=spot.left, state=spot.state, sampling=sampling, on_tokens=None)

    def _draw(self, found: Found, drawn: Result | None) -> Draw:
        """The value that begins so and goes on as drawn, if it does."""
        spot, finish = found.spot, found.finish or "length"
        result = self.places.tally.result(spot.ids, finish, spot.state, found.logprobs, found.shares)
        if drawn is not None:
            result.ids, result.finish, result.state = [*spot.ids, *drawn.ids], drawn.finish, drawn.state
            result.logprobs += drawn.logprobs
            result.masked_logprobs += drawn.masked_logprobs
        text = self.problem.text(result.ids, result.state)
        return Draw(result, text, self.problem.hole.parse(text))

    def _ranked(self, leaves: Sequence[Node], draws: Mapping[Node, Draw]) -> Routine[list[float]]:
        worth = {leaf: leaf.found.worth for leaf in leaves}
        if self.method.power:
            open_ends = [leaf for leaf in draws if leaf.found.finish is None]
            known = yield from worths(self.problem, [draws[leaf] for leaf in open_ends], None, self.places.tally)
            worth |= dict(zip(open_ends, known, strict=True))
        return [self._score(leaf, draws.get(leaf), worth[leaf]) for leaf in leaves]

    def _score(self, leaf: Node, draw: Draw | None, worth: float) -> float:
        if not (self.problem.passes(draw.text) if draw else self.guided):
            return -math.inf
        spot = leaf.found.spot
        score = self._value(self.problem.text(spot.ids, spot.state) if draw is None else draw.text)
        if self.method.power:
            score = (math.log(score) if score else -math.inf) + self.method.power * worth
        if score > -math.inf:
            self._low, self._high = min(self._low, score), max(self._high, score)
        if draw is not None:
            self.tried.append(draw)
            self.scores[self.key(draw)] = score
        return score

    def _value(self, text: str) -> float:
        if text not in self._known:
            value = number_of(said := self._ask(text))
            if not math.isfinite(value) or (value < 0 and self.method.power):
                least = " of 0 or more" if self.method.power else ""
                raise SamplingError(f"a value is a finite number{least}, not {said!r} as for {text!r}")
            self._known[text] = value
        return self._known[text]

    def _settle(self) -> None:
        """The root moves on to the token that was tried most, and over those that nothing can be instead of."""
        self.settled = True
        while self.root.children:
            self.root = max(self.root.children, key=lambda node: (node.visits, self._mean(node)))
            self.root.parent = None
            if self.root.ahead is not None or len(self.root.children) != 1:
                break

    def _complete(self) -> Routine[None]:
        """What was tried most, on by the most probable tokens."""
        node = self.root
        while node.children:
            node = max(node.children, key=lambda child: child.visits)
        if not node.whole:
            draws = yield from self._drawn([node], Sampling())
            yield from self._ranked([node], draws)
