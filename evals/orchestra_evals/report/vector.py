"""What matplotlib draws as SVG without style attributes: a file of its own, and an element of a page in its colours.

A page whose policy forbids inline styles still shows such a figure, and as an element it follows the page's dark and
light colours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

_SPACE = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FONT = re.compile(r"(?:(?P<style>italic|oblique) )?(?:(?P<weight>\w+) )?(?P<size>[\d.]+px) (?P<family>.+)")
_PAGE = {"#000000": "currentColor", "#ffffff": "var(--paper, #ffffff)"}
_ROOT = {
    "xmlns": _SPACE[1:-1],
    "role": "img",
    "fill": "#000000",
    "stroke-linejoin": "round",
    "font-family": "system-ui, 'DejaVu Sans', Arial, sans-serif",
}
_LEFT_OUT = {f"{_SPACE}metadata", f"{_SPACE}style"}


@dataclass(frozen=True, slots=True)
class Vector:
    """A figure."""

    file: str
    """As a file."""
    element: str
    """As an element of an HTML page."""


def vector(drawn: str, name: str, title: str) -> Vector:
    """Return what matplotlib drew.

    Args:
        drawn: Its SVG, with texts as texts.
        name: Begins the names of all parts, so that several figures can stand in one page.
        title: What the figure shows, for those who do not see it.
    """
    root = ElementTree.fromstring(drawn)
    for part in list(root.iter()):
        _clean(part, name)
    for key, value in (_ROOT | {"aria-label": title}).items():
        root.set(key, value)
    file = f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'
    del root.attrib["xmlns"]
    for part in root.iter():
        part.attrib.update({key: _PAGE.get(value, value) for key, value in part.attrib.items()})
    return Vector(file=file, element=ElementTree.tostring(root, encoding="unicode"))


def _clean(part: ElementTree.Element, name: str) -> None:
    """Make styles attributes and names unique, and leave out what only tells who drew it."""
    for child in [child for child in part if child.tag in _LEFT_OUT]:
        part.remove(child)
    part.tag = part.tag.removeprefix(_SPACE)
    found = dict(part.attrib)
    found.update(_styles(found.pop("style", "")))
    if "id" in found:
        found["id"] = f"{name}-{found['id']}"
    if _LINK in found:
        found["href"] = f"#{name}-{found.pop(_LINK)[1:]}"
    part.attrib.clear()
    part.attrib.update({key: _REFERENCE.sub(rf"url(#{name}-\1)", value) for key, value in found.items()})


def _styles(style: str) -> list[tuple[str, str]]:
    """Return a style as attributes; all texts have the family of the root."""
    pairs = [part.split(":", 1) for part in style.split(";") if ":" in part]
    found = [(key.strip(), value.strip()) for key, value in pairs]
    fonts = [match for key, value in found if key == "font" and (match := _FONT.fullmatch(value))]
    short = [(f"font-{key}", match[key]) for match in fonts for key in ("style", "weight", "size") if match[key]]
    return [*short, *((key, value) for key, value in found if key not in ("font", "font-family"))]
