"""Errors of the constraint compiler.

LmprogError
└── ConstraintError
    ├── UnsupportedConstraint   the construct is understood but cannot be enforced exactly
    ├── InvalidConstraint       the schema, regex or grammar itself is broken
    ├── EmptyLanguage           nothing satisfies the constraint
    └── BudgetError             no complete value fits in the token budget
"""


class LmprogError(Exception):
    """Root of every error that lmprog raises on purpose."""


class ConstraintError(LmprogError):
    """A constraint cannot be compiled or met. `where` names the place (a JSON pointer, a position), if there is one."""

    def __init__(self, message: str, where: str | None = None) -> None:
        super().__init__(message if where is None else f"{message} (at {where})")
        self.where = where


class UnsupportedConstraint(ConstraintError):
    """The construct is understood but cannot be enforced exactly; nothing is silently weakened."""


class InvalidConstraint(ConstraintError):
    """The schema, regex or grammar itself is broken."""


class EmptyLanguage(ConstraintError):
    """No text satisfies the constraint."""


class BudgetError(ConstraintError):
    """No complete value fits in the token budget."""
