"""Baum–Welch: the hidden Markov model that makes given sequences most probable, by expectation and maximisation.

Forward and backward probabilities are scaled at every place, so nothing underflows; sequences are padded and go through
in chunks, so memory is bounded by a chunk: two arrays of [sequences, places, H].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK = 512  # sequences
PATIENT = 10  # rounds that may gain little
SMOOTH = 1e-3  # counts that are added everywhere, as a share of a state's own


@dataclass
class Fit:
    """start [H], move [H, H], emit [H, C] as float64; `loglik`: a token, by round."""

    start: NDArray[np.float64]
    move: NDArray[np.float64]
    emit: NDArray[np.float64]
    loglik: list[float]


def baum_welch(
    sequences: Sequence[Sequence[int]],
    states: int,
    classes: int,
    *,
    rounds: int = 40,
    seed: int = 0,
    enough: float = 1e-4,
) -> Fit:
    """`sequences` of numbers below `classes`. Ends after so many `rounds`, or when a round, not one of the first, gains
    less than `enough` nats a token."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    chunks = [_padded(sequences[i : i + CHUNK], device) for i in range(0, len(sequences), CHUNK)]
    total = sum([len(sequence) for sequence in sequences])
    start, move, emit = _first(sequences, states, classes, seed, device)
    loglik: list[float] = []
    for n in range(rounds):
        counts = _Counts.zero(states, classes, device)
        for ids, lengths in chunks:
            counts.add(ids, lengths, start, move, emit)
        loglik.append(counts.loglik / max(1, total))
        start, move, emit = counts.maximised()
        if n > PATIENT and loglik[-1] - loglik[-2] < enough:
            break
    return Fit(start.cpu().numpy(), move.cpu().numpy(), emit.cpu().numpy(), loglik)


def _padded(sequences: Sequence[Sequence[int]], device: str) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(sequence) for sequence in sequences], device=device)
    ids = torch.zeros((len(sequences), int(lengths.max())), dtype=torch.long, device=device)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
    return ids, lengths


def _first(
    sequences: Sequence[Sequence[int]], states: int, classes: int, seed: int, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """States that differ at random, each in how much it prefers which tokens: alike, they would stay alike."""
    rng = torch.Generator().manual_seed(seed)
    flat = torch.tensor([token for sequence in sequences for token in sequence])
    usual = torch.bincount(flat, minlength=classes) + 1e-9
    emit = _rows(usual * -torch.rand((states, classes), dtype=torch.float64, generator=rng).clamp(1e-9).log())
    move = _rows(torch.rand((states, states), dtype=torch.float64, generator=rng) + 0.1)
    start = _rows(torch.rand((1, states), dtype=torch.float64, generator=rng) + 0.1)[0]
    return start.to(device), move.to(device), emit.to(device)


def _rows(counts: Tensor) -> Tensor:
    return counts / counts.sum(dim=-1, keepdim=True)


@dataclass
class _Counts:
    """How often each thing happened, in expectation."""

    start: Tensor
    move: Tensor
    emit: Tensor
    loglik: float = 0.0

    @classmethod
    def zero(cls, states: int, classes: int, device: str) -> _Counts:
        start, move, emit = [
            torch.zeros(size, dtype=torch.float64, device=device)
            for size in ((states,), (states, states), (classes, states))
        ]
        return cls(start, move, emit)

    def add(self, ids: Tensor, lengths: Tensor, start: Tensor, move: Tensor, emit: Tensor) -> None:
        places = ids.shape[1]
        seen = emit.T[ids]  # [N, T, H]
        inside = torch.arange(places, device=ids.device)[None] < lengths[:, None]
        forward, scale = torch.empty_like(seen), torch.ones(ids.shape, dtype=torch.float64, device=ids.device)
        at = start.expand(len(ids), -1)
        for t in range(places):
            weights = at * seen[:, t]
            scale[:, t] = weights.sum(dim=1)
            forward[:, t] = weights / scale[:, t : t + 1]
            at = forward[:, t] @ move
        self.loglik += float((scale.log() * inside).sum())
        backward = torch.ones_like(at)
        moved = torch.zeros_like(self.move)
        for t in range(places - 1, -1, -1):
            gamma = forward[:, t] * backward * inside[:, t : t + 1]
            self.emit.index_add_(0, ids[:, t], gamma)
            if t == 0:
                self.start += gamma.sum(dim=0)
                break
            ahead = seen[:, t] * backward / scale[:, t : t + 1]
            moved += forward[:, t - 1].T @ (ahead * inside[:, t : t + 1])
            backward = torch.where(inside[:, t : t + 1], ahead @ move.T, torch.ones_like(backward))
        self.move += moved * move

    def maximised(self) -> tuple[Tensor, Tensor, Tensor]:
        """The most probable parameters, smoothed a little: what has not come is not impossible."""
        usual = _rows(self.emit.sum(dim=1)[None])
        emit = self.emit.T
        emit = _rows(emit + SMOOTH * (emit.sum(dim=1, keepdim=True) + 1e-9) * usual)
        move = _rows(self.move + SMOOTH * (self.move.sum(dim=1, keepdim=True) + 1e-9) / len(self.move))
        start = _rows((self.start + SMOOTH * self.start.sum() / len(self.start))[None])[0]
        return start, move, emit
