"""Corpora that nobody has thought of: what is read is what was written, or one line names the file that is at fault."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_cutting import fallback, wordpiece

from geomkit.core.errors import GeomkitError
from geomkit.core.logs import explain
from geomkit.models.cutting import DocumentTokenizer
from geomkit.sources.corpora import prepare_corpus, stored_documents

pytestmark = pytest.mark.slow

EXAMPLES = pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.conformance)])
"""A few in the suite; `make conformance` tries many."""


def tried(examples: int) -> Callable[[Any], Any]:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=checks)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SEEN = TEXT.filter(lambda text: bool(text.removeprefix("\ufeff").strip()))
"""Texts that are no blank documents."""
FOLDER = st.sampled_from(["", "a/", "b/c/", "a b/", "é/"])
STEM = st.sampled_from(["train", "x.y", "Ä", "n" * 200])
IDENTIFIER = st.one_of(st.none(), st.just(""), st.integers(), st.booleans(), TEXT.filter(lambda name: "\0" not in name))
ROW = st.tuples(st.booleans(), IDENTIFIER, st.one_of(SEEN, st.just(""), st.none()))
"""Whether a row has an id, the id, and the text."""
OTHERS = st.sampled_from([".ipynb_checkpoints/train-checkpoint", "._train", "a/.cache/x", ".git/objects/pack"])
"""Hidden files, by their stems: they may hold anything."""


def lines(rows: list[tuple[bool, Any, Any]], ends: str, mark: bool) -> bytes:
    listed = [json.dumps({"text": text} | ({"id": name} if has else {}), ensure_ascii=mark) for has, name, text in rows]
    return (b"\xef\xbb\xbf" if mark else b"") + "".join(line + ends for line in listed).encode()


def table(rows: list[tuple[bool, Any, Any]]) -> bytes:
    """Parquet knows one type for each column, so that all ids are text or missing."""
    names = [None if name is None else str(name) for _, name, _ in rows]
    stream = io.BytesIO()
    pq.write_table(
        pa.table({"id": pa.array(names, pa.string()), "text": pa.array([row[2] for row in rows], pa.string())}), stream
    )
    return stream.getvalue()


def name_of(place: str, number: int, has: bool, name: Any) -> str:
    return f"{place}:{number}" if not has or name in (None, "") else str(name)


@EXAMPLES
@pytest.mark.parametrize("reader", ["text", "jsonl", "parquet"])
def test_what_is_read_is_what_was_written(reader, examples):
    ending = {"text": ".txt", "jsonl": ".jsonl", "parquet": ".parquet"}[reader]
    content = SEEN if reader == "text" else st.lists(ROW, max_size=5)

    @tried(examples)
    @given(
        st.dictionaries(st.tuples(FOLDER, STEM), content, max_size=4),
        st.dictionaries(OTHERS, st.binary(max_size=40), max_size=2),
        st.sampled_from(["\n", "\r\n", "\n\n"]),
        st.booleans(),
    )
    def holds(files, hidden, ends, mark):
        expected: dict[str, str] = {}
        with TemporaryDirectory() as folder:
            corpus, output = Path(folder) / "corpus", Path(folder) / "out/c.parquet"
            corpus.mkdir()
            for (above, stem), inside in files.items():
                path = corpus / f"{above}{stem}{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                place = f"{above}{stem}{ending}"
                if reader == "text":
                    assume(inside.encode()[:64].count(0) <= 16)
                    path.write_bytes(b"\xef\xbb\xbf" * mark + inside.encode())
                    found = [(place, inside if mark else inside.removeprefix("\ufeff"))]
                else:
                    path.write_bytes(lines(inside, ends, mark) if reader == "jsonl" else table(inside))
                    first, step = (1, 1 + (ends == "\n\n")) if reader == "jsonl" else (0, 1)
                    found = [
                        (name_of(place, first + step * row, has or reader == "parquet", name), text or "")
                        for row, (has, name, text) in enumerate(inside)
                    ]
                for name, text in found:
                    if text.removeprefix("\ufeff").strip():
                        assume(name not in expected)
                        expected[name] = text.removeprefix("\ufeff")
            for place, filling in hidden.items():
                path = corpus / f"{place}{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(filling)
            if expected:
                prepare_corpus(corpus, output, reader)
                assert dict(stored_documents(output, "all")) == expected
            else:
                with pytest.raises(GeomkitError):
                    prepare_corpus(corpus, output, reader)
                assert not output.exists()

    holds()


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """A file's content cut off, with other bytes in it, or replaced."""
    start = draw(st.integers(0, len(content)))
    stop = draw(st.integers(start, len(content)))
    return draw(
        st.sampled_from([content[:start], content[start:], content[:start] + draw(st.binary(max_size=9)) + content[stop:]])
    )


@EXAMPLES
@pytest.mark.parametrize("reader", ["text", "jsonl", "parquet", "chitchat", "wikipedia", "lee", "sotu"])
def test_a_file_that_is_spoilt_is_named_on_one_line_and_leaves_nothing(reader, examples):
    good = {
        "text": ("a.txt", "Café, and more.\n" * 3),
        "jsonl": ("a.jsonl", '{"id": "x", "text": "Café."}\n{"text": "More."}\n'),
        "chitchat": ("a.json", '{"a": {"messages": [[{"text": "Café?"}]]}}'),
        "wikipedia": (
            "a.xml",
            "<mediawiki><page><title>A</title><ns>0</ns><revision><text>''Café''</text></revision></page></mediawiki>",
        ),
        "lee": ("a.cor", "One.\nTwo.\n"),
        "sotu": ("a.txt", "The President. Thank you. [Laughter]"),
    }
    name, content = good.get(reader, ("a.parquet", ""))
    whole = content.encode() if content else table([(True, "x", "Café."), (True, None, "More.")])
    # what is inside Parquet's pages is not protected, so that a byte may make another text of it: only ends are cut off
    bad = (
        spoilt(whole) if reader != "parquet" else st.one_of(st.integers(0, len(whole) - 1).map(lambda n: whole[:n]), st.binary())
    )

    @tried(examples)
    @given(bad)
    def holds(content):
        with TemporaryDirectory() as folder:
            corpus, output = Path(folder) / "corpus", Path(folder) / "out/c.parquet"
            corpus.mkdir()
            (corpus / name).write_bytes(content)
            try:
                prepare_corpus(corpus, output, reader)
            except GeomkitError as error:
                line = explain(error)
                assert line is not None
                assert "\n" not in line
                assert len(line) < 600
                assert name in line or f"{corpus}: the reader {reader!r} found no text" in line or "two documents" in line
                assert not list((Path(folder) / "out").glob("*"))
            else:
                assert all(document.text.strip() for document in stored_documents(output, "all"))

    holds()


@EXAMPLES
@pytest.mark.parametrize("kind", ["byte-level", "unigram", "bpe", "wordpiece"])
def test_every_byte_of_a_document_counts_once_at_most(kind, examples, tokenizer):
    words = {"byte-level": tokenizer, "wordpiece": wordpiece()}.get(kind) or fallback(kind)
    read = DocumentTokenizer(words)

    @tried(examples)
    @given(st.one_of(TEXT, st.lists(st.sampled_from(["ab", "今天", "é", " ", "\n", "😀", "cafe", "<s>", "[CLS]"])).map("".join)))
    def holds(text):
        tokens = read(text)
        size, count = len(text.encode()), len(tokens.ids)
        if not count:
            return
        assert tokens.spans is not None
        parts = [tokens.covered(token, token + 1, True) for token in range(count)]
        assert min(parts) >= 0
        assert sum(parts) <= size
        assert tokens.covered(0, count, False) == tokens.spans[-1, 1] - tokens.spans[0, 1]
        if kind == "byte-level":
            assert sum(parts) == size

    holds()
