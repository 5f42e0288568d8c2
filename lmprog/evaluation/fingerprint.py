"""A digest of all that decides what a program gives: its code and everything that the code reaches.

Reached are the globals that a function names, its closure, defaults and annotations, what these reach in turn, and of
the user's modules what any of that code names. Libraries count by their version (see `library`). What is in memory is
looked at, never the files it came from, which may have changed since. What cannot be followed to its end raises Unsure,
with a reason; nothing is passed over.

Considered: the source by `inspect`, which is not there for everything and is not what runs; `pickle` or cloudpickle,
which knows functions of modules by name only.
"""

from __future__ import annotations

import builtins
import dataclasses
import enum
import functools
import hashlib
import inspect
import operator
import platform
import random
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..cascading import Models
from ..changes import assigned
from ..decoders.asap import ASAp
from ..options import Options
from ..programs import Program
from ..runtime.model import Model
from ..runtime.remote.model import RemoteModel
from ..templates import Template
from . import code
from .library import Unsure, is_library, library

Digest = bytes
SIMPLE = (type(None), bool, int, float, complex, str, bytes, bytearray, type(Ellipsis), type(NotImplemented), range)
MADE = frozenset({
    "__abstractmethods__", "__annotations__", "__annotations_cache__", "__class_vars__", "__dict__", "__firstlineno__",
    "__module__", "__signature__", "__slotnames__", "__static_attributes__", "__weakref__", "_abc_impl",
})  # fmt: skip
SLOTS = (types.GetSetDescriptorType, types.MemberDescriptorType)
PLAIN: tuple[Any, ...] = (str, bytes, int, float, tuple, list, set, frozenset, dict)
WRAPPED = (staticmethod, classmethod)
HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: of classes that Python code made, and of some others
CODE = (types.FunctionType, property, *WRAPPED)
LOOKERS = (operator.attrgetter, operator.methodcaller)  # hold names that no code may say
ENUM = frozenset(vars(enum.Enum("Made", "X"))) - {"X"}  # that every enumeration has
SPECIAL = (type(typing.Any), type(typing.Union), type(typing.ClassVar))
Identity = Callable[[Any], Any]  # of a model; raises Unsure


class Fingerprint:
    """Digests of values. `identity` tells what a model is."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._names: set[str] = set()  # that the code reached so far says
        self._whole = False  # some code looks up names that it makes
        self._seen: dict[int, Digest] = {}
        self._kept: list[Any] = []  # so that no id comes twice

    def of(self, *values: Any) -> Digest:
        """Raises Unsure."""
        while True:
            known = len(self._names), self._whole
            self._seen, self._kept = {}, []
            try:
                digest = self._all("values", values)
            except Unsure:
                raise
            except Exception as error:  # whatever an object raises that is looked at
                raise Unsure(f"it cannot be looked at: {type(error).__name__}: {error}") from error
            if known == (len(self._names), self._whole):
                return digest

    def program(self, program: Program[..., Any], options: Options) -> Digest:
        """Of a program as it runs with these options, apart from model, seed and arguments."""
        return self.of(
            self._content(program), options.decoder, options.boundary, options.logprobs, options.backtracking
        )

    # -- values ------------------------------------------------------------------------------------------------------

    def _all(self, kind: str, values: Iterable[Any]) -> Digest:
        return _hash(kind, *[self._value(value) for value in values])

    def _value(self, value: Any) -> Digest:
        if type(value) in SIMPLE:
            return _hash(type(value).__name__, repr(value).encode())
        known = self._seen.get(id(value))
        if known is not None:
            return known
        self._seen[id(value)] = _hash("again", str(len(self._seen)).encode())  # where it contains itself
        self._kept.append(value)
        digest = self._seen[id(value)] = self._reached(value)
        return digest

    def _reached(self, value: Any) -> Digest:
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            return self._all(type(value).__name__, value)
        if type(value) in (dict, types.MappingProxyType):
            return self._all(type(value).__name__, [part for pair in value.items() for part in pair])
        if type(value) in (set, frozenset):
            return _hash(type(value).__name__, *sorted([self._value(part) for part in value]))
        for kinds, method in self._kinds:
            if isinstance(value, kinds):
                found: Digest = method(self, value)
                return found
        if typing.get_origin(value) is not None:
            return self._generic(value)
        return self._object(value)

    def _generic(self, value: Any) -> Digest:
        """list[int], Annotated[...], int | None."""
        parts = typing.get_origin(value), typing.get_args(value), getattr(value, "__metadata__", ())
        return self._all("generic", parts)

    def _function(self, function: types.FunctionType) -> Digest:
        inner = [function.__defaults__, function.__kwdefaults__, *_cells(function)]
        version = library(function.__globals__.get("__name__") or "")  # __module__ is that of what is wrapped
        if version is not None:
            return _hash("library", f"{version}:{function.__qualname__}".encode(), self._all("inner", inner))
        found = code.look(function.__code__, function.__globals__)
        if (name := assigned(function.__code__)) is not None:
            raise Unsure(f"{function.__qualname__} assigns to {name}, which is outside of it")
        self._names |= found.names
        self._whole = self._whole or found.dynamic
        annotated = self._annotated(function.__annotations__, function.__globals__)
        named = {name: function.__globals__[name] for name in sorted(found.globals & function.__globals__.keys())}
        changed = self._changed(vars(builtins), found.globals - named.keys())
        parts = (function.__name__, function.__code__, inner, named, changed, annotated, function.__dict__)
        return self._all("function", (*parts, found.imported))

    def _changed(self, library: Mapping[str, Any], names: Iterable[str]) -> list[tuple[str, Any]]:
        """What a module or class of a library has by these names that is the user's, or a constant."""
        found = [(name, library[name]) for name in sorted(library.keys() & names) if not name.startswith("__")]
        return [(name, part) for name, part in found if type(part) in SIMPLE or _is_users(part)]

    def _annotated(self, annotations: Mapping[str, Any], around: Mapping[str, Any]) -> list[Any]:
        """Annotations, and what those that are texts name."""
        texts = " ".join([text for text in annotations.values() if isinstance(text, str)])
        words = set(re.findall(r"\w+", texts))
        self._names |= words
        return [dict(annotations), {name: around[name] for name in sorted(words & around.keys())}]

    def _code(self, value: types.CodeType) -> Digest:
        flags = value.co_flags, value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount
        names = value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars
        table = getattr(value, "co_exceptiontable", b"")
        return self._all("code", (value.co_code, value.co_consts, table, value.co_name, flags, names))

    def _method(self, value: types.MethodType) -> Digest:
        return self._all("method", (value.__func__, value.__self__))

    def _builtin(self, value: types.BuiltinFunctionType) -> Digest:
        if value.__self__ is None or isinstance(value.__self__, types.ModuleType):
            version = library(value.__module__ or "builtins")
            if version is None:
                raise Unsure(f"it uses {value.__module__}.{value.__qualname__}, which is compiled")
            return _hash("builtin", f"{version}:{value.__qualname__}".encode())
        return self._all(f"builtin {value.__name__}", [value.__self__])

    def _descriptor(self, value: Any) -> Digest:
        """A method of a class that is compiled."""
        if library(value.__objclass__.__module__) is None:
            raise Unsure(f"it uses {value.__objclass__.__qualname__}, which is compiled")
        return self._all(value.__name__, [value.__objclass__])

    def _module(self, value: types.ModuleType) -> Digest:
        version = library(value.__name__)
        if version is not None:
            return _hash("module", version.encode(), self._value(self._changed(vars(value), self._names)))
        names = [name for name in sorted(vars(value)) if not name.startswith("__") or name == "__getattr__"]
        found = {name: vars(value)[name] for name in names if self._whole or name in {*self._names, "__getattr__"}}
        return _hash("module", value.__name__.encode(), self._value(found))

    def _class(self, value: type) -> Digest:
        if "<locals>" not in value.__qualname__ and (version := library(value.__module__)) is not None:
            changed = [pair for pair in self._changed(vars(value), self._names) if _is_users(pair[1])]
            return _hash("class", f"{version}:{value.__qualname__}".encode(), self._value(changed))
        around = vars(sys.modules[value.__module__]) if value.__module__ in sys.modules else {}
        annotated = self._annotated(inspect.get_annotations(value), around)
        parts = (value.__qualname__, type(value), value.__bases__, annotated)
        return self._all("class", [*parts, *self._members(value)])

    def _members(self, value: type) -> Iterator[Any]:
        own = {n: part for n, part in vars(value).items() if n not in MADE and not n.startswith("__pydantic_")}
        if issubclass(value, enum.Enum):
            yield [(name, _member(member)) for name, member in value.__members__.items()]
            own = {n: part for n, part in own.items() if n not in ENUM | value.__members__.keys() or _is_code(n, part)}
        if (fields := vars(value).get("__pydantic_fields__")) is not None:
            yield {name: _field(field) for name, field in fields.items()}
            yield [getattr(d, "info", None) for d in _decorators(value)]
        yield {n: part for n, part in own.items() if not isinstance(part, SLOTS)}

    def _model(self, value: Any) -> Digest:
        return self._all("model", [self._identity(value)])

    def _program(self, value: Program[..., Any]) -> Digest:
        return self._all("program", [self._content(value), value.options, value.model])

    def _content(self, program: Program[..., Any]) -> list[Any]:
        values = dict(program.values)
        if not isinstance(program, Template):
            return [program.function, values]
        environment, template = program._environment, program._template
        blocks = [template.root_render_func, *[template.blocks[name] for name in sorted(template.blocks)]]
        loader: Any = environment.loader
        try:
            included = {name: loader.get_source(environment, name)[0] for name in loader.list_templates()}
        except TypeError:
            raise Unsure("its template's loader cannot tell which templates there are") from None
        return [
            values,
            [block.__code__ for block in blocks],
            included,
            environment.trim_blocks,
            environment.lstrip_blocks,
        ]

    def _array(self, value: Any) -> Digest:
        if type(value) is not np.ndarray:
            return self._object(value)
        data = value.tolist() if value.dtype.hasobject else np.ascontiguousarray(value).tobytes()
        return self._all("array", (repr(value.dtype), value.shape, data))

    def _looker(self, value: Any) -> Digest:
        self._names |= set(re.findall(r"\w+", repr(value)))
        return self._object(value)

    def _pattern(self, value: re.Pattern[Any]) -> Digest:
        return self._all(f"pattern {platform.python_version()}", (value.pattern, value.flags))

    def _refused(self, value: Any) -> Digest:
        raise Unsure(f"it uses a {type(value).__qualname__}, which does not always give the same")

    def _object(self, value: Any) -> Digest:
        kind = type(value)
        library(kind.__module__)
        if dataclasses.is_dataclass(value) or library(kind.__module__) is None:
            return self._all("object", [kind, *_state(value)])
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:  # whatever refuses to be copied
            raise Unsure(f"it uses a {kind.__qualname__}: {error}") from None
        if hasattr(value, "__value__"):  # the name of a type
            return self._all("alias", (value.__name__, value.__value__))
        if isinstance(reduced, str):
            home = getattr(value, "__module__", None) or kind.__module__
            if library(home) is None:
                raise Unsure(f"it uses a {kind.__qualname__} of which only the name is known: {reduced}")
            return _hash("named", f"{home}:{reduced}".encode())
        return self._all("object", _listed_parts(reduced))

    _kinds: tuple[tuple[Any, Callable[..., Digest]], ...] = (
        (types.FunctionType, _function),
        (types.CodeType, _code),
        (types.MethodType, _method),
        (types.BuiltinFunctionType, _builtin),
        (types.ModuleType, _module),
        ((types.GenericAlias, types.UnionType), _generic),
        (type, _class),
        (Program, _program),
        ((Model, RemoteModel, Models), _model),
        (np.ndarray, _array),
        (LOOKERS, _looker),
        (re.Pattern, _pattern),
        ((Iterator, random.Random, np.random.Generator, ASAp), _refused),
        (WRAPPED, lambda self, value: self._all(type(value).__name__, [value.__func__])),
        (property, lambda self, value: self._all("property", (value.fget, value.fset, value.fdel))),
        (functools.cached_property, lambda self, value: self._all("property", [value.func])),
        (functools.partial, lambda self, value: self._all("partial", (value.func, value.args, value.keywords))),
        (functools._lru_cache_wrapper, lambda self, value: self._all("cached", [value.__wrapped__])),
        (types.MethodWrapperType, lambda self, value: self._all(value.__name__, [value.__self__])),
        (
            (types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType),
            _descriptor,
        ),
        (enum.Enum, lambda self, value: self._all("member", (type(value), value.name, _member(value)))),
        (typing.TypeVar, lambda self, value: self._all("variable", (value.__name__, value.__bound__))),
        (typing.NewType, lambda self, value: self._all("type", (value.__name__, value.__supertype__))),
        (typing.ForwardRef, lambda self, value: self._all("reference", [value.__forward_arg__])),
        (SPECIAL, lambda self, value: _hash("special", repr(value).encode())),
    )


def _hash(kind: str, *parts: bytes) -> Digest:
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _cells(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            yield NotImplemented


def _state(value: Any) -> Iterator[Any]:
    """What an instance of a Python class holds: its attributes, and its items where it is a container."""
    parts = [part for kind in type(value).__mro__ for part in vars(kind).items()]
    computed = {name for name, part in parts if isinstance(part, functools.cached_property)}
    slots = {name for name, part in parts if isinstance(part, types.MemberDescriptorType)}
    found = {name: part for name, part in getattr(value, "__dict__", {}).items() if name not in computed}
    yield found | {name: getattr(value, name) for name in sorted(slots) if hasattr(value, name)}
    yield [plain(value) for plain in PLAIN if isinstance(value, plain)]
    if _layout(type(value)) not in (object, *PLAIN):  # what it holds is not in its attributes
        yield _listed_parts(value.__reduce_ex__(4))


def _layout(kind: type) -> type:
    """The compiled class that an instance is laid out as."""
    return next(
        base for base in kind.__mro__ if not base.__flags__ & HEAP or getattr(base.__new__, "__self__", None) is base
    )


def _listed_parts(reduced: Any) -> list[Any]:
    """What `__reduce_ex__` gave, with iterators as lists."""
    return [list(part) if isinstance(part, Iterator) else part for part in reduced]


def _is_users(value: Any) -> bool:
    """Whether a function or class is no library's."""
    function = isinstance(value, types.FunctionType)
    home = value.__globals__.get("__name__") if function else getattr(value, "__module__", None)
    return isinstance(value, types.FunctionType | type) and isinstance(home, str) and not is_library(home)


def _member(member: enum.Enum) -> dict[str, Any]:
    """What a member of an enumeration holds, apart from the enumeration."""
    return {name: part for name, part in vars(member).items() if name != "__objclass__"}


def _is_code(name: str, part: Any) -> bool:
    """Whether an enumeration has a method of its own by this name."""
    function = getattr(part, "__func__", part)
    return isinstance(part, CODE) and function not in [getattr(p, "__func__", p) for p in vars(enum.Enum).values()]


def _field(field: Any) -> dict[str, Any]:
    """A pydantic field."""
    names = [name for name in sorted(field.__slots__) if not name.startswith("_")]
    return {name: getattr(field, name) for name in names if hasattr(field, name)}


def _decorators(value: type) -> Iterator[Any]:
    """The validators and serialisers of a pydantic model."""
    for group in dataclasses.fields(decorators := value.__dict__["__pydantic_decorators__"]):
        yield from getattr(decorators, group.name).values()
