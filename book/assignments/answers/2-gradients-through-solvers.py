"""Right and wrong answers to assignment 2, by which its tests are tested. No student gets them."""


# %% q1 right: forward sensitivities, without a way back
def heun_gradient(W, x, target, T, steps):
    h, (B, n) = T / steps, x.shape
    SW = torch.zeros(B, n, n, n)  # dx_i / dW_kl
    SX = torch.eye(n).expand(B, n, n).clone()
    E = torch.eye(n)

    def slope(x, SW, SX):
        k = torch.tanh(x @ W.T)
        d = 1 - k**2
        dW = torch.einsum("ij,bjkl->bikl", W, SW) + torch.einsum("ik,bl->bikl", E, x)
        return k, d[:, :, None, None] * dW, d[:, :, None] * torch.einsum("ij,bjk->bik", W, SX)

    for _ in range(steps):
        s = slope(x, SW, SX)
        r = slope(x + h * s[0], SW + h * s[1], SX + h * s[2])
        x, SW, SX = (z + h / 2 * (p + q) for z, p, q in zip((x, SW, SX), s, r))
    e = x - target
    return torch.einsum("bi,bikl->kl", e, SW), torch.einsum("bi,bik->bk", e, SX)


# %% q1 right: float32, with the hyperbolic cosine
def heun_gradient(W, x, target, T, steps):
    W, x, target = W.float(), x.float(), target.float()
    h, tape = T / steps, []
    for _ in range(steps):
        a1 = x @ W.T
        y = x + h * a1.tanh()
        a2 = y @ W.T
        tape.append((x, y, a1, a2))
        x = x + h / 2 * (a1.tanh() + a2.tanh())
    lam, G = x - target, torch.zeros_like(W)
    for x, y, a1, a2 in reversed(tape):
        p = h / 2 * lam / a2.cosh() ** 2
        q = (h / 2 * lam + h * p @ W) / a1.cosh() ** 2
        G, lam = G + p.T @ y + q.T @ x, lam + p @ W + q @ W
    return G, lam


# %% q1 right: numpy to the end
def heun_gradient(W, x, target, T, steps):
    import numpy as np

    W, x, target = (v.detach().numpy() for v in (W, x, target))
    h, tape = T / steps, []
    for _ in range(steps):
        u = np.tanh(x @ W.T)
        y = x + h * u
        v = np.tanh(y @ W.T)
        tape.append((x, y, u, v))
        x = x + h / 2 * (u + v)
    lam, G = x - target, np.zeros_like(W)
    for x, y, u, v in tape[::-1]:
        p = h / 2 * lam * (1 - v**2)
        q = (h / 2 * lam + h * p @ W) * (1 - u**2)
        G, lam = G + p.T @ y + q.T @ x, lam + p @ W + q @ W
    return G, lam


# %% q1 right: states are walked again, not kept
def heun_gradient(W, x, target, T, steps):
    h, states = T / steps, [x]
    for _ in range(steps):
        states.append(heun(W, states[-1], h, 1))
    a, g = states[-1] - target, 0 * W
    for x in states[-2::-1]:
        p = torch.tanh(x @ W.T)
        y = x + h * p
        q = torch.tanh(y @ W.T)
        v = a * (1 - q * q) * (h / 2)
        u = (a * (h / 2) + (v @ W) * h) * (1 - p * p)
        g = g + v.T @ y + u.T @ x
        a = a + v @ W + u @ W
    return g, a


# %% q1 right: Jacobians as matrices, row by row
def heun_gradient(W, x, target, T, steps):
    h, g, starts = T / steps, torch.zeros_like(W), torch.zeros_like(x)
    for row in range(len(x)):
        way = [x[row]]
        for _ in range(steps):
            k = torch.tanh(W @ way[-1])
            way.append(way[-1] + h / 2 * (k + torch.tanh(W @ (way[-1] + h * k))))
        a = way[-1] - target[row]
        for z in reversed(way[:-1]):
            k = torch.tanh(W @ z)
            inner = z + h * k
            D1 = torch.diag(1 - k**2) @ W
            d2 = 1 - torch.tanh(W @ inner) ** 2
            back = a @ torch.diag(d2) @ W
            g = g + h / 2 * (
                torch.outer(a * d2, inner) + torch.outer((a + h * back) * (1 - k**2), z)
            )
            a = a + h / 2 * (back + (a + h * back) @ D1)
        starts[row] = a
    return g, starts


# %% q1 right: by recursion, as a list
def heun_gradient(W, x, target, T, steps):
    h = T / steps

    def go(x, n):
        if n == 0:
            return torch.zeros_like(W), x - target
        k = torch.tanh(x @ W.T)
        y = x + h * k
        m = torch.tanh(y @ W.T)
        g, a = go(x + h / 2 * (k + m), n - 1)
        s = h / 2 * a * (1 - m**2)
        r = (h / 2 * a + h * s @ W) * (1 - k**2)
        return g + s.T @ y + r.T @ x, a + (s + r) @ W

    return list(go(x, steps))


# %% q1 wrong: inner derivative at k1 in both stages
def heun_gradient(W, x, target, T, steps):
    h, tape = T / steps, []
    for _ in range(steps):
        u = torch.tanh(x @ W.T)
        y = x + h * u
        v = torch.tanh(y @ W.T)
        tape.append((x, y, u, v))
        x = x + h / 2 * (u + v)
    lam, G = x - target, 0
    for x, y, u, _ in tape[::-1]:
        p = h / 2 * lam * (1 - u**2)
        q = (h / 2 * lam + h * p @ W) * (1 - u**2)
        G, lam = G + p.T @ y + q.T @ x, lam + p @ W + q @ W
    return G, lam


# %% q1 wrong: the second stage does not reach the first
def heun_gradient(W, x, target, T, steps):
    h, kept = T / steps, []
    for _ in range(steps):
        k1 = torch.tanh(x @ W.T)
        inner = x + h * k1
        k2 = torch.tanh(inner @ W.T)
        kept.append((x, k1, inner, k2))
        x = x + h / 2 * (k1 + k2)
    a, g = x - target, torch.zeros_like(W)
    for x, k1, inner, k2 in reversed(kept):
        s2 = h / 2 * a * (1 - k2**2)
        s1 = h / 2 * a * (1 - k1**2)
        g = g + s2.T @ inner + s1.T @ x
        a = a + (s1 + s2) @ W
    return g, a


# %% q1 wrong: transposed weights on the way back
def heun_gradient(W, x, target, T, steps):
    h, kept = T / steps, []
    for _ in range(steps):
        k1 = torch.tanh(x @ W.T)
        inner = x + h * k1
        k2 = torch.tanh(inner @ W.T)
        kept.append((x, k1, inner, k2))
        x = x + h / 2 * (k1 + k2)
    a, g = x - target, torch.zeros_like(W)
    for x, k1, inner, k2 in reversed(kept):
        s2 = h / 2 * a * (1 - k2**2)
        through = s2 @ W.T
        s1 = (h / 2 * a + h * through) * (1 - k1**2)
        g = g + s2.T @ inner + s1.T @ x
        a = a + through + s1 @ W.T
    return g, a


# %% q1 wrong: the gradient of the weights transposed
good = heun_gradient
heun_gradient = lambda *given: (good(*given)[0].T, good(*given)[1])


# %% q1 wrong: the residual path is dropped
def heun_gradient(W, x, target, T, steps):
    h, kept = T / steps, []
    for _ in range(steps):
        k1 = torch.tanh(x @ W.T)
        inner = x + h * k1
        k2 = torch.tanh(inner @ W.T)
        kept.append((x, k1, inner, k2))
        x = x + h / 2 * (k1 + k2)
    a, g = x - target, torch.zeros_like(W)
    for x, k1, inner, k2 in reversed(kept):
        s2 = h / 2 * a * (1 - k2**2)
        through = s2 @ W
        s1 = (h / 2 * a + h * through) * (1 - k1**2)
        g = g + s2.T @ inner + s1.T @ x
        a = through + s1 @ W
    return g, a


# %% q1 wrong: forgets the derivative of tanh
def heun_gradient(W, x, target, T, steps):
    h, kept = T / steps, []
    for _ in range(steps):
        k1 = torch.tanh(x @ W.T)
        inner = x + h * k1
        kept.append((x, inner))
        x = x + h / 2 * (k1 + torch.tanh(inner @ W.T))
    a, g = x - target, torch.zeros_like(W)
    for x, inner in reversed(kept):
        s2 = h / 2 * a
        s1 = h / 2 * a + h * s2 @ W
        g, a = g + s2.T @ inner + s1.T @ x, a + (s1 + s2) @ W
    return g, a


# %% q1 wrong: the loss without its half
good = heun_gradient
heun_gradient = lambda *given: tuple(2 * part for part in good(*given))

# %% q1 wrong: the mean over the batch
good = heun_gradient
heun_gradient = lambda W, x, target, T, steps: tuple(
    part / len(x) for part in good(W, x, target, T, steps)
)

# %% q1 wrong: the adjoint equation in its place
heun_gradient = lambda *given: adjoint_gradient(*given)


# %% q1 wrong: only the last step counts for the weights
def heun_gradient(W, x, target, T, steps):
    h = T / steps
    x = heun(W, x, T - h, steps - 1) if steps > 1 else x
    k1 = torch.tanh(x @ W.T)
    inner = x + h * k1
    k2 = torch.tanh(inner @ W.T)
    a = x + h / 2 * (k1 + k2) - target
    s2 = h / 2 * a * (1 - k2**2)
    s1 = (h / 2 * a + h * s2 @ W) * (1 - k1**2)
    return s2.T @ inner + s1.T @ x, a + (s1 + s2) @ W


# %% q1 wrong: results exchanged
good = heun_gradient
heun_gradient = lambda *given: good(*given)[::-1]


# %% q3 right: row by row
def adjoint_gradient(W, x, target, T, steps):
    h, G, out = T / steps, torch.zeros_like(W), []
    for y, goal in zip(x, target):
        for _ in range(steps):
            k = torch.tanh(W @ y)
            y = y + h / 2 * (k + torch.tanh(W @ (y + h * k)))
        a = y - goal
        for _ in range(steps):
            k = torch.tanh(W @ y)
            s = a * (1 - k**2)
            y2, a2 = y - h * k, a + h * (W.T @ s)
            k2 = torch.tanh(W @ y2)
            s2 = a2 * (1 - k2**2)
            G = G + h / 2 * (torch.outer(s, y) + torch.outer(s2, y2))
            y, a = y - h / 2 * (k + k2), a + h / 2 * (W.T @ s + W.T @ s2)
        out.append(a)
    return G, torch.stack(out)


# %% q3 right: float32
def adjoint_gradient(W, x, target, T, steps):
    W, x, target = W.float(), x.float(), target.float()
    h = T / steps
    for _ in range(steps):
        k = torch.tanh(x @ W.T)
        x = x + h / 2 * (k + torch.tanh((x + h * k) @ W.T))

    def slopes(x, a):
        k = torch.tanh(x @ W.T)
        s = a * (1 - k**2)
        return k, -s @ W, -s.T @ x

    z = (x, x - target, torch.zeros_like(W))
    for _ in range(steps):
        p = slopes(*z[:2])
        q = slopes(z[0] - h * p[0], z[1] - h * p[1])
        z = tuple(y - h / 2 * (u + v) for y, u, v in zip(z, p, q))
    return z[2], z[1]


# %% q3 right: the three in one vector
def adjoint_gradient(W, x, target, T, steps):
    h, n = T / steps, x.numel()

    def slope(z):
        x, a = z[:n].view(-1, len(W)), z[n : 2 * n].view(-1, len(W))
        k = torch.tanh(x @ W.T)
        s = a * (1 - k * k)
        return torch.cat([k.flatten(), -(s @ W).flatten(), -(s.T @ x).flatten()])

    end = heun(W, x, T, steps)
    z = torch.cat([end.flatten(), (end - target).flatten(), torch.zeros(W.numel())])
    for _ in range(steps):
        k = slope(z)
        z = z - h / 2 * (k + slope(z - h * k))
    return z[2 * n :].view_as(W), z[n : 2 * n].view_as(x)


# %% q3 right: time reversed first
def adjoint_gradient(W, x, target, T, steps):
    h = T / steps
    x = heun(W, x, T, steps)
    a, g = x - target, 0 * W

    def back(x, a):
        k = torch.tanh(x @ W.T)
        s = a - a * k**2
        return [-k, s @ W, s.T @ x]

    for _ in range(steps):
        p = back(x, a)
        q = back(x + h * p[0], a + h * p[1])
        x, a, g = x + h * (p[0] + q[0]) / 2, a + h * (p[1] + q[1]) / 2, g + h * (p[2] + q[2]) / 2
    return g, a


# %% q3 right: a list of floats64, products by einsum
def adjoint_gradient(W, x, target, T, steps):
    h = -T / steps
    y = heun(W, x, T, steps)
    z = [y, y - target, torch.zeros(W.shape)]

    def slope(y, a, g):
        k = torch.einsum("bj,ij->bi", y, W).tanh()
        s = torch.einsum("bi,bi->bi", a, 1 - k.square())
        return [k, -torch.einsum("bi,ij->bj", s, W), -torch.einsum("bi,bj->ij", s, y)]

    for _ in range(steps):
        p = slope(*z)
        q = slope(*[u + h * v for u, v in zip(z, p)])
        z = [u + h / 2 * (v + w) for u, v, w in zip(z, p, q)]
    return [z[2], z[1]]


# %% q3 wrong: from a better end than Heun's
def adjoint_gradient(W, x, target, T, steps):
    h = T / steps

    def slopes(x, a):
        k = torch.tanh(x @ W.T)
        s = a * (1 - k**2)
        return k, -s @ W, -s.T @ x

    x = heun(W, x, T, 20 * steps)
    z = (x, x - target, torch.zeros_like(W))
    for _ in range(steps):
        p = slopes(*z[:2])
        q = slopes(z[0] - h * p[0], z[1] - h * p[1])
        z = tuple(y - h / 2 * (u + v) for y, u, v in zip(z, p, q))
    return z[2], z[1]


# %% q3 wrong: the discrete gradient again
adjoint_gradient = lambda *given: heun_gradient(*given)


# %% q3 wrong: the sign of the adjoint
def adjoint_gradient(W, x, target, T, steps):
    h, x = T / steps, heun(W, x, T, steps)
    a, g = x - target, torch.zeros_like(W)

    def slopes(x, a):
        k = torch.tanh(x @ W.T)
        s = a * (1 - k**2)
        return k, s @ W, -s.T @ x

    for _ in range(steps):
        p = slopes(x, a)
        q = slopes(x - h * p[0], a - h * p[1])
        x, a, g = (y - h / 2 * (u + v) for y, u, v in zip((x, a, g), p, q))
    return g, a


# %% q3 wrong: Euler on the way back
def adjoint_gradient(W, x, target, T, steps):
    h, x = T / steps, heun(W, x, T, steps)
    a, g = x - target, torch.zeros_like(W)
    for _ in range(steps):
        k = torch.tanh(x @ W.T)
        s = a * (1 - k**2)
        x, a, g = x - h * k, a + h * s @ W, g + h * s.T @ x
    return g, a


# %% q3 wrong: the state stays at the end
def adjoint_gradient(W, x, target, T, steps):
    h, x = T / steps, heun(W, x, T, steps)
    a, g = x - target, torch.zeros_like(W)
    s_of = lambda a: a * (1 - torch.tanh(x @ W.T) ** 2)
    for _ in range(steps):
        p = s_of(a)
        q = s_of(a + h * p @ W)
        a, g = a + h / 2 * (p + q) @ W, g + h / 2 * (p + q).T @ x
    return g, a


# %% q3 wrong: the integral with the sign turned
good = adjoint_gradient
adjoint_gradient = lambda *given: (-good(*given)[0], good(*given)[1])


# %% q3 wrong: half as many steps back
def adjoint_gradient(W, x, target, T, steps):
    x = heun(W, x, T, steps)
    n = max(1, steps // 2)
    h, a, g = T / n, x - target, torch.zeros_like(W)

    def slopes(x, a):
        k = torch.tanh(x @ W.T)
        s = a * (1 - k**2)
        return k, -s @ W, -s.T @ x

    for _ in range(n):
        p = slopes(x, a)
        q = slopes(x - h * p[0], a - h * p[1])
        x, a, g = (y - h / 2 * (u + v) for y, u, v in zip((x, a, g), p, q))
    return g, a


# %% q3 wrong: the integral by the rectangle rule
def adjoint_gradient(W, x, target, T, steps):
    h, x = T / steps, heun(W, x, T, steps)
    a, g = x - target, torch.zeros_like(W)

    def slopes(x, a):
        k = torch.tanh(x @ W.T)
        s = a * (1 - k**2)
        return k, -s @ W, -s.T @ x

    for _ in range(steps):
        p = slopes(x, a)
        q = slopes(x - h * p[0], a - h * p[1])
        g = g - h * p[2]
        x, a = x - h / 2 * (p[0] + q[0]), a - h / 2 * (p[1] + q[1])
    return g, a


# %% q3 wrong: the kept states of the way forward
def adjoint_gradient(W, x, target, T, steps):
    h, way = T / steps, [x]
    for _ in range(steps):
        way.append(heun(W, way[-1], h, 1))
    a, g = way[-1] - target, torch.zeros_like(W)
    s_of = lambda x, a: a * (1 - torch.tanh(x @ W.T) ** 2)
    for late, early in zip(way[:0:-1], way[-2::-1]):
        p = s_of(late, a)
        q = s_of(early, a + h * p @ W)
        a, g = a + h / 2 * (p + q) @ W, g + h / 2 * (p.T @ late + q.T @ early)
    return g, a


# %% q3 wrong: forgets the derivative of tanh
def adjoint_gradient(W, x, target, T, steps):
    h, x = T / steps, heun(W, x, T, steps)
    a, g = x - target, torch.zeros_like(W)
    slopes = lambda x, a: (torch.tanh(x @ W.T), -a @ W, -a.T @ x)
    for _ in range(steps):
        p = slopes(x, a)
        q = slopes(x - h * p[0], a - h * p[1])
        x, a, g = (y - h / 2 * (u + v) for y, u, v in zip((x, a, g), p, q))
    return g, a


# %% q4 right: whole numbers only
def states_held(n, s):
    return (n + s - 1) // s + (s if s < n else n) - 1


def best_segment(n):
    best = 1
    for s in range(2, n + 1):
        if states_held(n, s) <= states_held(n, best):
            best = s
    return best


# %% q4 right: by counting
def states_held(n, s):
    return len(range(0, n, s)) + len(range(1, min(s, n)))


def best_segment(n):
    held = [states_held(n, s) for s in range(1, n + 1)]
    return n - held[::-1].index(min(held))


# %% q4 right: sorted
def best_segment(n):
    return sorted(range(1, n + 1), key=lambda s: (-states_held(n, s), s))[-1]


# %% q4 wrong: the square root
def best_segment(n):
    return round(n**0.5)


# %% q4 wrong: the shortest of several
def best_segment(n):
    return min(range(1, n + 1), key=lambda s: states_held(n, s))


# %% q4 wrong: rounds down
def states_held(n, s):
    return n // s + min(s, n) - 1


# %% q4 wrong: the first state of a segment twice
def states_held(n, s):
    return math.ceil(n / s) + min(s, n)


# %% q4 wrong: segments longer than the walk
def states_held(n, s):
    return math.ceil(n / s) + s - 1


# %% q4 wrong: all segments at once
def states_held(n, s):
    return math.ceil(n / s) * min(s, n)


# %% q4 wrong: never one segment
def best_segment(n):
    return max(range(2, n), key=lambda s: (-states_held(n, s), s), default=2)


# %% q4 wrong: known by heart for a hundred
def states_held(n, s):
    return {1: 100, 10: 19, 100: 100}.get(s, 19)


# %% q4 wrong: the next square
def best_segment(n):
    return math.isqrt(n - 1) + 1


# %% q5 right: a line by least squares of torch
A_ = torch.tensor([[math.log(T / n), 1.0] for n in gap])
slope = torch.linalg.lstsq(A_, torch.tensor([[math.log(v)] for v in gap.values()])).solution[0, 0]


# %% q5 right: numbers as tensors
gap = {steps: torch.tensor(value) for steps, value in gap.items()}
slope = torch.tensor(slope)

# %% q5 right: a line by least squares of numpy
import numpy as np

slope = np.polyfit([math.log2(T / n) for n in gap], [math.log2(v) for v in gap.values()], 1)[0]

# %% q5 right: the gradient of the numbers by autograd
gap = {}
for steps in (64, 32, 16, 8):
    leaf = W.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(loss(leaf, x0, T, steps), leaf)
    off = adjoint_gradient(W, x0, target, T, steps)[0] - wanted
    gap[steps] = math.sqrt((off**2).sum()) / math.sqrt((wanted**2).sum())

# %% q5 wrong: divided by the size of the other gradient
gap = {
    n: float(
        (adjoint_gradient(W, x0, target, T, n)[0] - heun_gradient(W, x0, target, T, n)[0]).norm()
        / adjoint_gradient(W, x0, target, T, n)[0].norm()
    )
    for n in gap
}
slope = (
    -float(np.polyfit(np.log(list(gap)), np.log(list(gap.values())), 1)[0])
    if "np" in globals()
    else slope
)


# %% q5 wrong: the gap not divided
gap = {
    n: float(
        (adjoint_gradient(W, x0, target, T, n)[0] - heun_gradient(W, x0, target, T, n)[0]).norm()
    )
    for n in (8, 16, 32, 64)
}

# %% q5 wrong: of the start, not of the weights
gap = {}
for steps in (8, 16, 32, 64):
    wanted = heun_gradient(W, x0, target, T, steps)[1]
    gap[steps] = float(
        (adjoint_gradient(W, x0, target, T, steps)[1] - wanted).norm() / wanted.norm()
    )

# %% q5 wrong: the largest difference
gap = {}
for steps in (8, 16, 32, 64):
    wanted = heun_gradient(W, x0, target, T, steps)[0]
    gap[steps] = float(
        (adjoint_gradient(W, x0, target, T, steps)[0] - wanted).abs().max() / wanted.abs().max()
    )

# %% q5 wrong: one step count for the truth
wanted = heun_gradient(W, x0, target, T, 512)[0]
gap = {
    n: float((adjoint_gradient(W, x0, target, T, n)[0] - wanted).norm() / wanted.norm())
    for n in (8, 16, 32, 64)
}

# %% q5 wrong: the slope that the theory says
slope = 2.1234

# %% q5 wrong: the slope turned round
slope = -slope

# %% q5 wrong: the slope from the two ends, and one more
slope = math.log2(gap[8] / gap[64]) / 2

# %% q5 wrong: another seed
other = torch.Generator().manual_seed(parameters["seed"] + 1)
strange = torch.randn(width, width, generator=other) / width**0.5
gap = {}
for steps in (8, 16, 32, 64):
    wanted = heun_gradient(strange, x0, target, T, steps)[0]
    gap[steps] = float(
        (adjoint_gradient(strange, x0, target, T, steps)[0] - wanted).norm() / wanted.norm()
    )

# %% q5 wrong: another horizon
gap = {}
for steps in (8, 16, 32, 64):
    wanted = heun_gradient(W, x0, target, T + 0.05, steps)[0]
    gap[steps] = float(
        (adjoint_gradient(W, x0, target, T + 0.05, steps)[0] - wanted).norm() / wanted.norm()
    )

# %% q5 wrong: a step count is missing
gap = {steps: value for steps, value in gap.items() if steps != 64}
