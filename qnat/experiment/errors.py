"""What can go wrong around a run. Every message is one sentence that a user can act on."""


class RefusedError(ValueError):
    """Asked for something that cannot be done; nothing was computed and nothing was written."""


class NonFiniteError(ArithmeticError):
    """The loss stopped being a number. The folder keeps the last finite state and can be resumed."""


class StorageError(OSError):
    """The folder could not be written, because the disk is full for example. It resumes from its last checkpoint."""


def missing(error: ModuleNotFoundError) -> str:
    """One sentence about a package that is not installed."""
    name = (error.name or "").partition(".")[0]
    package = {"sklearn": "scikit-learn"}.get(name, name)
    return f"The package {package} is not installed; 'pip install {package}' brings it."
