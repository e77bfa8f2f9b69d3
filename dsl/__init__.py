"""The language: primitives, programs, their text, analyses, the machine and the exports.

Nothing here imports JAX at import time; the modules that need it (`machine`, `fused`) do.
"""
