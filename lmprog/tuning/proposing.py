"""Instructions that a model proposes, as in MIPROv2 (Opsahl-Ong et al. 2024) and OPRO (Yang et al. 2023, "Large
Language Models as Optimizers"): it is shown the program's text, some rows, instructions with the scores that they had,
worst first, and what checks refused. It writes one paragraph, under a constraint; what it wrote before is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..decoders import Sample
from ..holes import gen
from ..models import LanguageModel
from ..programs import program
from ..prompt import Prompt
from ..run import Run
from .objective import tokens

TIPS = (
    "Be short and clear.",
    "Say exactly what form the answer has.",
    "Name the answers that are allowed, and when each is right.",
    "Say what to look for in the input.",
    "Say what mistakes to avoid.",
    "Speak to an expert.",
)
PARAGRAPH = r"[A-Z][^\n\x00-\x1f]{18,300}[.:]"
TOKENS, TEMPERATURE = 90, 0.9
SHOWN, CUT = 4, 300  # rows, past instructions and failures that are shown; characters of each


@dataclass(frozen=True)
class Brief:
    """What the model is told.

    slot     that the instruction is for
    prompt   the program's text, holes shown
    rows     of the data
    scored   instructions with their scores
    failed   what checks refused, and why
    """

    slot: str
    prompt: str
    rows: Sequence[Mapping[str, Any]]
    scored: Sequence[tuple[str, float]]
    failed: Sequence[str] = ()


@program
def propose(p: Prompt, brief: Brief, tip: str) -> str:
    """One instruction."""
    p("Good instructions make a language model answer well.\n\n## Task\n", brief.prompt[: 4 * CUT], "\n\n## Examples\n")
    for row in brief.rows[:SHOWN]:
        p("- ", "; ".join([f"{name}: {str(value)[:CUT]}" for name, value in row.items()]).replace("\n", " "), "\n")
    if brief.failed:
        p("\n## Mistakes that were made\n", *[f"- {why[:CUT]}\n" for why in brief.failed[:SHOWN]])
    p("\n## Instructions for this task, with their scores\n")
    for text, score in sorted(brief.scored, key=lambda pair: pair[1])[-SHOWN:]:
        p(f"Score {100 * score:.0f}: ", " ".join(text.split())[:CUT], "\n")
    p(f"\n## A better instruction\nHint: {tip}\nScore 100: ")
    written: str = p(gen(regex=PARAGRAPH, max_tokens=TOKENS, name="instruction"), "\n")
    return written


def instructions(model: LanguageModel, brief: Brief, count: int, seed: int) -> tuple[list[str], int]:
    """Up to `count` new ones, none twice, and the tokens that they took."""

    def one(n: int) -> Run[str]:
        decoder = Sample(temperature=TEMPERATURE, seed=seed * 1000 + n)
        return propose.run(brief, TIPS[n % len(TIPS)], model=model, decoder=decoder)

    known = {_plain(text) for text, _ in brief.scored}
    found: dict[str, str] = {}
    spent = 0
    with ThreadPoolExecutor(count) as threads:
        for first in (0, count):
            runs = list(threads.map(one, range(first, first + count)))
            spent += sum([tokens(run.usage) for run in runs])
            texts = [run.value.strip() for run in runs if _plain(run.value) not in known | found.keys()]
            found |= {_plain(text): text for text in texts}
            if len(found) >= count:
                break
    return list(found.values())[:count], spent


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
