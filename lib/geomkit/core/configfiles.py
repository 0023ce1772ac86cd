"""Locate configuration keys by file and line, which Snakemake loses when it merges files.

`python -m geomkit.core.configfiles my.yaml` names the line of invalid YAML and of a key that occurs twice.
"""

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from geomkit.core.errors import ConfigError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
MERGE = "tag:yaml.org,2002:merge"
OTHER_BASE = re.compile(r"[-+]?0[0-9_]|.*:")
"""Numbers that YAML 1.1 reads in base 8 or 60."""
UNKNOWN = object()
Keys = tuple[Any, ...]


class Fault(NamedTuple):
    """A fault of a configuration.

    said: the key, a colon, and what is wrong. value: keys of a value that nothing can be made of, so that what needs it is not
    checked; None where there is none.
    """

    said: str
    value: Keys | None = None

    def __str__(self) -> str:
        return f"config: {self.said}"


class Written(NamedTuple):
    """A key and its value in a configuration file."""

    path: Path
    key: Node
    value: Node

    @property
    def place(self) -> str:
        return place(self.path, self.key)


class ConfigFiles:
    """Configuration files of a run, in order; later ones take precedence, and the first has the defaults.

    known: keys at the top of the configuration. A file of a workflow that takes this one as a module has them one level deeper.
    """

    def __init__(self, paths: Iterable[str | Path] = (), known: Collection[str] = ()):
        self._files = [(Path(path), node) for path in dict.fromkeys(map(str, paths)) if (node := composed(Path(path)))]
        self._tops = [(path, top) for path, node in self._files for top in tops(node, known)]

    def faults(self) -> Iterator[Fault]:
        """Find keys that occur twice and numbers that YAML reads otherwise than written, with their lines."""
        for path, node in self._files:
            for keys, first, second in repeated(node):
                yield Fault(
                    f"{'.'.join(keys)}: stands twice in {shown(path)}, lines {line(first)} and {line(second)}, and the "
                    "first would be lost; join the two, or rename one",
                    keys,
                )
        for path, top in self._tops:
            for keys, scalar in scalars(top):
                if scalar.tag in NUMBERS and not scalar.style and OTHER_BASE.match(scalar.value):
                    yield Fault(
                        f"{'.'.join(keys)}: YAML reads {scalar.value} as {value_of(scalar)}; write "
                        f'"{scalar.value}" for a name, or the number without 0 in front ({place(path, scalar)})',
                        keys,
                    )

    def entries_given_anew(self, kinds: Iterable[str]) -> Iterator[Fault]:
        """Find catalogue entries that a file redefines by accident.

        It gives an entry anew, with its source, and keys that an earlier file gave to it would stay.
        """
        for kind in kinds:
            before: dict[str, tuple[str, set[str]]] = {}
            for path, top in self._tops:
                catalogue = children(top).get(kind)
                for name, (key, entry) in children(catalogue[1]).items() if catalogue else ():
                    where, keys = before.get(name, ("", set()))
                    left = keys - set(children(entry))
                    if left and "source" in children(entry):
                        yield Fault(
                            f"{kind}.{name}: stands in {where}, too, and the two are joined: {', '.join(sorted(left))} "
                            f"would stay; choose another name, or leave out source to change single keys ({place(path, key)})",
                            (kind, name),
                        )
                    before[name] = place(path, key), keys | set(children(entry))

    def is_default(self, keys: Keys, value: Any) -> bool:
        """Whether the first of the files, which has the defaults, is the last that sets these keys."""
        written = self.find(keys, value)
        return written is not None and written.path.resolve() == self._files[0][0].resolve()

    def placed(self, error: ConfigError, config: Mapping[str, Any]) -> ConfigError:
        """Add the file and the line of the key to an error, if a file has this key with the configuration's value."""
        said = str(error)
        if re.search(r", lines? \d", said) or not said.startswith("config: "):
            return error
        written = self.find(*named(said.removeprefix("config: "), config))
        return ConfigError(f"{said} ({written.place})") if written else error

    def find(self, keys: Sequence[Any], value: Any) -> Written | None:
        """Find the last file that sets these keys; None if the command line set the value."""
        for path, top in reversed(self._tops) if keys else ():
            key, node = top, top
            for name in keys:
                pair = children(node).get(str(name)) or next(
                    (pair for pair in children(node).values() if not isinstance(name, str) and value_of(pair[0]) == name), None
                )
                if pair is None:
                    break
                key, node = pair
            else:
                same = isinstance(node, MappingNode) or repr(value_of(node)) == repr(value)
                return Written(path, key, node) if same else None
        return None


def composed(path: Path) -> Node | None:
    """Parse a YAML or JSON file to nodes; None if that is not possible, as in a job to which the file was not sent."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    for version in (text, text.replace("\t", " ")):  # JSON may be indented by tabs
        try:
            return yaml.compose(version, Loader=LOADER)
        except yaml.YAMLError:
            continue
    return None


def tops(node: Node, known: Collection[str]) -> list[Node]:
    """Return the mappings of a file that have known keys: the top one, or else those one level below."""
    return (
        [node]
        if set(children(node)).intersection(known)
        else [value for _, value in children(node).values() if set(children(value)).intersection(known)]
    )


def children(node: Node) -> dict[str, tuple[Node, Node]]:
    """Return the children of a mapping by key or of a list by number, each as the nodes of key and value."""
    if isinstance(node, MappingNode):
        return {key.value: (key, value) for key, value in node.value if isinstance(key, ScalarNode)}
    return {str(number): (item, item) for number, item in enumerate(node.value)} if isinstance(node, SequenceNode) else {}


def inside(node: Node, keys: Keys = (), above: tuple[int, ...] = ()) -> Iterator[tuple[Keys, Node]]:
    """Walk a node and all below it, each with its keys. Raises ConfigError for an alias that contains itself."""
    if id(node) in above:
        raise ConfigError(f"config: {'.'.join(keys)}: an alias that contains itself, line {line(node)}")
    yield keys, node
    for key, (_, value) in children(node).items():
        yield from inside(value, (*keys, key), (*above, id(node)))


def repeated(node: Node) -> Iterator[tuple[Keys, Node, Node]]:
    """Find keys that occur twice in a mapping, with both nodes."""
    for keys, mapping in inside(node):
        seen: dict[tuple[str, str], Node] = {}
        for key, _ in mapping.value if isinstance(mapping, MappingNode) else ():
            first = seen.setdefault((key.tag, str(key.value)), key)
            if first is not key and key.tag != MERGE:
                yield (*keys, str(key.value)), first, key


def scalars(node: Node) -> Iterator[tuple[Keys, ScalarNode]]:
    """Walk all scalars below a node, keys of mappings included."""
    for keys, inner in inside(node):
        if isinstance(inner, ScalarNode):
            yield keys, inner
        elif isinstance(inner, MappingNode):
            yield from (((*keys, key.value), key) for key, _ in inner.value if isinstance(key, ScalarNode))


def value_of(node: Node) -> Any:
    """Return the value of a node; UNKNOWN for a tag that only Snakemake's loader knows."""
    try:
        return yaml.constructor.SafeConstructor().construct_document(node)
    except (yaml.YAMLError, ValueError):
        return UNKNOWN


def named(said: str, config: Any) -> tuple[list[str | int], Any]:
    """Parse the keys at the start of an error's message, as far as the configuration has them; also return the value there."""
    keys: list[str | int] = []
    while not said.startswith(":"):
        items = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
        fitting = {str(key): (key, value) for key, value in items if re.match(rf"\.?{re.escape(str(key))}[.:]", said)}
        if not fitting:
            break
        key, config = fitting[longest := max(fitting, key=len)]
        keys, said = [*keys, key], said.removeprefix(".")[len(longest) :]
    unknown = re.search(r": unknown key '(.+?)'", said)
    if unknown and isinstance(config, Mapping) and unknown[1] in config:
        return [*keys, unknown[1]], config[unknown[1]]
    return keys, config


def shown(path: Path) -> str:
    """Return a path relative to the working directory, if it lies below it."""
    return os.path.relpath(path) if path.absolute().is_relative_to(Path.cwd()) else str(path)


def line(node: Node) -> int:
    return node.start_mark.line + 1


def place(path: Path, node: Node) -> str:
    return f"{shown(path)}, line {line(node)}"


def main(paths: Sequence[str]) -> None:
    """Print what is wrong with each file, in one line, and exit with status 1 if anything is."""
    faults = []
    for path in paths:
        try:
            top = yaml.compose(Path(path).read_text(encoding="utf-8-sig"), Loader=LOADER)
            if not isinstance(top, MappingNode):
                faults.append(f"{path}: no keys at the top")
            else:
                faults += [f"{path}: {fault}" for fault in ConfigFiles([path], list(children(top))).faults()]
        except (OSError, UnicodeDecodeError, ConfigError, yaml.YAMLError) as error:
            faults.append(" ".join(f"{path}: {error}".split()))
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main(sys.argv[1:])
