"""Writing from the command line, as a person would."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from lmmath.generate import decoded, main
from lmmath.sampling import generate
from lmmath.tokenization import BPETokenizer
from lmmath.weights import load_fable_gpt, load_smollm2

COMMAND = [sys.executable, "-W", "error", "-m", "lmmath.generate"]


def run(capsys, *arguments):
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_a_question_is_answered(capsys):
    answer = run(capsys, "What is the capital of France?", "--chat")
    assert answer == "The capital of France is Paris.\n"


def test_a_text_goes_on_as_the_model_continues_it(capsys):
    params, config, tokenizer = load_smollm2()
    prompt = np.asarray(tokenizer.encode("Once upon a time"))
    expected = generate(
        params, prompt, config, 5, np.random.default_rng(3), temperature=0.7, top_p=0.9
    )
    text = run(capsys, "Once upon a time", "--tokens", "5", "--seed", "3")
    assert text == f"{tokenizer.decode(expected)}\n"


@pytest.mark.parametrize(
    ("options", "choices"),
    [
        ([], {}),
        (["--temperature", "0.3", "--top-k", "9"], {"temperature": 0.3, "top_k": 9}),
        (["--top-p", "0.4"], {"top_p": 0.4}),
        (["--min-p", "0.2"], {"min_p": 0.2}),
    ],
)
def test_the_settings_are_those_of_sample(capsys, options, choices):
    params, config, tokenizer = load_fable_gpt()
    prompt = np.asarray(tokenizer.encode("\nLeka"))
    expected = generate(
        params, prompt, config, 150, np.random.default_rng(0), **choices
    )
    text = run(capsys, "Leka", "--fable", "--tokens", "150", *options)
    assert text == f"{tokenizer.decode(expected)[1:]}\n"


def test_a_character_is_whole_before_it_is_shown():
    bytes_only = BPETokenizer([])
    pieces = list(decoded("a😀é".encode(), bytes_only))
    assert "".join(pieces) == "a😀é"
    assert all("\ufffd" not in piece for piece in pieces)
    assert "".join(decoded("é".encode()[:1], bytes_only)) == "\ufffd"
    assert "".join(decoded(b"ab\0c", bytes_only, end=0)) == "ab"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "PROMPT must hold at least one character, got ''"),
        (["a", "--model", "no.gguf"], "no.gguf"),
        (["a", "--fable", "--chat"], "--fable goes with neither --chat nor --model"),
        (["a", "--temperature", "0"], "temperature must be a finite number above 0, got 0.0"),
        (["a", "--top-k", "0"], "top_k must be an integer of at least 1, got 0"),
        (["a", "--tokens", "-1"], "--tokens must be 0 or more, got -1"),
        (["a " * 8200], "PROMPT must be shorter than the 8192 tokens that the model can see, got 8201"),
    ],
)  # fmt: skip
def test_bad_input_is_named_and_nothing_is_written(capsys, arguments, message):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert message in error


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_it_cleanly():
    process = subprocess.Popen(
        [*COMMAND, "Leka", "--fable", "--tokens", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.read(20).startswith("Leka")
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == ""
    assert out.endswith("\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no broken pipe")
def test_a_reader_who_has_read_enough_is_no_error():
    process = subprocess.Popen(
        [*COMMAND, "Leka", "--fable", "--tokens", "3000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        process.stdout.read(20)
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
