r"""PyTorch's own kernels for the formulas that cost most when a model is trained.

A formula written in array operations makes one array for each operation, and PyTorch keeps
most of them for the gradient. A kernel passes over the numbers once. So where a formula of the
book gets PyTorch's tensors, it checks them as always and then calls the function of the same
name here: the same numbers but for rounding, the same gradients. On all other arrays it is
computed as it is written. ``tests/test_torch_kernels.py`` compares the two.

Measured on one core of a processor, with the GPT that comes with the book, these functions
together halve the time of a training step. The attention, which then never writes its weights
down, and the GELU, whose formula takes a dozen passes, save the most.

PyTorch is loaded when the first of them is called, which needs a tensor of its.
"""

from math import inf

import numpy as np

from lmmath._arrays import to_library_of


def dense(x, w, b):
    """Compute ``lmmath.neurons.dense`` up to the activation: the sum begins at the bias."""
    from torch.nn import functional

    if b is not None and b.dtype != x.dtype:
        return x @ w + b
    return functional.linear(x, w.mT, b)


def gelu(x, approximate):
    """Compute ``lmmath.neurons.gelu``, keeping nothing but ``x`` for the gradient.

    Beyond 1e18 in float32 the gradient of the tanh form is NaN, as the kernel cubes ``x``.
    """
    from torch.nn import functional

    return functional.gelu(x, approximate=approximate)


def silu(x):
    """Compute ``lmmath.neurons.silu`` in one pass."""
    from torch.nn import functional

    return functional.silu(x)


def rms_norm(x, weight, eps):
    """Compute ``lmmath.transformer.rms_norm`` in one pass."""
    from torch.nn import functional

    return functional.rms_norm(x, weight.shape, weight, eps)


def layer_norm(x, weight, bias, eps):
    """Compute ``lmmath.transformer.layer_norm``, mean and variance in one pass."""
    from torch.nn import functional

    return functional.layer_norm(x, weight.shape, weight, bias, eps)


def token_losses(logits, targets):
    """Compute ``lmmath.training.token_losses``: the table of probabilities is made once."""
    from torch.nn import functional

    rows = logits.reshape(-1, logits.shape[-1])
    losses = functional.cross_entropy(rows, targets.reshape(-1), reduction="none")
    if _has_nan(losses):
        # Where no token is possible, the kernel gives NaN, and the formula infinity.
        from lmmath.attention import log_softmax

        losses = -log_softmax(rows).gather(-1, targets.reshape(-1, 1))
    return losses.reshape(targets.shape)


def scaled_dot_product_attention(query, key, value, mask, scale, bias=None):
    """Compute ``lmmath.attention.scaled_dot_product_attention`` in blocks of a few positions.

    A causal mask only has to be named: the kernel then leaves out the blocks it forbids.
    """
    from torch.nn import functional

    causal = bias is None and _is_causal(mask)
    forbidden_or_added = None if causal else _mask_and_bias(query, mask, bias)
    mixed = functional.scaled_dot_product_attention(
        query, key, value, forbidden_or_added, is_causal=causal, scale=scale
    )
    if _has_nan(mixed):
        # The kernel lowers forbidden scores by infinity, which leaves NaN as it is.
        from lmmath.attention import attention_weights

        return attention_weights(query, key, mask, scale, bias) @ value
    return mixed


def grouped_attention(query, key, value, mask):
    """Compute attention in which several heads of ``query`` share a head of ``key`` and ``value``.

    All are (..., n_heads, n, d_head), with fewer heads in the last two. ``mask`` is boolean, with
    an axis for the heads if it has more than two. The kernel knows groups for one batch axis.
    """
    from torch.nn import functional

    batch = query.shape[:-3]
    query, key, value = (
        part.reshape(-1, *part.shape[-3:]) for part in (query, key, value)
    )
    causal = _is_causal(mask)
    if causal or (isinstance(mask, np.ndarray) and mask.all()):
        mask = None
    if mask is not None:
        mask = to_library_of(query, mask)
        if mask.ndim > 2:
            mask = mask.expand(*batch, *mask.shape[-3:]).reshape(-1, *mask.shape[-3:])
    mixed = functional.scaled_dot_product_attention(
        query, key, value, mask, is_causal=causal, enable_gqa=True
    )
    if _has_nan(mixed):
        n_sharing = query.shape[-3] // key.shape[-3]
        key, value = (
            part.repeat_interleave(n_sharing, dim=-3) for part in (key, value)
        )
        mask = np.tri(*mixed.shape[-2:-1] * 2, dtype=bool) if causal else mask
        mixed = scaled_dot_product_attention(query, key, value, mask, None)
    return mixed.reshape(*batch, *mixed.shape[-3:])


def clip_by_global_norm(gradients, max_norm):
    """Compute ``lmmath.training.clip_by_global_norm``, all lengths in one call.

    It wants a length whose square neither overflows nor vanishes; see that it is finite.
    """
    from torch.nn.utils import get_total_norm

    norm = get_total_norm(gradients.values())
    if norm <= max_norm:
        return gradients, norm
    factor = max_norm / norm
    return {name: gradient * factor for name, gradient in gradients.items()}, norm


def adamw_update(
    params,
    gradients,
    state,
    learning_rate,
    betas,
    weight_decay,
    decayed,
    eps=1e-8,
    out=None,
):
    """Compute ``lmmath.training.adamw_update`` in one pass over a copy of all that it changes.

    The copy is new, or ``out``: a pair that an earlier step returned and nobody needs any more.
    To write where there was something before takes a seventh of the time.
    """
    from torch import full
    from torch.optim.adamw import adamw

    if out is None:
        out = _cloned(params), {"m": _cloned(state["m"]), "v": _cloned(state["v"])}
    else:
        _copy(params, out[0])
        _copy(state["m"], out[1]["m"])
        _copy(state["v"], out[1]["v"])
    updated, m, v = out[0], out[1]["m"], out[1]["v"]
    for names, decay in ((decayed, weight_decay), (params.keys() - decayed, 0.0)):
        arrays = [[part[name] for name in names] for part in (updated, gradients, m, v)]
        device = next(iter(params.values())).device
        steps = full((len(names),), float(state["step"]), device=device)
        adamw(
            *arrays,
            max_exp_avg_sqs=[],
            state_steps=list(steps),
            fused=True,
            amsgrad=False,
            beta1=betas[0],
            beta2=betas[1],
            lr=learning_rate,
            weight_decay=decay,
            eps=eps,
            maximize=False,
        )
    return updated, {"step": state["step"] + 1, "m": m, "v": v}


def _mask_and_bias(query, mask, bias):
    """Give what the kernel takes: a mask, or a bias that is -inf where the mask is False."""
    mask = None if mask is None else to_library_of(query, mask)
    if bias is None:
        return mask
    bias = to_library_of(query, bias, query.dtype)
    return bias if mask is None else bias.where(mask, bias.new_tensor(-inf))


def _has_nan(array):
    """Tell whether there is NaN, in one pass; now and then also of what holds infinities."""
    return not array.is_meta and bool(array.detach().sum().isnan())


def _is_causal(mask):
    """Tell whether a mask of NumPy's is the lower triangle."""
    if not isinstance(mask, np.ndarray) or mask.ndim != 2:
        return False
    return len(mask) == mask.shape[1] and np.array_equal(mask, np.tri(*mask.shape))


def _cloned(arrays):
    return {name: array.clone() for name, array in arrays.items()}


def _copy(arrays, to):
    for name, array in arrays.items():
        to[name].copy_(array)
