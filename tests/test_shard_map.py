"""Exported rules of members on four devices, simulated, as on one."""

from __future__ import annotations

import subprocess
import sys

import pytest

ON_FOUR = '''
import sys, types
import jax, jax.numpy as jnp, numpy as np, optax
from jax.sharding import Mesh, PartitionSpec as P
import evoptax

jax.config.update("jax_enable_x64", True)
MEMBERS, STEPS = 4, 7
assert jax.device_count() == MEMBERS
rng = np.random.default_rng(0)
SHAPES = {"w": (4, 3), "b": (3,), "scale": ()}
start = {n: np.repeat(rng.normal(size=(1, *s)), MEMBERS, 0) for n, s in SHAPES.items()}
target = {n: rng.normal(size=(MEMBERS, *s)) for n, s in SHAPES.items()}
share = np.array([0.4, 0.3, 0.2, 0.1])
arrived = rng.choice([0.0, 1.0], (STEPS, MEMBERS))
ring = 0.5 * np.eye(MEMBERS) + 0.25 * np.roll(np.eye(MEMBERS), 1, 0)
ring += 0.25 * np.roll(np.eye(MEMBERS), -1, 0)


def loss(w, target):
    return sum(jnp.sum(jnp.cosh(w[n] - target[n])) for n in w)


for name in sys.argv[1:]:
    # The file alone, as a user has it.
    module = types.ModuleType("exported")
    exec(compile(evoptax.rule(name).export("optax"), name, "exec"), module.__dict__)
    given = {"mixing": ring} if name == "d_sgd" else {}
    given |= {"k": 3} if name == "fedavg" else {}
    given |= {"key": 5} if "dp" in name or name == "open_es" else {}
    optimizer = getattr(module, name)(0.05, **given)

    def step(w, state, target, share, arrived):
        """Of one member."""
        g = jax.grad(loss)(w, target)
        told = {"share": share, "arrived": arrived, "obj_fn": lambda x: loss(x, target)}
        updates, state = optimizer.update(g, state, w, **told)
        return optax.apply_updates(w, updates), state

    def run(step):
        w, state = start, jax.vmap(optimizer.init)(start)
        for here in arrived:
            w, state = step(w, state, target, share, here)
        return w, state

    def on_this_device(*args):
        own = jax.tree.map(lambda x: x[0], args)
        return jax.tree.map(lambda x: x[None], step(*own))

    mesh = Mesh(np.array(jax.devices()), ("members",))
    shared = jax.shard_map(
        on_this_device, mesh=mesh, in_specs=P("members"), out_specs=P("members")
    )
    one, four = run(jax.jit(jax.vmap(step, axis_name="members"))), run(jax.jit(shared))
    leaves = jax.tree.leaves(four[0])
    assert all(len(leaf.sharding.device_set) == MEMBERS for leaf in leaves)
    worst = 0.0
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(four), strict=True):
        assert x.dtype == y.dtype and np.isfinite(np.asarray(x, float)).all()
        worst = max(worst, float(np.abs(np.asarray(x, float) - np.asarray(y, float)).max()))
    moved = max(float(np.abs(leaves[i] - x).max()) for i, x in enumerate(jax.tree.leaves(start)))
    assert worst <= 1e-12 and moved > 1e-3, (name, worst, moved)
    print(name, worst)
'''
RULES = ("fedavg", "dp_sgd", "monna", "d_sgd", "open_es")


def test_exported_files_on_four_devices_are_as_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    command = [sys.executable, "-c", ON_FOUR, *RULES]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr[-3000:]
    assert [line.split()[0] for line in found.stdout.splitlines()] == [*RULES]
