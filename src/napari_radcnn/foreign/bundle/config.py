"""The configuration of a MONAI bundle, read as data.

MONAI's own parser evaluates it: any text that begins with ``$`` is Python to it, and any ``_target_`` is imported and
called. Here nothing is evaluated: references are followed, arithmetic on literals is worked out from the syntax tree,
and everything else stays a text. What would be code is listed, so that it can be shown and refused.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

#: ``$lambda x: x > 0``, the usual choice of foreground.
POSITIVE = "x > 0"
_DEEPEST = 40
_REFERENCE = re.compile(r"@([A-Za-z_][\w]*(?:(?:::|#)\w+)*)")
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "tuple": list,
    "list": list,
    "len": len,
}
#: What expressions of published bundles name; none of it is run here, it is only not alarming.
_ROOTS = (
    "torch torchvision np numpy pd pandas os glob json math pathlib Path monai ignite random sorted list tuple dict "
    "set range len int float str bool max min zip enumerate map print setattr x i item"
)
_USUAL_ROOTS = frozenset(_ROOTS.split())
#: Names that reach for files, other programs or the network.
_ALARMING = re.compile(
    r"__\w*|eval|exec\w*|open|compile|system|popen|spawn\w*|subprocess|import_module|getattr|globals|locals|remove|unlink|"
    r"rmtree|rename|write\w*|save\w*|load|loads|loadtxt|load_\w*(?:url|library|inline)|download\w*|urlopen|request\w*|socket|(?:read_)?pickle|ctypes|builtins|importlib|runpy|"
    r"shutil|sys|hub|input|breakpoint|environ|putenv|chmod|kill|fork|touch|mkdir|symlink\w*|from_file"
)
_IMPORTS = "glob os json math numpy pandas torch monai pathlib ignite random copy itertools functools"
_USUAL_IMPORTS = frozenset(_IMPORTS.split())
#: `_target_` of these packages is never built here unless a list names it; others are the bundle's own code.
_USUAL_PACKAGES = ("monai.", "ignite.", "torch.nn.", "torch.optim.", "torch.utils.data.", "torch.device")


def walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every text, number, ... of a configuration with its place, such as ``network#channels#0``."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(inner, f"{key}#{name}" if key else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from walk(inner, f"{key}#{number}")
    else:
        yield key, value


def code_in(config: Mapping[str, Any], is_known: Callable[[str], bool]) -> list[str]:
    """Return what of a configuration would be code to MONAI and is not of the usual, harmless kind.

    Parameters
    ----------
    config : mapping
        As `read_config` returns it.
    is_known : callable
        Whether a `_target_` is on one of our lists.
    """
    found = []
    for key, value in walk(dict(config)):
        if not isinstance(value, str):
            continue
        if key.rpartition("#")[2] == "_target_":
            if not (is_known(value) or value.startswith(_USUAL_PACKAGES) or re.fullmatch(r"[A-Z]\w*", value)):
                found.append(f"'_target_': '{value[:60]}' at '{key}'")
        elif value.lstrip().startswith("$") and not _is_usual(value.lstrip()[1:].strip()):
            found.append(f"the expression '{value[:60]}' at '{key}'")
    return found


def _is_usual(expression: str) -> bool:
    """Whether an expression only does what published bundles do: list files, choose a device, join paths."""
    if words := re.fullmatch(r"import ([\w.]+)(?: as \w+)?|from ([\w.]+) import [\w, ]+", expression):
        return (words[1] or words[2]).partition(".")[0] in _USUAL_IMPORTS
    if len(expression) > 1000:
        return False
    try:
        tree = ast.parse(_REFERENCE.sub("x", expression), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    attributes = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    return names <= _USUAL_ROOTS | bound and not any(_ALARMING.fullmatch(word) for word in names | attributes)


def painted_labels(text: Any) -> list[tuple[int, int]] | None:
    """Return channel and label, the strongest first, of the usual expression that merges overlapping classes.

    ``$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, 0))``; None for anything else.
    """
    if not isinstance(text, str) or not text.strip().startswith("$") or len(text) > 4000:
        return None
    left = "".join(text.strip()[1:].split())
    begin = re.fullmatch(r"lambda(\w+):(.*)", left)
    if begin is None:
        return None
    name, left = re.escape(begin[1]), begin[2]
    found = []
    while one := re.match(rf"torch\.where\({name}\[\[(\d{{1,3}})\]\]>0,(\d{{1,5}}),", left):
        found.append((int(one[1]), int(one[2])))
        left = left[one.end() :]
    return found if found and left == "0" + ")" * len(found) else None


class Unresolved(Exception):  # noqa: N818  not an error yet: whoever needs the value makes it one
    """A value that is not literal and that we do not work out; its text is the value."""


class Resolver:
    """Follows references within one configuration.

    Parameters
    ----------
    config : mapping
        As `read_config` returns it.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._depth = 0

    def get(self, reference: str) -> Any:
        """Return what stands at ``network_def``, ``preprocessing#transforms#0`` or ``a::b``, not resolved yet.

        Raises
        ------
        Unresolved
            If there is nothing.
        """
        value: Any = self._config
        for part in re.split(r"::|#", reference):
            if isinstance(value, dict) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                raise Unresolved(f"@{reference}")
        return value

    def resolve(self, value: Any, depth: int = 0) -> Any:
        """Return `value` with all references followed and all arithmetic on literals done.

        Raises
        ------
        Unresolved
            If it holds anything that would have to be evaluated.
        """
        if depth > _DEEPEST:
            raise Unresolved("circular references")
        if isinstance(value, dict):
            return {key: self.resolve(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.resolve(inner, depth + 1) for inner in value]
        if not isinstance(value, str):
            return value
        text = value.strip()
        if whole := _REFERENCE.fullmatch(text):
            return self.resolve(self.get(whole[1]), depth + 1)
        if text.startswith("$"):
            return self._expression(text[1:].strip(), depth)
        if text.startswith("%"):
            raise Unresolved(text)
        return value

    def call(self, value: Any, depth: int = 0) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what an object would be made by, and with what: a name, arguments in order, arguments by name.

        Parameters
        ----------
        value : object
            ``"$package.function(@part, 3, key=[1, 2])"``, a mapping with ``_target_``, or a reference to either.

        Returns
        -------
        name : str
            ``"package.function"``; of a method of a part ``"@part.method"``.
        plain : list
            Literals; the text of a reference to what is no literal, such as ``"@part"``.
        named : dict
            The same, by name.

        Raises
        ------
        Unresolved
            If it is none of these.
        """
        if depth > _DEEPEST:
            raise Unresolved("circular references")
        if isinstance(value, dict) and isinstance(value.get("_target_"), str):
            named = {key: self.resolve(inner) for key, inner in value.items() if not key.startswith("_")}
            return value["_target_"], [], named
        if not isinstance(value, str):
            raise Unresolved(str(value))
        if whole := _REFERENCE.fullmatch(value.strip()):
            return self.call(self.get(whole[1]), depth + 1)
        if not value.strip().startswith("$"):
            raise Unresolved(value)
        references: list[str] = []

        def remember(match: re.Match[str]) -> str:
            references.append(match[1])
            return f"r{len(references) - 1}_"

        def taken(node: ast.expr) -> Any:
            try:
                return self._literal(node, references, depth)
            except Unresolved:
                if isinstance(node, ast.Name):
                    return f"@{references[int(node.id[1:-1])]}"
                raise

        try:
            tree = ast.parse(_REFERENCE.sub(remember, value.strip()[1:].strip()), mode="eval").body
            if not isinstance(tree, ast.Call) or any(keyword.arg is None for keyword in tree.keywords):
                raise ValueError("not a call")
            name = _dotted(tree.func, references)
            return name, [taken(one) for one in tree.args], {str(k.arg): taken(k.value) for k in tree.keywords}
        except (SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
            raise Unresolved(value) from error

    def resolve_parts(self, value: Any) -> Any:
        """Return `value` with what can be resolved resolved, and the rest as its text: it may not be needed."""
        if isinstance(value, dict):
            return {key: self.resolve_parts(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.resolve_parts(inner) for inner in value]
        try:
            return self.resolve(value)
        except Unresolved:
            return self._followed(value)

    def _followed(self, value: str) -> Any:
        """Follow a reference to a list or mapping, parts of which cannot be resolved."""
        whole = _REFERENCE.fullmatch(value.strip())
        if whole is None or self._depth > _DEEPEST:
            return value
        self._depth += 1
        try:
            target = self.get(whole[1])
            return self.resolve_parts(target) if isinstance(target, dict | list) else value
        except Unresolved:
            return value
        finally:
            self._depth -= 1

    def _expression(self, text: str, depth: int) -> Any:
        if re.fullmatch(r"lambda (\w+): \1 > 0(?:\.0)?", text):
            return POSITIVE
        if kind := re.fullmatch(r"(?:torch|np|numpy)\.(float\d*|u?int\d+|bool)", text):
            return kind[1]
        references: list[str] = []

        def remember(match: re.Match[str]) -> str:
            references.append(match[1])
            return f"r{len(references) - 1}_"

        try:
            tree = ast.parse(_REFERENCE.sub(remember, text), mode="eval").body
            return self._literal(tree, references, depth)
        except (SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
            raise Unresolved(f"${text}") from error

    def _literal(self, node: ast.expr, references: list[str], depth: int) -> Any:
        def inner(part: ast.expr) -> Any:
            return self._literal(part, references, depth)

        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                return node.value
            case ast.List() | ast.Tuple():
                return [inner(part) for part in node.elts]
            case ast.Name(id=name) if re.fullmatch(r"r\d+_", name):
                return self.resolve(self.get(references[int(name[1:-1])]), depth + 1)
            case ast.UnaryOp(op=ast.USub()):
                return -inner(node.operand)
            case ast.UnaryOp(op=ast.Not()):
                return not inner(node.operand)
            case ast.IfExp():
                return inner(node.body) if inner(node.test) is True else inner(node.orelse)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                return _bounded(_OPERATORS[type(node.op)], inner(node.left), inner(node.right))
            case ast.Subscript(slice=ast.Constant(value=int() as index)):
                return inner(node.value)[index]
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _CONVERSIONS:
                return _CONVERSIONS[name](inner(argument))
        raise ValueError("not a literal")


def _dotted(node: ast.expr, references: list[str]) -> str:
    """Return ``a.b.c``, where a may stand for a reference."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, references)}.{node.attr}"
    if isinstance(node, ast.Name):
        return f"@{references[int(node.id[1:-1])]}" if re.fullmatch(r"r\d+_", node.id) else node.id
    raise ValueError("not a name")


def _bounded(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Return the result of an operation on small things."""
    for value in (left, right):
        if isinstance(value, int | float) and abs(value) > 1e9:
            raise ValueError("too large")
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if not numbers and not (operation is operator.add and type(left) is type(right)):
        raise TypeError("arithmetic on this type is not supported")
    if not numbers and len(left) + len(right) > 10_000:
        raise ValueError("too large")
    return operation(left, right)
