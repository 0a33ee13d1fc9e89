"""Which tokens of a chat an assistant learns from: those of the answers, and where they end."""

import numpy as np

from lmmath._checks import require_integers
from lmmath.chat import END, START

_BEFORE_AN_ANSWER = "assistant\n"


def answer_mask(tokens, tokenizer):
    r"""Say of each token of a chat whether it belongs to an answer.

    .. math:: \mathcal{L} = \frac{\sum_t w_t \ell_t}{\sum_t w_t}, \qquad
              w_t = \begin{cases} 1 & \text{token } t \text{ is of an answer} \\
                                  0 & \text{else} \end{cases}

    The mark that ends an answer belongs to it: a model must learn to stop. What the system and
    the user say is read and not learned.

    Parameters
    ----------
    tokens : integer array, shape (n,)
        A chat as ``lmmath.chat.chat_tokens`` writes it, with answers among its messages.
    tokenizer : BPETokenizer
        With the special tokens ``<|im_start|>`` and ``<|im_end|>``.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        The weights of ``cross_entropy`` for targets ``tokens[1:]`` are ``mask[1:]``.

    Raises
    ------
    TypeError
        If ``tokens`` is not an array of integers.
    ValueError
        If ``tokens`` have not one axis, or the tokenizer lacks the marks.

    References
    ----------
    Ouyang et al. (2022), "Training language models to follow instructions with human
    feedback", section 3.5.

    Examples
    --------
    >>> from lmmath.chat import chat_tokens
    >>> from lmmath.tokenization import BPETokenizer
    >>> tokenizer = BPETokenizer([], special_tokens=["<|im_start|>", "<|im_end|>"])
    >>> chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    >>> tokens = chat_tokens(chat, tokenizer, system=None)
    >>> tokenizer.decode(tokens[answer_mask(tokens, tokenizer)])
    'Hello<|im_end|>'
    """
    require_integers(tokens=tokens)
    tokens, marks = np.asarray(tokens), tokenizer.special_tokens
    if tokens.ndim != 1:
        raise ValueError(f"tokens must have shape (n,), got {tokens.shape}")
    if missing := [mark for mark in (START, END) if mark not in marks]:
        raise ValueError(
            f"tokenizer must have the special tokens {START} and {END}, "
            f"got one without {' and '.join(missing)}"
        )
    mask = np.zeros(len(tokens), bool)
    ends = [*np.flatnonzero(tokens == marks[END]), len(tokens) - 1]
    for start in np.flatnonzero(tokens == marks[START]):
        end = next(end for end in ends if end >= start)
        begin = _after_role(tokens[start + 1 : end + 1], tokenizer)
        mask[start + 1 + begin : end + 1] = True
    return mask


def _after_role(message, tokenizer):
    """Count the tokens before an answer; all of them if the message is no answer.

    The line break after the role may be in one token with the first of the answer.
    """
    for n in range(1, len(message) + 1):
        begun = tokenizer.decode(message[:n])
        if begun.startswith(_BEFORE_AN_ANSWER):
            return n
        if not _BEFORE_AN_ANSWER.startswith(begun):
            break
    return len(message)
