"""Models: field x step rule x depth schedule between an embedding and a head."""

from odelib.models.config import ViTConfig
from odelib.models.convert import from_timm, to_timm
from odelib.models.vit import ViT

__all__ = ["ViT", "ViTConfig", "from_timm", "to_timm"]
