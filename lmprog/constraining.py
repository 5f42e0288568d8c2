"""A draft that was written without constraints becomes a value of a language, near to the draft.

Sketch-guided constrained decoding (Geng, Döner, Wendler, Josifoski and West 2024, "Sketch-Guided Constrained Decoding
for Boosting Blackbox Large Language Models without Logit Access"): any model writes a sketch, and a smaller one that
can be constrained, the refiner, writes the answer with the sketch before its eyes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .decoders import Decoder
from .decoders.nearness import Near, distance
from .decoders.smc import SMC
from .decoders.whole import at_least_one
from .drafts import sketch_of
from .errors import HoleError, PartError, ProgramError, SamplingError
from .grammars import Grammar
from .grammars.repair import repair
from .holes import Hole, gen, text_of
from .models import LanguageModel
from .programs import Program, program
from .prompt import Prompt
from .runtime.sampling import real

INSTRUCTION = "Rewrite the draft in the right form. Keep what it says."
DRAFTING = gen(max_tokens=512)


@dataclass(frozen=True)
class Refined:
    """value   of the schema's Python type
    text    as it was written
    draft   all that was drafted; `sketch`, the part of it that is taken for the answer
    edits   the least number of inserted, deleted or replaced bytes that lead from the sketch to the text
    valid   whether the sketch was a value already
    """

    value: Any
    text: str
    draft: str
    sketch: str
    edits: int
    valid: bool


def constrain(
    draft: str | LanguageModel | Program[..., Any],
    schema: Any,
    *,
    refiner: LanguageModel | None = None,
    prompt: str | None = None,
    seed: int | None = None,
    **options: Any,
) -> Refined:
    """A value of `schema` made of a draft: a text, or what a model or a program writes to `prompt`.

    Other options are those of `refining`, which does the same for many drafts. `lp.using` may give the refiner, too.

    Raises ProgramError for a draft to be written without a prompt, or a text with one; what `refining` raises, and what
    the models raise.
    """
    if isinstance(draft, str) != (prompt is None):
        raise ProgramError("a draft that is a text takes no prompt=, one that a model is to write needs it")
    drafter = None if isinstance(draft, str) else draft
    refine = refining(schema, refiner=refiner, drafter=drafter, **options)
    refined: Refined = refine(draft if prompt is None else prompt, seed=seed)
    return refined


def refining(
    schema: Any,
    *,
    refiner: LanguageModel | None = None,
    drafter: LanguageModel | Program[..., Any] | None = None,
    drafting: Hole = DRAFTING,
    instruction: str = INSTRUCTION,
    near: float | None = None,
    particles: int = 16,
    decoder: Decoder | None = None,
) -> Program[..., Refined]:
    """A program from a draft to what is `Refined` of it; its `map` takes many drafts, its `run` shows the whole text.

    schema       a hole, a Grammar, a JSON Schema (dict), a Python type, or choices (list)
    refiner      the model that is constrained
    drafter      a model, local or on a server, or a program: the argument is then the prompt that it answers to;
                 a model fills the hole `drafting`
    instruction  is what the refiner reads before the draft
    near         None: the refiner has read the draft, and writes what it likes. A number: SMC with so many `particles`
                 draws by refiner × exp(-near × edits), see `lmprog.decoders.nearness`. math.inf: one of the texts with
                 the fewest edits, of which the refiner chooses; a valid draft stays as it is, and no model is asked
    decoder      of the refiner, where near is None or infinite

    Raises HoleError for a schema that is none, or says nothing; SamplingError for wrong `near` or `particles`, or a
    `near` that a decoder leaves no room for. Its runs raise UnsupportedConstraint when a least-edit text is too far to
    be found.
    """
    hole = _hole(schema)
    soft = near is not None and near != math.inf
    if near is not None and not real(near) >= 0:
        raise SamplingError(f"near is a number of 0 or more, not {near!r}")
    if soft and not (decoder is hole.settings.decoder is None):
        raise SamplingError("a finite near= is drawn by SMC: it takes no other decoder")
    at_least_one(particles=particles)

    @program(model=refiner, decoder=decoder, preview=False)
    def refine(p: Prompt, text: str) -> Refined:
        draft = _drafted(text, drafter, drafting)
        sketch = sketch_of(draft, hole)
        valid = hole.matches(sketch)
        if valid and near == math.inf:
            return Refined(hole.parse(sketch), sketch, draft, sketch, 0, True)
        p(f"{instruction}\nDraft: {draft}\nAnswer: ")
        asked = _nearest(hole, sketch) if near == math.inf else hole
        if soft and near is not None:
            with p.decoding(SMC(particles, Near(sketch, near).potential)):
                written, value = p(_both(asked))
        else:
            written, value = p(_both(asked))
        return Refined(value, written, draft, sketch, distance(sketch, written), valid)

    return refine


def _hole(schema: Any) -> Hole:
    if isinstance(schema, str):
        raise HoleError("a schema that is a text says too little: give lp.regex(...), a dict, or gen(...)")
    if isinstance(schema, Hole):
        hole = schema
    elif isinstance(schema, Grammar):
        hole = gen(grammar=schema)
    elif isinstance(schema, Mapping):
        hole = gen(json=dict(schema))
    elif isinstance(schema, list | tuple):
        hole = gen(choices=schema)
    else:
        hole = gen(schema)
    if hole.grammar is None:
        raise HoleError("free text has no form to be brought into: give a schema, a type, a grammar or choices")
    return hole


def _drafted(text: Any, drafter: LanguageModel | Program[..., Any] | None, drafting: Hole) -> str:
    if drafter is None:
        found = text
    elif isinstance(drafter, Program):
        found = drafter(text)
    else:
        found = _draft(text, drafting, model=drafter)
    if not isinstance(found, str):
        raise PartError(f"a draft is a text, not {type(found).__name__}")
    return text_of(found)


@program
def _draft(p: Prompt, prompt: str, drafting: Hole) -> Any:
    return p(prompt, drafting)


def _nearest(hole: Hole, sketch: str) -> Hole:
    """The hole, with nothing but the values of the fewest edits."""
    assert hole.grammar is not None
    found = repair(hole.grammar, sketch).grammar
    options = None if hole.options is None else tuple(filter(found.matches, hole.options))
    return replace(hole, grammar=found, options=options)


def _both(hole: Hole) -> Hole:
    """The hole, with its text beside its value."""
    check = hole.check
    passes = None if check is None else lambda pair: check(pair[1])
    return replace(hole, parse=lambda text: (text, hole.parse(text)), check=passes, type=None)
