"""Solutions behind a line that opens wherever it is touched, without a script."""

from typing import Any

from docutils import nodes
from sphinx_exercise.nodes import solution_node


class summary(nodes.title):  # noqa: N801 - docutils names nodes so
    """The line that opens a solution."""


def _name(app: Any, tree: nodes.document, page: str) -> None:
    """Give each solution its line: the exercise by its number, no link."""
    for solution in tree.findall(solution_node):
        title = next(iter(solution.findall(nodes.title)))
        for link in list(title.findall(nodes.reference)):
            link.replace_self(link.children)
        title.replace_self(summary("", "", *title.children))


def _open(self: Any, node: solution_node) -> None:
    name = node["ids"][0] if node["ids"] else ""
    self.body.append(f'<details class="solution" id="{name}">')


def _close(self: Any, node: solution_node) -> None:
    self.body.append("</details>\n")


def _open_line(self: Any, node: summary) -> None:
    self.body.append("<summary>")


def _close_line(self: Any, node: summary) -> None:
    self.body.append("</summary>\n")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx, in place of the exercises' own."""
    app.setup_extension("sphinx_exercise")
    app.add_node(solution_node, html=(_open, _close), override=True)
    app.add_node(summary, html=(_open_line, _close_line))
    app.connect("doctree-resolved", _name, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
