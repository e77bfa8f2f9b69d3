"""NumPy references: rules that several members run together, member by member.

A model has a first axis of members; here each member is a model of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import team
from ..losses import Loss, flatten, noise, unflatten
from ..problems import APART, MEMBERS, TEAM
from ..settings import reference
from ..team import MIXING, SHARES
from ..trajectories import Params, Trajectory, ema, model_norm

M = range(MEMBERS)


def _split(model: Params) -> list[Params]:
    return [{name: np.array(x[i]) for name, x in model.items()} for i in M]


def _joined(members: list[Params]) -> Params:
    return {name: np.stack([model[name] for model in members]) for name in members[0]}


def _steps(grads: list[Params]) -> Iterator[tuple[int, list[Params]]]:
    yield from enumerate(map(_split, grads), 1)


def _sum(members: list[Params], weights: np.ndarray | None = None) -> Params:
    weights = np.ones(MEMBERS) if weights is None else weights
    found = {name: np.zeros_like(x) for name, x in members[0].items()}
    for model, weight in zip(members, weights, strict=True):
        for name, x in model.items():
            found[name] = found[name] + weight * x
    return found


def _clipped(model: Params, most: float) -> Params:
    factor = min(1.0, most / norm) if (norm := model_norm(model)) > 0 else 1.0
    return {name: factor * x for name, x in model.items()}


def _plus(a: Params, factor: float, b: Params) -> Params:
    return {name: a[name] + factor * b[name] for name in a}


@reference(
    "C", {"lr": 1e-2, "sigma": 0.1}, tensors=TEAM, note="losses without ranks", copies=0, numbers=2
)
def open_es(params: Params, grads: list[Params], *, lr: float, sigma: float) -> Trajectory:
    """OpenES (Salimans et al. 2017): ``w -= lr/(2 n sigma) sum_i (L(w+sz_i) - L(w-sz_i)) z_i``."""
    w, out = _split(params), []
    told = team.own_losses(len(grads))
    for t, g in _steps(grads):
        z = _split(noise("own_normal", t - 1, params))
        pulls = []
        for i in M:
            loss = Loss(flatten(w[i]), flatten(g[i]), told[t - 1, i])
            shift = sigma * flatten(z[i])
            x = flatten(w[i])
            pulls.append(float(loss.value(x + shift) - loss.value(x - shift)))
        step = _sum(z, np.array(pulls) / (2 * sigma * MEMBERS))
        w = [_plus(own, -lr, step) for own in w]
        out.append(_joined(w))
    return Trajectory(out)


@reference("N", {"lr": 1e-2, "C": 1.0, "noise": 0.5}, tensors=TEAM, copies=0, numbers=2)
def dp_sgd(params: Params, grads: list[Params], *, lr: float, C: float, noise: float) -> Trajectory:
    """DP-SGD (Abadi et al. 2016): ``w -= lr (mean clip(g_i, C) + noise C / n z)``."""
    w, out = _split(params), []
    for t, g in _steps(grads):
        step = _sum([_clipped(own, C) for own in g], np.full(MEMBERS, 1 / MEMBERS))
        step = _plus(step, noise * C / MEMBERS, _shared(t, g))
        w = [_plus(own, -lr, step) for own in w]
        out.append(_joined(w))
    return Trajectory(out)


def _shared(t: int, g: list[Params]) -> Params:
    """Normal noise that is the same for all."""
    return noise("normal", t - 1, g[0])


@reference("S", {"lr": 1e-2, "C1": 1.0, "C2": 0.5, "noise": 0.5}, tensors=TEAM, copies=1, numbers=2)
def dice_sgd(
    params: Params, grads: list[Params], *, lr: float, C1: float, C2: float, noise: float
) -> Trajectory:
    """DiceSGD (Zhang et al. 2024), paper: ``v = mean clip(g_i, C1) + clip(e, C2)``."""
    w, out = _split(params), []
    e = {name: np.zeros_like(x) for name, x in w[0].items()}
    for t, g in _steps(grads):
        even = np.full(MEMBERS, 1 / MEMBERS)
        v = _plus(_sum([_clipped(own, C1) for own in g], even), 1.0, _clipped(e, C2))
        e = _plus(_plus(e, 1.0, _sum(g, even)), -1.0, v)
        step = _plus(v, noise * C1 / MEMBERS, _shared(t, g))
        w = [_plus(own, -lr, step) for own in w]
        out.append(_joined(w))
    return Trajectory(out)


@reference(
    "C",
    {
        **{"lr": 1e-2, "local_lr": 1e-1, "k": 3, "C": 0.2, "noise": 1e-2},
        **{"b1": 0.9, "b2": 0.999, "eps": 1e-6},
    },
    tensors=TEAM,
    note="clipped tensor by tensor when the whole is too long",
    copies=3,
    numbers=2,
)
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
    """DP federated learning (Pelikan et al. 2023): clipped changes after k steps, then LAMB."""
    w, out, evals = _split(params), [], []
    x = dict(w[0])
    m = {name: np.zeros_like(a) for name, a in x.items()}
    v = {name: np.zeros_like(a) for name, a in x.items()}
    for t, g in _steps(grads):
        w = [_plus(w[i], -local_lr, g[i]) for i in M]
        if t % k == 0:
            changes = []
            for own in w:
                d = _plus(x, -1.0, own)
                if model_norm(d) >= C:
                    most = C * np.sqrt(1 / len(d))
                    d = {n: most * a / norm if (norm := _norm(a)) > 0 else a for n, a in d.items()}
                changes.append(d)
            G = _plus(_sum(changes, np.full(MEMBERS, 1 / MEMBERS)), noise, _shared(t, g))
            rounds = t / k
            for n in x:
                m[n], v[n] = ema(m[n], G[n], b1), ema(v[n], G[n] ** 2, b2)
                u = m[n] / (1 - b1**rounds) / (np.sqrt(v[n] / (1 - b2**rounds)) + eps)
                ratio = _norm(x[n]) / _norm(u) if min(_norm(x[n]), _norm(u)) > 0 else 1.0
                x[n] = x[n] - lr * ratio * u
            w = [dict(x) for _ in M]
        out.append(_joined(w))
        evals.append(_joined([x] * MEMBERS))
    return Trajectory(out, evals)


def _norm(a: np.ndarray) -> float:
    return float(np.sqrt(np.sum(a * a)))


@reference("U", {"lr": 1e-2}, tensors=TEAM, copies=0)
def d_sgd(params: Params, grads: list[Params], *, lr: float) -> Trajectory:
    """D-SGD (Lian et al. 2017): ``w_i = sum_j W_ij w_j - lr g_i``."""
    w, out = _split(params), []
    for _, g in _steps(grads):
        w = [_plus(_sum(w, MIXING[i]), -lr, g[i]) for i in M]
        out.append(_joined(w))
    return Trajectory(out)


@reference("C", {"lr": 1e-2, "beta": 0.9, "faulty": 1}, tensors=TEAM, copies=1)
def monna(
    params: Params, grads: list[Params], *, lr: float, beta: float, faulty: int
) -> Trajectory:
    """MoNNA (Farhadkhani et al. 2023): the mean of the n - f models nearest to one's own."""
    w, out = _split(params), []
    m = [{name: np.zeros_like(x) for name, x in own.items()} for own in w]
    for _, g in _steps(grads):
        m = [{n: ema(m[i][n], g[i][n], beta) for n in m[i]} for i in M]
        moved = [_plus(w[i], -lr, m[i]) for i in M]
        w = []
        for own in moved:
            apart = [(model_norm(_plus(other, -1.0, own)), j) for j, other in enumerate(moved)]
            chosen = [j for _, j in sorted(apart)[: MEMBERS - faulty]]
            weights = np.array([j in chosen for j in M]) / len(chosen)
            w.append(_sum(moved, weights))
        out.append(_joined(w))
    return Trajectory(out)


@reference("C", {"lr": 1e-2, "outer_lr": 0.9, "k": 3}, tensors=TEAM, copies=1)
def fedavg(
    params: Params, grads: list[Params], *, lr: float, outer_lr: float, k: int
) -> Trajectory:
    """FedAvg (McMahan et al. 2017): ``x += outer_lr sum_i p_i (w_i - x)`` after k local steps."""
    w, out, evals = _split(params), [], []
    x = dict(w[0])
    for t, g in _steps(grads):
        w = [_plus(w[i], -lr, g[i]) for i in M]
        if t % k == 0:
            x = _plus(x, outer_lr, _sum([_plus(own, -1.0, x) for own in w], SHARES))
            w = [dict(x) for _ in M]
        out.append(_joined(w))
        evals.append(_joined([x] * MEMBERS))
    return Trajectory(out, evals)


@reference(
    "C",
    {"lr": 1e-2, "outer_lr": 0.9, "k": 2, "cut": 3},
    tensors=TEAM,
    note="an interval counts from the next round on",
    copies=1,
    numbers=3,
)
def fedau(
    params: Params, grads: list[Params], *, lr: float, outer_lr: float, k: int, cut: int
) -> Trajectory:
    """FedAU (Wang & Ji 2024): participants weigh by the mean of their recorded intervals."""
    w, out, evals = _split(params), [], []
    x = dict(w[0])
    intervals: list[list[int]] = [[] for _ in M]
    gap = [0] * MEMBERS
    for t, g in _steps(grads):
        w = [_plus(w[i], -lr, g[i]) for i in M]
        if t % k == 0:
            here = team.arrived(t - 1) == 1
            omega = np.array([np.mean(seen) if seen else 1.0 for seen in intervals])
            changes = [_plus(own, -1.0, x) for own in w]
            x = _plus(x, outer_lr / MEMBERS, _sum(changes, here * omega))
            for i in M:
                gap[i] += 1
                if here[i] or gap[i] >= cut:
                    intervals[i].append(gap[i])
                    gap[i] = 0
            w = [dict(x) for _ in M]
        out.append(_joined(w))
        evals.append(_joined([x] * MEMBERS))
    return Trajectory(out, evals)


@reference("U", {"lr": 5e-3, "local_lr": 1e-2}, tensors=TEAM, copies=1)
def afa_cd(params: Params, grads: list[Params], *, lr: float, local_lr: float) -> Trajectory:
    """AFA-CD (Yang et al. 2022): the mean of arriving changes, in local rates."""
    w, out, evals = _split(params), [], []
    x = dict(w[0])
    for t, g in _steps(grads):
        arriving = [i for i in M if team.arrived(t - 1)[i]]
        for i in arriving:
            change = {n: local_lr * a for n, a in g[i].items()}
            x = _plus(x, -lr / local_lr / len(arriving), change)
        w = [dict(x) if i in arriving else _plus(w[i], -local_lr, g[i]) for i in M]
        out.append(_joined(w))
        evals.append(_joined([x] * MEMBERS))
    return Trajectory(out, evals)


@reference("U", {"lr": 1e-2}, tensors=TEAM, copies=1)
def afa_cs(params: Params, grads: list[Params], *, lr: float) -> Trajectory:
    """AFA-CS (Yang et al. 2022): the mean of the latest gradient of each, zero at first."""
    w, out = _split(params), []
    table = [{name: np.zeros_like(x) for name, x in own.items()} for own in w]
    for t, g in _steps(grads):
        table = [g[i] if team.arrived(t - 1)[i] else table[i] for i in M]
        step = _sum(table, np.full(MEMBERS, 1 / MEMBERS))
        w = [_plus(own, -lr, step) for own in w]
        out.append(_joined(w))
    return Trajectory(out)


@reference("U", {"lr": 1e-2}, tensors=TEAM, copies=0)
def gossip_averaging(params: Params, grads: list[Params], *, lr: float) -> Trajectory:
    """The mean of one's own model and of those of others that arrive, after a step of SGD."""
    w, out = _split(params), []
    for t, g in _steps(grads):
        moved = [_plus(w[i], -lr, g[i]) for i in M]
        w = []
        for i in M:
            buffer = [moved[j] for j in M if j != i and team.arrived(t - 1)[j]]
            weight = 1 / (1 + len(buffer))
            w.append({n: weight * sum((b[n] for b in buffer), moved[i][n]) for n in moved[i]})
        out.append(_joined(w))
    return Trajectory(out)


@reference("S", {"lr": 1e-2, "k": 4, "eps": 1e-12}, tensors=TEAM, copies=0)
def variance_corrected_averaging(
    params: Params, grads: list[Params], *, lr: float, k: int, eps: float
) -> Trajectory:
    """Tian et al. 2024: ``(z - mean z) sqrt(mean_i Var y_i / (Var z + eps)) + mean z``."""
    w, out = _split(params), []
    for t, g in _steps(grads):
        w = [_plus(w[i], -lr, g[i]) for i in M]
        if t % k == 0:
            z = _sum(w, np.full(MEMBERS, 1 / MEMBERS))
            for n, a in z.items():
                wanted = sum(float(np.var(own[n])) for own in w) / MEMBERS
                z[n] = (a - a.mean()) * np.sqrt(wanted / (np.var(a) + eps)) + a.mean()
            w = [dict(z) for _ in M]
        out.append(_joined(w))
    return Trajectory(out)


@reference("C", {}, tensors=APART, copies=0)
def simple_merging(params: Params, grads: list[Params]) -> Trajectory:
    """The mean of all models, weighted."""
    w, out = _split(params), []
    for _ in grads:
        w = [_sum(w, SHARES / SHARES.sum())] * MEMBERS
        out.append(_joined(w))
    return Trajectory(out)


@reference("C", {"floor": 1e-2}, tensors=APART, note="the floor is for all models", copies=0)
def fisher_merging(params: Params, grads: list[Params], *, floor: float) -> Trajectory:
    """Matena & Raffel 2022: ``sum_i p_i F_i w_i / sum_i p_i F_i``, with F of norm 1."""
    w, out = _split(params), []
    for t, _ in _steps(grads):
        F = _split(team.fisher(t - 1, params))
        F = [{n: np.maximum(a, floor) / model_norm(own) for n, a in own.items()} for own in F]
        weighted = [{n: F[i][n] * a for n, a in w[i].items()} for i in M]
        above, below = _sum(weighted, SHARES), _sum(F, SHARES)
        w = [{n: above[n] / below[n] for n in above}] * MEMBERS
        out.append(_joined(w))
    return Trajectory(out)


@reference("C", {"lr": 1e-2, "keep": 0.25}, tensors=TEAM, copies=1)
def top_k_compression(params: Params, grads: list[Params], *, lr: float, keep: float) -> Trajectory:
    """Stich et al. 2018: each sends the ceil(keep n) largest numbers of ``g + e``."""
    w, out = _split(params), []
    e = [{name: np.zeros_like(x) for name, x in own.items()} for own in w]
    for _, g in _steps(grads):
        sent = []
        for i in M:
            x = _plus(g[i], 1.0, e[i])
            c = {n: _largest(a, keep) for n, a in x.items()}
            e[i] = _plus(x, -1.0, c)
            sent.append(c)
        step = _sum(sent, np.full(MEMBERS, 1 / MEMBERS))
        w = [_plus(own, -lr, step) for own in w]
        out.append(_joined(w))
    return Trajectory(out)


def _largest(a: np.ndarray, keep: float) -> np.ndarray:
    """The largest numbers by size."""
    order = np.argsort(-np.abs(a).ravel())
    kept = np.zeros(a.size)
    chosen = order[: int(np.ceil(keep * a.size))]
    kept[chosen] = a.ravel()[chosen]
    return kept.reshape(a.shape)


@reference("U", {"lr": 1e-2, "s": 4}, tensors=TEAM, copies=0, numbers=2)
def qsgd(params: Params, grads: list[Params], *, lr: float, s: float) -> Trajectory:
    """QSGD (Alistarh et al. 2017): ``||g|| sign(g) floor(s |g| / ||g|| + u) / s``, by tensor."""
    w, out = _split(params), []
    for t, g in _steps(grads):
        u = noise("uniform", t - 1, g[0])
        sent = [{n: _rounded(a, u[n], s) for n, a in own.items()} for own in g]
        step = _sum(sent, np.full(MEMBERS, 1 / MEMBERS))
        w = [_plus(own, -lr, step) for own in w]
        out.append(_joined(w))
    return Trajectory(out)


def _rounded(a: np.ndarray, u: np.ndarray, s: float) -> np.ndarray:
    size = _norm(a)
    return size * np.sign(a) * np.floor(s * abs(a) / size + u) / s if size > 0 else 0 * a


@reference("C", {"lr": 1e-1, "beta": 0.1}, tensors=TEAM, note="not clipped", copies=2)
def lagrange_ascent(params: Params, grads: list[Params], *, lr: float, beta: float) -> Trajectory:
    """SGD with momentum on ``-sum sigma(w_i) violation_i``; evaluated at ``sigma(w)``."""
    w, out, evals = _split(params), [], []
    b = [{name: np.zeros_like(x) for name, x in own.items()} for own in w]
    for t, _ in _steps(grads):
        told = team.feedback(t - 1)
        for i in M:
            for n, a in w[i].items():
                s = 1 / (1 + np.exp(-a))
                b[i][n] = beta * b[i][n] + s * (1 - s) * told[i]
                w[i][n] = a + lr * b[i][n]
        out.append(_joined(w))
        evals.append({n: 1 / (1 + np.exp(-x)) for n, x in _joined(w).items()})
    return Trajectory(out, evals)


@reference("C", {}, tensors=TEAM, note="four Newton steps from above", copies=2)
def omega_bandit(params: Params, grads: list[Params]) -> Trajectory:
    """Tsallis-INF (Zimmert & Seldin 2021), number by number: ``p_i = 4 / (eta (k_i - x))^2``."""
    k, out, evals = flatten_members(params), [], []
    p = np.full_like(k, 1 / MEMBERS)
    for t in range(1, len(grads) + 1):
        k = k + (team.arrived(t - 1) * team.feedback(t - 1))[:, None] / p
        eta = 2 / np.sqrt(t + 1)
        p = np.empty_like(k)
        for column in range(k.shape[1]):
            x = k[:, column].min() - 2 / eta
            for _ in range(4):
                chances = 4 / (eta * (k[:, column] - x)) ** 2
                x = x - (chances.sum() - 1) / (eta * chances**1.5).sum()
            p[:, column] = 4 / (eta * (k[:, column] - x)) ** 2
        out.append(unflatten_members(k, params))
        evals.append(unflatten_members(p, params))
    return Trajectory(out, evals)


def flatten_members(model: Params) -> np.ndarray:
    """All numbers of each member, (members, N)."""
    return np.stack([flatten(own) for own in _split(model)])


def unflatten_members(x: np.ndarray, like: Params) -> Params:
    """The model of these numbers."""
    return _joined([unflatten(row, own) for row, own in zip(x, _split(like), strict=True)])
