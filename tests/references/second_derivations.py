"""A second derivation of rules that no library checks, by another route, under the rule's name.

They share no line with the first references: closed forms, flattened models, component sweeps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import losses, problems
from .losses import Loss
from .trajectories import Params, Trajectory


def _flatten(model: Params) -> np.ndarray:
    return np.concatenate([np.ravel(x) for x in model.values()])


def _unflatten(flat: np.ndarray, like: Params) -> Params:
    ends = np.cumsum([x.size for x in like.values()])
    pieces = np.split(flat, ends[:-1])
    return {name: p.reshape(x.shape) for (name, x), p in zip(like.items(), pieces, strict=True)}


def adagrad_norm(
    params: Params, grads: list[Params], *, lr: float, b0_squared: float, scope: str
) -> Trajectory:
    """``w_t = w_0 - lr * sum_s g_s / sqrt(b_0^2 + sum_{r<=s} ||g_r||^2)``, model scope only."""
    if scope != "model":
        raise ValueError(f"scope is {scope!r}; the closed form is written for 'model'")
    g = np.stack([_flatten(x) for x in grads])
    b = np.sqrt(b0_squared + np.cumsum(np.sum(g * g, axis=1)))
    flat = _flatten(params) - lr * np.cumsum(g / b[:, None], axis=0)
    return Trajectory([_unflatten(row, params) for row in flat])


def _adam_directions(g: np.ndarray, b1: float, b2: float, eps: float) -> np.ndarray:
    """Adam's directions of a whole sequence at once, (steps, weights), as weighted sums."""
    t = np.arange(1, len(g) + 1)
    ages = t[:, None] - t[None, :]
    first = np.where(ages >= 0, (1 - b1) * b1 ** np.maximum(ages, 0), 0.0)
    second = np.where(ages >= 0, (1 - b2) * b2 ** np.maximum(ages, 0), 0.0)
    m = first @ g / (1 - b1**t)[:, None]
    v = second @ (g * g) / (1 - b2**t)[:, None]
    return m / (np.sqrt(v) + eps)


def gpa_adamw(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
    mu_y: float,
    mu_x: float,
) -> Trajectory:
    """GPA keeping y and z alone: x is recovered as (y - (1-mu_y) z)/mu_y before it moves."""
    directions = _adam_directions(np.stack([_flatten(x) for x in grads]), b1, b2, eps)
    y = z = _flatten(params)
    ys, xs = [], []
    for d in directions:
        x = (y - (1 - mu_y) * z) / mu_y
        z = z - lr * (d + wd * z)
        x = z + mu_x * (x - z)
        y = z + mu_y * (x - z)
        ys.append(_unflatten(y, params))
        xs.append(_unflatten(x, params))
    return Trajectory(ys, xs)


def sor(
    params: Params, grads: list[Params], *, a: np.ndarray, b: np.ndarray, omega: float
) -> Trajectory:
    """The textbook form: ``x_i += omega * ((b_i - sum_j a_ij x_j) / a_ii)``, one i at a time."""
    (name,) = params
    x = params[name].copy()
    out = []
    for _ in grads:
        for i in range(len(x)):
            x[i] += omega * (b[i] - float(np.dot(a[i], x))) / a[i, i]
        out.append({name: x.copy()})
    return Trajectory(out)


def optimistic_omd(
    params: Params,
    grads: list[Params],
    *,
    diameter: float,
    radius: float,
    lipschitz: float,
    delta: float,
) -> Trajectory:
    """Optimistic mirror descent on the concatenated model, every step size computed beforehand."""
    g = np.stack([_flatten(x) for x in grads])
    hints = np.vstack([np.zeros_like(g[:1]), g])
    seen = np.concatenate([[0.0], np.cumsum(np.sum((g - hints[:-1]) ** 2, axis=1))])
    eta = diameter / np.sqrt(delta + 4 * lipschitz**2 + seen)

    def project(x: np.ndarray) -> np.ndarray:
        return x / max(1.0, float(np.linalg.norm(x)) / radius)

    anchor = project(_flatten(params))
    out, anchors = [], []
    for t in range(len(g)):
        anchor = project(anchor - eta[t] * g[t])
        out.append(_unflatten(project(anchor - eta[t + 1] * hints[t + 1]), params))
        anchors.append(_unflatten(anchor, params))
    return Trajectory(out, anchors)


def rapp(
    params: Params,
    grads: list[Params],
    *,
    roles: dict[str, float],
    lr: float,
    k: int,
    alpha: float,
) -> Trajectory:
    """RAPP on a fixed sequence: only each k-th gradient outlives its round, scaled by alpha."""
    signs = _flatten({name: np.full(x.shape, roles[name]) for name, x in params.items()})
    z = _flatten(params)
    out, anchors = [], []
    for t, g in enumerate(grads, 1):
        ends = t % k == 0
        w = z - (alpha if ends else 1.0) * lr * signs * _flatten(g)
        z = w if ends else z
        out.append(_unflatten(w, params))
        anchors.append(_unflatten(z, params))
    return Trajectory(out, anchors)


def layerwise_clipping(
    params: Params, grads: list[Params], *, lr: float, clip: float, split: str
) -> Trajectory:
    """Per-layer clipping as one diagonal scaling of the concatenated gradient."""
    sizes = np.array([x.size for x in params.values()])
    owner = np.repeat(np.arange(len(sizes)), sizes)
    weight = np.ones(len(sizes)) / len(sizes) if split == "uniform" else sizes / sizes.sum()
    flat = _flatten(params)
    out = []
    for g in map(_flatten, grads):
        layer_squares = np.bincount(owner, g * g)
        if layer_squares.sum() >= clip**2:
            g = g * (clip * np.sqrt(weight / layer_squares))[owner]
        flat = flat - lr * g
        out.append(_unflatten(flat, params))
    return Trajectory(out)


def _averages(x: np.ndarray, decay: float) -> np.ndarray:
    """The exponential moving averages of a whole sequence at once, (steps, weights)."""
    ages = np.subtract.outer(np.arange(len(x)), np.arange(len(x)))
    return np.where(ages >= 0, (1 - decay) * decay ** np.maximum(ages, 0), 0.0) @ x


def _walked(params: Params, steps: np.ndarray, lr: float, wd: float) -> Trajectory:
    """The weights after each of some steps (steps, weights), in closed form: each step and the
    first weights shrink by ``1 - lr*wd`` for every step that follows."""
    ages = np.subtract.outer(np.arange(len(steps)), np.arange(len(steps)))
    kept = np.where(ages >= 0, (1 - lr * wd) ** np.maximum(ages, 0), 0.0)
    shrunk = (1 - lr * wd) ** np.arange(1, len(steps) + 1)[:, None] * _flatten(params)
    return Trajectory([_unflatten(row, params) for row in shrunk - lr * kept @ steps])


def _stacked(grads: list[Params]) -> np.ndarray:
    return np.stack([_flatten(g) for g in grads])


def _by_tensor(params: Params, columns: np.ndarray) -> list[np.ndarray]:
    """The columns (steps, weights) of each tensor."""
    return np.split(columns, np.cumsum([x.size for x in params.values()])[:-1], axis=1)


def _masked(params: Params, steps: np.ndarray, agree: np.ndarray) -> np.ndarray:
    """Steps where a condition holds, over its share of each tensor."""
    shares = [x.mean(axis=1, keepdims=True) for x in _by_tensor(params, agree.astype(float))]
    sizes = [x.size for x in params.values()]
    return steps * agree / np.maximum(np.repeat(np.hstack(shares), sizes, axis=1), 1e-3)


def cautious_adamw(
    params: Params, grads: list[Params], *, lr: float, b1: float, b2: float, eps: float, wd: float
) -> Trajectory:
    """The whole sequence at once: Adam's directions, masked, in ``_walked``'s closed form."""
    g = _stacked(grads)
    directions = _adam_directions(g, b1, b2, eps)
    return _walked(params, _masked(params, directions, directions * g > 0), lr, wd)


def cautious_lion(
    params: Params, grads: list[Params], *, lr: float, b1: float, b2: float, wd: float
) -> Trajectory:
    """The whole sequence at once: Lion's signs from averages that are a step behind."""
    g = _stacked(grads)
    behind = np.vstack([np.zeros_like(g[:1]), _averages(g, b2)[:-1]])
    signs = np.sign(b1 * behind + (1 - b1) * g)
    return _walked(params, _masked(params, signs, signs * g > 0), lr, wd)


def cautious_weight_decay_adamw(
    params: Params, grads: list[Params], *, lr: float, b1: float, b2: float, eps: float, wd: float
) -> Trajectory:
    """Adam's directions of the whole sequence; each weight then takes one of two factors."""
    w = _flatten(params)
    out = []
    for u in _adam_directions(_stacked(grads), b1, b2, eps):
        opposed = ((u > 0) & (w < 0)) | ((u < 0) & (w > 0))
        w = w * np.where(opposed, 1.0, 1.0 - lr * wd) - lr * u
        out.append(_unflatten(w, params))
    return Trajectory(out)


def adam_atan2(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    b1: float,
    b2: float,
    a: float,
    b: float,
    wd: float,
) -> Trajectory:
    """The angle of the complex number ``b sqrt(v_hat) + i m_hat``, the whole sequence at once."""
    g = _stacked(grads)
    t = np.arange(1, len(g) + 1)[:, None]
    m, v = _averages(g, b1) / (1 - b1**t), _averages(g**2, b2) / (1 - b2**t)
    return _walked(params, a * np.angle(b * np.sqrt(v) + 1j * m), lr, wd)


def powersign(params: Params, grads: list[Params], *, lr: float, beta: float) -> Trajectory:
    """Each step is g by ``e^f``, by ``e^-f`` or by 1, the whole sequence at once."""
    g = _stacked(grads)
    f = np.linspace(1 - 1 / len(g), 0, len(g))[:, None]
    agreement = _averages(g, beta) * g
    steps = np.where(agreement > 0, g * np.exp(f), np.where(agreement < 0, g / np.exp(f), g))
    return _walked(params, steps, lr, 0.0)


def addsign(params: Params, grads: list[Params], *, lr: float, beta: float) -> Trajectory:
    """Each step is g by ``1 + f``, by ``1 - f`` or by 1, the whole sequence at once."""
    g = _stacked(grads)
    f = np.linspace(1 - 1 / len(g), 0, len(g))[:, None]
    agreement = np.sign(_averages(g, beta) * g)
    return _walked(params, g + f * agreement * g, lr, 0.0)


def swa_sgd(
    params: Params, grads: list[Params], *, lr: float, start: int, every: int
) -> Trajectory:
    """Gradient descent as a cumulative sum, and plain means of the points chosen so far."""
    path = _flatten(params) - lr * np.cumsum(_stacked(grads), axis=0)
    chosen = [t for t in range(1, len(path) + 1) if t >= start and t % every == 0]
    evals = []
    for t in range(1, len(path) + 1):
        seen = [path[s - 1] for s in chosen if s <= t]
        evals.append(_unflatten(np.mean(seen, axis=0) if seen else path[t - 1], params))
    return Trajectory([_unflatten(row, params) for row in path], evals)


def adam_mini(
    params: Params, grads: list[Params], *, lr: float, b1: float, b2: float, eps: float, wd: float
) -> Trajectory:
    """The second moment of each row (of a vector, of all), averaged after and not before."""
    g = _stacked(grads)
    t = np.arange(1, len(g) + 1)[:, None]
    squares = _averages(g**2, b2) / (1 - b2**t)
    shared = []
    for x, square in zip(params.values(), _by_tensor(params, squares), strict=True):
        length = x.shape[-1] if x.ndim > 1 else x.size
        rows = square.reshape(len(g), -1, length).mean(axis=-1)
        shared.append(np.repeat(rows, length, axis=1))
    m = _averages(g, b1) / (1 - b1**t)
    return _walked(params, m / (np.sqrt(np.hstack(shared)) + eps), lr, wd)


def adamuon(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    beta: float,
    eps: float,
    wd: float,
    b1: float,
    b2: float,
) -> Trajectory:
    """The iteration as a polynomial of the first Gram matrix, the whole sequence at once."""
    g = _stacked(grads)
    steps = []
    adam = _by_tensor(params, _adam_directions(g, b1, b2, eps))
    averages = _by_tensor(params, _averages(g, beta))
    for x, own, plain in zip(params.values(), averages, adam, strict=True):
        if x.ndim < 2:
            steps.append(plain)
            continue
        signs = np.sign(own).reshape(len(g), x.shape[0], -1)
        first = signs / (np.linalg.norm(signs, axis=(1, 2), keepdims=True) + 1e-7)
        tall = first.shape[1] > first.shape[2]
        gram = first.mT @ first if tall else first @ first.mT
        factor = np.broadcast_to(np.eye(gram.shape[1]), gram.shape)
        for _ in range(5):
            now = factor @ gram @ factor
            factor = (3.4445 * np.eye(gram.shape[1]) - 4.7750 * now + 2.0315 * now @ now) @ factor
        o = (first @ factor if tall else factor @ first).reshape(len(g), -1)
        u = o / (np.sqrt(_averages(o**2, beta)) + eps)
        steps.append(0.2 * np.sqrt(x.size) * u / (np.linalg.norm(u, axis=1, keepdims=True) + eps))
    return _walked(params, np.hstack(steps), lr, wd)


def _by_singular_values(sequence: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Newton-Schulz of each of some flat matrices: its polynomial on the singular values alone."""
    matrices = sequence.reshape(len(sequence), shape[0], -1)
    left, values, right = np.linalg.svd(matrices, full_matrices=False)
    s = values / (np.linalg.norm(values, axis=1, keepdims=True) + 1e-7)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return ((left * s[:, None]) @ right).reshape(sequence.shape)


def muon_with_adamw(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    beta: float,
    eps: float,
    wd: float,
    b1: float,
    b2: float,
    groups: dict[str, float],
) -> Trajectory:
    """By singular values, the whole sequence at once."""
    g = _stacked(grads)
    adam = _by_tensor(params, _adam_directions(g, b1, b2, eps))
    steps = []
    for (name, x), own, plain in zip(params.items(), _by_tensor(params, g), adam, strict=True):
        if x.ndim < 2 or groups[name]:
            steps.append(plain)
            continue
        ahead = own + beta * _averages(own, beta) / (1 - beta)
        scale = 0.2 * np.sqrt(max(x.shape[0], x.size // x.shape[0]))
        steps.append(scale * _by_singular_values(ahead, x.shape))
    return _walked(params, np.hstack(steps), lr, wd)


def scion_grouped(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    alpha: float,
    radius: float,
    radius_out: float,
    eps: float,
    groups: dict[str, float],
) -> Trajectory:
    """By singular values, the whole sequence at once."""
    assert eps == 1e-7
    averages = _by_tensor(params, _averages(_stacked(grads), 1 - alpha))
    steps = []
    for (name, x), own in zip(params.items(), averages, strict=True):
        if x.ndim < 2 or groups[name]:
            steps.append((radius_out if groups[name] else radius) * np.sign(own))
            continue
        rows, columns = x.shape[0], x.size // x.shape[0]
        steps.append(radius * np.sqrt(rows / columns) * _by_singular_values(own, x.shape))
    return _walked(params, np.hstack(steps), lr, 0.0)


# --- rules that ask for the loss elsewhere: derivatives by complex steps of its values -----------


def _asking(params: Params, grads: list[Params], rule: Any) -> Trajectory:
    """Steps a rule over vectors: `rule(w, loss, g, t)` gives what is subtracted."""
    w, out = _flatten(params), []
    for t, (model, loss) in enumerate(zip(grads, problems.losses(), strict=False), 1):
        g = _flatten(model)
        w = w - rule(w, Loss(w, g, loss), g, t)
        out.append(_unflatten(w, params))
    return Trajectory(out)


def _noise(kind: str, t: int, params: Params) -> np.ndarray:
    return _flatten(losses.noise(kind, t - 1, params))


def _signs(params: Params, roles: dict[str, float]) -> np.ndarray:
    return _flatten({name: np.full(np.shape(x), roles[name]) for name, x in params.items()})


def sam(params: Params, grads: list[Params], *, lr: float, rho: float) -> Trajectory:
    """The unit vector times rho, and the slopes of the loss there."""

    def rule(w: np.ndarray, loss: Loss, g: np.ndarray, t: int) -> np.ndarray:
        unit = g / np.linalg.norm(g)
        return lr * losses.gradient_by_slopes(loss, w + rho * unit)

    return _asking(params, grads, rule)


def extragradient(
    params: Params, grads: list[Params], *, lr: float, roles: dict[str, float]
) -> Trajectory:
    """With the players' signs as one diagonal matrix."""
    S = np.diag(_signs(params, roles))

    def rule(w: np.ndarray, loss: Loss, g: np.ndarray, t: int) -> np.ndarray:
        return lr * S @ losses.gradient_by_slopes(loss, w - lr * S @ g)

    return _asking(params, grads, rule)


def rk4_flow(
    params: Params, grads: list[Params], *, lr: float, roles: dict[str, float]
) -> Trajectory:
    """By the tableau of the method."""
    signs = _signs(params, roles)
    nodes, weights = (0.0, 0.5, 0.5, 1.0), np.array([1.0, 2.0, 2.0, 1.0]) / 6

    def rule(w: np.ndarray, loss: Loss, g: np.ndarray, t: int) -> np.ndarray:
        slopes = [np.zeros_like(w)]
        for node in nodes:
            slopes.append(signs * losses.gradient_by_slopes(loss, w - lr * node * slopes[-1]))
        return lr * weights @ np.array(slopes[1:])

    return _asking(params, grads, rule)


def storm(params: Params, grads: list[Params], *, lr: float, a: float) -> Trajectory:
    """d as a sum of corrections: d_t = sum over s of (1-a)^(t-s) (g_s - (1-a) G_s)."""
    corrections: list[np.ndarray] = []
    before: list[np.ndarray] = []

    def rule(w: np.ndarray, loss: Loss, g: np.ndarray, t: int) -> np.ndarray:
        there = losses.gradient_by_slopes(loss, before[-1]) if before else np.zeros_like(w)
        corrections.append(g - (1 - a) * there)
        before.append(w)
        ages = np.arange(t)[::-1]
        return lr * ((1 - a) ** ages) @ np.array(corrections)

    return _asking(params, grads, rule)


def _curvatures(params: Params, t: int, loss: Loss, w: np.ndarray) -> np.ndarray:
    """z * Hz, the Hessian by slopes of the gradient."""
    z = _noise("rademacher", t, params)
    return z * losses.slope(loss.gradient, w, z)


def adahessian(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> Trajectory:
    """Averages as weighted sums over all steps."""
    gradients: list[np.ndarray] = []
    diagonals: list[np.ndarray] = []

    def rule(w: np.ndarray, loss: Loss, g: np.ndarray, t: int) -> np.ndarray:
        model = _unflatten(np.abs(_curvatures(params, t, loss, w)), params)
        for name, x in model.items():
            if x.ndim > 2:
                matrices = x.reshape(-1, x.shape[-2] * x.shape[-1])
                spread = np.ones_like(matrices) * matrices.mean(1, keepdims=True)
                model[name] = spread.reshape(x.shape)
        gradients.append(g)
        diagonals.append(_flatten(model) ** 2)
        ages = np.arange(t)[::-1]
        first = (1 - b1) * b1**ages @ np.array(gradients) / (1 - b1**t)
        second = (1 - b2) * b2**ages @ np.array(diagonals) / (1 - b2**t)
        return lr * (first / (np.sqrt(second) + eps) + wd * w)

    return _asking(params, grads, rule)


def sophia(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    b1: float,
    b2: float,
    rho: float,
    eps: float,
    k: int,
    wd: float,
) -> Trajectory:
    """The step as a sign where it is clipped; averages as weighted sums over all steps."""
    gradients: list[np.ndarray] = []
    diagonals: list[np.ndarray] = []

    def rule(w: np.ndarray, loss: Loss, g: np.ndarray, t: int) -> np.ndarray:
        ages = np.arange(len(diagonals))[::-1]
        h = (1 - b2) * b2**ages @ np.array(diagonals) if diagonals else np.zeros_like(w)
        gradients.append(g)
        if t % k == 1 or k == 1:
            diagonals.append(_curvatures(params, t, loss, w))
        first = (1 - b1) * b1 ** np.arange(t)[::-1] @ np.array(gradients) / (1 - b1**t)
        scale = np.where(rho * h > eps, rho * h, eps)
        clipped = np.where(np.abs(first) < scale, first / scale, np.sign(first))
        return lr * clipped + lr * wd * w

    return _asking(params, grads, rule)


def spsa(params: Params, grads: list[Params], *, lr: float, sigma: float) -> Trajectory:
    """The symmetric difference as the mean slope between both points (Gauss-Legendre)."""
    nodes, weights = np.polynomial.legendre.leggauss(30)

    def rule(w: np.ndarray, loss: Loss, g: np.ndarray, t: int) -> np.ndarray:
        z = _noise("normal", t, params)
        slopes = [losses.slope(loss.value, w + sigma * node * z, z) for node in nodes]
        return lr * float(weights @ np.array(slopes) / 2) * z

    return _asking(params, grads, rule)


def sgld(params: Params, grads: list[Params], *, lr: float, beta: float) -> Trajectory:
    """All steps at once: the start, minus the sum of what was subtracted."""
    g = np.stack([_flatten(x) for x in grads])
    xi = np.stack([_noise("normal", t, params) for t in range(1, len(grads) + 1)])
    moves = np.cumsum(lr * g - (2 * lr / beta) ** 0.5 * xi, axis=0)
    return Trajectory([_unflatten(_flatten(params) - move, params) for move in moves])


def _as_matrix(g: np.ndarray) -> np.ndarray:
    """A vector as one column, a kernel as (first axis, rest)."""
    return g.reshape(-1, 1) if g.ndim < 2 else g.reshape(g.shape[0], -1)


def asgo(params: Params, grads: list[Params], *, lr: float, eps: float) -> Trajectory:
    """``V = H H^T`` for all gradients side by side, so that H's singular vectors give its root."""
    out: list[Params] = [{} for _ in grads]
    for name, start in params.items():
        w, side_by_side = start, np.zeros((_as_matrix(start).shape[0], 0))
        for t, model in enumerate(grads):
            g = _as_matrix(model[name])
            side_by_side = np.hstack([side_by_side, g])
            u, s, _ = np.linalg.svd(side_by_side, full_matrices=False)
            w = w - lr * (u / (s + eps) @ (u.T @ g)).reshape(start.shape)
            out[t][name] = w
    return Trajectory(out)


def polargrad(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    beta: float,
    eps: float,
    wd: float,
    b1: float,
    b2: float,
) -> Trajectory:
    """``|m|_* polar(m) = tr(H) m H^(-1)`` with ``H = (m^T m)^(1/2)`` of the shorter side."""
    out: list[Params] = [{} for _ in grads]
    for name, w in params.items():
        rows = np.stack([np.ravel(model[name]) for model in grads])
        ages = np.arange(len(grads))[:, None] - np.arange(len(grads))
        weights = np.where(ages >= 0, (1 - beta) * beta ** np.maximum(ages, 0), 0.0)
        momenta, adam = weights @ rows, _adam_directions(rows, b1, b2, eps)
        for t in range(len(grads)):
            step = adam[t].reshape(w.shape)
            if w.ndim >= 2:
                m = _as_matrix(momenta[t].reshape(w.shape))
                short = m.T if m.shape[0] < m.shape[1] else m
                values, vectors = np.linalg.eigh(short.T @ short)
                roots = np.sqrt(values)
                polar = short @ (vectors / roots @ vectors.T)
                step = (roots.sum() * (polar if short is m else polar.T)).reshape(w.shape)
            w = (1 - lr * wd) * w - lr * step
            out[t][name] = w
    return Trajectory(out)


def apollo_mini(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    k: int,
    scale: float,
    limit: float,
    wd: float,
) -> Trajectory:
    """The projected gradients of all steps at once, Adam's directions as weighted sums of them."""
    drawn = [losses.noise("normal", step - step % k, params) for step in range(len(grads))]
    t = np.arange(1, len(grads) + 1)
    out: list[Params] = [{} for _ in grads]
    for name, w in params.items():
        g = np.stack([model[name] for model in grads])
        z = np.stack([model[name] for model in drawn])
        if w.ndim < 2:
            projected = g.reshape(len(g), -1)
        elif w.shape[0] >= w.shape[1]:
            projected = np.einsum("tij,tkj->ti", g, z) / np.sqrt(w.shape[0])
        else:
            projected = np.einsum("tij,tik->tj", g, z) / np.sqrt(w.shape[1])
        ages = t[:, None] - t
        first, second = (
            np.where(ages >= 0, (1 - b) * b ** np.maximum(ages, 0), 0.0) for b in (b1, b2)
        )
        adam = first @ projected / (np.sqrt(second @ projected**2) + eps)
        sizes = np.linalg.norm(adam, axis=1) / (np.linalg.norm(projected, axis=1) + 1e-8)
        last = np.inf
        for step in range(len(g)):
            correction = np.sqrt(1 - b2 ** t[step]) / (1 - b1 ** t[step])
            if w.ndim < 2:
                u = adam[step].reshape(w.shape)
            else:
                size = sizes[step] * float(np.sqrt(np.sum(g[step] ** 2)))
                kept = size if step == 0 else min(size, limit * (last + 1e-8))
                u = np.sqrt(scale) * sizes[step] * g[step] * (kept / size)
                last = kept
            w = (1 - lr * wd) * w - lr * correction * u
            out[step][name] = w
    return Trajectory(out)


def dion(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    mu: float,
    r: int,
    eps: float,
    wd: float,
    b1: float,
    b2: float,
) -> Trajectory:
    """Dion with P from a Cholesky factor, and momentum as what was never applied."""
    first = losses.noise("normal", 0, params)
    out: list[Params] = [{} for _ in grads]
    for name, w in params.items():
        adam = _adam_directions(np.stack([np.ravel(x[name]) for x in grads]), b1, b2, eps)
        z = _as_matrix(first[name])
        q, total, applied = z.T @ z[:, :r], np.zeros_like(z), np.zeros_like(z)
        for t, model in enumerate(grads):
            step = adam[t].reshape(w.shape)
            if w.ndim >= 2:
                total = total + _as_matrix(model[name])
                b = total - applied
                spanned = b @ q
                factor = np.linalg.cholesky(spanned.T @ spanned)
                p = np.linalg.solve(factor, spanned.T).T
                turned = b.T @ p
                applied = applied + (1 - mu) * p @ turned.T
                q = turned / np.sqrt(np.sum(turned**2, axis=0))
                step = np.sqrt(len(b) / b.shape[1]) * (p @ q.T).reshape(w.shape)
            w = (1 - lr * wd) * w - lr * step
            out[t][name] = w
    return Trajectory(out)


def projected_euler(
    params: Params, grads: list[Params], *, lr: float, radius: float, roles: dict[str, float]
) -> Trajectory:
    """On the concatenated model: what is outside of the ball is divided by its distance."""
    signs = _flatten({name: np.full(x.shape, roles[name]) for name, x in params.items()})
    flat = _flatten(params)
    out = []
    for g in map(_flatten, grads):
        flat = flat - lr * signs * g
        flat = flat / max(1.0, float(np.linalg.norm(flat)) / radius)
        out.append(_unflatten(flat, params))
    return Trajectory(out)


def mem_sgd(params: Params, grads: list[Params], *, lr: float, keep: float) -> Trajectory:
    """By what each number still has to move, ``sum of g - moved``, one number at a time."""
    out: list[Params] = [{} for _ in grads]
    for name, start in params.items():
        k = -int(-keep * start.size // 1)
        total, moved = np.zeros(start.size), np.zeros(start.size)
        for t, model in enumerate(grads):
            total = total + np.ravel(model[name])
            for i in np.argsort(-np.abs(total - moved))[:k]:
                moved[i] = total[i]
            out[t][name] = start - lr * moved.reshape(start.shape)
    return Trajectory(out)
