"""What a small GPT has learned after 2,000 steps, against the same model of PyTorch's parts.

The sizes and settings are those of nanoGPT's example for small machines, the tokens the text's
characters. Both models begin with the same parameters, but each draws its own windows of the text.
A lower loss on the tenth of the text that is held out is better.
"""

from measure import text  # isort: skip  (first: it sets the threads)

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from training import Parts, adamw

from lmmath.training import TrainingConfig, cosine_schedule, train
from lmmath.training.loop import LOG_COLUMNS
from lmmath.transformer import GPTConfig, init_gpt

N_STEPS, EVERY, BATCH_SIZE = 2000, 500, 12
SETTINGS = TrainingConfig(
    n_steps=N_STEPS,
    batch_size=BATCH_SIZE,
    learning_rate=1e-3,
    final_learning_rate=1e-4,
    n_warmup=100,
    evaluate_every=EVERY,
)


def main():
    """Print one table."""
    torch.set_num_threads(1)
    characters, tokens = np.unique(list(text()), return_inverse=True)
    cut = round(0.9 * len(tokens))
    data = tokens[:cut], tokens[cut:]
    config = GPTConfig(
        vocab_size=len(characters), n_positions=64, d_model=128, n_layers=4, n_heads=4
    )
    columns = {"lmmath": _ours(config, *data), "torch.nn": _theirs(config, *data)}
    print("**Loss on text held out, in nats per character**\n")
    print("| steps | " + " | ".join([*columns, "nanoGPT"]) + " |")
    print("|---|---|---|---|")
    for i, losses in enumerate(zip(*columns.values(), strict=True), start=1):
        cells = [f"{loss:.4f}" for loss in losses]
        print(f"| {i * EVERY} | " + " | ".join([*cells, "not installed"]) + " |")


def _ours(config, train_tokens, valid_tokens):
    first = init_gpt(config, np.random.default_rng(0))
    with TemporaryDirectory() as directory:
        train(
            train_tokens,
            valid_tokens,
            config,
            SETTINGS,
            directory,
            first,
            progress=False,
        )
        log = np.genfromtxt(Path(directory, "log.csv"), delimiter=",", skip_header=1)
    losses = log[:, LOG_COLUMNS.index("valid_loss")]
    return losses[~np.isnan(losses)]


def _theirs(config, train_tokens, valid_tokens):
    model, rng = Parts(config), np.random.default_rng(1)
    optimizer = adamw(model, fused=True)
    offsets = np.arange(config.n_positions + 1)
    losses = []
    for step in range(1, N_STEPS + 1):
        for group in optimizer.param_groups:
            group["lr"] = cosine_schedule(step, N_STEPS, 1e-3, 100, 1e-4)
        starts = rng.integers(len(train_tokens) - config.n_positions, size=BATCH_SIZE)
        _loss(model, train_tokens[starts[:, None] + offsets]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % EVERY == 0:
            losses.append(_held_out(model, valid_tokens, config.n_positions))
    return losses


def _loss(model, windows):
    windows = torch.from_numpy(windows)
    logits = model(windows[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def _held_out(model, tokens, n_positions):
    """Predict each token once, as ``lmmath.training.evaluate`` does; but leave out the last few."""
    n_windows = (len(tokens) - 1) // n_positions
    windows = np.arange(n_windows)[:, None] * n_positions + np.arange(n_positions + 1)
    parts = np.array_split(tokens[windows], max(1, n_windows // 32))
    losses = [float(_loss(model, part)) for part in parts]
    return float(np.average(losses, weights=[len(part) for part in parts]))


if __name__ == "__main__":
    main()
