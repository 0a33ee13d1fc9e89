"""Optimizers: move parameters downhill, by how much, and no farther than is safe.

Parameters and gradients are dicts of arrays under the same names. The updates compute with
plain arrays and change none of them: with PyTorch, call them within ``torch.no_grad()``;
with ``lmmath.autodiff``, give them the tensors' ``.data`` and ``.grad``.
"""

from collections.abc import Mapping
from math import cos, inf, pi
from operator import index

from array_api_compat import array_namespace

from lmmath._arrays import at_least_float32
from lmmath._checks import (
    require_below,
    require_count,
    require_floating,
    require_from_0_to,
    require_positive,
    require_positive_integer,
    require_shape,
)


def sgd_update(params, gradients, velocity, learning_rate, momentum=0.0):
    r"""Step against the gradient, carried on by the steps before.

    .. math::

        u_t = \mu u_{t-1} + g_t, \qquad \theta_t = \theta_{t-1} - \eta u_t,
        \qquad u_0 = 0

    Parameters
    ----------
    params, gradients : dict of str to array, floating-point
        :math:`\theta` and :math:`g`: the same names, and the same shape for each name.
    velocity : dict of str to array, or None
        :math:`u`, as the step before returned it. None at the first step.
    learning_rate : float
        :math:`\eta`, at least 0.
    momentum : float
        :math:`\mu`, at least 0 and below 1. At 0 this is plain gradient descent.

    Returns
    -------
    params : dict of str to array
        The new parameters, with the dtypes of the old.
    velocity : dict of str to array
        For the next step; in float32 where the parameters are float16.

    Raises
    ------
    TypeError
        If a dict is not one, or holds anything but floating-point arrays.
    ValueError
        If names or shapes do not fit together, or a number is out of range.

    References
    ----------
    Polyak (1964), "Some methods of speeding up the convergence of iteration methods".

    Examples
    --------
    >>> import numpy as np
    >>> theta, gradient = {"w": np.asarray([1.0])}, {"w": np.asarray([2.0])}
    >>> theta, velocity = sgd_update(theta, gradient, None, 0.25, momentum=0.5)
    >>> theta, velocity
    ({'w': array([0.5])}, {'w': array([2.])})
    >>> sgd_update(theta, gradient, velocity, 0.25, momentum=0.5)
    ({'w': array([-0.25])}, {'w': array([3.])})
    """
    _require_arrays("params", params)
    velocity = _zeros_for(params) if velocity is None else velocity
    _require_like(params, {"gradients": gradients, "velocity": velocity})
    require_below(inf, learning_rate=learning_rate)
    require_below(1, momentum=momentum)
    # Python's floats: one of NumPy's would change the dtype.
    learning_rate, momentum = float(learning_rate), float(momentum)
    updated, carried = {}, {}
    for name, theta in params.items():
        gradient = at_least_float32(gradients[name])
        carried[name] = momentum * velocity[name] + gradient
        updated[name] = _moved(theta, learning_rate * carried[name])
    return updated, carried


def adamw_init(params):
    r"""Begin the memory of AdamW: no step taken, both averages zero.

    Parameters
    ----------
    params : dict of str to array, floating-point

    Returns
    -------
    dict
        ``{"step": 0, "m": {...}, "v": {...}}``, with zeros of the shape of each parameter.
        They are float32 where the parameter is float16, which cannot hold the square of a
        small gradient.

    Raises
    ------
    TypeError
        If ``params`` is not a dict of floating-point arrays.

    Examples
    --------
    >>> import numpy as np
    >>> adamw_init({"w": np.asarray([1.0, 2.0])})
    {'step': 0, 'm': {'w': array([0., 0.])}, 'v': {'w': array([0., 0.])}}
    """
    _require_arrays("params", params)
    return {"step": 0, "m": _zeros_for(params), "v": _zeros_for(params)}


def adamw_update(
    params,
    gradients,
    state,
    learning_rate,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.01,
    decayed=None,
    bias_correction=True,
):
    r"""Step along the average gradient, divided by its usual size, and shrink the weights.

    .. math::

        \begin{aligned}
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t, &
        \hat{m}_t &= m_t / (1 - \beta_1^t) \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2, &
        \hat{v}_t &= v_t / (1 - \beta_2^t) \\
        \theta_t &= \theta_{t-1} - \eta \left( \frac{\hat{m}_t}{\sqrt{\hat{v}_t} + \epsilon}
                    + \lambda\, \theta_{t-1} \right)
        \end{aligned}

    The averages begin at zero and are too small at first; the divisions by
    :math:`1 - \beta^t` make up for it. Without them the first step is
    :math:`(1 - \beta_1) / \sqrt{1 - \beta_2}` times as long: 3.16 times at the default betas.
    With :math:`\lambda = 0` this is Adam.

    Parameters
    ----------
    params, gradients : dict of str to array, floating-point
        :math:`\theta` and :math:`g`: the same names, and the same shape for each name.
    state : dict
        From ``adamw_init``, or as the step before returned it.
    learning_rate : float
        :math:`\eta`, at least 0. May differ from step to step.
    betas : pair of float
        :math:`\beta_1` and :math:`\beta_2`, each at least 0 and below 1.
    eps : float
        :math:`\epsilon`, above 0.
    weight_decay : float
        :math:`\lambda`, at least 0. In the paper the rate :math:`\alpha` does not multiply
        the decay; here :math:`\eta` does, as in PyTorch.
    decayed : collection of str, optional
        The names that decay; all if not given. A GPT decays its matrices and leaves biases
        and gains alone: ``{name for name, theta in params.items() if theta.ndim > 1}``.
    bias_correction : bool
        False leaves out the divisions by :math:`1 - \beta^t`.

    Returns
    -------
    params : dict of str to array
        The new parameters, with the dtypes of the old.
    state : dict
        For the next step.

    Raises
    ------
    TypeError
        If a dict is not one, or holds anything but floating-point arrays.
    ValueError
        If names or shapes do not fit together, or a number is out of range.

    References
    ----------
    Kingma and Ba (2015), "Adam: a method for stochastic optimization", algorithm 1.
    Loshchilov and Hutter (2019), "Decoupled weight decay regularization", algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> theta, gradient = {"w": np.asarray([1.0, 1.0])}, {"w": np.asarray([0.5, -40.0])}
    >>> theta, state = adamw_update(theta, gradient, adamw_init(theta), 0.1, weight_decay=0)
    >>> theta["w"].round(4)  # the first step is as long as the rate, whatever the gradient
    array([0.9, 1.1])
    >>> state["step"], state["m"]["w"].round(4)
    (1, array([ 0.05, -4.  ]))
    """
    _require_adamw(params, gradients, state, betas, eps, decayed)
    require_below(inf, learning_rate=learning_rate, weight_decay=weight_decay)
    learning_rate, weight_decay = float(learning_rate), float(weight_decay)
    beta1, beta2 = map(float, betas)
    step = int(state["step"]) + 1
    # How much of each average is gradients. The rest is still the zero that it began with.
    total1, total2 = (1 - beta1**step, 1 - beta2**step) if bias_correction else (1, 1)
    updated, m, v = {}, {}, {}
    for name, theta in params.items():
        xp = array_namespace(theta)
        gradient = at_least_float32(gradients[name])
        m[name] = beta1 * state["m"][name] + (1 - beta1) * gradient
        v[name] = beta2 * state["v"][name] + (1 - beta2) * gradient**2
        change = (m[name] / total1) / (xp.sqrt(v[name] / total2) + eps)
        if decayed is None or name in decayed:
            change = change + weight_decay * at_least_float32(theta)
        updated[name] = _moved(theta, learning_rate * change)
    return updated, {"step": step, "m": m, "v": v}


def cosine_schedule(step, n_steps, peak, n_warmup=0, floor=0.0):
    r"""Give the learning rate of a step: up in a straight line, down along a cosine.

    .. math::

        \eta_s = \begin{cases}
        \eta_{\max}\, s / w & s < w \\
        \eta_{\min} + \tfrac{1}{2} (\eta_{\max} - \eta_{\min})
        \left( 1 + \cos \pi \dfrac{s - w}{n - w} \right) & s \ge w
        \end{cases}

    Count the updates from 1 to ``n_steps``: then the last of the warm-up is made at the peak,
    and the last of all at the floor. At step 0, before any, a warm-up stands at 0.

    Parameters
    ----------
    step : int or float
        :math:`s`, from 0 to ``n_steps``.
    n_steps : int
        :math:`n`, how many updates there are in all.
    peak : float
        :math:`\eta_{\max}`, the highest learning rate, above 0.
    n_warmup : int
        :math:`w`, how many updates the warm-up takes, from 0 to ``n_steps``.
    floor : float
        :math:`\eta_{\min}`, the last learning rate, from 0 to ``peak``. The warm-up begins
        at 0 nevertheless.

    Returns
    -------
    float
        The learning rate.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Loshchilov and Hutter (2017), "SGDR: stochastic gradient descent with warm restarts",
    equation 5, for the cosine.
    Goyal et al. (2017), "Accurate, large minibatch SGD", section 2.2, for the warm-up.

    Examples
    --------
    >>> [round(cosine_schedule(s, 6, peak=1.0, n_warmup=2, floor=0.2), 3) for s in range(7)]
    [0.0, 0.5, 1.0, 0.883, 0.6, 0.317, 0.2]
    """
    require_positive_integer(n_steps=n_steps)
    require_count(n_warmup=n_warmup)
    require_positive(peak=peak)
    require_from_0_to(n_steps, step=step, n_warmup=n_warmup)
    require_from_0_to(peak, floor=floor)
    if step < n_warmup:
        return float(peak * step / n_warmup)
    progress = (step - n_warmup) / (n_steps - n_warmup or 1)
    share = (1 + cos(pi * progress)) / 2
    return float(share * peak + (1 - share) * floor)


def global_norm(gradients):
    r"""Measure the length of all gradients together, as if they were one vector.

    .. math:: \lVert g \rVert = \sqrt{\textstyle\sum_k \sum_i g_{k,i}^2}

    Parameters
    ----------
    gradients : dict of str to array, floating-point
        :math:`g_k`, any shapes.

    Returns
    -------
    array, shape ()
        The length, with the dtype to which the gradients promote, float32 at least: infinite
        or NaN if an entry is. The squares do not overflow.

    Raises
    ------
    TypeError
        If ``gradients`` is not a dict of floating-point arrays.
    ValueError
        If there is no gradient, or an empty one.

    Examples
    --------
    >>> import numpy as np
    >>> global_norm({"w": np.asarray([[2.0], [4.0]]), "b": np.asarray([4.0])})
    np.float64(6.0)
    """
    return _length_of_all(gradients)


def clip_by_global_norm(gradients, max_norm):
    r"""Shorten all gradients together so that their length is at most ``max_norm``.

    .. math:: g_k \leftarrow g_k \min\!\left(1, \frac{c}{\lVert g \rVert}\right)

    The direction stays. Gradients that are short enough stay exactly as they are.

    Parameters
    ----------
    gradients : dict of str to array, floating-point
        :math:`g_k`, any shapes.
    max_norm : float
        :math:`c`, above 0.

    Returns
    -------
    gradients : dict of str to array
        The shortened gradients, with the dtypes of the old.
    norm : array, shape ()
        Their length before, as ``global_norm`` gives it.

    Raises
    ------
    TypeError
        If ``gradients`` is not a dict of floating-point arrays.
    ValueError
        If ``max_norm`` is not a number above 0, or there is no gradient, or an empty one, or
        an infinite or NaN one: one such step would ruin every parameter. The message names
        the gradient. Whoever would rather skip the step asks ``global_norm`` first.

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural
    networks", algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> clip_by_global_norm({"w": np.asarray([3.0, 4.0])}, max_norm=1.0)
    ({'w': array([0.6, 0.8])}, np.float64(5.0))
    """
    require_positive(max_norm=max_norm)
    norm = _length_of_all(gradients)
    _require_finite(norm, gradients)
    xp = array_namespace(norm)
    # A limit too large for the dtype would become infinity, and the factor NaN.
    limit = xp.full_like(norm, min(float(max_norm), float(xp.finfo(norm.dtype).max)))
    factor = limit / xp.maximum(norm, limit)
    clipped = {
        name: xp.astype(at_least_float32(gradient) * factor, gradient.dtype, copy=False)
        for name, gradient in gradients.items()
    }
    return clipped, norm


def _moved(theta, change):
    xp = array_namespace(theta)
    return xp.astype(at_least_float32(theta) - change, theta.dtype, copy=False)


def _zeros_for(params):
    return {
        name: array_namespace(theta).zeros_like(at_least_float32(theta))
        for name, theta in params.items()
    }


def _length_of_all(gradients):
    _require_arrays("gradients", gradients)
    if not gradients or any(0 in gradient.shape for gradient in gradients.values()):
        shapes = {name: tuple(gradient.shape) for name, gradient in gradients.items()}
        raise ValueError(
            f"gradients must hold at least one array and no empty one, got shapes {shapes}"
        )
    xp = array_namespace(*gradients.values())
    lengths = [_length(at_least_float32(gradient)) for gradient in gradients.values()]
    return _length(xp.stack(lengths))


def _length(x):
    xp = array_namespace(x)
    # Squares overflow where the length does not, so the largest entry is taken out first.
    largest = xp.max(xp.abs(x))
    usable = (largest > 0) & xp.isfinite(largest)
    unit = xp.where(usable, largest, xp.ones_like(largest))
    return unit * xp.sqrt(xp.sum((x / unit) ** 2))


def _require_arrays(label, arrays):
    if not isinstance(arrays, Mapping):
        raise TypeError(
            f"{label} must be a dict of arrays, got {type(arrays).__name__}"
        )
    require_floating(**{f"{label}[{name!r}]": array for name, array in arrays.items()})


def _require_like(params, others):
    for label, arrays in others.items():
        _require_arrays(label, arrays)
        missing = sorted(params.keys() - arrays.keys())
        unknown = sorted(arrays.keys() - params.keys())
        if missing or unknown:
            raise ValueError(
                f"{label} must have the names of params, "
                f"got missing names {missing} and unknown names {unknown}"
            )
        for name, theta in params.items():
            require_shape(theta.shape, **{f"{label}[{name!r}]": arrays[name]})


def _require_adamw(params, gradients, state, betas, eps, decayed):
    _require_arrays("params", params)
    keys = sorted(state) if isinstance(state, Mapping) else type(state).__name__
    if keys != ["m", "step", "v"]:
        raise ValueError(f"state must have the keys m, step and v, got {keys}")
    _require_step(state["step"])
    averages = {f"state[{part!r}]": state[part] for part in ("m", "v")}
    _require_like(params, {"gradients": gradients, **averages})
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ValueError(f"betas must be a pair of numbers, got {betas!r}")
    require_below(1, **{f"betas[{i}]": beta for i, beta in enumerate(betas)})
    require_positive(eps=eps)
    if isinstance(decayed, str):
        raise TypeError(f"decayed must be a collection of names, got {decayed!r}")
    unknown = sorted(set(decayed or ()) - params.keys())
    if unknown:
        raise ValueError(f"decayed must hold names of params, got {unknown}")


def _require_step(step):
    try:
        wrong = index(step) < 0
    except TypeError:
        wrong = True
    if wrong:
        raise ValueError(
            f"state['step'] must be an integer of at least 0, got {step!r}"
        )


def _require_finite(norm, gradients):
    xp = array_namespace(norm)
    if xp.isfinite(norm):
        return
    wrong = [name for name, g in gradients.items() if not xp.all(xp.isfinite(g))]
    raise ValueError(
        f"gradients must have a finite norm, got {norm}: not finite is what {wrong} hold"
    )
