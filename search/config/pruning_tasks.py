"""Which tasks the parts of a rule are tried on, to see which of them training needs."""

from __future__ import annotations

from collections.abc import Sequence

from ...evaluators.task_names import split_scale

# Cheap tasks of several families, the validation tier first. Used are the first three on which the
# rule was neither selected nor will be compared, at any length and width.
_TASKS = (
    "cancer_mlp",
    "photo_siren",
    "burgers_pinn",
    "teacher_student",
    "digits_conv",
    "deep_linear",
    "cancer_logistic",
    "digits_vit",
    "rosenbrock",
    "text_transformer",
    "diabetes_quantiles",
    "cancer_completion",
)
_COUNT = 3


def tasks_for(taken: Sequence[str] = ()) -> tuple[str, ...]:
    """The tasks for pruning, without those in `taken` (used for selection or comparison)."""
    names = {split_scale(task)[0] for task in taken}
    return tuple(name for name in _TASKS if name not in names)[:_COUNT]
