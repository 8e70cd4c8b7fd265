"""How the processes of one run find each other, know each other and notice that one is gone. Does not import JAX."""
