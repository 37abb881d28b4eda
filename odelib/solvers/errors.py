"""What a solver says when an integration cannot go on."""

from typing import Any


class SolverError(RuntimeError):
    """An integration that could not reach its end.

    Attributes:
        solution: The `Solution` up to the time that was reached, where there is one; its ``status`` says what happened.
    """

    def __init__(self, sentence: str, solution: object = None) -> None:
        super().__init__(sentence)
        self.solution: Any = solution
