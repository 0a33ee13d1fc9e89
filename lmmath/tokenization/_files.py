"""Tokenizers in files: those of this package, of GPT-2, Hugging Face, tiktoken, and GGUF.

Each ``load`` gives the arguments of a constructor; each ``save`` writes a file whole or not at all.
"""

import base64
import gzip
import json
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from lmmath._files import replacing
from lmmath.gguf_file import GGUFFile, read_gguf
from lmmath.tokenization.merges import BYTES
from lmmath.tokenization.patterns import PATTERNS

_FORMAT = "lmmath.BPETokenizer 1"


# --- bytes as signs that can be seen ---


def _gpt2_alphabet():
    """Give each byte a sign that can be seen, as ``bytes_to_unicode`` of openai/gpt-2 does.

    Bytes that are visible in Latin-1 stand for themselves, the others for U+0100 and after.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = count(0x100)
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


_SIGNS = _gpt2_alphabet()
_BYTE_OF_SIGN = {sign: byte for byte, sign in enumerate(_SIGNS)}
_TO_BYTES = str.maketrans({sign: chr(byte) for byte, sign in enumerate(_SIGNS)})


def to_signs(token):
    """Spell a byte string in signs that can be seen."""
    return "".join(_SIGNS[byte] for byte in token)


def from_signs(signs):
    """Give the bytes that signs stand for."""
    return signs.translate(_TO_BYTES).encode("latin-1")


def merge_lines(merges):
    """Write each merge as two tokens and a space, as in ``merges.txt``."""
    return [f"{to_signs(first)} {to_signs(second)}" for first, second in merges]


def parse_merges(lines):
    """Read merges from such lines."""
    if not isinstance(lines, list):
        raise TypeError(f"merges must be a list, got {type(lines).__name__}")
    merges = []
    for line in lines:
        pair = line.split(" ") if isinstance(line, str) else ()
        if len(pair) != 2 or not _BYTE_OF_SIGN.keys() >= set("".join(pair)):
            raise ValueError(f"a merge must be two tokens and a space, got {line!r}")
        merges.append((from_signs(pair[0]), from_signs(pair[1])))
    return merges


# --- reading and writing ---


def read(path):
    """Read a file of UTF-8 text."""
    return Path(path).read_text(encoding="utf-8")


def read_object(path):
    """Read a file that holds a JSON object."""
    content = json.loads(read(path))
    if not isinstance(content, dict):
        raise ValueError("expected an object")
    return content


def write(path, text):
    """Write a file whole, or leave what was there."""
    with replacing(path) as draft:
        draft.write_text(f"{text}\n", encoding="utf-8", newline="\n")


@contextmanager
def reading(path):
    """Say of which file an error speaks."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} holds no tokenizer: it lacks {error}") from error
    except (TypeError, ValueError, AttributeError, RecursionError, EOFError) as error:
        raise ValueError(f"{path} holds no tokenizer: {error}") from error


# --- this package's own ---


def save(path, merges, special, ids, pattern):
    """Write the book's own format. What is usual is left out."""
    content = {
        "format": _FORMAT,
        "merges": merge_lines(merges),
        "special_tokens": list(special),
        "ids": None if ids == list(range(len(ids))) else ids,
    }
    if pattern != "gpt2":
        content["pattern"] = pattern
    write(path, json.dumps(content, ensure_ascii=False, indent=1))


def load(path):
    """Read the book's own format."""
    content = json.loads(read(path))
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f'expected an object whose "format" is "{_FORMAT}"')
    missing = {"merges", "special_tokens", "ids"} - content.keys()
    if missing:
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    return {
        "merges": parse_merges(content["merges"]),
        "special_tokens": content["special_tokens"],
        "ids": content["ids"],
        "pattern": content.get("pattern", "gpt2"),
    }


# --- GPT-2's two files ---


def save_gpt2_files(directory, merges, ids, special):
    """Write ``vocab.json`` and ``merges.txt``."""
    vocab = _vocab(ids, special)
    lines = ["#version: 0.2", *merge_lines(merges)]
    Path(directory).mkdir(parents=True, exist_ok=True)
    write(Path(directory, "merges.txt"), "\n".join(lines))
    write(Path(directory, "vocab.json"), json.dumps(vocab, ensure_ascii=False))


def _vocab(ids, special):
    """Spell all tokens in signs, and special tokens as they are."""
    vocab = {to_signs(token): i for token, i in ids.items()}
    if clash := vocab.keys() & special.keys():
        raise ValueError(
            f"special_tokens must not be spelled like other tokens, got {sorted(clash)}"
        )
    return vocab | special


def load_merges(merges_txt):
    """Read ``merges.txt``."""
    lines = read(merges_txt).removesuffix("\n").split("\n")
    if lines[0].startswith("#version"):
        lines = lines[1:]
    return parse_merges(lines)


def load_vocab(vocab_json, merges):
    """Read ``vocab.json``, to which the merges belong."""
    vocab = json.loads(read(vocab_json))
    if not isinstance(vocab, dict):
        raise ValueError("expected an object from tokens to ids")
    tokens = [to_signs(token) for token in (*BYTES, *map(b"".join, merges))]
    if missing := [token for token in tokens if token not in vocab]:
        raise ValueError(f"it lacks the token {missing[0]!r}")
    made = set(tokens)
    special = [token for token in vocab if token not in made]
    ids = [vocab[token] for token in (*tokens, *special)]
    return {"merges": merges, "special_tokens": special, "ids": ids}


# --- Hugging Face's tokenizer.json ---

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
_DIGITS = {"type": "Digits", "individual_digits": True}


def save_tokenizer_json(path, merges, ids, special, pattern, whole):
    """Write what the package ``tokenizers`` reads."""
    added = [
        {"id": i, "content": token, "special": True, "single_word": False}
        | {"lstrip": False, "rstrip": False, "normalized": False}
        for token, i in special.items()
    ]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": whole,
        "vocab": _vocab(ids, special),
        "merges": merge_lines(merges),
    }
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": _cutting(pattern),
        "post_processor": None,
        "decoder": _BYTE_LEVEL | {"use_regex": True},
        "model": model,
    }
    write(path, json.dumps(content, ensure_ascii=False, indent=1))


# ``tokenizers`` reads {1,3}+ as a group that repeats. In cl100k nothing can follow it, so that it
# means the same without the sign.
_EXPRESSIONS = PATTERNS | {"cl100k": PATTERNS["cl100k"].replace("{1,3}+", "{1,3}")}


def _cutting(pattern):
    """Say to ``tokenizers`` where to cut a text."""
    if pattern not in PATTERNS and "}+" in pattern:
        raise ValueError(
            f"pattern must not hold }}+, which tokenizers reads otherwise, got {pattern!r}"
        )
    own = _BYTE_LEVEL | {"use_regex": True}
    if pattern == "gpt2":
        return own
    if pattern == "smollm2":
        return {"type": "Sequence", "pretokenizers": [_DIGITS, own]}
    split = {
        "type": "Split",
        "pattern": {"Regex": _EXPRESSIONS.get(pattern, pattern)},
        "behavior": "Isolated",
        "invert": False,
    }
    plain = _BYTE_LEVEL | {"use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split, plain]}


def load_tokenizer_json(path):
    """Tell which constructor takes it, "merges" or "ranks", and with what."""
    content = read_object(path)
    model = content["model"]
    _require(model, "model", "type", "BPE")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        _require(model, "model", name, None, "")
    _require(model, "model", "byte_fallback", False)
    _require(content, "the tokenizer", "normalizer", None)
    pattern = _pattern_of(content["pre_tokenizer"])
    special = {token["content"]: token["id"] for token in content["added_tokens"]}
    vocab = {token: i for token, i in model["vocab"].items() if special.get(token) != i}
    merges = parse_merges(
        [line if isinstance(line, str) else " ".join(line) for line in model["merges"]]
    )
    if model.get("ignore_merges", False):
        # Its merges are all pairs that make a token, so the tokens alone say the same.
        ranks = {from_signs(token): i for token, i in vocab.items()}
        return "ranks", {"ranks": ranks, "special_tokens": special, "pattern": pattern}
    return "merges", _with_ids(vocab, merges, special, pattern)


def _with_ids(vocab, merges, special, pattern):
    """Give each token its id; a byte may lack one, another token may not."""
    learned = [to_signs(token) for token in map(b"".join, merges)]
    if missing := [token for token in learned if token not in vocab]:
        raise ValueError(f"it lacks the token {missing[0]!r}, which a merge makes")
    made = {*learned, *_SIGNS}
    if unmade := [token for token in vocab if token not in made]:
        raise ValueError(f"it holds the token {unmade[0]!r}, which no merge makes")
    ids = [*map(vocab.get, _SIGNS), *map(vocab.get, learned), *special.values()]
    return {
        "merges": merges,
        "special_tokens": list(special),
        "ids": ids,
        "pattern": pattern,
    }


def _pattern_of(pre_tokenizer):
    """Find the pattern that cuts a text as this pre-tokenizer does."""
    steps = pre_tokenizer
    if isinstance(steps, dict):
        steps = steps.get("pretokenizers") if steps["type"] == "Sequence" else [steps]
    kinds = [step["type"] for step in steps or []]
    if not kinds or kinds[-1] != "ByteLevel":
        raise ValueError(f"its pre_tokenizer must end in ByteLevel, got {kinds}")
    _require(steps[-1], "ByteLevel", "add_prefix_space", False)
    by_gpt2 = steps[-1].get("use_regex", True)
    if kinds == ["ByteLevel"] and by_gpt2:
        return "gpt2"
    if kinds == ["Digits", "ByteLevel"] and by_gpt2:
        _require(steps[0], "Digits", "individual_digits", True)
        return "smollm2"
    if kinds == ["Split", "ByteLevel"] and not by_gpt2:
        _require(steps[0], "Split", "behavior", "Isolated")
        _require(steps[0], "Split", "invert", False)
        expression = steps[0]["pattern"]["Regex"]
        names = {regular: name for name, regular in _EXPRESSIONS.items()}
        return names.get(expression, expression)
    raise ValueError(f"its pre_tokenizer is not supported: {kinds}")


def _require(settings, what, name, *values):
    came = settings.get(name, values[0])
    if came not in values:
        raise ValueError(f"{name} of {what} must be {values[0]!r}, got {came!r}")


# --- tiktoken's ranks ---


def save_tiktoken(path, ids):
    """Write base64 and rank of each token, a line for each."""
    lines = sorted((i, base64.b64encode(token).decode()) for token, i in ids.items())
    write(path, "\n".join(f"{token} {i}" for i, token in lines))


def load_tiktoken(path):
    """Read such a file, which may be compressed."""
    content = Path(path).read_bytes()
    return parse_tiktoken(
        gzip.decompress(content) if str(path).endswith(".gz") else content
    )


def parse_tiktoken(content):
    """Give the rank of each token."""
    ranks = {}
    for line in content.splitlines():
        if line:
            token, _, rank = line.partition(b" ")
            ranks[base64.b64decode(token, validate=True)] = int(rank)
    return ranks


# --- GGUF ---

# How llama.cpp calls the ways to cut a text.
_PRE = {"gpt-2": "gpt2", "smollm": "smollm2", "gpt-4o": "o200k"}
_ORDINARY, _CONTROL, _USER_DEFINED = 1, 3, 4


def load_gguf(source):
    """Take a tokenizer from the metadata of a GGUF file."""
    file = source if isinstance(source, GGUFFile) else read_gguf(source)
    metadata = file.metadata
    for name, known in (("model", {"gpt2": 0}), ("pre", _PRE)):
        came = metadata.get(f"tokenizer.ggml.{name}")
        if came not in known:
            raise ValueError(
                f"tokenizer.ggml.{name} must be one of {', '.join(known)}, got {came!r}"
            )
    tokens = metadata["tokenizer.ggml.tokens"]
    kinds = metadata.get("tokenizer.ggml.token_type", [_ORDINARY] * len(tokens))
    if len(kinds) != len(tokens):
        raise ValueError(f"it has {len(tokens)} tokens, and the types of {len(kinds)}")
    special = {
        token: i
        for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (_CONTROL, _USER_DEFINED)
    }
    vocab = {token: i for i, token in enumerate(tokens) if special.get(token) != i}
    merges = parse_merges(metadata["tokenizer.ggml.merges"])
    return _with_ids(vocab, merges, special, _PRE[metadata["tokenizer.ggml.pre"]])
