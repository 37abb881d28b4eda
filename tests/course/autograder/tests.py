"""The tests of a small assignment: Euler steps, their gradient, and a number."""

import torch


def grade(namespace, parameters):
    h, scores = parameters["h"], []

    def steps():
        seen = []

        def field(t, x):
            seen.append(t)
            return -x

        x = torch.tensor([1.0, 2.0], dtype=torch.float64)
        y = namespace["euler"](field, x.clone(), h, 3)
        assert torch.allclose(y, x * (1 - h) ** 3), "the end is not where three steps lead"
        assert len(seen) == 3, f"the field was asked {len(seen)} times"

    def gradient():
        x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
        (got,) = torch.autograd.grad(namespace["euler"](lambda t, x: -x * x, x, h, 2).sum(), x)
        middle = x - h * x * x
        (want,) = torch.autograd.grad((middle - h * middle * middle).sum(), x)
        assert torch.allclose(got, want), "the gradient is another"

    def answer():
        assert namespace["answer"] == 42, "the answer is not 42"

    for test, points in ((steps, 2), (gradient, 3), (answer, 1)):
        try:
            test()
            got, message = points, "right"
        except Exception as error:
            got, message = 0, f"{type(error).__name__}: {error}"
        scores.append({"question": test.__name__, "points": got, "out_of": points, "message": message})
    return scores
