"""Constraints: languages over bytes, compiled to token masks. Knows nothing of models."""

from .choices import choices
from .constraint import Constraint, State, compile
from .errors import BudgetError, ConstraintError, EmptyLanguage, InvalidConstraint, LmprogError, UnsupportedConstraint
from .grammar import Grammar, any_text, literal
from .regex import regex
from .vocabulary import Vocabulary

__all__ = [
    "BudgetError",
    "Constraint",
    "ConstraintError",
    "EmptyLanguage",
    "Grammar",
    "InvalidConstraint",
    "LmprogError",
    "State",
    "UnsupportedConstraint",
    "Vocabulary",
    "any_text",
    "choices",
    "compile",
    "literal",
    "regex",
]
