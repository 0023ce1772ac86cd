"""A digest of code changes with what code does, for those who use it, and with nothing else."""

import os
import re
import shutil
from pathlib import Path

import pytest

from geomkit.core.declarations import words_in
from geomkit.core.digest import code_digest, content_digest, files_below

FILES = {
    "a.py": "from geomkit.deep.b import helper\n\n\ndef first():\n    return helper() + 1\n",
    "deep/b.py": "from geomkit import c\n\n\ndef helper():\n    return c.NUMBER\n",
    "c.py": "NUMBER = 3\n",
    "d.py": "from geomkit.e import pong\n\n\ndef ping(n):\n    return pong(n - 1) if n else 0\n",
    "e.py": "from geomkit.d import ping\n\n\ndef pong(n):\n    return ping(n)\n",
    "shapes.py": '@shapes.register("disc", label="disc", sides=1)\ndef disc(n, *, radius=1.0):\n    return n\n',
    "names.py": 'from geomkit.core.declarations import declared\nNAMES = declared("geomkit.shapes", "shapes.register")\n',
    "looks.py": 'from geomkit.core.declarations import described\nLOOKS = described("geomkit.shapes", "shapes.register")\n',
    "alone.py": "import numpy\n",
}
SCRIPTS = {name: f"from geomkit.{name} import something\n" for name in ("a", "d", "e", "names", "looks", "shapes", "alone")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "lib/geomkit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, text in SCRIPTS.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def digests(project: Path) -> dict[str, str]:
    return {name: code_digest([project / f"{name}.py"], project / "lib")[0] for name in SCRIPTS}


def changed(project: Path, file: str, old: str, new: str) -> set[str]:
    """Scripts whose digest an edit of a file changes."""
    before, path = digests(project), project / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return {name for name, digest in digests(project).items() if digest != before[name]}


def test_the_same_code_has_the_same_digest_wherever_it_lies(project, tmp_path_factory):
    assert digests(project) == digests(project)
    twin = tmp_path_factory.mktemp("twin")
    project.rename(twin / "project")
    moved = digests(twin / "project")
    (twin / "project").rename(project)
    assert moved == digests(project)


def test_scripts_differ():
    assert len(set(SCRIPTS.values())) == len(SCRIPTS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return helper() + 1", '    """One more."""\n    return helper() + 1'),
        ("    return helper() + 1", "    # one more\n    return helper() + 1  # of them"),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
        ("helper() + 1", "(helper()\n            + 1)"),
        ("from geomkit", '"""Says what this is."""\n\nfrom geomkit'),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(project, old, new):
    assert changed(project, "lib/geomkit/a.py", old, new) == set()


@pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_what_type_checkers_alone_read_does_not_count(project, test):
    """Neither the code nor the modules that it imports; its `else`, which runs, does."""
    block = f"if {test}:\n    from geomkit.c import NUMBER\n"
    before = digests(project)
    (project / "lib/geomkit/alone.py").write_text(f"import numpy\n\n{block}")
    bare = digests(project)["alone"]
    assert changed(project, "lib/geomkit/c.py", "3", "4") == {"a"}
    assert changed(project, "lib/geomkit/alone.py", "import NUMBER", "import NUMBER as n") == set()
    (project / "lib/geomkit/alone.py").write_text("import numpy\n\npass\n")
    assert digests(project)["alone"] == bare != before["alone"]
    (project / "lib/geomkit/alone.py").write_text(f"import numpy\n\n{block}else:\n    from geomkit.c import NUMBER\n")
    assert changed(project, "lib/geomkit/c.py", "4", "5") == {"a", "alone"}


def test_a_docstring_alone_is_a_body_that_does_nothing(project):
    (project / "lib/geomkit/c.py").write_text('class C:\n    """What it is."""\n')
    assert changed(project, "lib/geomkit/c.py", '"""What it is."""', "pass") == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "users"),
    [
        ("a.py", "+ 1", "+ 2", {"a"}),
        ("deep/b.py", "c.NUMBER", "-c.NUMBER", {"a"}),
        ("c.py", "3", "4", {"a"}),
        ("d.py", "else 0", "else 1", {"d", "e"}),
        ("e.py", "ping(n)", "ping(n + 1)", {"d", "e"}),
        ("alone.py", "numpy", "scipy", {"alone"}),
    ],
)
def test_code_counts_for_those_who_use_it_through_any_import(project, file, old, new, users):
    assert changed(project, f"lib/geomkit/{file}", old, new) == users


def test_the_script_itself_counts(project):
    assert changed(project, "a.py", "something", "another") == {"a"}


@pytest.mark.parametrize(
    ("old", "new", "users"),
    [
        ("return n", "return 2 * n", {"shapes"}),
        ('label="disc"', 'label="circle"', {"looks"}),
        ("sides=1", "sides=0", {"names", "looks", "shapes"}),
        ('"disc"', '"round"', {"names", "looks", "shapes"}),
        ("radius", "r", {"names", "looks", "shapes"}),
    ],
)
def test_declarations_count_for_those_who_read_them_and_looks_for_no_other(project, old, new, users):
    """`names` and `looks` read the declarations of `shapes`, and do not run its code."""
    assert changed(project, "lib/geomkit/shapes.py", old, new) == users


def test_a_module_that_is_new_counts_where_it_was_asked_for(project):
    (project / "alone.py").write_text("from geomkit.later import something\n")
    before = digests(project)
    (project / "lib/geomkit/later.py").write_text("something = 1\n")
    assert {name for name, digest in digests(project).items() if digest != before[name]} == {"alone"}


# what a configuration chooses by name

ANIMALS = """
from geomkit.base import Base, mark
from geomkit.registry import Registry
from geomkit.wax import polish
from geomkit.zinc import coat

animals: Registry = Registry("animal", by_name=True)
LEGS = 4
EARS = 2
SHARED: int = 1
UNUSED = 0


def find(name):
    return animals[name]() + SHARED


def legs(n=LEGS):
    return n


def ears():
    return EARS if legs() else 0


class Nest(Base):
    pass


@animals.register("cat", label="a cat", size=1)
def cat():
    from geomkit.claw import scratch

    return polish(ears()) + scratch()


@animals.register("dog", size=2)
def dog(*, bark: legs = 1):
    return SHARED


@animals.register("fish")
@mark
def fish():
    return 0


@variant("crow", kind="rows")
def crow():
    return 2


@variant("herd", kind="family")
def herd():
    return 3
"""
WINGS = {name: "NUMBER = 0\n\n\ndef f():\n    return NUMBER\n" for name in ("base", "claw", "registry", "wax", "zinc")}
FIND, READ = "from geomkit.animals import find\n", 'declared("geomkit.animals", "animals.register")\n'
KEEPERS = {
    "none": FIND,
    "cat": f"{FIND}find('cat')\n",
    "dog": f"{FIND}find('dog-12')\n",
    "crow": f"{FIND}def inner():\n    return find(f'crow-{{1}}')\n",
    "legs": "def inner():\n    from geomkit.animals import legs\n",
    "all": "from geomkit import animals\n",
    "import": "import geomkit.animals\n",
    "facts": READ,
    "facts of cat": f"{READ}NAME = 'cat'\n",
    "looks of cat": f"{READ.replace('declared', 'described')}NAME = 'cat'\n",
}
"""Code that finds animals: of whichever name, of one that it has, one with a number, and in all of their module; and that reads
declarations."""
WHOLE = {"all", "import"}
FINDERS = {"none", "cat", "dog", "crow", "legs", *WHOLE}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    for name, text in {"animals": ANIMALS, **WINGS}.items():
        path = tmp_path / f"lib/geomkit/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, text in KEEPERS.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def kept(zoo: Path) -> dict[str, tuple[str, list[str]]]:
    return {name: code_digest([zoo / f"{name}.py"], zoo / "lib") for name in KEEPERS}


def test_names_that_code_has_are_counted_with_what_counts_always(zoo):
    assert {name: names for name, (_, names) in kept(zoo).items()} == {
        **{name: [] for name in ("none", "legs", "facts", "facts of cat", "looks of cat")},
        "cat": ["cat"],
        "dog": ["dog"],
        "crow": ["crow"],
        **{name: ["cat", "crow", "dog"] for name in WHOLE},
    }
    assert code_digest([zoo / "none.py"], zoo / "lib", words=words_in({"x": ["cat-3"]}))[1] == ["cat"]


@pytest.mark.parametrize(
    ("file", "old", "new", "users"),
    [
        # functions that are chosen, and what they alone use: helpers, their constants and defaults, imports, imports inside
        ("animals", "ears()) +", "ears()) -", {"cat", *WHOLE}),
        ("animals", "EARS = 2", "EARS = 3", {"cat", *WHOLE}),
        ("animals", "EARS if", "-EARS if", {"cat", *WHOLE}),
        ("wax", "0", "1", {"cat", *WHOLE}),
        ("claw", "0", "1", {"cat", *WHOLE}),
        ("animals", "return 2", "return 4", {"crow", *WHOLE}),
        # the annotation of `dog` names `legs`
        ("animals", "LEGS = 4", "LEGS = 6", {"cat", "dog", "legs", *WHOLE}),
        ("animals", "return n", "return n + 1", {"cat", "dog", "legs", *WHOLE}),
        # what others use too, classes with their bases, other decorators, other kinds of variants, and what nothing uses
        ("animals", "SHARED: int = 1", "SHARED: int = 2", FINDERS),
        ("animals", "() + SHARED", "() - SHARED", FINDERS),
        ("base", "0", "1", FINDERS),
        ("registry", "0", "1", FINDERS),
        ("zinc", "0", "1", FINDERS),
        ("animals", "UNUSED = 0", "UNUSED = 1", FINDERS),
        ("animals", "    return 0\n\n\n@variant", "    return 1\n\n\n@variant", FINDERS),
        ("animals", "return 3", "return 5", FINDERS),
        ("animals", "by_name=True", "by_name=False", {*FINDERS, "facts", "facts of cat", "looks of cat"}),
        # facts of what is named, how it is drawn for those who read that, and facts of what is always there
        ("animals", "size=1", "size=3", {"cat", "facts of cat", "looks of cat", *WHOLE}),
        ("animals", 'label="a cat"', 'label="the cat"', {"looks of cat"}),
        ("animals", "size=2", "size=3", {"dog", *WHOLE}),
        ("animals", "bark", "growl", {"dog", *WHOLE}),
    ],
)
def test_what_is_chosen_by_name_counts_with_what_it_alone_uses_where_it_is_named(zoo, file, old, new, users):
    before, path = kept(zoo), zoo / f"lib/geomkit/{file}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert {name for name, (digest, _) in kept(zoo).items() if digest != before[name][0]} == users


@pytest.mark.parametrize(
    "new",
    [
        '@animals.register("eel")\ndef eel():\n    return 1\n',
        """
from geomkit.eels import swim

SPEED = 3


def fast():
    return swim(SPEED)


@animals.register("eel")
def eel():
    return fast()
""",
        '@variant("eel", kind="model")\ndef eel():\n    return 1\n',
    ],
)
def test_what_is_new_counts_nowhere_until_it_is_named(zoo, new):
    before, path = kept(zoo), zoo / "lib/geomkit/animals.py"
    path.write_text(f"{path.read_text()}\n\n{new}")
    assert {name for name, (digest, _) in kept(zoo).items() if digest != before[name][0]} == WHOLE
    (digest, names), bare = code_digest([zoo / "none.py"], zoo / "lib", words=["eel"]), before["none"][0]
    assert (names, digest == bare) == (["eel"], False)


def test_a_statement_that_does_more_than_bind_a_name_counts_always(zoo):
    before, path = kept(zoo), zoo / "lib/geomkit/animals.py"
    path.write_text(f"{path.read_text()}\n\ntry:\n    import swim\nexcept ImportError:\n    swim = None\n")
    assert {name for name, (digest, _) in kept(zoo).items() if digest != before[name][0]} == FINDERS


ROOT = Path(__file__).parents[1]
FUNCTIONS = {
    name for path in (ROOT / "workflow/rules").glob("*.smk") for name in re.findall(r'"(geomkit[\w.]+:\w+)"', path.read_text())
}
"""What rules call."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "users"),
    [
        (
            "measures/entropy.py",
            {
                *("measure_spectra", "measure_width_nulls", "resample_corpora", "project_donor", "join_projections"),
                *(
                    "compare_growth",
                    "measure_without_sinks",
                    "measure_components",
                    "judge",
                    "measure_final_state",
                    "train_cell",
                ),
                *("measure_lengths", "share_widths", "measure_training", "measure_controls"),
                *("decompose", "sum_rows", "merge_spectra", "project_shuffled"),
                *("measure_portrait", "write_portrait", "write_comparison", "study_mlp_width", "audit_one_token"),
                "measure_order",
            },
        ),
        (
            "models/capture.py",
            {
                "runs",
                "runs_by_name",
                "probe_model",
                "remove_tokens",
                "measure_components",
                "train_cell",
                "measure_tokens",
                "measure_order",
            },
        ),
        ("studies/entropy/figure.py", {"draw_layers", "write_page", "write_findings"}),  # pages draw figures of claims
        ("core/checks.py", set()),
    ],
)
def test_a_module_of_the_library_counts_for_the_functions_that_run_it_and_no_others(tmp_path, module, users):
    library = shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    modules = {name: library.joinpath(*name.partition(":")[0].split(".")).with_suffix(".py") for name in FUNCTIONS}
    before = {name: code_digest([path], library)[0] for name, path in modules.items()}
    path = library / "geomkit" / module
    path.write_text(path.read_text() + "\n\nCHANGED = 1\n")
    changed = {name for name, path in modules.items() if code_digest([path], library)[0] != before[name]}
    assert {name.partition(":")[2] for name in changed} == users


# what files hold


def held(path: Path) -> str | None:
    content_digest.cache_clear()
    return content_digest(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small files, one in a folder below, and one of three megabytes."""
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/a.txt").write_text("one")
    (tmp_path / "data/deep/b.txt").write_text("two")
    (tmp_path / "data/large.bin").write_bytes(bytes(range(256)) * 3 * 4096)
    return tmp_path / "data"


def test_times_do_not_count_and_content_does_whatever_its_time(folder):
    before = held(folder)
    for file in folder.rglob("*"):
        os.utime(file, (1, 1))
    assert held(folder) == before
    (folder / "a.txt").write_text("eno")
    os.utime(folder / "a.txt", (1, 1))
    assert held(folder) != before


def test_names_and_places_count(folder):
    seen = {held(folder)}
    for old, new in (("a.txt", "c.txt"), ("c.txt", "deep/c.txt"), ("deep/c.txt", "b.txt")):
        (folder / old).rename(folder / new)
        seen.add(held(folder))
    (folder / "b.txt").unlink()
    assert len({*seen, held(folder)}) == 5


def test_a_file_and_a_moved_link_count_by_what_they_hold(folder):
    link = folder.parent / "latest"
    link.symlink_to(folder / "a.txt")
    assert held(link) == held(folder / "a.txt")
    link.unlink()
    link.symlink_to(folder / "deep/b.txt")
    assert held(link) == held(folder / "deep/b.txt") != held(folder / "a.txt")
    shutil.copytree(folder, folder.parent / "copy")
    assert held(folder.parent / "copy") == held(folder)


@pytest.mark.parametrize("place", [0, 100, 3 * 2**20 - 1, 3 * 2**20 - 4096])
def test_of_a_large_file_blocks_and_the_size_count(folder, place):
    before, path = held(folder), folder / "large.bin"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert held(folder) != before
    content[place] ^= 1
    path.write_bytes(content)
    assert held(folder) == before
    path.write_bytes(content[:-1])
    assert held(folder) != before


def test_64_blocks_of_a_large_file_are_read_whatever_its_size(tmp_path):
    path = tmp_path / "weights"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert held(path)  # and not after the hour that reading all of it would take


def test_hidden_files_do_not_count_and_what_links_lead_to_does(folder, tmp_path):
    before = held(folder)
    (folder / ".DS_Store").write_text("x")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints/a.txt").write_text("one")
    assert held(folder) == before
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/c.txt").write_text("three")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "gone")
    assert held(folder) != before
    assert str(folder / "more/c.txt") in files_below(folder)


def test_what_is_not_there_has_no_digest(tmp_path):
    assert held(tmp_path / "gone") is None
    assert files_below(tmp_path / "gone") == [str(tmp_path / "gone")]


def test_modules_that_a_pattern_finds_count(project):
    library = project / "lib"
    (library / "geomkit/all.py").write_text('from geomkit.core.declarations import every\nMODULES = every("geomkit.deep.*")\n')

    def digest() -> str:
        return code_digest([library / "geomkit/all.py"], library)[0]

    found = [digest()]
    for name, text in {"deep/b.py": "def helper():\n    return 5\n", "deep/new.py": "NEW = 1\n", "alone.py": "NEW = 1\n"}.items():
        (library / "geomkit" / name).write_text(text)
        found.append(digest())
    assert len(set(found[:3])) == 3, "a module that changes, and one that is new"
    assert found[3] == found[2], "one that the pattern does not match"
