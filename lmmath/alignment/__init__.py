"""Alignment: from a model that predicts to one that answers as people prefer.

``lmmath.alignment.fable`` has the exact answer for the language that the book knows.
"""

from lmmath.alignment.answers import answer_mask
from lmmath.alignment.best_of_n import best_of_n, best_of_n_kl_bound
from lmmath.alignment.direct import dpo_loss, implicit_reward
from lmmath.alignment.lora import (
    init_lora,
    lora_dense,
    lora_merge,
    lora_parameter_count,
    lora_update,
)
from lmmath.alignment.optimum import (
    optimal_policy,
    optimal_value,
    regularized_reward,
)
from lmmath.alignment.policy_gradient import (
    clipped_policy_loss,
    group_relative_advantages,
    kl_estimates,
    leave_one_out_advantages,
    policy_gradient,
    policy_gradient_loss,
)
from lmmath.alignment.preferences import (
    fit_rewards,
    log_sigmoid,
    preference_loss,
    preference_probability,
)

__all__ = [
    "answer_mask",
    "best_of_n",
    "best_of_n_kl_bound",
    "clipped_policy_loss",
    "dpo_loss",
    "fit_rewards",
    "group_relative_advantages",
    "implicit_reward",
    "init_lora",
    "kl_estimates",
    "leave_one_out_advantages",
    "log_sigmoid",
    "lora_dense",
    "lora_merge",
    "lora_parameter_count",
    "lora_update",
    "optimal_policy",
    "optimal_value",
    "policy_gradient",
    "policy_gradient_loss",
    "preference_loss",
    "preference_probability",
    "regularized_reward",
]
