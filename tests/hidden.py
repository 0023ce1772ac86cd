"""Interpreters in which packages seem not to be installed."""

from collections.abc import Iterable

HIDE = """
import pkgutil
import sys


class Hide:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"hidden: {{name}}")


sys.meta_path.insert(0, Hide)
listed = pkgutil.iter_modules
pkgutil.iter_modules = lambda *options, **more: (each for each in listed(*options, **more) if each.name not in {names!r})
"""


def hiding(names: Iterable[str]) -> str:
    """Code that hides packages from all that is imported after it."""
    return HIDE.format(names=sorted(names))
