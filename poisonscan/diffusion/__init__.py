"""Unconditional diffusion models: what a stamp added to the starting noise does to them."""
