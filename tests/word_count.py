"""How many words a page has."""

import re


def words(text: str) -> int:
    """Number of words: what is between spaces and holds a letter or a digit."""
    return sum(bool(re.search(r"\w", word)) for word in text.split())
