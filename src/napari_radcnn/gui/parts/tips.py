"""Tool tips of texts from elsewhere."""

from __future__ import annotations

import html


def as_it_is(text: str) -> str:
    """Return a tool tip that shows a foreign text, line by line, whatever markup it holds.

    Examples
    --------
    >>> as_it_is("<b>node</b> 1")
    '<qt>&lt;b&gt;node&lt;/b&gt; 1</qt>'
    """
    return f"<qt>{'<br>'.join(html.escape(line) for line in text.splitlines())}</qt>"
