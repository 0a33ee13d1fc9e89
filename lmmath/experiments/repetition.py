r"""Repetition: whether what stands in a text makes itself more probable.

``python -m lmmath.experiments.repetition`` lets SmolLM2 write from sixteen beginnings in several
ways and keeps how much of each text repeats what it has said. It takes some minutes.
"""

import numpy as np

from lmmath._checks import require_positive_integer
from lmmath.english import short_texts
from lmmath.experiments.kept import keep
from lmmath.experiments.texts import tokens_of
from lmmath.language_models import forward
from lmmath.sampling import generate
from lmmath.training import token_losses
from lmmath.weights import load_smollm2

WAYS = {
    "greedy": {"top_k": 1},
    "T = 0.7, top-p 0.9": {"temperature": 0.7, "top_p": 0.9},
    "T = 1": {},
}
N_PROMPT, N_WRITTEN, N_GRAM, SEEDS = 12, 180, 4, (0, 1)


def repeated_share(tokens, n=N_GRAM):
    r"""Say which share of a text's n-grams it has said before.

    Parameters
    ----------
    tokens : integer array, shape (n_tokens,)
    n : int

    Returns
    -------
    float

    References
    ----------
    Welleck et al. (2020), "Neural text generation with unlikelihood training", section 6.1.

    Examples
    --------
    >>> repeated_share(np.asarray([1, 2, 1, 2, 1, 2]), n=2)  # 12, 21, 12, 21, 12
    0.6
    """
    require_positive_integer(n=n)
    if len(tokens) < n:
        raise ValueError(f"tokens must hold at least {n} tokens, got {len(tokens)}")
    grams = [tuple(map(int, tokens[i : i + n])) for i in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams)


def losses_when_repeated(params, config, begin, sentences, n_times):
    r"""Measure what a sentence costs the first time, the second time, and so on.

    Parameters
    ----------
    params : dict of str to array
    config : GPTConfig, LlamaConfig or RecurrentConfig
    begin : int
        The token that stands first.
    sentences : list of integer arrays, each (n,)
    n_times : int

    Returns
    -------
    numpy.ndarray of float64, shape (n_sentences, n_times)
        In nats per token.

    References
    ----------
    Xu et al. (2022), "Learning to break the loop: Analyzing and mitigating repetitions for
    neural text generation", section 3.

    Examples
    --------
    >>> from lmmath.transformer import GPTConfig, gpt_shapes
    >>> config = GPTConfig(vocab_size=9, n_positions=8, d_model=2, n_layers=1, n_heads=1)
    >>> params = {name: np.zeros(shape) for name, shape in gpt_shapes(config).items()}
    >>> losses_when_repeated(params, config, 0, [np.asarray([3, 1])], 3).round(3)
    array([[2.197, 2.197, 2.197]])
    """
    require_positive_integer(n_times=n_times)
    rows = []
    for sentence in sentences:
        tokens = np.concatenate([[begin], *[sentence] * n_times])
        logits = np.asarray(forward(config, params, tokens), np.float64)
        losses = token_losses(logits[:-1], tokens[1:])
        rows.append(losses.reshape(n_times, len(sentence)).mean(axis=1))
    return np.stack(rows)


def main():
    """Let the real model write, and keep how much it repeats."""
    params, config, tokenizer = load_smollm2()
    texts = [tokens_of(text.text, tokenizer) for text in short_texts()]
    prompts = np.stack([tokens[:N_PROMPT] for tokens in texts])
    shares = {"the texts themselves": [[repeated_share(t[N_PROMPT:]) for t in texts]]}
    for name, choices in WAYS.items():
        shares[name] = []
        for seed in SEEDS[:1] if name == "greedy" else SEEDS:
            rng = np.random.default_rng(seed)
            rows = generate(params, prompts, config, N_WRITTEN, rng, **choices)
            shares[name].append([repeated_share(row[N_PROMPT:]) for row in rows])
            if seed == SEEDS[0]:
                print(name, tokenizer.decode(rows[0]), sep="\n", end="\n\n")
    sizes = {"n_prompt": N_PROMPT, "n_written": N_WRITTEN, "n_gram": N_GRAM}
    keep("repetition", sizes | {"shares": shares})


if __name__ == "__main__":
    main()
