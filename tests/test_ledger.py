"""What readers see of the ledger is what the records say, here and in the pages that ship."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from word_count import words

from geomkit.core.errors import DataError
from geomkit.core.shipped import FINDINGS, TRAININGS
from geomkit.figures.claims import claim_figures
from geomkit.figures.style import WIDTH
from geomkit.ledger.figure import PAINT, claims_figure
from geomkit.ledger.pages import (
    END,
    START,
    findings_page,
    ledger_page,
    paper_page,
    readme_table,
    with_table,
    write_findings,
    write_page,
)
from geomkit.ledger.paper import PaperStatement
from geomkit.ledger.table import write_ledger
from geomkit.tables.findings import Claim, ClaimVerdict, claims, status
from geomkit.tables.rows import read_csv, write_csv

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "workflow/resources/findings"
NUMBERS: dict[str, Any] = {"value": 0.05, "low": 0.02, "high": 0.08, "margin": 0.02, "null": "projected", "sizes": 6}
LAW = Claim(
    chapter="Laws", claim="rank grows", statement="Ranks <grow>.", source="A & B", headline=None, scope="f on c", exists=False,
    exact=False,
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
ROWS = [LAW, replace(LAW, scope="f on d", value=-0.01, low=-0.04, high=0.02, verdict=ClaimVerdict.OPEN), SHARE, SILENT]


def test_findings_have_a_row_and_a_paragraph_for_each_claim_with_every_number():
    page = findings_page(ROWS)
    assert re.findall(r"^##+ .*", page, flags=re.MULTILINE) == ["## Rank grows", "## Lasso wins"]
    assert "| [Rank grows](#rank-grows) | open |" in page
    assert "Ranks <grow>. (A & B) **Open (1 supported, 1 open).** Effect: exponent." in page
    assert "- f on c: +0.050 [+0.020, +0.080]; beyond | width." in page
    assert "- f on c: 0.600 [0.550, 0.650]; beyond | width." in page
    assert "| Unseen | untested |" in page
    assert "Nobody looked." not in page


def test_exploratory_findings_stand_on_one_line_with_version_1_s_verdict():
    judged = replace(LAW, primary=True)
    other = replace(
        LAW,
        primary=False,
        scope="f on d, exploratory",
        reason="open; far from it; version 1: undecided",
        value=0.01,
        low=0.0,
        high=0.02,
    )
    page = findings_page([judged, *(replace(other, scope=f"f on d{k}, exploratory") for k in range(6))])
    assert "- f on c: +0.050 [+0.020, +0.080]; beyond | width." in page
    (line,) = [line for line in page.splitlines() if line.startswith("- Exploratory")]
    assert line.startswith("- Exploratory: f on d0 (version 1: undecided) +0.010 [+0.000, +0.020]; f on d1 ")
    assert line.endswith("; and 2 more.")
    assert "far from it" not in page


def test_arithmetic_is_called_exact_unless_it_is_broken():
    exact = replace(LAW, exact=True)
    assert "| [Rank grows](#rank-grows) | exact |" in findings_page([exact])
    assert "| [Rank grows](#rank-grows) | refuted |" in findings_page([replace(exact, verdict=ClaimVerdict.REFUTED)])


def test_a_figure_stands_below_the_first_of_the_claims_that_it_shows():
    first, second = (replace(LAW, claim=name) for name in claim_figures.facts["lasso"]["claims"])
    page = findings_page([first, second], {"lasso"})
    assert page.count("![lasso](findings/lasso.png)") == 1
    assert page.index("![lasso]") < page.index(f"## {second.claim}") < page.index("[Its figure](#lasso-sometimes")
    assert "![" not in findings_page([first, second])


def test_findings_link_to_the_anchor_that_markdown_gives():
    page = findings_page([replace(LAW, claim="Kaplan's form, twice")])
    assert "| [Kaplan's form, twice](#kaplans-form-twice) |" in page
    assert "## Kaplan's form, twice" in page


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([LAW], "supported"),
        ([LAW, replace(LAW, verdict=ClaimVerdict.REFUTED, primary=False)], "supported"),
        ([replace(LAW, primary=False), replace(LAW, verdict=ClaimVerdict.REFUTED, primary=False)], "open"),
        ([LAW, SILENT], "supported"),
        ([replace(LAW, exact=True)], "supported"),
        ([replace(SHARE, exists=True), replace(SHARE, exists=True, verdict=ClaimVerdict.REFUTED)], "supported"),
        ([SILENT], "untested"),
    ],
)
def test_a_claim_has_one_status(rows, expected):
    assert status(rows) == expected


def test_the_readmes_table_has_the_claims_with_a_place_in_its_order_whatever_their_status():
    first = replace(SILENT, headline=1)
    lines = readme_table([*(replace(row, headline=2) for row in ROWS[:2]), SHARE, first]).splitlines()
    assert lines[2] == "| Nobody looked. | untested | no data |"
    assert lines[3] == (
        "| Ranks <grow>. | open (1 supported, 1 open) | f on c +0.050 [+0.020, +0.080]; d -0.010 [-0.040, +0.020] |"
    )
    assert lines[5].startswith("1 more claims")
    many = [replace(SHARE, scope=f"m{k} on c", headline=1) for k in range(6)]
    assert readme_table(many).count("[0.550, 0.650]") == 4
    assert "; and 2 more; against one half |" in readme_table(many)
    (line,) = readme_table([replace(ROWS[0], headline=1), replace(ROWS[1], headline=1, primary=False)]).splitlines()[2:3]
    assert line.endswith("| f on c +0.050 [+0.020, +0.080]; and 1 more |"), "exploratory rows only count"


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


def test_the_papers_page_has_a_line_for_each_statement_with_the_status_of_its_claims():
    one = PaperStatement("abstract", "Ranks grow.", ("rank grows",), "scaling/growth.csv", "Ours are small.")
    page = paper_page(ROWS, [one, replace_claims(one, ())])
    command, link = "`snakemake --cores 2 results/scaling/growth.csv`", "[Rank grows](findings.md#rank-grows)"
    assert f"| abstract | Ranks grow. | {command} | {link}: open (1 supported, 1 open) |" in page
    assert "| not measured | Ours are small. |" in page
    with pytest.raises(DataError, match="'nothing', which is no claim"):
        paper_page(ROWS, [replace_claims(one, ("nothing",))])


def replace_claims(one: PaperStatement, names: tuple[str, ...]) -> PaperStatement:
    return one._replace(claims=names)


def test_the_page_opens_with_one_row_for_each_claim_and_has_every_finding_behind_a_click(tmp_path):
    template = ROOT / "workflow/report/claims.html"
    write_csv(tmp_path / "claims.csv", Claim, ROWS)
    write_csv(tmp_path / "shipped.csv", Claim, [SHARE, replace(SHARE, claim="sinks make the centred depth profile")])
    own, shipped = tmp_path / "claims.csv", tmp_path / "shipped.csv"
    write_page(own, shipped, [], [SHIPPED / "sinks_summary.csv"], template, tmp_path / "claims.html", tmp_path / "front.csv")
    page = (tmp_path / "claims.html").read_text()
    assert "Ranks &lt;grow&gt;." in page
    assert "A &amp; B" in page
    assert '<td class="supported">supported</td>' in page
    assert "smallest difference detectable 0.031" in page
    assert "projected: 0, margin 0.02" in page
    assert page.count('<section id="claim-') == page.count('<a href="#claim-') == 2
    assert "Untested here: unseen." in page
    own, shipped = page.split('<h1 id="shipped">')
    front, long = own.split("<details>")
    assert front.count(SHARE.statement) == long.count(SHARE.statement) == 1
    assert shipped.count('<section id="shipped-') == 2
    assert own.count("<img") == 0
    assert re.findall(r'<img src="data:image/png;base64,[\w+/=]{1000,}" alt="(.*?)">', shipped) == ["sinks"]
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert (tmp_path / "front.csv").read_text().splitlines()[1].startswith('Ranks <grow>.,"open (1 supported, 1 open)"')
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
    laws, tokens = claims_figure(ROWS)
    (axis,) = laws.axes
    ends = [tuple(line.get_xdata()) for line in axis.lines if line.get_linewidth() == 1]
    assert ends == [(0.02, 0.08), (-0.04, 0.02)]
    marks = [(line.get_xdata()[0], line.get_color()) for line in axis.lines if line.get_marker() == "o"]
    assert marks == [(0.05, PAINT[ClaimVerdict.SUPPORTED]), (-0.01, PAINT[ClaimVerdict.OPEN])]
    bands = [band.get_paths()[0].get_extents() for band in axis.collections]
    assert [(round(band.x0, 6), round(band.x1, 6)) for band in bands] == [(-0.02, 0.02)] * 2
    assert [text.get_text() for text in axis.texts] == ["f on c", "supported", "f on d", "open"]
    assert axis.get_title(loc="left").splitlines() == ["Ranks <grow>.", "exponent"]
    assert [line.get_xdata()[0] for line in tokens.axes[0].lines if line.get_linewidth() == 0.7] == [0.5]


@pytest.mark.slow
def test_the_figure_of_many_claims_goes_over_pages_a_column_wide():
    many = [replace(LAW, claim=f"c{k}", scope=f"a family on a corpus {j}") for k in range(12) for j in range(8)]
    figures = list(claims_figure(many))
    assert len(figures) > 2
    for figure in figures:
        check_column(figure)
        assert figure.get_figheight() < 11


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger made anew from the records that ship, as `make findings` makes it."""
    folder = tmp_path_factory.mktemp("findings")
    files = [path for one in (*FINDINGS, *TRAININGS) if (path := SHIPPED / one.path).is_file()]
    write_ledger(files, folder / "claims.csv")
    pages = [folder / name for name in ("findings.md", "figures", "paper.md", "README.md")]
    write_findings(folder / "claims.csv", files, ROOT / "README.md", *pages)
    return folder


@pytest.mark.parametrize(
    ("made", "page"), [("findings.md", "docs/findings.md"), ("paper.md", "docs/paper.md"), ("README.md", "README.md")]
)
def test_pages_say_what_the_records_that_ship_say(shipped, made, page):
    assert (shipped / made).read_text() == (ROOT / page).read_text(), f"{page} is not what its records say: run `make findings`"


def test_pages_are_short(shipped):
    counted = {name: words((shipped / name).read_text()) for name in ("findings.md", "README.md")}
    assert counted["findings.md"] <= 3000
    assert counted["README.md"] <= 600


@pytest.mark.slow
def test_the_figure_of_what_ships_fits_its_pages(shipped):
    for figure in claims_figure(read_csv(shipped / "claims.csv", Claim)):
        check_column(figure)


def test_every_claim_has_a_figure_that_shows_what_ships(shipped):
    """Fonts may be drawn a little differently elsewhere, but a number that moves is black where it was white."""
    pictures = {path.name: path for path in (ROOT / "docs/findings").iterdir()}
    made = sorted((shipped / "figures").iterdir())
    assert [path.name for path in made] == sorted(pictures) == sorted(f"{name}.png" for name in claim_figures)
    assert {claim for facts in claim_figures.facts.values() for claim in facts["claims"]} == set(claims)
    assert sum(path.stat().st_size for path in made) < 1.5e6
    for path in made:
        fresh, own = (imread(one) for one in (path, pictures[path.name]))
        assert fresh.shape == own.shape, f"{path.name} is not what its records say: run `make findings`"
        assert np.abs(fresh - own).max() < 0.5, f"{path.name} is not what its records say: run `make findings`"
