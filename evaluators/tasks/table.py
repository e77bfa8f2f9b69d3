"""The table of built-in tasks: what a listing shows, and where each is built. Needs no JAX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskInfo:
    """A row of the table."""

    name: str
    tier: str  # "proxy", "validation" or "target"
    family: str
    steps: int
    weights: int
    description: str  # one sentence: model, data, number of weights
    varies: str  # what a draw changes, besides the scale of the initial weights
    factory: str  # "module:function"; the function returns `layers.Functions`
    version: int = 1
    # Of a task that asks something special of a rule, known rules that answer it, whose figures
    # its documentation gives. Empty for tasks on which every rule can be tried.
    rules: tuple[str, ...] = ()


# Cheapest first within a tier: a rule that fails on the first proxy never costs the others.
TASKS = (
    TaskInfo(
        "quadratic",
        "proxy",
        "synthetic",
        steps=100,
        weights=96,
        description="Least squares in 96 weights of three scales, on streamed Gaussian inputs of "
        "unequal curvatures in a rotated basis.",
        varies="basis, condition number, optimum, noise",
        factory="synthetic:quadratic",
        version=2,
    ),
    TaskInfo(
        "heavy_tails",
        "proxy",
        "synthetic",
        steps=200,
        weights=160,
        description="Least squares in 160 weights on features as rare as words, with label noise "
        "of infinite variance.",
        varies="rarity, optimum, noise",
        factory="synthetic:heavy_tails",
    ),
    TaskInfo(
        "rosenbrock",
        "proxy",
        "synthetic",
        steps=300,
        weights=120,
        description="A chain of curved valleys in 120 weights, with noise.",
        varies="place, stretch, steepness, noise",
        factory="synthetic:rosenbrock",
    ),
    TaskInfo(
        "cancer_logistic",
        "proxy",
        "tabular",
        steps=200,
        weights=496,
        description="Logistic regression with 496 weights on products of features of the breast "
        "cancer set, some labels flipped.",
        varies="patients, scale of every feature, flips",
        factory="tabular:cancer_logistic",
    ),
    TaskInfo(
        "cancer_completion",
        "proxy",
        "factorization",
        steps=150,
        weights=790,
        description="A factorization of rank 4 with 790 weights fills in the gaps of a table of "
        "128 breast cancer patients.",
        varies="patients, gaps",
        factory="factorization:cancer_completion",
    ),
    TaskInfo(
        "deep_linear",
        "proxy",
        "factorization",
        steps=250,
        weights=768,
        description="Three matrices with 768 weights in all learn the product of three others.",
        varies="product, noise",
        factory="factorization:deep_linear",
    ),
    TaskInfo(
        "teacher_student",
        "proxy",
        "synthetic",
        steps=250,
        weights=705,
        description="A 20-32-1 tanh network of 705 weights learns a smaller one from correlated "
        "inputs.",
        varies="teacher, inputs' scales, noise",
        factory="synthetic:teacher_student",
    ),
    TaskInfo(
        "diabetes_quantiles",
        "proxy",
        "tabular",
        steps=200,
        weights=1507,
        description="A 10-32-32-3 ReLU network of 1,507 weights predicts quantiles of the "
        "progression of diabetes.",
        varies="patients, scale of every feature, unit of the target",
        factory="tabular:diabetes_quantiles",
    ),
    TaskInfo(
        "poisson_pinn",
        "proxy",
        "physics",
        steps=250,
        weights=1153,
        description="A 1-32-32-1 tanh network of 1,153 weights solves Poisson's equation.",
        varies="right-hand side",
        factory="physics:poisson_pinn",
    ),
    TaskInfo(
        "digits_mlp",
        "proxy",
        "vision",
        steps=150,
        weights=2410,
        description="A 64-32-10 ReLU network of 2,410 weights classifies scikit-learn's digits.",
        varies="images, scale of pixels, flips",
        factory="vision:digits_mlp",
        version=3,
    ),
    TaskInfo(
        "photo_autoencoder",
        "proxy",
        "reconstruction",
        steps=200,
        weights=8341,
        description="A 75-48-10-48-75 ReLU network of 8,341 weights cleans patches of a "
        "photograph, on the absolute error.",
        varies="region of the photograph",
        factory="reconstruction:photo_autoencoder",
    ),
    TaskInfo(
        "digits_conv",
        "proxy",
        "vision",
        steps=100,
        weights=3818,
        description="A convolutional network of 3,818 weights classifies scikit-learn's digits.",
        varies="images, scale of pixels, flips",
        factory="vision:digits_conv",
        version=3,
    ),
    TaskInfo(
        "digits_vit",
        "proxy",
        "vision",
        steps=120,
        weights=3690,
        description="A one-block vision transformer of 3,690 weights classifies scikit-learn's "
        "digits.",
        varies="images, scale of pixels, flips",
        factory="vision:digits_vit",
        version=2,
    ),
    TaskInfo(
        "text_gru",
        "proxy",
        "text",
        steps=120,
        weights=12545,
        description="A GRU of 12,545 weights predicts the next character of Python's manual.",
        varies="region of the text",
        factory="text:text_gru",
        version=2,
    ),
    TaskInfo(
        "text_transformer",
        "proxy",
        "text",
        steps=150,
        weights=12313,
        description="A one-block transformer of 12,313 weights predicts characters of the manual.",
        varies="region of the text",
        factory="text:text_transformer",
        version=3,
    ),
    TaskInfo(
        "cancer_mlp",
        "validation",
        "tabular",
        steps=300,
        weights=3137,
        description="A 30-32-32-32-1 tanh network of 3,137 weights learns the breast cancer set, "
        "some labels flipped.",
        varies="patients, scale of every feature, flips",
        factory="tabular:cancer_mlp",
        version=2,
    ),
    TaskInfo(
        "digits_autoencoder",
        "validation",
        "reconstruction",
        steps=600,
        weights=14088,
        description="A 64-96-8-96-64 tanh network of 14,088 weights reconstructs scikit-learn's "
        "digits.",
        varies="images, scale of pixels",
        factory="reconstruction:digits_autoencoder",
        version=2,
    ),
    TaskInfo(
        "photo_siren",
        "validation",
        "reconstruction",
        steps=500,
        weights=2643,
        description="A 2-48-48-3 network of 2,643 weights with sines learns a piece of a "
        "photograph as a function of place.",
        varies="piece of the photograph",
        factory="reconstruction:photo_siren",
    ),
    TaskInfo(
        "burgers_pinn",
        "validation",
        "physics",
        steps=400,
        weights=2241,
        description="A 2-32-32-32-1 tanh network of 2,241 weights solves Burgers' equation for a "
        "travelling shock.",
        varies="speed, height, viscosity, place",
        factory="physics:burgers_pinn",
    ),
    TaskInfo(
        "digits_resnet",
        "validation",
        "vision",
        steps=250,
        weights=3226,
        description="A residual network of 3,226 weights classifies scikit-learn's digits, on "
        "squared errors of probabilities.",
        varies="images, scale of pixels, flips",
        factory="vision:digits_resnet",
    ),
    TaskInfo(
        "text_lstm",
        "validation",
        "text",
        steps=150,
        weights=45537,
        description="An LSTM of 45,537 weights predicts the next character of Python's manual.",
        varies="region of the text",
        factory="text:text_lstm",
        version=2,
    ),
    TaskInfo(
        "photo_denoiser",
        "target",
        "reconstruction",
        steps=500,
        weights=6531,
        description="A three-layer convolutional network of 6,531 weights removes noise from "
        "patches of a photograph.",
        varies="region of the photograph, strength of noise",
        factory="reconstruction:photo_denoiser",
        version=2,
    ),
    TaskInfo(
        "digits_diffusion",
        "target",
        "reconstruction",
        steps=800,
        weights=124864,
        description="A residual network of 124,864 weights learns to generate scikit-learn's "
        "digits by diffusion.",
        varies="images",
        factory="reconstruction:digits_diffusion",
    ),
    TaskInfo(
        "helmholtz_pinn",
        "target",
        "physics",
        steps=1000,
        weights=4897,
        description="A 2-48-48-48-1 tanh network of 4,897 weights solves Helmholtz' equation on a "
        "square.",
        varies="right-hand side, wave number",
        factory="physics:helmholtz_pinn",
    ),
    TaskInfo(
        "text_transformer_large",
        "target",
        "text",
        steps=200,
        weights=116193,
        description="A two-block transformer of 116,193 weights predicts characters of the manual.",
        varies="region of the text",
        factory="text:text_transformer_large",
        version=3,
    ),
)

_GAMES = ("gda", "lookahead_gda", "rapp", "extragradient", "rk4_flow")

# Tasks that ask something special of a rule; no preset and no league takes them.
SPECIAL = (
    TaskInfo(
        "bilinear_game",
        "proxy",
        "games",
        steps=300,
        weights=48,
        description="A noisy bilinear game of two players of 24 weights each, which steps along "
        "the gradients turn about.",
        varies="matrix, equilibrium, noise",
        factory="games:bilinear_game",
        rules=_GAMES,
    ),
    TaskInfo(
        "ill_conditioned",
        "proxy",
        "curvature",
        steps=200,
        weights=24,
        description="A convex valley in 24 weights whose curvatures span three to four decades, in "
        "a rotated basis.",
        varies="basis, optimum, span of the curvatures, quartic part",
        factory="curvature:ill_conditioned",
        rules=("adamw", "momentum", "lbfgs", "sophia", "adahessian"),
    ),
    TaskInfo(
        "ring_gan",
        "validation",
        "games",
        steps=1000,
        weights=355,
        description="A generative adversarial network of two players with 355 weights makes points "
        "of eight Gaussians on an ellipse.",
        varies="ellipse, place, width of the Gaussians",
        factory="games:ring_gan",
        rules=_GAMES,
    ),
    TaskInfo(
        "digits_private",
        "validation",
        "federated",
        steps=200,
        weights=650,
        description="Softmax regression with 650 weights on scikit-learn's digits, where the 32 "
        "examples of a minibatch are members.",
        varies="images, scale of pixels, flips",
        factory="federated:digits_private",
        rules=("sgd", "dp_sgd"),
    ),
    TaskInfo(
        "digits_federated",
        "validation",
        "federated",
        steps=300,
        weights=1210,
        description="A 64-16-10 ReLU network of 1,210 weights learns scikit-learn's digits from "
        "six clients with unlike classes, who are members.",
        varies="classes and share of every client, who arrives, scale of pixels",
        factory="federated:digits_federated",
        rules=("sgd", "fedavg"),
    ),
)
