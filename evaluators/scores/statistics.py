"""How sure a paired comparison over several tasks and seeds is.

Values come as a table (T, S): T tasks, S seeds each, every value the difference of two rules on
the same problem (or any other number per problem). The tasks are taken as given, the seeds as
drawn: everything here speaks about these tasks and about seeds that were not run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .certainty import CONFIDENCE, side

RESAMPLES = 9_999
_SEED = 0  # Of resampling: the same table always gives the same interval and p-value.


@dataclass(frozen=True)
class Estimate:
    """A mean over tasks and seeds.

    Attributes:
      mean: of the values; inf where a rule diverged.
      low, high: its 95 % confidence interval; infinite where the seeds are too few for one.
      p: two-sided p-value of "there is no difference on these tasks"; NaN without a test.
    """

    mean: float
    low: float = -math.inf
    high: float = math.inf
    p: float = math.nan

    @property
    def side(self) -> int:
        """−1 where it is surely below 0, 1 where surely above, 0 where open."""
        return side(self.mean, self.low, self.high, self.p)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def estimate(differences: np.ndarray) -> Estimate:
    """Mean, interval and test of paired differences (T, S), of which negative is better.

    One that is not finite, NaN included, is a diverged rule's and makes the mean inf. Without any
    difference the mean is NaN.
    """
    if differences.size == 0:
        return Estimate(math.nan)
    if not np.isfinite(differences).all():
        return Estimate(math.inf)
    return Estimate(
        float(np.mean(differences)), *bootstrap_interval(differences), sign_flip_test(differences)
    )


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap-t interval of the mean; seeds are resampled within each task.

    Bootstrap-t (Efron & Tibshirani 1993, section 12.5): every resample is divided by its own
    standard error. Evaluations have few seeds, and there a percentile or BCa interval is far too
    narrow: benchmarks/intervals.py counts how often each holds the truth.

    Args:
      values: (T, S), finite.

    Returns:
      The lower and upper end; infinite where seeds are too few (one; three on a single task) or
      do not differ at all, so that nothing tells how far the mean would move.
    """
    tasks, seeds = values.shape
    error = _standard_error(values) if seeds > 1 else 0.0
    if error == 0 or np.ptp(values, axis=1).max() == 0:
        return -math.inf, math.inf
    picks = np.random.default_rng(_SEED).integers(0, seeds, (RESAMPLES, tasks, seeds))
    resampled = values[np.arange(tasks)[:, None], picks]
    away = resampled.mean((1, 2)) - values.mean()
    errors = _standard_error(resampled)
    # A resample that has lost the spread is infinitely sure; one noisy task among calm ones is
    # enough for that, so hardly any is as good as none.
    flat = errors < 0.01 * error
    t = np.where(flat, np.copysign(math.inf, away), away / np.where(flat, 1.0, errors))
    tail = (1 - CONFIDENCE) / 2
    # No interpolation: between two infinities there is none.
    low, high = np.quantile(t, [tail, 1 - tail], method="inverted_cdf")
    return float(values.mean() - high * error), float(values.mean() - low * error)


def _standard_error(values: np.ndarray) -> np.ndarray:
    """Of the mean over tasks of means over seeds; values (…, T, S) -> (…)."""
    tasks, seeds = values.shape[-2:]
    return np.sqrt(values.var(axis=-1, ddof=1).sum(axis=-1) / seeds) / tasks


def sign_flip_test(differences: np.ndarray) -> float:
    """Two-sided p-value of a paired permutation test on the mean.

    If two rules do not differ, each difference is as likely as its negative. The p-value counts
    how often random signs give a mean as far from zero; exact for up to 13 differences, where all
    signs are tried. It assumes no distribution, so n differences never give less than 2 / 2^n.
    """
    flat = differences.ravel()
    if not flat.any() or len(flat) == 1:
        return 1.0
    test = stats.permutation_test(
        (flat,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(_SEED),
    )
    return float(test.pvalue)


def smallest_p(differences: int) -> float:
    """The smallest p-value that so many differences can give."""
    return max(2.0 ** (1 - differences), 2 / (RESAMPLES + 1))
