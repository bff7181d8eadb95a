"""Containerised, one-command rerun of a study of Mixture-of-Experts inference on edge hardware."""

__version__ = "0.2.0"
