"""``PYPI_CASES``: the rules as torch.optim and other distributions on PyPI implement them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import optim

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


def _small(rule: str, source: str, make: Any, **given: Any) -> Case:
    return Case(rule, source, make, tensors=ELEMENTWISE, **given)


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
)
