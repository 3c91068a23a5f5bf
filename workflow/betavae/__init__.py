"""β-VAE (Higgins et al., ICLR 2017), reproduced: one small module a step, file to file."""

__version__ = "0.1.0"
