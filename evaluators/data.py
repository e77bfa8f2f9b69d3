"""Real data that ships with the dependencies, read once, as NumPy.

Every set is split once and for all: the permutations come from a fixed seed of NumPy's generator,
so a validation example is never trained on, in any run.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

# A fixed alphabet keeps the number of weights the same whatever characters a Python release's
# documentation holds; any other character (curly quotes, mostly) becomes the last symbol.
ALPHABET = "\n" + "".join(chr(c) for c in range(32, 127))
VOCABULARY = len(ALPHABET) + 1


class Labelled(NamedTuple):
    """Inputs with one class or one number each."""

    x: np.ndarray  # [n, features] float32
    y: np.ndarray  # [n] int32, or float32 where it is a number to predict


class Split(NamedTuple):
    """Disjoint training and validation examples."""

    train: Labelled
    validation: Labelled


def _split(x: np.ndarray, y: np.ndarray, validation: int) -> Split:
    order = np.random.default_rng(0).permutation(len(x))
    kind = np.int32 if np.issubdtype(y.dtype, np.integer) else np.float32
    x, y = x[order].astype(np.float32), y[order].astype(kind)
    return Split(
        train=Labelled(x[validation:], y[validation:]),
        validation=Labelled(x[:validation], y[:validation]),
    )


@functools.cache
def digits() -> Split:
    """scikit-learn's handwritten digits: 1,297 + 500 images, [n, 64] in 0..1, and 10 classes."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _split(x / 16, y, validation=500)


@functools.cache
def cancer() -> Split:
    """Wisconsin breast cancer: 369 + 200 cases, [n, 30] standardised, and 2 classes."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    # The features span five orders of magnitude.
    return _standardised(_split(x, y, validation=200))


@functools.cache
def cancer_products() -> Split:
    """The same with every product of two features: [n, 495] standardised, strongly correlated."""
    split = cancer()
    first, second = np.triu_indices(30)

    def expand(part: Labelled) -> Labelled:
        return Labelled(np.hstack([part.x, part.x[:, first] * part.x[:, second]]), part.y)

    return _standardised(Split(*map(expand, split)))


@functools.cache
def diabetes() -> Split:
    """Diabetes progression after a year: 302 + 140 patients, [n, 10] and a number, standardised."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    train, validation = _standardised(_split(x, y, validation=140))
    mean, deviation = train.y.mean(), train.y.std()
    return Split(*(Labelled(part.x, (part.y - mean) / deviation) for part in (train, validation)))


def _standardised(split: Split) -> Split:
    """Features of mean 0 and deviation 1; the statistics are the training part's own."""
    mean, deviation = split.train.x.mean(0), split.train.x.std(0)
    return Split(*(Labelled((part.x - mean) / deviation, part.y) for part in split))


@functools.cache
def paragraphs() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """English text from CPython's own `pydoc_data.topics`: training and validation paragraphs.

    The topics quote one another at length, so paragraphs are kept once, at their first place:
    otherwise a validation text could be recited from the training text. The last tenth validates.
    """
    from pydoc_data.topics import topics

    parts = [part for name in sorted(topics) for part in topics[name].split("\n\n")]
    unique = tuple(dict.fromkeys(part for part in parts if part.strip()))
    cut = len(unique) * 9 // 10
    return unique[:cut], unique[cut:]


@functools.cache
def text() -> tuple[np.ndarray, np.ndarray]:
    """The paragraphs as symbols: training [n] and validation [m], uint8 below `VOCABULARY`."""
    symbol = {character: i for i, character in enumerate(ALPHABET)}
    other = len(ALPHABET)

    def encode(parts: tuple[str, ...]) -> np.ndarray:
        return np.array([symbol.get(c, other) for c in "\n\n".join(parts)], np.uint8)

    train, validation = paragraphs()
    return encode(train), encode(validation)


def windows(symbols: np.ndarray, count: int, length: int) -> np.ndarray:
    """`count` evenly spaced pieces of a text: [count, length]."""
    starts = np.linspace(0, len(symbols) - length, count).astype(int)
    return symbols[starts[:, None] + np.arange(length)]


@functools.cache
def photos() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's sample photographs, a temple and a flower: two [427, 640, 3] uint8."""
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg"), load_sample_image("flower.jpg")


def patches(photo: np.ndarray, rows: int, columns: int, size: int) -> np.ndarray:
    """Evenly spaced square pieces of a photograph: [rows * columns, size, size, 3]."""
    height, width, _ = photo.shape
    top = np.linspace(0, height - size, rows).astype(int)
    left = np.linspace(0, width - size, columns).astype(int)
    pieces = [photo[i : i + size, j : j + size] for i in top for j in left]
    return np.stack(pieces)
