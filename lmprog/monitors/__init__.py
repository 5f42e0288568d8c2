"""Monitors: allowed continuations from outside knowledge, such as a database or the attributes of live objects."""

from .database import DatabaseValues
from .protocol import Monitor, judge
from .python_names import PythonNames
from .sql_names import SqlNames

__all__ = ["DatabaseValues", "Monitor", "PythonNames", "SqlNames", "judge"]
