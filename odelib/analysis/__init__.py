"""Measurements on fields, step rules and models; each returns plain numbers or tensors."""

from odelib.analysis.clustering import effective_rank, mean_cosine, token_spread
from odelib.analysis.commuting import Commuting, commuting, critical_steps
from odelib.analysis.convergence import convergence_order, global_errors, refinement_errors
from odelib.analysis.cost import Cost, activation_memory, cost_of, count_flops, count_parameters, field_flops
from odelib.analysis.depth import Step, Trajectory, steps_of, swapped, trajectory
from odelib.analysis.jacobian import singular_values, singular_values_by_step
from odelib.analysis.lyapunov import finite_time_exponents, lyapunov_exponents
from odelib.analysis.nfe import NfeStudy, nfe_by_input
from odelib.analysis.scalars import ScalarSteps, with_scalars
from odelib.analysis.splitting import (
    SplittingProfile,
    commutator,
    splitting_defect,
    splitting_gaps,
    splitting_profile,
)
from odelib.analysis.surgery import Surgery, count_layers, operate, permuted, shares_weights
from odelib.analysis.swap import SwapStudy, swap_study
from odelib.analysis.trajectories import (
    action,
    curvature,
    kinetic_energy,
    path_length,
    principal_plane,
    turning_angles,
)

__all__ = [
    "Commuting",
    "Cost",
    "NfeStudy",
    "ScalarSteps",
    "SplittingProfile",
    "Step",
    "Surgery",
    "SwapStudy",
    "Trajectory",
    "action",
    "activation_memory",
    "commutator",
    "commuting",
    "convergence_order",
    "cost_of",
    "count_flops",
    "count_layers",
    "count_parameters",
    "critical_steps",
    "curvature",
    "effective_rank",
    "field_flops",
    "finite_time_exponents",
    "global_errors",
    "kinetic_energy",
    "lyapunov_exponents",
    "mean_cosine",
    "nfe_by_input",
    "operate",
    "path_length",
    "permuted",
    "principal_plane",
    "refinement_errors",
    "shares_weights",
    "singular_values",
    "singular_values_by_step",
    "splitting_defect",
    "splitting_gaps",
    "splitting_profile",
    "steps_of",
    "swap_study",
    "swapped",
    "token_spread",
    "trajectory",
    "turning_angles",
    "with_scalars",
]
