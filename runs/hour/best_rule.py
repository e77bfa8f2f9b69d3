def evolved_26065(w, g, t, m=0, v=0, *, lr=0.1, b1=0.63316, b2=0.77723, eps=4.4384e-8):
    """Found by evoptax, starting from adamw."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    v_hat = v / (0.85 - b2**t)
    return lr * (m / (sqrt(v_hat) + eps))
