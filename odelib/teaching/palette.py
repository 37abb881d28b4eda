"""Colours of the book's figures: readable on white and on the dark page, in grey, and to colour-blind eyes."""

from __future__ import annotations

from dataclasses import dataclass


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


palette = Palette()
"""The colours by name: ``palette.blue``, ``rust``, ``teal``, ``pink`` and ``gold``, ``ink`` and ``paper``."""
