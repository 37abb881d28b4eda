"""Right and wrong answers to assignment 1, by which its tests are tested. No student gets them."""


# %% q1 right: time added up, last slope in a deque
def ab2(F, x, t0, t1, steps):
    from collections import deque

    h, t, past = (t1 - t0) / steps, t0, deque(maxlen=2)
    for n in range(steps):
        past.append(F(t, x))
        if n == 0:
            x = x + h * 0.5 * (past[0] + F(t + h, x + h * past[0]))
        else:
            x = x + h * (1.5 * past[1] - 0.5 * past[0])
        t = t + h
    return x


# %% q1 right: float32 throughout
def ab2(F, x, t0, t1, steps):
    x = x.float()
    h = (t1 - t0) / steps
    old = F(t0, x).float()
    x = x + h / 2 * (old + F(t0 + h, x + h * old).float())
    for n in range(1, steps):
        new = F(t0 + n * h, x).float()
        x, old = x + h / 2 * (3 * new - old), new
    return x


# %% q1 right: numpy inside
def ab2(F, x, t0, t1, steps):
    import numpy as np

    h = (t1 - t0) / steps
    call = lambda t, y: np.asarray(F(t, torch.from_numpy(y.copy())))
    y = x.detach().numpy().astype(float)
    old = call(t0, y)
    y = y + h / 2 * (old + call(t0 + h, y + h * old))
    for n in range(1, steps):
        new = call(t0 + n * h, y)
        y = y + h * (1.5 * new - 0.5 * old)
        old = new
    return torch.from_numpy(y)


# %% q1 right: all slopes kept in a list
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    k = [F(t0, x)]
    x = x + h * (k[0] + F(t0 + h, x + h * k[0])) / 2
    for n in range(1, steps):
        k.append(F(t0 + n * h, x))
        x = x + h * (1.5 * k[-1] - 0.5 * k[-2])
    return x


# %% q1 right: times from linspace, Python's numbers
def ab2(F, x, t0, t1, steps):
    h, last = (t1 - t0) / steps, None
    for t in torch.linspace(t0, t1, steps + 1)[:-1].tolist():
        k = F(t, x)
        slope = (k + F(t + h, x + h * k)) / 2 if last is None else k + (k - last) / 2
        x, last = x + h * slope, k
    return x


# %% q1 right: by recursion
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps

    def go(x, old, n):
        if n == steps:
            return x
        k = F(t0 + n * h, x)
        return go(x + h / 2 * (3 * k - old), k, n + 1)

    k = F(t0, x)
    return go(x + h / 2 * (k + F(t0 + h, x + h * k)), k, 1)


# %% q1 wrong: nothing
def ab2(F, x, t0, t1, steps): ...


# %% q1 wrong: Heun at the start uses the time of the start twice
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    old = F(t0, x)
    x = x + h / 2 * (old + F(t0, x + h * old))
    for n in range(1, steps):
        new = F(t0 + n * h, x)
        x, old = x + h / 2 * (3 * new - old), new
    return x


# %% q1 wrong: Euler after the first step
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    k = F(t0, x)
    x = x + h / 2 * (k + F(t0 + h, x + h * k))
    for n in range(1, steps):
        x = x + h * F(t0 + n * h, x)
    return x


# %% q1 wrong: Heun all the way, two evaluations a step
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    for n in range(steps):
        k = F(t0 + n * h, x)
        x = x + h / 2 * (k + F(t0 + (n + 1) * h, x + h * k))
    return x


# %% q1 wrong: the two slopes exchanged
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    old = F(t0, x)
    x = x + h / 2 * (old + F(t0 + h, x + h * old))
    for n in range(1, steps):
        new = F(t0 + n * h, x)
        x, old = x + h / 2 * (3 * old - new), new
    return x


# %% q1 wrong: times begin at zero
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    old = F(0, x)
    x = x + h / 2 * (old + F(h, x + h * old))
    for n in range(1, steps):
        new = F(n * h, x)
        x, old = x + h / 2 * (3 * new - old), new
    return x


# %% q1 wrong: the old slope is evaluated again
def ab2(F, x, t0, t1, steps):
    h, before = (t1 - t0) / steps, x
    k = F(t0, x)
    x = x + h / 2 * (k + F(t0 + h, x + h * k))
    for n in range(1, steps):
        slope = 3 * F(t0 + n * h, x) - F(t0 + (n - 1) * h, before)
        before, x = x, x + h / 2 * slope
    return x


# %% q1 wrong: begins with a step of Euler
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    old = F(t0, x)
    x = x + h * old
    for n in range(1, steps):
        new = F(t0 + n * h, x)
        x, old = x + h / 2 * (3 * new - old), new
    return x


# %% q1 wrong: the old slope stays the first
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    old = F(t0, x)
    x = x + h / 2 * (old + F(t0 + h, x + h * old))
    for n in range(1, steps):
        x = x + h / 2 * (3 * F(t0 + n * h, x) - old)
    return x


# %% q1 wrong: one step too many
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    old = F(t0, x)
    x = x + h / 2 * (old + F(t0 + h, x + h * old))
    for n in range(1, steps + 1):
        new = F(t0 + n * h, x)
        x, old = x + h / 2 * (3 * new - old), new
    return x


# %% q1 wrong: time at the end of the step
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    old = F(t0, x)
    x = x + h / 2 * (old + F(t0 + h, x + h * old))
    for n in range(1, steps):
        new = F(t0 + (n + 1) * h, x)
        x, old = x + h / 2 * (3 * new - old), new
    return x


# %% q1 wrong: in place
def ab2(F, x, t0, t1, steps):
    h = (t1 - t0) / steps
    old = F(t0, x).clone()
    x += h / 2 * (old + F(t0 + h, x + h * old))
    for n in range(1, steps):
        new = F(t0 + n * h, x).clone()
        x += h / 2 * (3 * new - old)
        old = new
    return x


# %% q1 wrong: the step is never negative
def ab2(F, x, t0, t1, steps):
    h = abs(t1 - t0) / steps
    old = F(t0, x)
    x = x + h / 2 * (old + F(t0 + h, x + h * old))
    for n in range(1, steps):
        new = F(t0 + n * h, x)
        x, old = x + h / 2 * (3 * new - old), new
    return x


# %% q3 right: lists of Python
def tableau_order(a, b):
    a, b = a.tolist(), b.tolist()
    c = [sum(row) for row in a]
    s = range(len(b))
    near = lambda u, v: math.isclose(u, v, rel_tol=1e-9, abs_tol=1e-9)
    if not near(sum(b), 1):
        return 0
    if not near(sum(b[i] * c[i] for i in s), 1 / 2):
        return 1
    if near(sum(b[i] * c[i] ** 2 for i in s), 1 / 3) and near(
        sum(b[i] * a[i][j] * c[j] for i in s for j in s), 1 / 6
    ):
        return 3
    return 2


# %% q3 right: conditions in a list
def tableau_order(a, b):
    c = a @ torch.ones(len(b), dtype=a.dtype)
    conditions = [[b.sum() - 1], [b @ c - 0.5], [b @ (c * c) - 1 / 3, b @ (a @ c) - 1 / 6]]
    order = 0
    for group in conditions:
        if max(abs(v) for v in group) > 1e-9:
            break
        order += 1
    return order


# %% q3 right: sums written out, an order as a tensor
def tableau_order(a, b):
    s = range(len(b))
    c = [sum(a[i, j] for j in s) for i in s]
    one = sum(b[i] for i in s)
    two = sum(b[i] * c[i] for i in s)
    three = sum(b[i] * c[i] ** 2 for i in s)
    other = sum(b[i] * a[i, j] * c[j] for i in s for j in s)
    near = lambda u, v: torch.isclose(torch.as_tensor(u), torch.tensor(v, dtype=a.dtype), atol=1e-8)
    if not near(one, 1.0):
        return torch.tensor(0)
    if not near(two, 0.5):
        return torch.tensor(1)
    return torch.tensor(3 if near(three, 1 / 3) and near(other, 1 / 6) else 2)


# %% q3 right: with numpy and einsum
def tableau_order(a, b):
    import numpy as np

    a, b = a.numpy(), b.numpy()
    c = a.sum(axis=1)
    met = [np.isclose(b.sum(), 1), np.isclose(b @ c, 0.5)]
    met.append(np.isclose(b @ c**2, 1 / 3) and np.isclose(np.einsum("i,ij,j", b, a, c), 1 / 6))
    return int(np.cumprod(met).sum())


# %% q3 wrong: or in place of and
def tableau_order(a, b):
    c = a.sum(1)
    near = lambda v, w: abs(float(v) - w) < 1e-9
    if not near(b.sum(), 1):
        return 0
    if not near(b @ c, 0.5):
        return 1
    return 3 if near(b @ c**2, 1 / 3) or near(b @ a @ c, 1 / 6) else 2


# %% q3 wrong: forgets the condition with two sums
def tableau_order(a, b):
    c = a.sum(1)
    holds = [
        (b.sum() - 1).abs() < 1e-9,
        (b @ c - 0.5).abs() < 1e-9,
        (b @ c**2 - 1 / 3).abs() < 1e-9,
    ]
    return 0 if not holds[0] else 1 if not holds[1] else 3 if holds[2] else 2


# %% q3 wrong: forgets the condition with the squares
def tableau_order(a, b):
    c = a.sum(1)
    holds = [
        (b.sum() - 1).abs() < 1e-9,
        (b @ c - 0.5).abs() < 1e-9,
        (b @ a @ c - 1 / 6).abs() < 1e-9,
    ]
    return 0 if not holds[0] else 1 if not holds[1] else 3 if holds[2] else 2


# %% q3 wrong: forgets the second condition
def tableau_order(a, b):
    c = a.sum(1)
    if (b.sum() - 1).abs() > 1e-9:
        return 0
    return 3 if (b @ c**2 - 1 / 3).abs() < 1e-9 and (b @ a @ c - 1 / 6).abs() < 1e-9 else 2


# %% q3 wrong: forgets the first condition
def tableau_order(a, b):
    c = a.sum(1)
    if (b @ c - 0.5).abs() > 1e-9:
        return 1
    return 3 if (b @ c**2 - 1 / 3).abs() < 1e-9 and (b @ a @ c - 1 / 6).abs() < 1e-9 else 2


# %% q3 wrong: nodes from the columns
def tableau_order(a, b):
    c = a.sum(0)
    if (b.sum() - 1).abs() > 1e-9:
        return 0
    if (b @ c - 0.5).abs() > 1e-9:
        return 1
    return 3 if (b @ c**2 - 1 / 3).abs() < 1e-9 and (b @ a @ c - 1 / 6).abs() < 1e-9 else 2


# %% q3 wrong: no room for rounding
def tableau_order(a, b):
    c = a.sum(1)
    if b.sum() != 1:
        return 0
    if b @ c != 0.5:
        return 1
    return 3 if b @ c**2 == 1 / 3 and b @ a @ c == 1 / 6 else 2


# %% q3 wrong: too much room
def tableau_order(a, b):
    c = a.sum(1)
    if (b.sum() - 1).abs() > 1e-2:
        return 0
    if (b @ c - 0.5).abs() > 1e-2:
        return 1
    return 3 if (b @ c**2 - 1 / 3).abs() < 1e-2 and (b @ a @ c - 1 / 6).abs() < 1e-2 else 2


# %% q3 wrong: counts the conditions that hold
def tableau_order(a, b):
    c = a.sum(1)
    third = (b @ c**2 - 1 / 3).abs() < 1e-9 and (b @ a @ c - 1 / 6).abs() < 1e-9
    return int((b.sum() - 1).abs() < 1e-9) + int((b @ c - 0.5).abs() < 1e-9) + int(third)


# %% q3 wrong: the right sides exchanged
def tableau_order(a, b):
    c = a.sum(1)
    if (b.sum() - 1).abs() > 1e-9:
        return 0
    if (b @ c - 0.5).abs() > 1e-9:
        return 1
    return 3 if (b @ c**2 - 1 / 6).abs() < 1e-9 and (b @ a @ c - 1 / 3).abs() < 1e-9 else 2


# %% q3 wrong: the number of stages
def tableau_order(a, b):
    return min(len(b), 3)


# %% q3 wrong: knows explicit methods only
def tableau_order(a, b):
    a = a.tril(-1)
    c = a.sum(1)
    if (b.sum() - 1).abs() > 1e-9:
        return 0
    if (b @ c - 0.5).abs() > 1e-9:
        return 1
    return 3 if (b @ c**2 - 1 / 3).abs() < 1e-9 and (b @ a @ c - 1 / 6).abs() < 1e-9 else 2


# %% q4 right: integrals of Lagrange's polynomials
def third_order(c2, c3):
    nodes, b = [0.0, c2, c3], []
    for i in range(3):
        j, k = [nodes[m] for m in range(3) if m != i]
        b.append((1 / 3 - (j + k) / 2 + j * k) / ((nodes[i] - j) * (nodes[i] - k)))
    r = 1 / (6 * b[2] * c2)
    a = torch.zeros(3, 3)
    a[1, 0], a[2, 0], a[2, 1] = c2, c3 - r, r
    return a, torch.tensor(b)


# %% q4 right: float32
def third_order(c2, c3):
    b2, b3 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    r = 1 / (6 * b3 * c2)
    return torch.tensor([[0, 0, 0], [c2, 0, 0], [c3 - r, r, 0]], dtype=torch.float32), torch.tensor(
        [1 - b2 - b3, b2, b3], dtype=torch.float32
    )


# %% q4 right: a linear system for the weights
def third_order(c2, c3):
    c = torch.tensor([0.0, c2, c3], dtype=torch.float64)
    b = torch.linalg.solve(
        torch.stack([c**0, c, c**2]), torch.tensor([1.0, 1 / 2, 1 / 3], dtype=torch.float64)
    )
    a = torch.zeros(3, 3, dtype=torch.float64)
    a[1, 0], a[2, 1] = c2, 1 / (6 * b[2] * c2)
    a[2, 0] = c3 - a[2, 1]
    return a, b


# %% q4 right: by Cramer's rule, lists to tensors
def third_order(c2, c3):
    det = c2 * c3**2 - c3 * c2**2
    b2, b3 = (c3**2 / 2 - c3 / 3) / det, (c2 / 3 - c2**2 / 2) / det
    r = 1 / 6 / b3 / c2
    rows = [[0.0] * 3, [c2, 0.0, 0.0], [c3 - r, r, 0.0]]
    return torch.tensor(rows, dtype=torch.float64), torch.tensor(
        [1 - b2 - b3, b2, b3], dtype=torch.float64
    )


# %% q4 right: the textbook's closed form
def third_order(c2, c3):
    a32 = c3 * (c3 - c2) / (c2 * (2 - 3 * c2))
    b = [0.0, (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))]
    b[0] = 1 - b[1] - b[2]
    a = torch.zeros(3, 3, dtype=torch.float64)
    a[1:, 0] = torch.tensor([c2, c3 - a32], dtype=torch.float64)
    a[2, 1] = a32
    return a, torch.tensor(b, dtype=torch.float64)


# %% q4 wrong: the wrong node below the fraction line
def third_order(c2, c3):
    b2, b3 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    r = 1 / (6 * b3 * c3)
    return torch.tensor([[0, 0, 0], [c2, 0, 0], [c3 - r, r, 0]]), torch.tensor(
        [1 - b2 - b3, b2, b3]
    )


# %% q4 wrong: the weights as a row
_own = third_order


def third_order(c2, c3):
    a, b = _own(c2, c3)
    return a, b[None]


# %% q4 wrong: always Kutta's
def third_order(c2, c3):
    a = torch.tensor([[0, 0, 0], [0.5, 0, 0], [-1, 2, 0]], dtype=torch.float64)
    return a, torch.tensor([1 / 6, 2 / 3, 1 / 6], dtype=torch.float64)


# %% q4 wrong: Kutta's weights on other nodes
def third_order(c2, c3):
    a = torch.tensor([[0, 0, 0], [c2, 0, 0], [c3 - 2, 2, 0]], dtype=torch.float64)
    return a, torch.tensor([1 / 6, 2 / 3, 1 / 6], dtype=torch.float64)


# %% q4 wrong: the rows do not add up to the nodes
def third_order(c2, c3):
    b2, b3 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    a = torch.tensor([[0, 0, 0], [c2, 0, 0], [c3, 1 / (6 * b3 * c2), 0]], dtype=torch.float64)
    return a, torch.tensor([1 - b2 - b3, b2, b3], dtype=torch.float64)


# %% q4 wrong: the last stage sees the first alone
def third_order(c2, c3):
    b2, b3 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    a = torch.tensor([[0, 0, 0], [c2, 0, 0], [c3, 0, 0]], dtype=torch.float64)
    return a, torch.tensor([1 - b2 - b3, b2, b3], dtype=torch.float64)


# %% q4 wrong: the last stage sees the second alone
def third_order(c2, c3):
    b2, b3 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    a = torch.tensor([[0, 0, 0], [c2, 0, 0], [0, c3, 0]], dtype=torch.float64)
    return a, torch.tensor([1 - b2 - b3, b2, b3], dtype=torch.float64)


# %% q4 wrong: weights exchanged
def third_order(c2, c3):
    b3, b2 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    a32 = 1 / (6 * b3 * c2)
    a = torch.tensor([[0, 0, 0], [c2, 0, 0], [c3 - a32, a32, 0]], dtype=torch.float64)
    return a, torch.tensor([1 - b2 - b3, b2, b3], dtype=torch.float64)


# %% q4 wrong: nodes put in order first
def third_order(c2, c3):
    c2, c3 = sorted((c2, c3))
    b2, b3 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    a32 = 1 / (6 * b3 * c2)
    a = torch.tensor([[0, 0, 0], [c2, 0, 0], [c3 - a32, a32, 0]], dtype=torch.float64)
    return a, torch.tensor([1 - b2 - b3, b2, b3], dtype=torch.float64)


# %% q4 wrong: transposed
def third_order(c2, c3):
    b2, b3 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    a32 = 1 / (6 * b3 * c2)
    a = torch.tensor([[0, 0, 0], [c2, 0, 0], [c3 - a32, a32, 0]], dtype=torch.float64)
    return a.T, torch.tensor([1 - b2 - b3, b2, b3], dtype=torch.float64)


# %% q4 wrong: a sixth became a third
def third_order(c2, c3):
    b2, b3 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    a32 = 1 / (3 * b3 * c2)
    a = torch.tensor([[0, 0, 0], [c2, 0, 0], [c3 - a32, a32, 0]], dtype=torch.float64)
    return a, torch.tensor([1 - b2 - b3, b2, b3], dtype=torch.float64)


# %% q4 wrong: an implicit method that meets the conditions
def third_order(c2, c3):
    b2, b3 = (3 * c3 - 2) / (6 * c2 * (c3 - c2)), (2 - 3 * c2) / (6 * c3 * (c3 - c2))
    r = (1 / 6 - b3 * c3 * c3) / (b3 * (c2 - c3))
    a = torch.tensor([[0, 0, 0], [c2, 0, 0], [0, r, c3 - r]], dtype=torch.float64)
    return a, torch.tensor([1 - b2 - b3, b2, b3], dtype=torch.float64)


# %% q5 right: Richardson's truth
_u, _v = rk(a, b, F, x0, 0.0, 4.0, 800), rk(a, b, F, x0, 0.0, 4.0, 1600)
_t = _v + (_v - _u) / 7
errors = {
    k: [float((methods[k](n) - _t).abs().amax()) for n in (20, 40, 80, 160)]
    for k in ("third", "ab2")
}


# %% q5 right: as tensors and floats
errors = {name: torch.tensor(values) for name, values in errors.items()}
needed = {name: float(value) for name, value in needed.items()}

# %% q5 right: a truth from another method
fine = rk(a, b, F, x0, 0.0, 4.0, 1500)
errors = {
    "third": [(rk(a, b, F, x0, 0.0, 4.0, n) - fine).abs().max().item() for n in (20, 40, 80, 160)],
    "ab2": tuple((ab2(F, x0, 0.0, 4.0, n) - fine).abs().max().item() for n in (20, 40, 80, 160)),
}

# %% q5 right: a truth from odelib, to its tolerance
from odelib import Adaptive, solve

exact = solve(F, x0, (0.0, 4.0), rule="dopri5", steps=Adaptive(rtol=1e-11, atol=1e-12)).ys[-1]
errors = {
    name: [float((run(n) - exact).abs().max()) for n in (20, 40, 80, 160)]
    for name, run in methods.items()
}

# %% q5 wrong: more evaluations than anybody can make
needed = {"ab2": 10**9 + 1, "third": 3 * 10**9}


# %% q5 wrong: a truth that is not much better
_t = ab2(F, x0, 0.0, 4.0, 320)
errors = {
    k: [float((f(n) - _t).abs().max()) for n in (20, 40, 80, 160)] for k, f in methods.items()
}


# %% q5 wrong: errors of the other field
other = make_field("forced" if parameters["field"] != "forced" else "pendulum", parameters["rate"])
good = rk(a, b, other, x0, 0.0, 4.0, 1000)
errors = {
    "ab2": [float((ab2(other, x0, 0.0, 4.0, n) - good).abs().max()) for n in steps],
    "third": [float((rk(a, b, other, x0, 0.0, 4.0, n) - good).abs().max()) for n in steps],
}

# %% q5 wrong: the norm in place of the largest difference
errors = {name: [float((run(n) - truth).norm()) for n in steps] for name, run in methods.items()}

# %% q5 wrong: measured against the finest run of the list
errors = {
    name: [float((run(n) - run(160)).abs().max()) for n in (20, 40, 80, 150)]
    for name, run in methods.items()
}

# %% q5 wrong: the first number of the state only
errors = {
    name: [float((run(n) - truth)[0].abs()) / 2 for n in steps] for name, run in methods.items()
}

# %% q5 wrong: only two step counts
errors = {name: values[:2] for name, values in errors.items()}

# %% q5 wrong: the two methods exchanged
errors = {"ab2": errors["third"], "third": errors["ab2"]}

# %% q5 wrong: one evaluation for each step of three stages
needed = {"ab2": needed["ab2"], "third": needed["third"] // 3}

# %% q5 wrong: steps, not evaluations
needed = {"ab2": needed["ab2"] - 1, "third": needed["third"]}

# %% q5 wrong: found by doubling
needed = {"ab2": 10 * 2**9 + 1, "third": 3 * 10 * 2**6}

# %% q5 wrong: another tolerance
needed = {"ab2": first_below("ab2", 1e-3) + 1, "third": 3 * first_below("third", 1e-3)}

# %% q5 wrong: the step before
needed = {"ab2": needed["ab2"] - 10, "third": needed["third"] - 30}

# %% q5 wrong: numbers of somebody else
errors = {"ab2": [1.1e-2, 2.6e-3, 6.4e-4, 1.6e-4], "third": [9.0e-4, 1.1e-4, 1.4e-5, 1.7e-6]}
needed = {"ab2": 211, "third": 120}
