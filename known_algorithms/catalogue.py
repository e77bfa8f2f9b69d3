"""All documented rules by name.

Rows 1-34 of the list of documented rules are here but `lanton` (row 28): its formulas for the
layers' learning rates could not be confirmed in the paper's own text, and no code was found. Of
rows 35-80 those are here that ask for one loss, or combine what members hold, and set weights
alone. After them come the rules that the list does not have, family by family.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from ..dsl.errors import UserError, did_you_mean
from . import (
    accumulated,
    adam_denominator,
    adam_momentum,
    adaptive,
    asking,
    averaging,
    cautious,
    clipping,
    decomposed,
    games,
    grouped,
    layerwise,
    low_rank,
    matrix,
    momentum,
    parameter_free,
    projections,
    schedules,
    sign,
    small_state,
    solvers,
    together,
    weight_averages,
)
from .rule import KnownRule

_FAMILIES = (
    momentum,
    adaptive,
    adam_momentum,
    adam_denominator,
    cautious,
    sign,
    games,
    averaging,
    weight_averages,
    layerwise,
    matrix,
    grouped,
    decomposed,
    low_rank,
    parameter_free,
    accumulated,
    small_state,
    clipping,
    projections,
    asking,
    together,
    solvers,
)

KNOWN: Mapping[str, KnownRule] = MappingProxyType(
    {
        rule.name: rule
        for rule in sorted(
            (rule for family in _FAMILIES for rule in family.RULES),
            key=lambda rule: math.inf if rule.row is None else rule.row,
        )
    }
)

# Documented schedules of the learning rate; no rules, but rules call them.
SCHEDULES_TIER = "5"
SCHEDULES: Mapping[str, KnownRule] = MappingProxyType({s.name: s for s in schedules.SCHEDULES})


def known_rules(tier: str | None = None) -> tuple[KnownRule, ...]:
    """All rules, or those of one tier, in the catalogue's order.

    Args:
      tier: "1a", "1b", "2", …; "1" means every tier that starts with it.

    Raises:
      UserError: for a tier that no rule has.
    """
    if tier is None:
        return tuple(KNOWN.values())
    found = tuple(rule for rule in KNOWN.values() if rule.tier in (tier, tier + "a", tier + "b"))
    if not found:
        accepted = ", ".join(sorted({rule.tier for rule in KNOWN.values()}))
        raise UserError(f"no rule has tier '{tier}'; tiers: {accepted}")
    return found


def get_known(name: str) -> KnownRule:
    """The rule or the schedule of this name.

    Raises:
      UserError: naming the nearest rule and all that exist.
    """
    try:
        return SCHEDULES[name] if name in SCHEDULES else KNOWN[name]
    except KeyError:
        raise UserError(
            f"no known rule is called '{name}'{did_you_mean(name, KNOWN)};"
            f" known: {', '.join(KNOWN)}"
        ) from None
