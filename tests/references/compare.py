"""How far two trajectories are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .trajectories import Params


def max_difference(traj_a: Sequence[Params], traj_b: Sequence[Params]) -> float:
    """The largest absolute difference over all steps, tensors and entries.

    Returns infinity where either side is not finite: two NaNs never agree.

    Raises:
        ValueError: the two differ in steps, tensor names or shapes.
    """
    if len(traj_a) != len(traj_b):
        raise ValueError(f"{len(traj_a)} steps against {len(traj_b)}")
    worst = 0.0
    for step, (a, b) in enumerate(zip(traj_a, traj_b, strict=True), 1):
        if a.keys() != b.keys():
            raise ValueError(f"step {step}: tensors {sorted(a)} against {sorted(b)}")
        for name in a:
            x, y = np.asarray(a[name], np.float64), np.asarray(b[name], np.float64)
            if x.shape != y.shape:
                raise ValueError(f"step {step}, {name}: shape {x.shape} against {y.shape}")
            gap = np.abs(x - y)
            worst = max(worst, float(gap.max()) if np.isfinite(gap).all() else float("inf"))
    return worst
