"""Extraction jobs: documents in, JSON that follows a schema out."""

from .calibrate import Calibrated, calibrate
from .calibration import Calibration
from .cluster import Cluster
from .documents import Document, Fields
from .errors import ClusterError, InputError, JobCancelled, JobError, MergeError, OutputError, WorkerDied
from .extract import Extraction, extract
from .quotes import Quote
from .reading import Chunks
from .records import Record
from .score import Score
from .served import Served
from .summary import Summary

__all__ = [
    "Calibrated",
    "Calibration",
    "Chunks",
    "Cluster",
    "ClusterError",
    "Document",
    "Extraction",
    "Fields",
    "InputError",
    "JobCancelled",
    "JobError",
    "MergeError",
    "OutputError",
    "Quote",
    "Record",
    "Score",
    "Served",
    "Summary",
    "WorkerDied",
    "calibrate",
    "extract",
]
