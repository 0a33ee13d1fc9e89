"""The widgets' Python side: traits, what the attention widget shows, the static picture."""

import json

import numpy as np
import pytest
import traitlets
from fable_widgets import AttentionWidget

from lmmath.attention import attention_weights
from lmmath.checkpoints import save_model
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import GPTConfig, gpt_trace, init_gpt
from lmmath.widgets.kit.base import Array, Widget, module


class Table(Widget):
    rows = Array(n_axes=2)


@pytest.fixture
def other(tmp_path):
    """Show another model: two layers, and tokens that are bytes."""
    config = GPTConfig(256, n_positions=9, d_model=6, n_layers=2, n_heads=3)
    rng = np.random.default_rng(0)
    params = {
        name: array + rng.normal(scale=0.5, size=array.shape).astype("f4")
        for name, array in init_gpt(config, rng).items()
    }
    save_model(tmp_path / "model.safetensors", params, config)
    weights = (tmp_path / "model.safetensors").read_bytes()
    return AttentionWidget(
        weights=weights, tokenizer=BPETokenizer([]), text="abcabc", layer=0, head=0
    )


# The attention widget


def test_everything_shown_is_a_synchronized_trait():
    names = {"text", "query", "layer", "head", "causal", "scaled"}
    assert names | {"weights", "tokenizer"} <= set(AttentionWidget().keys)


def test_the_weights_are_those_of_the_trained_model(other):
    for widget in (AttentionWidget(), other):
        params, config, _ = widget.model
        _, attention = gpt_trace(params, widget.tokens, config)
        for widget.layer in range(config.n_layers):
            for widget.head in range(config.n_heads):
                expected = attention[widget.layer][widget.head]
                np.testing.assert_allclose(widget.attention, expected, atol=1e-6)


def test_without_mask_and_division_the_head_has_the_same_scores(other):
    trained = other.attention.astype(float)
    scores = np.log(np.where(trained > 0, trained, 1))  # up to a number for each row
    other.scaled = False
    for i, row in enumerate(other.attention):
        seen = np.exp(np.sqrt(2) * scores[i, : i + 1])  # vectors of length 2
        np.testing.assert_allclose(row[: i + 1], seen / seen.sum(), atol=1e-5)
        assert np.all(row[i + 1 :] == 0)
    other.scaled, other.causal = True, False
    for i, row in enumerate(other.attention):
        assert np.all(row > 0)
        assert row.sum() == pytest.approx(1)
        seen = row[: i + 1] / row[: i + 1].sum()
        np.testing.assert_allclose(seen, trained[i, : i + 1], atol=1e-6)


def test_what_is_fetched_is_the_sum_of_what_is_shared(other):
    other.query = 4
    query, key, value = other._queries_keys_values()
    (row,) = attention_weights(query[4:5], key[:5])
    lengths = np.linalg.norm(row[:, None] * value[:5], axis=1)
    np.testing.assert_allclose(other.shares[:5], lengths / lengths.sum(), atol=1e-6)
    assert np.all(other.shares[5:] == 0)


def test_the_default_head_finds_who_is_meant():
    widget = AttentionWidget()
    assert widget.pieces[widget.place] == "gave"
    looks_at = [widget.pieces[i] for i in np.argsort(-widget.row)[:2]]
    assert looks_at == ["Kali", "Kali"]
    assert widget.pieces.index("Leka") not in np.argsort(-widget.row)[:2]


@pytest.mark.parametrize(("query", "place"), [(1, 1), (9, 3), (-1, 3), (-9, 0)])
def test_the_row_shown_is_that_of_a_token_that_is_there(query, place):
    widget = AttentionWidget(text="Leka the mouse", query=query)
    assert np.array_equal(widget.row, widget.attention[place])
    widget.text = ""
    assert widget.row.tolist() == [1.0]


@pytest.mark.parametrize(("name", "count"), [("layer", 3), ("head", 4)])
def test_a_head_that_is_not_there_is_told(name, count):
    widget = AttentionWidget(**{name: count})
    with pytest.raises(ValueError, match=f"{name} must be less than {count}, got {count}"):  # fmt: skip
        _ = widget.attention
    with pytest.raises(traitlets.TraitError, match=name):
        AttentionWidget(**{name: -1})


@pytest.mark.parametrize("text", ["", "🦊 <script> $\\frac$ \x00", "she saw " * 600])
def test_the_picture_says_what_it_shows_for_any_text(text):
    widget = AttentionWidget(text=text, query=-1)
    picture = widget.picture()
    assert "<script>" not in picture.svg
    assert repr(widget) == f"AttentionWidget. Figure: {picture.alt}"
    best = widget.row.argmax()
    expected = f"attends most to “{widget.pieces[best]}”, {widget.row[best]:.2f}"
    assert expected in picture.alt
    data, _ = widget._repr_mimebundle_()
    assert data["text/html"] == picture._repr_html_()
    assert (
        data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    )


def test_the_page_can_set_a_trait_and_python_notices():
    widget, seen = AttentionWidget(), []
    widget.observe(lambda change: seen.append(change.new), "text")
    widget.set_state({"text": "Leka slept"})
    assert seen == ["Leka slept"]
    assert widget.pieces[:2] == ["⏎", "Leka"]


# All widgets


def test_an_array_cannot_be_changed_behind_the_widgets_back():
    rows = np.eye(2)
    table = Table(rows=rows)
    rows[0, 0] = 99
    assert np.array_equal(table.rows, np.eye(2))
    with pytest.raises(ValueError, match="read-only"):
        table.rows[0, 0] = 99


def test_arrays_reach_the_page_as_bytes_and_come_back():
    table = Table(rows=np.arange(6.0).reshape(2, 3))
    sent = table.get_state("rows")["rows"]
    assert sent["shape"] == [2, 3]
    assert np.frombuffer(sent["data"], "<f8").tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    table.set_state({"rows": {"shape": [3, 2], "data": memoryview(np.ones(6))}})
    assert np.array_equal(table.rows, np.ones((3, 2)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(3), r"rows must have 2 axes, got shape \(3,\)"),
        (np.full((2, 2), np.nan), "rows must be finite, got NaN or infinity"),
        ("words", "rows must be an array of numbers, got str"),
    ],
)
def test_a_trait_takes_only_arrays_that_it_can_hold(value, message):
    table = Table(rows=np.eye(2))
    with pytest.raises(traitlets.TraitError, match=message):
        table.rows = value
    assert np.array_equal(table.rows, np.eye(2))


def test_a_widget_must_have_a_picture():
    with pytest.raises(NotImplementedError):
        Widget().picture()


def test_each_module_travels_once_with_the_widget():
    source = module("neurons.js")
    sources = json.loads(source.partition("const SOURCES = ")[2].partition(";\n")[0])
    assert {"neurons.js", "kit/shared.js", "kit/plot.js"} < sources.keys()
    assert all(
        'from "./' not in text and 'from "../' not in text for text in sources.values()
    )
    assert 'from "@kit/shared.js"' in sources["kit/plot.js"]
    assert len(source) < 1.2 * sum(map(len, sources.values()))


def test_a_worker_travels_with_the_widget():
    source = module("real_model.js")
    assert '"engines/llama_worker.js": ' in source
    assert 'new URL(\\"@engines/llama_worker.js\\", import.meta.url)' in source
