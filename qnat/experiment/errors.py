"""What can go wrong around a run. Every message is one sentence that a user can act on."""


class RefusedError(ValueError):
    """Asked for something that cannot be done; nothing was computed and nothing was written."""


class NonFiniteError(ArithmeticError):
    """The loss stopped being a number. The folder keeps the last finite state and can be resumed."""


class StorageError(OSError):
    """The folder could not be written, because the disk is full for example. It resumes from its last checkpoint."""
