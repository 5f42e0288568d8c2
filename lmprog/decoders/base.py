"""Decoders that choose one token after the other, and what a hole says of its own decoding."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import SamplingError
from ..runtime.sampling import Sampling
from .method import Method


@dataclass(frozen=True)
class Argmax:
    """The most probable token at every step."""

    def sampling(self) -> Sampling:
        return Sampling()


@dataclass(frozen=True)
class Sample:
    """Draw each token. With a `seed` a run is reproducible; each hole (and each row of `map`) derives its own from it.

    The penalties and `logit_bias` ({token id: bias}) are those of `lmprog.runtime.sampling.Sampling`; they also work at
    temperature 0. For each hole, "generated" means its own tokens, and all the text before it is its prompt.

    Raises SamplingError for values out of range (NaN temperature, top_p outside (0, 1], ...).
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        self.sampling()

    def sampling(self) -> Sampling:
        return Sampling(**{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})


Decoder = Argmax | Sample | Method


@dataclass(frozen=True)
class Settings:
    """What a single hole says about decoding; None leaves it to the decoder around it."""

    decoder: Decoder | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[int, float] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if self.decoder is not None:
            check_decoder(self.decoder)
        if given := self.given():
            dataclasses.replace(Sampling(temperature=1.0), **given)  # out of range: SamplingError on the user's line

    def given(self) -> dict[str, Any]:
        values = vars(self)
        return {name: value for name, value in values.items() if value is not None and name != "decoder"}

    def fixes_seed(self) -> bool:
        return self.seed is not None or (self.decoder is not None and self.decoder.sampling().seed is not None)

    def over(self, around: Decoder) -> Sampling:
        """These settings laid over the decoder around the hole."""
        merged: Sampling = dataclasses.replace((self.decoder or around).sampling(), **self.given())
        useless = [name for name in ("top_p", "top_k", "min_p") if getattr(self, name) is not None]
        if useless and merged.temperature == 0:
            raise SamplingError(f"{useless[0]} has no effect at temperature 0: give temperature=… as well")
        return merged

    def method(self, around: Decoder) -> Method | None:
        """What fills the hole as a whole; None: it is decoded token by token."""
        decoder = self.decoder or around
        return None if isinstance(decoder, Argmax | Sample) else decoder


def check_decoder(decoder: object) -> None:
    if not isinstance(decoder, Argmax | Sample | Method) or isinstance(decoder, type):
        raise SamplingError(f"a decoder is Argmax(), Sample(...) or another of lmprog.decoders, not {decoder!r}")


def derive_seed(seed: int | None, *path: int | str) -> int | None:
    """A seed of its own for each place, the same on every machine and in every order of execution."""
    if seed is None:
        return None
    key = "/".join(str(part) for part in (seed, *path)).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 1
