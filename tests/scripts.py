"""Scripts of the workflow as modules, without the job around them."""

import sys
from pathlib import Path
from types import ModuleType

SCRIPTS = Path(__file__).parents[1] / "workflow/scripts"


def script(name: str) -> ModuleType:
    """The functions of `workflow/scripts/{name}.py`."""
    source = (SCRIPTS / f"{name}.py").read_text().split("with logged(")[0]
    module = sys.modules[f"script_{name}"] = ModuleType(f"script_{name}")
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module
