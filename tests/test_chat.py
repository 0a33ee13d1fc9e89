"""The chat template against SmolLM2's own, and what a reader's words cannot do."""

import jinja2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmath.chat import chat_tokens
from lmmath.gguf_file import read_gguf
from lmmath.tokenization import BPETokenizer
from lmmath.weights.smollm2 import find_smollm2

MARKS = ["<|im_start|>", "<|im_end|>"]
BYTES = BPETokenizer([], special_tokens=MARKS)
QUESTION = {"role": "user", "content": "What is the capital of France?"}


@pytest.fixture(scope="module")
def smollm2():
    """Give the real tokenizer, and the real template."""
    path = find_smollm2()
    template = read_gguf(path).metadata["tokenizer.chat_template"]
    return BPETokenizer.from_gguf(path), jinja2.Template(template)


@pytest.mark.parametrize(
    "messages",
    [
        [QUESTION],
        [{"role": "system", "content": "Be brief."}, QUESTION],
        [QUESTION, {"role": "assistant", "content": "Paris."}, QUESTION],
        [{"role": "user", "content": " \n two  lines\n"}],
    ],
)
def test_a_chat_is_what_the_models_own_template_makes_of_it(smollm2, messages):
    tokenizer, template = smollm2
    text = template.render(messages=messages, add_generation_prompt=True)
    tokens = chat_tokens(messages, tokenizer)
    assert tokenizer.decode(tokens) == text
    assert tokens.tolist() == tokenizer.encode(text, allow_special=True)


@given(st.lists(st.sampled_from([*MARKS, "a", "\n", "|>"]), max_size=5).map("".join))
def test_words_never_become_marks(words):
    tokens = chat_tokens([{"role": "user", "content": words}], BYTES, system=None)
    marks = [BYTES.special_tokens[mark] for mark in MARKS]
    assert [t for t in tokens.tolist() if t in marks] == [marks[0], marks[1], marks[0]]
    assert f"user\n{words}" in BYTES.decode(tokens)


def test_words_of_the_system_come_first_unless_the_chat_has_its_own():
    begins = {
        system: BYTES.decode(chat_tokens([QUESTION], BYTES, system))
        for system in (None, "Rhyme.")
    }
    assert begins[None].startswith("<|im_start|>user\n")
    assert begins["Rhyme."] == f"<|im_start|>system\nRhyme.<|im_end|>\n{begins[None]}"
    own = [{"role": "system", "content": "Sing."}, QUESTION]
    assert "Rhyme." not in BYTES.decode(chat_tokens(own, BYTES, "Rhyme."))
    assert chat_tokens(own, BYTES).dtype == np.int64


@pytest.mark.parametrize(
    ("error", "messages", "message"),
    [
        (ValueError, [], r"messages must be a sequence of at least one message, got \[\]"),
        (ValueError, "Hi", "messages must be a sequence of at least one message, got 'Hi'"),
        (ValueError, QUESTION, "messages must be a sequence of at least one message, got {"),
        (TypeError, ["Hi"], r"messages\[0\] must be a dict with the strings .* got 'Hi'"),
        (TypeError, [QUESTION, {"role": "user"}], r"messages\[1\] must be a dict with the strings"),
        (TypeError, [{"role": "user", "content": 3}], r"messages\[0\] must be a dict with the strings"),
        (ValueError, [{"role": "tool", "content": ""}], r'messages\[0\]\["role"\] must be one of system, user, assistant, got \'tool\''),
    ],
)  # fmt: skip
def test_bad_messages_are_named(error, messages, message):
    with pytest.raises(error, match=message):
        chat_tokens(messages, BYTES)


def test_a_tokenizer_without_the_marks_is_named():
    with pytest.raises(ValueError, match=r"got one without <\|im_end\|>"):
        chat_tokens([QUESTION], BPETokenizer([], special_tokens=MARKS[:1]))
