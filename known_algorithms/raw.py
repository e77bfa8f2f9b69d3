"""Programs that documented rules were derived from: no optimizers of their own, but good to try
the simplifier on. They can be named wherever a rule can, and count among no listing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..dsl.program import Program
from ..dsl.syntax import parse

RAW: Mapping[str, str] = MappingProxyType(
    {
        # In the paper's order, but clip(g, lr) is written out; its m is no state, because it is
        # assigned before it is read.
        "lion_program4": '''\
def lion_program4(w, g, m=0, v=0, *, lr=1):
    """What search found, before it was simplified to Lion by hand (Chen et al. 2023, Program 4)."""
    g = clip(g, -lr, lr)
    g = arcsin(g)
    m = lerp(g, v, 0.8999999761581421)
    m2 = m * m
    v = lerp(g, m, 1.109133005142212)
    abs_m = sqrt(m2)
    update = m / abs_m
    wd = w * 0.4602
    update = update + wd
    lr = lr * 2e-4
    m = cosh(update)
    update = update * lr
    return update
''',
    }
)


def raw_program(name: str) -> Program:
    """The program of this name, which must be in `RAW`."""
    return parse(RAW[name])
