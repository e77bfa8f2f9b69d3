"""NumPy references by families of rules.

Every function here under `reference` is the reference of the rule of its name; a further rule needs
nothing but a further function.
"""
