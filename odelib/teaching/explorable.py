"""Explorables: laboratories that compute in the page, with a still picture and a table where nothing can compute."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from odelib.names import choose
from odelib.teaching import _svg
from odelib.teaching._display import emit
from odelib.teaching._lab_page import EXPLORE_STYLE
from odelib.teaching.figures import FIGURE_STYLE, frame, inline, png, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPLORABLES = ("flock", "race", "robot", "swap", "writer")
"""The modules in ``book/_static/explore`` that take over what ``explorable`` displays."""


def explorable(
    name: str,
    *,
    title: str,
    still: Figure,
    alt: str,
    states: Sequence[Mapping[str, str]],
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Display a laboratory that the page's own script takes over, and close its still picture.

    In the book, a module of that name puts the living thing in the place of the picture. On paper, in a notebook and
    without JavaScript the picture and the table are all there is, so they have to say the same.

    Args:
        name: One of `EXPLORABLES`, and unique on the page.
        title: What the reader can find out, in a few words.
        still: One state, drawn under ``use_style``.
        alt: What a person who cannot see the still picture must know.
        states: Rows of the table: for each column's head, which are the same in all rows, what stands there.
        settings: What the module starts from beyond its own defaults, as JSON can hold it; floats in four digits.

    Raises:
        ValueError: The name is not that of a module, the rows have different columns, or there is no row.
    """
    choose(name, EXPLORABLES, "explorable")
    heads = list(states[0]) if states else []
    if not heads or any(list(row) != heads for row in states):
        raise ValueError(f"the states of {name} need the same columns in every row, and at least one row")
    import matplotlib.pyplot as plt

    with style():
        # A figure of the chapter may have the same name.
        drawing = frame(_svg.from_figure(still, prefix=f"lab-{name}-"), f"lab-{name}", alt)
        picture = png(still)
    plt.close(still)
    emit(
        {
            "text/html": _page(name, title, drawing, states, settings or {}),
            "image/png": picture,
            "text/plain": f"Laboratory: {title}. {alt}",
        }
    )


def _page(name: str, title: str, drawing: str, states: Sequence[Mapping[str, str]], settings: Mapping[str, Any]) -> str:
    heads = "".join(f'<th scope="col">{inline(head)}</th>' for head in states[0])
    rows = "\n".join("<tr>" + "".join(f"<td>{inline(text)}</td>" for text in row.values()) + "</tr>" for row in states)
    # The only end of a script's text is its end tag, which JSON can write otherwise.
    given = json.dumps(_rounded(settings), separators=(",", ":")).replace("</", "<\\/")
    return f"""{FIGURE_STYLE}{EXPLORE_STYLE}
<section class="ode-explore ode-figure" data-explore="{name}" aria-label="Laboratory: {html.escape(title)}">
<p class="ode-lab-title"><span>Laboratory</span> {inline(title)}</p>
<div class="explore-still">{drawing}</div>
<p class="explore-note">This is one state of it. On the book's web page, with JavaScript, it moves.</p>
<details><summary>Some of its states in words</summary><div class="ode-lab-table"><table>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table></div></details>
<script type="application/json" class="explore-settings">{given}</script>
</section>"""


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value
