"""The site: `make site` builds it strictly."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
project = "geomkit"
author = "the geomkit authors"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
extensions = ["myst_nb", "autodoc2"]
exclude_patterns = ["_build", "jupyter_execute"]
nitpick_ignore_regex = [(r"py:.*", r"(?!geomkit\.).*|.*\.Array")]  # types of other packages, and the name for their arrays
html_theme = "furo"
html_title = f"geomkit {version}"

myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 600

autodoc2_packages = [
    {"path": f"../lib/geomkit/{name}", "module": f"geomkit.{name}", "auto_mode": True}
    for name in ("core", "measures", "laws", "tables")
]
autodoc2_docstring_parser_regexes = [(".*", "myst")]
autodoc2_hidden_objects = {"private", "dunder", "inherited"}
autodoc2_render_plugin = "myst"
autodoc2_output_dir = "reference"


def named_files(app, name, content):
    """Name a file of the project where a page links to it: the site has no copy of it."""
    content[0] = re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", r"\1 (`\2`)", content[0])


def setup(app):
    """Register what pages need before they are read."""
    app.connect("source-read", named_files)
