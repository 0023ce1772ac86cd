"""The site: `make site` builds it strictly."""

import json
import os
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPOSITORY, BRANCH = os.environ.get("GITHUB_REPOSITORY"), os.environ.get("GITHUB_REF_NAME", "main")  # of a build on GitHub
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


def linked(page, content):
    """Replace links to files outside docs, of which the site has no copy: by links to GitHub, or else by their names."""

    def outside(link):
        target = os.path.normpath(page.parent / link[2])
        if target.startswith("docs/"):
            return link[0]
        return f"[{link[1]}](https://github.com/{REPOSITORY}/blob/{BRANCH}/{target})" if REPOSITORY else f"{link[1]} (`{target}`)"

    return re.sub(r"(?<!!)\[([^\]]+)\]\((\.\./[^)]+)\)", outside, content)


def in_colab(page, content):
    """Add a link to a notebook's first cell that opens it in Colab, if the build knows the repository."""
    notebook = json.loads(content)
    if REPOSITORY:
        url = f"https://colab.research.google.com/github/{REPOSITORY}/blob/{BRANCH}/{page.as_posix()}"
        notebook["cells"][0]["source"] += [f"\n\n[Open in Colab]({url}), and install geomkit there."]
    return json.dumps(notebook)


def change_source(app, name, content):
    """Change the source of a page before it is read."""
    page = Path("docs", Path(app.env.doc2path(name)).relative_to(app.srcdir))
    content[0] = (in_colab if page.suffix == ".ipynb" else linked)(page, content[0])


def setup(app):
    """Register what pages need before they are read."""
    app.connect("source-read", change_source)
