"""Transformers as they are published, made small."""

import torch

from ddsp_zoo._compat import import_torchaudio

import_torchaudio()  # transformers imports it too

from transformers import ASTConfig, ASTModel  # noqa: E402


def published_ast(mels: int, frames: int, width: int, depth: int, heads: int, stride: int = 10) -> ASTModel:
    """Makes a `transformers.ASTModel` with random weights, positions and special tokens."""
    torch.manual_seed(1)
    sizes = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads}
    shape = {"num_mel_bins": mels, "max_length": frames, "frequency_stride": stride, "time_stride": stride}
    model = ASTModel(ASTConfig(**sizes, **shape, intermediate_size=4 * width, layer_norm_eps=1e-6)).eval()
    for name in ("cls_token", "distillation_token", "position_embeddings"):
        torch.nn.init.normal_(getattr(model.embeddings, name))
    return model
