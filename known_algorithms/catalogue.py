"""All documented rules by name.

Every row of the list of documented rules is here but `lanton` (row 28): its formulas for the
layers' learning rates could not be confirmed in the paper's own text, and no code was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..dsl.errors import UserError, did_you_mean
from . import adaptive, averaging, clipping, games, layerwise, matrix, momentum, sign, solvers
from .rule import KnownRule

_FAMILIES = (momentum, adaptive, sign, games, averaging, layerwise, matrix, clipping, solvers)

KNOWN: Mapping[str, KnownRule] = MappingProxyType(
    {
        rule.name: rule
        for rule in sorted(
            (rule for family in _FAMILIES for rule in family.RULES), key=lambda rule: rule.row
        )
    }
)


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
    """The rule of this name.

    Raises:
      UserError: naming the nearest rule and all that exist.
    """
    try:
        return KNOWN[name]
    except KeyError:
        raise UserError(
            f"no known rule is called '{name}'{did_you_mean(name, KNOWN)};"
            f" known: {', '.join(KNOWN)}"
        ) from None
