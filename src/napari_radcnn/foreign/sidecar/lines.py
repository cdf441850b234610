"""On which line of a JSON file each of its values stands, so that an error can name it."""

from __future__ import annotations

import json
import re

from napari_radcnn.foreign.arguments import Place

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def lines_of(text: str) -> dict[Place, int]:
    r"""Return the line, from 1, of every value in a valid JSON text, by its place.

    Examples
    --------
    >>> lines_of('{"patch": [8,\n 9]}')
    {(): 1, ('patch',): 1, ('patch', 0): 1, ('patch', 1): 2}
    """
    return _walk(text)[0]


def repeated_key(text: str) -> tuple[str, int] | None:
    """Return a key that stands twice in one mapping, and the line of the second; None where there is none.

    JSON's readers keep the last of them without a word.
    """
    return _walk(text)[1]


def _walk(text: str) -> tuple[dict[Place, int], tuple[str, int] | None]:
    found: dict[Place, int] = {}
    twice: tuple[str, int] | None = None
    inside: list[str | int] = []  # for each open container the key or the number of its present value
    is_mapping: list[bool] = []
    awaits_key = False
    line, at = 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", at, token.start())
        at = token.start()
        word = token[0]
        if word in "]}":
            inside.pop()
            is_mapping.pop()
            awaits_key = False
        elif word == ",":
            awaits_key = is_mapping[-1]
            last = inside[-1]
            if isinstance(last, int):
                inside[-1] = last + 1
        elif awaits_key and word != ":":
            inside[-1], awaits_key = json.loads(word), False
            if tuple(inside) in found and twice is None:
                twice = str(inside[-1]), line
        elif word != ":":
            found[tuple(inside)] = line
            if word in "[{":
                is_mapping.append(word == "{")
                inside.append("" if word == "{" else 0)
                awaits_key = word == "{"
    return found, twice
