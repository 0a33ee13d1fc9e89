"""The mathematics of a language model in loops, in the order in which one meets it.

Every formula is written out here a second time, as one would on paper: a number for each
symbol, a loop for each sum. ``lmmath`` must give the same numbers. Columns are as on paper, so
a matrix here is the transpose of one there.
"""

import math

import numpy as np
import pytest
from libraries import close

from lmmath.attention import (
    causal_mask,
    multi_head_attention,
    scaled_dot_product_attention,
    softmax,
)
from lmmath.autodiff import Tensor
from lmmath.geometry import radius_quantile, shell_fraction
from lmmath.neurons import dense, relu, sigmoid
from lmmath.positions import sinusoidal_encoding
from lmmath.recurrence import rnn, rnn_weight_gradient
from lmmath.sampling import temperature_softmax
from lmmath.scaling import (
    HOFFMANN_2022,
    KAPLAN_2020,
    ChinchillaLaw,
    chinchilla_loss,
    kaplan_loss,
)
from lmmath.tokenization import pair_frequencies
from lmmath.training import (
    adamw_init,
    adamw_update,
    cross_entropy,
    cross_entropy_gradient,
)
from lmmath.transformer import feed_forward


@pytest.fixture
def rng():
    return np.random.default_rng(11)


# --- The foundation: neural networks ---


def test_neuron(rng):
    """y = sigma(W x + b)."""
    W, b, x = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=4)  # noqa: N806
    for activation, sigma in ((relu, relu_on_paper), (sigmoid, sigmoid_on_paper)):
        y = []
        for i in range(3):
            total = b[i]
            for j in range(4):
                total += W[i, j] * x[j]
            y.append(sigma(total))
        close(dense(x, W.T, b, activation), y)


def relu_on_paper(x):
    return max(0.0, x)


def sigmoid_on_paper(x):
    return 1 / (1 + math.exp(-x))


def test_relu_and_sigmoid(rng):
    """sigma(x) = max(0, x) and sigma(x) = 1 / (1 + exp(-x))."""
    for x in rng.normal(size=20, scale=5):
        close(relu(np.asarray(x)), relu_on_paper(x))
        close(sigmoid(np.asarray(x)), sigmoid_on_paper(x))


# --- From RNNs to Transformers ---


def test_gradient_through_time(rng):
    """dL/dW = sum over k of dL/dh_n (dh_n/dh_{n-1}) ... (dh_{k+1}/dh_k) (dh_k/dW).

    The last factor is the immediate one, with h_{k-1} held fixed. The sum is over all steps:
    a single product would be the share of the first step alone.
    """
    n, d = 5, 3
    x, w_x = rng.normal(size=(n, 2)), rng.normal(size=(2, d))
    w_h, b = rng.normal(size=(d, d)), rng.normal(size=d)
    h = rnn(x, w_x, w_h, b)
    last = rng.normal(size=d)  # dL/dh_n: the loss looks at the last state only
    total = np.zeros((d, d))
    for k in range(n):
        gradient = list(last)
        for t in range(n - 1, k, -1):  # one factor dh_t/dh_{t-1} after another
            gradient = [
                sum(gradient[i] * (1 - h[t, i] ** 2) * w_h[j, i] for i in range(d))
                for j in range(d)
            ]
        for i in range(d):
            for j in range(d):
                before = h[k - 1, j] if k > 0 else 0.0
                total[j, i] += gradient[i] * (1 - h[k, i] ** 2) * before
    hidden_gradient = np.zeros((n, d))
    hidden_gradient[-1] = last
    close(rnn_weight_gradient(hidden_gradient, h, w_h), total)


# --- The attention mechanism ---


def softmax_on_paper(x):
    total = sum(math.exp(x_j) for x_j in x)
    return [math.exp(x_i) / total for x_i in x]


def attention_on_paper(Q, K, V, mask=None):  # noqa: N803
    (n_queries, d_k), (n_keys, d_v) = Q.shape, V.shape
    output = np.zeros((n_queries, d_v))
    for i in range(n_queries):
        seen = [j for j in range(n_keys) if mask is None or mask[i, j]]
        scores = [
            sum(Q[i, c] * K[j, c] for c in range(d_k)) / math.sqrt(d_k) for j in seen
        ]
        for j, weight in zip(seen, softmax_on_paper(scores), strict=True):
            for c in range(d_v):
                output[i, c] += weight * V[j, c]
    return output


@pytest.mark.parametrize(
    ("n_queries", "n_keys", "d_k", "d_v"), [(1, 1, 1, 1), (3, 5, 4, 2), (4, 4, 2, 6)]
)
def test_attention(rng, n_queries, n_keys, d_k, d_v):
    """Attention(Q, K, V) = softmax(Q K^T / sqrt(d_k)) V."""
    query, key = rng.normal(size=(n_queries, d_k)), rng.normal(size=(n_keys, d_k))
    value = rng.normal(size=(n_keys, d_v))
    expected = attention_on_paper(query, key, value)
    close(scaled_dot_product_attention(query, key, value), expected)
    mask = rng.random((n_queries, n_keys)) < 0.5
    mask[:, 0] = True
    expected = attention_on_paper(query, key, value, mask)
    close(scaled_dot_product_attention(query, key, value, mask), expected)


def test_softmax(rng):
    """softmax(x_i) = exp(x_i) / sum_j exp(x_j)."""
    for n in (1, 2, 7):
        x = rng.normal(size=n, scale=5)
        close(softmax(x), softmax_on_paper(x))


@pytest.mark.parametrize("n_heads", [1, 2, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_attention(rng, n_heads, masked):
    """MultiHead = Concat(head_1, ..., head_h) W^O, head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V)."""
    query, memory = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    w_q, w_k = rng.normal(size=(2, 5, n_heads * 2))
    w_v, w_o = rng.normal(size=(5, n_heads * 3)), rng.normal(size=(n_heads * 3, 7))
    mask = causal_mask(4) if masked else None
    heads = [
        attention_on_paper(
            query @ w_q[:, 2 * i : 2 * i + 2],
            memory @ w_k[:, 2 * i : 2 * i + 2],
            memory @ w_v[:, 3 * i : 3 * i + 3],
            mask,
        )
        for i in range(n_heads)
    ]
    expected = np.concatenate(heads, axis=1) @ w_o
    arguments = query, memory, memory, w_q, w_k, w_v, w_o, n_heads, mask
    close(multi_head_attention(*arguments), expected, 1e-12)


# --- Positional encoding ---


@pytest.mark.parametrize(("n", "d_model", "base"), [(5, 8, 10_000), (3, 2, 100)])
def test_positional_encoding(n, d_model, base):
    """PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i+1) = cos(pos / 10000^(2i/d))."""
    encoding = np.empty((n, d_model))
    for pos in range(n):
        for i in range(d_model // 2):
            angle = pos / base ** (2 * i / d_model)
            encoding[pos, 2 * i] = math.sin(angle)
            encoding[pos, 2 * i + 1] = math.cos(angle)
    close(sinusoidal_encoding(n, d_model, base), encoding)


# --- The Transformer architecture ---


def test_feed_forward(rng):
    """FFN(x) = max(0, x W_1 + b_1) W_2 + b_2, for each position by itself."""
    n, d_model, d_ff = 3, 4, 6
    x, w_1, b_1 = (
        rng.normal(size=(n, d_model)),
        rng.normal(size=(d_model, d_ff)),
        rng.normal(size=d_ff),
    )
    w_2, b_2 = rng.normal(size=(d_ff, d_model)), rng.normal(size=d_model)
    expected = np.empty((n, d_model))
    for t in range(n):
        hidden = [
            max(0.0, sum(x[t, i] * w_1[i, k] for i in range(d_model)) + b_1[k])
            for k in range(d_ff)
        ]
        for j in range(d_model):
            expected[t, j] = sum(hidden[k] * w_2[k, j] for k in range(d_ff)) + b_2[j]
    close(feed_forward(x, w_1, b_1, w_2, b_2), expected)


# --- Training ---


def test_cross_entropy(rng):
    """L = -sum_t sum_i y_{t,i} log(yhat_{t,i}), of which training takes the mean per token."""
    T, V = 4, 5  # noqa: N806
    logits, targets = rng.normal(size=(T, V)), rng.integers(V, size=T)
    loss = 0.0
    for t in range(T):
        prediction = softmax_on_paper(logits[t])
        for i in range(V):
            y = 1.0 if i == targets[t] else 0.0
            loss -= y * math.log(prediction[i])
    close(cross_entropy(logits, targets), loss / T)


def test_backpropagation(rng):
    """dL/dtheta = dL/dyhat dyhat/dtheta: a sum over all outputs, by the multivariate chain rule.

    The model is logits = x theta, the prediction yhat its softmax, the loss -log yhat[target].
    """
    n_inputs, n_outputs, target = 3, 4, 2
    x, theta = rng.normal(size=n_inputs), rng.normal(size=(n_inputs, n_outputs))
    yhat = softmax_on_paper([float(x @ theta[:, i]) for i in range(n_outputs)])
    expected = np.zeros_like(theta)
    for a in range(n_inputs):
        for b in range(n_outputs):
            for i in range(n_outputs):
                dloss_dyhat = -1 / yhat[i] if i == target else 0.0
                dyhat_dlogit = yhat[i] * ((1.0 if i == b else 0.0) - yhat[b])
                expected[a, b] += dloss_dyhat * dyhat_dlogit * x[a]
    targets = np.asarray([target])
    by_formula = cross_entropy_gradient(x[None, :] @ theta, targets)
    close(x[:, None] @ by_formula, expected)
    parameters = Tensor(theta)
    cross_entropy(Tensor(x[None, :]) @ parameters, targets).backward()
    close(parameters.grad, expected)


@pytest.mark.parametrize("corrected", [True, False])
def test_adam(rng, corrected):
    """theta <- theta - eta mhat / (sqrt(vhat) + eps), mhat = m/(1-beta_1^t), vhat = v/(1-beta_2^t).

    Without the two corrections it is the formula that is often printed, and the first step is
    (1-beta_1)/sqrt(1-beta_2) = 3.16 times as long as it should be.
    """
    eta, beta_1, beta_2, eps = 0.01, 0.9, 0.999, 1e-12
    theta = [1.0, -2.0, 3.0]
    m, v = [0.0] * 3, [0.0] * 3
    params = {"theta": np.asarray(theta)}
    state = adamw_init(params)
    for t in range(1, 6):
        gradient = rng.normal(size=3)
        first = theta[0]
        for i in range(3):
            m[i] = beta_1 * m[i] + (1 - beta_1) * gradient[i]
            v[i] = beta_2 * v[i] + (1 - beta_2) * gradient[i] ** 2
            m_hat = m[i] / (1 - beta_1**t) if corrected else m[i]
            v_hat = v[i] / (1 - beta_2**t) if corrected else v[i]
            theta[i] -= eta * m_hat / (math.sqrt(v_hat) + eps)
        params, state = adamw_update(
            params,
            {"theta": gradient},
            state,
            eta,
            eps=eps,
            weight_decay=0.0,
            bias_correction=corrected,
        )
        close(params["theta"], theta)
        if t == 1:
            step = abs(theta[0] - first) / eta
            close(step, 1.0 if corrected else 0.1 / math.sqrt(0.001), 1e-6)


# --- Scaling laws ---


def test_scaling_law():
    """L(N, D) = (N_c/N)^alpha_N + (D_c/D)^alpha_D + const: Hoffmann's law, A = N_c^alpha_N."""
    alpha_n, alpha_d, const = 0.34, 0.28, 1.69
    n_c, d_c = 4.7e7, 2.2e9
    law = ChinchillaLaw(
        E=const, A=n_c**alpha_n, B=d_c**alpha_d, alpha=alpha_n, beta=alpha_d
    )
    for n_params in (1e6, 7e10):
        for n_tokens in (1e8, 1.4e12):
            loss = (n_c / n_params) ** alpha_n + (d_c / n_tokens) ** alpha_d + const
            close(chinchilla_loss(n_params, n_tokens, law), loss)
            loss = 1.69 + 406.4 / n_params**0.34 + 410.7 / n_tokens**0.28
            close(chinchilla_loss(n_params, n_tokens, HOFFMANN_2022), loss)


def test_kaplan_scaling_law():
    """L(N, D) = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D, whose exponents are the smaller."""
    alpha_n, alpha_d, n_c, d_c = 0.076, 0.103, 6.4e13, 1.8e13
    for n_params in (1e6, 7e10):
        for n_tokens in (1e8, 1.4e12):
            inner = (n_c / n_params) ** (alpha_n / alpha_d) + d_c / n_tokens
            close(kaplan_loss(n_params, n_tokens, KAPLAN_2020), inner**alpha_d)


# --- Tokenization ---


@pytest.mark.parametrize("text", ["", "a", "aaa", "abracadabra", "hello, hello"])
def test_pair_frequency(text):
    """freq(xy) = sum_i 1[token_i = x and token_{i+1} = y]."""
    frequencies = pair_frequencies(list(text))
    for x in text:
        for y in text:
            total = 0
            for i in range(len(text) - 1):
                total += 1 if text[i] == x and text[i + 1] == y else 0
            assert frequencies.get((x, y), 0) == total
    assert sum(frequencies.values()) == max(0, len(text) - 1)


# --- Temperature and sampling ---


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 2.0, 30.0])
def test_temperature(rng, temperature):
    """P(x_i) = exp(x_i / T) / sum_j exp(x_j / T)."""
    x = rng.normal(size=6)
    total = sum(math.exp(x_j / temperature) for x_j in x)
    expected = [math.exp(x_i / temperature) / total for x_i in x]
    close(temperature_softmax(x, temperature), expected)


# --- High-dimensional geometry ---


@pytest.mark.parametrize("n", [2, 10, 100, 768])
def test_shell(n):
    """The ball of radius sqrt(1 - 1/n) holds (1 - 1/n)^(n/2), or about exp(-1/2), of the volume.

    So that radius is the 61st percentile of a point's distance from the centre, and the shell
    outside it holds 39 %: most of the volume is near the surface, but not outside it.
    """
    radius = math.sqrt(1 - 1 / n)
    inside = 1.0
    for _ in range(n):  # a ball's volume goes with the n-th power of its radius
        inside *= radius
    close(1 - shell_fraction(n, radius), inside, 1e-12)
    close(inside, (1 - 1 / n) ** (n / 2), 1e-12)
    close(radius_quantile(n, inside), radius, 1e-12)
    assert abs(inside - math.exp(-1 / 2)) < 0.25 / (n - 1)
