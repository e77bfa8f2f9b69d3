"""Character-level causal transformers on the text of Python's manual."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from .. import data
from ..task import Batch, Params
from .layers import Functions, Normal, cross_entropy, dense, dense_weights, initializer, weights

HEADS = 2
VALIDATION = 64  # windows of the held-out text


def text_transformer() -> Functions:
    """One block of width 32 on eight windows of 32 characters.

    Small minibatches buy more steps for the same cost, and it is late in the run that attention
    helps: without the block, a model of character pairs, AdamW ends little worse.
    """
    return _transformer(width=32, length=32, blocks=1, batch_size=8)


def text_transformer_large() -> Functions:
    """Two blocks of width 64 on sixteen windows of 64 characters."""
    return _transformer(width=64, length=64, blocks=2, batch_size=16)


def _transformer(width: int, length: int, blocks: int, batch_size: int) -> Functions:
    """A pre-norm transformer (Radford et al. 2019) with ReLU in the MLP, cheaper than GELU."""
    train, validation = data.text()
    symbols = jnp.asarray(train)
    validation_windows = jnp.asarray(data.windows(validation, VALIDATION, length + 1))

    init = initializer(
        {
            # The sum of the two embeddings then has about unit size.
            "embedding": Normal((data.VOCABULARY, width), 0.7),
            "position": Normal((length, width), 0.7),
            "blocks": [_block_weights(width) for _ in range(blocks)],
            "norm": _norm_weights(width),
            "out": dense_weights(width, data.VOCABULARY),
        }
    )

    def batch(key: Array) -> Batch:
        """Windows of text, [batch_size, length + 1]; every symbol predicts the next."""
        starts = jax.random.randint(key, (batch_size, 1), 0, len(symbols) - length)
        return symbols[starts + jnp.arange(length + 1)]

    def loss(params: Params, batch: Batch) -> Array:
        # Embedding by a product with a one-hot matrix: its gradient is a product too, where a
        # gather's is a scatter.
        embedding = params["embedding"]
        x = jax.nn.one_hot(batch[:, :-1], data.VOCABULARY, dtype=embedding.dtype) @ embedding
        x = x + params["position"]
        for block in params["blocks"]:
            x = _block(block, x)
        return cross_entropy(dense(params["out"], _norm(params["norm"], x)), batch[:, 1:])

    def score(params: Params) -> Array:
        return loss(params, validation_windows)

    return init, batch, loss, score


def _norm_weights(width: int) -> Params:
    return {"scale": jnp.ones(width, jnp.float32), "bias": jnp.zeros(width, jnp.float32)}


def _norm(params: Params, x: Array) -> Array:
    """Layer normalisation of the last axis."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    x = x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)
    return x * params["scale"] + params["bias"]


def _block_weights(width: int) -> Params:
    return {
        "norm1": _norm_weights(width),
        "qkv": weights(width, 3 * width),
        "project": weights(width, width),
        "norm2": _norm_weights(width),
        "up": dense_weights(width, 4 * width, gain=2.0),
        "down": dense_weights(4 * width, width),
    }


def _block(params: Params, x: Array) -> Array:
    """Attention, then a two-layer network, each added to what it reads: [n, length, width]."""
    n, length, width = x.shape
    qkv = (_norm(params["norm1"], x) @ params["qkv"]).reshape(n, length, 3, HEADS, -1)
    q, k, v = (qkv[:, :, i].swapaxes(1, 2) for i in range(3))  # [n, heads, length, width / heads]
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(width / HEADS)
    causal = jnp.tril(jnp.ones((length, length), bool))
    attended = jax.nn.softmax(jnp.where(causal, scores, -1e9), axis=-1) @ v
    x = x + attended.swapaxes(1, 2).reshape(n, length, width) @ params["project"]
    hidden = jax.nn.relu(dense(params["up"], _norm(params["norm2"], x)))
    return x + dense(params["down"], hidden)
