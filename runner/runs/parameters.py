"""What a runbook may be told: read from its `parameters` cell without running it."""

from __future__ import annotations

import ast
import difflib
import io
import json
import math
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from irkit.errors import BadInput, BadParameters
from runner.runs import nbfile

_KNOWN = frozenset({"int", "float", "str", "bool", "list", "dict", "None"})
_SAME = {"NoneType": "None", "List": "list", "Dict": "dict", "tuple": "list", "Tuple": "list"}
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a runbook may be told: its name, type, default and the comment beside it.

    `type` is the annotation as written, else the type of the default, else "" (anything).
    `default` is the value where it is a literal, else the expression's source text.
    """

    name: str
    type: str
    default: Any = None
    help: str = ""
    accepts: frozenset[str] = frozenset()


def declared(notebook: Mapping[str, Any] | str | Path) -> dict[str, Parameter]:
    """The parameters that a notebook declares, in order, read by AST and never by running it.

    `notebook` is a path or a notebook already read (nbformat's mapping).  A notebook without a
    cell tagged `parameters` declares none.  A later assignment to a name wins, as in Python.
    Raises `BadInput` if the file is no notebook or the cell cannot be parsed.

    Example:
        >>> cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]},
        ...         "source": "service = 'checkout'  # who is ill"}
        >>> declared({"cells": [cell]})["service"].help
        'who is ill'
    """
    name = "the notebook"
    if not isinstance(notebook, Mapping):
        name = str(notebook)
        notebook = nbfile.read(notebook)
    for cell in notebook.get("cells", ()):
        tags = cell.get("metadata", {}).get("tags", ())
        if cell.get("cell_type") == "code" and "parameters" in tags:
            source = cell.get("source", "")
            return _parse(source if isinstance(source, str) else "".join(source), name)
    return {}


def check(known: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values, each converted to its declared type.

    Text converts (a command line gives only text): "3" to int, "0.5" to float, "yes" to bool,
    JSON to list and dict.  Other values must already have the type; an int may stand for a float.
    Raises `BadParameters` naming each unknown or mistyped parameter, the closest declared name,
    and what is declared.

    Example:
        >>> check({"n": Parameter(name="n", type="int", accepts=frozenset({"int"}))}, {"n": "3"})
        {'n': 3}
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, value in given.items():
        parameter = known.get(name)
        if parameter is None:
            close = difflib.get_close_matches(name, known, n=1)
            faults.append(f"unknown {name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
            continue
        try:
            values[name] = _convert(value, parameter.accepts)
        except ValueError as error:
            faults.append(f"{name!r}: {error}")
    if faults:
        listed = ", ".join(f"{p.name}: {p.type or 'any'}" for p in known.values())
        raise BadParameters(
            "the runbook cannot take these parameters",
            on="; ".join(faults),
            next=f"it declares {listed}"
            if known
            else "it declares none: tag the cell that assigns them with 'parameters'",
        )
    return values


def _parse(source: str, where: str) -> dict[str, Parameter]:
    # Magics are not Python; blank lines keep the line numbers.
    lines = ["" if line.lstrip()[:1] in ("%", "!") else line for line in source.splitlines()]
    plain = "\n".join(lines) + "\n"
    try:
        tree = ast.parse(plain)
        comments = {
            token.start[0]: token.string.lstrip("# ").rstrip()
            for token in tokenize.generate_tokens(io.StringIO(plain).readline)
            if token.type == tokenize.COMMENT
        }
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise BadInput(
            f"the parameters cell cannot be parsed ({error})",
            on=where,
            next="keep to plain assignments such as service = 'checkout'",
        ) from error
    found: dict[str, Parameter] = {}
    for node in tree.body:
        annotation: ast.expr | None = None
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names, annotation, value = [node.target.id], node.annotation, node.value
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            value = node.value
        else:
            continue
        default, accepts = _default(value)
        if annotation is not None:
            accepts = _names(annotation)
        shown = ast.unparse(annotation) if annotation is not None else "".join(accepts)
        for name in names:
            found[name] = Parameter(
                name=name,
                type=shown,
                default=default,
                help=comments.get(node.end_lineno or node.lineno, ""),
                accepts=accepts,
            )
    return found


def _default(value: ast.expr | None) -> tuple[Any, frozenset[str]]:
    if value is None:
        return None, frozenset()
    try:
        default = ast.literal_eval(value)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return ast.unparse(value), frozenset()
    name = type(default).__name__
    name = _SAME.get(name, name)
    # `x = None` says nothing about what x may be.
    return default, frozenset({name} & (_KNOWN - {"None"}))


def _names(node: ast.expr) -> frozenset[str]:
    """The plain types in an annotation; empty (anything) as soon as one is not known."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        left, right = _names(node.left), _names(node.right)
        return left | right if left and right else frozenset()
    if isinstance(node, ast.Constant):
        if node.value is None:
            return frozenset({"None"})
        if isinstance(node.value, str):
            try:
                return _names(ast.parse(node.value, mode="eval").body)
            except SyntaxError:
                return frozenset()
    if isinstance(node, ast.Subscript):
        base = ast.unparse(node.value).rpartition(".")[2]
        if base == "Optional":
            inner = _names(node.slice)
            return inner | {"None"} if inner else inner
        if base == "Union" and isinstance(node.slice, ast.Tuple):
            parts = [_names(part) for part in node.slice.elts]
            return frozenset().union(*parts) if all(parts) else frozenset()
        return _names(node.value)
    name = ast.unparse(node).rpartition(".")[2]
    name = _SAME.get(name, name)
    return frozenset({name} & _KNOWN)


def _convert(value: Any, accepts: frozenset[str]) -> Any:
    _plain(value)
    wanted = " or ".join(sorted(accepts))
    name = "None" if value is None else type(value).__name__
    if not accepts or name in accepts:
        return value
    if name == "int" and "float" in accepts:
        return float(value)
    if name != "str":
        raise ValueError(f"expected {wanted}, got {name} {value!r}"[:200])
    text = value.strip()
    if "None" in accepts and text.lower() in ("none", "null"):
        return None
    if "bool" in accepts and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    for kind, read in (("int", int), ("float", float)):
        if kind in accepts:
            try:
                number = read(text)
            except ValueError:
                continue
            _plain(number)
            return number
    for kind, shape in (("list", list), ("dict", dict)):
        if kind in accepts:
            try:
                parsed = json.loads(text)
            except ValueError:
                continue
            if isinstance(parsed, shape):
                _plain(parsed)
                return parsed
    raise ValueError(f"expected {wanted}, got {value!r}"[:200])


def _plain(value: Any, depth: int = 0) -> None:
    """Refuse what cannot be written into a notebook and arrive unchanged."""
    if depth > 50:
        raise ValueError("nested too deeply (50 levels at most)")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("the text is not valid Unicode (a lone surrogate)") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is not text")
            _plain(key)
            _plain(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _plain(item, depth + 1)
    elif isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            raise ValueError("NaN and infinity cannot be parameters")
    elif value is not None and not isinstance(value, (bool, int)):
        raise ValueError(f"{type(value).__name__} cannot be a parameter: use text, numbers or JSON")
