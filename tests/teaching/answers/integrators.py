"""Answers to the exercises of the chapter on better integrators inside the block."""

import math
from dataclasses import replace

import torch


def _heun(A, M, x, h):
    k1 = A(x) + M(x)
    y = x + h * k1
    return x + h / 2 * (k1 + A(y) + M(y))


def _heun_as_mean(A, M, x, h):
    def euler(x):
        return x + h * (A(x) + M(x))

    return (x + euler(euler(x))) / 2


def _heun_in_place(A, M, x, h):
    k1 = A(x) + M(x)
    y = x + h * k1
    x += h / 2 * (k1 + A(y) + M(y))
    return x


def _sum(A, M):
    return lambda x: A(x) + M(x)


def _step(second, weights, length=1.0, residual=1.0, size=None):
    """A layer with two stages: where the second stands (in steps), and what each weighs."""

    def layer(A, M, x, h):
        F = _sum(A, M)
        k1 = F(x)
        k2 = F(x + second * (h if size is None else size) * k1)
        return residual * x + length * h * (weights[0] * k1 + weights[1] * k2)

    return layer


def _usual(A, M, x, h):
    y = x + h * A(x)
    return y + h * M(y)


def _attention_only(A, M, x, h):
    return x + h / 2 * (A(x) + A(x + h * A(x)))


def _mlp_once(A, M, x, h):
    k1 = A(x) + M(x)
    return x + h / 2 * (k1 + A(x + h * k1))


def _terms_apart(A, M, x, h):
    return x + h / 2 * (A(x) + A(x + h * A(x)) + M(x) + M(x + h * M(x)))


def _refined(config, r):
    return replace(config, steps=r * config.steps, step_size=config.step_size / r)


def _refined_from_the_interval(config, r):
    steps = config.steps * r
    return replace(config, steps=steps, step_size=config.schedule.length / steps)


def _one_draw(draw, x, h):
    F = draw(x)
    return x + h * F(0.0, x + h / 2 * F(0.0, x))


def _by_name(field):
    return lambda t, x: field(t=t, x=x)


def _one_draw_named(draw, x, h):
    F = draw(x)
    k1 = F(0.0, x)
    return torch.add(x, F(h / 2, torch.add(x, k1, alpha=h / 2)), alpha=h)


def _redrawn(draw, x, h):
    k1 = draw(x)(0.0, x)
    return x + h * draw(x)(0.0, x + h / 2 * k1)


def _drawn_twice(draw, x, h):
    draw(x)
    F = draw(x)
    return x + h * F(0.0, x + h / 2 * F(0.0, x))


def _drawn_for_nothing(draw, x, h):
    end = _one_draw(draw, x, h)
    draw(end)
    return end


def _drawn_backwards(draw, x, h):
    second, first = draw(x), draw(x)
    return x + h * second(0.0, x + h / 2 * first(0.0, x))


def _euler_draw(draw, x, h):
    return x + h * draw(x)(0.0, x)


def _no_residual_draw(draw, x, h):
    F = draw(x)
    return h * F(0.0, x + h / 2 * F(0.0, x))


def _draw_far(draw, x, h):
    F = draw(x)
    return x + h * F(0.0, x + h * F(0.0, x))


def _draw_half(draw, x, h):
    F = draw(x)
    return x + h / 2 * F(0.0, x + h / 2 * F(0.0, x))


def _largest(lam):
    lam = lam[lam.real < 0]
    return (-2 * lam.real / lam.abs() ** 2).min()


def _largest_loop(lam):
    return min(-2 * z.real / abs(z) ** 2 for z in lam.tolist() if z.real < 0)


def _falling(rule):
    return lambda lam: rule(lam[lam.real < 0])


def _all_modes(lam):
    return (-2 * lam.real / lam.abs() ** 2).min()


def _size_of_all_modes(lam):
    return (2 * lam.real.abs() / lam.abs() ** 2).min()


def _observed(coarse, middle, fine):
    return torch.log2((coarse - middle).norm() / (middle - fine).norm())


def _observed_largest(coarse, middle, fine):
    ratio = (coarse - middle).abs().max() / (middle - fine).abs().max()
    return math.log(ratio) / math.log(2)


def _ratio(coarse, middle, fine):
    return (coarse - middle).norm() / (middle - fine).norm()


def _scan(lam):
    steps = [k / 100 for k in range(1, 300)]
    falling = lam[lam.real < 0]
    return max(h for h in steps if ((1 + h * falling).abs() <= 1 + 1e-9).all())


RIGHT = {
    "heun-layer": (_heun, _heun_as_mean),
    "refined": (_refined, _refined_from_the_interval),
    "one-draw": (_one_draw, _one_draw_named, lambda draw, x, h: _one_draw(lambda x: _by_name(draw(x)), x, h)),
    "largest-step": (_largest, _largest_loop),
    "observed-order": (_observed, _observed_largest, lambda c, m, f: _observed(c, m, f).to(torch.complex128)),
}

WRONG = {
    "heun-layer": (
        ("euler", _step(0, (1, 0)), "That is Euler"),
        ("midpoint", _step(0.5, (0, 1)), "midpoint rule"),
        ("second stage alone", _step(1, (0, 1)), "take the mean of both"),
        ("weights one", _step(1, (1, 1)), "weights sum to 2"),
        ("second stage halfway", _step(0.5, (0.5, 0.5)), "stands halfway"),
        ("no step size in the stage", _step(1, (0.5, 0.5), size=1.0), "step of size 1 away"),
        ("dropped residual", _step(1, (0.5, 0.5), residual=0.0), "residual is missing"),
        ("attention only", _attention_only, "Only attention acts"),
        ("no second MLP", _mlp_once, "missing in the second stage"),
        ("usual layer", _usual, "a splitting"),
        ("terms apart", _terms_apart, "both together lead"),
        ("in place", _heun_in_place, "changes its argument number 3"),
        ("square of h", lambda A, M, x, h: x + h * 2 * (_heun(A, M, x, h) - x), "h = 0.3"),
    ),
    "refined": (
        ("longer", lambda c, r: replace(c, steps=r * c.steps), "integrate for longer"),
        ("shorter", lambda c, r: replace(c, step_size=c.step_size / r), "as many more steps"),
        ("more weights", lambda c, r: replace(c, intervals=r * c.intervals, step_size=c.step_size / r), "more weights"),
        ("steps forgotten", lambda c, r: replace(c, steps=r, step_size=c.schedule.length / r), "more than one already"),
        ("multiplied", lambda c, r: replace(c, steps=r * c.steps, step_size=r * c.step_size), "integrate for longer"),
        ("another rule", lambda c, r: replace(_refined(c, r), step_rule="rk4"), "keeps the rule"),
        ("another width", lambda c, r: replace(_refined(c, r), dim=32), "something else"),
        ("always three", lambda c, r: _refined(c, 3), "r = 4"),
        ("a schedule", lambda c, r: _refined(c, r).schedule, "returns a DepthSchedule"),
    ),
    "one-draw": (
        ("redrawn", _redrawn, "drawn again"),
        ("in place", lambda draw, x, h: x.copy_(_one_draw(draw, x, h)), "changes its argument number 2"),
        ("thrown away", _drawn_twice, "thrown away"),
        ("drawn for nothing", _drawn_for_nothing, "drawn 2 times"),
        ("drawn backwards", _drawn_backwards, "another draw than the first"),
        ("euler", _euler_draw, "That is Euler"),
        ("dropped residual", _no_residual_draw, "residual is missing"),
        ("whole look-ahead", _draw_far, "end of the step"),
        ("half a step", _draw_half, "goes half a step"),
    ),
    "largest-step": (
        ("maximum", _falling(lambda z: (-2 * z.real / z.abs() ** 2).max()), "most patient"),
        ("size alone", _falling(lambda z: (2 / z.abs()).min()), "right for real eigenvalues"),
        ("real part alone", _falling(lambda z: (-2 / z.real).min()), "imaginary part"),
        ("conjugated in place", lambda lam: _largest(lam) + 0 * lam.zero_().real.sum(), "argument number 1"),
        ("half", _falling(lambda z: (-z.real / z.abs() ** 2).min()), "twice as far"),
        ("no square", _falling(lambda z: (-2 * z.real / z.abs()).min()), "square is missing"),
        ("growing modes too", _all_modes, "leave it out"),
        ("growing modes by size", _size_of_all_modes, "has set the limit"),
        ("negative", lambda lam: -_largest(lam), "A step size is positive"),
        ("a scan", _scan, "solve for h"),
        ("a number", 0.4, "Pass the function itself"),
    ),
    "observed-order": (
        ("ratio", _ratio, "ratio of the two distances"),
        ("natural logarithm", lambda c, m, f: torch.log(_ratio(c, m, f)), "natural logarithm"),
        ("base 10", lambda c, m, f: torch.log10(_ratio(c, m, f)), "base 10"),
        ("upside down", lambda c, m, f: -_observed(c, m, f), "larger distance"),
        ("coarse to fine", lambda c, m, f: torch.log2((c - f).norm() / (m - f).norm()), "compare neighbours"),
        ("base 4", lambda c, m, f: _observed(c, m, f) / 2, "not 4"),
        ("lengths", lambda c, m, f: torch.log2(c.norm() / m.norm()), "subtract first"),
        ("squares", lambda c, m, f: 2 * _observed(c, m, f), "not their squares"),
        ("one less", lambda c, m, f: _observed(c, m, f) - 1, "Nothing is to be subtracted"),
    ),
}
