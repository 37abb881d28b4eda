"""What torch puts around a model: the model inside, and the names that its tensors have there."""

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside ``torch.compile``, data parallelism and weight averaging, in whichever order."""
    while True:
        inside = getattr(model, "_orig_mod", None)  # torch.compile's, whose class would have to load the compiler
        if inside is None and isinstance(model, (DataParallel, DistributedDataParallel, AveragedModel)):
            inside = model.module
        if not isinstance(inside, nn.Module):
            return model
        model = inside


def plain_name(name: str) -> str:
    """Return the name of a tensor in a model without the wrappers around it or, by ``torch.compile``, around parts."""
    parts = [part for part in name.split(".") if part != "_orig_mod"]
    while parts[0] == "module":
        del parts[0]
    return ".".join(parts)
