"""The checks of the exercises, one module for each topic, each with a tuple ``EXERCISES``."""
