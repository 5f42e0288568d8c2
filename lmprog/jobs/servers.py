"""What a job does otherwise when its model is behind a server."""

from __future__ import annotations

from ..grammars.errors import LmprogError
from ..models import LanguageModel
from ..runtime.remote.errors import BackendBusy, BackendRefused, BackendUnreachable
from ..runtime.remote.model import RemoteModel
from ..runtime.request import Result
from .errors import JobError
from .reading import Reading

EVERYBODY = (None, 401, 403, 404, 429)  # answers, or none at all, that have nothing to do with one document


def counts_tokens(model: LanguageModel) -> bool:
    """Whether a constraint of its vocabulary counts what the model counts; for a server it counts bytes."""
    return not isinstance(model, RemoteModel)


def check_reading(model: LanguageModel, reading: Reading, quotes: bool) -> None:
    """Raises JobError for what a server does not tell or cannot do; `quotes`: the schema has quotes."""
    if isinstance(model, RemoteModel) and quotes:
        raise JobError(f"{model.name}: a server cannot be held to quotes of the document (x-quote)")
    if isinstance(model, RemoteModel) and reading.weighs:
        raise JobError(f"{model.name}: a server does not tell the probabilities under a constraint (confidence)")


def ends_job(error: LmprogError) -> bool:
    """Whether all documents that follow would fail as well: the server is away, or refuses everybody."""
    return isinstance(error, BackendUnreachable | BackendBusy | BackendRefused) and error.status in EVERYBODY


def written(result: Result, model: LanguageModel) -> int:
    """Tokens of an answer."""
    return len(result.ids) if counts_tokens(model) else result.sampled_tokens
