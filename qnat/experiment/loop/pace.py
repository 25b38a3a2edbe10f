"""How many steps the next chunk takes, so that the host is back about twice a second."""

TARGET_SECONDS = 0.5
GROWTH = 4


class Pace:
    """Chunk lengths from the measured speed. They end at multiples of `every` where that fits into the target."""

    def __init__(self, every: int, capacity: int) -> None:
        self._every = every
        self._capacity = capacity
        self._wanted = 1

    def length(self, first: int, remaining: int) -> int:
        """The length of the chunk that starts at row `first`."""
        end = first + min(self._wanted, self._capacity)
        aligned = end - end % self._every
        return min((aligned if aligned > first else end) - first, remaining)

    def measured(self, count: int, seconds: float) -> None:
        """Learn from a chunk of `count` steps."""
        fitting = int(TARGET_SECONDS * count / max(seconds, 1e-9))
        self._wanted = max(1, min(fitting, GROWTH * count))
