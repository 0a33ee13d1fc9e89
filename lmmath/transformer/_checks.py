"""Checks that all models share."""

from collections.abc import Mapping

from array_api_compat import array_namespace, is_array_api_obj

from lmmath._checks import require_ids


def require_divides(n_heads, d_model):
    """Raise ValueError unless the heads share the features evenly."""
    if d_model % n_heads:
        raise ValueError(f"n_heads must divide d_model = {d_model}, got {n_heads}")


def require_text(name, ids, vocab_size):
    """Raise unless ``ids`` are token ids, and at least one."""
    require_ids(vocab_size, **{name: ids})
    if ids.ndim == 0 or ids.shape[-1] == 0:
        raise ValueError(
            f"{name} must hold at least one token, got shape {tuple(ids.shape)}"
        )


def require_config(kind, config):
    """Raise TypeError unless the configuration is of this kind of model."""
    if not isinstance(config, kind):
        came = type(config).__name__
        raise TypeError(f"config must be a {kind.__name__}, got {came}")


def require_names(params, expected):
    """Raise unless the parameters are a dict with exactly the expected names."""
    if not isinstance(params, Mapping):
        raise TypeError(f"params must be a dict of arrays, got {type(params).__name__}")
    missing, unknown = set(expected) - set(params), set(params) - set(expected)
    if missing or unknown:
        raise ValueError(
            f"params must have the names of this model, got "
            f"{len(missing)} missing ({', '.join(sorted(missing)[:3])}) and "
            f"{len(unknown)} unknown ({', '.join(sorted(unknown)[:3])})"
        )


def require_params(params, shapes):
    """Raise ValueError unless the parameters have the expected names and shapes."""
    require_names(params, shapes)
    for name, shape in shapes.items():
        came = getattr(params[name], "shape", type(params[name]).__name__)
        if tuple(came) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {came}")


def require_cache(cache, n_layers, n_heads, d_head, batch):
    """Raise unless the cache fits the model and the texts; count its positions."""
    if not isinstance(cache, list | tuple):
        raise TypeError(
            "cache must be a list with keys and values for each block, "
            f"got {type(cache).__name__}"
        )
    if len(cache) != n_layers:
        raise ValueError(
            f"cache must hold one pair for each of {n_layers} blocks, got {len(cache)}"
        )
    first = _shapes_of(cache[0])
    n_past = first[0][-2] if first and len(first[0]) >= 2 else 0
    fitting = (*batch, n_heads, n_past, d_head)
    for pair in cache:
        shapes = _shapes_of(pair)
        if shapes != (first and [fitting, fitting]):
            raise ValueError(
                f"cache must hold keys and values of shape {fitting} for each block, "
                f"got {' and '.join(map(str, shapes)) or None}"
            )
    return n_past


def require_past(past, key):
    """Raise unless ``past`` holds keys and values that rows of ``key`` can follow."""
    *batch, n_heads, _, d_head = key.shape
    shapes = _shapes_of(past, "past")
    n_past = shapes[0][-2] if shapes and len(shapes[0]) >= 2 else 0
    fitting = (*batch, n_heads, n_past, d_head)
    if shapes != [fitting, fitting]:
        raise ValueError(
            f"past must hold keys and values of shape {fitting[:-2]} + (n_past, {d_head}), "
            f"got {' and '.join(map(str, shapes)) or None}"
        )


def _shapes_of(pair, name="cache"):
    """List the shapes of keys and values; none of None, which stands for no past."""
    if pair is None:
        return []
    parts = pair if isinstance(pair, list | tuple) else [pair]
    if not all(map(is_array_api_obj, parts)):
        came = ", ".join(type(part).__name__ for part in parts)
        raise TypeError(
            f"{name} must hold pairs of arrays, keys and values, got {came}"
        )
    return [tuple(part.shape) for part in parts]


def require_mask(mask, visible):
    """Raise unless the mask says for each text which token may see which."""
    if not is_array_api_obj(mask) or mask.dtype != array_namespace(mask).bool:
        came = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(
            f"mask must be a boolean array (True where allowed), got {came}"
        )
    # An axis of length 1 serves all.
    if any(
        came not in (1, wanted)
        for came, wanted in zip(mask.shape[-2:], visible[-mask.ndim :], strict=False)
    ):
        raise ValueError(
            f"mask must broadcast to (..., n, n_past + n) = (..., {visible[0]}, "
            f"{visible[1]}), got shape {tuple(mask.shape)}"
        )
