"""What all endpoints of a server share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..runtime.model import Model
from .admission import Admission
from .chats import Chats
from .checking import Checking
from .measures import Measures
from .settings import Settings

if TYPE_CHECKING:
    from .programs import Endpoint


class Service:
    """A model, the settings, and what is counted. `programs`: those that are endpoints, by name."""

    def __init__(self, model: Model, settings: Settings, programs: Mapping[str, Endpoint]) -> None:
        self.model, self.settings, self.programs = model, settings, programs
        self.name = settings.name or model.name
        self.admission = Admission(settings)
        self.checking = Checking(model.vocab, settings)
        self.chats = Chats(model)
        self.measures = Measures()
        self.created = int(time.time())
