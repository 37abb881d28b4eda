"""Matplotlib's SVG made small, anonymous and page-coloured, so that many can live inline on one page."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

from odelib.teaching.palette import palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
_REFERENCE = re.compile(r"(url\(#|^#)([^)]+)")
_PAPER = "var(--pst-color-background,var(--jp-layout-color0,var(--colab-primary-surface-color,#fff)))"
_COLOURS = {palette.ink: "currentColor", "#000000": "currentColor", palette.paper: _PAPER, "#ffffff": _PAPER}


@dataclass(frozen=True)
class Drawing:
    """What stands inside an ``<svg>``, and the size it wants.

    Attributes:
        content: markup of the definitions and marks.
        view: width and height in points, as a view box takes them.
        width: natural width in CSS pixels.
    """

    content: str
    view: str
    width: float


def from_figure(fig: Figure, prefix: str) -> Drawing:
    """Render a figure; every id that is referred to starts with ``prefix``, all others are dropped."""
    root = to_tree(fig)
    rename_ids(root, prefix)
    return Drawing(serialise(root), view_box(root), natural_width(root))


def to_tree(fig: Figure) -> ET.Element:
    """The figure's SVG without namespaces, metadata, style sheet and spare digits; ids as Matplotlib made them."""
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    fig.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    root = ET.fromstring(buffer.getvalue())
    _clean(root)
    return root


def view_box(root: ET.Element) -> str:
    """Width and height in points."""
    return " ".join(f"{float(part):g}" for part in root.get("viewBox", "").split()[2:])


def natural_width(root: ET.Element) -> float:
    """Width in CSS pixels at which a point is a point."""
    return float(root.get("viewBox", "").split()[2]) * 96 / 72


def rename_ids(root: ET.Element, prefix: str) -> None:
    """Prefix the ids that are referred to; drop the rest."""
    used = {match[2] for node in root.iter() for value in node.attrib.values() for match in _REFERENCE.finditer(value)}
    for node in root.iter():
        for key, value in list(node.attrib.items()):
            if key == "id":
                if value in used:
                    node.set("id", prefix + value)
                else:
                    del node.attrib["id"]
            elif key == "href" or "url(#" in value:
                node.set(key, _REFERENCE.sub(rf"\g<1>{prefix}\g<2>", value))


def serialise(root: ET.Element) -> str:
    """The children of the root as text."""
    return "\n".join(ET.tostring(child, encoding="unicode") for child in root)


def _clean(node: ET.Element) -> None:
    """Bring a node and its children to the short form, in place."""
    for child in list(node):
        child.tag = child.tag.rpartition("}")[2]
        child.tail = None
        if child.tag in ("metadata", "style"):
            node.remove(child)
            continue
        child.text = None if child.tag != "text" else child.text
        child.attrib = {key.rpartition("}")[2]: _shorten(value, key) for key, value in child.attrib.items()}
        _clean(child)
        # Matplotlib leaves an empty <defs/> where the style sheet stood, and draws invisible background patches.
        if (child.tag in ("defs", "g") and len(child) == 0 and "id" not in child.attrib) or _is_invisible(child):
            node.remove(child)


def _is_invisible(node: ET.Element) -> bool:
    style = node.get("style", "")
    return node.tag == "path" and "opacity:0;" in f"{style};" and "stroke-opacity" not in style


def _shorten(value: str, key: str) -> str:
    """One attribute without spare blanks and digits, and with the colours that follow the page."""
    if key == "d":
        value = _NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)
        return re.sub(r"\s*([A-Za-z])\s*", r"\1", value).strip()
    if key == "style":
        value = value.replace("; ", ";").replace(": ", ":").rstrip(";")
        for colour, live in _COLOURS.items():
            value = value.replace(colour, live)
        return value
    if key in ("transform", "x", "y", "width", "height"):
        return _NUMBER.sub(lambda match: f"{float(match[0]):.6g}", value)
    return value
