"""Exercises that check themselves: write the function, call ``check`` on it."""

from importlib import import_module
from pkgutil import iter_modules

from lmmath.exercises._judge import Exercise, Verdict, judge

# A module here without an underscore is a chapter's.
_CHAPTERS = [
    import_module(f"{__name__}.{module.name}")
    for module in iter_modules(__path__)
    if not module.name.startswith("_")
]

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise for chapter in _CHAPTERS for exercise in chapter.EXERCISES
}


def check(function) -> Verdict:
    """Say in words whether a function solves the exercise that has its name.

    Parameters
    ----------
    function : callable
        Your solution, not called: ``check(log_sum_exp)``.

    Returns
    -------
    Verdict
        Prints as a sentence; its ``passed`` is True or False. Nothing is raised: an error in
        your function is part of the answer.

    Examples
    --------
    >>> def log_sum_exp(x):
    ...     return x.max()
    >>> check(log_sum_exp)
    log_sum_exp is not right yet. The smallest input on which it goes wrong, of 25 tried:
        log_sum_exp(x=np.array([0.0, 0.0]))
        yours:    0.0
        expected: 0.6931
    """
    if not callable(function):
        return Verdict(
            False,
            "check takes a function, not called: check(name), not check(name(x)).",
        )
    name = str(getattr(function, "__name__", type(function).__name__))
    if name not in EXERCISES:
        return Verdict(
            False,
            f"No exercise is called {name}. A function is checked by its name, one of: "
            f"{', '.join(sorted(EXERCISES))}.",
        )
    return judge(EXERCISES[name], function)
