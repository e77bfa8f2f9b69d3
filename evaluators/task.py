"""What a task is, and how a user's own task is read from a Python file."""

from __future__ import annotations

import importlib.util
import inspect
import math
import os
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ..dsl.errors import UserError, did_you_mean

Params = Any  # a pytree of float32 arrays
Batch = Any  # a pytree of arrays, the same shapes for every key and problem
Problem = Any  # a pytree of arrays, the same shapes for every key; () where there is only one

TIERS = ("proxy", "validation", "target")
FUNCTIONS = ("init", "batch", "loss", "score")


@dataclass(frozen=True)
class Task:
    """A family of problems: a model, its data and its loss, as pure JAX functions.

    A draw decides what may vary from one training run to the next (which data, how noisy, how
    scaled, how curved), so that a rule cannot win by fitting one problem. The problem is data:
    a new one compiles nothing.

    Two tasks are the same task only if they are the same object, so that JAX's caches, which go
    by the identity of functions, and ours agree.
    """

    name: str
    tier: str  # one of TIERS: tasks of rising cost, about 1x, 10x, 100x
    steps: int  # minibatch steps of one training run
    draw: Callable[[jax.Array], Problem]  # key -> problem
    init: Callable[[jax.Array, Problem], Params]  # key, problem -> params
    batch: Callable[[jax.Array, Problem], Batch]  # key, problem -> one training minibatch
    loss: Callable[[Params, Batch], jax.Array]  # minibatch training loss, scalar
    score: Callable[[Params, Problem], jax.Array]  # validation loss, scalar, lower is better
    description: str = ""  # one sentence: model, data, number of weights
    lowest: float = -math.inf  # no honest score is lower; what is, is an exploit
    version: int = 1  # raised whenever the numbers change; part of every cache key


def load_task_file(spec: str) -> Task:
    """Reads a user's task from `FILE.py:NAME`.

    Args:
      spec: a path, a colon, and a name that the file defines: a `Task`, any object with `init`,
        `batch`, `loss`, `score` and `steps`, or a class or function that gives one when called
        without arguments. `name`, `tier`, `description` and `lowest` (what no honest score is
        below) are optional there. So is `draw`:
        without it there is one problem, and `init(key)`, `batch(key)` and `score(params)` go
        without their last argument.

    Returns:
      The task. Its version is a checksum of the file, so that editing the file never meets scores
      cached before the edit.

    Raises:
      UserError: the file or the name is missing, the file fails to run, or what it defines is not
        a task; nothing is trained to find out, the functions are only traced for shapes.
    """
    file, colon, name = spec.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise UserError(f"task '{spec}' is not of the form FILE.py:NAME, as in my_task.py:task")
    path = Path(file).expanduser()
    if not os.path.isfile(path):  # a name that is too long is none
        raise UserError(f"task '{spec}': there is no file '{file}'")
    if path.suffix != ".py":
        raise UserError(f"task '{spec}': '{file}' is not a Python file (its name must end in .py)")
    found = _named(spec, _execute(spec, path), name)
    task = _as_task(spec, found, name, version=zlib.crc32(path.read_bytes()))
    _check_shapes(spec, task)
    return task


def _execute(spec: str, path: Path) -> dict[str, Any]:
    """Runs the file as a module of its own and returns its namespace."""
    module_name = f"evoptax_task_{path.stem}_{zlib.crc32(str(path.resolve()).encode()):08x}"
    module_spec = importlib.util.spec_from_file_location(module_name, path)
    assert module_spec is not None and module_spec.loader is not None  # a .py file has a loader
    module = importlib.util.module_from_spec(module_spec)
    # Dataclasses look their module up by name, and a file may import its neighbours, as it can
    # when run with `python FILE.py`.
    sys.modules[module_name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise UserError(f"task '{spec}': '{path}' fails to import: {_brief(error)}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return vars(module)


def _named(spec: str, namespace: dict[str, Any], name: str) -> Any:
    """Looks the name up and calls it if it is a class or function that makes the task."""
    if name not in namespace:
        public = [n for n in namespace if not n.startswith("_")]
        raise UserError(f"task '{spec}': the file defines no '{name}'{did_you_mean(name, public)}")
    found = namespace[name]
    has_any = any(hasattr(found, part) for part in (*FUNCTIONS, "steps"))
    if not inspect.isclass(found) and (has_any or not callable(found)):
        return found
    try:
        return found()
    except Exception as error:
        raise UserError(
            f"task '{spec}': calling '{name}' without arguments fails: {_brief(error)}"
        ) from error


def _as_task(spec: str, found: Any, name: str, version: int) -> Task:
    """Checks every attribute and gathers them into a `Task`."""
    accepted = "a task has init, batch, loss, score (functions) and steps (a positive integer)"
    for part in (*FUNCTIONS, "steps"):
        if not hasattr(found, part):
            raise UserError(
                f"task '{spec}': '{name}' ({type(found).__name__}) has no '{part}'; {accepted}"
            )
    has_draw = hasattr(found, "draw")
    for part in (*FUNCTIONS, "draw") if has_draw else FUNCTIONS:
        if not callable(getattr(found, part)):
            value = getattr(found, part)
            raise UserError(f"task '{spec}': '{part}' is {value!r}, not a function; {accepted}")
    steps = found.steps
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise UserError(f"task '{spec}': 'steps' is {steps!r}; it must be a positive integer")
    tier = getattr(found, "tier", "proxy")
    if tier not in TIERS:
        raise UserError(f"task '{spec}': 'tier' is {tier!r}; it must be one of {', '.join(TIERS)}")
    _check_arguments(spec, found, has_draw)
    return Task(
        name=str(getattr(found, "name", name)),
        tier=tier,
        steps=steps,
        draw=found.draw if has_draw else lambda key: (),
        init=found.init if has_draw else lambda key, problem: found.init(key),
        batch=found.batch if has_draw else lambda key, problem: found.batch(key),
        loss=found.loss,
        score=found.score if has_draw else lambda params, problem: found.score(params),
        description=str(getattr(found, "description", "")),
        lowest=float(getattr(found, "lowest", -math.inf)),
        version=version,
    )


def _check_arguments(spec: str, found: Any, has_draw: bool) -> None:
    """Refuses functions that cannot take what they will be given."""
    problem = ("problem",) if has_draw else ()
    arguments = {
        "init": ("key", *problem),
        "batch": ("key", *problem),
        "loss": ("params", "batch"),
        "score": ("params", *problem),
    }
    for part, names in (({"draw": ("key",)} if has_draw else {}) | arguments).items():
        function = getattr(found, part)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            continue  # A function without one, such as some written in C; tracing will tell.
        try:
            signature.bind(*names)
        except TypeError:
            given = "with 'draw'" if has_draw else "without 'draw'"
            raise UserError(
                f"task '{spec}': '{part}' takes {signature}; {given} it must take"
                f" ({', '.join(names)})"
            ) from None


def _check_shapes(spec: str, task: Task) -> None:
    """Traces the functions: params must be float32, loss and score floating scalars."""

    def shapes(part: str, *args: Any) -> Any:
        try:
            return jax.eval_shape(getattr(task, part), *args)
        except Exception as error:
            raise UserError(
                f"task '{spec}': '{part}' fails when traced by JAX: {_brief(error)}"
            ) from error

    key = jax.random.key(0)
    problem = shapes("draw", key)
    params = shapes("init", key, problem)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise UserError(f"task '{spec}': 'init' returns no array; it must return the parameters")
    for path, leaf in leaves:
        if leaf.dtype != jnp.float32:
            where = jax.tree_util.keystr(path) or "the parameter"
            raise UserError(
                f"task '{spec}': 'init' gives {where} the dtype {leaf.dtype}; it must be float32"
            )
    batch = shapes("batch", key, problem)
    for part, args in (("loss", (params, batch)), ("score", (params, problem))):
        result = shapes(part, *args)
        shape = getattr(result, "shape", None)
        if shape != () or not jnp.issubdtype(result.dtype, jnp.floating):
            given = type(result).__name__ if shape is None else f"{result.dtype}{list(shape)}"
            raise UserError(
                f"task '{spec}': '{part}' returns {given}; it must return a floating scalar"
            )


def _brief(error: BaseException) -> str:
    """The error's type and the first line of its message: one sentence for the terminal."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
