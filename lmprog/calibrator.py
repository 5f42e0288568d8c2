"""Probabilities that are corrected by what was seen on data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from .dist import Dist
from .errors import CalibrationError
from .venn_abers import VennAbers

Method = Literal["batch", "venn-abers"]
FORMAT, VERSION = "lmprog calibrator", 1
LEAST = 1e-12  # of an option's mean probability


@dataclass(frozen=True, repr=False)
class Calibrated(Dist):
    """A Dist with corrected shares; `logprobs` are still the model's.

    intervals  by Venn–Abers, of each option the two probabilities of which one is calibrated: the wider apart, the less
               the data say. None for other methods
    """

    intervals: Mapping[Any, tuple[float, float]] | None = None


class Calibrator:
    """Corrects a Dist over certain options. It is fitted on data, and what it learnt is then frozen: what it makes of
    one Dist never depends on others that it is used on.

    "batch"       batch calibration (Zhou et al. 2023, "Batch Calibration: Rethinking Calibration for In-Context
                  Learning and Prompt Engineering"): each option's probability is divided by its mean over the data, so
                  that a prompt's leaning to some option goes. Needs no labels
    "venn-abers"  inductive Venn–Abers predictors (Vovk and Petej 2014), of each option against the rest: each gets an
                  interval, and as its share p1 / (1 - p0 + p1), the one that is best under log loss, over the sum of
                  all. Needs labels, of examples that were not used to write the prompt

        calibrator = lp.Calibrator("venn-abers").fit(dists, labels, note="200 reviews of May")
        calibrator.predict(dist)["positive"]

    `fitted_on` says what it was fitted on.
    """

    def __init__(self, method: Method = "batch") -> None:
        if method not in get_args(Method):
            raise CalibrationError(f"method is one of {', '.join(get_args(Method))}, not {method!r}")
        self.method: Method = method
        self.texts: tuple[str, ...] = ()  # of the options
        self.examples = 0
        self.note = ""
        self._priors: dict[str, float] = {}
        self._experts: dict[str, VennAbers] = {}

    def fit(self, dists: Iterable[Dist], labels: Iterable[Any] | None = None, *, note: str = "") -> Calibrator:
        """Learn from distributions over the same options and, for "venn-abers", the right option of each.

        Raises CalibrationError: no data, other options, labels that are missing or no option.
        """
        data = list(dists)
        if not data:
            raise CalibrationError("there is nothing to fit on: give at least one Dist")
        self.texts = tuple(sorted(_texts(data[0])))
        rows = [self._shares(dist) for dist in data]
        if self.method == "batch":
            self._priors = {text: float(np.mean([row[text] for row in rows])) for text in self.texts}
        else:
            right = self._right(data, labels)
            self._experts = {
                text: VennAbers.fit([row[text] for row in rows], [label == text for label in right])
                for text in self.texts
            }
        self.examples, self.note = len(data), note
        return self

    def predict(self, dist: Dist) -> Calibrated:
        """The corrected distribution. Raises CalibrationError: not fitted, or on other options."""
        if not self.examples:
            raise CalibrationError("the calibrator is not fitted: call fit(dists) first")
        shares, names = self._shares(dist), {text: option for option, text in _names(dist).items()}
        if self.method == "batch":
            weights = {text: shares[text] / max(self._priors[text], LEAST) for text in self.texts}
            return _calibrated(dist, {names[text]: weight for text, weight in weights.items()}, None)
        intervals = {names[text]: self._experts[text].interval(shares[text]) for text in self.texts}
        merged = {option: high / (1 - low + high) for option, (low, high) in intervals.items()}
        return _calibrated(dist, merged, intervals)

    @property
    def fitted_on(self) -> str:
        """In words."""
        if not self.examples:
            return "nothing yet"
        kind = "examples" if self.method == "batch" else "labelled examples"
        return f"{self.examples} {kind}" + f" ({self.note})" * bool(self.note)

    def save(self, path: str | Path) -> None:
        """Write it as JSON. Raises OSError."""
        data = {
            "format": FORMAT,
            "version": VERSION,
            "method": self.method,
            "examples": self.examples,
            "note": self.note,
            "options": self.texts,
            "priors": self._priors,
            "experts": {text: asdict(expert) for text, expert in self._experts.items()},
        }
        Path(path).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Calibrator:
        """Read one that `save` wrote. Raises CalibrationError for anything else, OSError."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            if (data["format"], data["version"]) != (FORMAT, VERSION):
                raise CalibrationError(f"{path} has another format or version: {data['format']} {data['version']}")
            found = cls(data["method"])
            found.examples, found.note, found.texts = data["examples"], data["note"], tuple(data["options"])
            found._priors = data["priors"]
            found._experts = {text: VennAbers(**expert) for text, expert in data["experts"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CalibrationError(f"{path} is not a saved calibrator: {error!r}") from None
        return found

    def __repr__(self) -> str:
        return f"Calibrator({self.method!r}, fitted on {self.fitted_on})"

    def _shares(self, dist: Dist) -> dict[str, float]:
        """By text. Raises CalibrationError."""
        texts = _texts(dist)
        if tuple(sorted(texts)) != self.texts:
            raise CalibrationError(f"the options are {', '.join(texts)}, the calibrator's {', '.join(self.texts)}")
        if dist.none is not None:
            raise CalibrationError("a Dist with none=True cannot be calibrated: score the options alone")
        shares = {texts[i]: dist.probs[option] for i, option in enumerate(dist.options)}
        if any(math.isnan(share) for share in shares.values()):
            raise CalibrationError("the model gives every option the probability 0: there is nothing to calibrate")
        return shares

    def _right(self, data: Sequence[Dist], labels: Iterable[Any] | None) -> list[str]:
        given = [] if labels is None else list(labels)
        if len(given) != len(data):
            raise CalibrationError(f"venn-abers needs the right option of each Dist: {len(given)} for {len(data)}")
        right = []
        for dist, label in zip(data, given, strict=True):
            text = _names(dist).get(label, label) if label.__hash__ else str(label)
            if text not in self.texts:
                raise CalibrationError(f"the label {label!r} is none of the options, {', '.join(self.texts)}")
            right.append(text)
        return right


def _names(dist: Dist) -> dict[Any, str]:
    return {option: dist.texts.get(option, str(option)) for option in dist.options}


def _texts(dist: Dist) -> list[str]:
    return list(_names(dist).values())


def _calibrated(
    dist: Dist, weights: Mapping[Any, float], intervals: Mapping[Any, tuple[float, float]] | None
) -> Calibrated:
    scores = {option: math.log(weights[option]) if weights[option] else -math.inf for option in dist.options}
    return Calibrated(dist.options, dist.logprobs, scores, dist.norm, None, dist.texts, intervals, words=dist.words)
