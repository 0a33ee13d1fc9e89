"""The Transformer widget's Python side: its steps, what the lens reads, the static picture."""

import numpy as np
import pytest
import traitlets
from fable_widgets import TransformerWidget

from lmmath.attention import softmax
from lmmath.checkpoints import save_model
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import (
    GPTConfig,
    count_parameters,
    gpt,
    gpt_shapes,
    gpt_trace,
    init_gpt,
    logit_lens,
)

TEXTS = {
    "default": TransformerWidget().text,
    "empty": "",
    "long": "Leka met Kali the dog. " * 100,
    "markup": "<script>alert(1)</script> $\\frac{1}{2}$ 🦊\x00",
}


@pytest.fixture
def other(tmp_path):
    """Show another model: two layers, and tokens that are bytes."""
    config = GPTConfig(256, n_positions=9, d_model=6, n_layers=2, n_heads=3)
    params = init_gpt(config, np.random.default_rng(0))
    save_model(tmp_path / "model.safetensors", params, config)
    weights = (tmp_path / "model.safetensors").read_bytes()
    return TransformerWidget(weights=weights, tokenizer=BPETokenizer([]))


def test_the_steps_share_all_parameters_of_the_model(other):
    for widget in (TransformerWidget(), other):
        params, config, _ = widget.model
        shapes = [item for step in widget.steps.values() for item in step.items()]
        assert len(shapes) == len(dict(shapes))
        assert dict(shapes) == gpt_shapes(config)
        total = sum(array.size for array in params.values())
        assert sum(widget.n_parameters.values()) == total
        assert total == count_parameters(gpt_shapes(config))
    names = [f"block {i} {part}" for i in (1, 2) for part in ("attention", "feed-forward")]  # fmt: skip
    assert [*other.steps] == ["embedding", *names, "final norm", "unembedding"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("position", [0, -1, 14])
def test_the_lens_is_lmmaths(text, position):
    widget = TransformerWidget(text=text, position=position)
    params, config, _ = widget.model
    lens = widget.probabilities
    residuals, _ = gpt_trace(params, widget.tokens, config)
    for i, x in enumerate(residuals):
        expected = softmax(logit_lens(x, params, config))[widget.place]
        np.testing.assert_allclose(lens[2 * i], expected, atol=1e-6)
    # Between the halves of a block is what comes out of it if its network writes nothing.
    for i in range(config.n_layers):
        names = [f"h.{i}.mlp.c_proj.{name}" for name in ("weight", "bias")]
        silent = params | {name: np.zeros_like(params[name]) for name in names}
        x = gpt_trace(silent, widget.tokens, config)[0][i + 1]
        expected = softmax(logit_lens(x, params, config))[widget.place]
        np.testing.assert_allclose(lens[2 * i + 1], expected, atol=1e-6)
    said = softmax(gpt(params, widget.tokens, config))[widget.place]
    np.testing.assert_allclose(lens[-3:], [said] * 3, atol=1e-6)


def test_a_word_is_decided_in_the_last_block():
    widget = TransformerWidget()
    assert widget.pieces[13:15] == ["Kali", "the"]
    assert widget.place == 14
    guesses = dict(zip(widget.steps, widget.best_guesses, strict=True))
    assert guesses["embedding"] == "the"
    assert guesses["block 2 feed-forward"] == guesses["block 3 attention"] == "mouse"
    assert guesses["block 3 feed-forward"] == guesses["unembedding"] == "dog"


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_text_is_read_from_the_line_break_before_it(text):
    widget = TransformerWidget(text=text)
    _, config, tokenizer = widget.model
    tokens = widget.tokens.tolist()
    assert 1 <= len(tokens) <= config.n_positions
    assert ("\n" + text).startswith(tokenizer.decode(tokens).rstrip("\ufffd"))
    assert widget.pieces[0] == "⏎"
    assert len(widget.pieces) == len(tokens)
    assert not any(sign in piece for piece in widget.pieces for sign in " \n\0")


@pytest.mark.parametrize(
    ("position", "place"), [(0, 0), (3, 3), (99, 3), (-1, 3), (-4, 0), (-99, 0)]
)
def test_a_position_is_that_of_a_token_that_is_there(position, place):
    widget = TransformerWidget(text="Leka the mouse", position=position)
    assert widget.place == place


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_picture_says_what_it_shows(text):
    widget = TransformerWidget(text=text, step=99)
    picture = widget.picture()
    assert "<script>" not in picture.svg
    assert repr(widget) == f"TransformerWidget. Figure: {picture.alt}"
    size = widget.probabilities[-1].max()
    assert f"unembedding “{widget.best_guesses[-1]}” {size:.2f}." in picture.alt
    assert f"follows “{widget.pieces[widget.place]}”," in picture.alt


def test_a_step_is_not_negative():
    with pytest.raises(traitlets.TraitError, match="step"):
        TransformerWidget(step=-1)
