"""Widgets that show the real model: what the kernel answers, and the pictures for print."""

import numpy as np
import pytest

from lmmath.language_models import without_heads
from lmmath.tokenization import BPETokenizer
from lmmath.traces import SENTENCES, read_trace, unpack
from lmmath.transformer import LlamaConfig, init_llama
from lmmath.widgets import (
    AttentionWidget,
    RealModelWidget,
    SamplingWidget,
    TransformerWidget,
)
from lmmath.widgets.kit import real_reading

MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@pytest.fixture
def small(monkeypatch):
    """Put a small random model in the place of SmolLM2."""
    config = LlamaConfig(
        259, n_positions=64, d_model=8, n_layers=2, n_heads=4, d_ff=10, n_kv_heads=2
    )
    params = init_llama(config, np.random.default_rng(0), np.float64)
    model = params, config, BPETokenizer([], MARKS)
    monkeypatch.setattr(real_reading, "_smollm2", lambda: model)
    return model


class Answers(list):
    """What a widget sends, in the place of a front end."""

    def __init__(self, widget, monkeypatch):
        super().__init__()
        monkeypatch.setattr(
            widget,
            "send",
            lambda content, buffers=(): self.append((content, buffers)),
        )
        self.widget = widget

    def to(self, **message):
        self.widget._handle_custom_msg({"id": 7, **message}, [])
        content, buffers = self.pop()
        assert content["id"] == 7
        return content, buffers


@pytest.fixture
def answers(monkeypatch):
    return Answers(RealModelWidget(), monkeypatch)


def asked(text="cat", is_chat=False, heads_off=(), zeros=()):
    return {
        "asked": "reading",
        "text": text,
        "is_chat": is_chat,
        "heads_off": list(heads_off),
        "zeros": list(zeros),
    }


def test_a_view_learns_which_sentences_there_are(answers):
    content, _ = answers.to(asked="index")
    index = content["index"]
    assert {one["label"]: one["text"] for one in index["sentences"]} == SENTENCES
    assert [len(row) for row in index["heads"]] == [9] * 30
    assert "induction" in {name for row in index["heads"] for name in row}


def test_the_kernel_reads_any_text(answers, small):
    params, config, tokenizer = small
    _, (packed,) = answers.to(**asked("cat 🐈"))
    found, _ = unpack(packed)
    expected = read_trace(params, config, tokenizer, "cat 🐈")
    assert found.pieces == expected.pieces
    assert np.abs(found.attention - expected.attention).max() < 0.003
    assert np.allclose(found.losses, expected.losses)


def test_the_kernel_reads_a_chat_with_its_marks(answers, small):
    _, (packed,) = answers.to(**asked("Hi", is_chat=True))
    found, _ = unpack(packed)
    assert "".join(found.pieces) == (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_heads_are_switched_off_and_features_set_to_zero(answers, small):
    params, config, tokenizer = small
    _, (packed,) = answers.to(**asked(heads_off=["1.2"]))
    fewer = without_heads(config, params, [(1, 2)])
    expected = read_trace(fewer, config, tokenizer, "cat")
    assert np.allclose(unpack(packed)[0].losses, expected.losses)

    _, (packed,) = answers.to(**asked(zeros=[{"stage": 1, "feature": 3}]))

    def edit(stage, x):
        return np.where(np.arange(8) == 3, 0, x) if stage == 1 else x

    expected = read_trace(params, config, tokenizer, "cat", edit)
    assert np.allclose(unpack(packed)[0].losses, expected.losses)
    intact = read_trace(params, config, tokenizer, "cat")
    assert not np.allclose(expected.losses, intact.losses)


@pytest.mark.parametrize(
    ("text", "problem"), [("", "empty|at least"), ("x" * 100, "64")]
)
def test_what_cannot_be_read_is_told(answers, small, text, problem):
    content, buffers = answers.to(**asked(text))
    assert not buffers
    assert any(word in content["problem"] for word in problem.split("|"))


def test_without_the_model_the_view_is_told_how_to_get_it(answers, monkeypatch):
    def missing():
        raise FileNotFoundError("SmolLM2 is not here")

    monkeypatch.setattr(real_reading, "_smollm2", missing)
    content, _ = answers.to(**asked())
    assert content["problem"] == "SmolLM2 is not here"


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ("attention", "head 5 of layer 10 of SmolLM2"),
        ("lens", "SmolLM2's best guess of what follows “it”"),
        ("next", "Bars for SmolLM2's 12 most probable tokens"),
        ("tokens", "The 11 tokens of “The cat sat on the mat because it was tired.”"),
        ("angles", "cosines between the vectors of 12 tokens"),
    ],
)
def test_each_view_has_its_picture(view, said):
    alt = RealModelWidget(view=view).picture().alt
    assert said in alt
    if view == "attention":
        assert "“it” attends most to “cat”, 0.48" in alt


def test_the_widgets_of_two_models_open_on_the_real_one():
    assert "of SmolLM2" in AttentionWidget().picture().alt
    assert "SmolLM2's best guess" in TransformerWidget().picture().alt
    assert "' France' has probability 0.9" in SamplingWidget().picture().alt
    fable = AttentionWidget(subject="Fable").picture().alt
    assert "SmolLM2" not in fable


def test_the_real_model_is_not_part_of_a_widgets_state():
    state = RealModelWidget().get_state()
    sizes = [len(v) for v in state.values() if isinstance(v, bytes | memoryview)]
    assert sum(sizes) == 0
