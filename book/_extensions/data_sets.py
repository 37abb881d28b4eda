"""The data sets and their licences, as the package knows them."""

from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


class DataSets(SphinxDirective):
    """A table of all data sets: what each is, and under which licence."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from odelib.data import DATA_SETS

        lines = ["| Data set | What it is | Licence |", "| - | - | - |"]
        lines += [
            f"| [{about.title}]({about.url}), `{name}` | "
            f"{about.what} | {about.licence} |"
            for name, about in DATA_SETS.items()
        ]
        parent = nodes.Element()
        source = StringList(lines, source=self.get_source_info()[0])
        self.state.nested_parse(source, self.content_offset, parent)
        return parent.children


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("data-sets", DataSets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
