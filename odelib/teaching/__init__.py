"""What the notebooks of the book use: claims, exercise checks, figures and laboratories."""

from odelib.teaching.claims import ClaimFailed, claim, report
from odelib.teaching.exercises import check
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
    "finish",
    "palette",
    "report",
    "show",
    "start",
    "style",
    "use_style",
]
