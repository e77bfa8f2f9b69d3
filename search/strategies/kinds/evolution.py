"""Regularized evolution (Real et al. 2019), as in the Lion paper."""

from ..regularized import RegularizedEvolution

STRATEGY = RegularizedEvolution()
