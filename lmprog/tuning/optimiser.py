"""`lp.optimise`: other values in a program's slots, under which it scores higher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ..decoders import Decoder
from ..errors import TuningError
from ..evaluation.data import Data, read
from ..models import LanguageModel
from ..programs import Program
from ..slots import Slot
from .about import parts
from .bar import Bar
from .budget import Budget
from .candidates import Proposer, checked, slots_of
from .objective import Measure
from .optimised import Optimised
from .probabilities import Asked, Information, Likelihood, Perplexity, information
from .samplers import sampler
from .search import Objective, Over, Search
from .space import Space, key
from .store import Store
from .trials import Total, best, mean

Method = Literal["joint", "random", "tpe", "bootstrap", "mutual-information", "likelihood", "perplexity"]
SEARCHES = {"bootstrap": "random", "mutual-information": "joint", "likelihood": "joint", "perplexity": "joint"}
ASKING: dict[str, type[Asked]] = {"mutual-information": Information, "likelihood": Likelihood, "perplexity": Perplexity}
UNLABELLED = ("mutual-information", "perplexity")
LABELS = "exact"  # the metric of demonstrations and comparisons where none is given
EVALUATIONS = 30  # where nothing else limits a search
SEEDS = 2**48 + 1
ASIDE, MOST = 3, 64  # one row in so many becomes a demonstration, and no more than so many


def optimise(
    program: Program[..., Any],
    data: Data,
    metric: Any = None,
    *,
    space: Mapping[str, Sequence[Any]] | None = None,
    method: Method = "joint",
    budget: Budget | None = None,
    minibatch: int | None = None,
    proposer: LanguageModel | None = None,
    teacher: LanguageModel | None = None,
    valset: Data | None = None,
    model: LanguageModel | None = None,
    decoder: Decoder | None = None,
    candidates: int = 6,
    demos: int = 4,
    threshold: float = 1.0,
    assertions: bool = False,
    seed: int = 0,
    state: str | Path | None = None,
    progress: bool = False,
    cache: str | Path | bool | None = None,
    concurrency: int = 32,
) -> Optimised:
    """Search for the values of a program's slots under which it scores highest.

        found = lp.optimise(card, "train.jsonl", "exact", model=model, budget=lp.Budget(evaluations=40))
        found.best.score, found.start.score
        found.compare("test.jsonl")          # on rows that the search did not see, paired
        found.save("card.slots.toml")        # and later: card.load("card.slots.toml")

    data       rows as for `evaluate`. Where demonstrations are made of them, a third (64 rows at most) is set aside for
               that and not scored, unless there is a `valset`
    metric     as for `evaluate`: the first one counts. The last three methods do without
    space      by slot the candidates: texts, or lists of dicts for examples; slots of programs called inside are
               "inner.instruction". For slots that it does not have candidates are made: instructions by `proposer`,
               demonstrations from runs that were right; a single candidate keeps a slot as it is
    method     "joint": all slots together by a surrogate that knows effects of slots and pairs of slots (see
               `lmprog.tuning.surrogate`); "tpe": by optuna's tree-structured Parzen estimator (the extra
               lmprog[tune]); "random": any configuration not tried yet; "bootstrap": sets of demonstrations only, one
               after the other; "mutual-information": as joint, by the mutual information between inputs and the
               answers of the last hole that is a choice, without labels; "likelihood": as joint, by the mean
               log-probability of `row["expected"]` as the value of the last hole; "perplexity": as joint, by how
               probable the text before the last hole is, a token in the mean, without labels
    budget     tokens, seconds, evaluations; 30 evaluations when nothing is said. See `Budget`
    minibatch  rows that a configuration is tried on at first; the leading one is run on all rows now and then, and at
               the end. None: all rows always
    proposer   writes instructions; None: the program's own model
    teacher    runs the program for demonstrations; None: the program's own model
    valset     rows to score on; `data` then is for demonstrations and for the proposer
    candidates, demos, threshold   candidates that are made for a slot, demonstrations in a set, the least score of a
               run that becomes one
    assertions what `a.check` and `a.suggest` refused is told to the proposer, with input, value and reason; half of the
               sets of demonstrations begin with rows on which a later attempt was right
    seed       the same seed, program, data and budget give the same search
    state      an SQLite file: a search that was stopped or killed goes on from there, and pays for nothing again but
               what was under way. Runs are kept in a second file, `state` + ".runs", unless `cache` says where
    progress   shows trials, the best score, tokens and the time left on stderr
    cache, concurrency   as for `evaluate`

    No configuration is tried twice. Raises TuningError when there is nothing to search, for candidates that do not fit
    their slots, or when `state` is of another search; EvaluationError for data and metrics, as `evaluate` does.
    """
    if not isinstance(program, Program):
        raise TuningError(f"optimise takes a program, not {program!r:.60}")
    _check(method, minibatch=minibatch, candidates=candidates, demos=demos, concurrency=concurrency)
    _kinds(budget, space, seed, threshold, state)
    _models(model=None if model is program.model else model, proposer=proposer, teacher=teacher)
    rows, own = read(data), program.chosen(model)
    slots = slots_of(program, rows)
    given = checked(space or {}, slots, program)
    missing = _missing(program, method, metric, slots, given)
    made = any(slots[name].kind == "examples" for name in missing)
    pool, scored = (rows, read(valset)) if valset is not None else _split(rows, seed) if made else (rows, rows)
    runs = cache if cache is not None or state is None else f"{state}.runs"
    how = {"model": own, "decoder": decoder, "seed": seed, "cache": runs, "concurrency": concurrency}
    measure = Measure(program, scored, metric or LABELS, how)
    objective, total = _objective(method, measure, metric)
    with closing(Store(None if state is None else Path(state))) as store:
        if state is not None:
            store.claim(parts(measure, pool, own, decoder, method if method in ASKING else "score"))
        search = Search(
            given,
            objective,
            range(len(scored)),
            sampler(SEARCHES.get(method, method), given, seed),
            budget if budget and any(vars(budget).values()) else Budget(evaluations=EVALUATIONS),
            store,
            minibatch=minibatch,
            chunk=concurrency,
            seed=seed,
            default={name: slot.value for name, slot in slots.items()},
            total=total,
        )
        numbers = seed, candidates, demos, threshold, assertions
        proposing = Proposer(measure, pool, proposer or own, teacher, store, slots, *numbers, search.check)
        with Bar(program.__name__, search.budget) if progress else nullcontext() as bar:
            search.watch = bar or search.watch
            _Plan(given, missing, slots, proposing, SEARCHES.get(method, method)).follow(search)
    found = best(search.trials)
    if found is None:
        raise TuningError("the budget was gone before the program had been run on all rows as it is: give more")
    better = program.with_(found.values)
    seen = frozenset(map(key, [*scored, *pool]))
    return Optimised(better, tuple(search.trials), found, search.spent, method, program, metric or LABELS, how, seen)


def _objective(method: str, measure: Measure, metric: Any) -> tuple[Objective, Total]:
    """And what the score of a configuration is of the outcomes."""
    if method in ASKING:
        asked = ASKING[method](measure.program, measure.data, measure.how)
        return asked, information if isinstance(asked, Information) else mean
    if metric is None:
        raise TuningError(f"method={method!r} needs a metric")
    return measure, mean


def _missing(
    program: Program[..., Any], method: str, metric: Any, slots: Mapping[str, Slot], given: Space
) -> list[str]:
    """The slots for which candidates have to be made. Raises TuningError when there is nothing to search."""
    if not (slots or given.names):
        raise TuningError(f"{program.__name__} has no slots: write its instruction as lp.slot(...), see docs/slots.md")
    left = [name for name in slots if name not in given.names]
    if method == "bootstrap":
        left = [name for name in left if slots[name].kind == "examples"]
    if method in UNLABELLED and metric is None:  # nothing tells which runs were right
        left = [name for name in left if slots[name].kind == "text"]
    if not (left or given.names):
        raise TuningError(f"method={method!r} has nothing to search in the slots {', '.join(slots)}: give a space")
    return left


@dataclass(frozen=True)
class _Plan:
    """What is searched: slots with candidates from the start, and those for which some have to be made."""

    given: Space
    missing: Sequence[str]
    slots: Mapping[str, Slot]
    proposing: Proposer
    method: str

    def follow(self, search: Search) -> None:
        """The program as it is; then, where instructions are proposed, half of the budget on those that come first, and
        the rest with those that are written in knowledge of their scores."""
        texts = [name for name in self.missing if self.slots[name].kind == "text"]
        with suppress(Over):
            search.begin()
            made = {n: self.proposing.examples(n) for n in self.missing if self.slots[n].kind == "examples"}
            search.pay(self.proposing.take())
            space = self.given.more(made)
            if texts:
                space = space.more({name: [self.slots[name].value] for name in texts})
                space = self._proposed(search, space, texts)
                whole, search.budget = search.budget, search.budget.part(0.5)
                self._search(search, space)
                search.budget = whole
                space = self._proposed(search, space, texts)
            self._search(search, space)

    def _proposed(self, search: Search, space: Space, texts: Sequence[str]) -> Space:
        made = {}
        for name in texts:
            made[name] = self.proposing.instructions(name, search.trials)
            search.pay(self.proposing.take())
        return space.more(made)

    def _search(self, search: Search, space: Space) -> None:
        search.widen(space, sampler(self.method, space, self.proposing.seed))
        search.run()


def _split(rows: list[dict[str, Any]], seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows for demonstrations, and rows to score on."""
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    aside = {*order[: min(MOST, len(rows) // ASIDE)]}
    return [rows[n] for n in order if n in aside], [row for n, row in enumerate(rows) if n not in aside]


def _check(method: str, **numbers: Any) -> None:
    if method not in get_args(Method):
        raise TuningError(f"method is one of {', '.join(get_args(Method))}, not {method!r}")
    if method == "mutual-information" and numbers["minibatch"] is not None:
        raise TuningError("mutual information is of all rows together: it has no minibatches")
    for name, value in numbers.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise TuningError(f"{name} is a whole number of 1 or more, not {value!r}")


def _kinds(budget: Any, space: Any, seed: Any, threshold: Any, state: Any) -> None:
    """Raises TuningError for arguments of another kind."""
    for name, value, right, what in (
        ("budget", budget, budget is None or isinstance(budget, Budget), "an lp.Budget, as in Budget(evaluations=40)"),
        ("space", space, space is None or isinstance(space, Mapping), "a dict: by slot the list of its candidates"),
        ("seed", seed, isinstance(seed, int | np.integer) and 0 <= seed < SEEDS, "a whole number from 0 to 2**48"),
        ("threshold", threshold, isinstance(threshold, int | float), "a number"),
        ("state", state, state is None or isinstance(state, str | Path), "the path of a file"),
    ):
        if not right:
            raise TuningError(f"{name} is {what}, not {value!r:.60}")


def _models(**models: Any) -> None:
    for name, model in models.items():
        if model is not None and not hasattr(model, "vocab"):
            raise TuningError(f"{name} is a model, as lp.load() gives one, not {model!r:.60}")
