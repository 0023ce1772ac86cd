"""The notebooks run from top to bottom, and git has them without outputs."""

import json
from pathlib import Path
from runpy import run_path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_has_no_outputs(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) <= 10
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_on_the_site_opens_in_colab(path, monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    in_colab = run_path(str(ROOT / "docs/conf.py"))["in_colab"]
    place = path.relative_to(ROOT)
    title, *others = nbformat.reads(in_colab(place, path.read_text()), as_version=4).cells
    assert f"\n\n[Open in Colab](https://colab.research.google.com/github/a/b/blob/main/{place.as_posix()})" in title.source
    assert others == nbformat.read(path, as_version=4).cells[1:]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "lib"))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert ("exponent" if path.stem == "a_family" else "trained") in said
