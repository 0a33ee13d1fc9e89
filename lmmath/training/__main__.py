"""Train a GPT from the command line: ``python -m lmmath.training --help``."""

import argparse
import json
import os
import platform
import sys
import warnings
from dataclasses import asdict, fields
from pathlib import Path
from typing import get_args, get_origin

if __name__ == "__main__":
    # PyTorch's threads read this when it is loaded. By default they spin while they wait for
    # each other, which on a busy processor takes many times as long as the work itself.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from lmmath._files import replacing
from lmmath.checkpoints import save_model
from lmmath.fable import entropy_rate, sample, to_text
from lmmath.language_models import RecurrentConfig, shapes
from lmmath.sampling import generate
from lmmath.tokenization import BPETokenizer
from lmmath.training.loop import (
    Diverged,
    Terminated,
    TrainingConfig,
    evaluate,
    prepare,
    rank_and_number,
    train,
)
from lmmath.transformer import GPTConfig, count_parameters

_DESCRIPTION = """\
Train a GPT on a text, and write to a directory:

  model.safetensors       the model, for lmmath.checkpoints.load_model
  tokenizer.json          its tokenizer, for lmmath.tokenization.BPETokenizer.load
  log.csv                 losses and more, one row for each step
  settings.json           how all this was made
  checkpoint.safetensors  what a stopped training needs: the same command goes on from there
"""

_EPILOG = """\
In two processes: torchrun --nproc-per-node=2 -m lmmath.training --text FILE --out DIRECTORY
"""

_ADVICE = (
    "Begin in another directory, with a lower --learning-rate or a longer --n-warmup."
)

# What each option is, and its default where the dataclass has none.
_SIZES = {
    "n_positions": ("longest text that the model can see, in tokens", 128),
    "d_model": ("width of the vectors that pass from layer to layer", 128),
    "n_layers": ("number of blocks", 4),
    "n_heads": ("attention heads per block", 4),
    "d_ff": ("width of the hidden layers; 4 D_MODEL if not given", None),
    "eps": ("the small number in the layer norms", 1e-5),
}
_SETTINGS = {
    "n_steps": "number of updates",
    "batch_size": "windows of text per update, over all processes together",
    "learning_rate": "the highest, after the warm-up",
    "n_warmup": "updates of the warm-up; a twentieth of N_STEPS if not given",
    "final_learning_rate": "that of the last update; a tenth of the highest if not given",
    "weight_decay": "of the matrices",
    "betas": "how much AdamW keeps of its two averages",
    "max_norm": "longer gradients are shortened to this length",
    "seed": "decides the first parameters, the text of each step, and the sample",
    "evaluate_every": "steps from one validation to the next",
    "checkpoint_every": "steps from one checkpoint to the next",
}


def main(arguments=None):
    """Run the command, and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        tokenizer, *tokens = _data(options)
        config = _config(options, tokenizer.vocab_size)
        settings = TrainingConfig(**{n: getattr(options, n) for n in _SETTINGS})
        run = *tokens, config, settings, options.out
        starts = _starts(options, tokenizer, *tokens)
        prepare(*run, **starts)
        rank, n_processes = rank_and_number()
        if rank == 0:
            options.out.mkdir(parents=True, exist_ok=True)
            tokenizer.save(options.out / "tokenizer.json")
            _describe(options, arguments, config, settings, n_processes)
            _announce(config, *tokens)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    try:
        params = train(*run, **starts)
    except (KeyboardInterrupt, Terminated) as stop:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return stop.code if isinstance(stop, Terminated) else 130
    except Diverged as error:
        if rank == 0:
            print(f"\n{parser.prog}: {error}. {_ADVICE}", file=sys.stderr)
        return 1
    if rank == 0:
        dtype = np.float16 if options.half else np.float32
        save_model(options.out / "model.safetensors", params, config, dtype)
        loss = evaluate(
            params, tokens[1], config, options.batch_size, starts["valid_starts"]
        )
        _show(options, params, tokenizer, tokens[0], config, loss)
    return 0


def _parser():
    parser = _Parser(
        prog="python -m lmmath.training",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    group = parser.add_argument_group("the text")
    # Another source of text, such as a language of the book's own, is one more option in
    # this group and one more branch in _text.
    text = group.add_mutually_exclusive_group(required=True)
    text.add_argument("--text", type=Path, metavar="FILE", help="any text in UTF-8")
    text.add_argument(
        "--fable",
        type=int,
        metavar="N_WORDS",
        help="so many words of Fable, drawn by the seed; windows then begin with a story",
    )
    _add(group, "valid_fraction", float, "the last part of it, held out", 0.1)
    group = parser.add_argument_group("the tokenizer")
    tokenizer = group.add_mutually_exclusive_group()
    _add(tokenizer, "vocab_size", int, "learn so many tokens from the text", 512)
    tokenizer.add_argument(
        "--tokenizer", type=Path, metavar="FILE", help="or take this one"
    )
    group = parser.add_argument_group("the model")
    group.add_argument(
        "--cell",
        choices=("rnn", "lstm"),
        help="a recurrent network, which has no layers and heads, instead of a GPT",
    )
    for field in fields(GPTConfig)[1:]:
        _add(group, field.name, field.type, *_SIZES[field.name])
    group = parser.add_argument_group("the training")
    for field in fields(TrainingConfig):
        _add(group, field.name, field.type, _SETTINGS[field.name], field.default)
    group = parser.add_argument_group("the result")
    group.add_argument("--out", type=Path, metavar="DIRECTORY", required=True)
    group.add_argument(
        "--half", action="store_true", help="store the model in float16, half the size"
    )
    _add(group, "sample", int, "tokens of text to print in the end", 100, "N_TOKENS")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """Say it in one line: the usage of so many options would bury it."""
        self.exit(2, f"{self.prog}: {' '.join(message.splitlines())}\n")


def _add(group, name, kind, text, default, metavar=None):
    """Add an option for a number, a number or None, or a pair of numbers."""
    if default is not None:
        shown = default if get_origin(kind) is not tuple else "{} {}".format(*default)
        text = f"{text} (default: {shown})"
    group.add_argument(
        f"--{name.replace('_', '-')}",
        type=get_args(kind)[0] if get_args(kind) else kind,
        nargs=2 if get_origin(kind) is tuple else None,
        default=default,
        help=text,
        metavar=metavar,
    )


def _config(options, vocab_size):
    if options.cell:
        sizes = options.n_positions, options.d_model
        return RecurrentConfig(vocab_size, *sizes, options.cell)
    return GPTConfig(vocab_size, **{name: getattr(options, name) for name in _SIZES})


def _data(options):
    """Make the tokenizer, the tokens to learn and those to hold out."""
    if not 0 < options.valid_fraction < 1:
        raise ValueError(
            f"valid_fraction must be above 0 and below 1, got {options.valid_fraction}"
        )
    if options.sample < 0:
        raise ValueError(f"sample must be at least 0, got {options.sample}")
    text = _text(options)
    n_train = len(text) - round(len(text) * options.valid_fraction)
    # What is held out teaches the tokenizer nothing either.
    parts = text[:n_train], text[n_train:]
    tokenizer = _tokenizer(options, parts[0])
    tokens = [np.asarray(tokenizer.encode(part), np.int64) for part in parts]
    return tokenizer, *tokens


def _starts(options, tokenizer, train_tokens, valid_tokens):
    """List where windows may begin: anywhere, or at the line breaks before Fable's stories."""
    if options.fable is None:
        return {"starts": None, "valid_starts": None}
    (line_break,) = tokenizer.encode("\n")
    last = max(0, len(train_tokens) - options.n_positions)
    return {
        "starts": np.flatnonzero(train_tokens[:last] == line_break),
        "valid_starts": np.flatnonzero(valid_tokens[:-1] == line_break),
    }


def _text(options):
    if options.fable is not None:
        return to_text(sample(options.fable, np.random.default_rng(options.seed)))
    try:
        # Some editors begin a file with a mark, which is no part of the text.
        return options.text.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{options.text} is not text in UTF-8: {error}") from None


def _tokenizer(options, text):
    if options.tokenizer:
        return BPETokenizer.load(options.tokenizer)
    with warnings.catch_warnings():
        # A short text may run out of pairs. How many tokens it gave is printed below.
        warnings.simplefilter("ignore")
        return BPETokenizer.train(text, options.vocab_size)


def _describe(options, arguments, config, settings, n_processes):
    """Write down how the model is made."""
    content = {
        "command_line": sys.argv[1:] if arguments is None else arguments,
        "options": vars(options),
        "config": asdict(config),
        "settings": asdict(settings),
        "n_processes": n_processes,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
    }
    with replacing(options.out / "settings.json") as draft:
        draft.write_text(json.dumps(content, indent=1, default=str) + "\n", "utf-8")


def _announce(config, train_tokens, valid_tokens):
    print(
        f"{count_parameters(shapes(config))} parameters, "
        f"{config.vocab_size} tokens in the vocabulary, "
        f"{len(train_tokens)} in the text to learn, {len(valid_tokens)} held out",
        flush=True,
    )


def _show(options, params, tokenizer, train_tokens, config, loss):
    perplexity = np.exp(loss)
    print(f"validation loss {loss:.4f} nats per token, perplexity {perplexity:.2f}")
    if options.fable is not None:
        print(f"entropy of Fable {entropy_rate(tokenizer):.4f} nats per token")
    if options.sample and not options.cell:  # generate writes with a GPT's cache
        rng = np.random.default_rng(options.seed)
        # It begins as the text does.
        ids = generate(params, train_tokens[:1], config, options.sample, rng)
        # A terminal may lack a letter.
        sys.stdout.reconfigure(errors="replace")
        print(tokenizer.decode(ids))


if __name__ == "__main__":
    sys.exit(main())
