"""Models for tests, usable wherever a model is: random, scripted, or an exact table; and tests for monitors.

`RandomModel` and `TableModel` run on the real engine, with its prefix cache, masks and sampler; `Scripted` gives the
answers that a test wants, and checks them against the holes' languages.
"""

from .chains import Automaton, MarkovChain
from .models import RandomModel, Scripted, TableModel
from .monitor_tests import MonitorTests

__all__ = ["Automaton", "MarkovChain", "MonitorTests", "RandomModel", "Scripted", "TableModel"]
