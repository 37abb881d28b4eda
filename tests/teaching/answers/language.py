"""Answers to the exercises of the chapter on language."""

import math
from collections import Counter

import torch


def _causal(q, k, v):
    scores = q @ k.T / math.sqrt(q.shape[1])
    future = torch.ones_like(scores, dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(dim=1) @ v


def _causal_row_by_row(q, k, v):
    rows = []
    for i in range(len(q)):
        weights = (k[: i + 1] @ q[i] / q.shape[1] ** 0.5).softmax(dim=0)
        rows.append(weights @ v[: i + 1])
    return torch.stack(rows)


def _causal_in_torch(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]


def _masked(shift=0, transposed=False, power=0.5, dim=1):
    def attend(q, k, v):
        scores = q @ k.T / q.shape[1] ** power
        allowed = torch.ones_like(scores, dtype=torch.bool).tril(shift)
        allowed = allowed.T if transposed else allowed
        return scores.masked_fill(~allowed, -torch.inf).softmax(dim=dim).nan_to_num() @ v

    return attend


def _unmasked(q, k, v):
    return (q @ k.T / math.sqrt(q.shape[1])).softmax(dim=1) @ v


def _masked_afterwards(q, k, v):
    return (q @ k.T / math.sqrt(q.shape[1])).softmax(dim=1).tril() @ v


def _zero_scores(q, k, v):
    return (q @ k.T / math.sqrt(q.shape[1])).tril().softmax(dim=1) @ v


def _swapped_roles(q, k, v):
    return _causal(k, q, v)


def _cache(tokens, dim, intervals, steps, stages):
    return 2 * tokens * dim * intervals * steps * stages


def _cache_by_loops(tokens, dim, intervals, steps, stages):
    total = 0
    for _ in range(intervals * steps):
        total += stages * (tokens * dim + tokens * dim)
    return total


def _units_by_logarithm(nats):
    return torch.tensor(nats).double().exp(), nats * math.log2(math.e)


def _temperature(logits, temperature):
    return (logits / temperature).softmax(dim=0)


def _temperature_by_powers(logits, temperature):
    weights = logits.exp() ** (1 / temperature)
    return weights / weights.sum()


def _decoder(A, C, M, y, m, h):
    y = y + h * A(y)
    y = y + h * C(y, m)
    return y + h * M(y)


def _decoder_in_a_loop(A, C, M, y, m, h):
    for term in (A, lambda y: C(y, m), M):
        y = torch.add(y, term(y), alpha=h)
    return y


def _decoder_in_place(A, C, M, y, m, h):
    y += h * A(y)
    y += h * C(y, m)
    return y + h * M(y)


def _decoder_parallel(A, C, M, y, m, h):
    return y + h * (A(y) + C(y, m) + M(y))


def _decoder_order(order, size=None):
    def step(A, C, M, y, m, h):
        terms = {"A": A, "C": lambda y: C(y, m), "M": M}
        for name in order:
            y = y + (h if size is None else size) * terms[name](y)
        return y

    return step


def _decoder_no_residual(A, C, M, y, m, h):
    return _decoder(A, C, M, y, m, h) - y


def _decoder_self(A, C, M, y, m, h):
    return _decoder(A, lambda y, m: C(y, y), M, y, m, h)


def _decoder_old_state(A, C, M, y, m, h):
    y1 = y + h * A(y)
    y2 = y1 + h * C(y, m)
    return y2 + h * M(y2)


def _counts(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _precision(written, reference, n):
    ours, theirs = _counts(written, n), _counts(reference, n)
    return sum(min(count, theirs[gram]) for gram, count in ours.items()) / sum(ours.values())


def _precision_crossing_off(written, reference, n):
    grams = [tuple(reference[i : i + n]) for i in range(len(reference) - n + 1)]
    hits = tried = 0
    for i in range(len(written) - n + 1):
        tried += 1
        if tuple(written[i : i + n]) in grams:
            grams.remove(tuple(written[i : i + n]))
            hits += 1
    return hits / tried


def _unclipped(written, reference, n):
    ours, theirs = _counts(written, n), _counts(reference, n)
    return sum(count for gram, count in ours.items() if gram in theirs) / sum(ours.values())


def _recall(written, reference, n):
    return _precision(reference, written, n)


def _kinds(written, reference, n):
    ours, theirs = set(_counts(written, n)), set(_counts(reference, n))
    return len(ours & theirs) / len(ours)


def _by_words(written, reference, n):
    return (_counts(written, n) & _counts(reference, n)).total() / len(written)


RIGHT = {
    "causal-attention": [_causal, _causal_row_by_row, _causal_in_torch],
    "cache-numbers": [_cache, _cache_by_loops],
    "units": [lambda nats: (math.exp(nats), nats / math.log(2)), _units_by_logarithm],
    "next-probabilities": [_temperature, _temperature_by_powers],
    "decoder-step": [_decoder, _decoder_in_a_loop],
    "clipped-precision": [_precision, _precision_crossing_off],
}

WRONG = {
    "causal-attention": [
        ("a number", 3.0, "Pass the function itself"),
        ("no mask", _unmasked, "the mask is missing"),
        ("no root", _masked(power=0), "square root of the width"),
        ("width instead of root", _masked(power=1), "divide by its square root"),
        ("reads the future", _masked(transposed=True), "future instead of their past"),
        ("without itself", _masked(shift=-1), "diagonal"),
        ("softmax over queries", _masked(dim=0), "over the queries"),
        ("mask after softmax", _masked_afterwards, "before the softmax"),
        ("zero instead of -inf", _zero_scores, "still has weight"),
        ("q and k swapped", _swapped_roles, "changed places"),
    ],
    "cache-numbers": [
        ("a number", 3.0, "Pass the function itself"),
        ("keys only", lambda n, d, i, s, m: n * d * i * s * m, "both kept"),
        ("without stages", lambda n, d, i, s, m: 2 * n * d * i * s, "Each stage looks at other states"),
        ("shared weights once", lambda n, d, i, s, m: 2 * n * d * i * m, "different states"),
        ("sets of weights", lambda n, d, i, s, m: 2 * n * d * i, "sets of weights"),
        ("one interval", lambda n, d, i, s, m: 2 * n * d * s * m, "Each interval"),
        ("one token", lambda n, d, i, s, m: 2 * d * i * s * m, "one token"),
        ("queries too", lambda n, d, i, s, m: 3 * n * d * i * s * m, "Queries are not kept"),
        ("scores", lambda n, d, i, s, m: 2 * n * n * i * s * m, "Scores are not kept"),
    ],
    "units": [
        ("a number", 3.0, "Pass the function itself"),
        ("one number", lambda nats: math.exp(nats), "two numbers"),
        ("base two", lambda nats: (2**nats, nats / math.log(2)), "base e"),
        ("inverse", lambda nats: (math.exp(-nats), nats / math.log(2)), "inverse"),
        ("swapped", lambda nats: (nats / math.log(2), math.exp(nats)), "comes first"),
        ("times ln 2", lambda nats: (math.exp(nats), nats * math.log(2)), "divide by ln 2"),
        ("second logarithm", lambda nats: (math.exp(nats), math.log2(nats)), "logarithm already"),
        ("digits", lambda nats: (math.exp(nats), nats / math.log(10)), "decimal"),
        ("nats", lambda nats: (math.exp(nats), nats), "still nats"),
    ],
    "next-probabilities": [
        ("a number", 3.0, "Pass the function itself"),
        ("multiplied", lambda z, t: (z * t).softmax(dim=0), "exchanged"),
        ("no temperature", lambda z, t: z.softmax(dim=0), "no effect"),
        ("divided afterwards", lambda z, t: z.softmax(dim=0) / t, "before the softmax"),
        ("not normalised", lambda z, t: (z / t).exp(), "divide by their sum"),
        ("powers", lambda z, t: z.softmax(dim=0) ** (1 / t), "powers are right"),
        ("logarithms", lambda z, t: (z / t).log_softmax(dim=0), "logarithms"),
        ("twice", lambda z, t: (z.softmax(dim=0) / t).softmax(dim=0), "twice"),
        ("subtracted", lambda z, t: (z - 2 * t + t).softmax(dim=0), "no effect"),
    ],
    "decoder-step": [
        ("a tensor", torch.ones(2), "Pass the function itself"),
        ("parallel", _decoder_parallel, "parallel layer"),
        ("M before C", _decoder_order("AMC"), "C comes before M"),
        ("C first", _decoder_order("CAM"), "A comes before C"),
        ("reverse", _decoder_order("MCA"), "reverse"),
        ("no C", _decoder_order("AM"), "does not read the source"),
        ("no M", _decoder_order("AC"), "M is missing"),
        ("no step size", _decoder_order("ACM", size=1.0), "step size"),
        ("no residual", _decoder_no_residual, "residual"),
        ("C of y and y", _decoder_self, "memory S"),
        ("C at the old state", _decoder_old_state, "where A has led"),
        ("in place", _decoder_in_place, "has changed"),
    ],
    "clipped-precision": [
        ("a number", 0.5, "Pass the function itself"),
        ("unclipped", _unclipped, "clip its count"),
        ("recall", _recall, "recall"),
        ("sets", _kinds, "counts once"),
        ("by words", _by_words, "number of n-grams"),
        ("per cent", lambda w, r, n: 100 * _precision(w, r, n), "per cent"),
        ("a count", lambda w, r, n: (_counts(w, n) & _counts(r, n)).total(), "That is a count"),
        ("single words", lambda w, r, n: _precision(w, r, 1), "single words"),
    ],
}
