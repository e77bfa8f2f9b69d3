"""Causal models of characters, on the text of Python's manual: transformers, a GRU and an LSTM.

A problem is a region of the training text and the scale of the initial weights. The validation
windows are the same for all problems.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from .. import data
from ..task import Batch, Params, Problem
from .draws import KEPT, log_uniform
from .layers import (
    Functions,
    Normal,
    block,
    block_weights,
    cross_entropy,
    dense,
    dense_weights,
    initializer,
    norm,
    norm_weights,
    weights,
)

VALIDATION = 64  # windows of the held-out text


def text_transformer(wider: int = 1) -> Functions:
    """One block of width 24 on eight windows of 16 characters.

    Small minibatches allow more steps at the same cost, because attention helps only late in the
    run. Without the block, as a bigram model, AdamW ends slightly worse.
    """
    return _transformer(24, 2, wider, length=16, blocks=1, batch_size=8)


def text_transformer_large(wider: int = 1) -> Functions:
    """Two blocks of width 64 on eight windows of 64 characters."""
    return _transformer(64, 2, wider, length=64, blocks=2, batch_size=8)


def text_gru(wider: int = 1) -> Functions:
    """A gated recurrent unit (Cho et al. 2014) of width 32 on eight windows of 16 characters."""
    width = 32 * wider

    def cell(params: Params, h: Array, x: Array) -> Array:
        """x: [n, 3 * width], the input's part of both gates and the candidate."""
        gates = jax.nn.sigmoid(x[:, : 2 * width] + h @ params["gates"])
        update, reset = gates[:, :width], gates[:, width:]
        candidate = jnp.tanh(x[:, 2 * width :] + (reset * h) @ params["candidate"])
        return (1 - update) * h + update * candidate

    model = {"gates": weights(width, 2 * width), "candidate": weights(width, width)}
    return _recurrent(model, cell, state=width, gates=3, width=width, length=16, batch_size=8)


def text_lstm(wider: int = 1) -> Functions:
    """A long short-term memory (Gers et al. 2000) of width 64 on eight windows of 32 characters."""
    width = 64 * wider

    def cell(params: Params, state: Array, x: Array) -> Array:
        """state: [n, 2 * width], output and memory; x: [n, 4 * width]."""
        h, memory = state[:, :width], state[:, width:]
        z = x + h @ params["gates"]
        enter, forget, leave = (jax.nn.sigmoid(z[:, i * width : (i + 1) * width]) for i in range(3))
        memory = forget * memory + enter * jnp.tanh(z[:, 3 * width :])
        return jnp.concatenate([leave * jnp.tanh(memory), memory], axis=1)

    model = {"gates": weights(width, 4 * width)}
    return _recurrent(model, cell, state=2 * width, gates=4, width=width, length=32, batch_size=8)


def _transformer(
    width: int, heads: int, wider: int, *, length: int, blocks: int, batch_size: int
) -> Functions:
    """A pre-norm transformer (Radford et al. 2019); a wider one has more heads of the same size."""
    width, heads = width * wider, heads * wider
    model = {
        # The sum of the two embeddings then has about unit size.
        "embedding": Normal((data.VOCABULARY, width), 0.7),
        "position": Normal((length, width), 0.7),
        "blocks": [block_weights(width) for _ in range(blocks)],
        "norm": norm_weights(width),
        "out": dense_weights(width, data.VOCABULARY),
    }

    def logits(params: Params, symbols: Array) -> Array:
        x = _embedded(params["embedding"], symbols) + params["position"]
        for part in params["blocks"]:
            x = block(part, x, heads=heads, causal=True)
        return dense(params["out"], norm(params["norm"], x))

    return _next_character(model, logits, length, batch_size)


def _recurrent(
    cell_weights: Params,
    cell: Callable[[Params, Array, Array], Array],
    *,
    state: int,
    gates: int,
    width: int,
    length: int,
    batch_size: int,
) -> Functions:
    """A cell (params, state, input's part) -> state, whose first `width` numbers are its output."""
    model = {
        "embedding": Normal((data.VOCABULARY, width), 1.0),
        "input": dense_weights(width, gates * width),
        "cell": cell_weights,
        "out": dense_weights(width, data.VOCABULARY),
    }

    def logits(params: Params, symbols: Array) -> Array:
        # The input's part does not depend on the state: one product, outside the loop over time.
        x = dense(params["input"], _embedded(params["embedding"], symbols)).swapaxes(0, 1)

        def step(h: Array, x: Array) -> tuple[Array, Array]:
            h = cell(params["cell"], h, x)
            return h, h[:, :width]

        start = jnp.zeros((len(symbols), state), x.dtype)
        return dense(params["out"], lax.scan(step, start, x)[1].swapaxes(0, 1))

    return _next_character(model, logits, length, batch_size)


def _embedded(embedding: Array, symbols: Array) -> Array:
    # A product with a one-hot matrix: its gradient is a product too, where a gather's is a scatter.
    return jax.nn.one_hot(symbols, data.VOCABULARY, dtype=embedding.dtype) @ embedding


def _next_character(
    model: Params, logits: Callable[[Params, Array], Array], length: int, batch_size: int
) -> Functions:
    """The family of problems that all share; logits: (params, [n, length]) -> [n, length, V]."""
    train, validation = data.text()
    symbols = jnp.asarray(train)
    validation_windows = jnp.asarray(data.windows(validation, VALIDATION, length + 1))
    region = int(KEPT * len(train))

    def draw(key: Array) -> Problem:
        u = jax.random.uniform(key, (2,))
        return {
            "first": (u[0] * (len(train) - region)).astype(jnp.int32),
            "init_scale": log_uniform(u[1], 0.7, 1.4),
        }

    def batch(key: Array, problem: Problem) -> Batch:
        """Windows of text, [batch_size, length + 1]; every symbol predicts the next."""
        starts = jax.random.randint(key, (batch_size, 1), 0, region - length)
        return symbols[problem["first"] + starts + jnp.arange(length + 1)]

    def loss(params: Params, batch: Batch) -> Array:
        return cross_entropy(logits(params, batch[:, :-1]), batch[:, 1:])

    def score(params: Params, problem: Problem) -> Array:
        return loss(params, validation_windows)

    return Functions(draw, initializer(model), batch, loss, score)
