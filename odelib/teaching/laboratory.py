"""Laboratories: a picture with a slider that works on the plain page, and its twin that computes live."""

from __future__ import annotations

import functools
import html
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from odelib.teaching import _flipbook, _svg
from odelib.teaching._display import emit
from odelib.teaching._lab_page import LAB_SCRIPT, LAB_STYLE
from odelib.teaching.claims import format_number
from odelib.teaching.figures import FIGURE_STYLE, frame, inline, png, style

if TYPE_CHECKING:
    from ipywidgets import VBox
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Slider:
    """A control with ordered values.

    Attributes:
        name: keyword under which ``draw`` and ``describe`` receive the value.
        label: what the reader sees; ``*h*`` sets a symbol in italics.
        values: at most 24, in order.
        default: the value at the start; the first if not given.
        unit: shown after the value.
        names: what the reader sees in place of each value; none: the numbers.
    """

    name: str
    label: str
    values: Sequence[float]
    default: float | None = None
    unit: str = ""
    names: Sequence[str] = ()

    def text(self, value: float) -> str:
        """The value as the reader sees it."""
        if self.names:
            return self.names[list(self.values).index(value)]
        return format_number(value, None) + (f" {self.unit}" if self.unit else "")


@dataclass(frozen=True)
class Choice:
    """A control with a few named values.

    Attributes:
        name: keyword under which ``draw`` and ``describe`` receive the value.
        label: what the reader sees.
        values: at most 4 names.
        default: the name at the start; the first if not given.
    """

    name: str
    label: str
    values: Sequence[str]
    default: str | None = None

    def text(self, value: str) -> str:
        """The value as the reader sees it."""
        return value


Control = Slider | Choice


@dataclass(frozen=True)
class Laboratory:
    """One picture that depends on one slider, or on a slider and a choice.

    Attributes:
        name: unique on the page: small letters, digits and hyphens.
        title: what the reader can find out, in a few words.
        draw: ``draw(fig, **values)`` draws on an empty figure. Fix the limits of the axes: the frames then share
            them, and the picture does not jump.
        controls: a ``Slider``, or a ``Slider`` and a ``Choice``.
        describe: ``describe(**values)`` says in one or two sentences what the picture shows, with its numbers.
        figsize: width and height in inches; up to 5.8 wide fits a phone.

    Raises:
        ValueError: a name is not usable, the controls are others than these, or a default is not a value.
    """

    name: str
    title: str
    draw: Callable[..., None]
    controls: Sequence[Control]
    describe: Callable[..., str]
    figsize: tuple[float, float] = (5.6, 3.4)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name):
            raise ValueError(f"the laboratory name {self.name!r} cannot be an id: use small letters, digits, hyphens")
        kinds = [type(control) for control in self.controls]
        if kinds not in ([Slider], [Slider, Choice]):
            raise ValueError(f"laboratory {self.name} needs one Slider, or one Slider and then one Choice")
        for control in self.controls:
            most = 24 if isinstance(control, Slider) else 4
            if not 2 <= len(control.values) <= most:
                raise ValueError(f"{control.name} has {len(control.values)} values: give it 2 to {most}")
            if isinstance(control, Slider) and len(control.names) not in (0, len(control.values)):
                raise ValueError(f"{control.name} has {len(control.names)} names for {len(control.values)} values")
            if control.default is not None and control.default not in control.values:
                raise ValueError(f"the default {control.default!r} of {control.name} is not one of its values")

    def show(self) -> None:
        """Compute every frame and display the laboratory; nothing is needed to use it but a browser."""
        emit({"text/html": self.page(), "image/png": self._still(), "text/plain": self._plain()})

    def live(self) -> VBox | None:
        """The same controls as ipywidgets: each move calls ``draw`` and ``describe`` in the kernel.

        Where ipywidgets is not installed, one sentence says so, and the laboratory of ``show`` serves.
        """
        try:
            import ipywidgets as widgets
        except ModuleNotFoundError:
            print("Live controls need the package ipywidgets, which is not installed: here are the computed frames.")
            self.show()
            return None

        made: dict[str, Any] = {}
        for control, start in zip(self.controls, self._defaults(), strict=True):
            make = widgets.SelectionSlider if isinstance(control, Slider) else widgets.RadioButtons
            options = [(control.text(value), value) for value in control.values]  # type: ignore[arg-type]
            made[control.name] = make(
                options=options, value=start, description=_plain_label(control), style={"description_width": "initial"}
            )
        picture = widgets.HTML()

        def redraw(_: object = None) -> None:
            picture.value = self._drawn(**{name: control.value for name, control in made.items()})

        for control in made.values():
            control.observe(redraw, names="value")
        redraw()
        return widgets.VBox([*made.values(), picture])

    def page(self) -> str:
        """The laboratory as self-contained HTML."""
        combinations = self._combinations()
        texts = [self.describe(**self._named(values)) for values in combinations]
        first = combinations.index(self._defaults())
        drawing = _flipbook.bind(self._frames(combinations), first, prefix=f"{self.name}-")
        picture = frame(drawing, self.name, f"{self.title}. The text under the controls says what it shows.")
        controls = "\n".join(self._control(control) for control in self.controls)
        heads = "".join(f'<th scope="col">{inline(control.label)}</th>' for control in self.controls)
        rows = "\n".join(
            f"<tr>{self._cells(values)}<td>{inline(text)}</td></tr>"
            for values, text in zip(combinations, texts, strict=True)
        )
        return f"""{FIGURE_STYLE}{LAB_STYLE}
<section class="ode-lab ode-figure" data-lab="{self.name}" aria-label="Laboratory: {html.escape(self.title)}">
<p class="ode-lab-title"><span>Laboratory</span> {inline(self.title)}</p>
{picture}
<div class="ode-lab-controls">
{controls}
</div>
<p class="ode-lab-text" aria-live="polite">{inline(texts[first])}</p>
<noscript><p>The controls need JavaScript. The table has every position in words.</p></noscript>
<details><summary>Every position in words</summary><div class="ode-lab-table"><table>
<thead><tr>{heads}<th scope="col">What the picture shows</th></tr></thead>
<tbody>
{rows}
</tbody></table></div></details>
</section>
<script>{LAB_SCRIPT}</script>"""

    def _control(self, control: Control) -> str:
        ident = f"{self.name}-{control.name}"
        start = list(control.values).index(self._start(control))
        if isinstance(control, Slider):
            steps = html.escape("|".join(control.text(value) for value in control.values))
            shown = control.text(control.values[start])
            return (
                f'<div class="ode-lab-slider"><label for="{ident}">{inline(control.label)}</label>'
                f'<input type="range" id="{ident}" min="0" max="{len(control.values) - 1}" step="1" value="{start}" '
                f'data-steps="{steps}" aria-valuetext="{shown}" autocomplete="off">'
                f'<output for="{ident}">{shown}</output></div>'
            )
        options = "".join(
            f'<label><input type="radio" name="{ident}" value="{index}" autocomplete="off"'
            f"{' checked' if index == start else ''}> {inline(value)}</label>"
            for index, value in enumerate(control.values)
        )
        return f"<fieldset><legend>{inline(control.label)}</legend>{options}</fieldset>"

    def _cells(self, values: tuple[Any, ...]) -> str:
        texts = (control.text(value) for control, value in zip(self.controls, values, strict=True))
        return "".join(f"<td>{inline(text)}</td>" for text in texts)

    def _combinations(self) -> list[tuple[Any, ...]]:
        """Every setting; the last control varies fastest, as the script counts frames."""
        return list(itertools.product(*(control.values for control in self.controls)))

    def _frames(self, combinations: list[tuple[Any, ...]]) -> list[Any]:
        """Every frame's SVG, with the axes where the first setting's layout puts them."""
        with style():
            places = self._places
            return [_svg.to_tree(self._figure(values, places)) for values in combinations]

    @functools.cached_property
    def _places(self) -> list[Any]:
        fig = self._figure(self._defaults(), [])
        fig.draw_without_rendering()
        return [axes.get_position() for axes in fig.axes]

    def _figure(self, values: tuple[Any, ...], places: list[Any]) -> Figure:
        from matplotlib.figure import Figure

        fig = Figure(figsize=self.figsize)
        self.draw(fig, **self._named(values))
        if len(places) == len(fig.axes):
            fig.set_layout_engine("none")
            for axes, place in zip(fig.axes, places, strict=True):
                axes.set_position(place)
        return fig

    def _still(self) -> str:
        with style():
            return png(self._figure(self._defaults(), self._places))

    def _drawn(self, **named: Any) -> str:
        """One setting, drawn and described, as HTML."""
        with style():
            drawing = _svg.from_figure(self._figure(tuple(named.values()), self._places), f"{self.name}-live-")
        text = self.describe(**named)
        body = f'<div class="ode-figure">{frame(drawing, f"{self.name}-live", text)}<p>{inline(text)}</p></div>'
        return FIGURE_STYLE + body

    def _plain(self) -> str:
        return f"Laboratory: {self.title}. {self.describe(**self._named(self._defaults()))}"

    def _defaults(self) -> tuple[Any, ...]:
        return tuple(self._start(control) for control in self.controls)

    def _start(self, control: Control) -> Any:
        return control.values[0] if control.default is None else control.default

    def _named(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return {control.name: value for control, value in zip(self.controls, values, strict=True)}


def _plain_label(control: Control) -> str:
    return control.label.replace("*", "")
