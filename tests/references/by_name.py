"""``NUMPY``, ``RULES`` and ``SECOND``: each rule's NumPy reference, its setting, and a second
derivation where there is one, found by the rule's name.
"""

from __future__ import annotations

import importlib
import pkgutil

from . import families, second_derivations, second_together
from .settings import Setting
from .trajectories import Reference

_MODULES = [
    importlib.import_module(f"{families.__name__}.{module.name}")
    for module in pkgutil.iter_modules(families.__path__)
]

NUMPY: dict[str, Reference] = {
    name: function
    for module in _MODULES
    for name, function in vars(module).items()
    if isinstance(getattr(function, "setting", None), Setting)
}
RULES: dict[str, Setting] = {name: function.setting for name, function in NUMPY.items()}
SECOND: dict[str, Reference] = {
    name: function
    for module in (second_derivations, second_together)
    for name, function in vars(module).items()
    if name in RULES
}
