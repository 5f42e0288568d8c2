"""ReAct (Yao et al. 2023): think, call a tool, read its result, until the answer is known.

python examples/react.py "How many legs do 7 spiders have?"
"""

from __future__ import annotations

import ast
import operator
import sys
from typing import Annotated, Any, Literal

from pydantic import Field

import lmprog as lp
from lmprog import gen

FACTS = {
    "spider": "A spider has 8 legs and lives in a web.",
    "ant": "An ant has 6 legs and lives in an anthill.",
    "cow": "A cow has 4 legs and lives in a stable.",
    "penguin": "A penguin has 2 legs and lives on the ice.",
}
OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}


def calculate(expression: Annotated[str, Field(pattern=r"^[0-9]{1,6}( [+*/-] [0-9]{1,6}){1,4}$")]) -> float:
    """The value of an arithmetic expression.

    Args:
        expression: numbers with +, -, * and / between them
    """
    return _value(ast.parse(expression, mode="eval").body)


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left, op, right):
            return float(OPERATORS[type(op)](_value(left), _value(right)))
        case ast.UnaryOp(op, operand):
            return float(OPERATORS[type(op)](_value(operand)))
    raise ValueError(f"{ast.dump(node)} is no arithmetic")


def look_up(animal: Literal["spider", "ant", "cow", "penguin"]) -> str:
    """What is known of an animal."""
    return FACTS[animal]


def answer(text: Annotated[str, Field(max_length=60)]) -> str:
    """Ends with the final answer."""
    return text


TOOLS = [look_up, calculate, answer]
EXAMPLE = """\
Question: How many legs do 3 cows have?
Thought: I must know how many legs a cow has.
Action: {"name":"look_up","arguments":{"animal":"cow"}}
Observation: A cow has 4 legs and lives in a stable.
Thought: I must multiply 3 by 4.
Action: {"name":"calculate","arguments":{"expression":"3 * 4"}}
Observation: 12.0
Thought: I know the answer.
Action: {"name":"answer","arguments":{"text":"3 cows have 12 legs."}}
Observation: 3 cows have 12 legs.

"""


@lp.program
def react(p: lp.Prompt, question: str, steps: int = 5) -> str:
    """The answer; the last step can be nothing else."""
    p("Tools:\n", lp.describe_tools(TOOLS), "\n\n", EXAMPLE, f"Question: {question}\n")
    for step in range(1, steps + 1):
        p("Thought: ", gen(regex=r"[A-Z][^\n]*\.", max_tokens=24), "\nAction: ")
        call = p.tool_call(
            TOOLS if step < steps else [answer], result="\nObservation: {}\n", max_tokens=48, name="call"
        )
        if call.name == "answer":
            return call.text
    raise AssertionError("the last step answers")


if __name__ == "__main__":
    run = react.run(" ".join(sys.argv[1:]) or "How many legs do 7 spiders have?", model=lp.load())
    print(run.text[run.text.rindex("Question:") :])
