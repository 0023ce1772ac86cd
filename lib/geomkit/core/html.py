"""Fill templates of pages with data that nothing in them can break."""

import json
from pathlib import Path
from typing import Any

from geomkit.core.errors import DataError


def script_json(value: Any) -> str:
    """JSON in ASCII without a `<`: nothing in it ends a script block, opens a comment in one, or breaks a line of JavaScript."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")


def shared_script() -> str:
    """Return the JavaScript that pages share: elements made of text, numbers, and tokens as words that keys move among."""
    return Path(__file__).with_name("page.js").read_text(encoding="utf-8")


def filled(template: str, **parts: str) -> str:
    """Return a template with each `{{ name }}` replaced by the part of that name.

    Parts are taken as they are, and what looks like a place in one is not filled. Raises DataError if a place is not there once.
    """
    spans = []
    for name, text in parts.items():
        place = f"{{{{ {name} }}}}"
        if (places := template.count(place)) != 1:
            raise DataError(f"template: {place} is there {places} times; it must be there once")
        spans.append((template.index(place), place, text))
    done, pieces = 0, []
    for start, place, text in sorted(spans):
        pieces += [template[done:start], text]
        done = start + len(place)
    return "".join([*pieces, template[done:]])
