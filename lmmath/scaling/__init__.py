"""Scaling laws: how the loss falls with parameters, data and compute, and how to fit it."""

from lmmath.scaling.fit import (
    bootstrap_chinchilla,
    confidence_interval,
    fit_chinchilla,
    standard_errors,
)
from lmmath.scaling.laws import (
    BESIROGLU_2024,
    HOFFMANN_2022,
    KAPLAN_2020,
    KAPLAN_2020_PARAMS,
    KAPLAN_2020_TOKENS,
    ChinchillaLaw,
    KaplanLaw,
    PowerLaw,
    chinchilla_loss,
    compute_optimal,
    critical_sizes,
    kaplan_loss,
    power_law,
    training_flops,
)

__all__ = [
    "BESIROGLU_2024",
    "HOFFMANN_2022",
    "KAPLAN_2020",
    "KAPLAN_2020_PARAMS",
    "KAPLAN_2020_TOKENS",
    "ChinchillaLaw",
    "KaplanLaw",
    "PowerLaw",
    "bootstrap_chinchilla",
    "chinchilla_loss",
    "compute_optimal",
    "confidence_interval",
    "critical_sizes",
    "fit_chinchilla",
    "kaplan_loss",
    "power_law",
    "standard_errors",
    "training_flops",
]
