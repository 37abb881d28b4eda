"""Send the icons that the pages have, of the two thousand in the theme's fonts.

A browser paints no word before it has the theme's style sheet, much of which
is names of icons; and it fetches the fonts with the same urgency.
"""

import re
from pathlib import Path
from typing import Any

import pydata_sphinx_theme
from fontTools import subset

STATIC = (
    Path(pydata_sphinx_theme.__file__).parent
    / "theme/pydata_sphinx_theme/static"
)
FONTS = "vendor/fontawesome/webfonts"
STYLES = "styles/pydata-sphinx-theme.css"
NAME = re.compile(r"\bfa-[a-z0-9-]+")
LETTER = re.compile(r'content:\s*"\\([ef][0-9a-f]{3})"')
RULE = re.compile(
    r"(?:\.fa-[\w-]+:{1,2}before,?)+\{" + LETTER.pattern + r"\}"
)


def _names(html: Path) -> set[str]:
    """Return what pages and scripts call their icons."""
    files = [*html.rglob("*.html"), *html.glob("_static/**/*.js")]
    return {
        name
        for file in files
        for name in NAME.findall(file.read_text("utf-8"))
    }


def keep(styles: str, names: set[str]) -> str:
    """Return a style sheet without the icons of other names."""
    return RULE.sub(
        lambda rule: rule[0] if names & {*NAME.findall(rule[0])} else "",
        styles,
    )


def _send_few(app: Any, exception: Any) -> None:
    if exception is not None or app.builder.name != "html":
        return
    static = Path(app.outdir, "_static")
    # A megabyte and a half that draws the same icons.
    (static / "scripts/fontawesome.js").unlink(missing_ok=True)
    styles = keep((STATIC / STYLES).read_text("utf-8"), _names(static.parent))
    (static / STYLES).write_text(styles, "utf-8")
    letters = {
        int(letter, 16)
        for sheet in static.rglob("*.css")
        for letter in LETTER.findall(sheet.read_text("utf-8"))
    }
    for font in (STATIC / FONTS).iterdir():
        flavor = "woff2" if font.suffix == ".woff2" else None
        options = subset.Options(flavor=flavor)
        with subset.load_font(font, options) as whole:
            few = subset.Subsetter(options)
            few.populate(unicodes=letters)
            few.subset(whole)
            out = static / font.relative_to(STATIC)
            subset.save_font(whole, out, options)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", _send_few)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
