"""Colours of the book's figures: readable on white and on the dark page, in grey, and to colour-blind eyes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Meaning = Literal["usual", "parallel", "rk4"]
"""The three curves that stand against each other throughout the book."""

_NAMES: dict[str, Meaning] = {
    "usual": "usual",
    "sequential": "usual",
    "lie-trotter": "usual",
    "parallel": "parallel",
    "rk4": "rk4",
}
_LABEL = re.compile(rf"(?:the )?({'|'.join(_NAMES)})(?: layers?| networks?)?(?:, \$.*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Look:
    """How a curve is drawn: colour, marker and dash, so that none of them alone has to tell it from others."""

    color: str
    marker: str
    linestyle: str


@dataclass(frozen=True)
class Palette:
    """Five line colours and two stand-ins that follow the page.

    Every line colour has a contrast of at least 3 : 1 against white and against the dark page; their
    lightness differs pairwise, and the style's cycle gives each a dash of its own as well; ``markers`` holds a
    marker for each. Their contrast is enough for lines and areas, not for small text: write in ``ink``.

    Attributes:
        ink: text, axes, reference lines; becomes the page's text colour.
        paper: what should look like the page, such as the inside of a hollow marker.
        markers: one marker for each line colour, in the order of ``cycle``.
        sequential: name of the colour map for magnitudes.
        diverging: name of the colour map for signed values.
    """

    blue: str = "#2b5ddc"
    rust: str = "#af5b22"
    teal: str = "#038c7c"
    pink: str = "#cc5eba"
    gold: str = "#ba8b0b"
    ink: str = "#1b1f24"
    paper: str = "#fefefe"
    markers: tuple[str, ...] = ("o", "s", "^", "D", "v")
    sequential: str = "cividis"
    diverging: str = "PuOr"

    @property
    def cycle(self) -> tuple[str, str, str, str, str]:
        """The line colours in the order in which a plot uses them."""
        return (self.blue, self.rust, self.teal, self.pink, self.gold)

    @property
    def on_dark(self) -> dict[str, str]:
        """For each line colour, what the page shows instead on its dark ground (contrast at least 4.5 : 1)."""
        return dict(zip(self.cycle, ("#7d9cf2", "#dd8a50", "#2bb3a1", "#e08ad2", "#d3a52a"), strict=True))

    def look(self, name: str) -> dict[str, str]:
        """Keywords for Matplotlib that draw the usual layer, the parallel layer or RK4 as everywhere in the book.

        Args:
            name: a label or a name of one of the three: "usual layer", "lie-trotter", "parallel", "RK4".

        Raises:
            ValueError: the name means none of them.
        """
        meaning = meaning_of(name)
        if meaning is None:
            raise ValueError(f"{name!r} has no colour of its own in the book: it is for {', '.join(_NAMES)}")
        return vars(_LOOKS[meaning]).copy()


def meaning_of(label: str) -> Meaning | None:
    """Which of the book's three curves a label names; ``None`` if it names another."""
    match = _LABEL.fullmatch(label.strip())
    return _NAMES[match[1].lower()] if match else None


palette = Palette()
"""The colours by name: ``palette.blue``, ``rust``, ``teal``, ``pink`` and ``gold``, ``ink`` and ``paper``."""

_LOOKS: dict[Meaning, Look] = {
    "usual": Look(palette.rust, "s", "-."),
    "parallel": Look(palette.blue, "o", "--"),
    "rk4": Look(palette.teal, "^", "-"),
}
