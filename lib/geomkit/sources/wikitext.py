"""Extract prose from MediaWiki markup, as the parsed page would show it to a reader."""

import re
from collections.abc import Callable

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Node, Tag, Template, Text, Wikilink
from mwparserfromhell.wikicode import Wikicode


def prose(source: str) -> str:
    """Extract the sentences, lists and headings of an English article.

    No boxes, tables, formulas, notes, files or categories, nor the sections of references and links. A page without markup comes
    back as it is.

    Parsed without bold and italic, whose unpaired quotes would leave the tables and links around them unparsed.
    """
    return shown(mwparserfromhell.parse(source, skip_style_tags=True))


def shown(code: Wikicode) -> str:
    """Render a sequence of nodes as text."""
    parts = []
    skipped_level = None
    for node in code.nodes:
        if isinstance(node, Heading) and (skipped_level is None or node.level <= skipped_level):
            skipped_level = node.level if shown(node.title).strip().lower() in REFERENCE_SECTIONS else None
        if skipped_level is None:
            parts.append(shown_node(node))
    return "".join(parts)


def shown_node(node: Node) -> str:
    match node:
        case Text(value=text):
            return re.sub(r"'{2,}|__[A-Z]+__", "", text)
        case HTMLEntity():
            return node.normalize()
        case Heading(title=title) | ExternalLink(title=title, brackets=True) if title:
            return shown(title)
        case Wikilink(title=title, text=text):
            prefix, colon, _ = title.strip().partition(":")
            interwiki = text is None and (not prefix or prefix.islower())
            hidden = colon and (interwiki or prefix.lower() in {"file", "image", "category"})
            return "" if hidden else shown(title if text is None else text)
        case Tag(tag=name) if name.lower() == "br":
            return "\n"
        case Tag(tag=name, contents=contents) if contents and name.lower() not in HIDDEN_TAGS:
            return shown(contents)
        case Template(name=name, params=parameters):
            family = re.sub(r"^(lang|ipa)-.*", r"\1-", name.strip().lower())
            values = [shown(parameter.value).strip() for parameter in parameters if not parameter.showkey]
            return INLINE_TEMPLATES[family](values) if family in INLINE_TEMPLATES else ""
    return ""


def first(values: list[str]) -> str:
    return "".join(values[:1])


def last(values: list[str]) -> str:
    return "".join(values[-1:])


def quantity(values: list[str]) -> str:
    """Format a number and its unit, or a range of numbers and their unit, without the units that it is converted to."""
    return " ".join(values[: 4 if {*values[1:2]} & {"-", "\u2013", "to", "and", "or", "by", "x"} else 2])


INLINE_TEMPLATES: dict[str, Callable[[list[str]], str]] = {
    **dict.fromkeys(("convert", "cvt"), quantity),
    **dict.fromkeys(("lang", "transl"), last),
    **dict.fromkeys(("lang-", "ipa-", "ipa", "nihongo", "flag", "nowrap", "nobr", "angbr", "big", "small", "smaller"), first),
    **dict.fromkeys(("math", "mvar", "vr", "sc"), first),
    **dict.fromkeys(("ipac-en", "chem"), "".join),
    "respell": "-".join,
    "as of": lambda values: f"As of {first(values)}",
    "nbsp": lambda _: " ",
    "snd": lambda _: " \u2013 ",
}
"""Templates that stand for words in a sentence, as functions of their unnamed parameters; all others are left out."""

HIDDEN_TAGS = {"gallery", "imagemap", "math", "ref", "references", "score", "source", "syntaxhighlight", "table", "timeline"}

REFERENCE_SECTIONS = {
    "bibliography",
    "citations",
    "external links",
    "footnotes",
    "further reading",
    "notes",
    "notes and references",
    "references",
    "references and further reading",
    "see also",
    "selected bibliography",
    "sources",
    "works cited",
}
