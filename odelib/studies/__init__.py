"""Studies: grids of runs with several seeds, what they gave as tables and figures, and what that can tell."""

from odelib.studies.items import over_items
from odelib.studies.report import comparisons_of
from odelib.studies.runs import Run, keep_runs, read_runs
from odelib.studies.statistics import difference, hierarchical, paired, power, seeds_needed
from odelib.studies.study import Claim, Study
from odelib.studies.study_file import read_study
from odelib.studies.tables import Row, rows_of
from odelib.studies.verdicts import Comparison, Verdict, decide, held_equal, paragraph

__all__ = [
    "Claim",
    "Comparison",
    "Row",
    "Run",
    "Study",
    "Verdict",
    "comparisons_of",
    "decide",
    "difference",
    "held_equal",
    "hierarchical",
    "keep_runs",
    "over_items",
    "paired",
    "paragraph",
    "power",
    "read_runs",
    "read_study",
    "rows_of",
    "seeds_needed",
]
