"""Independent references that every documented optimizer is compared with.

Nothing in this package imports evoptax: the NumPy functions are written from the papers'
equations, the Optax constructions call Optax alone, and the golden trajectories come from other
people's packages. Importing the package itself loads NumPy only.
"""
