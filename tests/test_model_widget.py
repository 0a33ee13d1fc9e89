"""What widgets that show a trained GPT share: the model as traits, from the package or one's own."""

import ipywidgets
import nbformat
import notebooks  # tools/notebooks.py
import numpy as np
import pytest
import traitlets

from lmmath.checkpoints import save_model
from lmmath.language_models import RecurrentConfig, init_recurrent
from lmmath.tokenization import BPETokenizer
from lmmath.transformer import GPTConfig, gpt, init_gpt
from lmmath.weights import DIRECTORY, load_fable_gpt
from lmmath.widgets.kit.language_model import ModelWidget

CONFIG = GPTConfig(vocab_size=258, n_positions=7, d_model=6, n_layers=2, n_heads=3)
TOKENIZER = BPETokenizer([(b"a", b"b")], ["<s>"], [*range(256), 257, 256])


@pytest.fixture(autouse=True)
def no_other_widgets():
    yield
    ipywidgets.Widget.close_all()


@pytest.fixture
def file_of(tmp_path):
    def file_of(config=CONFIG, dtype=None):
        init = init_gpt if isinstance(config, GPTConfig) else init_recurrent
        params = init(config, np.random.default_rng(0))
        save_model(tmp_path / "model.safetensors", params, config, dtype)
        return (tmp_path / "model.safetensors").read_bytes()

    return file_of


def test_the_model_is_by_default_the_one_that_comes_with_the_book():
    params, config, tokenizer = ModelWidget().model
    expected = load_fable_gpt()
    assert config == expected.config
    assert tokenizer == expected.tokenizer
    assert params.keys() == expected.params.keys()
    tokens = np.arange(5)
    logits = gpt(params, tokens, config)
    assert np.array_equal(logits, gpt(expected.params, tokens, config))


def test_widgets_hold_the_same_bytes():
    assert ModelWidget().weights is ModelWidget().weights
    assert ModelWidget().weights == (DIRECTORY / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_other_gpt_can_be_shown(file_of, kind):
    widget = ModelWidget(weights=kind(file_of()), tokenizer=TOKENIZER)
    assert widget.weights == file_of()
    assert widget.model.config == CONFIG
    assert widget.model.tokenizer is TOKENIZER


def test_a_change_of_what_model_gives_stays_with_who_made_it():
    params = ModelWidget().model.params
    params["wte.weight"] = params["wte.weight"] * 0
    assert ModelWidget().model.params["wte.weight"].any()
    with pytest.raises(ValueError, match="read-only"):
        ModelWidget().model.params["wte.weight"][0] = 0


def test_the_page_gets_the_weights_as_one_buffer_and_the_tokenizer_as_its_file(file_of):
    widget = ModelWidget(weights=file_of(), tokenizer=TOKENIZER)
    state = widget.get_state(["weights", "tokenizer"])
    assert state["weights"] == file_of()
    assert state["tokenizer"]["merges"] == ["a b"]
    assert state["tokenizer"]["special_tokens"] == ["<s>"]
    assert state["tokenizer"]["ids"] == [*range(256), 257, 256]


def test_what_the_page_sends_back_is_the_same(file_of):
    one, other = ModelWidget(weights=file_of(), tokenizer=TOKENIZER), ModelWidget()
    state = one.get_state(["weights", "tokenizer"])
    with other.hold_trait_notifications():
        other.set_state(state | {"weights": memoryview(state["weights"])})
    assert other.weights == one.weights
    assert other.tokenizer == TOKENIZER


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ("model.safetensors", "weights must be the bytes of a model's file, got str"),
        (None, "weights must be the bytes of a model's file, got NoneType"),
        (b"", "weights must be the bytes of a GPT's file: "),
        (b"<!DOCTYPE html>", "weights must be the bytes of a GPT's file: "),
    ],
)
def test_weights_are_the_bytes_of_a_file(weights, problem):
    with pytest.raises(traitlets.TraitError, match=f"^{problem}"):
        ModelWidget(weights=weights)
    widget = ModelWidget()
    with pytest.raises(traitlets.TraitError, match=f"^{problem}"):
        widget.weights = weights
    assert widget.model.config.n_layers == 3


def test_a_damaged_file_is_told_without_the_name_of_a_copy(file_of):
    content = bytearray(file_of())
    content[-1] ^= 1
    with pytest.raises(traitlets.TraitError) as told:
        ModelWidget(weights=content, tokenizer=TOKENIZER)
    assert str(told.value) == (
        "weights must be the bytes of a GPT's file: "
        "its contents do not match its checksum"
    )


def test_a_recurrent_model_is_no_gpt(file_of):
    content = file_of(RecurrentConfig(vocab_size=9, n_positions=8, d_model=4))
    with pytest.raises(traitlets.TraitError, match="it holds a RecurrentConfig"):
        ModelWidget(weights=content)


@pytest.mark.parametrize("tokenizer", [None, "fable", {"merges": []}])
def test_a_tokenizer_is_a_tokenizer(tokenizer):
    with pytest.raises(traitlets.TraitError, match="tokenizer"):
        ModelWidget(tokenizer=tokenizer)


def test_the_two_belong_together(file_of):
    problem = "tokenizer must have the 258 tokens of the model, got 512"
    with pytest.raises(ValueError, match=problem):
        ModelWidget(weights=file_of())
    widget = ModelWidget()
    widget.weights = file_of()
    with pytest.raises(ValueError, match=problem):
        widget.model  # noqa: B018
    widget.tokenizer = TOKENIZER
    assert widget.model.config == CONFIG


def test_a_cleaned_notebook_holds_no_weights():
    state = ipywidgets.Widget.get_manager_state(widgets=[ModelWidget()])
    (saved,) = state["state"].values()
    assert len(saved["buffers"][0]["data"]) > 1_000_000
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    output = nbformat.v4.new_output("display_data", view | {"text/plain": "W"})
    cell = nbformat.v4.new_code_cell("W()", outputs=[output])
    metadata = {"widgets": {"application/vnd.jupyter.widget-state+json": state}}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
    notebooks.clean(notebook, None)
    assert len(nbformat.writes(notebook)) < 1000
