import torch


def matrix_bracket(S, R):
    return S @ R - R @ S


def matrix_bracket_by_columns(S, R):
    columns = [S @ (R @ e) - R @ (S @ e) for e in torch.eye(len(S), dtype=S.dtype)]
    return torch.stack(columns, dim=1)


def mended(pair, flow_M, x, h, n):
    x = flow_M(x, h / 2)
    for _ in range(n):
        x = pair(x, h)
    return flow_M(x, -h / 2)


def mended_in_each_step(pair, flow_M, x, h, n):
    for _ in range(n):
        x = flow_M(pair(flow_M(x, h / 2), h), -h / 2)
    return x


def steps(before, after, extra=0):
    def answer(pair, flow_M, x, h, n):
        x = flow_M(x, before * h)
        for _ in range(n + extra):
            x = pair(x, h)
        return flow_M(x, after * h)

    return answer


def only_one(pair, flow_M, x, h, n):
    return flow_M(pair(flow_M(x, h / 2), h), -h / 2)


def no_start(pair, flow_M, x, h, n):
    for _ in range(n):
        x = pair(x, h)
    return flow_M(x, -h / 2)


ROOT = 4 ** (1 / 3)
GAMMA = 1 / (4 - ROOT)
TRIPLE = 1 / (2 - 2 ** (1 / 3))

RIGHT = {
    "matrix-bracket": (matrix_bracket, matrix_bracket_by_columns),
    "parking": ((-1, 2), [-1.0, 2.0]),
    "mend-ends": (mended, mended_in_each_step),
    "inside-out": ((-1 / 4, 0, 0, -1 / 2), torch.tensor([-0.25, 0.0, 0.0, -0.5])),
    "five-steps": ((GAMMA, 1 - 4 * GAMMA), [0.41449, -0.65796]),
}

WRONG = {
    "matrix-bracket": (
        ("sign", lambda S, R: R @ S - S @ R, "sign is wrong"),
        ("entry by entry", lambda S, R: S * R - R * S, "entry by entry"),
        ("first term only", lambda S, R: S @ R, "subtract M'[A]"),
        ("other term only", lambda S, R: R @ S, "this is M'[A]"),
        ("sum", lambda S, R: S @ R + R @ S, "are added"),
        ("half", lambda S, R: (S @ R - R @ S) / 2, "half belongs"),
        ("rows", lambda S, R: (S @ R - R @ S).T, "transpose"),
        ("in place", lambda S, R: S.zero_(), "changes its argument number 1"),
        ("called already", torch.eye(2), "Pass the function itself"),
    ),
    "parking": (
        ("sign", (1, 2), "parked to its right"),
        ("first half", (-0.5, 2), "first half of the moves"),
        ("first half, sign", (0.5, 2), "Both the sign"),
        ("cancels", (0, 2), "do not cancel"),
        ("doubled", (-2, 2), "with the factor one half"),
        ("first order", (-1, 1), "To the first power"),
        ("third order", (-1, 3), "same sign, so they do not cancel"),
        ("exchanged", (2, -1), "exchanged"),
        ("one number", -1, "2 numbers"),
        ("three numbers", (-1, 2, 0), "2 numbers"),
    ),
    "mend-ends": (
        ("Lie-Trotter", steps(0, 0), "as it is"),
        ("not taken back", steps(1 / 2, 0), "half a step too much"),
        ("no start", no_start, "half a step too little"),
        ("forwards at the end", steps(1 / 2, 1 / 2), "whole step too much"),
        ("ends exchanged", steps(-1 / 2, 1 / 2), "ends are exchanged"),
        ("whole steps", steps(1, -1), "take halves"),
        ("one too few", steps(1 / 2, -1 / 2, -1), "one pair too few"),
        ("one too many", steps(1 / 2, -1 / 2, 1), "one pair too many"),
        ("a single pair", only_one, "take n of them"),
        ("in place", lambda pair, flow_M, x, h, n: x.zero_(), "changes its argument number 3"),
    ),
    "inside-out": (
        ("the Macaron", (-1 / 2, 0, 0, -1 / 4), "Macaron layer itself"),
        ("nothing subtracted", (1 / 4, 1 / 2, 1 / 2, 0), "subtract what the flow has"),
        ("sign", (1 / 4, 0, 0, 1 / 2), "sign"),
        ("the usual layer", (-1 / 2, -1 / 2, 1 / 2, -1 / 2), "usual layer"),
        ("the parallel layer", (-1 / 2, -1 / 2, -1 / 2, -1 / 2), "parallel layer"),
        ("exact flows", (0, 0, 0, 0), "exact flows"),
        ("halves do not see each other", (-1 / 2, 0, 0, -1 / 2), "collects a quarter"),
        ("exact in M", (-1 / 4, 0, 0, 0), "misses a half of M'[M]"),
        ("both quartered", (-1 / 4, 0, 0, -1 / 4), "one whole step"),
        ("mixed term kept", (-1 / 4, 1 / 2, 0, -1 / 2), "coefficient of A'[M]"),
        ("three numbers", (-1 / 4, 0, -1 / 2), "4 numbers"),
        ("a half taken as a whole", (0, 1 / 2, 0, -1 / 2), "lasts h / 2"),
        ("the first half as a whole", (-1 / 4, 0, 1 / 2, -1 / 2), "sees only the first half of A"),
    ),
    "five-steps": (
        ("equal steps", (1 / 5, 1 / 5), "4 gamma_1^3"),
        ("Yoshida's", (TRIPLE, 1 - 2 * TRIPLE), "three steps"),
        ("exchanged", (1 - 4 * GAMMA, GAMMA), "exchanged"),
        ("not one together", (GAMMA, 1 - 2 * GAMMA), "add up to"),
        ("plus", (1 / (4 + ROOT), 1 - 4 / (4 + ROOT)), "the cubes add up"),
        ("square root", (1 / (4 - 2), 1 - 4 / (4 - 2)), "the cubes add up"),
        ("fifth root", (1 / (4 - 4 ** (1 / 5)), 1 - 4 / (4 - 4 ** (1 / 5))), "the cubes add up"),
        ("one number", GAMMA, "2 numbers"),
        ("complex numbers", torch.tensor([GAMMA + 1j, 1 - 4 * GAMMA]), "2 numbers"),
    ),
}
