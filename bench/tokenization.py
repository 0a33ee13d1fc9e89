"""Byte-pair encoding against Rust: the tokenizers of Hugging Face, and tiktoken."""

import warnings
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import beginning, compare, installed, text

from lmmath.tokenization import GPT2_PATTERN, BPETokenizer

SHARES = 0.25, 0.5, 1.0


def main():
    """Print a table for training, and one for encoding, with each of two vocabularies."""
    whole = text()
    sizes = [len(beginning(whole, share).encode()) / 1e6 for share in SHARES]
    for vocab_size in (1000, 4096):
        # A text may have fewer words than that asks for.
        warnings.simplefilter("ignore", UserWarning)
        print(
            compare(
                f"Learning {vocab_size} tokens",
                "megabytes of text",
                sizes,
                {
                    "lmmath": _prepared(_learn, whole, sizes, vocab_size),
                    "tokenizers": installed("tokenizers")
                    and _prepared(_learn_in_rust, whole, sizes, vocab_size),
                    "minbpe": None,
                },
            )
        )
        print(
            compare(
                f"Encoding with {vocab_size} tokens",
                "megabytes of text",
                sizes,
                _encoders(whole, sizes, BPETokenizer.train(whole, vocab_size)),
            )
        )


def _prepared(function, whole, sizes, *arguments):
    """Turn a function of a text into one of a size, as ``compare`` wants it."""

    def prepare(size):
        return partial(function, beginning(whole, size / sizes[-1]), *arguments)

    return prepare


def _learn(part, vocab_size):
    BPETokenizer.train(part, vocab_size)


def _learn_in_rust(part, vocab_size):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([part], trainer)


def _encoders(whole, sizes, ours):
    encoders = {
        "lmmath, new": lambda part: BPETokenizer(ours.merges).encode(part),
        "lmmath, words met": ours.encode,
        "tiktoken": _tiktoken(ours) if installed("tiktoken") else None,
        "tokenizers": _in_rust(ours) if installed("tokenizers") else None,
        "minbpe": None,
    }
    expected = ours.encode(whole)
    for name, encode in encoders.items():
        if encode and encode(whole) != expected:
            raise AssertionError(f"{name} gives other ids")
    return {
        name: encode and _prepared(encode, whole, sizes)
        for name, encode in encoders.items()
    }


def _tiktoken(ours):
    from tiktoken import Encoding

    ranks = {token: i for i, token in ours.vocab.items()}
    encoding = Encoding(
        "bench", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    return encoding.encode_ordinary


def _in_rust(ours):
    from tokenizers import Tokenizer, models, pre_tokenizers

    with TemporaryDirectory() as directory:
        ours.save_gpt2_files(directory)
        files = [str(Path(directory, name)) for name in ("vocab.json", "merges.txt")]
        tokenizer = Tokenizer(models.BPE.from_file(*files))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return lambda part: tokenizer.encode(part).ids


if __name__ == "__main__":
    main()
