r"""The law fitted to the book's sweep, with intervals from many resamples of the runs.

``python -m lmmath.experiments.fitted_law`` fits the law to the sweep as it is, once with all
parameters for :math:`N` and once with those of the blocks alone, predicts the dearest run from
cheaper ones, and keeps the constants and their intervals. It takes some minutes.
"""

import numpy as np

from lmmath.experiments.kept import keep
from lmmath.scaling import (
    bootstrap_chinchilla,
    chinchilla_loss,
    confidence_interval,
    fit_chinchilla,
)
from lmmath.scaling.sweep import read_sweep

N_RESAMPLES, LEVEL, SEED = 1500, 0.9, 0


def block_parameters(d_model, n_layers):
    r"""Count the parameters of the blocks' matrices, without the embeddings.

    .. math:: 12 \, L \, d^2

    Parameters
    ----------
    d_model : int or array of integers
        :math:`d`.
    n_layers : int or array of integers
        :math:`L`.

    Returns
    -------
    int or array of integers

    References
    ----------
    Kaplan et al. (2020), "Scaling laws for neural language models", section 2.1.

    Examples
    --------
    >>> block_parameters(96, 3)  # of the 397,152 of the book's GPT
    331776
    """
    return 12 * n_layers * d_model**2


def fit_with_interval(n_params, n_tokens, loss, rng, n_resamples=N_RESAMPLES):
    """Fit the law of Hoffmann et al., and bound its constants by the bootstrap.

    Parameters
    ----------
    n_params, n_tokens, loss, rng, n_resamples
        As in ``bootstrap_chinchilla``.

    Returns
    -------
    law : ChinchillaLaw
    interval : tuple of two ChinchillaLaw
        The ends for each constant, at ``LEVEL``.
    laws : list of ChinchillaLaw
        Of the resamples.
    """
    law = fit_chinchilla(n_params, n_tokens, loss)
    laws = bootstrap_chinchilla(n_params, n_tokens, loss, rng, n_resamples)
    return law, confidence_interval(laws, LEVEL), laws


def main():
    """Fit the sweep that comes with the package, and keep what the fits say."""
    runs = read_sweep()
    column = {name: np.asarray([run[name] for run in runs]) for name in runs[0]}
    n_params, n_tokens, loss = (
        column[name] for name in ("n_params", "n_tokens", "loss")
    )
    counts = {
        "all parameters": n_params,
        "the blocks' alone": block_parameters(column["d_model"], column["n_layers"]),
    }
    fits = {}
    for name, n in counts.items():
        rng = np.random.default_rng(SEED)
        law, (low, high), _ = fit_with_interval(n, n_tokens, loss, rng)
        fits[name] = {"law": law, "low": low, "high": high}
        print(name, law, low, high, sep="\n")
    hidden = (n_params == n_params.max()) | (n_tokens == n_tokens.max())
    dearest = np.argmax(n_params * n_tokens)
    rng = np.random.default_rng(SEED)
    law, _, laws = fit_with_interval(
        *(x[~hidden] for x in (n_params, n_tokens, loss)), rng
    )
    predicted = [chinchilla_loss(n_params[dearest], n_tokens[dearest], x) for x in laws]
    ends = np.quantile(predicted, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    print("the dearest run", law, ends, loss[dearest], sep="\n")
    sizes = {"seed": SEED, "n_resamples": N_RESAMPLES, "level": LEVEL}
    forecast = {"law": law, "ends": ends}
    keep(
        "fitted_law", sizes | {"n_runs": len(runs), "fits": fits, "forecast": forecast}
    )


if __name__ == "__main__":
    main()
