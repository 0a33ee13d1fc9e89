"""What a small GPT has learned after 2,000 steps, against the same model of PyTorch's parts.

The sizes and settings are those of nanoGPT's example for small machines, the tokens the text's
characters. Both models begin with the same parameters and read the same windows of the text. A
lower loss on the tenth of the text that is held out is better.
"""

from measure import text  # isort: skip  (first: it sets the threads)

from dataclasses import replace

import numpy as np
import torch
from training import CONFIG, Parts, adamw, learn, loss_of, new_learner

from lmmath.training import TrainingConfig, cosine_schedule, evaluate

SETTINGS = TrainingConfig(n_steps=2000, batch_size=12, n_warmup=100, evaluate_every=500)
N_AT_ONCE = 32  # windows of the text that is held out


def main():
    """Print one table."""
    torch.set_num_threads(1)
    characters, tokens = np.unique(list(text()), return_inverse=True)
    config = replace(CONFIG, vocab_size=len(characters))
    cut = round(0.9 * len(tokens))
    print("**Loss on text held out, in nats per character**\n")
    print("| steps | lmmath | torch.nn | nanoGPT |")
    print("|---|---|---|---|")
    for step, *losses in _losses(tokens[:cut], tokens[cut:], config):
        cells = [f"{loss:.4f}" for loss in losses]
        print(f"| {step} | {' | '.join(cells)} | not installed |")


def _losses(train_tokens, valid_tokens, config):
    """Teach both, and give from time to time the step and what each then loses."""
    ours, theirs = new_learner(config, SETTINGS), Parts(config)
    optimizer = adamw(theirs, SETTINGS, fused=True)
    held_out = _in_a_row(valid_tokens, config.n_positions)
    # The same tokens in a row, which `evaluate` cuts into the same windows.
    valid_tokens = valid_tokens[: held_out[:, 1:].size + 1]
    rng = np.random.default_rng(SETTINGS.seed)
    for step in range(1, SETTINGS.n_steps + 1):
        windows = _drawn(train_tokens, config.n_positions, rng)
        ours.learn(windows)
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step)
        learn(theirs, optimizer, windows, SETTINGS)
        if step % SETTINGS.evaluate_every == 0:
            our_loss = evaluate(ours.params, valid_tokens, config, N_AT_ONCE)
            yield step, our_loss, _evaluate(theirs, held_out)


def _learning_rate(step):
    return cosine_schedule(
        step,
        SETTINGS.n_steps,
        SETTINGS.learning_rate,
        SETTINGS.n_warmup,
        SETTINGS.final_learning_rate,
    )


def _drawn(tokens, n_positions, rng):
    first = rng.integers(len(tokens) - n_positions, size=SETTINGS.batch_size)
    return tokens[first[:, None] + np.arange(n_positions + 1)]


def _in_a_row(tokens, n_positions):
    """Cut a text into windows, each of which begins with the last token of the one before."""
    first = np.arange(0, len(tokens) - n_positions, n_positions)
    return tokens[first[:, None] + np.arange(n_positions + 1)]


@torch.no_grad()
def _evaluate(model, windows):
    parts = np.array_split(windows, -(-len(windows) // N_AT_ONCE))
    losses = [float(loss_of(model, part)) for part in parts]
    return np.average(losses, weights=[len(part) for part in parts])


if __name__ == "__main__":
    main()
