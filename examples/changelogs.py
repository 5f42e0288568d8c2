"""The schema of `changelogs.schema.json` as a pydantic model: `--schema examples/changelogs.py:Entry`."""

import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Entry(BaseModel):
    """The head and foot of one Debian changelog entry."""

    model_config = ConfigDict(extra="forbid")

    package: str = Field(pattern=r"^[a-z0-9][a-z0-9+.-]{1,60}$", description="source package")
    version: str = Field(pattern=r"^[0-9][A-Za-z0-9.+~:-]{0,60}$")
    distribution: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{1,40}$")
    urgency: Literal["low", "medium", "high", "critical", "emergency"]
    maintainer: str = Field(min_length=1, max_length=60, description="name in the last line")
    email: str = Field(pattern=r"^[A-Za-z0-9._+-]{1,60}@[A-Za-z0-9.-]{1,60}$")
    date: datetime.date = Field(description="day of the last line as YYYY-MM-DD")
