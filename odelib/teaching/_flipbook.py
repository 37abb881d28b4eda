"""Many frames of one figure in one SVG: what they share is stored once, the rest carries its frame numbers."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from odelib.teaching import _svg

FRAMES = "data-f"
"""Attribute of an element that only some frames show: their numbers, separated by blanks."""


def bind(roots: Sequence[ET.Element], first: int, prefix: str) -> _svg.Drawing:
    """Merge frames of equal size; only what frame ``first`` shows is visible until a script says otherwise.

    Args:
        roots: the frames, as ``_svg.to_tree`` gives them.
        first: index of the frame that is visible at the start.
        prefix: put before every id.

    Raises:
        ValueError: the frames differ in size.
    """
    if len({_svg.view_box(root) for root in roots}) > 1:
        raise ValueError("the frames differ in size: let draw leave the figure's size alone")
    definitions: dict[str, ET.Element] = {}
    for root in roots:
        _take_definitions(root, definitions)
    whole = ET.Element("svg", roots[0].attrib)
    shared = ET.SubElement(whole, "defs")
    shared.extend(definitions[key] for key in sorted(definitions))
    whole.extend(_blend([(number, list(root)) for number, root in enumerate(roots)], first))
    _svg.rename_ids(whole, prefix)
    return _svg.Drawing(_svg.serialise(whole), _svg.view_box(whole), _svg.natural_width(whole))


def _take_definitions(node: ET.Element, into: dict[str, ET.Element]) -> None:
    """Move glyphs, markers and clips out of a frame; equal ids hold equal content, as both are hashed from it."""
    for child in list(node):
        if child.tag == "defs":
            into.update((part.get("id", ""), part) for part in child)
            node.remove(child)
        else:
            _take_definitions(child, into)


def _blend(frames: list[tuple[int, list[ET.Element]]], first: int) -> list[ET.Element]:
    """One list of elements that holds every frame's list; order, and so what covers what, is kept."""
    lists = [children for _, children in frames]
    numbers = [number for number, _ in frames]
    if len({len(children) for children in lists}) == 1:
        merged: list[ET.Element] = []
        for column in zip(*lists, strict=True):
            merged.extend(_blend_one(list(zip(numbers, column, strict=True)), first))
        return merged
    head = _common(lists)
    tail = _common([children[head:][::-1] for children in lists])
    middles: list[tuple[int, ET.Element]] = []
    for number, children in frames:
        group = ET.Element("g")
        group.extend(children[head : len(children) - tail])
        middles.append((number, group))
    end = lists[0][len(lists[0]) - tail :]
    return [*lists[0][:head], *_variants(middles, first), *end]


def _blend_one(column: list[tuple[int, ET.Element]], first: int) -> list[ET.Element]:
    """The same place in every frame: one element if they agree, a blended group or variants if not."""
    nodes = [node for _, node in column]
    if len({_text(node) for node in nodes}) == 1:
        return [nodes[0]]
    if {node.tag for node in nodes} == {"g"} and all(node.attrib == nodes[0].attrib for node in nodes):
        group = ET.Element("g", nodes[0].attrib)
        group.extend(_blend([(number, list(node)) for number, node in column], first))
        return [group]
    return _variants(column, first)


def _variants(column: list[tuple[int, ET.Element]], first: int) -> list[ET.Element]:
    """Each distinct element once, marked with the frames that show it."""
    distinct: dict[str, tuple[ET.Element, list[int]]] = {}
    for number, node in column:
        distinct.setdefault(_text(node), (node, []))[1].append(number)
    for node, numbers in distinct.values():
        node.set(FRAMES, " ".join(map(str, numbers)))
        if first not in numbers:
            node.set("display", "none")
    return [node for node, _ in distinct.values()]


def _common(lists: list[list[ET.Element]]) -> int:
    """How many elements at the start are the same in every list."""
    texts = [[_text(node) for node in children] for children in lists]
    count = 0
    for column in zip(*texts, strict=False):
        if len(set(column)) > 1:
            break
        count += 1
    return count


def _text(node: ET.Element) -> str:
    """An element as text, without its own id (which nothing refers to once definitions are moved out)."""
    kept = node.attrib.pop("id", None)
    text = ET.tostring(node, encoding="unicode")
    if kept is not None:
        node.set("id", kept)
    return text
