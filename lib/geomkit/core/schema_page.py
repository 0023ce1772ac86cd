"""Render docs/configuration.md from the configuration's schema: `python -m geomkit.core.schema_page SCHEMA CONFIG > PAGE`."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

HEAD = """# Configuration

<!-- Made by `make docs` from workflow/schemas/config.schema.yaml. -->

`config.yaml` holds these keys. `--configfile` adds another file: its mappings are merged into these, and its lists replace these.
Unknown keys are refused. `<name>` stands for a name of your own, and `[ ]` for the entries of a list. The last column has
the value that ships.
"""

NAMES = {"object": "mapping", "integer": "whole number", "number": "number", "string": "string", "boolean": "boolean"}
"""Names of the schema's types on the page."""


class Key(NamedTuple):
    """One key of the schema: its path, such as `models.<name>.source`, and its own part of the schema, references resolved."""

    path: tuple[str, ...]
    part: Mapping[str, Any]


def resolved(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Resolve the references in a part of the schema; its own description takes precedence."""
    return {**definitions[part["$ref"].removeprefix("#/$defs/")], **part} if "$ref" in part else part


def keys(part: Mapping[str, Any], definitions: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Key]:
    """Walk every key below a part of the schema, in its order, each before those inside it."""
    inner = [((*path, name), one) for name, one in part.get("properties", {}).items()]
    if isinstance(entry := part.get("additionalProperties"), Mapping):
        inner.append(((*path, "<name>"), entry))
    if isinstance(entry := part.get("items"), Mapping) and "properties" in resolved(entry, definitions):
        yield from keys(resolved(entry, definitions), definitions, (*path[:-1], f"{path[-1]}[ ]"))
    for place, one in inner:
        whole = resolved(one, definitions)
        if "description" in whole:
            yield Key(place, whole)
        yield from keys(whole, definitions, place)


def kind(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Describe what a key takes: a type, a list of one, or the allowed words."""
    part = resolved(part, definitions)
    if "const" in part:
        return str(part["const"])
    if "enum" in part:
        return "/".join(value if isinstance(value, str) else json.dumps(value) for value in part["enum"])
    if options := part.get("oneOf", part.get("anyOf")):
        return " or ".join(dict.fromkeys(kind(one, definitions) for one in options))
    if part.get("type") == "array":
        one = kind(part["items"], definitions)
        return f"list of {one}s" if one in NAMES.values() else f"list of ({one})"
    types = part["type"] if isinstance(part["type"], list) else [part["type"]]
    return " or ".join(NAMES[name] for name in types)


def shipped(config: Any, path: tuple[str, ...]) -> str:
    """Format a key's value in the shipped configuration; an empty string for a mapping, or without a value."""
    for name in path:
        if not isinstance(config, Mapping) or name not in config:
            return ""
        config = config[name]
    return "" if isinstance(config, Mapping) or "{" in json.dumps(config) else f"`{json.dumps(config)}`"


def page(schema: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Render the whole page: a section for each key at the top, with a table of the keys below it."""
    definitions, lines = schema["$defs"], [HEAD]
    for name, entry in schema["properties"].items():
        part = resolved(entry, definitions)
        below = list(keys(part, definitions, (name,)))
        value = "" if below else f" {kind(part, definitions).capitalize()}; {shipped(config, (name,))} ships."
        lines += [f"## {name}", "", f"{part['description']}{value}", ""]
        if below:
            rows = [(key, cell(key.part["description"])) for key in below]
            lines += ["| key | value | meaning | ships |", "| --- | --- | --- | --- |"]
            lines += [
                f"| `{'.'.join(key.path)}` | {kind(key.part, definitions)} | {text} | {shipped(config, key.path)} |"
                for key, text in rows
            ]
            lines.append("")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Escape text for a table cell."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    schema, config = (yaml.safe_load(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:3])
    sys.stdout.write(page(schema, config))


if __name__ == "__main__":
    main()
