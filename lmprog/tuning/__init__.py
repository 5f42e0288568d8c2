"""Searches for the values of a program's slots under which it does best."""

from .budget import Budget, Spent
from .optimised import Optimised, SeenRows
from .optimiser import optimise
from .trials import Trial

__all__ = ["Budget", "Optimised", "SeenRows", "Spent", "Trial", "optimise"]
