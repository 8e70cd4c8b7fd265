"""The parts of `scripts.gpu_check`: what is checked and measured where an NVIDIA GPU is at hand."""
