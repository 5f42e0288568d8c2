"""The schema of `changelogs.schema.json` as a pydantic model: `--schema examples/changelogs.py:Entry`."""

import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

BugNumber = Annotated[int, Field(ge=1, le=9_999_999)]


class Entry(BaseModel):
    """The head and foot of one Debian changelog entry."""

    model_config = ConfigDict(extra="forbid")

    package: str = Field(pattern=r"^[a-z0-9][a-z0-9+.-]{1,60}$", description="source package")
    version: str = Field(pattern=r"^[0-9][A-Za-z0-9.+~:-]{0,60}$")
    distribution: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{1,40}$")
    urgency: Literal["low", "medium", "high", "critical", "emergency"]
    closes: list[BugNumber] = Field(max_length=8, description="numbers of the bugs that the entry closes, in order")
    maintainer: str = Field(min_length=1, max_length=60, description="name in the last line")
    email: str = Field(pattern=r"^[A-Za-z0-9._+-]{1,60}@[A-Za-z0-9.-]{1,60}$")
    date: datetime.date = Field(description="day of the last line as YYYY-MM-DD")
