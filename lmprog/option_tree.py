"""Options as a tree of tokens: each spelt as the tokenizer spells it, together with the end of the text before it.

A token path stands for one outcome each. Where one option begins another ("cat", "category") the text must show where
it ends: all options are then spelt with the text that follows the hole; without such a text, an option's outcome is
that its path is taken and that the next token is none with which a longer option would go on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from .errors import AmbiguousOptions
from .grammars import Vocabulary

Ids = NDArray[np.int32]
KEPT = 256  # trees of a vocabulary

AMBIGUOUS = """\
the option {short!r} begins the option {long!r}, and the text that follows the hole, {follow!r}, does not tell them
apart: end the options with something that does, as in p(select([...]), ".\\n")"""


class Node:
    """Where some options have come to.

    path     the tokens so far
    kids     by the next token
    option   the one that ends here, by its number
    barred   the tokens that would go on with a longer option than `option`; None: none would
    first    the least number of an option at or below this node
    """

    __slots__ = ("barred", "first", "kids", "option", "path")

    def __init__(self, path: tuple[int, ...], first: int) -> None:
        self.path, self.first = path, first
        self.kids: dict[int, Node] = {}
        self.option: int | None = None
        self.barred: Ids | None = None

    @property
    def leaf(self) -> bool:
        """An option's end, and nothing is to be known beyond its path."""
        return not self.kids and self.barred is None

    def walk(self) -> Iterator[Node]:
        """This node and all below."""
        todo = [self]
        while todo:
            node = todo.pop()
            yield node
            todo.extend(node.kids.values())


class OptionTree:
    """`paths`: the tokens of each option, None for one that the vocabulary cannot spell; `top`: where they part.

    `border`: tokens that spell `prefix`; the nodes on their way are in the tree as well.
    """

    def __init__(
        self, vocab: Vocabulary, prefix: bytes, texts: Sequence[str], end: bytes, border: Sequence[int]
    ) -> None:
        data = [text.encode() for text in texts]
        pair = nested(data)
        if pair is not None and end:
            data = [text + end for text in data]
            check_told_apart(texts, data, end)
        self.root = Node((), 0)
        self.paths = [_spelling(vocab, prefix + text) for text in data]
        for i, path in enumerate(self.paths):
            if path is not None:
                self._add(i, path)
        if pair is not None and not end:
            self._bar(vocab, data)
        self.top = self.root
        while len(self.top.kids) == 1 and self.top.option is None:
            self.top = next(iter(self.top.kids.values()))
        self.at(tuple(border[:-1]), len(texts))

    def _add(self, i: int, path: tuple[int, ...]) -> None:
        node = self.at(path, i)
        if node.option is None:
            node.option = i

    def nodes(self) -> list[Node]:
        """All of them, each path of the tree from above to below, one behind the other."""
        return list(self.root.walk())

    def at(self, path: tuple[int, ...], first: int) -> Node:
        """The node at the end of a path, made if need be."""
        node = self.root
        for n, token in enumerate(path, start=1):
            node = node.kids.setdefault(token, Node(path[:n], first))
        return node

    def _bar(self, vocab: Vocabulary, data: Sequence[bytes]) -> None:
        order = sorted(range(len(data)), key=data.__getitem__)
        for at, i in enumerate(order):
            longer = []
            for j in order[at + 1 :]:
                if not data[j].startswith(data[i]):
                    break
                longer.append(data[j][len(data[i]) :])
            path = self.paths[i]
            if longer and path is not None:
                self.at(path, i).barred = _beginnings(vocab, longer)


def _beginnings(vocab: Vocabulary, texts: Sequence[bytes]) -> Ids:
    """The tokens that begin one of the texts, or that one of them begins."""
    found: set[int] = set()
    for text in texts:
        found.update(vocab.starting_with(text).tolist())
        for n in range(1, min(len(text), vocab.longest + 1)):
            if text[:n] in vocab.ids:
                found.update(vocab.same(text[:n]).tolist())
    return np.array(sorted(found), np.int32)


def _spelling(vocab: Vocabulary, data: bytes) -> tuple[int, ...] | None:
    try:
        return tuple(vocab.encode(data))
    except ValueError:
        return None


def nested(data: Sequence[bytes]) -> tuple[int, int] | None:
    """The positions of two texts of which the first begins the second."""
    order = sorted(range(len(data)), key=data.__getitem__)
    for i, j in pairwise(order):
        if data[j].startswith(data[i]):
            return i, j
    return None


def check_told_apart(texts: Sequence[str], ended: Sequence[bytes], end: bytes) -> None:
    """Raises AmbiguousOptions."""
    if (pair := nested(ended)) is not None:
        short, long = texts[pair[0]], texts[pair[1]]
        raise AmbiguousOptions(AMBIGUOUS.format(short=short, long=long, follow=end.decode()).replace("\n", " "))


Key = tuple[bytes, tuple[str, ...], bytes, tuple[int, ...]]
_trees: WeakKeyDictionary[Vocabulary, OrderedDict[Key, OptionTree]] = WeakKeyDictionary()


def option_tree(
    vocab: Vocabulary, prefix: bytes, texts: tuple[str, ...], end: bytes, border: tuple[int, ...] = ()
) -> OptionTree:
    """The tree of `prefix` and each of the texts; `end`: what follows. The same one again for the same arguments.

    Raises AmbiguousOptions when one text begins another and `end` does not tell them apart.
    """
    known = _trees.setdefault(vocab, OrderedDict())
    key = prefix, texts, end, border
    tree = known.pop(key, None) or OptionTree(vocab, prefix, texts, end, border)
    known[key] = tree
    while len(known) > KEPT:
        known.popitem(last=False)
    return tree
