"""What readers see of the ledger is what the records say, here and in the pages that ship."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from geomkit.core.errors import DataError
from geomkit.core.shipped import FINDINGS
from geomkit.figures.style import WIDTH
from geomkit.ledger.figure import PAINT, claims_figure
from geomkit.ledger.pages import (
    END,
    START,
    findings_page,
    ledger_page,
    readme_table,
    with_table,
    write_findings,
    write_page,
)
from geomkit.ledger.table import write_ledger
from geomkit.tables.findings import Claim, ClaimVerdict
from geomkit.tables.rows import read_csv, write_csv

ROOT = Path(__file__).parents[1]
NUMBERS: dict[str, Any] = {"value": 0.05, "low": 0.02, "high": 0.08, "margin": 0.02, "null": "projected", "sizes": 6}
LAW = Claim(
    chapter="Laws", claim="rank grows", statement="Ranks <grow>.", source="A & B", headline=None, scope="f on c, last",
    effect="exponent",
    documents=None, against=0.0, primary=True, verdict=ClaimVerdict.SUPPORTED, reason="beyond | width", **NUMBERS,
    details="smallest difference detectable 0.031",
)  # fmt: skip
SHARE = replace(
    LAW, chapter="Tokens", claim="Lasso wins", statement="Lasso wins.", value=0.6, low=0.55, high=0.65, margin=None,
    null="one half", against=0.5, sizes=None, documents=40, primary=False, details="", effect="share",
)  # fmt: skip
NOTHING: dict[str, Any] = dict.fromkeys(("value", "low", "high", "margin", "null", "sizes", "documents"))
SILENT = replace(
    SHARE,
    **NOTHING,
    claim="unseen",
    statement="Nobody looked.",
    scope="",
    effect="",
    verdict=ClaimVerdict.UNTESTED,
    reason="no data",
)
ROWS = [LAW, replace(LAW, scope="f on d, last", value=-0.01, low=-0.04, high=0.02, verdict=ClaimVerdict.UNDECIDED), SHARE, SILENT]


def test_findings_have_a_chapter_for_each_and_every_number():
    page = findings_page(ROWS)
    assert re.findall(r"^##+ .*", page, flags=re.MULTILINE) == [
        "## At a glance",
        "## Laws",
        "### Rank grows",
        "## Tokens",
        "### Lasso wins",
        "### Unseen",
    ]
    assert "Supported in 1, undecided in 1 of 2 places" in page
    assert (
        r"| f on c, last | +0.050 [+0.020, +0.080] | projected (0 ± 0.02) | 6 sizes | primary | supported | beyond \| width |"
        in page
    )
    assert "| f on c, last | 0.600 [0.550, 0.650] | one half (0.5) | 40 documents | exploratory | supported |" in page
    assert "- f on c, last: smallest difference detectable 0.031." in page
    assert "Untested: no data." in page


def test_findings_begin_with_a_line_for_each_claim_that_links_to_its_section():
    page = findings_page([replace(LAW, claim="Kaplan's form, twice")])
    assert "| [Kaplan's form, twice](#kaplans-form-twice) |" in page
    assert "### Kaplan's form, twice" in page


def test_the_readmes_table_has_the_claims_with_a_place_in_its_order_whatever_their_verdict():
    first = replace(SILENT, headline=1)
    lines = readme_table([*(replace(row, headline=2) for row in ROWS[:2]), SHARE, first]).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| Nobody looked.", "| Ranks <grow>."]
    assert lines[2] == "| Nobody looked. | untested |  |  |"
    assert lines[3].split(" | ")[1] == "supported 1 of 2, undecided 1 of 2"
    assert "f on c, last: +0.050 [+0.020, +0.080]; f on d, last: -0.010 [-0.040, +0.020]" in lines[3]
    assert not lines[4]
    spread = [replace(SHARE, scope=f"m{k}", value=0.6 + k / 100, headline=1) for k in range(5)]
    assert f"| supported | exploratory | {SHARE.effect}: 0.600 to 0.640, null 0.5, 5 tests |" in readme_table(spread)


def test_the_readme_changes_between_its_marks_alone():
    text = f"before\n{START}\nold\n{END}\nafter\n"
    made = with_table(text, ROWS)
    assert made.startswith(f"before\n{START}\n| claim |")
    assert made.endswith(f"{END}\nafter\n")
    assert "old" not in made
    assert with_table(made, ROWS) == made
    for broken in ("none", text + START, f"{END} {START}"):
        with pytest.raises(DataError, match="must be there once"):
            with_table(broken, ROWS)


def test_the_page_holds_every_finding_and_no_markup_of_texts(tmp_path):
    template = ROOT / "workflow/report/claims.html"
    write_csv(tmp_path / "claims.csv", Claim, ROWS)
    write_csv(tmp_path / "shipped.csv", Claim, [SHARE])
    write_page(tmp_path / "claims.csv", tmp_path / "shipped.csv", template, tmp_path / "claims.html", tmp_path / "front.csv")
    page = (tmp_path / "claims.html").read_text()
    assert "Ranks &lt;grow&gt;." in page
    assert "A &amp; B" in page
    assert '<td class="supported">supported</td>' in page
    assert "smallest difference detectable 0.031" in page
    assert page.count('<section id="claim-') == page.count('<a href="#claim-') == 3
    own, shipped = page.split('<h1 id="shipped">')
    assert own.count(SHARE.statement) == shipped.count(SHARE.statement) == shipped.count('<section id="shipped-') == 1
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert (tmp_path / "front.csv").read_text().splitlines()[1].startswith('Ranks <grow>.,"supported 1 of 2')
    with pytest.raises(DataError, match="0 times"):
        ledger_page("nothing", ROWS, ROWS)


def check_column(figure: Figure) -> None:
    assert figure.get_figwidth() == WIDTH
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 5
    box = figure.get_tightbbox()
    assert (box.min > -0.02).all()
    assert (box.max < figure.get_size_inches() + 0.02).all()


def test_the_figure_shows_each_effect_with_interval_margin_and_the_colour_of_its_verdict():
    laws, tokens, silent = claims_figure(ROWS)
    (axis,) = laws.axes
    ends = [tuple(line.get_xdata()) for line in axis.lines if line.get_linewidth() == 1]
    assert ends == [(0.02, 0.08), (-0.04, 0.02)]
    marks = [(line.get_xdata()[0], line.get_color()) for line in axis.lines if line.get_marker() == "o"]
    assert marks == [(0.05, PAINT[ClaimVerdict.SUPPORTED]), (-0.01, PAINT[ClaimVerdict.UNDECIDED])]
    bands = [band.get_paths()[0].get_extents() for band in axis.collections]
    assert [(round(band.x0, 6), round(band.x1, 6)) for band in bands] == [(-0.02, 0.02)] * 2
    assert [text.get_text() for text in axis.texts] == ["f on c, last", "supported", "f on d, last", "undecided"]
    assert axis.get_title(loc="left").splitlines() == ["Ranks <grow>.", "exponent"]
    assert [line.get_xdata()[0] for line in tokens.axes[0].lines if line.get_linewidth() == 0.7] == [0.5]
    assert [text.get_text() for text in silent.axes[0].texts] == ["untested", "Nobody looked. No data."]


@pytest.mark.slow
def test_the_figure_of_many_claims_goes_over_pages_a_column_wide():
    many = [replace(LAW, claim=f"c{k}", scope=f"a family on a corpus {j}") for k in range(12) for j in range(8)]
    figures = list(claims_figure([*many, *([SILENT] * 90)]))
    assert len(figures) > 4
    for figure in figures:
        check_column(figure)
        assert figure.get_figheight() < 11


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger made anew from the records that ship, as `make findings` makes it."""
    folder = tmp_path_factory.mktemp("findings")
    paths = [ROOT / "workflow/resources/findings" / one.path for one in FINDINGS]
    write_ledger(filter(Path.is_file, paths), folder / "claims.csv")
    write_findings(folder / "claims.csv", ROOT / "README.md", folder / "findings.md", folder / "README.md")
    return folder


@pytest.mark.parametrize(("made", "page"), [("findings.md", "docs/findings.md"), ("README.md", "README.md")])
def test_pages_say_what_the_records_that_ship_say(shipped, made, page):
    assert (shipped / made).read_text() == (ROOT / page).read_text(), f"{page} is not what its records say: run `make findings`"


@pytest.mark.slow
def test_the_figure_of_what_ships_fits_its_pages(shipped):
    for figure in claims_figure(read_csv(shipped / "claims.csv", Claim)):
        check_column(figure)
