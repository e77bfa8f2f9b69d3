"""Programs in NumPy. What a primitive does to arrays stands once, in `functions`.

`stepping` is the reference: the interpreter over tensors of their true shapes, one step at a time.
`in_place` takes thousands of short runs that follow their own weights, so its calls fill arrays
that are all allocated before the first step, for all runs together. `whole_runs` answers recorded
runs, whose weights and gradients are known for all steps, so a call computes all steps at once;
`recorder` writes down its calls, and literals are variables, which a fit asks for many values of.
"""
