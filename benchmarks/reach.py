"""How many proposals mutation needs to reach documented ideas from AdamW. Nothing is trained.

Draws children of AdamW as a search does in its first round, and notes the first proposal that is
each idea: a program of the same structure (`structure_digest`: any constants, any order, exact
algebra) as one of the forms listed here. Grafts are off, so no known rule lends a part.

Ideas marked as kept out were not aimed at when the mutations and their frequencies were chosen.

    python benchmarks/reach.py [--proposals N] [--seeds N] [--docs]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from evoptax.dsl.algebra.canonical import structure_digest
from evoptax.dsl.liveness import without_dead_code
from evoptax.dsl.oracles import oracles_of
from evoptax.dsl.primitive import MATRIX, ORACLE
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.settings import Evolution
from evoptax.search.mutation.mutate import mutate_often
from evoptax.search.strategies.randomness import derive
from performance import environment, write_section

ADAM = "m_hat / (sqrt(v_hat) + eps)"
STEP = f"{ADAM} + wd * w"


@dataclass(frozen=True)
class Idea:
    """A documented change of Adam or AdamW.

    Attributes:
      name: in the field's words. forms: programs that count as the idea.
      kept_out: whether the mutations were chosen without aiming at it.
      grammar: in which it is looked for.
    """

    name: str
    forms: tuple[Program, ...]
    kept_out: bool = False
    grammar: str = MATRIX


def adamw_with(
    *before: str,
    reads: str = "",
    m: str = "lerp(g, m, b1)",
    v: str = "lerp(square(g), v, b2)",
    m_hat: str = "m / (1 - b1**t)",
    v_hat: str = "v / (1 - b2**t)",
    after: Iterable[str] = (),
    step: str = STEP,
    state: str = "",
) -> Program:
    """AdamW with some of its expressions replaced.

    Args:
      before: statements before all others. after: statements before the return.
      reads: further inputs, as in "normal, ".
      state: further state variables, as in ", s=0".
    """
    body = [*before, f"m = {m}", f"v = {v}", f"m_hat = {m_hat}", f"v_hat = {v_hat}", *after]
    signature = f"w, g, t, {reads}m=0, v=0{state}, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, wd=1e-2"
    lines = "".join(f"    {line}\n" for line in body)
    return parse(f"def rule({signature}):\n{lines}    return lr * ({step})\n")


def of_adam_or_step(form: str) -> tuple[Program, ...]:
    """An idea about Adam's part of the step, or about the whole step; `{}` is the value."""
    return (
        adamw_with(after=[f"u = {ADAM}"], step=f"{form.format('u')} + wd * w"),
        adamw_with(after=[f"u = {STEP}"], step=form.format("u")),
    )


def of_momentum(form: str) -> tuple[Program, ...]:
    """An idea about the first moment, before or after the correction of its bias."""
    return (
        adamw_with(step=f"{form.format('m_hat')} + wd * w"),
        adamw_with(step=f"{form.format('m')} + wd * w"),
        adamw_with(m_hat=form.format("m") + " / (1 - b1**t)"),
    )


def of_gradient(form: str) -> tuple[Program, ...]:
    """An idea about the gradient: in both moments, or in the first alone."""
    changed = form.format("g")
    return (
        adamw_with(f"g = {changed}"),
        adamw_with(m=f"lerp({changed}, m, b1)"),
    )


def ideas() -> tuple[Idea, ...]:
    """The ideas of the table."""
    combined = ("({0}) * ({0} * {1} > 0)",)
    cautious = [
        adamw_with(after=[f"u = {value}"], step=mask.format("u", other) + rest)
        for value, rest in ((ADAM, " + wd * w"), (STEP, ""))
        for other in ("g", "m", "m_hat")
        for mask in combined
    ]
    cautious += [
        adamw_with(step="m_hat * (m_hat * g > 0) / (sqrt(v_hat) + eps) + wd * w"),
    ]
    grams = [
        adamw_with(after=[f"u = {value}"], step=f"sign({other}) * abs(u)" + rest)
        for value, rest in ((ADAM, " + wd * w"), (STEP, ""))
        for other in ("g",)
    ]
    return (
        Idea(
            "Nesterov's step",
            (
                adamw_with(m_hat="lerp(g, m, b1) / (1 - b1**t)"),
                adamw_with(step="lerp(g, m_hat, b1) / (sqrt(v_hat) + eps) + wd * w"),
                adamw_with(step="(b1 * m_hat + g) / (sqrt(v_hat) + eps) + wd * w"),
                adamw_with(step="(m_hat + g) / (sqrt(v_hat) + eps) + wd * w"),
                adamw_with(m_hat="(m + g) / (1 - b1**t)"),
            ),
        ),
        Idea("sign step", (*of_momentum("sign({})"), *of_adam_or_step("sign({})"))),
        Idea("cautious mask", tuple(cautious)),
        Idea("orthogonalized momentum", of_momentum("orthogonalize({})")),
        Idea("orthogonalized Adam step", of_adam_or_step("orthogonalize({})"), kept_out=True),
        Idea(
            "row-wise second moments",
            (
                adamw_with(v="lerp(row_mean(square(g)), v, b2)"),
                adamw_with(v_hat="row_mean(v) / (1 - b2**t)"),
                adamw_with(v_hat="row_mean(v / (1 - b2**t))"),
                adamw_with(step="m_hat / (sqrt(row_mean(v_hat)) + eps) + wd * w"),
            ),
        ),
        Idea(
            "column-wise second moments",
            (
                adamw_with(v="lerp(column_mean(square(g)), v, b2)"),
                adamw_with(v_hat="column_mean(v) / (1 - b2**t)"),
                adamw_with(v_hat="column_mean(v / (1 - b2**t))"),
                adamw_with(step="m_hat / (sqrt(column_mean(v_hat)) + eps) + wd * w"),
            ),
            kept_out=True,
        ),
        Idea(
            "one second moment per tensor",
            (
                adamw_with(v="lerp(mean(square(g)), v, b2)"),
                adamw_with(v_hat="mean(v) / (1 - b2**t)"),
                adamw_with(step="m_hat / (sqrt(mean(v_hat)) + eps) + wd * w"),
                adamw_with(v="lerp(square(norm(g)), v, b2)"),
            ),
            kept_out=True,
        ),
        Idea(
            "trust ratio",
            (
                *of_adam_or_step("rescale({0}, w)"),
                *of_adam_or_step("{0} * (norm(w) / norm({0}))"),
            ),
            kept_out=True,
        ),
        Idea(
            "slow second momentum",
            (
                *(
                    adamw_with(*first, after=after, state=", s=0", **parts)
                    for first, after in (
                        (("s = lerp(g, s, 0.9999)",), ()),
                        ((), ("s = lerp(m_hat, s, 0.9999)",)),
                        ((), ("s = lerp(m, s, 0.9999)",)),
                    )
                    for parts in (
                        {"step": "(m_hat + s) / (sqrt(v_hat) + eps) + wd * w"},
                        {"step": "(m_hat + 5 * s) / (sqrt(v_hat) + eps) + wd * w"},
                        {"step": "lerp(m_hat, s, 0.5) / (sqrt(v_hat) + eps) + wd * w"},
                    )
                ),
                adamw_with("s = lerp(g, s, 0.9999)", m_hat="(m + s) / (1 - b1**t)", state=", s=0"),
                adamw_with("s = lerp(g, s, 0.9999)", m="lerp(g + s, m, b1)", state=", s=0"),
            ),
        ),
        Idea(
            "belief",
            (
                adamw_with(v="lerp(square(g - m), v, b2)"),
                adamw_with(v="lerp(square(m - g), v, b2)"),
            ),
        ),
        Idea("centred gradients", of_gradient("{0} - mean({0})")),
        Idea(
            "running maximum of second moments",
            (
                adamw_with(
                    after=["s = maximum(v_hat, s)"],
                    step="m_hat / (sqrt(s) + eps) + wd * w",
                    state=", s=0",
                ),
                adamw_with(v_hat="maximum(v, s) / (1 - b2**t)", state=", s=0"),
            ),
        ),
        Idea("normalized gradient", of_gradient("normalize({0})")),
        Idea("normalized step", of_adam_or_step("normalize({0})")),
        Idea(
            "gradient clipping",
            (
                *of_gradient("clip_by_global_norm({0}, 1.5)"),
                *of_gradient("clip({0}, -1.5, 1.5)"),
            ),
        ),
        Idea(
            "partial adaptivity (Padam)",
            (
                adamw_with(step="m_hat / (v_hat**0.3 + eps) + wd * w"),
                adamw_with(step="m_hat / (sqrt(v_hat)**0.6 + eps) + wd * w"),
                adamw_with(step="m_hat / (sqrt(v_hat) + eps)**0.6 + wd * w"),
            ),
            kept_out=True,
        ),
        Idea(
            "decay of the absolute weight",
            (adamw_with(step=f"{ADAM} + wd * sign(w)"),),
            kept_out=True,
        ),
        Idea("clipped step", of_adam_or_step("clip({0}, -1.5, 1.5)"), kept_out=True),
        Idea("signs of gradients averaged", of_gradient("sign({0})"), kept_out=True),
        Idea(
            "cautious decay",
            (
                adamw_with(step=f"{ADAM} + wd * (w * (w * g > 0))"),
                adamw_with(step=f"{ADAM} + wd * (w * (w * m > 0))"),
                adamw_with(step=f"{ADAM} + wd * (w * (w * m_hat > 0))"),
            ),
            kept_out=True,
        ),
        Idea(
            "step's norm kept",
            (
                *of_adam_or_step("rescale({0}, m_hat)"),
                *of_adam_or_step("rescale({0}, g)"),
                *of_adam_or_step("rescale({0}, m)"),
            ),
            kept_out=True,
        ),
        Idea(
            "warm-up factor",
            (
                *of_adam_or_step("minimum(1.5, t / 100) * {0}"),
                *of_adam_or_step("minimum(t, 100) * {0}"),
                *of_adam_or_step("t / (t + 100) * {0}"),
                adamw_with(m_hat="minimum(1.5, t) * m / (1 - b1**t)"),
            ),
        ),
        Idea("no correction of bias", (adamw_with(m_hat="m"), adamw_with(v_hat="v"))),
        Idea("signs of the gradient, sizes of Adam's step (Grams)", tuple(grams)),
        Idea(
            "change of the gradient (Adan, optimism)",
            tuple(
                adamw_with(*lines, state=", s=0", **parts)
                for lines, parts in (
                    (("p = s", "s = g", "g = g - p"), {}),
                    (("p = s", "s = g", "g = g + (g - p)"), {}),
                    (("p = s", "s = g"), {"m": "lerp(g - p, m, b1)"}),
                    (("p = s", "s = g"), {"m_hat": "(m + (g - p)) / (1 - b1**t)"}),
                    (("p = s", "s = g"), {"step": f"{ADAM} + (g - p) + wd * w"}),
                )
            ),
            kept_out=True,
        ),
        *ideas_that_ask(),
    )


def ideas_that_ask() -> tuple[Idea, ...]:
    """Ideas that need oracles, noise or labels. How oracles are drawn was chosen with those in view
    that call one; the others are kept out.
    """

    def gradient(*forms: str, reads: str = "") -> tuple[Program, ...]:
        return tuple(
            program
            for form in forms
            for program in (
                adamw_with(f"g = {form}", reads=reads),
                adamw_with(m=f"lerp({form}, m, b1)", reads=reads),
            )
        )

    def step(form: str, reads: str) -> tuple[Program, ...]:
        return tuple(
            adamw_with(after=[f"u = {value}"], step=form.format("u") + rest, reads=reads)
            for value, rest in ((ADAM, " + wd * w"), (STEP, ""))
        )

    named = {
        "gradient at a step ahead (SAM, extragradient)": gradient(
            "grad(w + 0.1 * g)",
            "grad(w + g)",
            "grad(w - g)",
            "grad(w + 0.1 * g / global_norm(g))",
            "grad(w + 0.1 * g / norm(g))",
            "grad(w + g / global_norm(g))",
            "grad(w + 0.1 * sign(g))",
            "grad(w + 0.1 * m)",
            "grad(w - lr * g)",
            "grad(w - lr * m)",
            "grad(w + m)",
            "grad(w - m)",
        ),
        "curvature along the gradient": (
            *gradient("g + 0.1 * hvp(g)", "g - hvp(g)", "hvp(g)"),
            adamw_with(v="lerp(square(hvp(g)), v, b2)"),
            adamw_with(v="lerp(abs(hvp(g)), v, b2)"),
            adamw_with(m="lerp(g + 0.1 * hvp(m), m, b1)"),
        ),
        "curvature along noise (AdaHessian, Sophia)": tuple(
            adamw_with(v=f"lerp({form}, v, b2)", reads="rademacher, ")
            for form in (
                "square(rademacher * hvp(rademacher))",
                "rademacher * hvp(rademacher)",
                "square(hvp(rademacher))",
                "abs(hvp(rademacher))",
            )
        ),
        "noise in the step (Langevin)": tuple(
            program
            for noise in ("normal", "rademacher", "uniform")
            for form in (f"{{0}} + 0.1 * {noise}", f"{{0}} + {noise}")
            for program in step(form, f"{noise}, ")
        ),
        "noise in the gradient": tuple(
            program
            for noise in ("normal", "rademacher", "uniform")
            for form in (f"g + 0.1 * {noise}", f"g + {noise}")
            for program in gradient(form, reads=f"{noise}, ")
        ),
        "descent and ascent by role": (
            *step("role * {0}", "role, "),
            *gradient("role * g", reads="role, "),
        ),
        "a step of another kind for one group of layers": (
            *step("where(group == 1, sign({0}), {0})", "group, "),
            *step("where(group, sign({0}), {0})", "group, "),
            *step("group * {0}", "group, "),
        ),
    }
    return tuple(
        Idea(name, forms, kept_out=not any(map(oracles_of, forms)), grammar=ORACLE)
        for name, forms in named.items()
    )


def reached(
    grammar: str, proposals: int, seed: int, wanted: Mapping[str, frozenset[str]]
) -> dict[str, int]:
    """The number of proposals until each idea is proposed; those that are not are missing."""
    evolution = Evolution().with_grammar(grammar)
    space, mean = replace(evolution.space, donors=()), evolution.mutations
    start = get_known("adamw").program
    found: dict[str, int] = {}
    for ordinal in range(1, proposals + 1):
        child, _ = mutate_often(start, mean, derive(seed, ordinal, "propose"), space)
        digest = structure_digest(without_dead_code(child))
        for name, digests in wanted.items():
            if digest in digests and name not in found:
                found[name] = ordinal
    return found


def table(known: Iterable[Idea], runs: Sequence[Mapping[str, int]], most: int) -> str:
    """A Markdown table: of each idea the proposals that it took, the median over seeds."""
    lines = ["| idea | proposals | of each seed | |", "|---|---|---|---|"]
    for idea in known:
        firsts = sorted(run.get(idea.name, math.inf) for run in runs)
        cells = [f"{x:,}" if math.isfinite(x) else f"over {most:,}" for x in firsts]
        middle = cells[len(cells) // 2]
        note = "kept out" if idea.kept_out else ""
        lines.append(f"| {idea.name} | {middle} | {', '.join(cells)} | {note} |")
    return "\n".join(lines)


def summary(known: Iterable[Idea], runs: Sequence[Mapping[str, int]], most: int) -> str:
    """The median and the largest of the ideas' medians, of all and of those kept out."""
    words = []
    for name, kept_out in (("all", False), ("those kept out", True)):
        middles = [
            statistics.median(run.get(idea.name, math.inf) for run in runs)
            for idea in known
            if idea.kept_out >= kept_out
        ]
        middle, largest = (
            f"{x:,.0f}" if math.isfinite(x) else f"over {most:,}"
            for x in (statistics.median(middles), max(middles))
        )
        words.append(f"of {name} the median is {middle}, the most {largest}")
    return "; ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proposals", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--docs", action="store_true", help="write the table into docs/search.md")
    args = parser.parse_args()
    start, parts = time.perf_counter(), []
    for grammar in (MATRIX, ORACLE):
        known = [idea for idea in ideas() if idea.grammar == grammar]
        wanted = {
            idea.name: frozenset(structure_digest(without_dead_code(p)) for p in idea.forms)
            for idea in known
        }
        runs = [reached(grammar, args.proposals, seed, wanted) for seed in range(args.seeds)]
        parts.append(
            f"{args.seeds} seeds of {args.proposals:,} proposals each, grammar `{grammar}`:"
            f" {summary(known, runs, args.proposals)}."
        )
        parts.append(table(known, runs, args.proposals))
        print(*parts[-2:], sep="\n\n", flush=True)
    text = "\n\n".join(parts)
    print(f"{time.perf_counter() - start:.0f} s; {environment()}")
    if args.docs:
        write_section("reach", text, "search.md")


if __name__ == "__main__":
    main()
