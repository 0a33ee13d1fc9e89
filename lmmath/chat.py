r"""A chat is a text: each message between two marks, and then the beginning of an answer.

A model that is trained on such texts answers, because that is how they go on. The marks are
special tokens, which a reader's words can never become: who types ``<|im_end|>`` has typed ten
letters and signs.
"""

from collections.abc import Mapping

import numpy as np

ROLES = ("system", "user", "assistant")
START, END = "<|im_start|>", "<|im_end|>"

# What SmolLM2's own template puts first, if the chat does not begin with words of the system.
SMOLLM2_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def chat_tokens(messages, tokenizer, system=SMOLLM2_SYSTEM):
    r"""Write a chat as the tokens after which a model answers, in the template ChatML.

    .. code-block:: text

        <|im_start|>user
        What is the capital of France?<|im_end|>
        <|im_start|>assistant

    Parameters
    ----------
    messages : sequence of dict with "role" and "content", both str
        In the order of the talk. A role is "system", "user" or "assistant".
    tokenizer : BPETokenizer
        With the special tokens ``<|im_start|>`` and ``<|im_end|>``.
    system : str or None
        Stands first if ``messages`` does not begin with a message of the system. None for nothing.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)

    Raises
    ------
    TypeError
        If a message is not a dict with two strings.
    ValueError
        If there is no message, a role is unknown, or the tokenizer lacks the marks.

    References
    ----------
    The template is in the metadata of SmolLM2's file, under ``tokenizer.chat_template``.

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> tokenizer = BPETokenizer([], special_tokens=["<|im_start|>", "<|im_end|>"])
    >>> chat = [{"role": "user", "content": "Hi"}]
    >>> print(tokenizer.decode(chat_tokens(chat, tokenizer, system=None)))
    <|im_start|>user
    Hi<|im_end|>
    <|im_start|>assistant
    <BLANKLINE>
    """
    _require_messages(messages)
    marks = tokenizer.special_tokens
    if missing := [mark for mark in (START, END) if mark not in marks]:
        raise ValueError(
            f"tokenizer must have the special tokens {START} and {END}, "
            f"got one without {' and '.join(missing)}"
        )
    if system is not None and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system}, *messages]
    tokens = []
    for message in messages:
        words = tokenizer.encode(f"{message['role']}\n{message['content']}")
        tokens += [marks[START], *words, marks[END], *tokenizer.encode("\n")]
    tokens += [marks[START], *tokenizer.encode("assistant\n")]
    return np.asarray(tokens, np.int64)


def _require_messages(messages):
    if isinstance(messages, str | Mapping) or not len(messages):
        raise ValueError(
            f"messages must be a sequence of at least one message, got {messages!r}"
        )
    for i, message in enumerate(messages):
        parts = (
            [message.get(key) for key in ("role", "content")]
            if isinstance(message, Mapping)
            else [None]
        )
        if not all(isinstance(part, str) for part in parts):
            raise TypeError(
                f'messages[{i}] must be a dict with the strings "role" and "content", '
                f"got {message!r}"
            )
        if message["role"] not in ROLES:
            raise ValueError(
                f'messages[{i}]["role"] must be one of {", ".join(ROLES)}, '
                f"got {message['role']!r}"
            )
