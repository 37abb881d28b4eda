"""Models: field x step rule x depth schedule between an embedding and a head."""

from odelib.models.config import (
    CausalLMConfig,
    EncoderDecoderConfig,
    TextClassifierConfig,
    TransformerConfig,
    ViTConfig,
)
from odelib.models.convert import (
    config_from_transformers,
    from_albert,
    from_bert,
    from_gpt2,
    from_gptj,
    from_neox,
    from_timm,
    load_network,
    to_gpt2,
    to_timm,
)
from odelib.models.encoder import Encoder, EncoderConfig
from odelib.models.fields import register_field
from odelib.models.language import CausalLM, TextClassifier
from odelib.models.storage import load_pretrained, save_pretrained
from odelib.models.translation import EncoderDecoder
from odelib.models.vit import ViT

__all__ = [
    "CausalLM",
    "CausalLMConfig",
    "Encoder",
    "EncoderConfig",
    "EncoderDecoder",
    "EncoderDecoderConfig",
    "TextClassifier",
    "TextClassifierConfig",
    "TransformerConfig",
    "ViT",
    "ViTConfig",
    "config_from_transformers",
    "from_albert",
    "from_bert",
    "from_gpt2",
    "from_gptj",
    "from_neox",
    "from_timm",
    "load_network",
    "load_pretrained",
    "register_field",
    "save_pretrained",
    "to_gpt2",
    "to_timm",
]
