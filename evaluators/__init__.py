"""Training and comparison of rules: `tasks`, `backends` (training) and `scores`.

Importing `evaluators.tasks` does not import JAX, so that listing the tasks is instant.
"""
