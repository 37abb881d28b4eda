"""Mend what assistive technology cannot read in the HTML of others.

- Sphinx writes a signature of many lines as a definition list without terms.
- MyST-NB calls every folded cell "Toggle hidden content", whatever it says.
- A table whose first head is empty has there a head that says nothing.
- Sphinx gives the works of a bibliography a role that ARIA has given up.
"""

import re
from typing import Any

EMPTY_HEAD = re.compile(r"<th[^>]*>(?:<p>\s*</p>)?</th>")
SIGNATURE = re.compile(r"<dt class=\"sig.*?</dt>", re.S)


def mend(body: str) -> str:
    """Return the body of a page with these mended."""
    body = SIGNATURE.sub(_without_list, body)
    body = EMPTY_HEAD.sub("<td></td>", body)
    body = body.replace(' aria-label="Toggle hidden content"', "")
    return body.replace('role="doc-biblioentry"', 'role="listitem"')


def _without_list(signature: re.Match[str]) -> str:
    lines = re.sub(r"<d[ld]>", '<span class="line">', signature[0])
    return re.sub(r"</d[ld]>", "</span>", lines)


def _mend_page(
    app: Any, page: str, template: str, context: Any, tree: Any
) -> None:
    if "body" in context:
        context["body"] = mend(context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", _mend_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
