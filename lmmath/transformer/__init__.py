"""The Transformer: its layers, the encoder-decoder of 2017, and GPT-2's decoder."""

from lmmath.transformer.decoder_only import (
    GPTConfig,
    causal_self_attention,
    gpt,
    gpt_block,
    gpt_shapes,
    gpt_trace,
    gpt_with_cache,
    init_gpt,
    logit_lens,
)
from lmmath.transformer.encoder_decoder import (
    TransformerConfig,
    decoder_layer,
    encoder_layer,
    init_transformer,
    transformer,
    transformer_shapes,
)
from lmmath.transformer.hugging_face import load_gpt2
from lmmath.transformer.layers import (
    embed,
    feed_forward,
    layer_norm,
    rms_norm,
    swiglu,
)
from lmmath.transformer.parameters import count_parameters, subset

__all__ = [
    "GPTConfig",
    "TransformerConfig",
    "causal_self_attention",
    "count_parameters",
    "decoder_layer",
    "embed",
    "encoder_layer",
    "feed_forward",
    "gpt",
    "gpt_block",
    "gpt_shapes",
    "gpt_trace",
    "gpt_with_cache",
    "init_gpt",
    "init_transformer",
    "layer_norm",
    "load_gpt2",
    "logit_lens",
    "rms_norm",
    "subset",
    "swiglu",
    "transformer",
    "transformer_shapes",
]
