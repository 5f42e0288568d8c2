"""How probable options are at a place, and which is chosen: exactly, with as few rows of logits as that takes.

Probabilities are products along the paths of the options' tree (option_tree.py). All that options share, up to where
they part, is the same for all of them: where only their order matters it is never asked for, and where they part their
logits do, without the sum over the vocabulary. Deeper nodes need that sum, a full row each.

The most probable option is found best first (branch and bound): the probability of a path so far bounds those of all
options behind it, so a node is looked into only while it exceeds the best complete option. Where every option is one
token that is a single narrow row, as cheap as greedy decoding.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .dist import Dist, keys
from .errors import EmptyLanguage, SamplingError
from .models import LanguageModel
from .option_tree import Node, OptionTree, option_tree
from .question import Question
from .run import Usage
from .runtime.choice import Choice
from .runtime.request import Ask, Request, Result
from .runtime.routine import Routine
from .runtime.sampler import pick
from .runtime.sampling import Sampling
from .runtime.uniforms import generator
from .transcript import Transcript, spell

Floats = NDArray[np.float64]
Rounds = Generator[Sequence[Request], list[Result], Any]
AHEAD = math.log(16)  # nodes that are at most so much less probable than the best one are looked into along with it ...
TOGETHER = 8  # ... but no more than so many: one more row in a step costs far less than one more step


@dataclass(frozen=True)
class Place:
    """Where options are to come: behind the ids `sent`; `border` are the last ids of the text, which are spelt anew
    together with each option."""

    sent: tuple[int, ...]
    border: tuple[int, ...] = ()

    @classmethod
    def of(cls, transcript: Transcript, model: LanguageModel, heal: bool) -> Place:
        ids, backed = transcript.border()
        ids = ids or sorted(model.vocab.eos)[:1]  # no BOS and no text: something must be there to continue
        cut = len(ids) - (backed if heal else 0)
        return cls(tuple(ids[:cut]), tuple(ids[cut:]))


class Pathed(Protocol):
    """A node that tokens behind the place lead to."""

    @property
    def path(self) -> tuple[int, ...]: ...


Wanted = tuple[Pathed, NDArray[np.int32], bool]


@dataclass
class Asker:
    """Asks for the logits of nodes, and counts what that costs: the text up to the place is one prompt for all."""

    sent: tuple[int, ...]
    usage: Usage = field(default_factory=Usage)

    def ask(self, wanted: Sequence[Wanted]) -> Routine[list[Floats]]:
        """For each (node, tokens, relative) the log-probabilities of the tokens behind the node, in one round.

        Nodes on one way down share a request, so that no row is computed twice.
        """
        if not self.usage.prompt_tokens:
            self.usage = Usage(0, len(self.sent))
        order = sorted(range(len(wanted)), key=lambda i: wanted[i][0].path)
        groups: list[list[int]] = []
        for i in order:
            path = wanted[i][0].path
            if groups and wanted[groups[-1][-1]][0].path == path[: len(wanted[groups[-1][-1]][0].path)]:
                groups[-1].append(i)
            else:
                groups.append([i])
        results = yield [self._request([wanted[i] for i in group]) for group in groups]
        answers: dict[int, Floats] = {}
        for group, result in zip(groups, results, strict=True):
            answers.update(zip(group, result.answers, strict=True))
            self.usage += Usage(0, len(wanted[group[-1]][0].path), result.prompt_tokens_computed)
        return [answers[i] for i in range(len(wanted))]

    def _request(self, wanted: Sequence[Wanted]) -> Request:
        n = len(self.sent)
        asks = [Ask(n + len(node.path), tokens, relative) for node, tokens, relative in wanted]
        return Request([*self.sent, *wanted[-1][0].path], 0, asks=asks)


def outcomes(node: Node) -> NDArray[np.int32]:
    """The tokens whose probabilities decide between the outcomes at a node: its kids, then what is barred."""
    kids = np.fromiter(node.kids, np.int32, len(node.kids))
    return kids if node.barred is None else np.append(kids, node.barred)


def end_of(node: Node, values: Floats) -> float:
    """The log-probability that the option ends at its node, from the answer for its outcomes."""
    if node.barred is None:
        return 0.0
    left = 1 - float(np.exp(values[len(node.kids) :]).sum())
    return math.log(left) if left > 0 else -math.inf


# -- all of them -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weighed:
    """Of each option its log-probability, given the text up to the place, and how many tokens it is a product of.

    steps   the log-probability of each step of each option's path, `border` that of the spelling of the text's end
    """

    logprobs: Floats
    tokens: list[int]
    steps: dict[Node, dict[int, float]]
    border: float
    usage: Usage


def weighing(texts: tuple[str, ...], end: bytes, place: Place, model: LanguageModel) -> Routine[Weighed]:
    """The probabilities of all options at a place: a full row of logits for each inner node of their tree."""
    vocab = model.vocab
    prefix = spell(vocab, place.border)
    tree = option_tree(vocab, prefix, texts, end, place.border)
    nodes = [node for node in tree.nodes() if not node.leaf or _rest(model, node, prefix)]
    covers = {node: vocab.starting_with(rest) for node in nodes if (rest := _rest(model, node, prefix))}
    none = np.zeros(0, np.int32)
    asker = Asker(place.sent)
    wanted = [(node, np.append(outcomes(node), covers.get(node, none)), False) for node in nodes]
    answers = dict(zip(nodes, (yield from asker.ask(wanted)) if wanted else [], strict=True))
    border = _border(model, tree.root, prefix, answers, covers) if prefix else 0.0
    steps = {node: dict(zip(node.kids, answers[node].tolist(), strict=False)) for node in nodes}
    logprobs = np.full(len(texts), -math.inf)
    for i, path in enumerate(tree.paths):
        if path is not None:
            logprobs[i] = _along(tree, path, answers, steps, covers) - border
    lengths = [len(path or ()) for path in tree.paths]
    return Weighed(logprobs, lengths, steps, border, asker.usage)


def _along(
    tree: OptionTree,
    path: tuple[int, ...],
    answers: dict[Node, Floats],
    steps: dict[Node, dict[int, float]],
    covers: dict[Node, NDArray[np.int32]],
) -> float:
    node, total = tree.root, 0.0
    for token in path:
        total += steps[node][token]
        node = node.kids[token]
    if node.barred is not None:
        values = answers[node]
        total += end_of(node, values[: len(values) - len(covers.get(node, ()))])
    return total


def _rest(model: LanguageModel, node: Node, prefix: bytes) -> bytes:
    """What of the text's end is not spelt yet at a node."""
    return prefix[len(spell(model.vocab, node.path)) :]


def _border(
    model: LanguageModel,
    node: Node,
    prefix: bytes,
    answers: dict[Node, Floats],
    covers: dict[Node, NDArray[np.int32]],
) -> float:
    """The log-probability of all ways to spell what is left of the text's end that go along the tree and then cover the
    rest by one token."""
    rest, values = _rest(model, node, prefix), answers[node]
    whole = float(np.exp(values[len(values) - len(covers[node]) :]).sum())
    for kid, value in zip(node.kids.values(), values.tolist(), strict=False):
        if len(spell(model.vocab, kid.path[-1:])) < len(rest) and kid in covers:
            whole += math.exp(value + _border(model, kid, prefix, answers, covers))
    return math.log(whole) if whole > 0 else -math.inf


# -- one of them -------------------------------------------------------------------------------------------------------


def choosing(
    texts: tuple[str, ...],
    end: bytes,
    place: Place,
    model: LanguageModel,
    sampling: Sampling,
    decide: Callable[[Floats], int] | None = None,
) -> Routine[tuple[int, tuple[int, ...], Usage]]:
    """The most probable option, or one drawn from the distribution of all, or what `decide` takes, told (relative)
    log-probabilities: its number, its tokens, what it cost."""
    tree = option_tree(model.vocab, spell(model.vocab, place.border), texts, end)
    asker = Asker(place.sent)
    if tree.top.leaf:
        at = tree.top.option or 0
    elif decide is not None:
        at = decide((yield from _all(tree, asker)))
    elif sampling.greedy:
        at = yield from _best(tree.top, asker)
    else:
        at = drawn((yield from _all(tree, asker)), sampling)
    path = tree.paths[at]
    if path is None:
        raise EmptyLanguage("the tokens of this model cannot spell any of the options")
    return at, path, asker.usage


def drawn(weights: Floats, sampling: Sampling) -> int:
    """An option by its number, from (relative) log-probabilities: temperature and filters apply to whole options."""
    return pick(weights - weights.max(), len(weights), Choice(), sampling, generator(sampling))


def _best(top: Node, asker: Asker) -> Routine[int]:
    """Best first. Of equally probable options the first."""
    (values,) = yield from asker.ask([(top, outcomes(top), top.barred is None)])
    queue: list[tuple[float, int, Node | None]] = []
    _open(queue, top, 0.0, values)
    while True:
        weight, first, node = queue[0]
        if weight == math.inf:
            raise SamplingError("the model gives every option the probability 0")
        if node is None:
            return first
        yield from _look_into(queue, asker)


def _look_into(queue: list[tuple[float, int, Node | None]], asker: Asker) -> Routine[None]:
    """Replace the best node, and those that are nearly as good, by what comes of them."""
    complete = min([weight for weight, _, node in queue if node is None], default=math.inf)
    most = min(queue[0][0] + AHEAD, complete)
    chosen: list[tuple[float, Node]] = []
    while queue and len(chosen) < TOGETHER and queue[0][2] is not None and queue[0][0] <= most:
        weight, _, node = heapq.heappop(queue)
        assert node is not None
        chosen.append((weight, node))
    chains = [_chain(node) for _, node in chosen]
    nodes = [node for chain in chains for node in chain]
    answers = dict(zip(nodes, (yield from asker.ask([(node, outcomes(node), False) for node in nodes])), strict=True))
    for (weight, _), chain in zip(chosen, chains, strict=True):
        total = -weight
        for node in chain[:-1]:
            total += float(answers[node][0])
        _open(queue, chain[-1], total, answers[chain[-1]])


def _chain(node: Node) -> list[Node]:
    """A node and those below it, up to where there is a choice, or up to the last before an option's end."""
    chain = [node]
    while len(node.kids) == 1 and node.option is None:
        node = next(iter(node.kids.values()))
        if node.leaf:
            break
        chain.append(node)
    return chain


def _open(queue: list[tuple[float, int, Node | None]], node: Node, total: float, values: Floats) -> None:
    """Queue what may come at a node whose log-probability is `total`: by falling weight, then in the given order."""
    if node.option is not None:
        heapq.heappush(queue, (-(total + end_of(node, values)), node.option, None))
    for kid, value in zip(node.kids.values(), values.tolist(), strict=False):
        done = kid.option if kid.leaf else None
        heapq.heappush(queue, (-(total + value), kid.first if done is None else done, None if kid.leaf else kid))


def _all(tree: OptionTree, asker: Asker) -> Routine[Floats]:
    """The log-probabilities of all options but for what they share."""
    nodes = [node for node in tree.top.walk() if not node.leaf]
    wanted = [(node, outcomes(node), node is tree.top and node.barred is None) for node in nodes]
    answers = dict(zip(nodes, (yield from asker.ask(wanted)), strict=True))
    weights = np.full(len(tree.paths), -math.inf)
    todo = [(tree.top, 0.0)]
    while todo:
        node, total = todo.pop()
        values = answers.get(node, np.zeros(0))
        if node.option is not None:
            weights[node.option] = total + end_of(node, values)
        todo += [(kid, total + value) for kid, value in zip(node.kids.values(), values.tolist(), strict=False)]
    if weights.max() == -math.inf:
        raise SamplingError("the model gives every option the probability 0")
    return weights


# -- distributions -----------------------------------------------------------------------------------------------------


def distributing(question: Question, place: Place, model: LanguageModel, heal: bool) -> Routine[tuple[Dist, Usage]]:
    """The routine of `Prompt.score`."""
    q = question
    weighed = yield from weighing(q.texts, q.end, place, model)
    scores, usage = weighed.logprobs, weighed.usage
    if q.norm == "mean":
        scores = scores / np.maximum(1, weighed.tokens)
    if q.norm == "pmi":
        transcript = Transcript(model.vocab, [] if model.bos is None else [model.bos])
        transcript.append(q.premise)
        alone = yield from weighing(q.texts, q.end, Place.of(transcript, model, heal), model)
        with np.errstate(invalid="ignore"):
            scores = np.where(scores == -math.inf, scores, scores - alone.logprobs)
        usage += alone.usage
    return dist_of(q, weighed.logprobs, scores), usage


def dist_of(question: Question, logprobs: Floats, scores: Floats, bounds: tuple[Floats, Floats] | None = None) -> Dist:
    """Of the options, or of the classes of words. `bounds`: the lower and the upper ones of the logprobs."""
    names = keys(question.values, question.texts)
    none = max(0.0, 1 - float(np.exp(logprobs).sum())) if question.none else None
    ends = None if bounds is None else zip(bounds[0].tolist(), bounds[1].tolist(), strict=True)
    dist = Dist(
        names,
        dict(zip(names, logprobs.tolist(), strict=True)),
        dict(zip(names, scores.tolist(), strict=True)),
        question.norm,
        none,
        dict(zip(names, question.texts, strict=True)),
        bounds=None if ends is None else dict(zip(names, ends, strict=True)),
    )
    return dist if question.words is None else question.words.folded(dist)
