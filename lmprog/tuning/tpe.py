"""The tree-structured Parzen estimator of optuna, as MIPROv2 uses it (Opsahl-Ong et al. 2024, "Optimizing Instructions
and Demonstrations for Multi-Stage Language Model Programs"): multivariate, over categories, without repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import TuningError
from .space import Choice, Space

if TYPE_CHECKING:
    from .samplers import Point, Sampler

STARTUP = 8  # random choices at first
ASKS = 24  # draws among which one has to be new


@dataclass(frozen=True)
class TPE:
    """`otherwise` gives the first choices, and those where the estimator only comes back to what was tried."""

    space: Space
    seed: int
    otherwise: Sampler

    def __post_init__(self) -> None:
        _optuna()

    def suggest(self, points: Sequence[Point]) -> Choice | None:
        if len(points) < STARTUP or len(points) >= self.space.size:
            return self.otherwise.suggest(points)
        optuna = _optuna()
        about = {
            str(slot): optuna.distributions.CategoricalDistribution(list(range(size)))
            for slot, size in enumerate(self.space.sizes)
        }
        study = self._study(optuna, points, about)
        seen = {point.choice for point in points}
        for _ in range(ASKS):
            params = study.ask(about).params
            choice = tuple([params[str(slot)] for slot in range(len(self.space.sizes))])
            if choice not in seen:
                return choice
        return self.otherwise.suggest(points)

    def _study(self, optuna: Any, points: Sequence[Point], about: dict[str, Any]) -> Any:
        seed = (self.seed * 1_000_003 + len(points)) % 2**32
        how = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=1)
        told = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize", sampler=how)
        optuna.logging.set_verbosity(told)
        for point in points:
            params = {str(slot): n for slot, n in enumerate(point.choice)}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=about, value=point.score))
        return study


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise TuningError(f'method="tpe" needs the extra lmprog[tune]: {error}') from None
    return optuna
