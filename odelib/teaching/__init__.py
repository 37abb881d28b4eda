"""What the notebooks of the book use: claims, exercise checks, figures, laboratories and explorables."""

from odelib.teaching.claims import ClaimFailed, claim, report
from odelib.teaching.exercises import check
from odelib.teaching.explorable import explorable
from odelib.teaching.figures import show, style, use_style
from odelib.teaching.laboratory import Choice, Laboratory, Slider
from odelib.teaching.notebook import finish, start
from odelib.teaching.palette import palette

__all__ = [
    "Choice",
    "ClaimFailed",
    "Laboratory",
    "Slider",
    "check",
    "claim",
    "explorable",
    "finish",
    "palette",
    "report",
    "show",
    "start",
    "style",
    "use_style",
]
