"""The same tensors under other names, none of them lost."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from odelib.models.wrappers import plain_name

Pairs = Sequence[tuple[str, str]]
"""(name before, name after), each the beginning of a parameter's name; ``{i}`` is the number of a layer."""


def rename(state: Mapping[str, Tensor], pairs: Pairs, source: str, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors under their new names.

    Args:
        state: The tensors by their names, which may be those in a wrapper such as ``torch.compile``'s.
        pairs: The names.
        source: What the tensors should be of, for the message.
        prefix: What stands before all names or before none.

    Raises:
        ValueError: A tensor has no counterpart, or two have the same one.
    """
    patterns = [(re.compile(re.escape(old).replace(r"\{i\}", r"(\d+)") + r"(?=\.|$)"), new) for old, new in pairs]
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        plain = plain_name(name).removeprefix(prefix)
        matches = ((pattern.match(plain), new) for pattern, new in patterns)
        match, new = next(((match, new) for match, new in matches if match is not None), (None, ""))
        if match is None:
            raise ValueError(
                f"the parameter {name!r} has no counterpart: expected a state dict of {source}; models with further "
                "parts (distillation token, register tokens, layer scale, convolutional stem, adapters) are not covered"
            )
        full = new.replace("{i}", "".join(match.groups())) + plain[match.end() :]
        if full in renamed:
            raise ValueError(f"the parameter {name!r} came twice, with and without {prefix!r} before it: leave one out")
        renamed[full] = tensor
    return renamed


def reverse(pairs: Pairs) -> Pairs:
    """Return the pairs for the way back."""
    return [(new, old) for old, new in pairs]
