"""Errors of extraction jobs.

LmprogError
└── JobError           the job cannot start or go on: a missing input, another job's output, a full disk
    ├── InputError     one input record cannot be read; kept beside the output, the job goes on
    ├── OutputError    the answer for one record is not accepted by the schema's type; kept likewise
    └── JobCancelled   somebody cancelled the job while it ran; what is done is kept
"""

from __future__ import annotations

from ..grammars.errors import LmprogError


class JobError(LmprogError):
    """The job cannot start or go on; what it has written stays valid."""


class InputError(JobError):
    """One record of the input cannot be read."""


class OutputError(JobError):
    """The answer for one record is rejected by the schema or the type."""


class JobCancelled(JobError):
    """Somebody cancelled the job while this process worked on it; what is done is kept."""
