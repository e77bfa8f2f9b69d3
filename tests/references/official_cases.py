"""``official_cases``: the rules as their authors' repositories implement them.

The repositories are named by owner/name and commit and are read from a folder that holds a
checkout of each as ``owner+name``; nothing of them is kept here.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from .torch_cases import ELEMENTWISE, _adam, _adan, _free_adamw, _free_sgd, _lion, _muon, _sai
from .torch_runner import (
    Case,
    Driver,
    Tensors,
    in_double,
    old_signatures,
    own_dtype_state,
    switching,
)

Hyper = dict[str, Any]

COMMITS: dict[str, str] = {
    "sail-sg/Adan": "2c65beaf400775753b155da4082c3819fea689b9",
    "shivram1987/diffGrad": "73233ba4708701cf552bcecb1f065d46d2d77164",
    "google/automl": "6a54c8741e7c3265d4547c4f35f47a0391122dc5",
    "KellerJordan/Muon": "857d1adc159e098212f828d927460782d3da59e9",
    "facebookresearch/schedule_free": "70785b53e778d0e872c0bbb75ff4ee54ee10c291",
    "facebookresearch/optimizers": "f60660661194de26d3ee78bae6d15820ff8e583d",
    "LIONS-EPFL/linear-interpolation": "2593408774e5f0cbf962abeb0f6b28ac54fec7be",
    "AnonymousAlethiometer/SGD_SaI": "e21308038ddb46b98b1cc61550bf182fd454de18",
    "timlautk/AdAdaGrad": "cc126fba4b57c8ea1ffcd5ff5d30dc8891bf9f17",
}


def _load(folder: Path, repository: str, file: str, package: bool = False) -> ModuleType:
    """Import one file of a checkout, as a lone module or (``package``) from its own package."""
    root = folder / repository.replace("/", "+")
    if package:
        unneeded = {"wandb": ModuleType("wandb")}
        with (
            mock.patch.object(sys, "path", [str(root), *sys.path]),
            mock.patch.dict(sys.modules, {**unneeded, **sys.modules}),
        ):
            return importlib.import_module(file.removesuffix(".py").replace("/", "."))
    spec = importlib.util.spec_from_file_location(f"_official_{Path(file).stem}", root / file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{root / file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _anchored(name: str, load: Callable[[str], ModuleType]) -> Callable[[Tensors, Hyper], Driver]:
    """RAPP's and LA-GDA's optimizers, whose training loop calls init_anchor every k steps."""

    def make(p: Tensors, h: Hyper) -> Driver:
        module = load("rapp/optim/RAPP.py" if name == "RAPPsgd" else "rapp/optim/lookahead.py")
        optimizer = getattr(module, name)(p, lr=h["lr"])
        count = 0

        def step() -> None:
            nonlocal count
            optimizer.step()
            count += 1
            if "k" in h and count % h["k"] == 0:
                optimizer.init_anchor(force=True, lam=h["alpha"])

        if "k" not in h:
            return Driver(step)
        return Driver(step, lambda: list(optimizer.anchor))

    return make


def official_cases(folder: Path) -> list[Case]:
    """The cases whose repository has a checkout in ``folder``."""

    def case(rule: str, repository: str, make: Any, **given: Any) -> Case:
        return Case(rule, repository, make, commit=COMMITS[repository], **given)

    def optimizer(repository: str, file: str, name: str, arguments: Any, **options: Any) -> Any:
        return lambda p, h: getattr(_load(folder, repository, file, **options), name)(
            p, **arguments(h)
        )

    def game(file: str) -> ModuleType:
        return _load(folder, "LIONS-EPFL/linear-interpolation", file, package=True)

    def gpa(p: Tensors, h: Hyper) -> Driver:
        module = _load(folder, "facebookresearch/optimizers", "gpa/gpa_adamw.py", package=True)
        made = module.GPAAdamW(
            p,
            lr=h["lr"],
            beta1=h["b1"],
            beta2=h["b2"],
            eps=h["eps"],
            weight_decay=h["wd"],
            train_interp_coeff=h["mu_y"],
            eval_interp_coeff=h["mu_x"],
        )
        return switching(made, p)

    def free(file: str, name: str, arguments: Any) -> Any:
        make = optimizer("facebookresearch/schedule_free", file, name, arguments)
        return lambda p, h: switching(make(p, h), p)

    cases = [
        case(
            "adan",
            "sail-sg/Adan",
            optimizer("sail-sg/Adan", "adan.py", "Adan", lambda h: {**_adan(h), "foreach": False}),
            tensors=ELEMENTWISE,
        ),
        case(
            "diffgrad",
            "shivram1987/diffGrad",
            optimizer("shivram1987/diffGrad", "diffGrad_v2.py", "diffgrad", _adam),
            tensors=ELEMENTWISE,
            patch=old_signatures,
            note="version 2; version 1 aliases the previous gradient to the current one",
        ),
        case(
            "lion",
            "google/automl",
            optimizer("google/automl", "lion/lion_pytorch.py", "Lion", _lion),
            tensors=ELEMENTWISE,
        ),
        case(
            "muon",
            "KellerJordan/Muon",
            optimizer("KellerJordan/Muon", "muon.py", "SingleDeviceMuon", _muon),
            patch=in_double,
            note="bfloat16 patched to double",
        ),
        case(
            "schedule_free_sgd",
            "facebookresearch/schedule_free",
            free(
                "schedulefree/sgd_schedulefree_reference.py", "SGDScheduleFreeReference", _free_sgd
            ),
            tensors=ELEMENTWISE,
        ),
        case(
            "schedule_free_adamw",
            "facebookresearch/schedule_free",
            free(
                "schedulefree/adamw_schedulefree_reference.py",
                "AdamWScheduleFreeReference",
                _free_adamw,
            ),
            tensors=ELEMENTWISE,
        ),
        case(
            "gpa_adamw",
            "facebookresearch/optimizers",
            gpa,
            tensors=ELEMENTWISE,
            patch=own_dtype_state,
            note="its float32 state patched to the weights' own dtype; weight decay 0",
        ),
        case(
            "gda",
            "LIONS-EPFL/linear-interpolation",
            _anchored("LA", game),
            tensors=ELEMENTWISE,
            note="its LA-GDA without synchronization",
        ),
        case(
            "lookahead_gda",
            "LIONS-EPFL/linear-interpolation",
            _anchored("LA", game),
            tensors=ELEMENTWISE,
        ),
        case(
            "rapp",
            "LIONS-EPFL/linear-interpolation",
            _anchored("RAPPsgd", game),
            tensors=ELEMENTWISE,
        ),
        case(
            "sgd_sai",
            "AnonymousAlethiometer/SGD_SaI",
            optimizer("AnonymousAlethiometer/SGD_SaI", "sgd_sai/sgd_sai.py", "SGD_sai", _sai),
        ),
        case(
            "adagrad_norm",
            "timlautk/AdAdaGrad",
            optimizer(
                "timlautk/AdAdaGrad",
                "adagradnorm.py",
                "Adagradnorm",
                lambda h: {"lr": h["lr"], "initial_accumulator_value": h["b0_squared"]},
            ),
            hyper={"scope": "tensor"},
            tensors=("vector",),
            as_rows=True,
            tolerance=1e-7,
            note="one accumulator per row there, so the vector is handed in as one row; adds "
            "1e-10 to b",
        ),
    ]
    return [c for c in cases if (folder / c.source.replace("/", "+")).is_dir()]
