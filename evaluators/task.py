"""What a task is, and how a user's own task is read from a Python file."""

from __future__ import annotations

import importlib.util
import inspect
import math
import os
import re
import sys
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ..dsl.errors import UserError, did_you_mean
from .switches import firm_switches
from .task_names import TIERS, split_task, whole_path

Params = Any  # a pytree of float32 arrays
Batch = Any  # a pytree of arrays, the same shapes for every key and problem
Problem = Any  # a pytree of arrays, the same shapes for every key; () where there is only one

FUNCTIONS = ("init", "batch", "loss", "score")
# The keys of all minibatches are drawn before a run: 80 MB for so many.
MOST_STEPS = 10_000_000


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
    lowest: float = -math.inf  # no honest score is lower; below 0, losses are measured from here
    version: int = 1  # raised whenever the numbers change; part of every cache key


@firm_switches()
def load_task_file(spec: str) -> Task:
    """Reads a user's task from `FILE.py:NAME`.

    Args:
      spec: a path, a colon, and a name that the file defines: a `Task`, any object with `init`,
        `batch`, `loss`, `score` and `steps`, or a class or function that gives one when called
        without arguments. `name`, `tier`, `description` and `lowest` (what no honest score is
        below; needed where scores may be below 0) are optional there. So is `draw`: without it
        there is one problem, and `init(key)`, `batch(key)` and `score(params)` go without their
        last argument.

    Returns:
      The task. Its version is a checksum of the file, so that editing the file never meets scores
      cached before the edit.

    Raises:
      UserError: the file or the name is missing, the file fails to run, or what it defines is not
        a task; nothing is trained to find out, the functions are only traced for shapes.
    """
    file, name = split_task(spec)
    path = whole_path(file)
    if not os.path.isfile(path):  # a name that is too long is none
        raise UserError(f"task '{spec}': there is no file '{path}'")
    if path.suffix != ".py":
        raise UserError(f"task '{spec}': '{file}' is not a Python file (its name must end in .py)")
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserError(f"task '{spec}': cannot read '{path}': {error.strerror}") from None
    found = _named(spec, path, _execute(spec, path, source), name)
    task = _as_task(spec, found, name, version=zlib.crc32(source))
    _check_shapes(spec, path, task)
    return task


@firm_switches()
def task_from(name: str, found: Any, version: int) -> Task:
    """A task from an object.

    Args:
      name: of the task. found: has what `load_task_file` says. version: part of every cache key.

    Raises:
      UserError: it is no task; nothing is trained to find out.
    """
    if isinstance(found, Task):
        return found
    task = _as_task(name, found, name, version)
    module = sys.modules.get(type(found).__module__)
    _check_shapes(name, Path(getattr(module, "__file__", None) or name), task)
    return task


def _execute(spec: str, path: Path, source: bytes) -> dict[str, Any]:
    """Runs the file as a module of its own and returns its namespace.

    Just this source is run: Python's own loader would take a compiled file beside it, which may
    come from somebody else, or be of the file before it was edited.
    """
    module_name = f"evoptax_task_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    module_spec = importlib.util.spec_from_file_location(module_name, path)
    assert module_spec is not None  # a .py file has one
    module = importlib.util.module_from_spec(module_spec)
    # Dataclasses look their module up by name, and a file may import its neighbours, as it can
    # when run with `python FILE.py`.
    sys.modules[module_name] = module
    sys.path.insert(0, str(path.parent))
    try:
        exec(compile(source, path, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        what = _brief(error, path)
        raise UserError(f"task '{spec}': '{path}' fails to import: {what}") from error
    finally:
        sys.path.remove(str(path.parent))
    return vars(module)


def _named(spec: str, path: Path, namespace: dict[str, Any], name: str) -> Any:
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
            f"task '{spec}': calling '{name}' without arguments fails: {_brief(error, path)}"
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
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= MOST_STEPS:
        raise UserError(
            f"task '{spec}': 'steps' is {steps!r}; it must be a positive integer, at most"
            f" {MOST_STEPS:,}"
        )
    tier = getattr(found, "tier", "proxy")
    if tier not in TIERS:
        raise UserError(f"task '{spec}': 'tier' is {tier!r}; it must be one of {', '.join(TIERS)}")
    lowest = getattr(found, "lowest", -math.inf)
    if isinstance(lowest, bool) or not isinstance(lowest, int | float) or not lowest < math.inf:
        raise UserError(
            f"task '{spec}': 'lowest' is {lowest!r}; it must be a number that no score is below"
        )
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
        lowest=float(lowest),
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


def _check_shapes(spec: str, path: Path, task: Task) -> None:
    """Traces the functions: params must be float32, loss and score floating scalars.

    A parameter may be a Python float, and one array among others may have no numbers.
    """

    def shapes(part: str, *args: Any) -> Any:
        try:
            return jax.eval_shape(getattr(task, part), *args)
        except Exception as error:
            raise UserError(
                f"task '{spec}': '{part}' fails when traced by JAX: {_brief(error, path)}"
            ) from error

    key = jax.random.key(0)
    problem = shapes("draw", key)
    params = shapes("init", key, problem)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not any(leaf.size for _, leaf in leaves):
        what = "arrays without numbers" if leaves else "no array"
        raise UserError(f"task '{spec}': 'init' returns {what}; it must return the parameters")
    for place, leaf in leaves:
        if leaf.dtype != jnp.float32:
            where = jax.tree_util.keystr(place) or "the parameter"
            double = leaf.dtype == jnp.float64
            hint = " (rules are trained in float32 whatever JAX_ENABLE_X64 says)" if double else ""
            raise UserError(
                f"task '{spec}': 'init' gives {where} the dtype {leaf.dtype}; it must be"
                f" float32{hint}"
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


def blamed_on_task(spec: str, error: Exception) -> str | None:
    """What a user's task raised while it was trained, in a sentence; None if it was not the task.

    Args:
      spec: FILE.py:NAME. error: with its traceback.
    """
    path = Path(spec.rpartition(":")[0]).expanduser()
    if not _place(error, path):
        return None
    return f"task '{spec}' fails while it is trained: {_brief(error, path)}"


def _brief(error: BaseException, path: Path) -> str:
    """The error's type, its message in a line, and where in the user's files it was raised."""
    message = str(error).strip()
    if raised := _RAISED.findall(message):
        text = raised[-1]  # in a callback: JAX's message holds the traceback
    else:
        text = ": ".join([type(error).__name__, *message.splitlines()[:1]])
    return text + _place(error, path)


def _place(error: BaseException, path: Path) -> str:
    """The innermost line of the task's file, or of one beside or below it, that an error passed."""
    ours = Path(__file__).resolve().parents[1]
    folder = path.resolve().parent
    # As text, because of errors in callbacks JAX keeps no more.
    for name, line in reversed(_FRAME.findall("".join(traceback.format_exception(error)))):
        file = Path(name).resolve()
        beside = file.is_relative_to(folder) and "site-packages" not in file.parts
        if file == path.resolve() or (beside and not file.is_relative_to(ours)):
            return f" ({name}, line {line})"
    return ""


# What follows the last frame of a traceback.
_RAISED = re.compile(r'^  File ".*\n(?:  .*\n)*(\S.*)', re.MULTILINE)
_FRAME = re.compile(r'File "([^"\n]+)", line (\d+), in ')
