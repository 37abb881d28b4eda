"""The reference: ``{reference} odelib.room`` describes the names it lists.

Functions and classes are written by autodoc from their docstrings. The
docstring of any other value stands after it where it is defined.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.domains.python import PyObject
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective


class Reference(SphinxDirective):
    """Describe the names in the body, one a line, of a module."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Hand what autodoc writes to the page."""
        room = import_module(self.arguments[0])
        lines = ["````{eval-rst}"]
        for name in " ".join(self.content).split():
            lines += _entry(room, name)
        lines.append("````")
        parent = nodes.Element()
        source = StringList(lines, source=self.get_source_info()[0])
        self.state.nested_parse(source, self.content_offset, parent)
        return parent.children


def _entry(room: ModuleType, name: str) -> Iterator[str]:
    value, full = getattr(room, name), f"{room.__name__}.{name}"
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, Exception) else "class"
        yield f".. auto{kind}:: {full}"
        yield "   :members:"
        # What the docstring lists is no member as well.
        fields = getattr(value, "_fields", ())
        yield f"   :exclude-members: {', '.join(fields)}"
    elif inspect.isfunction(value):
        yield f".. autofunction:: {full}"
    else:
        yield f".. py:data:: {name}"
        yield f"   :module: {room.__name__}"
        yield ""
        yield from (f"   {line}" for line in _docstring(room, name, value))
        if isinstance(value, Mapping):
            keys = ", ".join(f"``{key}``" for key in value)
            yield f"   Its keys: {keys}."
        elif isinstance(value, tuple):
            yield f"   {', '.join(f'``{item}``' for item in value)}."
        elif isinstance(value, int):
            yield f"   Its value: {value}."
    yield ""


def _docstring(room: ModuleType, name: str, value: Any) -> list[str]:
    for module in list(sys.modules):
        if module.startswith(f"{room.__name__}."):
            analyzer = ModuleAnalyzer.for_module(module)
            analyzer.analyze()
            if ("", name) in analyzer.attr_docs:
                return analyzer.attr_docs["", name]
    raise ValueError(
        f"{room.__name__}.{name} has no docstring after its definition"
    )


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("reference", Reference)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"  # as in the docstrings
    return {"parallel_read_safe": True, "parallel_write_safe": True}
