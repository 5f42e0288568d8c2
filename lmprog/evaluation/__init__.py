"""Programs measured on data."""

from .measure import evaluate
from .result import Comparison, Evaluation, RowError, Scored
from .statistics import Interval

__all__ = ["Comparison", "Evaluation", "Interval", "RowError", "Scored", "evaluate"]
