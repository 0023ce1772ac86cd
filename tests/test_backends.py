"""What is imported with torch and transformers, and how."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from geomkit.models.backends import without_collector

LIBRARY = Path(__file__).parents[1] / "lib"
NEVER = ["sklearn", "datasets", "matplotlib", "pandas"]
RUN = """
import gc, json, sys
runs = []
gc.callbacks.append(lambda phase, facts: runs.append(phase))
import geomkit.models.backends
print(json.dumps([runs, gc.isenabled(), [name for name in json.loads(sys.argv[1]) if name in sys.modules]]))
"""


@pytest.mark.slow
def test_backends_are_imported_without_the_collector_and_what_no_dump_needs():
    found = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(NEVER)],
        env=os.environ | {"PYTHONPATH": str(LIBRARY)},
        capture_output=True,
        text=True,
        check=True,
    )
    collected, enabled, loaded = json.loads(found.stdout.splitlines()[-1])
    assert len(collected) < 10, "a few times before and after"
    assert enabled
    assert loaded == []


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_afterwards_as_it_was(enabled):
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with without_collector():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        gc.unfreeze()
        (gc.enable if before else gc.disable)()
