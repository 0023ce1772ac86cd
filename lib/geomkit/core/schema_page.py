"""Render the pages of the configuration from its schema: `python -m geomkit.core.schema_page SCHEMA CONFIG DOCS`."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

MADE = "<!-- Made by `make docs` from workflow/schemas/config.schema.yaml. -->"
HEAD = f"""# Configuration

{MADE}

`config.yaml` holds these keys. A configuration of your own holds only what differs from it:

    snakemake --cores 8 --configfile mine.yaml

Mappings in `mine.yaml` are merged into those of `config.yaml`, and lists replace them. Unknown keys are refused.
"""
COLUMNS = """`<name>` stands for a name of your own, and `[ ]` for the entries of a list. The last column has the value that
ships. [Configuration](../configuration.md) lists all keys."""
PAGES = {
    "models": ("Which models and texts", ("models", "corpora", "texts")),
    "measurements": ("What is measured", ("entropy", "scaling", "portrait")),
    "studies": ("Studies", ()),
    "training": ("Training and theory", ("ladder", "trajectory", "theory")),
    "compute": ("Where and how models run", ("compute", "dump", "seed")),
}
"""Pages in docs/configuration: the title of each, and its keys at the top of the schema; `studies` has all others."""

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


def pages(schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """Render the pages by their paths below docs: an index, and pages with a section for each key at the top of the schema."""
    page_of = {name: page for page, (_, names) in PAGES.items() for name in names}
    rendered, index = {}, []
    for page, (title, _) in PAGES.items():
        names = [name for name in schema["properties"] if page_of.get(name, "studies") == page]
        sections = [line for name in names for line in section(name, schema, config)]
        rendered[f"configuration/{page}.md"] = "\n".join([f"# {title}", "", MADE, "", COLUMNS, "", *sections])
        for name in names:
            described = cell(resolved(schema["properties"][name], schema["$defs"])["description"].partition(". ")[0].rstrip("."))
            index.append(f"| [`{name}`](configuration/{page}.md#{name}) | {described} |")
    return {"configuration.md": "\n".join([HEAD, "| key | what it sets |", "| --- | --- |", *index, ""])} | rendered


def section(name: str, schema: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Render the lines about one key at the top, with a table of the keys below it."""
    definitions = schema["$defs"]
    part = resolved(schema["properties"][name], definitions)
    below = list(keys(part, definitions, (name,)))
    value = "" if below else f" {kind(part, definitions).capitalize()}; {shipped(config, (name,))} ships."
    lines = [f"## {name}", "", f"{part['description']}{value}", ""]
    if below:
        rows = [(key, cell(key.part["description"])) for key in below]
        lines += ["| key | value | meaning | ships |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{'.'.join(key.path)}` | {kind(key.part, definitions)} | {text} | {shipped(config, key.path)} |"
            for key, text in rows
        ]
        lines.append("")
    return lines


def cell(text: str) -> str:
    """Escape text for a table cell."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    schema, config = (yaml.safe_load(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:3])
    for path, text in pages(schema, config).items():
        page = Path(sys.argv[3], path)
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
