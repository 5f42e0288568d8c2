"""Which parts of a run's prompt cause a field: `Run.why`.

fields.py     what is asked about: a capture, or a value in its JSON
cutting.py    the text before the field as parts: lines, sentences, words, tokens, slots
context.py    the ids that the model had read when it came to the field, and the characters they stand for
drawing.py    what parts are replaced by
measuring.py  how probable the field's value is behind given ids
finding.py    the search: all parts at once, or coarse ones first
result.py     what comes out: `Why` and its parts
view.py       in the terminal and on a page
"""
