r"""A whole layer as one field, F(x) = Phi(x) - x, whatever is inside of it: how post-norm networks become equations.

**What the field of a post-norm layer is.** A pre-norm layer adds something to the state, x + G(x), and what it adds is
the field: the same layer with a step h is x + h G(x), which tends to the state itself as h tends to 0. The layer of
BERT and ALBERT is Phi(x) = N(x + G(x)), with a norm after the sum, and there the obvious family N(x + h G(x)) is no
family of steps: at h = 0 it is N(x), and that is not x, unless x is a fixed point of this norm. The gains and shifts
of N differ from layer to layer, so what one layer has normalised is no fixed point of the next one's norm; and taken
twice, N is not N once. A step rule with smaller steps would apply the norm more often, and would tend, for ever smaller
steps, to no differential equation at all. What a step must be is the identity plus something of the size of h; and the
only autonomous field whose Euler step of size 1 is the layer is what the layer changes, F(x) = Phi(x) - x. With it a
step of size h is (1 - h) x + h Phi(x), the mean of the old state and the new one, as in Krasnoselskii's iteration.

**What that field does between the steps.** Its derivative is Phi'(x) - 1. In a direction in which the norm forgets the
state (its mean, its length, and every direction that the layer overwrites) Phi' is 0 and the field pulls towards the
image of the norm at the rate 1: the Euler step of size 1 arrives there at once, while the equation, after a time of 1,
has kept 1/e of the distance, and ten steps of 1/10 have kept 0.9^10 of it. So in these directions Euler's method with
the step 1 forgets, and every finer method remembers; to be refined without a loss, the network must not care about
what is left of the old state. That is an empirical question, which `odelib.analysis.Surgery` lets one ask. The field
makes no choice between attention and MLP: their own fields are the terms of the `TransformerField` inside, each of the
same form, norm(x + sublayer(x)) - x, and the layer is one Lie-Trotter step over them.
"""

from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers.context import EMPTY, Context, ContextField, check_reads, with_parts
from odelib.solvers import Field, RandomField, StepRule, Tableau, step_rule
from odelib.solvers.field import Time, draw


class WholeLayer(nn.Module, RandomField, ContextField):
    """The field F(t, x) = Phi(x) - x, Phi being one step of size 1 of a rule along another field.

    An Euler step of size 1 is the layer Phi again. For any layer, pre-norm or post-norm; the module's own text says
    what follows for post-norm ones.

    Input and output: (batch, tokens, dim), or whatever the field takes.

    Args:
        field: The field inside.
        rule: The step rule that makes a layer of it, or its name; "lie-trotter" makes the usual one.

    Raises:
        ValueError: The rule is unknown.
    """

    def __init__(self, field: nn.Module, rule: str | StepRule | Tableau = "lie-trotter") -> None:
        super().__init__()
        self.field = field
        self.rule = step_rule(rule)
        self.reads = field.reads if isinstance(field, ContextField) else ()

    def forward(self, t: Time, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        """Return what the layer changes in ``x``."""
        # Not `integrate`, which would draw anew what is held for all stages of a step of this field.
        end: Tensor = self.rule.step(self.field, t, 1.0, x, self.rule.init(self.field, t, x)).y1
        return end - x

    def bind(self, context: Context) -> "WholeLayer":
        """Return the layer, with the same parameters, in a context."""
        if context is EMPTY:
            return self
        check_reads(self, context)
        return self._around(self.field.bind(context))  # type: ignore[operator]

    def draw(self, y: Tensor) -> "WholeLayer":
        """Return the layer with its dropout drawn for one step: itself, if it drops nothing."""
        held: Field = draw(self.field, y)
        return self if held is self.field else self._around(held)

    def _around(self, field: Field) -> "WholeLayer":
        return with_parts(self, field=field)  # type: ignore[arg-type]
