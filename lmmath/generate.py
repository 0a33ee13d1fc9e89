"""Write with a language model: ``python -m lmmath.generate "Once upon a time"``."""

import argparse
import codecs
import os
import sys
from contextlib import suppress
from itertools import islice

import numpy as np

from lmmath.chat import END, chat_tokens
from lmmath.sampling import stream
from lmmath.weights import load_fable_gpt, load_smollm2

_DESCRIPTION = """\
Continue a text, or answer a question, with SmolLM2-135M-Instruct, a language model that people
use, computed by the formulas of the book. It is small: it writes well and knows little for
certain.
"""

_EPILOG = """\
Without settings, a text is continued with a temperature of 0.7 and a top-p of 0.9, an answer is
the most probable one, word by word, and Fable has its own probabilities. The same seed and
settings write the same text again. Ctrl-C ends it.
"""


def main(arguments=None):
    """Write until the model ends its text, the number of tokens is reached, or Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    # Not every terminal can write every character.
    with suppress(AttributeError):
        sys.stdout.reconfigure(errors="replace")
    try:
        for piece in _pieces(options, parser):
            print(piece, end="", flush=True)
        print()
    except KeyboardInterrupt:
        print()
        return 130
    except BrokenPipeError:
        # Who reads has read enough. What is left in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _pieces(options, parser):
    """Give the text piece by piece, the prompt first unless it is a question."""
    try:
        model = _load(options)
        prompt, end = _prompt(options, model)
        tokens = _tokens(options, model, prompt)
    except (OSError, TypeError, ValueError) as error:
        parser.error(str(error))
    if not options.chat:
        yield options.prompt
    yield from decoded(tokens, model.tokenizer, end)


def decoded(tokens, tokenizer, end=None):
    r"""Turn tokens into text as they come: a character is whole before it is given out.

    Parameters
    ----------
    tokens : iterable of int
    tokenizer : BPETokenizer
    end : int, optional
        The token after which there is nothing.

    Yields
    ------
    str

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> list(decoded([104, 195, 169, 33], BPETokenizer([])))
    ['h', '', 'é', '!', '']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token in tokens:
        if int(token) == end:
            break
        yield decoder.decode(tokenizer.decode_bytes([token]))
    yield decoder.decode(b"", final=True)


def _load(options):
    if options.fable:
        if options.chat or options.model:
            raise ValueError("--fable goes with neither --chat nor --model")
        return load_fable_gpt()
    return load_smollm2(options.model)


def _prompt(options, model):
    """Give the tokens to begin with, and the one that ends the text."""
    tokenizer = model.tokenizer
    if options.fable:
        # Every story of Fable follows a line break.
        return np.asarray(tokenizer.encode(f"\n{options.prompt}")), None
    if not options.prompt:
        raise ValueError("PROMPT must hold at least one character, got ''")
    if options.chat:
        message = {"role": "user", "content": options.prompt}
        return chat_tokens([message], tokenizer), tokenizer.special_tokens[END]
    end = tokenizer.special_tokens.get("<|endoftext|>")
    return np.asarray(tokenizer.encode(options.prompt)), end


def _tokens(options, model, prompt):
    params, config, _ = model
    room = config.n_positions - len(prompt)
    if room < 1 and not options.fable:
        raise ValueError(
            f"PROMPT must be shorter than the {config.n_positions} tokens that the model can "
            f"see, got {len(prompt)}"
        )
    if options.tokens < 0:
        raise ValueError(f"--tokens must be 0 or more, got {options.tokens}")
    rng = np.random.default_rng(options.seed)
    names = ("temperature", "top_k", "top_p", "min_p")
    given = {name: getattr(options, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    tokens = stream(params, prompt, config, rng, **(given or _usual(options)))
    # Fable's model reads on in a window that moves. The real one stops where it can see no more.
    return islice(
        tokens, options.tokens if options.fable else min(options.tokens, room)
    )


def _usual(options):
    """Give the settings of those who ask for none."""
    if options.fable:
        return {}  # its own probabilities are what it is for
    if options.chat:
        return {"top_k": 1}
    return {"temperature": 0.7, "top_p": 0.9}  # its tail is mostly errors


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m lmmath.generate",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompt", metavar="PROMPT", help="the text to begin with")
    parser.add_argument(
        "--chat", action="store_true", help="answer PROMPT instead of continuing it"
    )
    parser.add_argument(
        "--fable",
        action="store_true",
        help="write with the book's own small model, in its language Fable",
    )
    parser.add_argument(
        "--model", metavar="FILE", help="another GGUF file of the Llama family"
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=200,
        metavar="N",
        help="the most to write (default: %(default)s)",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="above 0; 1 is the model's own",
    )
    parser.add_argument(
        "--top-k", type=int, metavar="K", help="choose among so many; 1 is greedy"
    )
    parser.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="choose among the fewest with this probability",
    )
    parser.add_argument(
        "--min-p",
        type=float,
        metavar="P",
        help="leave out what has less than this share of the most probable",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="default: %(default)s"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
