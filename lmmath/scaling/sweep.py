"""The scaling experiment: models of many sizes on texts of many lengths, all of them Fable.

``python -m lmmath.scaling.sweep --out sweep.csv`` trains each size on each length and writes a
row for each run. A run that is in the file is not run again, so the command may be stopped at
any time and called again. Each run has one thread; several run side by side.

Short texts are read many times over. A run's loss is the lowest that it reached on held-out
text: a row says what so many parameters can learn from so much text, as far as the reading
went, and not what they forget when they read the same for too long.
"""

import argparse
import csv
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from lmmath.experiments import fact_recall
from lmmath.fable import sample, surprisals, to_text
from lmmath.fable.language import ODDS_OF_ANIMALS
from lmmath.transformer import GPTConfig, count_parameters, gpt_shapes
from lmmath.weights import load_fable_gpt

# d_model, n_layers, n_heads: 3,000 to 870,000 parameters.
SIZES = (
    (4, 1, 1),
    (8, 2, 1),
    (16, 2, 2),
    (32, 2, 2),
    (64, 2, 4),
    (96, 3, 4),
    (128, 4, 4),
)
N_TOKENS = (10_000, 32_000, 100_000, 320_000, 1_000_000, 3_200_000)

COLUMNS = (
    "d_model",
    "n_layers",
    "n_heads",
    "n_params",
    "n_tokens",
    "seed",
    "n_steps",
    "seconds",
    "loss",  # the lowest on held-out text, in nats per token
    "floor",  # the exact mean surprisal of the same text, in nats per token
    "fact_loss",  # of the hero's species, home and trait, in nats per token, at the end
    "fact_exact",  # how probably all three would be written right, at the end
)


# What the command printed for the book, with seed 0.
RESULTS = Path(__file__).with_name("sweep.csv")


@dataclass(frozen=True)
class Run:
    """One training of the sweep.

    Parameters
    ----------
    size : (d_model, n_layers, n_heads)
    n_tokens : int
        How much text there is to learn from. A shorter text is the beginning of a longer one.
    seed : int
        Of the text, the first parameters and the order of reading.
    n_positions, batch_size : int
        Of the model, and of each step.
    least_read : int
        How many tokens are read at least, repeated ones included. A text longer than half of
        that is read twice.
    valid_words : int
        How much is held out, the same for all runs.
    """

    size: tuple
    n_tokens: int
    seed: int = 0
    n_positions: int = 128
    batch_size: int = 8
    least_read: int = 1_500_000
    valid_words: int = 20_000

    @property
    def key(self):
        """What tells this run from others in a file."""
        return (*self.size, self.n_tokens, self.seed)

    @property
    def n_steps(self):
        """The number of updates."""
        n_read = max(self.least_read, 2 * self.n_tokens)
        return -(-n_read // (self.batch_size * self.n_positions))


def train_one(run):
    """Train one model, and return its row.

    Parameters
    ----------
    run : Run

    Returns
    -------
    dict
        With the keys of ``COLUMNS``.
    """
    # Here, so that whoever only reads the results needs no PyTorch.
    import torch

    from lmmath.training import TrainingConfig, train

    torch.set_num_threads(1)
    began = time.perf_counter()
    tokenizer = load_fable_gpt().tokenizer
    tokens, valid_words, valid_tokens = _texts(run, tokenizer)
    (line_break,) = tokenizer.encode("\n")
    config = GPTConfig(tokenizer.vocab_size, run.n_positions, *run.size)
    settings = TrainingConfig(
        n_steps=run.n_steps,
        batch_size=run.batch_size,
        learning_rate=0.02 / config.d_model**0.5,
        weight_decay=0.01,
        betas=(0.9, 0.99),
        seed=run.seed,
        evaluate_every=max(1, run.n_steps // 20),
        checkpoint_every=run.n_steps,
    )
    with tempfile.TemporaryDirectory() as directory:
        params = train(
            tokens,
            valid_tokens,
            config,
            settings,
            directory,
            progress=False,
            starts=np.flatnonzero(tokens[: -run.n_positions] == line_break),
            valid_starts=np.flatnonzero(valid_tokens[:-1] == line_break),
        )
        with Path(directory, "log.csv").open(encoding="utf-8", newline="") as file:
            losses = [row["valid_loss"] for row in csv.DictReader(file)]
    recall = fact_recall(params, config, tokenizer)
    return {
        **dict(zip(COLUMNS, run.size, strict=False)),
        "n_params": count_parameters(gpt_shapes(config)),
        "n_tokens": run.n_tokens,
        "seed": run.seed,
        "n_steps": run.n_steps,
        "seconds": round(time.perf_counter() - began, 1),
        "loss": _rounded(min(float(loss) for loss in losses if loss)),
        # The line break at the beginning is given, not predicted.
        "floor": _rounded(surprisals(valid_words).sum() / (len(valid_tokens) - 1)),
        "fact_loss": _rounded(ODDS_OF_ANIMALS @ recall.loss.mean(axis=1)),
        "fact_exact": _rounded(ODDS_OF_ANIMALS @ recall.exact.all(axis=1)),
    }


def sweep(runs, path, n_processes=1):
    """Train all models that are not in the file yet; append a row as each is ready.

    Parameters
    ----------
    runs : sequence of Run
    path : str or path
        A CSV file. Made if there is none.
    n_processes : int
        How many to train side by side.

    Yields
    ------
    dict
        The new rows, in the order in which they become ready.

    Raises
    ------
    ValueError
        If the file has other columns.
    """
    # Here and not above: reading a sweep needs no processes, and a browser has none.
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    done = {_key(row) for row in read_sweep(path)} if Path(path).exists() else None
    with Path(path).open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if done is None:
            writer.writeheader()
        missing = [run for run in runs if run.key not in (done or ())]
        pool = ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"))
        try:
            for future in as_completed(
                [pool.submit(train_one, run) for run in missing]
            ):
                writer.writerow(future.result())
                file.flush()
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def read_sweep(path=RESULTS):
    """Read the rows of a sweep.

    Parameters
    ----------
    path : str or path
        By default the results that come with the package.

    Returns
    -------
    list of dict
        With the keys of ``COLUMNS``; all values are numbers.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has other columns, or a value is not a number.
    """
    with Path(path).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(
                f"{path} must have the columns {', '.join(COLUMNS)}, "
                f"got {', '.join(reader.fieldnames or ['none'])}"
            )
        try:
            return [{name: float(row[name]) for name in COLUMNS} for row in reader]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} must hold numbers: {error}") from None


def main(arguments=None):
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lmmath.scaling.sweep",
        description="Train models of many sizes on many lengths of Fable.",
        epilog="Stopped, the same command goes on with the runs that are missing.",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a CSV file"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="default: all processors"
    )
    options = parser.parse_args(arguments)
    # The quickest first.
    runs = sorted(
        (Run(size, n, options.seed) for size, n in product(SIZES, N_TOKENS)),
        key=lambda run: (run.n_steps, run.size),
    )
    try:
        for row in sweep(runs, options.out, options.processes):
            print(", ".join(f"{name} {row[name]}" for name in COLUMNS), flush=True)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def _texts(run, tokenizer):
    """Write the text to learn, cut to its length, and the one held out."""
    # Every word has a token or more, so there are enough.
    words = sample(run.n_tokens, np.random.default_rng([run.seed, 0]))
    tokens = np.asarray(tokenizer.encode("\n" + to_text(words)))[: run.n_tokens]
    valid_words = sample(run.valid_words, np.random.default_rng([run.seed, 1]))
    valid_tokens = np.asarray(tokenizer.encode("\n" + to_text(valid_words)))
    return tokens, valid_words, valid_tokens


def _key(row):
    names = ("d_model", "n_layers", "n_heads", "n_tokens", "seed")
    return tuple(int(row[name]) for name in names)


def _rounded(number):
    return round(float(number), 5)


if __name__ == "__main__":
    sys.exit(main())
