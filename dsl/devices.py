"""What JAX computes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:
    import jax


def devices() -> list[jax.Device]:
    """The devices that JAX has.

    Raises:
      UserError: it has none of those that JAX_PLATFORMS asks for.
    """
    import jax

    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where a plugin is missing
        asked = getattr(jax.config, "jax_platforms", None)
        if not asked:
            raise UserError(f"JAX has no device to compute on: {error}") from error
        raise UserError(
            f"JAX_PLATFORMS is '{asked}', but JAX finds no such device here; it has:"
            f" {_available()}; unset JAX_PLATFORMS, or set it to one of these"
        ) from error


def _available() -> str:
    """The platforms that there are, in words. Asks another process: this one has asked already."""
    import subprocess
    import sys

    code = "import jax; print(*dict.fromkeys(d.platform for d in jax.devices()), sep=', ')"
    environment = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    return done.stdout.strip() or "none at all"
