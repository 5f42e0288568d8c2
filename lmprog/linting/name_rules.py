"""LM30 to LM33: names, values that are not used, holes inside of strings. Most of it is read from the source."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator

from .findings import Finding
from .source import Names, Site, Source, place
from .subject import Subject
from .survey import source

LOOKS = {"locals", "vars", "eval", "exec"}  # functions that can read any variable


def unread_captures(subject: Subject) -> Iterator[Finding]:
    """A named hole whose value is dropped, and whose name the file never says again."""
    tree, names, file = _parts(subject)
    if tree is None or names is None or file is None:
        return
    said = Counter([constant.value for constant in file.strings()])
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
            continue
        for hole in _holes(statement.value, names):
            name = _name(hole)
            if name and not said[name]:
                yield subject.finding(
                    "LM30",
                    Site(file.file, *place(hole)),
                    f"the value of the hole {name!r} is neither returned nor read",
                    f"use what p(...) returns, or read run.captures[{name!r}]; where only its text matters, leave out "
                    "name=; where not even that, the hole",
                )


def unused_values(subject: Subject) -> Iterator[Finding]:
    tree, names, file = _parts(subject)
    if tree is None or names is None or file is None:
        return
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)}
    changed = [node.target for node in ast.walk(tree) if isinstance(node, ast.AugAssign)]
    read |= {target.id for target in changed if isinstance(target, ast.Name)}
    read |= {name for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    if read & LOOKS:
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call) or not _holes(node.value, names):
            continue
        for target in _targets(node):
            if target.id not in read and not target.id.startswith("_"):
                advice = "use it, or drop it: p(...) need not be assigned; `_` says that it is dropped on purpose"
                message = f"the value {target.id!r} of a hole is never used"
                yield subject.finding("LM32", Site(file.file, *place(target)), message, advice)


def repeated_names(subject: Subject) -> Iterator[Finding]:
    """Two holes of one name on one path, said at two places; in a loop one name for all is meant."""
    for path in subject.paths():
        sites: dict[str, list[Site]] = defaultdict(list)
        for step in path.steps:
            if step.hole is not None and step.hole.name and step.site not in sites[step.hole.name]:
                sites[step.hole.name].append(step.site)
        for name, found in sites.items():
            for site in found[1:]:
                yield subject.finding(
                    "LM31",
                    site,
                    f"{name!r} is the name of another hole too, in line {found[0].line}",
                    f"name them apart: run.captures[{name!r}] is the last one only",
                )


def holes_in_strings(subject: Subject) -> Iterator[Finding]:
    tree, names, file = _parts(subject)
    if tree is None or names is None or file is None:
        return
    kept = _kept_holes(tree, names)
    for node in ast.walk(tree):
        for inner in _joined(node):
            if names.is_hole(inner) or (isinstance(inner, ast.Name) and inner.id in kept):
                yield subject.finding(
                    "LM33",
                    Site(file.file, *place(inner)),
                    "a hole inside of a string, where it would be lost as text",
                    'give it to p as a part of its own: p("Kind: ", gen(...))',
                )


def _joined(node: ast.AST) -> list[ast.expr]:
    """What becomes part of a string at a node."""
    if isinstance(node, ast.FormattedValue):
        return [node.value]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        right = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        return [node.left, *right]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return [*node.args, *[kw.value for kw in node.keywords]]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str":
        return node.args
    return []


def _kept_holes(tree: ast.AST, names: Names) -> set[str]:
    """Variables that are holes whenever they are assigned."""
    assigned: dict[str, list[bool]] = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            assigned[node.targets[0].id].append(names.is_hole(node.value))
    stored = Counter([n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)])
    return {name for name, holes in assigned.items() if all(holes) and len(holes) == stored[name]}


def _parts(subject: Subject) -> tuple[ast.AST | None, Names | None, Source | None]:
    if subject.function is None:
        return None, None, None
    return subject.tree, subject.names, source(subject.function.__code__.co_filename)


def _holes(call: ast.Call, names: Names) -> list[ast.Call]:
    """The holes among the arguments of p(...), p.assistant(...); none of a call of anything else."""
    func = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    if not isinstance(func, ast.Name) or names.value(func) is not None:
        return []
    return [arg for arg in call.args if isinstance(arg, ast.Call) and names.is_hole(arg)]


def _name(hole: ast.Call) -> str | None:
    for kw in hole.keywords:
        if kw.arg == "name" and isinstance(kw.value, ast.Constant) and isinstance(kw.value.value, str):
            return kw.value.value
    return None


def _targets(node: ast.Assign) -> Iterator[ast.Name]:
    for target in node.targets:
        for part in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
            if isinstance(part, ast.Name):
                yield part


RULES = (unread_captures, unused_values, repeated_names, holes_in_strings)
