"""The vision transformer: embed, integrate, read off."""

from jaxtyping import Float
from torch import Tensor, nn

from odelib.layers import DepthBlock, PatchEmbedding, TransformerField
from odelib.models.config import ViTConfig


class ViT(nn.Module):
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
            config.image_size, config.patch_size, config.in_channels, config.dim, config.pool == "class"
        )
        last = max(config.intervals - 1, 1)
        self.depth = DepthBlock(
            [
                TransformerField(
                    config.dim,
                    config.num_heads,
                    config.mlp_ratio,
                    qkv_bias=config.qkv_bias,
                    dropout=config.dropout,
                    # A single interval takes the whole rate: there is no depth over which it could grow.
                    drop_path=config.drop_path * (i / last if config.intervals > 1 else 1.0),
                )
                for i in range(config.intervals)
            ],
            config.step_rule,
            config.schedule,
        )
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.head = nn.Linear(config.dim, config.num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                # A variance of 1 / inputs keeps the size of the signal at every width; DeiT's 0.02 is too small for
                # the narrow models here, which then learn more slowly. It matters at the start only: weights from
                # elsewhere replace it.
                nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

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
