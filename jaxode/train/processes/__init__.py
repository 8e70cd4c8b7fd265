"""How the processes of one run meet, and notice that one of them has died. Does not import JAX."""
