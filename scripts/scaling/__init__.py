"""What devices tell each other in a training step: read off the compiled program, counted, and
carried further.
"""
