"""Decoders: values that say how a hole is filled. The innermost one wins: program, `p.decoding(...)`, hole.

`Argmax` and `Sample` choose one token after the other (base.py). A `Method` is anything else: it gets a whole hole as a
`Problem` and fills it by any number of rounds of requests (method.py); each has a file of its own.
"""

from .base import Argmax as Argmax
from .base import Decoder as Decoder
from .base import Sample as Sample
from .base import Settings as Settings
from .base import check_decoder as check_decoder
from .base import derive_seed as derive_seed
from .certificate import Certificate as Certificate
from .certificate import Particle as Particle
from .method import Method as Method
from .method import Outcome as Outcome
from .method import Problem as Problem
