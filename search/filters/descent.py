"""Test problems that a rule must descend before training: a quadratic and a Rosenbrock valley.

Both are run at several learning rates at once, on nine weights (a matrix and a vector).

The minima are not at zero, which weight decay alone would reach. Gradients are of order one, as in
models; the valley is therefore 100 times less steep than Rosenbrock's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SHAPES = ((2, 3), (3,))
WEIGHTS = 9

# The range of the grid that rules are tuned on, and one decade below.
RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
QUADRATICS = slice(0, len(RATES))
VALLEYS = slice(len(RATES), 2 * len(RATES))

LEARNING_RATES = np.array([*RATES, *RATES])[:, None]


def _rows(quadratic: list[float], valley: list[float]) -> Array:
    return np.repeat([quadratic, valley], len(RATES), axis=0)


# Loss: ½ Σ curvature (w - minimum)², and in the valleys also Σ (y - x²)² over four pairs (x, y).
CURVATURE = _rows(
    [1.0, 0.3, 0.1, 0.5, 1.0, 0.2, 1.0, 0.5, 2.0],
    [0.02, 0.02, 0.02, 0.02, 0.0, 0.0, 0.0, 0.0, 0.02],
)
_MINIMUM = _rows([1.0, -1.0, 2.0, 0.5, -0.5, -2.0, 0.3, 1.5, -0.7], [1.0] * WEIGHTS)
START = _rows(
    [-0.5, 0.5, 1.0, 1.5, 0.3, -1.0, -0.7, 0.5, 0.5],
    [-1.2, -1.0, 0.3, 1.5, 1.0, 0.5, -0.4, 2.0, 0.5],
)
_X, _Y = slice(0, 4), slice(4, 8)


def gradient(w: Array, g: Array) -> None:
    """Fills g with the gradients at w; both of shape (rows, WEIGHTS)."""
    np.subtract(w, _MINIMUM, g)
    np.multiply(g, CURVATURE, g)
    x = w[VALLEYS, _X]
    twice = w[VALLEYS, _Y] - x * x
    twice += twice
    g[VALLEYS, _Y] += twice
    twice *= x
    twice += twice
    g[VALLEYS, _X] -= twice


def loss(w: Array) -> Array:
    """The loss of each row of w, shape (rows,)."""
    off = w - _MINIMUM
    found: Array = 0.5 * np.add.reduce(CURVATURE * off * off, -1)
    x = w[VALLEYS, _X]
    off = w[VALLEYS, _Y] - x * x
    found[VALLEYS] += np.add.reduce(off * off, -1)
    return found


def hessian_times(w: Array, v: Array, product: Array) -> None:
    """Fills the last with the Hessians at w times v; all of shape (rows, WEIGHTS)."""
    np.multiply(CURVATURE, v, product)
    x, y = w[VALLEYS, _X], w[VALLEYS, _Y]
    along_x, along_y = v[VALLEYS, _X], v[VALLEYS, _Y]
    product[VALLEYS, _X] += (12 * x * x - 4 * y) * along_x - 4 * x * along_y
    product[VALLEYS, _Y] += 2 * along_y - 4 * x * along_x


_START_LOSS = loss(START)


def descended(w: Array, at: Array) -> Array:
    """Loss at the evaluation points over initial loss, by row; NaN where anything is not finite.

    Args:
      w: the weights, shape (rows, WEIGHTS).
      at: where the model is to be evaluated.
    """
    ratio = loss(at) / _START_LOSS
    # Not finite where the evaluation point is not.
    finite = np.isfinite(ratio) & np.isfinite(w).all(-1)
    return np.where(finite, ratio, np.nan)
