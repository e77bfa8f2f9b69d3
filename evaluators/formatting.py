"""Formats numbers and text of a run for readers.

Fitness is a mean log-ratio of losses and is shown in percent. Text from a ledger may contain
characters that break a terminal or a file format, so it is shown through `printable`.
"""

from __future__ import annotations

import math

from ..dsl.files import printable as printable

MINUS = "\N{MINUS SIGN}"
# Names as printed in papers; other rules keep their own.
_PRINTED = {"adamw": "AdamW", "adam": "Adam", "lion": "Lion", "sgd": "SGD"}


def as_percent(log_ratio: float) -> float:
    """The relative difference of two losses in percent, from their log-ratio; negative is lower."""
    # Capped at e^50, so that exp does not overflow.
    return 100 * math.expm1(min(log_ratio, 50.0))


def percent(log_ratio: float | None) -> str:
    """A log-ratio in words: "−3.1 %", "diverged" for inf, "–" where there is none."""
    if log_ratio is None or math.isnan(log_ratio):
        return "–"
    if log_ratio == math.inf:
        return "diverged"
    value = as_percent(log_ratio)
    digits = 2 if abs(value) < 1 else 1
    text = f"{value:+.3g}" if abs(value) >= 1000 else f"{value:+.{digits}f}"
    if not float(text):
        return "0 %"
    return text.replace("-", MINUS).replace("e+", "e") + " %"


def number(value: float, *, padded: bool = False) -> str:
    """A learning rate or a loss to four digits; padded with zeros, so that columns line up."""
    if not math.isfinite(value):
        return "diverged"
    return (f"{value:#.4g}" if padded else f"{value:.4g}").replace("e-0", "e-").replace("-", MINUS)


def plural(count: int, noun: str) -> str:
    """ "1 candidate", "2,000 candidates"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def share(part: int, whole: int) -> str:
    """A part of a whole in percent: "31 %", "0.4 %"; empty if the whole is 0."""
    if not whole:
        return ""
    value = 100 * part / whole
    return f"{value:.1f} %" if 0 < value < 1 or 99 < value < 100 else f"{value:.0f} %"


def p_value(p: float) -> str:
    """ "0.024", "< 0.0001", "–" where there was no test."""
    if math.isnan(p):
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.995 else "1"


def printed_name(rule: str) -> str:
    """A known rule's name as papers print it."""
    return _PRINTED.get(rule, rule)


def clipped(text: str, width: int) -> str:
    """One printable line of at most `width` characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"
