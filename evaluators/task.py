"""The task protocol, and loading a user's task from a Python file."""

from __future__ import annotations

import importlib.util
import inspect
import math
import os
import re
import sys
import traceback
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..dsl.errors import UserError, did_you_mean
from ..dsl.inputs import LABELS
from .labels import labels_of
from .members import USUAL, Members, members, workers
from .switches import firm_switches
from .task_names import TIERS, split_task, whole_path

Params = Any  # a pytree of float32 arrays
Batch = Any  # a pytree of arrays, the same shapes for every key and problem
Problem = Any  # a pytree of arrays, the same shapes for every key; () where there is only one

FUNCTIONS = ("init", "batch", "loss", "score")
# The keys of all minibatches are drawn before a run: 80 MB for this many.
MOST_STEPS = 10_000_000


@dataclass(frozen=True)
class Task:
    """A family of problems: a model, its data and its loss, as pure JAX functions.

    A draw sets what varies between training runs (data, noise, scales, curvature), so that a rule
    cannot win by fitting one problem. A problem is data, so a new one needs no compilation.

    Tasks are equal only if they are the same object, as in JAX's caches, which compare functions by
    identity.
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
    lowest: float = -math.inf  # the lowest possible score; if below 0, losses are relative to it
    version: int = 1  # raised when the numbers change; part of every cache key
    # By input of the language (`role`, `group`): params -> a tree like params with a number for
    # each tensor, made of their structure and shapes alone. What is missing has its default.
    labels: Mapping[str, Callable[[Params], Any]] = field(default_factory=dict)
    members: Members | None = None  # of rules of members; None: four that draw from the same data


def members_of(task: Task) -> Members:
    """The members of a task, its own or the usual ones."""
    return task.members or workers(task.batch)


@firm_switches()
def load_task_file(spec: str) -> Task:
    """Reads a user's task from `FILE.py:NAME`.

    Args:
      spec: a path, a colon, and a name that the file defines: a `Task`, any object with `init`,
        `batch`, `loss`, `score` and `steps`, or a class or function that returns one when called
        without arguments. `name`, `tier`, `description` and `lowest` (the lowest possible score,
        required if scores may be below 0) are optional. So is `draw`: without it there is one
        problem, and the functions are `init(key)`, `batch(key)` and `score(params)`. So are
        `role(params)` and `group(params)`, which label the tensors for rules that read these
        inputs: each returns a tree like params with a number for each tensor, as in a game, where
        the role is 1 for the tensors of who minimizes the loss and -1 for the other's.

        Rules of members are trained with `workers` of them (4), whose minibatches are those of
        `worker_batch(key, problem, i)`; without it they are drawn as `batch` draws. `shares`,
        `mixing` (a row for each worker) and `arrived(key, problem, t)` are optional too; see
        `members.Members`. Without `draw`, functions take no problem.

    Returns:
      The task. Its version is a checksum of the file, so that scores cached before an edit are not
      used after it.

    Raises:
      UserError: the file or the name is missing, the file fails to run, or what it defines is not
        a task. The functions are only traced for shapes; nothing is trained.
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
      name: of the task. found: an object with the attributes that `load_task_file` lists.
      version: part of every cache key.

    Raises:
      UserError: the object is not a task. Nothing is trained.
    """
    if isinstance(found, Task):
        return found
    task = _as_task(name, found, name, version)
    module = sys.modules.get(type(found).__module__)
    _check_shapes(name, Path(getattr(module, "__file__", None) or name), task)
    return task


def _execute(spec: str, path: Path, source: bytes) -> dict[str, Any]:
    """Runs the file as a module and returns its namespace.

    Exactly this source is run. Python's loader could take a compiled file beside it, which may be
    older than the last edit, or come from another person.
    """
    module_name = f"evoptax_task_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    module_spec = importlib.util.spec_from_file_location(module_name, path)
    assert module_spec is not None  # a .py file has one
    module = importlib.util.module_from_spec(module_spec)
    # Dataclasses look up their module by name; and the file may import files beside it, as with
    # `python FILE.py`.
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
    """The object of that name; a class or function that makes the task is called."""
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
    """Checks every attribute and makes a `Task` of them."""
    accepted = "a task has init, batch, loss, score (functions) and steps (a positive integer)"
    for part in (*FUNCTIONS, "steps"):
        if not hasattr(found, part):
            raise UserError(
                f"task '{spec}': '{name}' ({type(found).__name__}) has no '{part}'; {accepted}"
            )
    has_draw = hasattr(found, "draw")
    labels = [name for name in LABELS if hasattr(found, name)]
    for part in (*FUNCTIONS, *labels, *(["draw"] if has_draw else [])):
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
        labels={name: getattr(found, name) for name in labels},
        members=_members(spec, found, has_draw),
    )


def _members(spec: str, found: Any, has_draw: bool) -> Members | None:
    """The members that a task says it has; None if it says nothing of them."""
    names = ("workers", "worker_batch", "shares", "arrived", "mixing")
    if not any(hasattr(found, name) for name in names):
        return None
    count = getattr(found, "workers", USUAL)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UserError(f"task '{spec}': 'workers' is {count!r}; it must be a positive integer")

    def with_problem(function: Any) -> Any:
        return function if has_draw else lambda key, problem, x: function(key, x)

    def array(name: str, shape: tuple[int, ...]) -> Any:
        value = np.asarray(getattr(found, name), np.float32)
        if value.shape != shape:
            raise UserError(
                f"task '{spec}': '{name}' has the shape {value.shape}; with {count} workers it"
                f" must have {shape}"
            )
        return jnp.asarray(value)

    own = getattr(found, "worker_batch", None)
    arrived = getattr(found, "arrived", None)
    batch = found.batch if has_draw else lambda key, problem: found.batch(key)
    shares = array("shares", (count,)) if hasattr(found, "shares") else None
    return members(
        workers(batch, count).batch if own is None else with_problem(own),
        count,
        shares=None if shares is None else lambda problem: shares / shares.sum(),
        arrived=None if arrived is None else with_problem(arrived),
        mixing=array("mixing", (count, count)) if hasattr(found, "mixing") else None,
    )


def _check_arguments(spec: str, found: Any, has_draw: bool) -> None:
    """Raises UserError if a function does not accept its arguments."""
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
            continue  # no signature, as for some functions written in C; tracing will check it
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

    A parameter may be a Python float. Arrays may be empty, if not all are.
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
    try:
        labels_of(task.labels, params)
    except ValueError as error:
        raise UserError(f"task '{spec}': {error}") from None
    except Exception as error:
        raise UserError(f"task '{spec}': its labels fail: {_brief(error, path)}") from error
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
    """A sentence on an error that a user's task raised in training; None if it came from elsewhere.

    Args:
      spec: FILE.py:NAME. error: the error, with its traceback.
    """
    path = Path(spec.rpartition(":")[0]).expanduser()
    if not _place(error, path):
        return None
    return f"task '{spec}' fails while it is trained: {_brief(error, path)}"


def _brief(error: BaseException, path: Path) -> str:
    """The error's type, its message in a line, and where in the user's files it was raised."""
    message = str(error).strip()
    if raised := _RAISED.findall(message):
        text = raised[-1]  # from a callback, whose traceback is part of JAX's message
    else:
        text = ": ".join([type(error).__name__, *message.splitlines()[:1]])
    return text + _place(error, path)


def _place(error: BaseException, path: Path) -> str:
    """The innermost traceback line in the task's file, or in a file beside or below it."""
    ours = Path(__file__).resolve().parents[1]
    folder = path.resolve().parent
    # Parsed from text, because JAX keeps errors in callbacks only as text.
    for name, line in reversed(_FRAME.findall("".join(traceback.format_exception(error)))):
        file = Path(name).resolve()
        beside = file.is_relative_to(folder) and "site-packages" not in file.parts
        if file == path.resolve() or (beside and not file.is_relative_to(ours)):
            return f" ({name}, line {line})"
    return ""


# The error after the last frame of a traceback.
_RAISED = re.compile(r'^  File ".*\n(?:  .*\n)*(\S.*)', re.MULTILINE)
_FRAME = re.compile(r'File "([^"\n]+)", line (\d+), in ')
