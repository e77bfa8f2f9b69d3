"""``NUMPY``: the rules of rows 1-34 in plain float64 NumPy, by name.

Row 28 (LANTON) is missing; ``settings.OMITTED`` says why.
"""

from __future__ import annotations

from . import numpy_adaptive as adaptive
from . import numpy_clipping as clipping
from . import numpy_iterates as iterates
from . import numpy_layerwise as layerwise
from . import numpy_matrix as matrix
from . import numpy_momentum as momentum
from .trajectories import Reference

NUMPY: dict[str, Reference] = {
    "sgd": momentum.sgd,
    "momentum": momentum.momentum,
    "nesterov": momentum.nesterov,
    "adagrad": adaptive.adagrad,
    "adadelta": adaptive.adadelta,
    "rmsprop": adaptive.rmsprop,
    "adam": adaptive.adam,
    "amsgrad": adaptive.amsgrad,
    "amsgrad_optax": adaptive.amsgrad_optax,
    "adamw": adaptive.adamw,
    "adabelief": adaptive.adabelief,
    "diffgrad": adaptive.diffgrad,
    "adan": adaptive.adan,
    "lion": momentum.lion,
    "optimistic_gd": momentum.optimistic_gd,
    "gda": momentum.gda,
    "lookahead_sgd": iterates.lookahead_sgd,
    "lookahead_adamw": iterates.lookahead_adamw,
    "diloco_adamw": iterates.diloco_adamw,
    "lookahead_gda": iterates.lookahead_gda,
    "rapp": iterates.rapp,
    "primal_averaging": iterates.primal_averaging,
    "schedule_free_sgd": iterates.schedule_free_sgd,
    "schedule_free_adamw": iterates.schedule_free_adamw,
    "gpa_adamw": iterates.gpa_adamw,
    "adagrad_norm": layerwise.adagrad_norm,
    "adafactor": layerwise.adafactor,
    "lars": layerwise.lars,
    "lars_optax": layerwise.lars_optax,
    "lamb": layerwise.lamb,
    "muon": matrix.muon,
    "muon_optax": matrix.muon_optax,
    "sgd_sai": layerwise.sgd_sai,
    "coordinate_clipping": clipping.coordinate_clipping,
    "global_norm_clipping": clipping.global_norm_clipping,
    "layerwise_clipping": clipping.layerwise_clipping,
    "sor": clipping.sor,
    "optimistic_omd": clipping.optimistic_omd,
}
