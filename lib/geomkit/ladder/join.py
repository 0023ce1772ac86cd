"""Join CSV files of training runs: learning curves, the sweep that chose a recipe, and the grid over size and data."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from geomkit.tables.rows import read_csv, write_csv
from geomkit.tables.trainings import Cell, ControlTraining, CurvePoint, SweptTraining, Training


def join_curves(tables: Iterable[Path], output: Path) -> None:
    """Join learning curves into one table, in order of width and seed."""
    points = [row for table in tables for row in read_csv(Path(table), CurvePoint)]
    write_csv(output, CurvePoint, sorted(points, key=lambda row: (row.width, row.seed, row.tokens)))


def join_sweep(tables: Iterable[Path], output: Path) -> None:
    """Join the trainings that choose a learning rate and a batch size."""
    names = [field.name for field in fields(SweptTraining)]
    swept = [SweptTraining(**{name: getattr(cell, name) for name in names}) for cell in cells(tables)]
    write_csv(output, SweptTraining, swept)


def join_grid(tables: Iterable[Path], output: Path) -> None:
    """Join trainings over size and data; the one with the lowest validation loss on the same data is marked as chosen."""
    trained = cells(tables)
    write_csv(output, Training, [Training(**vars(cell), chosen=cell is best(cell, trained)) for cell in trained])


def join_controls(tables: Iterable[Path], output: Path) -> None:
    """Join trainings that differ from the ladder into one table."""
    rows = [row for table in tables for row in read_csv(Path(table), ControlTraining)]
    write_csv(output, ControlTraining, rows)


def cells(tables: Iterable[Path]) -> list[Cell]:
    return [cell for table in tables for cell in read_csv(Path(table), Cell)]


def best(cell: Cell, trained: Sequence[Cell]) -> Cell:
    """The training of the same width and seed on the same unique tokens whose validation loss is lowest."""
    own = (cell.width, cell.seed, cell.unique_tokens)
    rivals = [other for other in trained if (other.width, other.seed, other.unique_tokens) == own]
    return min(rivals, key=lambda rival: rival.loss_validation)
