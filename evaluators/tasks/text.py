"""Character-level causal transformers on the text of Python's manual."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from .. import data
from ..task import Batch, Params
from .layers import Functions, cross_entropy, dense, initial_dense, initial_weights

HEADS = 2
VALIDATION = 64  # windows of the held-out text


def text_transformer() -> Functions:
    """One block of width 32 on eight windows of 32 characters.

    Small minibatches buy more steps for the same cost: with twice the minibatch and half the steps
    a tuned AdamW barely gets past what a model of character pairs, without attention, reaches.
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

    def init(key: Array) -> Params:
        key_embed, key_place, key_out, *key_blocks = jax.random.split(key, 3 + blocks)
        return {
            # Scaled so that the sum of the two embeddings has about unit size.
            "embedding": 0.7 * jax.random.normal(key_embed, (data.VOCABULARY, width)),
            "position": 0.7 * jax.random.normal(key_place, (length, width)),
            "blocks": [_initial_block(k, width) for k in key_blocks],
            "norm": _initial_norm(width),
            "out": initial_dense(key_out, width, data.VOCABULARY),
        }

    def batch(key: Array) -> Batch:
        """Windows of text, [batch_size, length + 1]; every symbol predicts the next."""
        starts = jax.random.randint(key, (batch_size, 1), 0, len(symbols) - length)
        return symbols[starts + jnp.arange(length + 1)]

    def loss(params: Params, batch: Batch) -> Array:
        # Embedding by a product with a one-hot matrix: its gradient is a product too, where a
        # gather's is a scatter, slow on a CPU.
        x = jax.nn.one_hot(batch[:, :-1], data.VOCABULARY) @ params["embedding"]
        x = x + params["position"]
        for block in params["blocks"]:
            x = _block(block, x)
        return cross_entropy(dense(params["out"], _norm(params["norm"], x)), batch[:, 1:])

    def score(params: Params) -> Array:
        return loss(params, validation_windows)

    return init, batch, loss, score


def _initial_norm(width: int) -> Params:
    return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}


def _norm(params: Params, x: Array) -> Array:
    """Layer normalisation of the last axis."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    x = x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)
    return x * params["scale"] + params["bias"]


def _initial_block(key: Array, width: int) -> Params:
    qkv, out, up, down = jax.random.split(key, 4)
    return {
        "norm1": _initial_norm(width),
        "qkv": initial_weights(qkv, (width, 3 * width)),
        "project": initial_weights(out, (width, width)),
        "norm2": _initial_norm(width),
        "up": initial_dense(up, width, 4 * width, gain=2.0),
        "down": initial_dense(down, 4 * width, width),
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
