"""The built-in tasks: one table, listed without JAX, and each task built on first use.

The search trains on proxies. It never sees the validation tasks, which have other models and other
losses; the targets are about a hundred times a proxy's cost and are for the few best rules.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from ..task import Task


@dataclass(frozen=True)
class TaskInfo:
    """A row of the table: what a listing shows, and where the task is built."""

    name: str
    tier: str
    steps: int
    weights: int
    description: str
    factory: str  # "module:function"; the function returns (init, batch, loss, score)
    version: int = 1


# Cheapest first within a tier: a rule that fails on the first proxy never costs the others.
TASKS = (
    TaskInfo(
        "quadratic",
        "proxy",
        steps=100,
        weights=96,
        description="Least squares in 96 weights on streamed Gaussian inputs, curvatures from "
        "0.001 to 1 in a rotated basis, weights of three scales.",
        factory="quadratic:quadratic",
    ),
    TaskInfo(
        "digits_mlp",
        "proxy",
        steps=150,
        weights=2410,
        description="A 64-32-10 ReLU network of 2,410 weights classifies scikit-learn's digits.",
        factory="digits:digits_mlp",
    ),
    TaskInfo(
        "digits_conv",
        "proxy",
        steps=100,
        weights=3818,
        description="A convolutional network of 3,818 weights classifies scikit-learn's digits.",
        factory="digits:digits_conv",
    ),
    TaskInfo(
        "text_transformer",
        "proxy",
        steps=200,
        weights=19969,
        description="A one-block causal transformer of 19,969 weights predicts the next character "
        "of Python's manual.",
        factory="text:text_transformer",
    ),
    TaskInfo(
        "cancer_mlp",
        "validation",
        steps=300,
        weights=3137,
        description="A 30-32-32-32-1 tanh network of 3,137 weights learns the breast cancer set "
        "from labels of which a fifth are flipped.",
        factory="cancer:cancer_mlp",
    ),
    TaskInfo(
        "digits_autoencoder",
        "validation",
        steps=600,
        weights=14088,
        description="A 64-96-8-96-64 autoencoder of 14,088 weights reconstructs scikit-learn's "
        "digits.",
        factory="digits:digits_autoencoder",
    ),
    TaskInfo(
        "photo_denoiser",
        "target",
        steps=800,
        weights=6531,
        description="A three-layer convolutional network of 6,531 weights removes noise from "
        "patches of a photograph.",
        factory="photo:photo_denoiser",
    ),
    TaskInfo(
        "text_transformer_large",
        "target",
        steps=400,
        weights=116193,
        description="A two-block causal transformer of 116,193 weights predicts the next "
        "character of Python's manual.",
        factory="text:text_transformer_large",
    ),
)


def list_tasks(tier: str | None = None) -> tuple[TaskInfo, ...]:
    """The rows of one tier ("proxy", "validation" or "target"), or all of them."""
    tiers = tuple(dict.fromkeys(info.tier for info in TASKS))
    if tier is not None and tier not in tiers:
        raise UserError(f"there is no tier '{tier}'; the tiers are {', '.join(tiers)}")
    return tuple(info for info in TASKS if tier in (None, info.tier))


@functools.cache
def get_task(name: str) -> Task:
    """Builds a task by name; the same name gives the same object, so JAX compiles it once.

    Raises:
      UserError: no built-in task has this name.
    """
    from ..task import Task

    known = {info.name: info for info in TASKS}
    if name not in known:
        near = did_you_mean(name, known)
        raise UserError(
            f"there is no task '{name}'{near or ';'} the tasks are {', '.join(known)}, "
            "and a task of your own is FILE.py:NAME"
        )
    info = known[name]
    module_name, function = info.factory.split(":")
    module = importlib.import_module(f".{module_name}", __name__)
    init, batch, loss, score = getattr(module, function)()
    return Task(
        name=info.name,
        tier=info.tier,
        steps=info.steps,
        init=init,
        batch=batch,
        loss=loss,
        score=score,
        description=info.description,
        version=info.version,
    )
