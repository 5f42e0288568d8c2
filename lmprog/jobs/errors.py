"""Errors of extraction jobs.

LmprogError
└── JobError           the job cannot start or go on: a missing input, another job's output, a full disk
    ├── ClusterError   Ray is missing or cannot be reached, or its workers cannot start or keep dying
    ├── WorkerDied     workers die of one document; kept beside the output, the job goes on
    ├── InputError     one input record cannot be read; kept beside the output, the job goes on
    ├── OutputError    the answer for one record is not accepted by the schema's type; kept likewise
    │   └── MergeError the answers for the pieces of a long document make no answer together
    ├── TooFewLabels   there is too little to learn a calibration from
    ├── CalibrationMismatch  a calibration was learnt on a job with another schema, prompt or model
    └── JobCancelled   somebody cancelled the job while it ran; what is done is kept
"""

from __future__ import annotations

from ..grammars.errors import LmprogError


class JobError(LmprogError):
    """The job cannot start or go on; what it has written stays valid."""


class ClusterError(JobError):
    """Ray is missing or cannot be reached, or its workers cannot start, or keep dying."""


class WorkerDied(JobError):
    """The process of a worker died each time that it worked on this document alone."""


class InputError(JobError):
    """One record of the input cannot be read."""


class OutputError(JobError):
    """The answer for one record is rejected by the schema or the type."""


class MergeError(OutputError):
    """The answers for the pieces of a long document make no answer together that the schema accepts."""


class TooFewLabels(JobError):
    """There is too little to learn a calibration from."""


class CalibrationMismatch(JobError):
    """A calibration was learnt on a job with another schema, prompt or model."""


class JobCancelled(JobError):
    """Somebody cancelled the job while this process worked on it; what is done is kept."""
