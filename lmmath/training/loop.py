r"""The training loop: one step after the other, on one processor or many, stopped or not.

The model, the loss, the optimizer and the schedule are those of the book. This module, which
alone needs PyTorch, feeds them: it draws text, calls for gradients, keeps a log and saves.

Step :math:`t` draws its text from the seed and :math:`t` alone. So a run that was stopped goes
on as if it had not been, and several processes read together what one would read.
"""

import hashlib
import json
import os
import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from math import inf, isfinite, isnan, nan
from operator import methodcaller
from pathlib import Path

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from lmmath import torch_kernels
from lmmath._arrays import to_numpy
from lmmath._checks import (
    require_below,
    require_count,
    require_floating,
    require_from_0_to,
    require_ids,
    require_positive,
    require_positive_integer,
)
from lmmath._files import replacing
from lmmath.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from lmmath.language_models import forward, shapes
from lmmath.language_models import init as first_params
from lmmath.training.losses import cross_entropy, token_losses
from lmmath.training.optimizers import (
    adamw_init,
    clip_by_global_norm,
    cosine_schedule,
)
from lmmath.transformer._checks import require_params

_CHECKPOINT, _LOG = "checkpoint.safetensors", "log.csv"

LOG_COLUMNS = (
    "step",
    "seconds",
    "learning_rate",
    "train_loss",
    "valid_loss",
    "gradient_norm",
)


class Diverged(ValueError):
    """A training whose gradients are no longer finite: it would ruin every parameter."""


class Terminated(SystemExit):
    """What a training raises when the system asks it to end, with SIGTERM."""


@dataclass(frozen=True)
class TrainingConfig:
    r"""The settings of a training. The defaults follow GPT-3's, but for the number of steps.

    Parameters
    ----------
    n_steps : int
        Number of updates.
    batch_size : int
        Windows of text per update, over all processes together.
    learning_rate : float
        The highest, which ``cosine_schedule`` reaches after the warm-up.
    n_warmup : int, optional
        Updates until then; a twentieth of ``n_steps`` if not given.
    final_learning_rate : float, optional
        That of the last update; a tenth of ``learning_rate`` if not given.
    weight_decay : float
        Of the matrices; biases and gains do not decay.
    betas : pair of float
        How much AdamW keeps of its two averages.
    max_norm : float
        Gradients longer than this are shortened to it.
    seed : int
        At least 0. Decides the first parameters and the text of each step.
    evaluate_every, checkpoint_every : int
        Steps from one validation, or one checkpoint, to the next. Both also come at the end.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Brown et al. (2020), "Language models are few-shot learners", appendix B.

    Examples
    --------
    >>> settings = TrainingConfig(n_steps=500, learning_rate=0.002)
    >>> settings.n_warmup, settings.final_learning_rate
    (25, 0.0002)
    """

    n_steps: int = 2000
    batch_size: int = 32
    learning_rate: float = 1e-3
    n_warmup: int | None = None
    final_learning_rate: float | None = None
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    max_norm: float = 1.0
    seed: int = 0
    evaluate_every: int = 100
    checkpoint_every: int = 100

    def __post_init__(self):
        require_positive_integer(
            n_steps=self.n_steps,
            batch_size=self.batch_size,
            evaluate_every=self.evaluate_every,
            checkpoint_every=self.checkpoint_every,
        )
        require_positive(learning_rate=self.learning_rate, max_norm=self.max_norm)
        if self.n_warmup is None:
            object.__setattr__(self, "n_warmup", self.n_steps // 20)
        if self.final_learning_rate is None:
            object.__setattr__(self, "final_learning_rate", self.learning_rate / 10)
        require_count(seed=self.seed, n_warmup=self.n_warmup)
        require_from_0_to(self.n_steps, n_warmup=self.n_warmup)
        require_from_0_to(
            self.learning_rate, final_learning_rate=self.final_learning_rate
        )
        require_below(inf, weight_decay=self.weight_decay)
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise ValueError(f"betas must be a pair of numbers, got {self.betas!r}")
        require_below(1, **{f"betas[{i}]": beta for i, beta in enumerate(self.betas)})
        object.__setattr__(self, "betas", tuple(self.betas))


def train(
    train_tokens,
    valid_tokens,
    config,
    settings,
    directory,
    init=None,
    progress=True,
    starts=None,
    valid_starts=None,
):
    r"""Teach a model to predict the next token, going on where an earlier call was stopped.

    .. math::

        \theta_t = \operatorname{AdamW}\!\left(\theta_{t-1},\;
        \operatorname{clip}\, \nabla \mathcal{L}(\theta_{t-1};\, \text{text}_t),\;
        \eta_t\right), \qquad t = 1, \dots, n

    Each step reads ``batch_size`` windows of ``n_positions + 1`` tokens, drawn with equal odds,
    and predicts in each window every token but the first.

    Whatever stops the training, Ctrl-C and SIGTERM included, the last complete step is saved
    on the way out. The same call then goes on from there. If nothing could be saved, as in a
    power cut, it goes on from the last regular checkpoint. So it does if the training diverges:
    nothing is saved then, as the step before would lead there again at once.

    Under ``torchrun``, all processes make the same call and see the same directory. They share
    each step's windows, and the first of them alone writes. A GPU is used if there is one. On
    CPUs with equally many threads the same call gives the same numbers, stopped or not, to the
    last bit; a GPU adds up in no fixed order.

    Parameters
    ----------
    train_tokens, valid_tokens : integer array, shape (n_tokens,)
        Token ids: what is learned, and what is held out. At least ``n_positions + 1`` of each.
    config : GPTConfig or RecurrentConfig
    settings : TrainingConfig
        Under ``torchrun``, the number of processes must divide its ``batch_size``.
    directory : str or path
        For ``checkpoint.safetensors``, and for ``log.csv`` with the ``LOG_COLUMNS`` of each
        step: seconds of training so far, losses in nats per token, the gradient's length before
        it is clipped. It is made if it is not there.
    init : dict of str to array, optional
        The first parameters; drawn by ``lmmath.language_models.init`` if not given.
    progress : bool
        Whether to show a bar on standard error, if that is a terminal.
    starts : integer array, shape (n_starts,), optional
        The indices of those tokens at which a window may begin, such as the first of each
        story; all if not given.
    valid_starts : integer array, shape (n_starts,), optional
        The same of ``valid_tokens``: see ``evaluate``.

    Returns
    -------
    dict of str to numpy.ndarray of float32
        The parameters after the last step.

    Raises
    ------
    TypeError
        If tokens or starts are not arrays of integers.
    ValueError
        Before anything is written: if the arguments do not fit together, or the directory holds
        a checkpoint of other arguments. Later, as ``Diverged``: if gradients become infinite
        or NaN. The message names the step.
    SystemExit
        If SIGTERM came, in the main thread and where nobody else handles it.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from lmmath.transformer import GPTConfig
    >>> tokens = np.asarray([0, 1, 2, 3] * 30)
    >>> config = GPTConfig(vocab_size=4, n_positions=8, d_model=8, n_layers=1, n_heads=2)
    >>> settings = TrainingConfig(n_steps=40, batch_size=4, learning_rate=0.03)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     params = train(tokens, tokens, config, settings, directory)
    >>> evaluate(params, tokens, config) < 0.1  # nats per token: it began at log(4) = 1.39
    True
    """
    arguments = train_tokens, valid_tokens, config, settings, directory
    checkpoint = prepare(*arguments, init, starts, valid_starts)
    train_tokens = np.asarray(train_tokens)
    if starts is not None:
        # Where the text is too short for a window, none begins.
        starts = np.asarray(starts, np.int64)
        starts = starts[starts < len(train_tokens) - config.n_positions]
    validate = partial(
        evaluate,
        tokens=valid_tokens,
        config=config,
        batch_size=settings.batch_size,
        starts=valid_starts,
    )
    with _ending_on_sigterm(), _processes() as (rank, n_processes, device):
        learner = Learner(checkpoint, settings, n_processes, device)
        record = partial(_record, directory, checkpoint, settings, progress, validate)
        with record() if rank == 0 else nullcontext() as recorder:
            for step in range(learner.step + 1, settings.n_steps + 1):
                windows = _draw(train_tokens, starts, config, settings, step)
                loss, norm = learner.learn(windows[rank::n_processes])
                if recorder:
                    recorder.add(learner, loss, norm)
    return _to_numpy(learner.params)


def prepare(
    train_tokens,
    valid_tokens,
    config,
    settings,
    directory,
    init=None,
    starts=None,
    valid_starts=None,
):
    """Check the arguments of ``train`` and find where it would begin, without writing anything.

    Parameters
    ----------
    train_tokens, valid_tokens, config, settings, directory, init, starts, valid_starts
        As in ``train``.

    Returns
    -------
    Checkpoint
        The one in the directory, or that of a new training.

    Raises
    ------
    TypeError, ValueError
        As ``train``, before it begins.
    """
    _require_data(train_tokens, valid_tokens, config, starts, valid_starts)
    _, n_processes = rank_and_number()
    if settings.batch_size % n_processes:
        raise ValueError(
            f"batch_size must be divisible by the number of processes, {n_processes}, "
            f"got {settings.batch_size}"
        )
    init = _initial(init, config, settings)
    data = {
        "init": np.concatenate([array.ravel() for array in init.values()]),
        "train_tokens": train_tokens,
        "valid_tokens": valid_tokens,
        "starts": starts,
        "valid_starts": valid_starts,
    }
    first = Checkpoint(
        params=init,
        optimizer=adamw_init(init),
        config=config,
        run=_run(config, settings, data),
        log=np.empty((0, len(LOG_COLUMNS))),
    )
    return _found(directory, first) or first


def evaluate(params, tokens, config, batch_size=32, starts=None):
    r"""Measure the mean loss over a text, predicting each token once.

    .. math:: -\frac{1}{T} \sum_{t=1}^{T} \log P(x_t \mid x_{b(t)}, \dots, x_{t-1})

    The text is read in windows of at most ``n_positions + 1`` tokens, each of which begins with
    the last token of the one before: :math:`b(t)` is the beginning of the window in which
    :math:`x_t` is predicted.

    Parameters
    ----------
    params : dict of str to array
        NumPy's, or torch's on any device.
    tokens : integer array, shape (n_tokens,)
        At least two. The first is not predicted.
    config : GPTConfig or RecurrentConfig
    batch_size : int
        How many windows to read at a time. Decides nothing but time and memory.
    starts : integer array, shape (n_starts,), optional
        The indices of tokens at which a window may begin, such as the first of each story;
        all if not given. The text is read from the first of them on. Each window ends at the
        last of them that it reaches, where the next begins: so every token is predicted with
        its whole story in view. A story that is longer than a window is cut where it must be.

    Returns
    -------
    float
        Nats per token.

    Raises
    ------
    TypeError
        If ``tokens`` or ``starts`` is not an array of integers.
    ValueError
        If there are too few tokens, an id or an index is out of range, or ``params`` do not fit
        ``config``.

    Examples
    --------
    >>> import numpy as np
    >>> from lmmath.transformer import GPTConfig
    >>> config = GPTConfig(vocab_size=4, n_positions=8, d_model=8, n_layers=1, n_heads=2)
    >>> params = {name: np.zeros(shape) for name, shape in shapes(config).items()}
    >>> round(evaluate(params, np.asarray([0, 1, 2, 3] * 9), config), 4)  # log(4)
    1.3863
    """
    require_positive_integer(batch_size=batch_size)
    require_params(params, shapes(config))
    _require_tokens(config.vocab_size, 2, tokens=tokens)
    if starts is not None:
        _require_starts(len(tokens), 2, starts=starts)
    params = _to_torch(params, _device())
    edges = _edges(len(tokens), config.n_positions, starts)
    total = 0.0
    for i in range(0, len(edges) - 1, batch_size):
        batch = edges[i : i + batch_size + 1]
        total += _total_loss(params, tokens, config, batch[:-1], np.diff(batch))
    return total / float(edges[-1] - edges[0])


class Learner:
    """The parameters on their device, and the step that changes them."""

    def __init__(self, checkpoint, settings, n_processes, device):
        self.settings, self.n_processes = settings, n_processes
        self.params = _to_torch(checkpoint.params, device)
        self.optimizer = {
            "step": checkpoint.optimizer["step"],
            "m": _to_torch(checkpoint.optimizer["m"], device),
            "v": _to_torch(checkpoint.optimizer["v"], device),
        }
        # The step before the last, whose memory the next one takes.
        self.spare = None
        self.matrices = {name for name, p in self.params.items() if p.ndim > 1}
        self.model = _Model(self.params, checkpoint.config)
        # Averages the gradients of all processes while it computes them.
        self.loss = (
            DistributedDataParallel(self.model) if n_processes > 1 else self.model
        )

    @property
    def step(self):
        """Count the updates so far."""
        return self.optimizer["step"]

    def learn(self, windows):
        """Make one update; return the loss before it, and the length of its gradient."""
        settings = self.settings
        loss = self.loss(windows)
        loss.backward()
        with torch.no_grad():
            gradients, norm = self._clipped_gradients()
            last = self.params, self.optimizer
            self.params, self.optimizer = torch_kernels.adamw_update(
                self.params,
                gradients,
                self.optimizer,
                _learning_rate(self.step + 1, settings),
                settings.betas,
                settings.weight_decay,
                self.matrices,
                out=self.spare,
            )
            self.spare = last
            self.model.take(self.params)
        return self._mean(loss.detach()), norm

    def _clipped_gradients(self):
        try:
            return _clipped(self.model.gradients(), self.settings.max_norm)
        except ValueError as error:
            raise Diverged(
                f"the training diverged at step {self.step + 1}: {error}"
            ) from error

    def _mean(self, loss):
        if self.n_processes > 1:
            torch.distributed.all_reduce(loss)
        return loss / self.n_processes


def _clipped(gradients, max_norm):
    clipped, norm = torch_kernels.clip_by_global_norm(gradients, max_norm)
    if isfinite(norm):
        return clipped, norm
    # Squares overflow before the length does. And it names the gradient that is not finite.
    return clip_by_global_norm(gradients, max_norm)


class _Model(torch.nn.Module):
    """The loss as a function of text, as DistributedDataParallel wants it."""

    def __init__(self, params, config):
        super().__init__()
        self.config = config
        # No ParameterDict, which forbids the dots in the names.
        self.arrays = torch.nn.ParameterList(array.clone() for array in params.values())
        self.params = dict(zip(params, self.arrays, strict=True))

    def forward(self, windows):
        logits = forward(self.config, self.params, windows[:, :-1])
        return cross_entropy(logits, windows[:, 1:])

    def gradients(self):
        return {name: array.grad for name, array in self.params.items()}

    def take(self, params):
        for name, array in self.params.items():
            array.data = params[name]  # not copied: the next step writes elsewhere
            array.grad = None


class _Recorder:
    """Write down each step, and from time to time all that is needed to go on after it."""

    def __init__(self, directory, checkpoint, settings, validate, log, bar):
        self.path = Path(directory, _CHECKPOINT)
        self.checkpoint, self.settings, self.validate = checkpoint, settings, validate
        self.log, self.bar = log, bar
        self.rows = checkpoint.log.tolist()
        before = self.rows[-1][1] if self.rows else 0.0
        self.began = time.perf_counter() - before
        self.done = None

    def add(self, learner, loss, norm):
        step, settings = learner.step, self.settings
        valid_loss = nan
        if _is_due(step, settings.evaluate_every, settings):
            valid_loss = self.validate(learner.params)
        seconds = round(time.perf_counter() - self.began, 3)
        rate = _learning_rate(step, settings)
        row = [step, seconds, rate, float(loss), valid_loss, float(norm)]
        self.log.write(_line(row))
        self.rows.append(row)
        self.bar.set_postfix(loss=f"{row[3]:.3f}", refresh=False)
        self.bar.update()
        # The last: what interrupts before it finds the step before, complete.
        self.done = learner.params, learner.optimizer
        if _is_due(step, settings.checkpoint_every, settings):
            self.save()

    def save(self):
        if self.done is None:
            return
        params, optimizer = self.done
        step = optimizer["step"]
        checkpoint = Checkpoint(
            params=_to_numpy(params),
            optimizer={
                "step": step,
                "m": _to_numpy(optimizer["m"]),
                "v": _to_numpy(optimizer["v"]),
            },
            config=self.checkpoint.config,
            run=self.checkpoint.run,
            log=np.asarray(self.rows[:step], dtype=np.float64),
        )
        save_checkpoint(self.path, checkpoint)


@contextmanager
def _record(directory, checkpoint, settings, progress, validate):
    """Open the log and the bar; save what is done if anything stops the training."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    path = Path(directory, _LOG)
    # What was logged after the checkpoint will be logged again.
    with replacing(path) as draft:
        header = ",".join(LOG_COLUMNS) + "\n"
        rows = map(_line, checkpoint.log.tolist())
        draft.write_text(header + "".join(rows), "utf-8", newline="\n")
    bar = tqdm(
        total=settings.n_steps,
        initial=checkpoint.optimizer["step"],
        unit="step",
        # None: only on a terminal.
        disable=None if progress else True,
    )
    with path.open("a", 1, "utf-8", newline="\n") as log, bar:
        recorder = _Recorder(directory, checkpoint, settings, validate, log, bar)
        try:
            yield recorder
        except Diverged:
            raise
        except BaseException:
            recorder.save()
            raise


@contextmanager
def _ending_on_sigterm():
    """Let SIGTERM raise, as Ctrl-C does, unless somebody handles it already."""
    free = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if free:
        signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        if free:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(number, frame):
    raise Terminated(128 + number)


@contextmanager
def _processes():
    """Join the processes that torchrun started, if it did: rank, number and device."""
    device = _device()
    rank, n_processes = rank_and_number()
    joining = n_processes > 1 and not torch.distributed.is_initialized()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if joining:
        backend = "nccl" if device.type == "cuda" else "gloo"
        torch.distributed.init_process_group(backend)
    try:
        yield rank, n_processes, device
    finally:
        if joining:
            torch.distributed.destroy_process_group()


def rank_and_number():
    """Tell which process this is, from 0 on, of how many that torchrun started."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def _device():
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


def _to_torch(arrays, device):
    # tensor copies: an array may be read-only, or belong to somebody else.
    return {
        name: array
        if isinstance(array, torch.Tensor)
        else torch.tensor(to_numpy(array), device=device)
        for name, array in arrays.items()
    }


def _to_numpy(tensors):
    return {name: to_numpy(tensor) for name, tensor in tensors.items()}


def _draw(tokens, starts, config, settings, step):
    """Draw the windows of a step, (batch_size, n_positions + 1), for all processes."""
    rng = np.random.default_rng([settings.seed, step])
    n_starts = len(tokens) - config.n_positions if starts is None else len(starts)
    first = rng.integers(n_starts, size=settings.batch_size)
    if starts is not None:
        first = starts[first]
    offsets = np.arange(config.n_positions + 1)
    return tokens[first[:, None] + offsets].astype(np.int64)


def _edges(n_tokens, n_positions, starts):
    """List the tokens at which windows begin, and at last the one where the text ends."""
    starts = np.arange(n_tokens) if starts is None else np.asarray(starts, np.int64)
    starts = np.unique(starts)
    edges = [starts[0]]
    while (reach := edges[-1] + n_positions) < n_tokens - 1:
        latest = starts[np.searchsorted(starts, reach, side="right") - 1]
        edges.append(latest if latest > edges[-1] else reach)
    return np.asarray([*edges, n_tokens - 1])


@torch.no_grad()
def _total_loss(params, tokens, config, first, n_predicted):
    offsets = np.arange(max(n_predicted) + 1)
    # Past the end of a shorter window, it does not matter what stands there.
    places = np.minimum(first[:, None] + offsets, len(tokens) - 1)
    windows = np.asarray(tokens)[places].astype(np.int64)
    losses = token_losses(forward(config, params, windows[:, :-1]), windows[:, 1:])
    predicted = offsets[:-1] < n_predicted[:, None]
    return float(np.sum(to_numpy(losses)[predicted], dtype=np.float64))


def _initial(init, config, settings):
    if init is None:
        return first_params(config, np.random.default_rng(settings.seed))
    require_params(init, shapes(config))
    require_floating(**{f"init[{name!r}]": array for name, array in init.items()})
    # In one order: that in which the gradient's length is added up.
    return {name: to_numpy(init[name]).astype(np.float32) for name in shapes(config)}


def _run(config, settings, data):
    """Tell this training from all others."""
    facts = {**asdict(config), **asdict(settings)}
    for name, array in data.items():
        facts[name] = None if array is None else _fingerprint(np.asarray(array))
    # As it will be read again: JSON knows neither tuples nor NumPy's numbers.
    return json.loads(json.dumps(facts, default=methodcaller("item")))


def _fingerprint(array):
    # The same numbers are the same data, whatever type holds them.
    kind = "<f4" if array.dtype.kind == "f" else "<i8"
    return hashlib.sha256(np.ascontiguousarray(array, kind)).hexdigest()


def _found(directory, first):
    """Read the directory's checkpoint, if it has one, and see that it is of this training."""
    try:
        checkpoint = load_checkpoint(Path(directory, _CHECKPOINT))
    except FileNotFoundError:
        return None
    mine, its = first.run, checkpoint.run
    if others := [name for name in mine if mine[name] != its.get(name)]:
        raise ValueError(
            f"{directory} must hold no checkpoint of another training, "
            f"got one that differs in {', '.join(others)}"
        )
    return checkpoint


def _line(row):
    step, *numbers = row
    cells = ["" if isnan(number) else repr(number) for number in numbers]
    return f"{int(step)},{','.join(cells)}\n"


def _learning_rate(step, settings):
    return cosine_schedule(
        step,
        settings.n_steps,
        settings.learning_rate,
        settings.n_warmup,
        settings.final_learning_rate,
    )


def _is_due(step, every, settings):
    return step % every == 0 or step == settings.n_steps


def _require_data(train_tokens, valid_tokens, config, starts, valid_starts):
    shortest = config.n_positions + 1
    _require_tokens(config.vocab_size, shortest, train_tokens=train_tokens)
    _require_tokens(config.vocab_size, shortest, valid_tokens=valid_tokens)
    if starts is not None:
        _require_starts(len(train_tokens), shortest, starts=starts)
    if valid_starts is not None:
        _require_starts(len(valid_tokens), 2, valid_starts=valid_starts)


def _require_tokens(vocab_size, shortest, **tokens):
    require_ids(vocab_size, **tokens)
    for name, array in tokens.items():
        if array.ndim != 1 or len(array) < shortest:
            raise ValueError(
                f"{name} must have one axis and at least {shortest} tokens, "
                f"got shape {tuple(array.shape)}"
            )


def _require_starts(n_tokens, shortest, **starts):
    require_ids(n_tokens, **starts)
    for name, array in starts.items():
        if array.ndim != 1 or len(array) == 0:
            raise ValueError(
                f"{name} must have one axis and not be empty, got shape {tuple(array.shape)}"
            )
        if (left := n_tokens - int(np.min(np.asarray(array)))) < shortest:
            raise ValueError(
                f"{name} must leave at least {shortest} tokens of the text, got {left}"
            )
