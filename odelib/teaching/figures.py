"""Figures that follow the page: inline SVG in the text's colour, described in words, the same on every run."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from cycler import cycler

from odelib.teaching import _svg
from odelib.teaching._display import emit
from odelib.teaching.palette import meaning_of, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The smallest lettering (11 pt) never shrinks below 9 px: a wider figure scrolls in its own box instead.
_LEAST_SCALE = 9 / (11 * 96 / 72)
_PHONE_COLUMN = 346  # px; the text column of the book on a phone 390 px wide

# The first rule undoes the book theme's light box around HTML outputs in dark mode.
FIGURE_STYLE = """<style>
.text_html:has(>.ode-figure,>.ode-lab){background:none!important;color:inherit!important;padding:0!important}
figure.ode-figure,.ode-lab.ode-figure{margin:0 0 .75rem;padding-top:0}
.ode-figure .ode-scroll{overflow-x:auto}
.ode-figure svg{display:block;margin:0 auto;width:100%;height:auto}
.ode-figure figcaption{max-width:42rem;margin:.5rem auto 0;font:inherit;font-size:.93em;line-height:1.45;
text-align:left;color:inherit!important}
</style>"""


def _settings() -> Any:  # Matplotlib types the keys of its settings differently from version to version
    return {
        "figure.figsize": (5.6, 3.4),
        "figure.constrained_layout.use": True,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "font.size": 12,
        "axes.titlesize": 12,
        "axes.labelsize": 12,
        "xtick.labelsize": 11,
        "ytick.labelsize": 11,
        "legend.fontsize": 11,
        "mathtext.fontset": "dejavusans",
        "axes.formatter.use_mathtext": True,
        "axes.prop_cycle": cycler(color=palette.cycle)
        + cycler(linestyle=["-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5))]),
        "lines.linewidth": 2,
        "lines.markersize": 6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.15,
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "text.color": palette.ink,
        "axes.edgecolor": palette.ink,
        "axes.labelcolor": palette.ink,
        "axes.titlecolor": palette.ink,
        "xtick.color": palette.ink,
        "ytick.color": palette.ink,
        "grid.color": palette.ink,
        "patch.edgecolor": palette.ink,
        "image.cmap": palette.sequential,
        "svg.fonttype": "path",
        "svg.hashsalt": "odelib",
    }


def use_style() -> None:
    """Give every figure drawn from here on the look of the book."""
    mpl.rcParams.update(_settings())


@contextmanager
def style() -> Iterator[None]:
    """The look of the book for the figures drawn inside the ``with`` block."""
    with mpl.rc_context(_settings()):
        yield


def show(fig: Figure, name: str, alt: str, caption: str) -> None:
    """Display a figure with its caption and description, then close it.

    The SVG takes the colour of the page's text for everything drawn in ``palette.ink`` (or black), and the
    page's own colour for ``palette.paper`` (or white). The output carries a PNG too, for print.

    Args:
        fig: drawn under ``use_style``.
        name: unique on the page: small letters, digits and hyphens.
        alt: what a person who cannot see the figure must know; one or two sentences.
        caption: what to see in it; ``*h*`` sets a symbol in italics and `` `x` `` sets code.

    Raises:
        ValueError: the name cannot be an id, alt or caption is empty, or a curve has another's colour.
    """
    _check_words(name, alt, caption)
    check_colours(fig, name)
    import matplotlib.pyplot as plt

    with style():
        drawing = _svg.from_figure(fig, prefix=f"{name}-")
        picture = png(fig)
    plt.close(fig)
    body = frame(drawing, name, alt)
    emit(
        {
            "text/html": f'{FIGURE_STYLE}<figure class="ode-figure" id="fig-{name}">\n{body}\n'
            f'<figcaption class="tex2jax_process mathjax_process">{inline(caption)}</figcaption></figure>',
            "image/png": picture,
            "text/plain": f"Figure: {alt} {caption}",
        }
    )


def frame(drawing: _svg.Drawing, name: str, alt: str) -> str:
    """The ``<svg>`` with its description, inside a box that scrolls only if the figure is a wide one."""
    least = drawing.width * _LEAST_SCALE
    box, size = '<div class="ode-scroll">', f"max-width:{drawing.width:.0f}px"
    if least > _PHONE_COLUMN:  # a box that scrolls must be reachable from the keyboard
        box = f'<div class="ode-scroll" tabindex="0" role="region" aria-label="Wide figure {name}">'
        size += f";min-width:{least:.0f}px"
    return (
        f'{box}<svg role="img" aria-labelledby="{name}-title" viewBox="0 0 {drawing.view}" fill="currentColor" '
        f'stroke-linejoin="round" stroke-linecap="butt" style="{size}">'
        f'<title id="{name}-title">{html.escape(alt)}</title>{drawing.content}</svg></div>'
    )


def png(fig: Figure, dpi: int = 120) -> str:
    """The figure in dark ink on white, in 128 colours, as base64 PNG without date or version."""
    from PIL import Image

    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    picture = Image.open(buffer).convert("RGB").quantize(128)
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def inline(text: str) -> str:
    """Escape text for HTML, with ``*italics*`` and `` `code` ``."""
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", text)


def check_colours(fig: Figure, name: str) -> None:
    """Refuse a figure whose legend gives the usual layer, the parallel layer or RK4 another colour than the book.

    Raises:
        ValueError: a labelled curve has another colour than ``palette.look`` gives its label.
    """
    for axes in fig.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if meaning_of(label) and _colour_of(handle) != palette.look(label)["color"]:
                raise ValueError(
                    f"figure {name} draws {label!r} in {_colour_of(handle)}, but the book draws it in "
                    f"{palette.look(label)['color']}: use palette.look({label!r})"
                )


def _colour_of(handle: Any) -> str:
    """The colour of what a legend shows: a line, its error bars, a bar, dots."""
    from matplotlib.colors import to_hex, to_rgba_array

    part = next(part for part in handle if part is not None) if isinstance(handle, tuple) else handle
    drawn = part.get_color() if hasattr(part, "get_color") else part.get_facecolor()
    return to_hex(to_rgba_array(drawn)[0])


def _check_words(name: str, alt: str, caption: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ValueError(f"the figure name {name!r} cannot be an id: use small letters, digits and single hyphens")
    if not alt.strip():
        raise ValueError(f"figure {name} has an empty alt text: say what it shows")
    if not caption.strip():
        raise ValueError(f"figure {name} has an empty caption: say what to see in it")
