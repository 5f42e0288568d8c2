"""Extraction jobs: documents in, JSON that follows a schema out."""

from .documents import Document, Fields
from .errors import InputError, JobError, OutputError
from .extract import Extraction, extract
from .records import Record
from .score import Score
from .summary import Summary

__all__ = [
    "Document",
    "Extraction",
    "Fields",
    "InputError",
    "JobError",
    "OutputError",
    "Record",
    "Score",
    "Summary",
    "extract",
]
