"""Random JSON Schemas over all keywords, and random values that nearly fit them."""

from __future__ import annotations

import random
from typing import Any

KEYS = ["a", "b", "c", "ab", "é"]
STRINGS = ["", "a", "b", "ab", "abc", "ba", "é", '"\\/', "a\n", "2024-02-29", "10:00:00Z", "::1"]
NUMBERS = [0, 1, -1, 2, 3, 5, 10, -7, 0.5, 1.5, -2.25, 0.1, 100, 1e-3]
PATTERNS = ["^a", "b$", "^[ab]*$", "a.c|^$", "[^a]", "^\\w{1,2}$", "é"]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


class Schemas:
    """`draft` is one of 4, 6, 7, 2019, 2020."""

    def __init__(self, r: random.Random, draft: int = 2020) -> None:
        self.r, self.draft = r, draft

    def root(self, depth: int = 3) -> Any:
        uri = {
            2020: "https://json-schema.org/draft/2020-12/schema",
            2019: "https://json-schema.org/draft/2019-09/schema",
        }
        out: dict[str, Any] = {
            "$schema": uri.get(self.draft, f"http://json-schema.org/draft-0{self.draft}/schema#"),
            self.defs: {},
        }
        out[self.defs] = {name: self.schema(depth - 1) for name in ("x", "y")}
        return {**out, **self.object_schema(depth)}

    @property
    def defs(self) -> str:
        return "$defs" if self.draft >= 2019 else "definitions"

    def schema(self, depth: int) -> Any:
        if self.draft >= 6 and self.r.random() < 0.08:
            return self.r.random() < 0.6
        return self.object_schema(depth)

    def object_schema(self, depth: int) -> dict[str, Any]:
        r = self.r
        kinds = [self.typed, self.typed, self.numeric, self.stringy, self.listed]
        if depth > 0:
            kinds += [self.arrays, self.arrays, self.objects, self.objects, self.objects, self.logic, self.logic]
        out: dict[str, Any] = {}
        for kind in r.sample(kinds, r.choice([1, 1, 2, 2, 3])):
            out.update(kind(depth - 1))
        if r.random() < 0.1:
            out["title"] = "annotation"
        if depth > 0 and r.random() < 0.06:
            out["$ref"] = f"#/{self.defs}/{r.choice('xy')}"
        if self.draft >= 2019 and depth > 0 and r.random() < 0.08:
            out[r.choice(["unevaluatedProperties", "unevaluatedItems"])] = self.schema(depth - 2)
        return out

    def typed(self, depth: int) -> dict[str, Any]:
        r = self.r
        return {"type": r.choice(TYPES) if r.random() < 0.6 else r.sample(TYPES, r.randint(1, 3))}

    def numeric(self, depth: int) -> dict[str, Any]:
        r, out = self.r, dict[str, Any]()
        if self.draft == 4:
            for side in r.sample(["minimum", "maximum"], r.randint(0, 2)):
                out[side] = r.choice(NUMBERS)
                if r.random() < 0.4:
                    out[f"exclusive{side.title()}"] = r.random() < 0.5
        else:
            for side in r.sample(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], r.randint(0, 2)):
                out[side] = r.choice(NUMBERS)
        if r.random() < 0.4:
            out["multipleOf"] = r.choice([1, 2, 3, 0.5, 7, 0.25])
        return out

    def stringy(self, depth: int) -> dict[str, Any]:
        r, out = self.r, dict[str, Any]()
        if r.random() < 0.4:
            out["minLength"] = r.randint(0, 3)
        if r.random() < 0.4:
            out["maxLength"] = r.randint(0, 4)
        if r.random() < 0.4:
            out["pattern"] = r.choice(PATTERNS)
        return out

    def listed(self, depth: int) -> dict[str, Any]:
        r = self.r
        if self.draft >= 6 and r.random() < 0.4:
            return {"const": self.value(1)}
        return {"enum": [self.value(1) for _ in range(r.randint(1, 4))]}

    def arrays(self, depth: int) -> dict[str, Any]:
        r, out = self.r, dict[str, Any]()
        if r.random() < 0.5:
            out["items"] = self.schema(depth)
        if r.random() < 0.3:
            prefix = [self.schema(depth) for _ in range(r.randint(1, 3))]
            if self.draft >= 2020:
                out["prefixItems"] = prefix
            else:
                out["items"] = prefix
                if r.random() < 0.5:
                    out["additionalItems"] = self.schema(depth)
        for name in ("minItems", "maxItems"):
            if r.random() < 0.3:
                out[name] = r.randint(0, 3)
        if self.draft >= 6 and r.random() < 0.3:
            out["contains"] = self.schema(depth)
            for name in ("minContains", "maxContains"):
                if self.draft >= 2019 and r.random() < 0.4:
                    out[name] = r.randint(0, 2)
        if r.random() < 0.15:
            out["uniqueItems"] = True
        return out

    def objects(self, depth: int) -> dict[str, Any]:
        r, out = self.r, dict[str, Any]()
        if r.random() < 0.8:
            out["properties"] = {k: self.schema(depth) for k in r.sample(KEYS, r.randint(1, 3))}
        if r.random() < 0.4:
            out["required"] = r.sample(KEYS, r.randint(1, 2))
        if r.random() < 0.25:
            out["patternProperties"] = {p: self.schema(depth) for p in r.sample(PATTERNS, r.randint(1, 2))}
        if r.random() < 0.4:
            out["additionalProperties"] = self.schema(depth) if r.random() < 0.5 else False
        if self.draft >= 6 and r.random() < 0.15:
            out["propertyNames"] = self.stringy(depth)
        for name in ("minProperties", "maxProperties"):
            if r.random() < 0.15:
                out[name] = r.randint(0, 3)
        dependent = {r.choice(KEYS): r.sample(KEYS, r.randint(1, 2))}
        if self.draft >= 2019:
            if r.random() < 0.15:
                out["dependentRequired"] = dependent
            if r.random() < 0.15:
                out["dependentSchemas"] = {r.choice(KEYS): self.schema(depth)}
        elif r.random() < 0.2:
            out["dependencies"] = dependent if r.random() < 0.5 else {r.choice(KEYS): self.schema(depth)}
        return out

    def logic(self, depth: int) -> dict[str, Any]:
        r = self.r
        name = r.choice(["allOf", "anyOf", "oneOf", "not", *["if"] * (self.draft >= 7)])
        if name == "not":
            return {"not": self.schema(depth)}
        if name == "if":
            return {k: self.schema(depth) for k in ("if", *r.sample(["then", "else"], r.randint(1, 2)))}
        return {name: [self.schema(depth) for _ in range(r.randint(1, 3))]}

    # -- values

    def value(self, depth: int) -> Any:
        r = self.r
        kind = r.randrange(8 if depth > 0 else 5)
        if kind == 0:
            return r.choice([None, True, False])
        if kind <= 2:
            return r.choice(NUMBERS)
        if kind <= 4:
            return r.choice(STRINGS)
        if kind == 5:
            return [self.value(depth - 1) for _ in range(r.randint(0, 3))]
        return {k: self.value(depth - 1) for k in r.sample(KEYS, r.randint(0, 3))}

    def fitting(self, schema: Any, root: Any, depth: int = 4) -> Any:
        """A value that has a chance to be valid."""
        r = self.r
        if not isinstance(schema, dict) or depth <= 0 or r.random() < 0.1:
            return self.value(2)
        for name in ("const", "enum"):
            if name in schema and r.random() < 0.9:
                return schema[name] if name == "const" else r.choice(schema[name])
        below = [s for name in ("allOf", "anyOf", "oneOf") for s in schema.get(name, [])]
        below += [schema[name] for name in ("if", "then", "else") if name in schema]
        if "$ref" in schema:
            below.append(root[self.defs][schema["$ref"][-1]])
        if below and r.random() < 0.5:
            return self.fitting(r.choice(below), root, depth - 1)
        named = schema.get("type", TYPES)
        kind = r.choice(named if isinstance(named, list) else [named])
        if "type" not in schema and schema.keys() & {"properties", "required", "patternProperties"}:
            kind = "object"
        if "type" not in schema and schema.keys() & {"items", "prefixItems", "contains"}:
            kind = "array"
        match kind:
            case "null":
                return None
            case "boolean":
                return r.random() < 0.5
            case "integer":
                return r.choice([n for n in NUMBERS if n == int(n)])
            case "number":
                return r.choice(NUMBERS)
            case "string":
                return r.choice(STRINGS)
            case "array":
                return self._fitting_array(schema, root, depth)
        return self._fitting_object(schema, root, depth)

    def _fitting_array(self, schema: Any, root: Any, depth: int) -> Any:
        r = self.r
        items = schema.get("items", True)
        prefix = items if isinstance(items, list) else schema.get("prefixItems", [])
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        size = r.randint(schema.get("minItems", 0), schema.get("minItems", 0) + 3)
        forms = [prefix[i] if i < len(prefix) else rest for i in range(size)]
        forms = [schema["contains"] if "contains" in schema and r.random() < 0.4 else form for form in forms]
        return [self.fitting(form, root, depth - 1) for form in forms]

    def _fitting_object(self, schema: Any, root: Any, depth: int) -> Any:
        r, properties = self.r, schema.get("properties", {})
        keys = [*properties, *schema.get("required", []), *r.sample(KEYS, r.randint(0, 2))]
        keys = [k for k in dict.fromkeys(keys) if k in schema.get("required", []) or r.random() < 0.6]
        more = schema.get("additionalProperties", True)
        more = next(iter(schema.get("patternProperties", {}).values()), more)
        return {k: self.fitting(properties.get(k, more), root, depth - 1) for k in keys}
