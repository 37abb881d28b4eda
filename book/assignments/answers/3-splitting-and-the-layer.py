"""Right and wrong answers to assignment 3, by which its tests are tested. No student gets them."""


# %% q1 right: numpy between
def strang(A, M, x, h):
    y = x.numpy().copy()
    for f, d in ((M, h / 2), (A, h), (M, h / 2)):
        g = lambda z: f(torch.from_numpy(z)).numpy()
        k = g(y)
        y = y + d / 2 * (k + g(y + d * k))
    return torch.from_numpy(y)


# %% q1 right: an inner function
def strang(A, M, x, h):
    def heun_step(f, x, h):
        k1 = f(x)
        return x + h * (k1 + f(x + h * k1)) / 2

    return heun_step(M, heun_step(A, heun_step(M, x, h / 2), h), h / 2)


# %% q1 right: written out
def strang(A, M, x, h):
    k = M(x)
    x = x + h / 4 * (k + M(x + h / 2 * k))
    k = A(x)
    x = x + h / 2 * (k + A(x + h * k))
    k = M(x)
    return x + h / 4 * (k + M(x + h / 2 * k))


# %% q1 right: by odelib's rule for a linear combination
from functools import reduce


def strang(A, M, x, h):
    half = torch.tensor(0.5)
    step = lambda x, pair: torch.lerp(
        x + pair[1] * pair[0](x), x + pair[1] * pair[0](x + pair[1] * pair[0](x)), half
    )
    return reduce(step, [(M, h / 2), (A, h), (M, h / 2)], x)


# %% q1 wrong: steps of order four
def strang(A, M, x, h):
    for f, d in ((M, h / 2), (A, h), (M, h / 2)):
        k1 = f(x)
        k2 = f(x + d / 2 * k1)
        k3 = f(x + d / 2 * k2)
        k4 = f(x + d * k3)
        x = x + d / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x


# %% q1 wrong: steps of Euler, as in Macaron
def strang(A, M, x, h):
    for f, step in ((M, h / 2), (A, h), (M, h / 2)):
        x = x + step * f(x)
    return x


# %% q1 wrong: attention outside
def strang(A, M, x, h):
    for f, step in ((A, h / 2), (M, h), (A, h / 2)):
        k = f(x)
        x = x + step / 2 * (k + f(x + step * k))
    return x


# %% q1 wrong: the usual order
def strang(A, M, x, h):
    for f, step in ((A, h), (M, h)):
        k = f(x)
        x = x + step / 2 * (k + f(x + step * k))
    return x


# %% q1 wrong: whole steps of the MLP on both sides
def strang(A, M, x, h):
    for f, step in ((M, h), (A, h), (M, h)):
        k = f(x)
        x = x + step / 2 * (k + f(x + step * k))
    return x


# %% q1 wrong: the last half is missing
def strang(A, M, x, h):
    for f, step in ((M, h / 2), (A, h)):
        k = f(x)
        x = x + step / 2 * (k + f(x + step * k))
    return x


# %% q1 wrong: Heun on the sum
def strang(A, M, x, h):
    k = A(x) + M(x)
    y = x + h * k
    return x + h / 2 * (k + A(y) + M(y))


# %% q1 wrong: the second slope with half the step
def strang(A, M, x, h):
    for f, step in ((M, h / 2), (A, h), (M, h / 2)):
        k = f(x)
        x = x + step / 2 * (k + f(x + step / 2 * k))
    return x


# %% q1 wrong: only the middle is a step of Heun
def strang(A, M, x, h):
    x = x + h / 2 * M(x)
    k = A(x)
    x = x + h / 2 * (k + A(x + h * k))
    return x + h / 2 * M(x)


# %% q1 wrong: the second half from the first half's slope
def strang(A, M, x, h):
    k = M(x)
    half = h / 4 * (k + M(x + h / 2 * k))
    y = x + half
    k = A(y)
    return y + h / 2 * (k + A(y + h * k)) + half


# %% q1 wrong: the midpoint rule
def strang(A, M, x, h):
    for f, step in ((M, h / 2), (A, h), (M, h / 2)):
        x = x + step * f(x + step / 2 * f(x))
    return x


# %% q3 right: by hand with the vjp of a vjp
def bracket(A, M, x):
    def along(f, v):
        x_ = x.detach().clone().requires_grad_()
        y = f(x_)
        w = torch.zeros_like(y, requires_grad=True)
        (g,) = torch.autograd.grad(y, x_, w, create_graph=True)
        return torch.autograd.grad(g, w, v)[0]

    return along(M, A(x)) - along(A, M(x))


# %% q3 right: jacfwd and tensordot
def bracket(A, M, x):
    J = lambda f: torch.func.jacfwd(f)(x)
    return torch.tensordot(J(M), A(x), x.dim()) - torch.tensordot(J(A), M(x), x.dim())


# %% q3 right: forward mode by dual numbers
def bracket(A, M, x):
    import torch.autograd.forward_ad as fwAD

    def along(f, v):
        with fwAD.dual_level():
            return fwAD.unpack_dual(f(fwAD.make_dual(x, v))).tangent

    return along(M, A(x)) - along(A, M(x))


# %% q3 right: in two lines
def bracket(A, M, x):
    _, along_a = torch.func.jvp(M, (x,), (A(x),))
    _, along_m = torch.func.jvp(A, (x,), (M(x),))
    return along_a - along_m


# %% q3 right: by Jacobians
def bracket(A, M, x):
    n = x.numel()
    J = torch.func.jacrev(M)(x).reshape(n, n)
    K = torch.func.jacrev(A)(x).reshape(n, n)
    return (J @ A(x).flatten() - K @ M(x).flatten()).view_as(x)


# %% q3 right: central differences, carefully
def bracket(A, M, x):
    eps = 1e-5
    d = lambda f, v: (f(x + eps * v) - f(x - eps * v)) / (2 * eps)
    return d(M, A(x)) - d(A, M(x))


# %% q3 wrong: a vector times the Jacobian, by func
def bracket(A, M, x):
    v = lambda f, w: torch.func.vjp(f, x)[1](w)[0]
    return v(M, A(x)) - v(A, M(x))


# %% q3 wrong: the sign
def bracket(A, M, x):
    return torch.func.jvp(A, (x,), (M(x),))[1] - torch.func.jvp(M, (x,), (A(x),))[1]


# %% q3 wrong: the first half
def bracket(A, M, x):
    return torch.func.jvp(M, (x,), (A(x),))[1]


# %% q3 wrong: the sum
def bracket(A, M, x):
    return torch.func.jvp(M, (x,), (A(x),))[1] + torch.func.jvp(A, (x,), (M(x),))[1]


# %% q3 wrong: each along itself
def bracket(A, M, x):
    return torch.func.jvp(M, (x,), (M(x),))[1] - torch.func.jvp(A, (x,), (A(x),))[1]


# %% q3 wrong: a vector times the Jacobian
def bracket(A, M, x):
    return torch.func.vjp(M, x)[1](A(x))[0] - torch.func.vjp(A, x)[1](M(x))[0]


# %% q3 wrong: compositions, not derivatives
def bracket(A, M, x):
    return M(A(x)) - A(M(x))


# %% q3 wrong: a difference with a large step
def bracket(A, M, x):
    h = 0.1
    return ((M(x + h * A(x)) - M(x)) - (A(x + h * M(x)) - A(x))) / h


# %% q3 wrong: half of it
def bracket(A, M, x):
    return (torch.func.jvp(M, (x,), (A(x),))[1] - torch.func.jvp(A, (x,), (M(x),))[1]) / 2


# %% q3 wrong: along the state
def bracket(A, M, x):
    return torch.func.jvp(M, (x,), (x,))[1] - torch.func.jvp(A, (x,), (x,))[1]


# %% q3 wrong: flattened
def bracket(A, M, x):
    return (torch.func.jvp(M, (x,), (A(x),))[1] - torch.func.jvp(A, (x,), (M(x),))[1]).flatten()


# %% q4 right: two paths with names
def both_orders(flow_a, flow_m, x, h):
    attention_first = flow_m(flow_a(x, h), h)
    mlp_first = flow_a(flow_m(x, h), h)
    return 0.5 * attention_first + 0.5 * mlp_first


# %% q4 right: a loop over the orders
def both_orders(flow_a, flow_m, x, h):
    ends = []
    for first, then in ((flow_a, flow_m), (flow_m, flow_a)):
        ends.append(then(first(x, h), h))
    return sum(ends) / len(ends)


# %% q4 right: by lerp
def both_orders(flow_a, flow_m, x, h):
    return torch.lerp(flow_m(flow_a(x, h), h), flow_a(flow_m(x, h), h), 0.5)


# %% q4 wrong: alternating from call to call
_turn = [0]


def both_orders(flow_a, flow_m, x, h):
    _turn[0] += 1
    return flow_m(flow_a(x, h), h) if _turn[0] % 2 else flow_a(flow_m(x, h), h)


# %% q4 wrong: attention first only
def both_orders(flow_a, flow_m, x, h):
    return flow_m(flow_a(x, h), h)


# %% q4 wrong: MLP first only
def both_orders(flow_a, flow_m, x, h):
    return flow_a(flow_m(x, h), h)


# %% q4 wrong: Strang
def both_orders(flow_a, flow_m, x, h):
    return flow_m(flow_a(flow_m(x, h / 2), h), h / 2)


# %% q4 wrong: the two flows side by side
def both_orders(flow_a, flow_m, x, h):
    return (flow_a(x, h) + flow_m(x, h)) / 2


# %% q4 wrong: increments added
def both_orders(flow_a, flow_m, x, h):
    return flow_a(x, h) + flow_m(x, h) - x


# %% q4 wrong: one order after the other with half steps
def both_orders(flow_a, flow_m, x, h):
    x = flow_m(flow_a(x, h / 2), h / 2)
    return flow_a(flow_m(x, h / 2), h / 2)


# %% q4 wrong: no mean
def both_orders(flow_a, flow_m, x, h):
    return flow_m(flow_a(x, h), h) + flow_a(flow_m(x, h), h)


# %% q4 wrong: weights that are not equal
def both_orders(flow_a, flow_m, x, h):
    return (2 * flow_m(flow_a(x, h), h) + flow_a(flow_m(x, h), h)) / 3


# %% q4 wrong: one whole step after the other
def both_orders(flow_a, flow_m, x, h):
    x = flow_m(flow_a(x, h), h)
    return flow_a(flow_m(x, h), h)


# %% q4 wrong: half steps in both orders
def both_orders(flow_a, flow_m, x, h):
    return (flow_m(flow_a(x, h / 2), h / 2) + flow_a(flow_m(x, h / 2), h / 2)) / 2


# %% q4 wrong: the geometric mean
def both_orders(flow_a, flow_m, x, h):
    p, q = flow_m(flow_a(x, h), h), flow_a(flow_m(x, h), h)
    return torch.sign(p) * torch.sqrt((p * q).abs())


# %% q5 right: as tensors
difference = {h: torch.tensor(value) for h, value in difference.items()}
rest = {h: torch.tensor(value) for h, value in rest.items()}
explained = torch.tensor(explained)

# %% q5 right: the term by a difference quotient
eps = 1e-6
term = (M(X + eps * A(X)) - M(X - eps * A(X))) / (2 * eps)
rest = {h: (h * (M(X + h * A(X)) - M(X)) - h * h * term).norm().item() for h in difference}
explained = 1 - rest[1.0] / difference[1.0]

# %% q5 right: the layers by odelib
from odelib import step_rule

usual, parallel = step_rule("lie-trotter"), step_rule("euler")
take = lambda rule, h: rule.step(field, 0.0, h, X, rule.init(field, 0.0, X))[0]
difference = {h: float((take(usual, h) - take(parallel, h)).norm()) for h in rest}

# %% q5 wrong: the cosine
_t = torch.func.jvp(M, (X,), (A(X),))[1]
_d = M(X + A(X)) - M(X)
explained = float((_t * _d).sum() / _t.norm() / _d.norm())


# %% q5 wrong: divided by the state
difference = {h: value / float(X.norm()) for h, value in difference.items()}

# %% q5 wrong: the largest entry
difference = {h: float((h * (M(X + h * A(X)) - M(X))).abs().max()) for h in difference}

# %% q5 wrong: the whole commutator is taken away
rest = {
    h: float((h * (M(X + h * A(X)) - M(X)) - h**2 * bracket(A, M, X)).norm()) for h in difference
}

# %% q5 wrong: half of the term
rest = {h: float((h * (M(X + h * A(X)) - M(X)) - h**2 / 2 * term).norm()) for h in difference}

# %% q5 wrong: the term with h, not its square
rest = {h: float((h * (M(X + h * A(X)) - M(X)) - h * term).norm()) for h in difference}

# %% q5 wrong: MLP first
difference = {h: float((h * (A(X + h * M(X)) - A(X))).norm()) for h in difference}

# %% q5 wrong: sizes subtracted, not vectors
rest = {h: abs(value - h**2 * float(term.norm())) for h, value in difference.items()}

# %% q5 wrong: the share turned round
explained = rest[1.0] / difference[1.0]

# %% q5 wrong: the share at the smallest step
explained = 1 - rest[1 / 64] / difference[1 / 64]

# %% q5 wrong: another layer
torch.manual_seed(parameters["seed"] + 1)
other = TransformerField(parameters["dim"], parameters["heads"]).requires_grad_(False)
a, m = (lambda x, part=part: part(0.0, x) for part in other.terms)
difference = {h: float((h * (m(X + h * a(X)) - m(X))).norm()) for h in difference}

# %% q5 wrong: without the steps below 1/8
difference = {h: value for h, value in difference.items() if h >= 1 / 8}
