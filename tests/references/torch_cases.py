"""``PYPI_CASES``: the rules as torch.optim and other distributions on PyPI implement them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from unittest import mock

import torch
from torch import optim

from .problems import STEPS
from .torch_runner import Case, Driver, Tensors, in_double, switching

Hyper = dict[str, Any]
ELEMENTWISE = ("tall", "wide", "vector", "scalar")


def _adam(h: Hyper) -> Hyper:
    return {"lr": h["lr"], "betas": (h["b1"], h["b2"]), "eps": h["eps"]}


def _adamw(h: Hyper) -> Hyper:
    return {**_adam(h), "weight_decay": h["wd"]}


def _adan(h: Hyper) -> Hyper:
    betas = (h["b1"], h["b2"], h["b3"])
    return {"lr": h["lr"], "betas": betas, "eps": h["eps"], "weight_decay": h["wd"]}


def _lion(h: Hyper) -> Hyper:
    return {"lr": h["lr"], "betas": (h["b1"], h["b2"]), "weight_decay": h["wd"]}


def _free_sgd(h: Hyper) -> Hyper:
    return {"lr": h["lr"], "momentum": h["beta"], "weight_decay": h["wd"]}


def _free_adamw(h: Hyper) -> Hyper:
    betas = (h["beta"], h["b2"])
    return {"lr": h["lr"], "betas": betas, "eps": h["eps"], "weight_decay": h["wd"]}


def _torch_momentum(nesterov: bool) -> Callable[[Tensors, Hyper], Any]:
    return lambda p, h: optim.SGD(p, lr=h["lr"], momentum=h["mu"], nesterov=nesterov)


def _torch_diloco(p: Tensors, h: Hyper) -> Driver:
    anchor = [x.detach().clone().requires_grad_() for x in p]
    inner = optim.AdamW(p, **_adamw(h))
    outer = optim.SGD(anchor, lr=h["outer_lr"], momentum=h["mu"], nesterov=True)
    count = 0

    @torch.no_grad()
    def step() -> None:
        nonlocal count
        inner.step()
        count += 1
        if count % h["k"] == 0:
            for a, x in zip(anchor, p, strict=True):
                a.grad = a.detach() - x
            outer.step()
            for a, x in zip(anchor, p, strict=True):
                x.copy_(a)

    return Driver(step)


def _torch_clipping(p: Tensors, h: Hyper) -> Driver:
    base = optim.SGD(p, lr=h["lr"])

    def step() -> None:
        torch.nn.utils.clip_grad_norm_(p, h["clip"])
        base.step()

    return Driver(step)


def _lookahead(base: Callable[[Tensors, Hyper], Any]) -> Callable[[Tensors, Hyper], Driver]:
    def make(p: Tensors, h: Hyper) -> Driver:
        wrapper = import_module("pytorch_optimizer").Lookahead(base(p, h), h["k"], h["alpha"])
        return Driver(wrapper.step, lambda: [wrapper.state[x]["slow_params"] for x in p])

    return make


def _from(module: str, name: str, arguments: Callable[[Hyper], Hyper], **fixed: Any) -> Any:
    return lambda p, h: getattr(import_module(module), name)(p, **arguments(h), **fixed)


def _switching(module: str, name: str, arguments: Callable[[Hyper], Hyper]) -> Any:
    return lambda p, h: switching(getattr(import_module(module), name)(p, **arguments(h)), p)


def _muon(h: Hyper) -> Hyper:
    return {"lr": h["lr"], "momentum": h["beta"], "weight_decay": h["wd"]}


def _lars(h: Hyper) -> Hyper:
    names = {"lr": "lr", "mu": "momentum", "wd": "weight_decay", "trust": "trust_coefficient"}
    return {names[key]: value for key, value in h.items()}


def _sai(h: Hyper) -> Hyper:
    return {"lr": h["lr"], "momentum": h["mu"], "eps": h["eps"], "weight_decay": h["wd"]}


@contextlib.contextmanager
def _double_scalars() -> Iterator[None]:
    """Makes scalar tensors double: torch keeps products and rates in its default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@contextlib.contextmanager
def _no_constant_in_the_root() -> Iterator[None]:
    """Sets to 0 the 1e-15 that pytorch_optimizer adds to second moments."""
    base = import_module("pytorch_optimizer.base.optimizer").BaseOptimizer
    with contextlib.ExitStack() as stack:
        for function in (base.apply_ams_bound, base.apply_ams_bound_foreach):
            stack.enter_context(mock.patch.object(function, "__defaults__", (0.0,)))
        yield


@contextlib.contextmanager
def _orthogonal_in_double() -> Iterator[None]:
    """pytorch_optimizer's Newton-Schulz iteration in full precision."""
    matrix = import_module("pytorch_optimizer.optimizer.utils.matrix")
    function = matrix.zero_power_via_newton_schulz_5
    given = [torch.float64 if x is torch.bfloat16 else x for x in function.__defaults__]
    with mock.patch.object(function, "__defaults__", tuple(given)):
        yield


@contextlib.contextmanager
def _svd_in_double() -> Iterator[None]:
    """pytorch_optimizer's singular vectors in double."""
    with mock.patch.object(torch.Tensor, "float", lambda x: x.double()):
        yield


def _matrices_apart(name: str, arguments: Callable[[Hyper], Hyper]) -> Any:
    """Matrices with a projection, the others without."""

    def make(p: Tensors, h: Hyper) -> Any:
        low = {"rank": h["r"], "update_proj_gap": h["k"], "scale": h["scale"]}
        groups = [
            {"params": [x for x in p if x.ndim >= 2], "projection_type": "std", **low},
            {"params": [x for x in p if x.ndim < 2]},
        ]
        return getattr(import_module("pytorch_optimizer"), name)(groups, **arguments(h))

    return make


def _soap(h: Hyper) -> Hyper:
    more = {"shampoo_beta": h["bp"], "precondition_frequency": h["k"]}
    return {**_adamw(h), **more}


def _shampoo(h: Hyper) -> Hyper:
    return {"lr": h["lr"], "matrix_eps": h["eps"]}


_NO_KERNEL = ("tall", "wide", "vector")
_ROOT = {
    "hyper": {"eps": 1e-30},
    "patch": _no_constant_in_the_root,
    "note": "without the 1e-15 under the root; eps, which stands beside the uncorrected root, is "
    "negligible",
}


def _betas(h: Hyper) -> tuple[float, ...]:
    return tuple(h[name] for name in ("b1", "b2", "b3") if name in h)


def _torch_asgd(p: Tensors, h: Hyper) -> Driver:
    made = optim.ASGD(p, **h)
    return Driver(made.step, lambda: [made.state[x]["ax"] for x in p])


def _ademamix(h: Hyper) -> Hyper:
    more = {"alpha": h["alpha"], "eps": h["eps"], "weight_decay": h["wd"]}
    more |= {"weight_decouple": True, "t_alpha_beta3": STEPS}
    return {"lr": h["lr"], "betas": _betas(h), **more}


def _mars(h: Hyper) -> Hyper:
    return {**_adamw(h), "gamma": h["gamma"], "optimize_1d": True}


def _grokfast(h: Hyper) -> Hyper:
    more = {"grokfast_alpha": h["alpha"], "grokfast_lamb": h["lamb"], "normalize_lr": False}
    return {**_adamw(h), **more}


def _adamc(p: Tensors, h: Hyper) -> Any:
    group = {"params": p, "normalized": True}
    return import_module("pytorch_optimizer").AdamC([group], **_adamw(h), max_lr=h["lr"])


def _came(h: Hyper) -> Hyper:
    more = {"eps1": h["eps1"], "eps2": h["eps2"], "clip_threshold": h["d"]}
    return {"lr": h["lr"], "betas": _betas(h), **more, "weight_decay": h["wd"]}


def _normuon(p: Tensors, h: Hyper) -> Any:
    """Matrices by NorMuon, the others by its AdamW."""
    muon = {"lr": h["lr"], "momentum": h["beta"], "beta2": h["beta2"], "nesterov": False}
    muon |= {"update_scale": "match_rms_adamw"}
    adamw = {"lr": h["lr"], "betas": (h["b1"], h["b2"])}
    shared = {"eps": h["eps"], "weight_decay": h["wd"]}
    groups = [
        {"params": [x for x in p if x.ndim >= 2], "use_muon": True, **muon, **shared},
        {"params": [x for x in p if x.ndim < 2], "use_muon": False, **adamw, **shared},
    ]
    return import_module("pytorch_optimizer").NorMuon(groups)


def _small(rule: str, source: str, make: Any, **given: Any) -> Case:
    return Case(rule, source, make, tensors=ELEMENTWISE, **given)


def _free_radam(h: Hyper) -> Hyper:
    return {"lr": h["lr"], "betas": (h["beta"], h["b2"]), "eps": h["eps"]}


def _kozistr(rule: str, name: str, arguments: Any, make: Any = None, **given: Any) -> Case:
    made = make or _from("pytorch_optimizer", name, arguments)
    return _small(rule, "pytorch_optimizer", made, **given)


_QUIET = {"rectify": False, "weight_decouple": False, "print_change_log": False}

PYPI_CASES: tuple[Case, ...] = (
    _small("sgd", "torch", lambda p, h: optim.SGD(p, lr=h["lr"])),
    _small("momentum", "torch", _torch_momentum(False)),
    _small("nesterov", "torch", _torch_momentum(True)),
    _small("adagrad", "torch", lambda p, h: optim.Adagrad(p, lr=h["lr"], eps=h["eps"])),
    _small("adadelta", "torch", lambda p, h: optim.Adadelta(p, **h)),
    _small(
        "rmsprop",
        "torch",
        lambda p, h: optim.RMSprop(p, lr=h["lr"], alpha=h["decay"], eps=h["eps"]),
    ),
    _small("adam", "torch", lambda p, h: optim.Adam(p, **_adam(h))),
    _small("amsgrad", "torch", lambda p, h: optim.Adam(p, **_adam(h), amsgrad=True)),
    _small("adamw", "torch", lambda p, h: optim.AdamW(p, **_adamw(h))),
    _small("diloco_adamw", "torch", _torch_diloco, note="composed of AdamW and SGD(nesterov)"),
    _small(
        "primal_averaging",
        "torch",
        lambda p, h: optim.SGD(p, lr=(1 - h["mu"]) * h["lr"], momentum=h["mu"], nesterov=True),
        note="an identity: y moves as Nesterov momentum with the step (1-mu)*lr",
    ),
    Case(
        "adafactor",
        "torch",
        lambda p, h: optim.Adafactor(p, lr=h["lr"], d=h["d"], eps=(None, h["eps2"])),
    ),
    Case(
        "muon",
        "torch",
        lambda p, h: optim.Muon(p, **_muon(h), eps=h["eps"]),
        hyper={"eps": 1e-30},
        tensors=("tall", "wide"),
        patch=in_double,
        note="bfloat16 patched to double; torch clamps the norm at eps instead of adding it, "
        "hence a negligible eps; matrices only",
    ),
    _small(
        "global_norm_clipping",
        "torch",
        _torch_clipping,
        tolerance=1e-6,
        note="clip_grad_norm_ adds 1e-6 to the norm",
    ),
    _small(
        "adabelief",
        "pytorch_optimizer",
        _from("pytorch_optimizer", "AdaBelief", _adam, rectify=False),
    ),
    _small(
        "adabelief",
        "adabelief-pytorch",
        _from("adabelief_pytorch", "AdaBelief", _adam, **_QUIET),
        note="the authors' distribution, rectify=False",
    ),
    _small(
        "diffgrad",
        "pytorch_optimizer",
        _from("pytorch_optimizer", "DiffGrad", _adam),
        tolerance=1e-7,
        note="adds 1e-15 under the root",
    ),
    _small("diffgrad", "torch-optimizer", _from("torch_optimizer", "DiffGrad", _adam)),
    _small("diffgrad", "zij", _from("zij", "DiffGrad", _adam)),
    _small("adan", "pytorch_optimizer", _from("pytorch_optimizer", "Adan", _adan)),
    _small("adan", "zij", _from("zij", "Adan", _adan)),
    _small("lion", "pytorch_optimizer", _from("pytorch_optimizer", "Lion", _lion)),
    _small("lion", "lion-pytorch", _from("lion_pytorch", "Lion", _lion)),
    _small(
        "lookahead_sgd",
        "pytorch_optimizer",
        _lookahead(lambda p, h: optim.SGD(p, lr=h["lr"])),
    ),
    _small(
        "lookahead_adamw",
        "pytorch_optimizer",
        _lookahead(lambda p, h: optim.AdamW(p, **_adamw(h))),
    ),
    _small(
        "schedule_free_sgd",
        "schedulefree",
        _switching("schedulefree", "SGDScheduleFreeReference", _free_sgd),
    ),
    _small(
        "schedule_free_sgd",
        "pytorch_optimizer",
        _switching("pytorch_optimizer", "ScheduleFreeSGD", _free_sgd),
    ),
    _small(
        "schedule_free_adamw",
        "schedulefree",
        _switching("schedulefree", "AdamWScheduleFreeReference", _free_adamw),
    ),
    _small(
        "schedule_free_adamw",
        "pytorch_optimizer",
        _switching("pytorch_optimizer", "ScheduleFreeAdamW", _free_adamw),
        tolerance=1e-8,
        note="adds 1e-15 under the root",
    ),
    Case(
        "lars",
        "pytorch_optimizer",
        _from("pytorch_optimizer", "LARS", _lars),
        tensors=("tall", "wide", "kernel"),
        note="vectors and scalars get no trust ratio there",
    ),
    Case(
        "muon",
        "pytorch_optimizer",
        lambda p, h: import_module("pytorch_optimizer").Muon(
            [{"params": p, "use_muon": True}], **_muon(h)
        ),
        tensors=("tall", "wide"),
        tolerance=5e-3,
        note="Newton-Schulz in bfloat16, as it stands",
    ),
    Case("sgd_sai", "sgd_sai", _from("sgd_sai", "SGD_sai", _sai)),
    _small(
        "nadam_torch",
        "torch",
        lambda p, h: optim.NAdam(p, **_adam(h), momentum_decay=h["psi"]),
        patch=_double_scalars,
        note="the product of mu in double",
    ),
    _small("adamax", "torch", lambda p, h: optim.Adamax(p, **_adam(h))),
    _small(
        "rprop",
        "torch",
        lambda p, h: optim.Rprop(
            p,
            lr=h["lr"],
            etas=(h["eta_minus"], h["eta_plus"]),
            step_sizes=(h["d_min"], h["d_max"]),
        ),
    ),
    _small("asgd", "torch", _torch_asgd, patch=_double_scalars, note="eta and the share in double"),
    _kozistr("ademamix_scheduled", "AdEMAMix", _ademamix),
    _kozistr(
        "qhadam",
        "QHAdam",
        lambda h: {**_adam(h), "nus": (h["nu1"], h["nu2"])},
        tolerance=1e-7,
        note="weights of the averages in float32",
    ),
    _kozistr("mars_adamw", "MARS", _mars, **_ROOT),
    _kozistr("grokfast_adamw", "GrokFastAdamW", _grokfast, **_ROOT),
    _kozistr(
        "laprop",
        "LaProp",
        lambda h: {**_adam(h), "weight_decay": h["wd"]},
        hyper={"wd": 0.0, "eps": 1e-30},
        patch=_no_constant_in_the_root,
        tolerance=1e-8,
        note="without the 1e-15 under the root; averages lr g by numbers in float32; wd = 0: it "
        "decays the new weights",
    ),
    _kozistr("stable_adamw", "StableAdamW", lambda h: {**_adamw(h), "kahan_sum": False}),
    _kozistr(
        "adai",
        "Adai",
        lambda h: {"lr": h["lr"], "betas": (h["b0"], h["b2"]), "eps": h["eps"]},
    ),
    _kozistr("grams", "Grams", _adamw),
    _small("adamc", "pytorch_optimizer", _adamc, **_ROOT),
    _kozistr(
        "tiger",
        "Tiger",
        lambda h: {"lr": h["lr"], "beta": h["beta"], "weight_decay": h["wd"]},
    ),
    _kozistr(
        "qhm",
        "QHM",
        lambda h: {"lr": h["lr"], "momentum": h["beta"], "nu": h["nu"]},
    ),
    _kozistr("aggmo", "AggMo", lambda h: {"lr": h["lr"], "betas": _betas(h)}),
    _kozistr("came", "CAME", _came),
    _kozistr(
        "madgrad",
        "MADGRAD",
        lambda h: {"lr": h["lr"], "momentum": h["mu"], "eps": h["eps"]},
    ),
    _kozistr(
        "schedule_free_radam",
        "ScheduleFreeRAdam",
        None,
        make=_switching("pytorch_optimizer", "ScheduleFreeRAdam", _free_radam),
    ),
    Case(
        "normuon",
        "pytorch_optimizer",
        _normuon,
        patch=_orthogonal_in_double,
        tolerance=1e-6,
        note="bfloat16 patched to double, nesterov=False, the paper's scale; the norm before the "
        "iteration is clamped at eps, here eps is added",
    ),
    _kozistr(
        "adabound",
        "AdaBound",
        lambda h: {**_adam(h), "final_lr": h["final_lr"], "gamma": h["gamma"]},
        patch=_no_constant_in_the_root,
        note="without the 1e-15 under the root",
    ),
    _kozistr("adashift", "AdaShift", lambda h: {**_adam(h), "keep_num": 3}),
    _kozistr("amos", "Amos", lambda h: {"lr": h["lr"], "beta": h["beta"], "eps": h["eps"]}),
    _kozistr("nero", "Nero", lambda h: {"lr": h["lr"], "beta": h["beta"], "eps": h["eps"]}),
    _kozistr(
        "adamp",
        "AdamP",
        lambda h: {**_adamw(h), "delta": h["delta"], "wd_ratio": h["wd_ratio"]},
        hyper={"eps": 1e-30},
        note="eps, which stands beside the uncorrected root, is negligible",
    ),
    _kozistr(
        "sm3",
        "SM3",
        lambda h: {"lr": h["lr"], "momentum": h["b1"], "eps": h["eps"]},
    ),
    Case(
        "shampoo",
        "pytorch_optimizer",
        _from("pytorch_optimizer", "Shampoo", _shampoo),
        tensors=_NO_KERNEL,
        note="a kernel has a matrix for each axis there",
    ),
    Case(
        "soap",
        "pytorch_optimizer",
        _from("pytorch_optimizer", "SOAP", _soap),
        hyper={"k": 200, "wd": 0.0},
        tensors=("square", "vector"),
        note="one basis, because there it is sorted when it is turned; wd = 0: it decays the new "
        "weights; a square matrix, whose basis is unique",
    ),
    Case(
        "galore_adam",
        "pytorch_optimizer",
        _matrices_apart("GaLore", _adam),
        hyper={"eps": 1e-30, "k": 200},
        tensors=_NO_KERNEL,
        patch=_svd_in_double,
        note="one basis, singular vectors in double; kernels are not projected there; eps, which "
        "stands beside the uncorrected root, is negligible",
    ),
    Case(
        "fira",
        "pytorch_optimizer",
        _matrices_apart("Fira", _adamw),
        hyper={"wd": 0.0, "k": 200},
        tensors=_NO_KERNEL,
        patch=_svd_in_double,
        note="one basis, singular vectors in double; kernels are not projected there; wd = 0: it "
        "decays the new weights",
    ),
)
