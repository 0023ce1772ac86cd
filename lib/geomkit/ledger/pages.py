"""Render the ledger of claims: a page for browsers, the page of findings, the README's table, and the report's first page.

All of them are rendered from claims.csv, so that no number and no verdict in them is typed.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from itertools import count, groupby
from pathlib import Path

from geomkit.core.errors import DataError
from geomkit.core.provenance import replacing
from geomkit.tables.findings import Claim, ClaimVerdict
from geomkit.tables.rows import read_csv

PLACES = {"claim": "{{ ledger }}", "shipped": "{{ shipped }}"}
"""Places in the browser page's template for the ledgers of the run and of what ships, by the word of their anchors."""
START, END = "<!-- findings -->", "<!-- /findings -->"
"""Marks before and after the README's table."""
MANY = 1
"""Numbers of one verdict on one claim that are printed in the README's table with their intervals."""
OPENING = """# Findings

This page is rendered from records of measurements by `make findings`: no number and no verdict on it is typed. Which data
decide, and how, was fixed in [version 1 of the protocol](protocol_1.md). A verdict holds for the models and texts that its row
names, and for no others. Intervals are of 95 %. *Supported* and *refuted*: the effect differs from its null, with or against the
claimed sign. *Explained by width*: a model of that width is shown to have as much, within the margin. *Undecided*: neither, which
is no finding. *Untested*: nothing was measured."""


def by_claim(rows: Sequence[Claim]) -> list[list[Claim]]:
    """Groups findings by claim, in the order of the ledger."""
    return [list(group) for _, group in groupby(rows, key=lambda row: row.claim)]


def by_chapter(rows: Sequence[Claim]) -> Iterator[tuple[str, list[list[Claim]]]]:
    for chapter, group in groupby(rows, key=lambda row: row.chapter):
        yield chapter, by_claim(list(group))


def number(value: float, row: Claim) -> str:
    """A number with three decimals, and with a sign where it is compared with 0."""
    return f"{value:{'' if row.against else '+'}.3f}"


def measured(row: Claim) -> str:
    """The value with its interval; empty where there is no number."""
    if row.value is None:
        return ""
    ends = ["…" if end is None else number(end, row) for end in (row.low, row.high)]
    return number(row.value, row) + ("" if row.low is row.high is None else f" [{', '.join(ends)}]")


def held_against(row: Claim) -> str:
    """The null of a finding, its value, and the margin."""
    if row.null is None:
        return ""
    return f"{row.null} ({row.against:g}{'' if row.margin is None else f' ± {row.margin:g}'})"


def counts(row: Claim) -> str:
    """The numbers of sizes and documents behind a finding."""
    numbers = {"sizes": row.sizes, "documents": row.documents}
    return ", ".join(f"{value} {name}" for name, value in numbers.items() if value is not None)


def said(rows: Sequence[Claim]) -> str:
    """The verdicts on one claim in words, place by place."""
    frequency = Counter(row.verdict for row in rows)
    if set(frequency) == {ClaimVerdict.UNTESTED}:
        return f"Untested: {rows[0].reason}."
    if len(frequency) == 1:
        (verdict,) = frequency
        where = "in the one place" if len(rows) == 1 else f"in all {len(rows)} places"
        return f"{verdict.capitalize()} {where} where it was measured."
    words = [f"{verdict} in {frequency[verdict]}" for verdict in ClaimVerdict if frequency[verdict]]
    return f"{', '.join(words).capitalize()} of {len(rows)} places where it was measured."


def kind(row: Claim) -> str:
    return "primary" if row.primary else "exploratory"


def cells(row: Claim) -> list[str]:
    """A finding as a line of a table: COLUMNS."""
    return [row.scope, measured(row), held_against(row), counts(row), kind(row), row.verdict, row.reason]


HEAD = ("claim", "verdict", "test", "estimates")
"""Of the README's table and of the report's first page."""
COLUMNS = ("where", "effect, 95 % interval", "null ± margin", "rests on", "test", "verdict", "why")


# Markdown


def plain(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return text.replace("|", r"\|").replace("\n", " ")


def line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(plain(text) for text in texts)} |"


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in body)])


def findings_page(rows: Sequence[Claim]) -> str:
    """Every claim, chapter by chapter, in Markdown: what it says, what was measured everywhere, and the verdict."""
    parts = [OPENING, "## At a glance", contents(rows)]
    for chapter, claims in by_chapter(rows):
        parts.append(f"## {chapter}")
        parts += [section(of_claim) for of_claim in claims]
    return "\n\n".join(parts) + "\n"


def contents(rows: Sequence[Claim]) -> str:
    """A line for each claim, with the number of places in which it has each verdict, and a link to its section."""
    body = [
        [chapter, f"[{title(of_claim)}](#{anchor(title(of_claim))})", verdicts(of_claim)]
        for chapter, claims in by_chapter(rows)
        for of_claim in claims
    ]
    return table(("about", "claim", "verdict"), body)


def title(rows: Sequence[Claim]) -> str:
    """The heading of a claim's section."""
    return rows[0].claim[0].upper() + rows[0].claim[1:]


def anchor(heading: str) -> str:
    """The anchor that Markdown gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(rows: Sequence[Claim]) -> str:
    """One claim in Markdown."""
    first = rows[0]
    parts = [f"### {title(rows)}", f"> {first.statement} ({first.source})", said(rows)]
    for effect, group in groupby(rows, key=lambda row: row.effect):
        mine = list(group)
        if mine[0].scope:
            parts += [f"Effect: {effect}.", table(COLUMNS, [cells(row) for row in mine])]
    notes = [f"- {row.scope}: {row.details}." for row in rows if row.details]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def headlines(rows: Sequence[Claim]) -> list[list[Claim]]:
    """Claims with a place in the README's table, in its order: a property of the claim, whatever its verdict is."""
    ranked = [(of_claim[0].headline, of_claim) for of_claim in by_claim(rows)]
    return [
        of_claim
        for _, of_claim in sorted(
            ((place, of_claim) for place, of_claim in ranked if place is not None), key=lambda pair: pair[0]
        )
    ]


def readme_table(rows: Sequence[Claim]) -> str:
    """The README's table: its claims, and what was measured."""
    tests = sum(row.verdict is not ClaimVerdict.UNTESTED for row in rows)
    words = f"{len(by_claim(rows))} claims, {tests} measurements: all are in [docs/findings.md](docs/findings.md)."
    return f"{table(HEAD, [at_a_glance(of_claim) for of_claim in headlines(rows)])}\n\n{words}"


def at_a_glance(rows: Sequence[Claim]) -> list[str]:
    """A claim as a row of the README's table: HEAD."""
    tests = sorted({kind(row) for row in rows if row.verdict is not ClaimVerdict.UNTESTED}, reverse=True)
    return [rows[0].statement, verdicts(rows), ", ".join(tests), numbers(rows)]


def verdicts(rows: Sequence[Claim]) -> str:
    """Verdicts on one claim with the number of places."""
    frequency = Counter(row.verdict for row in rows)
    if len(frequency) == 1:
        return rows[0].verdict
    return ", ".join(f"{verdict} {frequency[verdict]} of {len(rows)}" for verdict in ClaimVerdict if frequency[verdict])


def numbers(rows: Sequence[Claim]) -> str:
    """The measurements of one claim, verdict by verdict: one by one with their intervals, or where there are many the least and
    the greatest estimate, with the value of the null."""
    by_verdict = {verdict: [row for row in rows if row.verdict is verdict] for verdict in ClaimVerdict}
    by_verdict = {verdict: mine for verdict, mine in by_verdict.items() if mine and verdict is not ClaimVerdict.UNTESTED}
    parts = []
    for verdict, mine in by_verdict.items():
        values = sorted(row.value for row in mine if row.value is not None)
        if len(mine) > MANY:
            which = f"{verdict}: " if len(by_verdict) > 1 else ""
            span = f"{number(values[0], mine[0])} to {number(values[-1], mine[0])}, null {mine[0].against:g}, " if values else ""
            parts.append(f"{which}{effect(mine) if values else ''}{span}{len(mine)} tests")
        else:
            parts += [f"{row.scope}: {measured(row) or row.reason}" for row in mine]
    return "; ".join(parts)


def effect(rows: Sequence[Claim]) -> str:
    """The effect that all rows estimate, without the particulars behind a comma; nothing where they differ."""
    effects = {row.effect.split(",")[0] for row in rows}
    return f"{effects.pop()}: " if len(effects) == 1 else ""


def with_table(readme: str, rows: Sequence[Claim]) -> str:
    """Put a new table into the README. Raises DataError unless it has one place for it."""
    if readme.count(START) != 1 or readme.count(END) != 1 or readme.index(END) < readme.index(START):
        raise DataError(f"README.md: {START} and {END} must be there once, in this order")
    before, rest = readme.split(START)
    return f"{before}{START}\n{readme_table(rows)}\n{END}{rest.split(END)[1]}"


# HTML


def ledger_page(template: str, rows: Sequence[Claim], shipped: Sequence[Claim]) -> str:
    """Puts both ledgers into the template. Raises DataError unless it has one place for each."""
    for place in PLACES.values():
        if (places := template.count(place)) != 1:
            raise DataError(f"template: {place} is there {places} times; it must be there once")
    for (part, place), of_part in zip(PLACES.items(), (rows, shipped), strict=True):
        template = template.replace(place, ledger_html(of_part, part))
    return template


def ledger_html(rows: Sequence[Claim], part: str) -> str:
    """An overview, and all claims by chapter."""
    chapters, number = [], count()
    for chapter, claims in by_chapter(rows):
        sections = [claim_html(of_claim, f"{part}-{next(number)}") for of_claim in claims]
        chapters += [f"<h2>{escape(chapter)}</h2>", *sections]
    return "\n".join([overview(rows, part), *chapters])


def overview(rows: Sequence[Claim], part: str) -> str:
    """A table of how often each verdict was given, by claim."""
    head = ["claim", *ClaimVerdict]
    body = []
    for number, of_claim in enumerate(by_claim(rows)):
        frequency = Counter(row.verdict for row in of_claim)
        shown = [f'<td class="{slug(verdict)}">{frequency[verdict] or ""}</td>' for verdict in ClaimVerdict]
        body.append(f'<tr><td><a href="#{part}-{number}">{escape(of_claim[0].claim)}</a></td>{"".join(shown)}</tr>')
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return f'<table class="overview"><thead><tr>{titles}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def slug(verdict: ClaimVerdict) -> str:
    return verdict.name.lower()


def claim_html(rows: Sequence[Claim], anchor: str) -> str:
    """One claim: what it says, a table of what was measured, and details."""
    first = rows[0]
    parts = [f'<section id="{anchor}"><h3>{escape(first.claim)}</h3>']
    parts.append(f"<blockquote>{escape(first.statement)} <cite>{escape(first.source)}</cite></blockquote>")
    parts.append(f"<p>{escape(said(rows))}</p>")
    for effect, group in groupby(rows, key=lambda row: row.effect):
        mine = list(group)
        if not mine[0].scope:
            continue
        titles = "".join(f"<th>{escape(title)}</th>" for title in COLUMNS)
        parts.append(f"<p>{escape(effect)}</p>")
        parts.append(f"<div><table><thead><tr>{titles}</tr></thead><tbody>{''.join(map(row_html, mine))}</tbody></table></div>")
    return "".join([*parts, "</section>"])


def row_html(row: Claim) -> str:
    """A finding as a row, its details below it."""
    shown = "".join(
        f'<td class="{slug(row.verdict)}">{escape(text)}</td>' if title == "verdict" else f"<td>{escape(text)}</td>"
        for title, text in zip(COLUMNS, cells(row), strict=True)
    )
    more = f'<tr class="details"><td colspan="{len(COLUMNS)}">{escape(row.details)}</td></tr>' if row.details else ""
    return f"<tr>{shown}</tr>{more}"


def write_page(claims: Path, shipped: Path, template: Path, page: Path, front: Path) -> None:
    """Write results/claims.html, and a line for each claim of the run for the report's first page."""
    rows = read_csv(claims, Claim)
    with replacing(page) as temporary:
        temporary.write_text(ledger_page(template.read_text(), rows, read_csv(shipped, Claim)), encoding="utf-8")
    with replacing(front) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        writer.writerows(map(at_a_glance, by_claim(rows)))


def write_findings(claims: Path, readme: Path, findings: Path, with_findings: Path) -> None:
    """Write the page of findings, and the README with its table made anew."""
    rows = read_csv(claims, Claim)
    with replacing(findings) as temporary:
        temporary.write_text(findings_page(rows), encoding="utf-8")
    with replacing(with_findings) as temporary:
        temporary.write_text(with_table(readme.read_text(encoding="utf-8"), rows), encoding="utf-8")
