"""Right and wrong answers to assignment 4, by which its tests are tested. No student gets them."""


# %% q1 right: one formula
def depth_parameters(dim, hidden, sets):
    return sets * (4 * dim**2 + 2 * dim * hidden + 9 * dim + hidden)


# %% q1 right: by torch's own layers
def depth_parameters(dim, hidden, sets):
    from torch import nn

    parts = [nn.LayerNorm(dim), nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)]
    parts += [nn.Linear(dim, hidden), nn.Linear(hidden, dim)]
    return sets * sum(p.numel() for part in parts for p in part.parameters())


# %% q1 right: a sum over linear maps
def depth_parameters(dim, hidden, sets):
    maps = [(dim, dim)] * 4 + [(dim, hidden), (hidden, dim)]
    total = sum(out * (1 + into) for into, out in maps)
    for _ in ("attention", "mlp"):
        total += dim + dim
    return total * sets


# %% q1 wrong: no biases
def depth_parameters(dim, hidden, sets):
    return sets * (4 * dim**2 + 2 * dim * hidden + 4 * dim)


# %% q1 wrong: one norm
def depth_parameters(dim, hidden, sets):
    return sets * (4 * dim**2 + 2 * dim * hidden + 7 * dim + hidden)


# %% q1 wrong: no norms
def depth_parameters(dim, hidden, sets):
    return sets * (4 * dim**2 + 2 * dim * hidden + 5 * dim + hidden)


# %% q1 wrong: no projection of the heads
def depth_parameters(dim, hidden, sets):
    return sets * (3 * dim**2 + 2 * dim * hidden + 8 * dim + hidden)


# %% q1 wrong: one set, whatever is asked
def depth_parameters(dim, hidden, sets):
    return 4 * dim**2 + 2 * dim * hidden + 9 * dim + hidden


# %% q1 wrong: hidden taken for four times the width
def depth_parameters(dim, hidden, sets):
    return sets * (12 * dim**2 + 13 * dim)


# %% q1 wrong: the biases of the MLP exchanged
def depth_parameters(dim, hidden, sets):
    return sets * (4 * dim**2 + 2 * dim * hidden + 8 * dim + 2 * hidden)


# %% q1 wrong: norms without a shift
def depth_parameters(dim, hidden, sets):
    return sets * (4 * dim**2 + 2 * dim * hidden + 7 * dim + hidden)


# %% q1 wrong: embedding and head as well
def depth_parameters(dim, hidden, sets):
    return sets * (4 * dim**2 + 2 * dim * hidden + 9 * dim + hidden) + 50 * dim + 10 * dim + 10


# %% q2 right: by cases
def options(kind, layers, sets):
    steps, left = divmod(layers, sets)
    if left:
        raise ValueError("sets must divide layers")
    rule = "lie-trotter" if kind == "usual" else "euler"
    return {"step_size": 1, "steps": steps, "intervals": sets, "step_rule": rule}


# %% q2 right: dict and a table of rules
RULES = {"usual": "lie-trotter", "parallel": "euler"}


def options(kind, layers, sets):
    if sets < 1 or layers % sets != 0:
        raise ValueError(f"cannot share {sets} sets among {layers} layers")
    return dict(step_rule=RULES[kind], intervals=sets, steps=int(layers / sets), step_size=1.0)


# %% q2 right: the error comes from a check of the product
def options(kind, layers, sets):
    found = {"intervals": sets, "steps": layers // sets, "step_size": 1.0}
    found["step_rule"] = ["euler", "lie-trotter"][kind == "usual"]
    if found["intervals"] * found["steps"] != layers:
        raise ValueError(layers, sets)
    return found


# %% q2 wrong: rules exchanged
def options(kind, layers, sets):
    if layers % sets:
        raise ValueError
    rule = {"parallel": "lie-trotter", "usual": "euler"}[kind]
    return {"step_rule": rule, "intervals": sets, "steps": layers // sets, "step_size": 1.0}


# %% q2 wrong: sets and steps exchanged
def options(kind, layers, sets):
    if layers % sets:
        raise ValueError
    rule = {"usual": "lie-trotter", "parallel": "euler"}[kind]
    return {"step_rule": rule, "intervals": layers // sets, "steps": sets, "step_size": 1.0}


# %% q2 wrong: rounds down
def options(kind, layers, sets):
    rule = {"usual": "lie-trotter", "parallel": "euler"}[kind]
    return {"step_rule": rule, "intervals": sets, "steps": layers // sets, "step_size": 1.0}


# %% q2 wrong: the time stays one for each set
def options(kind, layers, sets):
    if layers % sets:
        raise ValueError
    rule = {"usual": "lie-trotter", "parallel": "euler"}[kind]
    return {
        "step_rule": rule,
        "intervals": sets,
        "steps": layers // sets,
        "step_size": sets / layers,
    }


# %% q2 wrong: as many steps as layers
def options(kind, layers, sets):
    if layers % sets:
        raise ValueError
    rule = {"usual": "lie-trotter", "parallel": "euler"}[kind]
    return {"step_rule": rule, "intervals": sets, "steps": layers, "step_size": 1.0}


# %% q2 wrong: always one step
def options(kind, layers, sets):
    if layers % sets:
        raise ValueError
    rule = {"usual": "lie-trotter", "parallel": "euler"}[kind]
    return {"step_rule": rule, "intervals": sets, "steps": 1, "step_size": 1.0}


# %% q2 wrong: Strang for the usual layer
def options(kind, layers, sets):
    if layers % sets:
        raise ValueError
    rule = {"usual": "strang", "parallel": "euler"}[kind]
    return {"step_rule": rule, "intervals": sets, "steps": layers // sets, "step_size": 1.0}


# %% q2 wrong: None in place of an error
def options(kind, layers, sets):
    if layers % sets:
        return None
    rule = {"usual": "lie-trotter", "parallel": "euler"}[kind]
    return {"step_rule": rule, "intervals": sets, "steps": layers // sets, "step_size": 1.0}


# %% q2 wrong: no step size
def options(kind, layers, sets):
    if layers % sets:
        raise ValueError
    rule = {"usual": "lie-trotter", "parallel": "euler"}[kind]
    return {"step_rule": rule, "intervals": sets, "steps": layers // sets}


# %% q4 right: lists of truth values
right = {name: values.tolist() for name, values in right.items()}

# %% q4 right: zeros and ones
right = {name: [int(value) for value in values] for name, values in right.items()}

# %% q4 right: one network trained anew
settings = options("parallel", parameters["layers"], parameters["layers"])
right = {**right, "parallel": train(ViTConfig(**settings, **COMMON), parameters["seed"])}

# %% q4 wrong: another seed
settings = options("parallel", layers, layers)
right = {**right, "parallel": train(ViTConfig(**settings, **COMMON), parameters["seed"] + 1)}

# %% q4 wrong: the two kinds exchanged
right = {
    "usual": right["parallel"],
    "parallel": right["usual"],
    "usual shared": right["parallel shared"],
    "parallel shared": right["usual shared"],
}

# %% q4 wrong: shared and own exchanged
right = {
    "usual": right["usual shared"],
    "parallel": right["parallel shared"],
    "usual shared": right["usual"],
    "parallel shared": right["parallel"],
}

# %% q4 wrong: one network four times
right = dict.fromkeys(right, right["parallel"])

# %% q4 wrong: drawn by a coin
draw = torch.Generator().manual_seed(1)
right = {name: torch.rand(500, generator=draw) < 0.7 for name in right}

# %% q4 wrong: all right
right = dict.fromkeys(right, [True] * 500)

# %% q4 wrong: half of the images
right = {name: values[:250] for name, values in right.items()}

# %% q4 wrong: the network of two weight sets
settings = options("usual", layers, 2)
right = {**right, "usual shared": train(ViTConfig(**settings, **COMMON), parameters["seed"])}

# %% q4 wrong: another width
settings = options("parallel", layers, layers) | {"dim": 48, "num_heads": 2, "mlp_ratio": 2.0}
right = {**right, "parallel": train(ViTConfig(**settings), parameters["seed"])}

# %% q4 wrong: accuracies only
right = {name: [float(values.float().mean())] for name, values in right.items()}


# %% q5 right: SciPy's binomial test
def sign_test(a, b):
    from scipy.stats import binomtest

    one = sum(1 for u, v in zip(a, b) if u and not v)
    n = sum(1 for u, v in zip(a, b) if bool(u) != bool(v))
    return binomtest(one, n).pvalue if n else 1.0


# %% q5 right: fractions
def sign_test(a, b):
    from fractions import Fraction

    signs = [bool(u) - bool(v) for u, v in zip(a, b) if bool(u) != bool(v)]
    n, k = len(signs), min(signs.count(1), signs.count(-1))
    return float(min(Fraction(1), Fraction(2 * sum(math.comb(n, i) for i in range(k + 1)), 2**n)))


# %% q5 right: by logarithms
def sign_test(a, b):
    a, b = torch.as_tensor(a).bool(), torch.as_tensor(b).bool()
    one, other = int((a & ~b).sum()), int((b & ~a).sum())
    n = torch.tensor(float(one + other), dtype=torch.float64)
    k = torch.arange(min(one, other) + 1, dtype=torch.float64)
    logs = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1) - n * math.log(2)
    return min(1.0, 2 * float(logs.logsumexp(0).exp()))


# %% q5 wrong: one-sided
def sign_test(a, b):
    one = sum(bool(u) and not bool(v) for u, v in zip(a, b))
    n = one + sum(bool(v) and not bool(u) for u, v in zip(a, b))
    return sum(math.comb(n, k) for k in range(min(one, n - one) + 1)) / 2**n


# %% q5 wrong: more than one
def sign_test(a, b):
    one = sum(bool(u) and not bool(v) for u, v in zip(a, b))
    n = one + sum(bool(v) and not bool(u) for u, v in zip(a, b))
    return 2 * sum(math.comb(n, k) for k in range(min(one, n - one) + 1)) / 2**n


# %% q5 wrong: the normal distribution
def sign_test(a, b):
    one = sum(bool(u) and not bool(v) for u, v in zip(a, b))
    n = one + sum(bool(v) and not bool(u) for u, v in zip(a, b))
    return math.erfc(abs(2 * one - n) / math.sqrt(2 * n)) if n else 1.0


# %% q5 wrong: all images count
def sign_test(a, b):
    n = len(a)
    one = sum(bool(u) and not bool(v) for u, v in zip(a, b))
    other = sum(bool(v) and not bool(u) for u, v in zip(a, b))
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(one, other) + 1)) / 2**n)


# %% q5 wrong: one tail of the first network
def sign_test(a, b):
    one = sum(bool(u) and not bool(v) for u, v in zip(a, b))
    n = one + sum(bool(v) and not bool(u) for u, v in zip(a, b))
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(one + 1)) / 2**n)


# %% q5 wrong: the tail without its end
def sign_test(a, b):
    one = sum(bool(u) and not bool(v) for u, v in zip(a, b))
    n = one + sum(bool(v) and not bool(u) for u, v in zip(a, b))
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(one, n - one))) / 2**n)


# %% q5 wrong: a single outcome
def sign_test(a, b):
    one = sum(bool(u) and not bool(v) for u, v in zip(a, b))
    n = one + sum(bool(v) and not bool(u) for u, v in zip(a, b))
    return min(1.0, 2 * math.comb(n, one) / 2**n)


# %% q5 wrong: floats that overflow
def sign_test(a, b):
    one = sum(bool(u) and not bool(v) for u, v in zip(a, b))
    n = one + sum(bool(v) and not bool(u) for u, v in zip(a, b))
    tail = sum(float(math.comb(n, k)) for k in range(min(one, n - one) + 1))
    return min(1.0, 2 * tail * 0.5**n)


# %% q5 wrong: unpaired, two proportions
def sign_test(a, b):
    p, q, n = sum(map(bool, a)) / len(a), sum(map(bool, b)) / len(b), len(a)
    pooled = (p + q) / 2
    spread = math.sqrt(2 * pooled * (1 - pooled) / n)
    return math.erfc(abs(p - q) / spread / math.sqrt(2)) if spread else 1.0


# %% q5 wrong: McNemar's chi-square
def sign_test(a, b):
    one = sum(bool(u) and not bool(v) for u, v in zip(a, b))
    other = sum(bool(v) and not bool(u) for u, v in zip(a, b))
    if one + other == 0:
        return 1.0
    return math.erfc(math.sqrt(max(0, abs(one - other) - 1) ** 2 / (one + other) / 2))


# %% q6 right: as tensors
p_values = {name: torch.tensor(value, dtype=torch.float64) for name, value in p_values.items()}

# %% q6 right: by SciPy
from scipy.stats import binomtest


def p_of(one, other):
    wins = sum(bool(u) and not bool(v) for u, v in zip(right[one], right[other]))
    losses = sum(bool(v) and not bool(u) for u, v in zip(right[one], right[other]))
    return binomtest(wins, wins + losses).pvalue if wins + losses else 1.0


p_values = {"layer": p_of("usual", "parallel"), "sharing": p_of("parallel", "parallel shared")}

# %% q6 right: the networks in the other order
p_values = {
    "sharing": sign_test(right["parallel shared"], right["parallel"]),
    "layer": sign_test(right["parallel"], right["usual"]),
}

# %% q6 wrong: the shared ones compared
p_values = {**p_values, "layer": sign_test(right["usual shared"], right["parallel shared"])}

# %% q6 wrong: sharing of the usual
p_values = {**p_values, "sharing": sign_test(right["usual"], right["usual shared"])}

# %% q6 wrong: exchanged
p_values = {"layer": p_values["sharing"], "sharing": p_values["layer"]}

# %% q6 wrong: corrected by half
p_values = {name: value / 2 for name, value in p_values.items()}

# %% q6 wrong: what one would like
p_values = {"layer": 0.03, "sharing": 0.001}

# %% q6 wrong: differences of accuracy
p_values = {
    "layer": float(right["parallel"].float().mean() - right["usual"].float().mean()),
    "sharing": float(right["parallel"].float().mean() - right["parallel shared"].float().mean()),
}

# %% q6 wrong: the first hundred images
p_values = {
    "layer": sign_test(right["usual"][:100], right["parallel"][:100]),
    "sharing": sign_test(right["parallel"][:100], right["parallel shared"][:100]),
}

# %% q6 wrong: a network against itself
p_values = {"layer": sign_test(right["usual"], right["usual"]), "sharing": 1.0}

# %% q6 wrong: only one
p_values = {"layer": p_values["layer"]}
