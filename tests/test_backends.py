"""What is imported with torch and transformers, and what is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "lib"
NEVER = ("torch._dynamo", "torch.distributed.tensor", "scipy.optimize", "sklearn", "datasets", "matplotlib", "pandas")

RUN = """
import json, sys
import geomkit.lm.dumping
import torch
from pathlib import Path
from geomkit.lm import backends
from geomkit.lm.models import load_model, untrained_twin

def loaded():
    return [name for name in json.loads(sys.argv[2]) if name in sys.modules]

started = loaded()
for make in (lambda *how: load_model(*how), lambda folder, *how: untrained_twin(folder, 0, *how)):
    make(Path(sys.argv[1]), "float32", torch.device("cpu"))(torch.tensor([[1, 2, 3]]))
ran = loaded()
with backends.without_compiler():
    import torch._dynamo.utils
    given_way = torch._dynamo.utils is sys.modules["torch._dynamo.utils"]
double = torch.compile(lambda x: 2 * x, backend="eager")(torch.ones(1)).item()
print(json.dumps([started, ran, given_way, double, any(isinstance(one, backends.Modules) for one in sys.meta_path)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["gpt-neox", "llama"])
def test_a_model_runs_without_the_compiler_which_is_there_for_whoever_asks(architecture, tiny):
    found = subprocess.run(
        [sys.executable, "-c", RUN, str(tiny(architecture)), json.dumps(NEVER)],
        env=os.environ | {"PYTHONPATH": str(LIBRARY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(found.stdout.splitlines()[-1]) == [[], [], True, 2.0, False]


def test_marks_with_and_without_options_leave_a_function_as_it_is():
    from geomkit.lm.backends import unmarked

    assert unmarked(len) is len
    assert unmarked(recursive=False)(len) is len
    assert unmarked(None, True, reason="?")(len) is len
