"""Checks that all models share."""

from array_api_compat import is_array_api_obj

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


def require_names(params, expected):
    """Raise ValueError unless the parameters have exactly the expected names."""
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
        if not is_array_api_obj(params[name]) or tuple(params[name].shape) != shape:
            came = getattr(params[name], "shape", type(params[name]).__name__)
            raise ValueError(f"{name} must have shape {shape}, got {came}")
