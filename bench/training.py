"""A training step of a small GPT, against the same model put together from PyTorch's parts.

4 layers, 4 heads, width 128, windows of 64 tokens, a vocabulary of 65: the sizes of nanoGPT's
example for small machines. nanoGPT itself is in no package registry. The peer is what it is made
of: ``nn.Linear``, PyTorch's attention and PyTorch's AdamW, which nanoGPT fuses on GPUs only. A
second peer fuses it here too. All begin with the same parameters and read the same text.

One more peer is no GPT-2: it has no biases, and the exact GELU, which on a processor takes half
the time of GPT-2's. nanoGPT's example has it so.
"""

from measure import compare, installed  # isort: skip  (first: it sets the threads)

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lmmath.training import TrainingConfig
from lmmath.training.loop import Learner, prepare
from lmmath.transformer import GPTConfig, init_gpt

CONFIG = GPTConfig(vocab_size=65, n_positions=64, d_model=128, n_layers=4, n_heads=4)
SETTINGS = TrainingConfig(learning_rate=1e-3, final_learning_rate=1e-3, n_warmup=0)
N_CHECKED = 20
LIGHTER = "torch.nn, no biases, exact GELU"


def main():
    """Print one table."""
    torch.set_num_threads(1)
    contenders = {
        "lmmath": _ours,
        "torch.nn": lambda: _theirs(Parts(CONFIG), fused=False),
        "torch.nn, AdamW fused": lambda: _theirs(Parts(CONFIG), fused=True),
        LIGHTER: lambda: _theirs(Parts(CONFIG, lighter=True), fused=False),
        "transformers": _hugging_face if installed("transformers") else None,
        "nanoGPT": None,
    }
    losses = {
        name: [step(_windows(12, i)) for i in range(N_CHECKED)]
        for name, step in ((name, make()) for name, make in contenders.items() if make)
        if name != LIGHTER  # another function
    }
    for name, curve in losses.items():
        np.testing.assert_allclose(
            curve, losses["lmmath"], rtol=1e-3, err_msg=f"{name}: other losses"
        )
    print(
        compare(
            "A training step",
            "windows",
            [6, 12, 24],
            {name: make and _of_size(make) for name, make in contenders.items()},
        )
    )


def _of_size(make):
    def prepared(batch_size):
        step, windows = make(), _windows(batch_size, 0)
        return lambda: step(windows)

    return prepared


def _windows(batch_size, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(CONFIG.vocab_size, size=(batch_size, CONFIG.n_positions + 1))


def _first_params(config):
    return init_gpt(config, np.random.default_rng(0))


def _ours():
    learner = new_learner(CONFIG, SETTINGS)
    return lambda windows: float(learner.learn(windows)[0])


def _theirs(model, fused):
    optimizer = adamw(model, SETTINGS, fused)
    return lambda windows: learn(model, optimizer, windows, SETTINGS)


def new_learner(config, settings):
    """Give lmmath's model, which begins with the same parameters as ``Parts``."""
    tokens = np.zeros(config.n_positions + 1, int)  # what is learned is given later
    first = prepare(tokens, tokens, config, settings, "", init=_first_params(config))
    return Learner(first, settings, 1, torch.device("cpu"))


def adamw(model, settings, fused):
    """Give PyTorch's optimizer: only matrices decay."""
    decay = settings.weight_decay
    groups = [
        {
            "params": [p for p in model.parameters() if p.ndim > 1],
            "weight_decay": decay,
        },
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.betas, fused=fused
    )


def learn(model, optimizer, windows, settings):
    """Make one update of a PyTorch model; return the loss before it."""
    loss = loss_of(model, windows)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), settings.max_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def loss_of(model, windows):
    """Compute a PyTorch model's mean loss, each token but the first of a window predicted."""
    windows = torch.from_numpy(windows)
    logits = model(windows[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


class Parts(nn.Module):
    """A GPT as one builds it in PyTorch; a lighter one has no biases, and the exact GELU."""

    def __init__(self, config, lighter=False):
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = nn.Embedding(config.n_positions, config.d_model)
        blocks = [_Block(config, lighter) for _ in range(config.n_layers)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(config.d_model, bias=not lighter)
        first = _first_params(config)
        arrays = [first[name] for name in first if not (lighter and "bias" in name)]
        with torch.no_grad():
            for mine, array in zip(self.parameters(), arrays, strict=True):
                # A linear layer of PyTorch's stores its matrix the other way round.
                turned = array.T if tuple(mine.shape) != array.shape else array
                mine.copy_(torch.from_numpy(turned))
        for block in self.blocks:
            block.transpose_square_matrix()

    def forward(self, tokens):
        """Compute the logits."""
        places = torch.arange(tokens.shape[-1])
        x = self.blocks(self.tokens(tokens) + self.positions(places))
        return functional.linear(self.norm(x), self.tokens.weight)


class _Block(nn.Module):
    def __init__(self, config, lighter):
        super().__init__()
        d_model, d_ff = config.d_model, config.d_ff
        self.n_heads = config.n_heads
        self.gelu = nn.GELU(approximate="none" if lighter else "tanh")
        self.norm_1 = nn.LayerNorm(d_model, bias=not lighter)
        self.to_heads = nn.Linear(d_model, 3 * d_model, bias=not lighter)
        self.from_heads = nn.Linear(d_model, d_model, bias=not lighter)
        self.norm_2 = nn.LayerNorm(d_model, bias=not lighter)
        self.up = nn.Linear(d_model, d_ff, bias=not lighter)
        self.down = nn.Linear(d_ff, d_model, bias=not lighter)

    @torch.no_grad()
    def transpose_square_matrix(self):
        self.from_heads.weight.copy_(self.from_heads.weight.T.clone())

    def forward(self, x):
        heads = self.to_heads(self.norm_1(x)).chunk(3, dim=-1)
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(-2, -3) for part in heads
        )
        mixed = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True
        )
        x = x + self.from_heads(mixed.transpose(-2, -3).flatten(-2))
        return x + self.down(self.gelu(self.up(self.norm_2(x))))


def _hugging_face():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=CONFIG.vocab_size,
        n_positions=CONFIG.n_positions,
        n_embd=CONFIG.d_model,
        n_layer=CONFIG.n_layers,
        n_head=CONFIG.n_heads,
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    arrays = {name: torch.from_numpy(a) for name, a in _first_params(CONFIG).items()}
    model.transformer.load_state_dict(arrays)

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, tokens):
            return self.model(tokens, use_cache=False).logits

    return _theirs(Logits(), fused=True)


if __name__ == "__main__":
    main()
