"""`python -m lmprog` is `lmprog`."""

from .cli import app

app(prog_name="lmprog")
