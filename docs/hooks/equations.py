"""Equations as MathML: arithmatex marks what stands between dollars, latex2mathml turns it into what browsers show."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)

# A prime is high already; as an exponent it would be raised once more.
_PRIME = re.compile(r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>")


def on_page_content(content: str, **kwargs: Any) -> str:
    """MkDocs calls this with a page's HTML."""
    content = _BLOCK.sub(lambda match: _mathml(match[1], "block"), content)
    return _INLINE.sub(lambda match: _mathml(match[1], "inline"), content)


def _mathml(latex: str, display: str) -> str:
    mathml = convert(html.unescape(latex).strip(), display=display)
    return _PRIME.sub(r'<mrow>\1<mo lspace="0" rspace="0">&#x02032;</mo></mrow>', mathml)
