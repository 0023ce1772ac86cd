"""Texts that count themselves: what streams holds few of them at a time."""


class Counted(str):
    """A text that counts how many of its kind are in memory."""

    alive = most = 0

    def __new__(cls, text: str) -> "Counted":
        Counted.alive += 1
        Counted.most = max(Counted.most, Counted.alive)
        return super().__new__(cls, text)

    def __del__(self) -> None:
        Counted.alive -= 1
