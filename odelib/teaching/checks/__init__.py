"""The checks of the exercises, one module per chapter, each with a tuple ``EXERCISES``."""
