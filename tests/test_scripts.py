"""A script is imports and one call: what it does is in the library, where it can be tested and imported."""

import ast
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "workflow/scripts").glob("*.py"))
ALLOWED = (
    ast.Module, ast.Expr, ast.Constant, ast.Import, ast.ImportFrom, ast.alias, ast.If, ast.With, ast.withitem,
    ast.Call, ast.keyword, ast.Attribute, ast.Subscript, ast.Name, ast.Load, ast.Dict, ast.List,
)  # fmt: skip


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
class TestScript:
    def test_it_is_short(self, path):
        assert len(path.read_text().splitlines()) <= 40

    def test_it_is_a_docstring_imports_and_one_call_inside_logged(self, path):
        tree = ast.parse(path.read_text())
        docstring, *imports, guard, block = tree.body
        assert isinstance(docstring, ast.Expr)
        assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in imports)
        assert isinstance(guard, ast.If)
        assert ast.unparse(guard) == "if TYPE_CHECKING:\n    from snakemake.iocontainers import snakemake"
        assert isinstance(block, ast.With)
        assert ast.unparse(block.items[0]) == "logged(snakemake.log[0])"
        (call,) = block.body
        assert isinstance(call, ast.Expr)
        assert isinstance(call.value, ast.Call)
        assert not call.value.args
        assert all(keyword.arg for keyword in call.value.keywords), "no splat: every argument is named"

    def test_it_holds_nothing_else(self, path):
        kinds = {type(node) for node in ast.walk(ast.parse(path.read_text()))}
        assert kinds <= set(ALLOWED), "no def, class, lambda, comprehension or operator"

    def test_what_it_calls_is_the_librarys(self, path):
        tree = ast.parse(path.read_text())
        called = tree.body[-1].body[0].value.func.id
        modules = {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert modules[called].startswith("geomkit.")

    def test_paths_come_from_input_output_and_log(self, path):
        assert "Path(snakemake.params" not in path.read_text()
