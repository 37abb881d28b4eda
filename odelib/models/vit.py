"""The vision transformer: embed, integrate, read off."""

from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers import PatchEmbedding
from odelib.models.build import initialise, make_depth, make_norm
from odelib.models.config import ViTConfig
from odelib.models.pretrained import Pretrained


class ViT(Pretrained, nn.Module):
    """Vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) as an initial-value problem.

    x(0) = embed(images), dx/dt = A(t, x) + M(t, x), logits = head(LN x(T)).

    Input: (batch, channels, image_size, image_size), floating point. Output: logits, (batch, num_classes).

    Args:
        config: What is solved, how, and over which depth.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = PatchEmbedding(
            config.image_size, config.patch_size, config.in_channels, config.dim, config.pool == "class", config.stem
        )
        self.depth = make_depth(config)
        self.norm = make_norm(config)
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass."""
        return self.depth.nfe

    def forward(
        self, images: Float[Tensor, "batch channels height width"], record: list[Tensor] | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits.

        Args:
            images: Normalised images.
            record: A list to which the state (batch, tokens, dim) at time 0 and after each step is appended.
        """
        x = self.embed(images)
        if record is not None:
            record.append(x)
        x = self.norm(self.depth(x, record))
        return self.head(x[:, 0] if self.config.pool == "class" else x.mean(dim=1))  # type: ignore[no-any-return]
