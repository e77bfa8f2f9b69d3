"""The fused path: a program traced by JAX into the code around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .arrays import Leaves, Network, Oracles, Rule, bind, bind_member, stepping
from .inputs import INPUTS
from .leaves import flat, mapped
from .members import AXIS, is_of_members
from .oracles import COMBINATIONS
from .primitive import Primitive
from .program import Program

jax.tree_util.register_pytree_node(
    Leaves,
    lambda leaves: (tuple(leaves), leaves.kind),
    lambda kind, children: Leaves(children, kind),
)


def bind_jax(program: Program, dtype: Any = jnp.float32) -> Rule:
    """Binds a program to jax.numpy; its `init` and `step` can be traced and differentiated.

    Members are the named axis `members.AXIS` of `jax.vmap`, over which they are combined.
    """
    if is_of_members(program):
        rule = bind_member(program, jnp, dtype)
        return stepping(program, jax.vmap(rule.init), _of_all(rule, dtype))
    return bind(program, jnp, dtype)


def _of_all(rule: Rule, dtype: Any) -> Callable[..., Any]:
    """The `update` of all members."""

    def update(
        w: Leaves,
        g: Leaves,
        state: Mapping[str, Any],
        *,
        hyper: Mapping[str, Any] | None = None,
        oracles: Oracles | None = None,
        mixing: Any = None,
        **inputs: Any,
    ) -> Any:
        count = len(w[0])
        own = {name: x for name, x in inputs.items() if name in INPUTS and INPUTS[name].own}
        own = {name: jax.tree.map(jnp.asarray, x) for name, x in own.items() if x is not None}
        same = {name: x for name, x in inputs.items() if name not in own}
        row = jnp.zeros((count, count), dtype) if mixing is None else jnp.asarray(mixing, dtype)

        def of_member(w: Leaves, g: Leaves, state: Any, own: Any, row: Any) -> Any:
            given = {**same, **own, "member": lax.axis_index(AXIS), "members": count}
            network = collectives(row)
            asked = {name: _of_one(ask) for name, ask in (oracles or {}).items()}
            return rule.update(w, g, state, hyper=hyper, oracles=asked, network=network, **given)

        return jax.vmap(of_member, axis_name=AXIS)(w, g, dict(state), own, row)

    return update


def _of_one(ask: Callable[[Leaves], Any]) -> Callable[[Leaves], Any]:
    """An oracle of all members as one of a member among them."""

    def answer(x: Leaves) -> Any:
        every = ask(mapped(lambda leaf: lax.all_gather(leaf, AXIS), x))
        return jax.tree.map(lambda found: found[lax.axis_index(AXIS)], every)

    return answer


def collectives(row: Any) -> Network:
    """The primitives of scope MEMBERS over the axis of members.

    Args:
      row: the member's row of the mixing matrix, (M,).
    """

    def combine(primitive: Primitive, x: Any, *more: Any) -> Any:
        how, define = primitive.combination, primitive.define
        if how.weigh is None:
            return mapped(lambda leaf: getattr(lax, how.collective)(leaf, AXIS), x)
        assert define is not None
        own = flat(jnp, x)
        weights = how.weigh(jnp, own, lax.all_gather(own, AXIS), row, *more)
        return mapped(lambda leaf: define(jnp, lax.all_gather(leaf, AXIS), weights), x)

    return {
        primitive.name: lambda *args, primitive=primitive: combine(primitive, *args)
        for primitive in COMBINATIONS
    }
