"""What a solve returns."""

from dataclasses import dataclass
from typing import Any

from odelib.solvers.events import Crossings
from odelib.solvers.walk import Counts


@dataclass(frozen=True)
class Stats:
    """What a solve cost.

    Attributes:
        nfe: Evaluations of the field on the way there; one term of a split field counts as its share. Those that only
            a derivative by a time needs are not counted.
        steps: Steps tried.
        accepted: Steps accepted; on a fixed grid all are.
        rejected: Steps whose error was too large.
        smallest: Size of the smallest accepted step, in units of time; 0 if there was none.
        largest: Size of the largest.
        hint: A sentence if the problem looks stiff for the rule, else None.
    """

    nfe: float
    steps: int
    accepted: int
    rejected: int = 0
    smallest: float = 0.0
    largest: float = 0.0
    hint: str | None = None

    @classmethod
    def of(cls, counts: Counts, rule: Any) -> "Stats":
        """Return the statistics of a walk."""
        return cls(
            nfe=counts.nfe,
            steps=counts.steps,
            accepted=counts.accepted,
            rejected=counts.steps - counts.accepted,
            smallest=min(counts.sizes, default=0.0),
            largest=max(counts.sizes, default=0.0),
            hint=counts.watch.hint(rule, counts.steps, counts.accepted),
        )


@dataclass(frozen=True)
class Solution:
    """The solution of an initial-value problem.

    Attributes:
        ts: The times asked for, up to the one at which the solve ended.
        ys: The states at these times, stacked in front: shape ``(len(ts), *y0.shape)``, dtype and device of y0; of a
            state given as a tree, a tree of such tensors.
        stats: What it cost.
        status: "success"; "event" where a terminal event ended the solve. A solve that fails raises.
        events: For each event its `Crossings`.
    """

    ts: tuple[float, ...]
    ys: Any
    stats: Stats
    status: str = "success"
    events: tuple[Crossings, ...] = ()
