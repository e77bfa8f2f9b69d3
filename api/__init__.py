"""evoptax discovers optimizers.

    import evoptax

    rule = evoptax.rule("lion")                   # a known name, RUN:best, a file, program text
    optimizer = rule.optax(learning_rate=3e-4)    # an optax.GradientTransformationExtraArgs
    run = evoptax.discover(preset="quick", name="mine", tasks=[MyTask()])
    run.best, run.lineage(), run.candidates()     # evoptax.run("mine") finds it again
    evoptax.evaluate(["adamw", rule], tasks="proxy", seeds=3)
    evoptax.tune("adamw", tasks=[MyTask()], trials=50)

This folder is installed as `evoptax` itself. Names are imported on first use, so that `import
evoptax` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .evaluating import evaluate
    from .rules import Rule, rule
    from .running import Run, run
    from .searching import discover, resume
    from .tuning import tune

__all__ = [
    "Rule",
    "Run",
    "__version__",
    "discover",
    "evaluate",
    "resume",
    "rule",
    "run",
    "tune",
]

__version__: str

# The module of each name.
_NAMES = {
    "Rule": "rules",
    "Run": "running",
    "discover": "searching",
    "evaluate": "evaluating",
    "resume": "searching",
    "rule": "rules",
    "run": "running",
    "tune": "tuning",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("evoptax")
    if name not in _NAMES:
        raise AttributeError(f"module 'evoptax' has no attribute '{name}'; it has: {__all__}")
    return getattr(import_module(f".{_NAMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
