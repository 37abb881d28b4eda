"""Speed, error, memory and host reads of the solvers, side by side with torchdiffeq, torchode and torchdyn in one run.

Ratio: time of a solve over the time of its own field evaluations and nothing else, both in the same round; the median
over the rounds, and half the distance of the quartiles. In modes that evaluate again on the way back, those
evaluations count. Error: of y(T), or of all gradients in the rows with a backward pass, relative to float64 and dopri8
at a tight tolerance. One thread gives the stablest ratios; on a busy machine take --threads 1 --clock cpu.
"""

import argparse
import os
import platform
import warnings
from pathlib import Path
from typing import Any

import torch
import torchdiffeq
from _contenders import (
    compiled,
    door,
    hand_adjoint,
    hand_dopri5,
    hand_fixed,
    ours_adaptive,
    ours_fixed,
    peers,
    torchdyn,
    torchdyn_run,
    torchode,
    torchode_run,
)
from _diagram import run_diagram
from _fields import linear, mlp, transformer
from _memory import run_memory
from _reads import run_reads
from _timing import CLOCKS, Case, Contender, Timer, run_case

import odelib
from odelib.solvers import Adjoint

SECTIONS = ("small", "transformer", "memory", "reads", "diagram")
RTOL, ATOL = 1e-5, 1e-7


def fixed_case(
    title: str, problem: tuple[Any, Any], eager: float, with_compiled: float | None, backward: bool = False
) -> Case:
    """Return rk4 with 16 steps, forward, by all that have it."""
    field, y0 = problem
    times = torch.linspace(0.0, 1.0, 17, device=y0.device)
    contenders = [
        Contender("hand loop", hand_fixed("rk4", 16)),
        Contender("odelib.solve", ours_fixed("rk4", 16), eager),
        Contender("odelib.odeint", door(odelib, "rk4", options={"step_size": 1 / 16})),
        Contender("torchdiffeq", lambda f, y: torchdiffeq.odeint(f, y, times, method="rk4")[-1]),
    ]
    if torchdyn is not None:
        contenders.append(Contender("torchdyn", torchdyn_run("rk4", steps=16)))
    if with_compiled is not None:
        # The loop by hand shows what compiling itself can give on this machine.
        for name, run, bound in (
            ("hand loop compiled", hand_fixed("rk4", 16), None),
            ("odelib.solve compiled", ours_fixed("rk4", 16), with_compiled),
        ):
            contenders.append(Contender(name, compiled(run), bound, run))
    return Case(f"{title}: rk4, 16 steps, forward", field, y0, 1.0, backward, contenders)


def dopri5_case(
    title: str, problem: tuple[Any, Any], bound: float, backward: bool, rtol: float = 1e-11, adjoint: bool = False
) -> Case:
    """Return dopri5 by all."""
    field, y0 = problem
    contenders = [
        Contender("hand loop", hand_dopri5(RTOL, ATOL)),
        Contender("odelib.solve", ours_adaptive("dopri5", RTOL, ATOL), bound),
        Contender("odelib.odeint", door(odelib, "dopri5", rtol=RTOL, atol=ATOL)),
        Contender("torchdiffeq", door(torchdiffeq, "dopri5", rtol=RTOL, atol=ATOL)),
    ]
    if torchdyn is not None:
        contenders.append(Contender("torchdyn", torchdyn_run("dopri5", rtol=RTOL, atol=ATOL)))
    if torchode is not None:
        contenders.append(Contender("torchode", torchode_run("dopri5", RTOL, ATOL)))
    if adjoint:
        contenders += [
            Contender(f"odelib {mode}", ours_adaptive("dopri5", RTOL, ATOL, gradient=mode), bound)
            for mode in ("checkpoint", "adjoint", "reversible")
        ]
        contenders.append(
            Contender("torchdiffeq adjoint", door(torchdiffeq, "dopri5", adjoint=True, rtol=RTOL, atol=ATOL))
        )
    kind = "forward + backward" if backward else "forward"
    return Case(f"{title}: dopri5, rtol {RTOL:.0e}, {kind}", field, y0, 1.0, backward, contenders, rtol=rtol)


def adjoint_case(title: str, problem: tuple[Any, Any], steps: int) -> Case:
    """Return the adjoint mode of rk4 (here Kutta's 3/8 rule for the doors) against the loop by hand."""
    field, y0 = problem
    size: dict[str, Any] = {"options": {"step_size": 1 / steps}}
    contenders = [
        Contender("hand adjoint loop", hand_adjoint(steps)),
        Contender("odelib.solve adjoint", ours_fixed("rk4", steps, gradient="adjoint")),
        Contender("odelib.odeint_adjoint", door(odelib, "rk4", adjoint=True, **size)),
        Contender("torchdiffeq adjoint", door(torchdiffeq, "rk4", adjoint=True, **size)),
    ]
    relative = [("odelib.odeint_adjoint", "hand adjoint loop", 1.35)]
    return Case(f"{title}: rk4, {steps} steps, adjoint", field, y0, 1.0, True, contenders, relative, rtol=1e-7)


def modes_case(title: str, problem: tuple[Any, Any], rule: str, steps: int) -> Case:
    """Return one fixed rule in all gradient modes."""
    field, y0 = problem
    # The adjoint equation has no terms to be split into: it is solved by a Runge-Kutta rule of the splitting's order.
    way_back = {"lie-trotter": "euler", "strang": "midpoint"}
    adjoint = Adjoint(rule=way_back.get(rule))
    bound = 1.03
    contenders = [
        Contender("hand loop", hand_fixed(rule, steps)),
        Contender("odelib backprop", ours_fixed(rule, steps), bound),
        Contender("odelib checkpoint", ours_fixed(rule, steps, gradient="checkpoint"), bound),
        Contender("odelib adjoint", ours_fixed(rule, steps, gradient=adjoint), bound),
        Contender("odelib reversible", ours_fixed(rule, steps, gradient="reversible"), bound),
    ]
    if rule not in way_back:
        size: dict[str, Any] = {"options": {"step_size": 1 / steps}}
        contenders.append(Contender("torchdiffeq", door(torchdiffeq, rule, **size)))
        contenders.append(Contender("torchdiffeq adjoint", door(torchdiffeq, rule, adjoint=True, **size)))
        if torchdyn is not None:
            contenders.append(Contender("torchdyn", torchdyn_run(rule, steps=steps)))
    relative = [("odelib checkpoint", "odelib backprop", 1.45)]
    name = f"{title}: {rule}, {steps} steps, forward + backward"
    return Case(name, field, y0, 1.0, True, contenders, relative, rtol=1e-7)


def run_small(timer: Timer, device: str, quick: bool) -> None:
    """Measure the small fields."""
    one, many, line = mlp(1, device), mlp(128, device), linear(device)
    run_case(fixed_case("2-50-2 MLP, batch 1", one, 1.4, None), timer)
    run_case(fixed_case("2-50-2 MLP, batch 128", many, 1.2, None if quick else 0.6), timer)
    run_case(dopri5_case("2-50-2 MLP, batch 1", one, 3.0, backward=False), timer)
    run_case(dopri5_case("2-50-2 MLP, batch 1", one, 2.1, backward=True), timer)
    run_case(fixed_case("linear, dim 10", line, 2.2, None if quick else 0.45), timer)
    run_case(dopri5_case("linear, dim 10", line, 7.0, backward=False), timer)
    run_case(adjoint_case("linear, dim 10", line, 16), timer)


def run_transformer(timer: Timer, device: str, quick: bool) -> None:
    """Measure the rows of the DeiT-Ti-size field."""
    rules = ("rk4", "lie-trotter") if quick else ("euler", "midpoint", "rk4", "lie-trotter", "strang")
    for batch in (8,) if quick else (8, 32):
        problem, title = transformer(batch, device), f"DeiT-Ti-size field, batch {batch}, 64 tokens"
        for rule in rules:
            run_case(modes_case(title, problem, rule, 2 if quick else 4), timer)
        run_case(dopri5_case(title, problem, 1.05, backward=False, rtol=1e-7), timer)
        if not quick:
            run_case(dopri5_case(title, problem, 1.05, backward=True, rtol=1e-7, adjoint=True), timer)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; bad input ends with status 2."""

    def positive(text: str) -> int:
        value = int(text)
        if value < 1:
            raise argparse.ArgumentTypeError(f"{text} came, at least 1 is needed")
        return value

    def picture(text: str) -> Path:
        path = Path(text)
        if path.suffix not in (".svg", ".png", ".pdf"):
            raise argparse.ArgumentTypeError(f"{text} came, a file that ends in .svg, .png or .pdf is needed")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"the folder {path.parent} does not exist: make it first")
        return path

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=positive, default=2, help="torch's threads (default 2)")
    parser.add_argument("--rounds", type=positive, help="samples per contender (default 15, quick 3)")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help="cpu: time of this process alone")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the times are taken")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections to run (default all)")
    parser.add_argument("--plot", type=picture, help="where the work-precision diagram goes (.svg, .png, .pdf)")
    parser.add_argument("--quick", action="store_true", help="fewer cases and rounds, nothing compiled: two minutes")
    chosen = parser.parse_args(arguments)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda came, but torch finds no GPU here: leave it out")
    if chosen.clock == "cpu" and chosen.device == "cuda":
        parser.error("--clock cpu does not see the GPU's time: take --clock wall")
    return chosen


def main() -> None:
    """Run the sections that are asked for."""
    chosen = options()
    torch.set_num_threads(chosen.threads)
    warnings.filterwarnings("ignore", module="torchdyn")
    quick = chosen.quick
    print(f"torch {torch.__version__}, {peers()}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {chosen.threads} threads, {chosen.clock} clock", end=", ")
    print(f"times on {chosen.device}, load {os.getloadavg()[0]:.1f} at the beginning")
    rounds = chosen.rounds or (3 if quick else 15)
    small = Timer(rounds, 0.005 if quick else 0.03, chosen.clock)
    large = Timer(chosen.rounds or (2 if quick else 7), 0.0, chosen.clock)
    if "small" in chosen.only:
        run_small(small, chosen.device, quick)
    if "transformer" in chosen.only:
        run_transformer(large, chosen.device, quick)
    if "memory" in chosen.only:
        run_memory("cpu", 8 if quick else 64)
        if torch.cuda.is_available():
            run_memory("cuda", 8 if quick else 64)
        else:
            print("  no GPU here: its peaks were not measured")
    if "reads" in chosen.only:
        run_reads()
    if "diagram" in chosen.only:
        tolerances = [10.0**-n for n in range(3, 10, 3 if quick else 1)]
        run_diagram(Timer(2 if quick else 5, 0.005, chosen.clock), tolerances, chosen.plot)


if __name__ == "__main__":
    main()
