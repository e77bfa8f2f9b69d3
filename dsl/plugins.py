"""Implementations of a protocol: the modules and folders of a package, found by their names.

To add one is to add a file there. It is imported when it is asked for, not to list the names.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from .errors import UserError, did_you_mean


def names_in(package: str) -> tuple[str, ...]:
    """The names of a package's modules and folders, in alphabetical order.

    Args:
      package: its full name, as in "evoptax.dsl.export.formats".
    """
    folders = importlib.import_module(package).__path__
    return tuple(sorted(module.name for module in pkgutil.iter_modules(folders)))


def implementation(package: str, name: str, attribute: str, what: str) -> Any:
    """What a module of a package offers under some name.

    Args:
      package: the full name of the package. name: of the module. attribute: in the module.
      what: an implementation is, in words, as in "format".

    Raises:
      UserError: there is no such module; names those that are there.
    """
    known = names_in(package)
    if name not in known:
        accepted = ", ".join(known)
        raise UserError(f"there is no {what} '{name}'{did_you_mean(name, known)}: {accepted}")
    return getattr(importlib.import_module(f"{package}.{name}"), attribute)
