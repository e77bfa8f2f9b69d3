"""Tasks to train on, training, scores, baselines, and the funnel from proxy to target.

Nothing here imports JAX at import time: a listing of the tasks is instant.
"""
