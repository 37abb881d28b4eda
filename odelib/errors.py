"""What can go wrong in a run, each with one sentence for the person at the keyboard."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one sentence: what came, and what to do."""


class LossError(TrainingError):
    """The loss is no longer finite; of several processes that train together, all see it at once."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be written, read, or used for this configuration."""
