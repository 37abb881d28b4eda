"""Measurements on fields, step rules and models; each returns plain numbers or tensors."""

from odelib.analysis.convergence import convergence_order, global_errors
from odelib.analysis.splitting import splitting_defect

__all__ = ["convergence_order", "global_errors", "splitting_defect"]
