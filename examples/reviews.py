"""Is a review positive or negative? A program whose texts are slots: to be measured, changed and optimised.

lmprog prompt examples/reviews.py:review --arg text="It broke." --slots examples/reviews.toml
"""

import lmprog as lp


@lp.program
def review(p: lp.Prompt, text: str) -> str:
    """Positive or negative."""
    p(lp.slot("instruction", "Is the review positive or negative?"), "\n\n")
    p(lp.examples(format="Review: {text}\nThe review is {verdict}.\n\n", shorten=True))
    p("Review: ", lp.slot("review", text, shorten="middle"), "\nThe review is ")
    return str(p(lp.select(["positive", "negative"], name="verdict"), "."))
