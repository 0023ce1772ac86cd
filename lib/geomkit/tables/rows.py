"""Read and write typed rows of the small files between stages, as CSV or JSON.

Each kind of row is one frozen dataclass, whose fields are the file's columns, in order, with their types. A type is str, int,
float, bool, an enumeration, or one of these or None; JSON takes tuples, mappings and other records as well. Nothing is guessed:
what is not of its column's type, a column that is not there and one that is not known are DataErrors that name file and column;
a column that is not there has the field's default, if there is one.
In CSV None is an empty cell, a bool is 0 or 1, and a float has as many digits as tell it from every other.
"""

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from geomkit.core.errors import DataError
from geomkit.core.provenance import replacing

R = TypeVar("R")


def defined(value: float) -> float | None:
    """Return a number, or None for NaN."""
    return None if math.isnan(value) else float(value)


def write_csv(path: Path, record: type[R], rows: Iterable[R]) -> None:
    """Write rows of one kind as CSV; without rows only the columns.

    Raises DataError for a value of another type than its column's.
    """
    kinds, rows = columns(record), list(rows)
    own = open_columns(record)
    extra = list(getattr(rows[0], own)) if own and rows else []
    names = [name for field in kinds for name in (extra if field == own else [field])]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        file.write(line(names))
        for number, row in enumerate(rows, 2):
            values = vars(row) | (getattr(row, own) if own else {})
            if own and list(getattr(row, own)) != extra:
                raise DataError(f"{path}: line {number}: not the same {own} as in line 2")
            file.write(line(to_cell(values[name], kinds.get(name, float), f"{path}: column {name!r}") for name in names))


def join_csv(path: Path, parts: Sequence[Path]) -> None:
    """Concatenate CSV files of one kind. Raises DataError, naming the file, for one with other columns."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        for part in parts:
            header, rows = part.read_bytes().split(b"\n", 1)
            if file.tell() == 0:
                file.write(first := header + b"\n")
            if header + b"\n" != first:
                raise DataError(f"{part}: its columns are not those of {parts[0]}; remove it and run again")
            file.write(rows)


def folders_of(files: Iterable[Path]) -> list[Path]:
    """Return the folders of the files, each once, in the order of the files."""
    return list(dict.fromkeys(file.parent for file in files))


def line(cells: Iterable[str]) -> str:
    """Format a line of CSV.

    The csv module leaves a lone carriage return unquoted, which reading takes for the end of the line.
    """
    special = frozenset(',"\r\n')
    return ",".join('"' + cell.replace('"', '""') + '"' if special & set(cell) else cell for cell in cells) + "\n"


def read_csv(path: Path, record: type[R]) -> list[R]:
    """Read rows of a CSV file as records.

    Raises DataError that names the file and the column for one that is not there or not known, and for a cell of another type.
    """
    kinds, own = columns(record), open_columns(record)
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        names = next(reader, [])
        if missing := [name for name in required(record) if name not in names and name != own]:
            raise DataError(f"{path}: no column {missing[0]!r}; a {record.__name__} has {', '.join(kinds)}")
        if repeated := [name for name in names if names.count(name) > 1]:
            raise DataError(f"{path}: column {repeated[0]!r} stands there more than once")
        if (unknown := [name for name in names if name not in kinds]) and not own:
            raise DataError(f"{path}: unknown column {unknown[0]!r}; a {record.__name__} has {', '.join(kinds)}")
        readers = [(name, cell_reader(kinds.get(name, float))) for name in names]
        rows = []
        for cells in reader:
            if len(cells) != len(names):
                raise DataError(f"{path}: line {reader.line_num} has {len(cells)} cells for {len(names)} columns")
            values: dict[str, Any] = {}
            for (name, parse), cell in zip(readers, cells, strict=True):
                try:
                    values[name] = parse(cell)
                except ValueError:
                    kind = described(kinds.get(name, float))
                    raise DataError(f"{path}: line {reader.line_num}, column {name!r}: {cell!r} is not {kind}") from None
            if own:
                values[own] = {name: values.pop(name) for name in unknown}
            rows.append(record(**values))
    return rows


def write_json(path: Path, kind: type[R], value: R) -> None:
    """Write a record, or a list of them, as JSON: `kind` is the declared type, such as list[MetricLaw]."""
    plain = encoded(value, kind, str(path))
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, kind: type[R]) -> R:
    """Read what `write_json` wrote. Raises DataError that names the file and the key for a value of another type."""
    try:
        plain = json.loads(Path(path).read_text())
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    return cast(R, decoded(plain, kind, str(path)))


def columns(record: Any) -> dict[str, Any]:
    """Return names and types of a record's fields, in order."""
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def required(record: Any) -> list[str]:
    """Return the names of a record's fields without a default."""
    return [field.name for field in fields(record) if field.default is MISSING and field.default_factory is MISSING]


def open_columns(record: type) -> str | None:
    """Return the field for all columns that the record does not name, if it has one."""
    return next((name for name, kind in columns(record).items() if get_origin(kind) is Mapping), None)


def optional(kind: Any) -> tuple[Any, bool]:
    """Strip None from a type; also return whether it was there."""
    if get_origin(kind) in (Union, UnionType):
        rest = [one for one in get_args(kind) if one is not type(None)]
        return rest[0], len(rest) < len(get_args(kind))
    return kind, False


def described(kind: Any) -> str:
    """Describe a type in words."""
    own, may_be_none = optional(kind)
    known = {str: "text", int: "an integer", float: "a finite number", bool: "true or false (in CSV 1 or 0)"}
    if own in known:
        words = known[own]
    elif isinstance(own, type) and issubclass(own, StrEnum):
        words = f"one of {', '.join(own)}"
    else:
        words = getattr(own, "__name__", str(own))
    return words + (" or nothing" if may_be_none else "")


def scalar(value: Any, kind: Any, where: str) -> Any:
    """Convert a value to a plain str, int, float or bool."""
    if isinstance(kind, type) and issubclass(kind, StrEnum) and value in tuple(kind):
        return str(value)
    if kind is str and type(value) is str:
        return value
    if kind is bool and isinstance(value, bool | np.bool_):
        return bool(value)
    if kind is int and isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if kind is float and isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise DataError(f"{where}: {value!r} is not {described(kind)}")


def to_cell(value: Any, kind: Any, where: str) -> str:
    """Format a value as a cell of CSV."""
    own, may_be_none = optional(kind)
    if value is None and may_be_none:
        return ""
    plain = scalar(value, own, where)
    if own is bool:
        return str(int(plain))
    if plain == "" and may_be_none:
        raise DataError(f"{where}: an empty text is indistinguishable from no value")
    return repr(plain) if own is float else str(plain)


def cell_reader(kind: Any) -> Callable[[str], Any]:
    """Return a function that parses cells of a type and raises ValueError for others."""
    own, may_be_none = optional(kind)
    readers: dict[Any, Callable[[str], Any]] = {str: str, int: integer, float: finite, bool: truth}
    read: Callable[[str], Any] = readers.get(own, own)
    return (lambda cell: read(cell) if cell else None) if may_be_none else read


def integer(cell: str) -> int:
    if not cell.removeprefix("-").isdecimal():
        raise ValueError(cell)
    return int(cell)


def finite(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value) or "_" in cell:
        raise ValueError(cell)
    return value


def truth(cell: str) -> bool:
    if cell not in ("0", "1"):
        raise ValueError(cell)
    return cell == "1"


def encoded(value: Any, kind: Any, where: str) -> Any:
    """Encode a value of a declared type for JSON."""
    own, may_be_none = optional(kind)
    if value is None and may_be_none:
        return None
    if is_dataclass(own):
        if type(value) is not own:
            raise DataError(f"{where}: {value!r} is not {described(kind)}")
        return {name: encoded(getattr(value, name), of, f"{where}: {name!r}") for name, of in columns(own).items()}
    if get_origin(own) in (list, tuple):
        kinds = element_kinds(own, value, where)
        return [encoded(item, of, f"{where}: {number}") for number, (item, of) in enumerate(zip(value, kinds, strict=True))]
    if get_origin(own) is Mapping:
        _, of = get_args(own)
        return {scalar(name, str, where): encoded(item, of, f"{where}: {name!r}") for name, item in value.items()}
    return scalar(value, own, where)


def decoded(plain: Any, kind: Any, where: str) -> Any:
    """Decode a value of a declared type from JSON."""
    own, may_be_none = optional(kind)
    if plain is None and may_be_none:
        return None
    if is_dataclass(own) or get_origin(own) is Mapping:
        if not isinstance(plain, dict):
            raise DataError(f"{where}: {plain!r} is not {described(kind)}")
        if not is_dataclass(own):
            return {name: decoded(item, get_args(own)[1], f"{where}: {name!r}") for name, item in plain.items()}
        kinds = columns(own)
        if missing := [name for name in required(own) if name not in plain]:
            raise DataError(f"{where}: no key {missing[0]!r}; a {described(kind)} has {', '.join(kinds)}")
        if unknown := [name for name in plain if name not in kinds]:
            raise DataError(f"{where}: unknown key {unknown[0]!r}; a {described(kind)} has {', '.join(kinds)}")
        return cast(type, own)(
            **{name: decoded(plain[name], of, f"{where}: {name!r}") for name, of in kinds.items() if name in plain}
        )
    if get_origin(own) in (list, tuple):
        each = element_kinds(own, plain, where)
        items = [decoded(item, of, f"{where}: {number}") for number, (item, of) in enumerate(zip(plain, each, strict=True))]
        return items if get_origin(own) is list else tuple(items)
    value = scalar(plain, own, where)
    return own(value) if isinstance(own, type) and issubclass(own, StrEnum) else value


def element_kinds(kind: Any, values: Any, where: str) -> Sequence[Any]:
    """Return the type of each element of a list or a tuple."""
    kinds = get_args(kind)
    many = get_origin(kind) is list or kinds[1:] == (...,)
    if not isinstance(values, list | tuple) or (not many and len(values) != len(kinds)):
        raise DataError(f"{where}: {values!r} is not {'a list' if many else f'{len(kinds)} values'}")
    return [kinds[0]] * len(values) if many else kinds
