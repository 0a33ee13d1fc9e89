r"""Recurrence: read a sequence step by step, with a state that is carried along.

Steps are rows: a sequence ends in the axes ``(steps, features)``, and every axis before them
is a batch axis. A Jacobian holds outputs in its rows and inputs in its columns, so a gradient
is a row vector that goes back through it by ``g @ J``.
"""

from math import inf

from array_api_compat import array_namespace, device

from lmmath._arrays import at_least_float32, in_float32
from lmmath._checks import (
    require_floating,
    require_matrices,
    require_projection,
    require_shape,
)
from lmmath.neurons import dense, relu, sigmoid, tanh


def rnn(x, w_x, w_h, b, h_0=None, activation=tanh):
    r"""Read a sequence with a simple recurrent network.

    .. math:: h_t = \sigma(x_t W_x + h_{t-1} W_h + b), \qquad t = 1, \dots, n

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_in)
        The inputs :math:`x_1, \dots, x_n`.
    w_x : array, floating-point, shape (d_in, d_hidden)
    w_h : array, floating-point, shape (d_hidden, d_hidden)
    b : array, floating-point, shape (d_hidden,)
    h_0 : array, floating-point, shape (..., d_hidden), optional
        The state before the first step; zeros if not given.
    activation : function of an array, or None
        :math:`\sigma`, applied to each number; None for the identity.

    Returns
    -------
    array, shape (..., n, d_hidden)
        The hidden states :math:`h_1, \dots, h_n`.

    Raises
    ------
    TypeError
        If an array is not floating-point, or ``activation`` is not a function.
    ValueError
        If the shapes do not fit together, or there is no step.

    References
    ----------
    Elman (1990), "Finding structure in time".

    Examples
    --------
    A neuron that adds up what it has seen:

    >>> import numpy as np
    >>> x, one = np.asarray([[1.0], [2.0], [3.0]]), np.asarray([[1.0]])
    >>> rnn(x, one, one, b=np.asarray([0.0]), activation=None)
    array([[1.],
           [3.],
           [6.]])
    """
    _require_recurrence(x, w_x, w_h, b)
    activate = _function(activation)
    xp = array_namespace(x)
    h, states = _first_state(x, w_h, h_0=h_0), []
    for from_input in xp.unstack(dense(x, w_x, b), axis=-2):
        h = activate(from_input[..., None, :] + h @ w_h)  # (..., 1, d_hidden)
        states.append(h)
    return xp.concat(states, axis=-2)


def rnn_jacobian(h, w_h, activation=tanh):
    r"""Differentiate a state of a simple recurrent network by the state before it.

    .. math::

        \left(\frac{\partial h_t}{\partial h_{t-1}}\right)_{ij} = \sigma'(a_i)\, (W_h)_{ji},
        \qquad h_t = \sigma(a)

    The slope follows from the output alone: :math:`1 - h^2` for tanh, :math:`h(1 - h)` for the
    sigmoid, 1 or 0 for relu, 1 for the identity. Where tanh or the sigmoid saturates, a rounded
    output tells a tiny slope only to the nearest step of rounding at 1.

    Parameters
    ----------
    h : array, floating-point, shape (..., d)
        The state :math:`h_t`, as ``rnn`` gives it. For all steps at once, (..., n, d).
    w_h : array, floating-point, shape (d, d)
    activation : tanh, sigmoid or relu of ``lmmath.neurons``, or None
        The :math:`\sigma` that made ``h``; None for the identity.

    Returns
    -------
    array, shape (..., d, d)
        Row ``i``, column ``j`` holds the derivative of entry ``i`` of :math:`h_t` with respect to
        entry ``j`` of :math:`h_{t-1}`.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together, or ``activation`` is not one of those above.

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural
    networks", equation 5, where the state is the sum before the activation.

    Examples
    --------
    >>> import numpy as np
    >>> h, w_h = np.asarray([0.0, 0.5]), np.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> rnn_jacobian(h, w_h)
    array([[1. , 3. ],
           [1.5, 3. ]])
    """
    _require_states(h, w_h)
    w_h_transposed = array_namespace(w_h).matrix_transpose(w_h)
    return _slope(h, activation)[..., :, None] * w_h_transposed


def gradient_norms(gradient, jacobians):
    r"""Measure how long a gradient is after each step back in time.

    .. math:: g_{t-1} = g_t J_t, \qquad \lVert g_n \rVert, \lVert g_{n-1} \rVert, \dots,
              \lVert g_0 \rVert

    The exponential of ``log_gradient_norms``: a norm comes out as 0 or infinity only if it is
    itself too small or too large for the dtype.

    Parameters
    ----------
    gradient : array, floating-point, shape (..., d)
        :math:`g_n`, the gradient of the loss with respect to the last state.
    jacobians : array, floating-point, shape (..., n, d, d)
        :math:`J_1, \dots, J_n` in the order of time, :math:`J_t` being that of state ``t`` with
        respect to state ``t - 1``.

    Returns
    -------
    array, shape (..., n + 1)
        Entry ``k`` is the Euclidean norm :math:`\lVert g_{n-k} \rVert`, at distance ``k``.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together.

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural
    networks", section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> jacobians = np.asarray([[[0.5, 0.0], [0.0, 0.5]], [[0.0, 2.0], [-2.0, 0.0]]])
    >>> gradient_norms(np.asarray([3.0, 4.0]), jacobians).round(12)
    array([ 5., 10.,  5.])
    """
    log_norms, dtype = _log_norms(gradient, jacobians)
    xp = array_namespace(log_norms)
    return xp.astype(xp.exp(log_norms), dtype)


def log_gradient_norms(gradient, jacobians):
    r"""Take the logarithms of the gradient norms, however small or large the norms are.

    .. math:: \log \lVert g_{t-1} \rVert = \log \lVert g_t \rVert
              + \log \left\lVert \frac{g_t}{\lVert g_t \rVert} J_t \right\rVert

    Only the direction of the gradient is carried back. Its length is kept as a logarithm, so
    thousands of steps neither underflow nor overflow.

    Parameters
    ----------
    gradient : array, floating-point, shape (..., d)
        :math:`g_n`, as in ``gradient_norms``.
    jacobians : array, floating-point, shape (..., n, d, d)
        :math:`J_1, \dots, J_n` in the order of time, as in ``gradient_norms``.

    Returns
    -------
    array, shape (..., n + 1)
        Natural logarithms; :math:`-\infty` for a gradient that is exactly zero.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> jacobians = np.full((10_000, 1, 1), 0.5)
    >>> log_gradient_norms(np.asarray([1.0]), jacobians)[-1].round(6)  # 10,000 log(1/2)
    np.float64(-6931.471806)
    """
    log_norms, dtype = _log_norms(gradient, jacobians)
    return array_namespace(log_norms).astype(log_norms, dtype)


@in_float32("hidden_gradient", "h", "w_h", "h_0")
def rnn_weight_gradient(hidden_gradient, h, w_h, h_0=None, activation=tanh):
    r"""Backpropagate through time to the recurrent weights.

    .. math::

        \frac{\partial L}{\partial W_h}
        = \sum_{k=1}^n \frac{d L}{d h_k}\, \frac{\partial^+ h_k}{\partial W_h}

    Every step uses the same weights, so there is one term for each step, and their sum is the
    gradient. ``rnn_weight_gradient_terms`` gives the terms one by one.

    Parameters
    ----------
    hidden_gradient : array, floating-point, shape (..., n, d)
        What the loss takes from each state directly: row ``t`` is :math:`\partial L/\partial h_t`
        with all other states held fixed. For a loss on the last state, all rows but the last are
        zero.
    h : array, floating-point, shape (..., n, d)
        The states :math:`h_1, \dots, h_n`, as ``rnn`` gives them.
    w_h : array, floating-point, shape (d, d)
    h_0 : array, floating-point, shape (..., d), optional
        The state before the first step; zeros if not given.
    activation : tanh, sigmoid or relu of ``lmmath.neurons``, or None
        The activation that made ``h``; None for the identity.

    Returns
    -------
    array, shape (..., d, d)
        The gradient for ``w_h``, one for each sequence of a batch.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together, there is no step, or ``activation`` is not one of
        those above.

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural
    networks", equations 3 to 5.

    Examples
    --------
    States 1, 2, 4 of a neuron that doubles, and a loss that is its last state,
    :math:`w^2 h_1 = 4`:

    >>> import numpy as np
    >>> h, w_h = np.asarray([[1.0], [2.0], [4.0]]), np.asarray([[2.0]])
    >>> last = np.asarray([[0.0], [0.0], [1.0]])
    >>> rnn_weight_gradient(last, h, w_h, activation=None)  # 2 w h_1
    array([[4.]])
    """
    terms = rnn_weight_gradient_terms(hidden_gradient, h, w_h, h_0, activation)
    return array_namespace(terms).sum(terms, axis=-3)


def rnn_weight_gradient_terms(hidden_gradient, h, w_h, h_0=None, activation=tanh):
    r"""Give the share of each step in the gradient for the recurrent weights.

    .. math::

        \frac{d L}{d h_k} = \frac{\partial L}{\partial h_k}
        + \frac{d L}{d h_{k+1}}\, \frac{\partial h_{k+1}}{\partial h_k}, \qquad
        \left(\frac{d L}{d h_k}\, \frac{\partial^+ h_k}{\partial W_h}\right)_{ij}
        = (h_{k-1})_i \left(\frac{d L}{d h_k}\right)_j \sigma'(a_j)

    :math:`\partial^+` is the immediate derivative: :math:`h_{k-1}` is held fixed, although it
    depends on the weights too. That dependence is in the terms of the earlier steps.

    Parameters
    ----------
    hidden_gradient, h, w_h, h_0, activation
        As in ``rnn_weight_gradient``.

    Returns
    -------
    array, shape (..., n, d, d)
        One term for each step, in the order of time. Their sum is the gradient. The first is
        zero if ``h_0`` is.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together, there is no step, or ``activation`` is not one of
        those above.

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural
    networks", equations 4 and 5.

    Examples
    --------
    >>> import numpy as np
    >>> h, w_h = np.asarray([[1.0], [2.0], [4.0]]), np.asarray([[2.0]])
    >>> last = np.asarray([[0.0], [0.0], [1.0]])
    >>> rnn_weight_gradient_terms(last, h, w_h, activation=None)[:, 0, 0]
    array([0., 2., 2.])
    """
    _require_states(h, w_h)
    _require_steps(h=h)
    require_shape(h.shape, hidden_gradient=hidden_gradient)
    xp = array_namespace(hidden_gradient, h, w_h)
    n, slope = h.shape[-2], _slope(h, activation)
    from_later, into_sums = xp.zeros_like(h[..., :1, :]), []
    for t in reversed(range(n)):
        step = slice(t, t + 1)
        total = hidden_gradient[..., step, :] + from_later  # dL/dh_t
        into_sums.append(total * slope[..., step, :])  # dL/da_t
        from_later = into_sums[-1] @ xp.matrix_transpose(w_h)
    into_sums = xp.concat(into_sums[::-1], axis=-2)
    before = xp.concat([_first_state(h, w_h, h_0=h_0), h[..., : n - 1, :]], axis=-2)
    return before[..., :, None] * into_sums[..., None, :]


def lstm(x, w_x, w_h, b, h_0=None, c_0=None):
    r"""Read a sequence with long short-term memory.

    .. math::

        \begin{aligned}
        (i_t, f_t, g_t, o_t) &= (\sigma, \sigma, \tanh, \sigma)(x_t W_x + h_{t-1} W_h + b) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)
        \end{aligned}

    The cell :math:`c` is added to, not multiplied by a matrix: while the forget gate :math:`f`
    is near 1, it and its gradient pass from step to step unchanged.

    Parameters
    ----------
    x : array, floating-point, shape (..., n, d_in)
        The inputs :math:`x_1, \dots, x_n`.
    w_x : array, floating-point, shape (d_in, 4 * d)
        The weights of the input gate, the forget gate, the candidate and the output gate, side by
        side in this order.
    w_h : array, floating-point, shape (d, 4 * d)
        Likewise.
    b : array, floating-point, shape (4 * d,)
        Likewise.
    h_0, c_0 : array, floating-point, shape (..., d), optional
        Output and cell before the first step; zeros if not given.

    Returns
    -------
    h, c : array, shape (..., n, d)
        Outputs and cells after each step.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together, or there is no step.

    References
    ----------
    Hochreiter and Schmidhuber (1997), "Long short-term memory"; for the forget gate, Gers,
    Schmidhuber and Cummins (2000), "Learning to forget: continual prediction with LSTM".

    Examples
    --------
    Gates that see nothing are all half open, and a candidate of 0 adds nothing:

    >>> import numpy as np
    >>> x, w, b = np.zeros((3, 1)), np.zeros((1, 4)), np.zeros(4)
    >>> h, c = lstm(x, w, w, b, c_0=np.asarray([8.0]))
    >>> c[:, 0]
    array([4., 2., 1.])
    """
    _require_recurrence(x, w_x, w_h, b, n_gates=4)
    xp = array_namespace(x)
    h, c = _first_state(x, w_h, h_0=h_0), _first_state(x, w_h, c_0=c_0)
    outputs, cells = [], []
    for from_input in xp.unstack(dense(x, w_x, b), axis=-2):
        i, f, g, o = _gates(from_input[..., None, :] + h @ w_h)
        c = f * c + i * g  # (..., 1, d)
        h = o * tanh(c)
        outputs.append(h)
        cells.append(c)
    return xp.concat(outputs, axis=-2), xp.concat(cells, axis=-2)


def lstm_jacobian(x, h_previous, c_previous, w_x, w_h, b):
    r"""Differentiate output and cell of an LSTM by output and cell before.

    .. math::

        J = \begin{pmatrix}
            \partial h_t/\partial h_{t-1} & \partial h_t/\partial c_{t-1} \\
            \partial c_t/\partial h_{t-1} & \partial c_t/\partial c_{t-1}
        \end{pmatrix}, \qquad
        \frac{\partial c_t}{\partial c_{t-1}} = \operatorname{diag}(f_t)

    Parameters
    ----------
    x : array, floating-point, shape (..., d_in)
        The input :math:`x_t`. For all steps at once, (..., n, d_in).
    h_previous, c_previous : array, floating-point, shape (..., d)
        Output :math:`h_{t-1}` and cell :math:`c_{t-1}` before the step.
    w_x, w_h, b : array, floating-point
        As in ``lstm``.

    Returns
    -------
    array, shape (..., 2 * d, 2 * d)
        Rows are :math:`h_t` then :math:`c_t`, columns :math:`h_{t-1}` then :math:`c_{t-1}`.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If the shapes do not fit together.

    References
    ----------
    Hochreiter and Schmidhuber (1997), "Long short-term memory", section 3.2.

    Examples
    --------
    Gates that see nothing are all half open:

    >>> import numpy as np
    >>> nothing = np.zeros(1)
    >>> w, b = np.zeros((1, 4)), np.zeros(4)
    >>> lstm_jacobian(nothing, nothing, nothing, w, w, b)
    array([[0.  , 0.25],
           [0.  , 0.5 ]])
    """
    _require_step(x, h_previous, c_previous, w_x, w_h, b)
    xp = array_namespace(x, w_h)
    d = w_h.shape[0]
    sums = dense(x[..., None, :], w_x, b) + h_previous[..., None, :] @ w_h
    # Columns (..., d, 1): to multiply by one is to multiply by its diagonal matrix.
    i, f, g, o = (xp.matrix_transpose(gate) for gate in _gates(sums))
    c_before = c_previous[..., :, None]
    tanh_c = tanh(f * c_before + i * g)
    w_i, w_f, w_g, w_o = (
        xp.matrix_transpose(w_h[:, k * d : (k + 1) * d]) for k in range(4)
    )
    c_by_h = (
        c_before * f * (1 - f) * w_f + g * i * (1 - i) * w_i + i * (1 - g * g) * w_g
    )
    c_by_c = f * xp.eye(d, dtype=f.dtype, device=device(f))
    h_by_cell = o * (1 - tanh_c * tanh_c)
    h_by_h = tanh_c * o * (1 - o) * w_o + h_by_cell * c_by_h
    upper = xp.concat([h_by_h, h_by_cell * c_by_c], axis=-1)
    return xp.concat([upper, xp.concat([c_by_h, c_by_c], axis=-1)], axis=-2)


def _gates(sums):
    """Bend the four parts of (..., 4 * d): input gate, forget gate, candidate, output gate."""
    d = sums.shape[-1] // 4
    i, f, g, o = (sums[..., k * d : (k + 1) * d] for k in range(4))
    return sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)


def _log_norms(gradient, jacobians):
    """Give the logarithms in at least single precision, and the dtype of the arguments."""
    _require_chain(gradient, jacobians)
    xp = array_namespace(gradient, jacobians)
    dtype = xp.result_type(gradient, jacobians)
    # A sum of 1,000 logarithms in half precision would stop growing on the way.
    gradient, jacobians = at_least_float32(gradient), at_least_float32(jacobians)
    row, length = _direction(gradient[..., None, :])
    log_norms = [length]
    for t in reversed(range(jacobians.shape[-3])):
        row, length = _direction(row @ jacobians[..., t, :, :])
        log_norms.append(log_norms[-1] + length)
    return xp.concat(log_norms, axis=-1)[..., 0, :], dtype


def _direction(row):
    """Split (..., 1, d) into a vector of length 1 and the logarithm of the length."""
    xp = array_namespace(row)
    # Divided by its largest entry first, so that no square underflows or overflows.
    largest = xp.max(xp.abs(row), axis=-1, keepdims=True)
    zero, one = largest == 0, xp.ones_like(largest)
    largest = xp.where(zero, one, largest)
    row = row / largest
    square = xp.where(zero, one, xp.sum(row * row, axis=-1, keepdims=True))
    length = xp.log(largest) + 0.5 * xp.log(square)
    return row / xp.sqrt(square), xp.where(zero, xp.full_like(length, -inf), length)


# What the slope of each activation is, given its output.
_SLOPES = {
    None: lambda h: array_namespace(h).ones_like(h),
    relu: lambda h: array_namespace(h).astype(h > 0, h.dtype),
    sigmoid: lambda h: h * (1 - h),
    tanh: lambda h: 1 - h * h,
}


def _slope(h, activation):
    if activation not in _SLOPES:
        name = getattr(activation, "__name__", repr(activation))
        raise ValueError(
            "activation must be relu, sigmoid or tanh of lmmath.neurons, or None, "
            f"got {name}"
        )
    return _SLOPES[activation](h)


def _function(activation):
    if activation is None:
        return lambda a: a
    if not callable(activation):
        raise TypeError(
            f"activation must be a function or None, got {type(activation).__name__}"
        )
    return activation


def _first_state(x, w_h, **state):
    """Give the state before the first step of (..., n, features) as (..., 1, d)."""
    ((name, value),) = state.items()
    shape = (*x.shape[:-2], w_h.shape[0])
    if value is None:
        xp = array_namespace(x, w_h)
        value = xp.zeros(shape, dtype=xp.result_type(x, w_h), device=device(x))
    require_shape(shape, **{name: value})
    return value[..., None, :]


def _require_recurrence(x, w_x, w_h, b, n_gates=1):
    require_floating(x=x, w_h=w_h)
    require_matrices(w_h=w_h)
    _require_steps(x=x)
    _require_parameters(x, w_x, w_h, b, n_gates)


def _require_steps(**sequence):
    require_matrices(**sequence)
    ((name, array),) = sequence.items()
    if array.shape[-2] == 0:
        raise ValueError(
            f"{name} must hold at least one step, got shape {tuple(array.shape)}"
        )


def _require_parameters(x, w_x, w_h, b, n_gates):
    d = w_h.shape[0]
    require_shape((d, n_gates * d), w_h=w_h)
    require_projection("the last axis of x", x.shape[-1], w_x=w_x)
    require_shape((x.shape[-1], n_gates * d), w_x=w_x)
    require_shape((n_gates * d,), b=b)


def _require_features(**vectors):
    for name, array in vectors.items():
        if array.ndim == 0:
            raise ValueError(
                f"{name} must have at least one axis (features), got shape ()"
            )


def _require_step(x, h_previous, c_previous, w_x, w_h, b):
    require_floating(x=x, w_h=w_h)
    require_matrices(w_h=w_h)
    _require_features(x=x)
    _require_parameters(x, w_x, w_h, b, n_gates=4)
    shape = (*x.shape[:-1], w_h.shape[0])
    require_shape(shape, h_previous=h_previous, c_previous=c_previous)


def _require_states(h, w_h):
    require_floating(h=h, w_h=w_h)
    require_matrices(w_h=w_h)
    d = w_h.shape[-1]
    require_shape((d, d), w_h=w_h)
    require_shape((*h.shape[:-1], d), h=h)


def _require_chain(gradient, jacobians):
    require_floating(gradient=gradient, jacobians=jacobians)
    _require_features(gradient=gradient)
    if jacobians.ndim < 3:
        raise ValueError(
            "jacobians must have at least three axes (steps, outputs, inputs), "
            f"got shape {tuple(jacobians.shape)}"
        )
    *batch, d = gradient.shape
    require_shape((*batch, jacobians.shape[-3], d, d), jacobians=jacobians)
