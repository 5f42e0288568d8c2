"""What may follow the beginning of an SQL statement, as a regular language with the names of a schema.

An expression is seen as operands with operators between them (commas are operators, parentheses come before or behind
an operand), so that a keyword never stands where it would be taken for a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache, reduce
from itertools import permutations
from operator import or_

from ..grammars import Grammar, choices, regex
from ..grammars.derive import derive

Schema = tuple[tuple[str, tuple[str, ...]], ...]

FUNCTIONS = "abs avg coalesce count ifnull length lower max min nullif replace round substr sum trim upper"
CLAUSES = "select from join into update where on by having set values limit offset"
WORDS = """
all and as asc between case cross delete desc distinct else end exists false full glob group in inner insert is left
like natural not null or order outer right then true union using when with
"""
RESERVED = frozenset(f"{FUNCTIONS} {CLAUSES} {WORDS} table".split())
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MOST_PAIRS = 200
_NOT_ALIAS = "|".join(sorted(RESERVED))
STATEMENT = re.compile(r"(?:^|[;(:`])\s*(?=(?:select|insert|update|delete)\b)", re.IGNORECASE | re.MULTILINE)
BOUND = re.compile(
    rf'\b(?:from|join|into|update)\s+("[^"]+"|\w+)(?:\s+(?:as\s+)?(?!(?:{_NOT_ALIAS})\b)(\w+))?', re.IGNORECASE
)
CLAUSE = re.compile(rf"\b({'|'.join(CLAUSES.split())})\b", re.IGNORECASE)
WANTING = re.compile(
    rf"(?:[=<>+\-*/%|(,]|\b(?:{'|'.join(CLAUSES.split())}|and|or|not|like|glob|in|is|between|when|then|else|distinct|all))\s*$",
    re.IGNORECASE,
)


def _word(*words: str) -> Grammar:
    return regex(f"(?i:{'|'.join(words)})")


SPACE, GAP = regex(r"[ \t\n]+"), regex(r"[ \t\n]*")
VALUE = regex(r"[0-9]+(\.[0-9]+)?|'([^'\n]|'')*'|(?i:null|true|false)|(?i:count)\(\*\)|\*")
DISTINCT = (_word("distinct", "all") + SPACE).optional()
CALL = _word(*FUNCTIONS.split()) + GAP + "(" + GAP + DISTINCT
BEFORE = (_word("not", "case") + SPACE) | CALL | regex(r"[(\-+]\s*")
BETWEEN = (GAP + choices(["=", "<", ">", "<=", ">=", "<>", "!=", "+", "-", "*", "/", "%", "||", ","]) + GAP) | (
    SPACE + regex(r"(?i:and|or|is(\s+not)?|(not\s+)?(like|glob|in|between)|when|then|else)") + SPACE
)
ALIAS = regex(PLAIN.pattern) & ~_word(*RESERVED)
BEHIND = (GAP + ")") | (SPACE + _word("end"))
RENAMED = BEHIND | (SPACE + _word("as") + SPACE + ALIAS)
ORDERED = BEHIND | (SPACE + _word("asc", "desc"))
COUNT = SPACE + regex("[0-9]+")
END = (GAP + ";" + GAP).optional()
LIMIT = SPACE + _word("limit") + COUNT + (SPACE + _word("offset") + COUNT).optional() + END
Scope = dict[str, str]


@lru_cache(maxsize=64)
def sql_rest(schema: Schema, prompt: str) -> Grammar:
    """What may follow the text `prompt`, which may end inside of a statement."""
    begun = statement(prompt)
    found = _Rest({table: list(columns) for table, columns in schema}).after(begun)
    if not begun or begun[-1].isspace():  # a space that would have to come is there
        return found | Grammar(derive(found.expr, ord(" ")))
    return found


def statement(prompt: str) -> str:
    """The beginning of a statement that a prompt ends with; empty if there is none."""
    tail = prompt[prompt.rfind("\n\n") + 1 :]
    begins = [match.end() for match in STATEMENT.finditer(tail)]
    begun = tail[begins[-1] :] if begins else ""
    return "" if ";" in begun else begun


class _Rest:
    def __init__(self, columns: dict[str, list[str]]) -> None:
        self.columns = columns
        self.by_name = {table.lower(): table for table in columns}

    def after(self, begun: str) -> Grammar:
        if not begun:
            bare = [self.want({t: t}, self.clauses({t: t})) for t in self.columns]
            return _any([GAP + self.whole(), *bare])
        bound = self.bound(begun)
        if qualifier := re.search(r'("[^"]+"|\w+)\.$', begun):
            return self.qualified(begun, qualifier[1], bound)
        clause = CLAUSE.findall(begun)[-1:] or [""]
        if re.search(r"\b(from|join|into|update)\s*$", begun, re.IGNORECASE):
            tables = [t for t in self.columns if self.used(begun) <= {*self.plain([*bound.values(), t])}]
            return _any(SPACE + quoted(t) + self.behind_table({**bound, t: t}) for t in tables or self.columns)
        if clause[0].lower() in ("from", "join", "into", "update"):
            return self.behind_table(bound)
        if clause[0].lower() == "select":
            return self.select_list(begun, bound)
        ordered = re.search(r"\border\s+by\b", begun, re.IGNORECASE)
        return self.expression(begun, bound, self.clauses(bound), ORDERED if ordered else BEHIND)

    def expression(self, begun: str, scope: Scope, then: Grammar, behind: Grammar) -> Grammar:
        """The rest of the expression that has begun, and what may follow."""
        if WANTING.search(begun):
            spaced = re.search(r"[A-Za-z]$", begun) is not None
            distinct = DISTINCT if re.search(r"\bselect\s*$", begun, re.IGNORECASE) else ""
            return (SPACE if spaced else GAP) + distinct + self.want(scope, then, behind)
        return self.have(scope, then, behind)

    def select_list(self, begun: str, bound: Scope) -> Grammar:
        used = self.used(begun)
        every = [tables for tables in self.sets() if used <= {*self.plain(tables)}] or self.sets()
        return _any(
            self.expression(begun, bound or {t: t for t in tables}, self.from_(tables), RENAMED) for tables in every
        )

    def qualified(self, begun: str, qualifier: str, bound: Scope) -> Grammar:
        table = bound.get(qualifier) or self.by_name.get(qualifier.strip('"').lower())
        own = _names(self.columns.get(table or "", ()))
        if bound:
            return own + self.have(bound, self.clauses(bound))
        return own + _any(self.have({t: t for t in s}, self.from_(s), RENAMED) for s in self.sets() if table in s)

    def whole(self) -> Grammar:
        """A statement."""
        out = []
        for tables in self.sets():
            scope = {t: t for t in tables}
            out.append(_word("select") + SPACE + DISTINCT + self.want(scope, self.from_(tables), RENAMED, needed=True))
            if len(tables) == 1:
                name = SPACE + quoted(tables[0])
                then = self.where(scope) | END
                out.append(_word("delete") + SPACE + _word("from") + name + then)
                out.append(_word("update") + name + SPACE + _word("set") + SPACE + self.want(scope, then))
                values = SPACE + _word("values") + GAP + self.want({}, END)
                into = _word("insert") + SPACE + _word("into") + name
                out.append(into + (GAP + self.want(scope, END)).optional() + values)
        return _any([*out, _word("select") + SPACE + self.want({}, END)])

    def sets(self) -> list[tuple[str, ...]]:
        """The tables that a query which begins in the hole may have, in their order."""
        pairs = list(permutations(self.columns, 2))
        return [*((t,) for t in self.columns), *(pairs if len(pairs) <= MOST_PAIRS else ())]

    def from_(self, tables: tuple[str, ...]) -> Grammar:
        scope = {t: t for t in tables}
        first, *others = tables
        out = SPACE + _word("from") + SPACE + quoted(first)
        for other in others:
            out = out + self.join(other, scope)
        return out + self.clauses(scope)

    def join(self, table: str, scope: Scope) -> Grammar:
        kind = (SPACE + _word("inner", r"left(\s+outer)?")).optional()
        on = SPACE + _word("on") + SPACE + self.want(scope, Grammar(END.expr))
        return kind + SPACE + _word("join") + SPACE + quoted(table) + on.optional()

    def behind_table(self, scope: Scope) -> Grammar:
        """Behind the name of a table: one more join, then the clauses."""
        others = [t for t in self.columns if t not in scope.values()]
        joins = _any(self.join(t, {**scope, t: t}) + self.clauses({**scope, t: t}) for t in others)
        set_ = SPACE + _word("set") + SPACE + self.want(scope, self.where(scope))
        return joins | set_ | self.clauses(scope)

    def clauses(self, scope: Scope) -> Grammar:
        return self.where(scope) | self.group(scope)

    def where(self, scope: Scope) -> Grammar:
        return SPACE + _word("where") + SPACE + self.want(scope, self.group(scope))

    def group(self, scope: Scope) -> Grammar:
        having = SPACE + _word("having") + SPACE + self.want(scope, self.order(scope))
        by = SPACE + _word("group") + SPACE + _word("by") + SPACE
        return (by + self.want(scope, having | self.order(scope))) | self.order(scope)

    def order(self, scope: Scope) -> Grammar:
        by = SPACE + _word("order") + SPACE + _word("by") + SPACE
        return (by + self.want(scope, LIMIT | END, ORDERED)) | LIMIT | END

    def want(self, scope: Scope, then: Grammar, behind: Grammar = BEHIND, *, needed: bool = False) -> Grammar:
        """Where an operand must come. `behind`: what may come behind each; `needed`: `then` must come."""
        operand = BEFORE.many() + self.operand(scope) + behind.many()
        return (operand + BETWEEN).many() + operand + (then if needed else then.optional())

    def have(self, scope: Scope, then: Grammar, behind: Grammar = BEHIND) -> Grammar:
        """Behind an operand."""
        return behind.many() + ((BETWEEN + self.want(scope, then, behind)) | then).optional()

    def operand(self, scope: Scope) -> Grammar:
        names = [quoted(c) for c in self.plain(scope.values())]
        names += [f"{quoted(q)}.{quoted(c)}" for q, table in scope.items() for c in self.columns[table]]
        return VALUE | _names(names, plain=False) if names else VALUE

    def plain(self, tables: Iterable[str]) -> list[str]:
        """Columns that only one of the tables has."""
        own = [column for table in tables for column in self.columns[table]]
        every = [column.lower() for column in own]
        return [column for column in own if every.count(column.lower()) == 1]

    def bound(self, begun: str) -> Scope:
        """The tables of a statement by the names that qualify their columns."""
        found = [(alias or name, self.by_name.get(name.strip('"').lower())) for name, alias in BOUND.findall(begun)]
        return {qualifier: table for qualifier, table in found if table is not None}

    def used(self, begun: str) -> set[str]:
        """The columns that a statement names without their table."""
        words = set(re.findall(r"(?<![\w.'])\w+(?![\w.'])", begun))
        return {c for columns in self.columns.values() for c in columns if c in words}


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    if PLAIN.fullmatch(name) and name.lower() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def _names(names: Iterable[str], plain: bool = True) -> Grammar:
    texts = dict.fromkeys(quoted(name) if plain else name for name in names)
    return choices(texts) if texts else ~regex(r"[\s\S]*")


def _any(parts: Iterable[Grammar]) -> Grammar:
    return reduce(or_, parts, ~regex(r"[\s\S]*"))
