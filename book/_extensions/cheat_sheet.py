"""``{step-rules}`` and ``{adaptive-rules}``: what the library knows of its rules.

Drawings, orders, costs and stability come from the tableaus and the splittings
of `odelib.solvers`; only the names of layers and the advice are written here.
"""

import html
from fractions import Fraction
from typing import Any, NamedTuple

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from odelib.solvers import TABLEAUS, Splitting, Tableau, step_rule

UNIT, BOX = 62, 42
FRACTIONS = {0.5: "½", 0.25: "¼", 0.75: "¾"}
TERMS = ("A", "M")


class Rule(NamedTuple):
    """A rule of the library, its layer, and when to take it."""

    name: str
    title: str
    when: str


RULES = (
    Rule(
        "euler",
        "Euler: the parallel layer",
        "Attention and MLP read the same state, so neither waits for the other.",
    ),
    Rule(
        "lie-trotter",
        "Lie-Trotter: the usual layer",
        "The default of practice: the MLP sees what attention has just written.",
    ),
    Rule(
        "strang",
        "Strang: the Macaron layer",
        "For a symmetric layer. With Euler inside, its order stays 1.",
    ),
    Rule(
        "strang(midpoint)",
        "Strang with midpoint inside",
        "For a splitting whose order is the scheme's own.",
    ),
    Rule(
        "midpoint",
        "Midpoint",
        "For a network that follows its equation at twice a layer's cost.",
    ),
    Rule(
        "heun",
        "Heun",
        "As midpoint, with the slopes at the two ends averaged.",
    ),
    Rule(
        "rk4",
        "RK4",
        "For few, long steps along a smooth field, and as the reference.",
    ),
)
ADAPTIVE = ("bosh3", "fehlberg45", "dopri5", "tsit5", "dopri8")


class Column(NamedTuple):
    """Evaluations that read one state: the boxes, when, with which weight."""

    boxes: tuple[str, ...]
    when: str = ""
    weight: str = ""


def written(number: float) -> str:
    """Return a number of a tableau as a fraction."""
    exact = Fraction(number).limit_denominator(10_000)
    return FRACTIONS.get(number, str(exact)).replace("-", "\u2212")


def time_of(node: float) -> str:
    """Return the time of a stage, t + ch."""
    if node == 0.0:
        return "t"
    return f"t + {written(node)}h" if node != 1.0 else "t + h"


def columns(name: str) -> list[Column]:
    """Return what one step of a rule evaluates, in its order."""
    rule = step_rule(name)
    if not isinstance(rule, Splitting):
        tableau = TABLEAUS[name]
        stages = zip(tableau.c, tableau.b, strict=True)
        return [Column(TERMS, time_of(c), written(b)) for c, b in stages]
    found = []
    for term, fraction in rule.sequence(len(TERMS)):
        part = "" if fraction == 1.0 else f"{written(fraction)} "
        found.append(Column((part + TERMS[term],)))
    return found


def cost(name: str) -> tuple[int, int]:
    """Return how often one step evaluates attention, and the MLP."""
    rule = step_rule(name)
    if not isinstance(rule, Splitting):
        return (TABLEAUS[name].evaluations,) * 2
    terms = [term for term, _ in rule.sequence(len(TERMS))]
    inner = int(rule.substep.evaluations(1))
    return terms.count(0) * inner, terms.count(1) * inner


def stable(name: str) -> tuple[float, float]:
    """Return up to which h times a rate each term alone decays in a step.

    The rate is that of x' = -rate x. Terms of a splitting that do not commute
    may need shorter steps together.
    """
    rule = step_rule(name)
    if not isinstance(rule, Splitting):
        return (rule.real_stability,) * 2
    longest = [0.0, 0.0]
    for term, fraction in rule.sequence(len(TERMS)):
        longest[term] = max(longest[term], abs(fraction))
    attention, mlp = (rule.substep.real_stability / part for part in longest)
    return attention, mlp


def picture(rule: Rule) -> str:
    """Return an SVG of a step: what is evaluated where, with which weight."""
    drawn = columns(rule.name)
    width = UNIT * len(drawn) + 32
    height = 106 if drawn[0].when else 34
    middle = height / 2
    tip = width - 3
    parts = [
        f'<path d="M2 {middle}H{tip}m-7 -5l7 5l-7 5" fill="none"'
        ' stroke="currentColor" stroke-width="1.5"/>'
    ]
    for number, column in enumerate(drawn):
        left = 12 + UNIT * number
        centre = left + BOX / 2
        for row, name in enumerate(column.boxes):
            top = (
                middle - 12 + (28 * row - 14 if len(column.boxes) == 2 else 0)
            )
            parts.append(
                f'<rect x="{left}" y="{top}" width="{BOX}" height="24" rx="4"'
                ' fill="var(--pst-color-background)" stroke="currentColor"'
                f' stroke-width="1.5"/>{label(name, centre, top + 17, 15)}'
            )
        if column.when:
            parts.append(label(column.when, centre, 16, 11))
            parts.append(label(f"× {column.weight}", centre, height - 6, 12))
    steps = "; ".join(
        " and ".join(c.boxes)
        + (f" at {c.when}, weight {c.weight}" if c.when else "")
        for c in drawn
    )
    return (
        f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}">'
        f"<title>{html.escape(f'{rule.title}: {steps}')}</title>{''.join(parts)}</svg>"
    )


def label(text: str, x: float, y: float, size: int) -> str:
    """Return text centred at a point of a drawing."""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="middle"'
        f' fill="currentColor">{text}</text>'
    )


def card(rule: Rule) -> str:
    """Return a rule with its drawing and what is worth knowing."""
    attention, mlp = cost(rule.name)
    limits = [
        f"{limit:.2f}".rstrip("0").rstrip(".") for limit in stable(rule.name)
    ]
    costs = f"{attention} of A, {mlp} of M"
    bound = limits[0]
    if limits[0] != limits[1]:
        bound = f"{limits[0]} (A), {limits[1]} (M)"
    facts = (
        ("Order", str(step_rule(rule.name).order)),
        ("Evaluations", costs),
        ("Stable to hλ", bound),
    )
    rows = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts)
    return (
        f"<li><strong>{rule.title}</strong> <code>{rule.name}</code>"
        f"{picture(rule)}<dl>{rows}</dl><p>{rule.when}</p></li>"
    )


def row(tableau: Tableau) -> str:
    """Return the row of a method that chooses its own steps."""
    numbers = (
        tableau.order,
        tableau.embedded_order,
        tableau.dense_order,
        tableau.evaluations,
        tableau.real_stability,
    )
    cells = "".join(
        f'<td class="number">{number:.3g}</td>' for number in numbers
    )
    return f'<tr><th scope="row"><code>{tableau.name}</code></th>{cells}</tr>'


class StepRules(SphinxDirective):
    """A card for each rule that layers are made of."""

    def run(self) -> list[nodes.Node]:
        """Return the cards."""
        text = f'<ul class="step-rules">{"".join(map(card, RULES))}</ul>'
        return [nodes.raw("", text, format="html")]


class AdaptiveRules(SphinxDirective):
    """A table of the methods that estimate their error."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        heads = (
            "order",
            "of the estimate",
            "between steps",
            "evaluations",
            "stable to hλ",
        )
        head = "".join(
            f'<th scope="col" class="number">{text}</th>' for text in heads
        )
        body = "".join(row(TABLEAUS[name]) for name in ADAPTIVE)
        text = (
            '<div class="pst-scrollable-table-container">'
            '<table class="table adaptive-rules">'
            f'<thead><tr><th scope="col">rule</th>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
        return [nodes.raw("", text, format="html")]


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("step-rules", StepRules)
    app.add_directive("adaptive-rules", AdaptiveRules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
