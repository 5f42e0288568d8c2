"""Constraints: languages over bytes, compiled to token masks. Knows nothing of models."""

from .choices import choices
from .compiled import compile
from .constraint import Constraint
from .corpus import Corpus, CorpusQuote
from .ebnf import ebnf, gbnf
from .errors import BudgetError, ConstraintError, EmptyLanguage, InvalidConstraint, LmprogError, UnsupportedConstraint
from .grammar import Grammar, any_text, literal
from .json_schema import json_schema
from .lark import lark
from .library import library
from .quote import Quote, json_quote, quote
from .regex import regex
from .rows import State
from .to_gbnf import to_gbnf
from .to_regex import to_regex
from .types import from_type
from .vocabulary import Vocabulary
from .where import restrict, where

__all__ = [
    "BudgetError",
    "Constraint",
    "ConstraintError",
    "Corpus",
    "CorpusQuote",
    "EmptyLanguage",
    "Grammar",
    "InvalidConstraint",
    "LmprogError",
    "Quote",
    "State",
    "UnsupportedConstraint",
    "Vocabulary",
    "any_text",
    "choices",
    "compile",
    "ebnf",
    "from_type",
    "gbnf",
    "json_quote",
    "json_schema",
    "lark",
    "library",
    "literal",
    "quote",
    "regex",
    "restrict",
    "to_gbnf",
    "to_regex",
    "where",
]
