"""Readers on small files, the split by document, and the cutting of texts."""

import bz2
import gzip
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from counted import Counted

from geomkit.core.errors import ConfigError, DataError
from geomkit.sources import corpora
from geomkit.sources.corpora import Document, clean, cut, read_documents, split_of
from geomkit.sources.wikitext import prose


def read(*arguments: Any, **options: Any) -> list[Document]:
    return list(read_documents(*arguments, **options))


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_plain_text_files_are_named_by_their_place(tmp_path):
    write(tmp_path / "b.txt", "Second,\r\n with  a   gap.\n")
    write(tmp_path / "a/b.md", "Première.")
    write(tmp_path / "a/blank.txt", " \n\t\n")
    write(tmp_path / "notes.pdf", b"\xff")
    assert read(tmp_path, "text", cleaned=True) == [("a/b.md", "Première."), ("b.txt", "Second,\nwith a gap.")]
    assert read(tmp_path / "b.txt", "text", cleaned=True) == [Document("b", "Second,\nwith a gap.")]


@pytest.mark.parametrize(
    "text", ["def f(a):\n\tif a:\n\t\treturn  a\n\n\n", "  two\r\n\r\n\r\nthree \r", "\u2003wide\u00a0 space\n "]
)
def test_text_stays_as_it_is_unless_its_entry_asks_for_clean_text(tmp_path, text):
    write(tmp_path / "a.txt", text)
    write(tmp_path / "a.jsonl", json.dumps({"text": text}))
    pq.write_table(pa.table({"text": [text]}), tmp_path / "a.parquet")
    for reader in ("text", "jsonl", "parquet"):
        assert [found for _, found in read(tmp_path, reader)] == [text]
        assert [found for _, found in read(tmp_path, reader, cleaned=True)] == [clean(text)]


def test_a_byte_order_mark_is_no_text(tmp_path):
    """Editors put one before a file; it would become a token of the first text, and no JSON begins with it."""
    write(tmp_path / "a.txt", "\ufeffFirst.")
    write(tmp_path / "speeches/b.txt", "\ufeffThe President. Second.")
    line = json.dumps({"text": "\ufeffThird.", "id": "c"})
    write(tmp_path / "c.jsonl", f"\ufeff{line}\n")
    pq.write_table(pa.table({"text": ["\ufeffFourth.", "Fi\ufeffth."]}), tmp_path / "d.parquet")
    assert read(tmp_path / "a.txt", "text") == [("a", "First.")]
    assert read(tmp_path / "speeches", "sotu") == [("b", "Second.")]
    assert read(tmp_path / "c.jsonl", "jsonl") == [("c", "Third.")]
    assert [text for _, text in read(tmp_path / "d.parquet", "parquet")] == ["Fourth.", "Fi\ufeffth."]


def test_json_lines_are_named_by_id_or_line(tmp_path):
    rows = [{"text": "One.", "id": 7}, {"text": "Two\u2028lines.", "other": 1}, {"text": ""}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    write(tmp_path / "a.jsonl", "\n".join([lines[0], "", *lines[1:]]) + "\n")
    assert read(tmp_path, "jsonl") == [("7", "One."), ("a.jsonl:3", "Two\u2028lines.")]


@pytest.mark.parametrize("line", ["{not JSON}", '["text"]', '{"txet": "One."}', "3"])
def test_a_bad_json_line_is_named(tmp_path, line):
    file = write(tmp_path / "a.jsonl", f'{{"text": "One."}}\n\n{line}\n')
    with pytest.raises(DataError, match=f'{file}, line 3: not a JSON object with a "text"'):
        read(tmp_path, "jsonl")


def test_parquet_rows_are_named_by_id_or_row(tmp_path):
    pq.write_table(pa.table({"text": ["One.", None, "Three."], "id": [10, 11, 12]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["Four.", "", "Six."], "more": [[1], [2], [3]]}), tmp_path / "b.parquet", row_group_size=1)
    assert read(tmp_path, "parquet") == [
        ("10", "One."),
        ("12", "Three."),
        ("b.parquet:0", "Four."),
        ("b.parquet:2", "Six."),
    ]


def test_the_text_is_read_from_the_column_that_is_named(tmp_path):
    write(tmp_path / "a.jsonl", '{"text": "Wrong.", "body": "Right."}\n')
    pq.write_table(pa.table({"text": ["Wrong."], "body": ["Right."], "id": ["x"]}), tmp_path / "b.parquet")
    assert read(tmp_path / "a.jsonl", "jsonl", "body") == [("a.jsonl:1", "Right.")]
    assert read(tmp_path / "b.parquet", "parquet", "body") == [("x", "Right.")]
    assert read(tmp_path / "b.parquet", "parquet", "id") == [("x", "x")]
    with pytest.raises(DataError, match='not a JSON object with a "content"'):
        read(tmp_path / "a.jsonl", "jsonl", "content")
    with pytest.raises(DataError, match='no column "content" among text, body, id'):
        read(tmp_path / "b.parquet", "parquet", "content")


def test_a_reader_without_columns_takes_none(tmp_path):
    with pytest.raises(ConfigError, match="the reader 'text' takes no column, but 'body' was asked for"):
        read(write(tmp_path / "a.txt", "One."), "text", "body")
    assert [name for name in corpora.readers if corpora.takes_column(name)] == ["jsonl", "parquet"]


def test_parquet_without_text_names_its_columns(tmp_path):
    pq.write_table(pa.table({"id": ["a"], "content": ["One."]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r'a\.parquet: no column "text" among id, content'):
        read(tmp_path, "parquet")


def test_a_file_that_is_not_parquet_is_named(tmp_path):
    write(tmp_path / "a.parquet", "text")
    with pytest.raises(DataError, match=r"a\.parquet: not a whole Parquet file"):
        read(tmp_path, "parquet")


@pytest.mark.parametrize("text", [3, True, ["One."], {"content": "One."}])
def test_a_document_that_is_not_text_is_named(tmp_path, text):
    write(tmp_path / "a.jsonl", json.dumps({"text": "One."}) + "\n" + json.dumps({"text": text}))
    with pytest.raises(DataError, match=rf'a\.jsonl, line 2: "text" is of type {type(text).__name__}, not text; set the column'):
        read(tmp_path, "jsonl")
    pq.write_table(pa.table({"text": [text], "body": ["One."]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r'a\.parquet: column "text" is of type .*, not text; columns of text: body'):
        read(tmp_path, "parquet")
    assert [found for _, found in read(tmp_path, "parquet", "body")] == ["One."]


def test_what_a_reader_of_another_s_yields_that_is_not_text_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(corpora.readers._functions, "odd", lambda path: iter([Document("a" * 320, 3)]))
    with pytest.raises(DataError, match=rf"{tmp_path}: document '{'a' * 97}\.\.\.' is of type int, not text"):
        read(tmp_path, "odd")


@pytest.mark.parametrize("reader", ["jsonl", "parquet"])
def test_a_null_is_no_document_and_a_row_without_an_id_is_named_by_its_place(tmp_path, reader):
    rows = [{"id": "a", "text": "One."}, {"id": None, "text": "Two."}, {"id": None, "text": "Three."}, {"id": "b", "text": None}]
    write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    names = {"jsonl": ["a", "a.jsonl:2", "a.jsonl:3"], "parquet": ["a", "a.parquet:1", "a.parquet:2"]}
    assert [name for name, _ in read(tmp_path, reader)] == names[reader]


@pytest.mark.parametrize("identifier", ["null", "NaN", '""'])
def test_what_is_no_id_names_no_document(tmp_path, identifier):
    write(tmp_path / "a.jsonl", f'{{"id": {identifier}, "text": "One."}}\n' * 2)
    assert read(tmp_path, "jsonl") == [("a.jsonl:1", "One."), ("a.jsonl:2", "One.")]


def test_shards_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for folder in ("a", "b/c"):
        write(tmp_path / folder / "train.jsonl", '{"text": "One."}\n')
        pq.write_table(pa.table({"text": ["One."]}), tmp_path / folder / "train.parquet")
    assert [name for name, _ in read(tmp_path, "jsonl")] == ["a/train.jsonl:1", "b/c/train.jsonl:1"]
    assert [name for name, _ in read(tmp_path, "parquet")] == ["a/train.parquet:0", "b/c/train.parquet:0"]
    assert read(tmp_path / "a/train.jsonl", "jsonl") == [("train.jsonl:1", "One.")]


# folders


def test_hidden_copies_are_left_out_and_named(tmp_path, capsys):
    write(tmp_path / ".cache/corpus/a.txt", "One.")
    for hidden in (".ipynb_checkpoints/a-checkpoint.txt", "._a.txt", "b/.git/c.txt", ".DS_Store", ".cache/x"):
        write(tmp_path / ".cache/corpus" / hidden, "Copy.")
    assert read(tmp_path / ".cache/corpus", "text") == [("a.txt", "One.")]
    said = capsys.readouterr().out
    assert said == f"{tmp_path}/.cache/corpus: hidden files left out: ._a.txt, .ipynb_checkpoints, b/.git\n"


def test_files_of_other_kinds_are_counted_and_endings_may_be_in_capitals(tmp_path, capsys):
    for name in ("a.TXT", "b.txt.gz", "c.pdf", "d.pdf", "README"):
        write(tmp_path / name, "One.")
    (tmp_path / "folder.txt").mkdir()
    assert read(tmp_path, "text") == [("a.TXT", "One.")]
    assert "files of other kinds left out: 1 .gz, 2 .pdf, 1 without an ending" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"no \.parquet file in there; there are 1 \.gz, 2 \.pdf, 1 \.txt, .*; set reader: text$"):
        read(tmp_path, "parquet")


def test_linked_folders_are_followed_once_and_circles_end(tmp_path, capsys):
    corpus, other = tmp_path / "corpus", tmp_path / "other"
    write(corpus / "z/a.txt", "One.")
    write(other / "b.txt", "Two.")
    (corpus / "linked").symlink_to(other)
    (corpus / "again").symlink_to(corpus / "z")
    (other / "up").symlink_to(tmp_path)
    (corpus / "c.txt").symlink_to(other / "b.txt")
    found = read(corpus, "text")
    assert sorted(found) == [("c.txt", "Two."), ("linked/b.txt", "Two."), ("z/a.txt", "One.")]
    said = capsys.readouterr().out
    assert f"{corpus}/again: left out, for it is linked to {corpus}/z, which is read already" in said


def test_what_lies_in_a_hidden_folder_is_read_where_a_link_shows_it(tmp_path):
    """As version control of data and mounted volumes have it."""
    write(tmp_path / ".store/v1/a.txt", "One.")
    (tmp_path / "latest").symlink_to(tmp_path / ".store/v1")
    (tmp_path / "b.txt").symlink_to(tmp_path / ".store/v1/a.txt")
    assert read(tmp_path, "text") == [("b.txt", "One."), ("latest/a.txt", "One.")]


def test_a_folder_that_is_a_link_is_read(tmp_path):
    write(tmp_path / "v1/a.txt", "One.")
    (tmp_path / "latest").symlink_to(tmp_path / "v1")
    assert read(tmp_path / "latest", "text") == [("a.txt", "One.")]


def test_a_link_to_nothing_is_named(tmp_path):
    write(tmp_path / "b.txt", "Two.")
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone.txt")
    with pytest.raises(DataError, match=r"a\.txt: a link to .*gone\.txt, which is not there; restore or remove it"):
        read(tmp_path, "text")


def test_blank_documents_are_counted(tmp_path, capsys):
    write(tmp_path / "a.txt", "")
    write(tmp_path / "b.txt", " \n")
    write(tmp_path / "c.txt", "Three.")
    assert read(tmp_path, "text") == [("c.txt", "Three.")]
    assert f"{tmp_path}: 2 empty documents left out" in capsys.readouterr().out


# files that are not what they seem


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 538090408\n"


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        ("text", "a.txt"), ("jsonl", "a.jsonl"), ("parquet", "a.parquet"), ("wikipedia", "a.xml"), ("wikipedia", "a.bz2"),
        ("lee", "a.cor"), ("chitchat", "a.json"), ("sotu", "a.txt"),
    ],
)  # fmt: skip
def test_a_pointer_of_git_lfs_is_not_a_document(tmp_path, reader, name):
    write(tmp_path / name, POINTER)
    with pytest.raises(DataError, match=f"{name}: a pointer of Git LFS, not the file itself; run `git lfs pull`"):
        read(tmp_path, reader)


@pytest.mark.parametrize("reader", ["text", "jsonl"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b'{"text": "One."}', mtime=0), r"compressed \(gzip\); decompress it"),
        (bz2.compress(b'{"text": "One."}'), r"compressed \(bzip2\); decompress it"),
        ('{"text": "One."}'.encode("utf-16"), "UTF-16 or binary; save it as UTF-8"),
        ('{"text": "One."}'.encode("utf-16-le"), "UTF-16 or binary; save it as UTF-8"),
        ('{"text": "One."}'.encode("utf-32"), "UTF-16 or binary; save it as UTF-8"),
    ],
)
def test_what_is_no_plain_utf8_says_what_it_is(tmp_path, reader, content, words):
    name = {"text": "a.txt", "jsonl": "a.jsonl"}[reader]
    write(tmp_path / name, content)
    with pytest.raises(DataError, match=f"{name}: not UTF-8 text but {words}"):
        read(tmp_path, reader)


def test_the_reader_of_parquet_says_which_reader_reads_another_file(tmp_path):
    with pytest.raises(DataError, match=r"a\.jsonl: not a Parquet file, which the reader parquet takes; set reader: jsonl"):
        read(write(tmp_path / "a.jsonl", '{"text": "One."}'), "parquet")


def test_text_in_parquet_that_is_not_utf8_is_named_by_its_rows(tmp_path):
    column = pa.array([b"One.", b"caf\xe9"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet, rows 0 to 1: not UTF-8 text"):
        read(tmp_path, "parquet")


def test_two_columns_of_one_name_are_refused(tmp_path):
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r'a\.parquet: 2 columns are named "text"; rename one of them'):
        read(tmp_path, "parquet")


def test_parquet_that_is_damaged_inside_is_named(tmp_path):
    pq.write_table(pa.table({"text": ["One. " * 500] * 40}), tmp_path / "a.parquet", compression="zstd")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[40:80] = bytes(40)
    write(tmp_path / "a.parquet", bytes(content))
    with pytest.raises(DataError, match=r"a\.parquet: "):
        read(tmp_path, "parquet")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[\n {"text": "One."}\n]', r"line 1: .*; write each object on a line of its own, as jq -c '\.\[\]' does"),
        ('[{"text": "One."}]', r"line 1: .* \(it is of type list\); write each object on a line of its own"),
        ('{\n "text": "One."\n}', r"line 1: .*; write each object on a line of its own$"),
        ('{"text": "One."}\n{"text": "Tw', r"line 2: .* at column 10\); is the line cut off\?"),
        ('{"data": {"text": "One."}}', r"line 1: .* \(its keys are data\); set the column that holds the text"),
        ("{}", r"line 1: .* \(its keys are none\)"),
        ("[" * 100_000, r"line 1: not a JSON object"),
        ('{"text": "One."}{"text": "Two."}', r"line 1: .*Extra data at column 17\); write each object on a line of its own$"),
    ],
)
def test_json_that_is_not_an_object_a_line_says_what_would_help(tmp_path, content, words):
    write(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=rf"a\.json, {words}") as error:
        read(tmp_path, "jsonl")
    assert len(str(error.value)) < 400


def test_speeches_come_without_what_was_not_said(tmp_path):
    write(
        tmp_path / "1999-Name-1.txt",
        "The President. Mr. Speaker, [applause] thank you. [Laughter]\n"
        "Audience members. Four more years!\n"
        "The President. The President. is here; the President is well.\n",
    )
    assert read(tmp_path, "sotu", cleaned=True) == [
        ("1999-Name-1", "Mr. Speaker, thank you.\n\nThe President. is here; the President is well.")
    ]


def test_news_documents_keep_their_order_and_their_letters(tmp_path):
    write(tmp_path / "lee.cor", "Café one.\nTwo\x85and more.\n\nFour.\n".encode("latin-1"))
    assert read(tmp_path, "lee", cleaned=True) == [("00", "Café one."), ("01", "Two and more."), ("03", "Four.")]


def test_a_conversation_is_a_document_with_a_line_for_each_turn(tmp_path):
    def turn(*messages):
        return [{"text": message, "sender": "a", "timestamp": "2018-05-02T19:38:15Z"} for message in messages]

    talks = {"b": {"messages": [turn("Hello", "How are\nyou?"), turn("Fine.")]}, "a": {"messages": [turn("Café?")]}}
    write(tmp_path / "dataset.json", json.dumps(talks | {"silent": {"messages": []}}))
    assert read(tmp_path, "chitchat") == [("b", "Hello How are you?\nFine."), ("a", "Café?")]


@pytest.mark.parametrize("text", ['{"a": {"messages": [[{"sender": "x"}]]}}', '{"a": []}', "[1]", '{"a"'])
def test_what_is_no_object_of_conversations_is_named(tmp_path, text):
    write(tmp_path / "dataset.json", text)
    with pytest.raises(DataError, match=r'dataset\.json: not an object of conversations with "messages"'):
        read(tmp_path, "chitchat")


@pytest.mark.parametrize(
    ("reader", "ending"),
    [
        ("text", ".txt"), ("jsonl", ".jsonl"), ("parquet", ".parquet"), ("sotu", ".txt"), ("wikipedia", ".xml"), ("lee", ".cor"),
        ("chitchat", ".json"),
    ],
)  # fmt: skip
def test_a_folder_without_the_reader_s_files_is_an_error(tmp_path, reader, ending):
    write(tmp_path / "a.other", "text")
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match=f"{path}: no .*{ending}.* file in there"):
            read(path, reader)


def test_a_corpus_without_text_is_an_error(tmp_path):
    write(tmp_path / "a.txt", "\n \n")
    with pytest.raises(DataError, match="the reader 'text' found no text"):
        read(tmp_path, "text")


def test_names_must_be_unique(tmp_path):
    write(tmp_path / "a.jsonl", "".join(json.dumps({"id": name, "text": "One."}) + "\n" for name in "abcb"))
    with pytest.raises(
        DataError, match=r"two documents are named 'b'.*: leave out the ids, and documents are named by file and row"
    ):
        read(tmp_path, "jsonl")
    write(tmp_path / "a.jsonl", json.dumps({"id": "b" * 320, "text": "One."}) + "\n")
    assert read(tmp_path, "jsonl") == [("b" * 320, "One.")]
    write(tmp_path / "a.jsonl", (json.dumps({"id": "b" * 320, "text": "One."}) + "\n") * 2)
    with pytest.raises(DataError, match=f"two documents are named '{'b' * 97}\\.\\.\\.'"):
        read(tmp_path, "jsonl")


@pytest.mark.parametrize(("reader", "name"), [("text", "a.txt"), ("sotu", "a.txt"), ("jsonl", "a.jsonl")])
def test_text_that_is_not_utf8_is_named(tmp_path, reader, name):
    write(tmp_path / name, b"first line\ncaf\xe9\n" if reader != "jsonl" else b'{"text": "One."}\n{"text": "caf\xe9"}\n')
    with pytest.raises(
        DataError, match=f"{name}, line 2: not UTF-8 text .byte 0xe9.*; save it as UTF-8, .* iconv -f latin1 -t utf8"
    ):
        read(tmp_path, reader)


def test_an_unknown_reader_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown corpus reader 'pdf'; known: text, jsonl"):
        read(tmp_path, "pdf")


PAGE = """{{Infobox settlement|name=Town|area={{convert|1|mi}}}}
[[File:Town.jpg|thumb|left|The [[bridge]] of ''Town''.]]
'''Town''' ({{IPAc-en|t|aʊ|n}}; {{lang-de|Stadt}}) is a [[city|large town]]<ref name="a">{{cite book|title=Towns}}</ref> of
{{convert|12|to|15|km|mi}} by {{convert|3|km|mi}}.&nbsp;See [http://example.org its page]{{citation needed}}.<ref name="a" />
<!-- a comment -->
== History ==
{| class="wikitable"
! Year !! People
|-
| 1900 || {{small|'''Many'''}}
|}
* Founded<br>early
* [[fr:Ville]]Burnt in [[2001: A Town Odyssey]]

=== Notes ===
<references />
==== Old ====
A note.

== See also ==
* [[Village]]
=== Elsewhere ===
* [[Hamlet]]

== Today ==
It thrives.

== External links ==
* http://example.org
[[Category:Towns]]
"""
PROSE = """Town (taʊn; Stadt) is a large town of
12 to 15 km by 3 km. See its page.

History

Founded
early
Burnt in 2001: A Town Odyssey

Today
It thrives."""


def dump(*pages: str, namespace: str = ' xmlns="http://www.mediawiki.org/xml/export-0.10/"') -> bytes:
    head = "<siteinfo><sitename>Test</sitename></siteinfo>"
    return f"<mediawiki{namespace}>{head}{''.join(pages)}</mediawiki>".encode()


def page(title: str, text: str, ns: int = 0, more: str = "") -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    revision = f"<revision><id>1</id><contributor><id>2</id></contributor><text>{text}</text></revision>"
    return f"<page><title>{title}</title><ns>{ns}</ns><id>3</id>{more}{revision}</page>"


PAGES = (
    page("Town", PAGE),
    page("Twn", "#REDIRECT [[Town]]", more='<redirect title="Town" />'),
    page("Talk:Town", "I disagree.", ns=1),
    page("Empty", ""),
    page("Village", "A village."),
)


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://www.mediawiki.org/xml/export-0.10/"'])
@pytest.mark.parametrize("name", ["dump.xml", "dump.xml.bz2"])
def test_articles_come_as_prose(tmp_path, name, namespace):
    content = dump(*PAGES, namespace=namespace)
    write(tmp_path / name, bz2.compress(content) if name.endswith("bz2") else content)
    assert read(tmp_path, "wikipedia", cleaned=True) == [("Town", PROSE), ("Village", "A village.")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.xml", dump(*PAGES)[:-30]),
        ("cut.xml.bz2", bz2.compress(dump(*PAGES))[:-30]),
        ("other.bz2", b"not compressed"),
        ("other.xml", b"not XML"),
    ],
)
def test_a_dump_that_is_not_whole_is_named(tmp_path, name, content):
    write(tmp_path / name, content)
    with pytest.raises(DataError, match=f"{name}: not a whole MediaWiki XML dump"):
        read(tmp_path, "wikipedia")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("No markup, 5 > 3 - and a colon: here.", "No markup, 5 > 3 - and a colon: here."),
        ("''Italic'', '''bold''', '''''both''''', and an ''unpaired quote", "Italic, bold, both, and an unpaired quote"),
        ("x<ref>an ''unpaired note</ref> y", "x y"),
        ("a {| class=x\n|-\n| b\n|} c", "a {| class=x\n|-\n| b\n|} c"),
        ("a\n{| class=x\n|-\n| ''b || {{c}}\n|}\nd", "a\n\nd"),
        ("a<div>b{{c}} [[Image:d.png|e [[f]] g]]<table><tr><td>h</td></tr></table></div>i", "ab i"),
        ("[[a]] [[a|b]] [[:Category:a]] [[:Category:a|b]] [[Category:a|b]] [[wikt:a|b]] [[de:a]]", "a b  b  b "),
        ("[http://a.b c ''d''] [http://a.b] http://a.b", "c d  "),
        ("1 &lt; 2&nbsp;&amp; 3", "1 < 2\u00a0& 3"),
        ("E=<math>mc^2</math>, H<sub>2</sub>O __NOTOC__ <nowiki>[[a]]</nowiki>", "E=, H2O  [[a]]"),
        ("{{convert|1,000|ft|m|0}} {{cvt|2|-|3|kg|lb}} {{convert|7}} {{convert}}", "1,000 ft 2 - 3 kg 7 "),
        (
            "{{lang|la|''ars''}} {{Lang-fr|art}} {{transl|ar|ALA|fann}} {{nihongo|art|芸|gei}} {{IPA-fr|aʁ|lang}}",
            "ars art fann art aʁ",
        ),
        ("{{chem|H|2|O}} {{respell|ART|ist}}, {{as of|2016|lc=y}}", "H2O ART-ist, As of 2016"),
        ("a{{nbsp}}{{nowrap|[[b|c]]}}{{snd}}{{unknown|d}}", "a c \u2013 "),
        ("== See also ==\na\n=== b ===\nc\n== d ==\ne\n== References ==\nf\n= g =\nh", " d \ne\n g \nh"),
    ],
)
def test_prose_is_what_a_reader_sees(source, expected):
    assert prose(source) == expected


def test_clean_is_idempotent_and_leaves_no_run_of_spaces():
    for letters in itertools.product("a \t\n\r\u2003", repeat=6):
        text = "".join(letters)
        cleaned = clean(text)
        assert clean(cleaned) == cleaned
        assert cleaned == cleaned.strip()
        assert not any(run in cleaned for run in ("  ", " \n", "\n ", "\n\n\n", "\r", "\t", "\u2003"))
        assert cleaned.replace(" ", "").replace("\n", "") == "a" * text.count("a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\r\nb", "a\nb"), ("a \n b", "a\nb"), ("a\n\nb", "a\n\nb"), ("a\n \n \n\nb", "a\n\nb"), (" a\t\tb ", "a b"), ("\n", "")],
)
def test_clean_keeps_lines_and_paragraphs(text, expected):
    assert clean(text) == expected


def test_the_split_of_a_name_is_fixed():
    expected = {"1790-Washington-1": "train", "1863-Lincoln-1": "test", "Albedo": "test", "00": "test", "": "train"}
    assert {name: split_of(name) for name in expected} == expected


def test_the_shares_of_the_splits():
    counts = Counter(split_of(f"document {number}") for number in range(20_000))
    assert counts.keys() == corpora.SPLITS.keys()
    for split, share in {"test": 0.2, "validation": 0.1, "train": 0.7}.items():
        assert counts[split] / 20_000 == pytest.approx(share, abs=0.01)


def test_stored_documents_are_those_of_the_split(tmp_path):
    documents = [Document(f"document {number}", f"Text {number}.") for number in range(50)]
    corpora.write_documents(documents, tmp_path / "documents.parquet")
    for split in corpora.SPLITS:
        expected = [document for document in documents if split_of(document.name) == split]
        assert list(corpora.stored_documents(tmp_path / "documents.parquet", split)) == expected
    assert list(corpora.stored_documents(tmp_path / "documents.parquet", "all")) == documents


def test_a_split_without_documents_is_an_error(tmp_path):
    name = next(name for name in map(str, range(99)) if split_of(name) == "train")
    corpora.write_documents([Document(name, "Text.")], tmp_path / "documents.parquet")
    with pytest.raises(DataError, match=r"documents\.parquet: no document is in the split 'test'; set split: all"):
        corpora.stored_documents(tmp_path / "documents.parquet", "test")


LENGTHS = [(37 * document) % 900 for document in range(120)]


@pytest.mark.parametrize(("lengths", "count", "length"), [(LENGTHS, 200, 64), (LENGTHS, 60, 256), (LENGTHS[:30], 500, 64)])
def test_slices_are_disjoint_inside_their_documents_and_of_the_length(lengths, count, length):
    slices = cut(lengths, count, length, seed=0)
    assert len(slices) <= count
    assert slices == sorted(set(slices))
    for first, second in itertools.pairwise(slices):
        assert first.document < second.document or first.stop <= second.start
    for document, start, stop in slices:
        assert 0 <= start < stop <= lengths[document]
        assert stop - start == min(length, lengths[document])


def test_there_are_as_many_slices_as_asked_for_or_as_fit():
    whole = sum(n // 64 for n in LENGTHS)
    assert len(cut(LENGTHS, whole - 1, 64, seed=0)) == whole - 1
    assert len(cut(LENGTHS, whole + 100, 64, seed=0)) == whole


@pytest.mark.parametrize("count", [1, 50, 130, 333])
def test_slices_are_dealt_out_evenly(count):
    slices = cut([1000] * 50, count, 64, seed=3)
    held = Counter(document for document, _, _ in slices)
    assert sum(held.values()) == count
    counts = [held[document] for document in range(50)]
    assert max(counts) - min(counts) <= 1


def test_a_small_document_gives_all_it_has_before_a_larger_one_gives_more():
    lengths = [64] * 39 + [6400]
    held = Counter(document for document, _, _ in cut(lengths, 60, 64, seed=0))
    assert [held[document] for document in range(40)] == [1] * 39 + [21]


def test_short_documents_are_used_only_where_fewer_than_40_are_long_enough():
    assert {document for document, _, _ in cut([64] * 40 + [63] * 10, 100, 64, seed=0)} == set(range(40))
    short = cut([64] * 39 + [63] * 10 + [2, 1, 0], 100, 64, seed=0)
    assert [(document, stop - start) for document, start, stop in short] == [
        *((document, 64) for document in range(39)),
        *((document, 63) for document in range(39, 49)),
        (49, 2),
    ]


def test_nothing_to_cut_gives_nothing():
    assert cut([], 10, 64, seed=0) == []
    assert cut([1, 0], 10, 64, seed=0) == []


def test_slices_depend_on_the_seed_alone():
    assert cut(LENGTHS, 100, 64, seed=1) == cut(LENGTHS, 100, 64, seed=1)
    assert cut(LENGTHS, 100, 64, seed=1) != cut(LENGTHS, 100, 64, seed=2)


def test_documents_stream_into_the_corpus_whatever_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "clean", Counted)
    most = []
    for number in (200, 2000):
        lines = "".join(json.dumps({"id": f"d{row}", "text": f"Text {row}."}) + "\n" for row in range(number))
        Counted.most = 0
        corpora.prepare_corpus(write(tmp_path / f"{number}.jsonl", lines), tmp_path / f"{number}.parquet", "jsonl", cleaned=True)
        most.append(Counted.most)
        stored = corpora.stored_documents(tmp_path / f"{number}.parquet", "all")
        assert len(stored) == number
        assert stored[number - 1] == (f"d{number - 1}", f"Text {number - 1}.")
    assert most[0] == most[1] <= 2 * corpora.GROUP


def test_a_corpus_that_is_found_wrong_at_its_end_leaves_nothing(tmp_path):
    lines = "".join(json.dumps({"id": f"d{row}", "text": "Text."}) + "\n" for row in [*range(100), 0])
    with pytest.raises(DataError, match="two documents are named 'd0'"):
        corpora.prepare_corpus(write(tmp_path / "a.jsonl", lines), tmp_path / "out/a.parquet", "jsonl")
    assert not list((tmp_path / "out").iterdir())


def test_one_file_of_another_kind_is_no_document(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(DataError, match=r"x\.jsonl: the reader text would take all of it for one document; set reader: jsonl"):
        list(corpora.readers["text"](tmp_path / "x.jsonl"))
