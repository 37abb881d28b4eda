"""Answers to the exercises of the chapter on gradients through a solver."""

import torch


def _vjp(F, t, x, a):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(F(t, x), x, a)[0]


def _jacobian(F, t, x):
    return torch.autograd.functional.jacobian(lambda x: F(t, x), x)


def _back(F, t, x, a, h):
    return a + h * _vjp(F, t, x, a)


def _back_through_the_step(F, t, x, a, h):
    x = x.clone().detach().requires_grad_()
    return torch.autograd.grad(x + h * F(t, x), x, a)[0]


def _back_functional(F, t, x, a, h):
    return torch.add(a, torch.func.vjp(lambda x: F(t, x), x)[1](a)[0], alpha=h)


def _back_forward_product(F, t, x, a, h):
    return a + h * _jacobian(F, t, x) @ a


def _back_minus(F, t, x, a, h):
    return a - h * _vjp(F, t, x, a)


def _back_no_residual(F, t, x, a, h):
    return h * _vjp(F, t, x, a)


def _back_no_step(F, t, x, a, h):
    return a + _vjp(F, t, x, a)


def _back_bare(F, t, x, a, h):
    return _vjp(F, t, x, a)


def _back_nothing(F, t, x, a, h):
    return a


def _back_implicit(F, t, x, a, h):
    J = _jacobian(F, t, x)
    return torch.linalg.solve(torch.eye(len(a), dtype=a.dtype) - h * J.T, a)


def _back_time_zero(F, t, x, a, h):
    return a + h * _vjp(F, 0.0, x, a)


def _back_late_time(F, t, x, a, h):
    return a + h * _vjp(F, t + h, x, a)


def _back_after_the_step(F, t, x, a, h):
    return a + h * _vjp(F, t, x + h * F(t, x), a)


def _back_marks_the_caller(F, t, x, a, h):
    x.requires_grad_()
    return a + h * torch.autograd.grad(F(t, x), x, a)[0]


def _back_full_jacobian(F, t, x, a, h):
    return a + h * _jacobian(F, t, x).mT @ a


def _back_differences(F, t, x, a, h, eps=1e-6):
    columns = [(F(t, x + eps * e) - F(t, x - eps * e)) / (2 * eps) for e in torch.eye(x.numel(), dtype=x.dtype)]
    return a + h * torch.stack(columns) @ a


def _back_mapped_jacobian(F, t, x, a, h):
    return a + h * torch.func.jacrev(lambda x: F(t, x))(x).mT @ a


def _back_whole_jacobian(F, t, x, a, h):
    return a + h * _jacobian(F, t, x).T @ a


def _back_dot(F, t, x, a, h):
    x = x.detach().requires_grad_()
    (F(t, x) * a).sum().backward()
    return a + h * x.grad


def _undo(psi, t, h, y, z, lam):
    z = z + psi(t + h, -h, y)
    return (y - (1 - lam) * z - psi(t, h, z)) / lam, z


def _undo_lerp(psi, t, h, y, z, lam):
    old = z + psi(t + h, -h, y)
    return torch.lerp(old, y - psi(t, h, old), 1 / lam), old


def _undo_list(psi, t, h, y, z, lam):
    z = psi(t + h, -h, y) + z
    rest = y - psi(t, h, z)
    return [rest / lam - z / lam + z, z]


def _undo_wrong_order(psi, t, h, y, z, lam):
    y = (y - (1 - lam) * z - psi(t, h, z)) / lam
    return y, z + psi(t + h, -h, y)


def _undo_stale_z(psi, t, h, y, z, lam):
    old = z + psi(t + h, -h, y)
    return (y - (1 - lam) * z - psi(t, h, z)) / lam, old


def _undo_minus(psi, t, h, y, z, lam):
    z = z - psi(t + h, -h, y)
    return (y - (1 - lam) * z - psi(t, h, z)) / lam, z


def _undo_forward_step(psi, t, h, y, z, lam):
    z = z + psi(t + h, h, y)
    return (y - (1 - lam) * z - psi(t, h, z)) / lam, z


def _undo_minus_forward_step(psi, t, h, y, z, lam):
    z = z - psi(t + h, h, y)
    return (y - (1 - lam) * z - psi(t, h, z)) / lam, z


def _undo_early_time(psi, t, h, y, z, lam):
    z = z + psi(t, -h, y)
    return (y - (1 - lam) * z - psi(t, h, z)) / lam, z


def _undo_late_time(psi, t, h, y, z, lam):
    z = z + psi(t + h, -h, y)
    return (y - (1 - lam) * z - psi(t + h, h, z)) / lam, z


def _undo_no_division(psi, t, h, y, z, lam):
    z = z + psi(t + h, -h, y)
    return y - (1 - lam) * z - psi(t, h, z), z


def _undo_no_coupling(psi, t, h, y, z, lam):
    z = z + psi(t + h, -h, y)
    return y - psi(t, h, z), z


def _undo_no_share(psi, t, h, y, z, lam):
    z = z + psi(t + h, -h, y)
    return (y - psi(t, h, z)) / lam, z


def _undo_couples_again(psi, t, h, y, z, lam):
    z = z + psi(t + h, -h, y)
    return lam * y + (1 - lam) * z - psi(t, h, z), z


def _undo_steps_backwards(psi, t, h, y, z, lam):
    z = z + psi(t + h, -h, y)
    return y + psi(t, -h, z), z


def _undo_coupling_saw_new_z(psi, t, h, y, z, lam):
    old = z + psi(t + h, -h, y)
    return (y - (1 - lam) * z - psi(t, h, old)) / lam, old


def _undo_exchanged(psi, t, h, y, z, lam):
    return _undo(psi, t, h, y, z, lam)[::-1]


def _undo_y_only(psi, t, h, y, z, lam):
    return _undo(psi, t, h, y, z, lam)[0]


def _slope(c, x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(c(x), x)[0]


def _price(F, c, t, x, a):
    return -_vjp(F, t, x, a) - _slope(c, x)


def _price_hamiltonian(F, c, t, x, a):
    x = x.detach().requires_grad_()
    return -torch.autograd.grad((F(t, x) * a).sum() + c(x), x)[0]


def _price_plus(F, c, t, x, a):
    return -_vjp(F, t, x, a) + _slope(c, x)


def _price_missing(F, c, t, x, a):
    return -_vjp(F, t, x, a)


def _price_wrong_adjoint_sign(F, c, t, x, a):
    return _vjp(F, t, x, a) - _slope(c, x)


def _price_forward_product(F, c, t, x, a):
    return -_jacobian(F, t, x) @ a - _slope(c, x)


def _price_only(F, c, t, x, a):
    return -_slope(c, x)


def _price_itself(F, c, t, x, a):
    return -_vjp(F, t, x, a) - c(x)


def _differences(f, x, eps):  # of a function of one state, to each entry
    return torch.stack([(f(x + eps * e) - f(x - eps * e)) / (2 * eps) for e in torch.eye(x.numel(), dtype=x.dtype)])


def _price_by_differences(F, c, t, x, a, eps=1e-5):
    return -_differences(lambda x: F(t, x), x, eps) @ a - _differences(c, x, eps)


def _price_half_by_differences(F, c, t, x, a):
    return -_vjp(F, t, x, a) - _differences(c, x, 1e-5)


def _price_by_mapped_differences(F, c, t, x, a, eps=1e-5):
    def along(e):
        return ((F(t, x + eps * e) - F(t, x - eps * e)) @ a + c(x + eps * e) - c(x - eps * e)) / (2 * eps)

    return -torch.vmap(along)(torch.eye(x.numel(), dtype=x.dtype))


def _price_marks_the_caller(F, c, t, x, a):
    x.requires_grad_()
    return -torch.autograd.grad((F(t, x) * a).sum() + c(x), x)[0]


RIGHT = {
    "one-step-back": [_back, _back_through_the_step, _back_functional, _back_dot],
    "undo-step": [_undo, _undo_lerp, _undo_list, lambda *a: torch.stack(_undo(*a))],
    "running-cost": [
        _price,
        _price_hamiltonian,
        lambda *given: _price(*given).numpy(),
        lambda *given: _price(*given).tolist(),
        lambda *given: _price(*given).float(),
    ],
}

WRONG = {
    "one-step-back": [
        ("J instead of its transpose", _back_forward_product, "through the transpose"),
        ("wrong sign", _back_minus, "sign is wrong"),
        ("dropped residual", _back_no_residual, "residual is missing"),
        ("no step size", _back_no_step, "step size is missing"),
        ("only the product", _back_bare, "residual and the step size are missing"),
        ("nothing happens", _back_nothing, "field is missing"),
        ("implicit step", _back_implicit, "implicit step"),
        ("time zero", _back_time_zero, "sees t = 0"),
        ("time at the end", _back_late_time, "time at the end"),
        ("state after the step", _back_after_the_step, "taken after the step"),
        ("caller's x marked", _back_marks_the_caller, "has changed"),
        ("jacobian of a batch", _back_full_jacobian, "12 products"),
        ("mapped Jacobian", _back_mapped_jacobian, "with three states at once"),
        ("whole Jacobian", _back_whole_jacobian, "12 products"),
        ("finite differences", _back_differences, "24 evaluations"),
        ("a overwritten", lambda F, t, x, a, h: a.add_(h * _vjp(F, t, x, a)), "changes its argument"),
        ("always h = 0.5", lambda F, t, x, a, h: _back(F, t, x, a, 0.5), "h = 0.25"),
        ("no function", 3.0, "Pass the function itself"),
    ],
    "undo-step": [
        ("y first", _undo_wrong_order, "z comes first"),
        ("stale z", _undo_stale_z, "computed from the new z"),
        ("wrong sign", _undo_minus, "so add it"),
        ("step size h for z", _undo_forward_step, "step size -h, also"),
        ("minus step size h for z", _undo_minus_forward_step, "differ in their h^2 terms"),
        ("time of z", _undo_early_time, "at the end of the step, t + h"),
        ("time of y", _undo_late_time, "at the step's beginning"),
        ("no division", _undo_no_division, "Divide by lambda"),
        ("no coupling", _undo_no_coupling, "coupling is missing"),
        ("no share of z", _undo_no_share, "share of z is missing"),
        ("couples again", _undo_couples_again, "couples once more"),
        ("a step backwards", _undo_steps_backwards, "does not undo"),
        ("coupling with the new z", _undo_coupling_saw_new_z, "coupling saw the old z"),
        ("exchanged", _undo_exchanged, "exchanged"),
        ("only y", _undo_y_only, "has shape"),
        ("a dictionary", lambda *a: dict(zip("yz", _undo(*a), strict=True)), "Return two states"),
        (
            "writes into z",
            lambda psi, t, h, y, z, lam: _undo(psi, t, h, y, z.add_(1).sub_(0.5), lam),
            "argument number 5",
        ),
        ("always h = 0.5", lambda psi, t, h, y, z, lam: _undo(psi, t, 0.5, y, z, lam), "h = 0.25, from t = 2"),
        ("always t = 1", lambda psi, t, h, y, z, lam: _undo(psi, 1.0, h, y, z, lam), "h = 0.25, from t = 2"),
        ("rounded", lambda *a: [state.round() for state in _undo(*a)], "instead of"),
    ],
    "running-cost": [
        ("sign of the price", _price_plus, "sign of the price"),
        ("no price", _price_missing, "price is missing"),
        ("sign of the adjoint", _price_wrong_adjoint_sign, "sign of J^T a"),
        ("J instead of its transpose", _price_forward_product, "proof has its transpose"),
        ("only the price", _price_only, "carried back"),
        ("half the price", lambda F, c, t, x, a: _price(F, c, t, x, a) + _slope(c, x) / 2, "counts once"),
        ("the price itself", _price_itself, "derivative of the price"),
        ("frozen time", lambda F, c, t, x, a: _price(F, c, 0.0, x, a), "pass t on"),
        ("caller's x marked", _price_marks_the_caller, "has changed"),
        ("differences", _price_by_differences, "48 times"),
        ("differences of the price", _price_half_by_differences, "25 times"),
        ("mapped differences", _price_by_mapped_differences, "difference quotient"),
        ("this price alone", lambda F, c, t, x, a: -_vjp(F, t, x, a) - 2 * x - torch.eye(2)[0] * 3, "passed in"),
        ("a overwritten", lambda F, c, t, x, a: _price(F, c, t, x, a) + a.zero_(), "changes its argument number 5"),
        ("no function", 3.0, "Pass the function itself"),
    ],
}
