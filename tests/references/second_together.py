"""Second derivations of the rules that several members run together, all members as one matrix.

They share no line with the first references: closed forms and products of matrices, where those go
member by member.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import losses, team
from .problems import MEMBERS
from .trajectories import Params, Trajectory

_Array = np.ndarray


def _matrix(model: Params) -> _Array:
    """(members, N)."""
    return np.concatenate([np.reshape(x, (MEMBERS, -1)) for x in model.values()], axis=1)


def _model(x: _Array, like: Params) -> Params:
    x = np.broadcast_to(x, (MEMBERS, x.shape[-1]))
    ends = np.cumsum([a.size // MEMBERS for a in like.values()])
    pieces = zip(like.items(), np.split(x, ends[:-1], axis=1), strict=True)
    return {name: piece.reshape(a.shape) for (name, a), piece in pieces}


def _trajectory(params: Params, points: list[_Array], at: list[_Array] | None = None) -> Trajectory:
    evals = None if at is None else [_model(x, params) for x in at]
    return Trajectory([_model(x, params) for x in points], evals)


def _gradients(grads: list[Params]) -> _Array:
    """(steps, members, N)."""
    return np.stack([_matrix(g) for g in grads])


def _drawn(kind: str, grads: list[Params]) -> _Array:
    """Noise that is the same for all, (steps, N)."""
    one = {name: x[0] for name, x in grads[0].items()}
    return np.stack([losses.flatten(losses.noise(kind, t, one)) for t in range(len(grads))])


def _summed(start: _Array, steps: _Array) -> list[_Array]:
    return [start - moved for moved in np.cumsum(steps, axis=0)]


def _tensorwise(function: Callable[[_Array], _Array], x: _Array, like: Params) -> _Array:
    """A function of each tensor of members, (members, n) -> (members or 1, n)."""
    ends = np.cumsum([a.size // MEMBERS for a in like.values()])
    parts = [function(part) for part in np.split(x, ends[:-1], axis=-1)]
    return np.concatenate(parts, axis=-1)


def _shorter(x: _Array, most: float) -> _Array:
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.maximum(1.0, norm / most)


def _nonzero_norm(x: _Array) -> _Array:
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.where(norm > 0, norm, 1.0)


def open_es(params: Params, grads: list[Params], *, lr: float, sigma: float) -> Trajectory:
    w, points, told = _matrix(params), [], team.own_losses(len(grads))
    h = 0.5 + 0.25 * (np.arange(w.shape[1]) % 5)
    u = np.cos(1.0 + np.arange(w.shape[1])) / np.sqrt(max(1, w.shape[1] // 2))
    for t, g in enumerate(_gradients(grads)):
        z = _matrix(losses.noise("own_normal", t, params))
        s = sigma * z
        # What is even in s and the loss itself cancel; told is not needed at all.
        assert told.shape == (len(grads), MEMBERS)
        bent = np.sin(0.5) * 2 * (np.sin(s) - s)
        along = np.sum(u * s, axis=1)
        odd = 2 * np.sum(g * s, axis=1) + bent @ h
        odd = odd + 2 * np.sin(0.5) * (np.sin(along) - along)
        w = w - lr * (odd @ z) / (2 * sigma * MEMBERS)
        points.append(w)
    return _trajectory(params, points)


def dp_sgd(params: Params, grads: list[Params], *, lr: float, C: float, noise: float) -> Trajectory:
    total = _shorter(_gradients(grads), C).sum(1) + noise * C * _drawn("normal", grads)
    return _trajectory(params, _summed(_matrix(params), (lr * total / MEMBERS)[:, None]))


def dice_sgd(
    params: Params, grads: list[Params], *, lr: float, C1: float, C2: float, noise: float
) -> Trajectory:
    """What was left out is all gradients less all that was sent."""
    g, z = _gradients(grads), _drawn("normal", grads)
    means = g.mean(1)
    sent, steps = np.zeros_like(means[0]), []
    for t in range(len(g)):
        v = _shorter(g[t], C1).mean(0) + _shorter(means[:t].sum(0) - sent, C2)
        sent = sent + v
        steps.append(v + noise * C1 / MEMBERS * z[t])
    return _trajectory(params, _summed(_matrix(params), lr * np.stack(steps)[:, None]))


def dp_federated_lamb(
    params: Params,
    grads: list[Params],
    *,
    lr: float,
    local_lr: float,
    k: int,
    C: float,
    noise: float,
    b1: float,
    b2: float,
    eps: float,
) -> Trajectory:
    """A client's change is its local rate times the sum of its gradients of the round."""
    g, z = _gradients(grads), _drawn("normal", grads)
    x = _matrix(params)[0]
    seen: list[_Array] = []
    points, at = [], []
    for t in range(1, len(g) + 1):
        within = (t - 1) % k + 1
        moved = local_lr * g[t - within : t].sum(0)
        if within < k:
            points.append(x - moved)
            at.append(x)
            continue
        long = np.linalg.norm(moved, axis=1, keepdims=True) >= C
        short = C / np.sqrt(len(params))
        parts = _tensorwise(
            lambda d, short=short: short * d / _nonzero_norm(d),
            moved,
            params,
        )
        seen.append(np.where(long, parts, moved).mean(0) + noise * z[t - 1])
        n = len(seen)
        ages = np.arange(n)[::-1]
        history = np.stack(seen)
        m = (1 - b1) * (b1**ages) @ history / (1 - b1**n)
        v = (1 - b2) * (b2**ages) @ history**2 / (1 - b2**n)
        u = m / (np.sqrt(v) + eps)
        sizes = [
            _tensorwise(lambda a: np.full_like(a, np.linalg.norm(a)), one, params) for one in (x, u)
        ]
        x = x - lr * sizes[0] / sizes[1] * u
        points.append(x)
        at.append(x)
    return _trajectory(params, points, at)


def d_sgd(params: Params, grads: list[Params], *, lr: float) -> Trajectory:
    """``w_t = W^t w_0 - lr sum_s W^(t-s) g_s``."""
    g, points = _gradients(grads), []
    powers = [np.linalg.matrix_power(team.MIXING, n) for n in range(len(g) + 1)]
    for t in range(1, len(g) + 1):
        moved = sum(powers[t - s] @ g[s - 1] for s in range(1, t + 1))
        points.append(powers[t] @ _matrix(params) - lr * moved)
    return _trajectory(params, points)


def monna(
    params: Params, grads: list[Params], *, lr: float, beta: float, faulty: int
) -> Trajectory:
    """Distances by the Gram matrix of what members hold less their mean."""
    g, w, points = _gradients(grads), _matrix(params), []
    for t in range(1, len(g) + 1):
        ages = np.arange(t)[::-1]
        y = w - lr * (1 - beta) * np.tensordot(beta**ages, g[:t], 1)
        gram = (y - y.mean(0)) @ (y - y.mean(0)).T
        apart = np.diag(gram)[:, None] + np.diag(gram)[None] - 2 * gram
        np.fill_diagonal(apart, -1.0)
        farthest = np.sort(apart, axis=1)[:, -1 - faulty][:, None]
        near = apart <= farthest
        w = near @ y / near.sum(1, keepdims=True)
        points.append(w)
    return _trajectory(params, points)


def fedavg(
    params: Params, grads: list[Params], *, lr: float, outer_lr: float, k: int
) -> Trajectory:
    """The server's point is its start less all rounds' gradients, weighted."""
    g, points, at = _gradients(grads), [], []
    weighted = np.tensordot(team.SHARES, g, (0, 1))
    for t in range(1, len(g) + 1):
        done = t // k * k
        x = _matrix(params)[0] - outer_lr * lr * weighted[:done].sum(0)
        points.append(x - lr * g[done:t].sum(0))
        at.append(x)
    return _trajectory(params, points, at)


def fedau(
    params: Params, grads: list[Params], *, lr: float, outer_lr: float, k: int, cut: int
) -> Trajectory:
    """The intervals of a client are the differences of the rounds at which they end."""
    g, x, points, at = _gradients(grads), _matrix(params)[0], [], []
    rounds = [team.arrived(r * k - 1) == 1 for r in range(1, len(g) // k + 1)]

    def ends(i: int) -> list[int]:
        found, last = [0], 0
        for r, here in enumerate(rounds, 1):
            if here[i] or r - last >= cut:
                found.append(r)
                last = r
        return found

    every = [ends(i) for i in range(MEMBERS)]
    for t in range(1, len(g) + 1):
        within = (t - 1) % k + 1
        moved = lr * g[t - within : t].sum(0)
        if within < k:
            points.append(x - moved)
        else:
            before = [[r for r in found if r < t // k] for found in every]
            omega = [np.diff(found).mean() if len(found) > 1 else 1.0 for found in before]
            x = x - outer_lr * (np.array(omega) * rounds[t // k - 1]) @ moved / MEMBERS
            points.append(x)
        at.append(x)
    return _trajectory(params, points, at)


def afa_cd(params: Params, grads: list[Params], *, lr: float, local_lr: float) -> Trajectory:
    """A member is where the server was when it last arrived, less its gradients since."""
    g, points = _gradients(grads), []
    here = np.stack([team.arrived(t) for t in range(len(g))])
    count = np.maximum(here.sum(1), 1)[:, None]
    steps = np.einsum("tm,tmn->tn", here, g) / count
    server = _matrix(params)[0] - lr * np.cumsum(steps, axis=0)
    for t in range(len(g)):
        row = []
        for i in range(MEMBERS):
            times = np.flatnonzero(here[: t + 1, i])
            start = server[times[-1]] if len(times) else _matrix(params)[0]
            since = times[-1] + 1 if len(times) else 0
            row.append(start - local_lr * g[since : t + 1, i].sum(0))
        points.append(np.stack(row))
    return _trajectory(params, points, list(server))


def afa_cs(params: Params, grads: list[Params], *, lr: float) -> Trajectory:
    g, steps = _gradients(grads), []
    for t in range(len(g)):
        latest = [[s for s in range(t + 1) if team.arrived(s)[i]] for i in range(MEMBERS)]
        stored = [g[times[-1], i] for i, times in enumerate(latest) if times]
        steps.append(lr * sum(stored, np.zeros(g.shape[2])) / MEMBERS)
    return _trajectory(params, _summed(_matrix(params), np.stack(steps)[:, None]))


def gossip_averaging(params: Params, grads: list[Params], *, lr: float) -> Trajectory:
    """By a matrix of who hears whom."""
    w, points = _matrix(params), []
    for t, g in enumerate(_gradients(grads)):
        heard = np.maximum(np.eye(MEMBERS), team.arrived(t)[None, :])
        w = heard / heard.sum(1, keepdims=True) @ (w - lr * g)
        points.append(w)
    return _trajectory(params, points)


def variance_corrected_averaging(
    params: Params, grads: list[Params], *, lr: float, k: int, eps: float
) -> Trajectory:
    w, points = _matrix(params), []

    def corrected(y: _Array) -> _Array:
        centred = y - y.mean(1, keepdims=True)
        z, n = centred.mean(0), y.shape[1]
        wanted = np.sum(centred**2) / n / MEMBERS
        return y.mean() + z * np.sqrt(wanted / (z @ z / n + eps))

    for t, g in enumerate(_gradients(grads), 1):
        w = w - lr * g
        if t % k == 0:
            w = np.broadcast_to(_tensorwise(corrected, w, params), w.shape)
        points.append(w)
    return _trajectory(params, points)


def simple_merging(params: Params, grads: list[Params]) -> Trajectory:
    return _trajectory(params, [team.SHARES @ _matrix(params)] * len(grads))


def fisher_merging(params: Params, grads: list[Params], *, floor: float) -> Trajectory:
    """The first merge decides; after it all are the same."""
    F = _matrix(team.fisher(0, params))
    weights = np.maximum(F, floor) * (team.SHARES / np.linalg.norm(F, axis=1))[:, None]
    merged = np.sum(weights / weights.sum(0) * _matrix(params), axis=0)
    return _trajectory(params, [merged] * len(grads))


def top_k_compression(params: Params, grads: list[Params], *, lr: float, keep: float) -> Trajectory:
    """What was sent so far is all gradients less the error."""
    g = _gradients(grads)
    error = np.zeros_like(g[0])

    def below(x: _Array) -> _Array:
        n = x.shape[1]
        least = np.sort(np.abs(x), axis=1)[:, n - int(np.ceil(keep * n)), None]
        return np.where(np.abs(x) < least, x, 0.0)

    points = []
    for t in range(len(g)):
        error = _tensorwise(below, error + g[t], params)
        points.append(_matrix(params) - lr * (g[: t + 1].sum(0) - error).mean(0))
    return _trajectory(params, points)


def qsgd(params: Params, grads: list[Params], *, lr: float, s: float) -> Trajectory:
    steps, u = [], _drawn("uniform", grads)
    for t, g in enumerate(_gradients(grads)):
        norms = _tensorwise(lambda a: np.broadcast_to(_nonzero_norm(a), a.shape), g, params)
        whole, rest = np.divmod(s * np.abs(g) / norms, 1.0)
        levels = whole + (rest + u[t] >= 1.0)
        steps.append(lr * np.mean(np.copysign(norms * levels / s, g), axis=0))
    return _trajectory(params, _summed(_matrix(params), np.stack(steps)[:, None]))


def lagrange_ascent(params: Params, grads: list[Params], *, lr: float, beta: float) -> Trajectory:
    """The derivative of a sigmoid by its hyperbolic tangent; momentum as a weighted sum."""
    w, slopes, points = _matrix(params), [], []
    for t in range(len(grads)):
        slopes.append((1 - np.tanh(w / 2) ** 2) / 4 * team.feedback(t)[:, None])
        w = w + lr * sum(beta ** (t - s) * slope for s, slope in enumerate(slopes))
        points.append(w)
    return _trajectory(params, points, [(1 + np.tanh(w / 2)) / 2 for w in points])


def omega_bandit(params: Params, grads: list[Params]) -> Trajectory:
    """All numbers at once, in the multiplier q = eta (k - x), for which p = 4 / q^2."""
    k, points, at = _matrix(params), [], []
    p = np.ones_like(k) / MEMBERS
    for t in range(len(grads)):
        k = k + (team.arrived(t) * team.feedback(t))[:, None] / p
        eta = 2 / np.sqrt(t + 2)
        q = eta * (k - k.min(0)) + 2
        for _ in range(4):
            q = q + eta * (np.sum(4 / q**2, axis=0) - 1) / (eta * np.sum(8 / q**3, axis=0))
        p = 4 / q**2
        points.append(k)
        at.append(p)
    return _trajectory(params, points, at)
