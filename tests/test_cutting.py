"""Texts cut out of documents, counts of tokens elsewhere, and files of texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geomkit.errors import ConfigError, DataError
from geomkit.lm import cutting as module
from geomkit.lm.cutting import cut_texts, sample, tokenizer_sha256, vocabulary_counts
from geomkit.lm.dumping import dump_model
from geomkit.sources.corpora import Document, split_of, stored_documents, write_documents
from geomkit.store.dumps import Dump, State
from geomkit.store.texts import read_texts


def encoded(documents: Sequence[Document], tokenizer: Any) -> dict[str, list[int]]:
    return {document.name: tokenizer(document.text, add_special_tokens=False)["input_ids"] for document in documents}


def test_texts_are_runs_of_their_documents_tokens(documents, tokenizer):
    found = sample(documents, tokenizer, count=60, length=16, seed=0)
    whole = encoded(documents, tokenizer)
    assert len(found.ids) == len(found.texts.document) == 60
    assert found.texts.tokens == [16] * 60
    for ids, name in zip(found.ids, found.texts.document, strict=True):
        assert ids.dtype == np.int32
        assert any(whole[name][i : i + 16] == ids.tolist() for i in range(len(whole[name])))
    order = [name for i, name in enumerate(found.texts.document) if i == 0 or found.texts.document[i - 1] != name]
    assert len(order) == len(set(order)), "texts of one document must follow one another"
    assert len(order) >= 40


@pytest.mark.parametrize("seed", [0, 1])
def test_sampling_depends_on_the_seed_alone(documents, tokenizer, seed):
    found, again = (sample(documents, tokenizer, 10, 16, seed) for _ in range(2))
    np.testing.assert_array_equal(found.ids, again.ids)
    assert found.texts == again.texts
    assert found.texts.document != sample(documents, tokenizer, 10, 16, seed + 1).texts.document


def test_a_large_corpus_is_not_tokenized_whole(documents, tokenizer):
    seen = []

    def counting(text, **options):
        seen.append(text)
        return tokenizer(text, **options)

    counting.decode = tokenizer.decode
    many = [Document(f"{i}-{document.name}", document.text) for i in range(20) for document in documents]
    found = sample(many, counting, count=45, length=16, seed=0)
    assert len(seen) == 45 + 2, "45 documents, and two short calls to see what the tokenizer puts in front"
    assert len({*found.texts.document}) == 45


def test_bytes_are_those_of_the_tokens_that_have_a_surprisal(documents, tokenizer, bos_tokenizer):
    """A whole document has all of its bytes behind a prefix, and those of its first token less without one."""
    size = {document.name: len(document.text.encode()) for document in documents}
    first = {name: len(tokenizer.decode(ids[:1]).encode()) for name, ids in encoded(documents, tokenizer).items()}
    with_prefix, without = (sample(documents, words, 50, 10_000, 0) for words in (bos_tokenizer, tokenizer))
    assert with_prefix.prefix == [tokenizer.eos_token_id]
    assert without.prefix == []
    assert with_prefix.texts.bytes == [size[name] for name in with_prefix.texts.document]
    assert without.texts.bytes == [size[name] - first[name] for name in without.texts.document]
    np.testing.assert_array_equal(np.concatenate(with_prefix.ids), np.concatenate(without.ids))


def test_tokens_of_documents_that_are_not_measured_are_counted(documents, tokenizer, monkeypatch):
    measured = {documents[0].name, documents[2].name}
    counts = vocabulary_counts(documents, measured, tokenizer, 320, 0)
    others = [tokenizer(document.text)["input_ids"] for document in documents if document.name not in measured]
    assert counts.shape == (320,)
    np.testing.assert_array_equal(counts, np.bincount(np.concatenate(others), minlength=320))
    monkeypatch.setattr(module, "COUNTED", 1)
    assert vocabulary_counts(documents, measured, tokenizer, 320, 0).sum() in map(len, others)


def test_no_text_of_two_tokens_is_an_error(tokenizer):
    with pytest.raises(DataError, match="no text of at least two tokens among 2 documents"):
        sample([Document("a", "b"), Document("c", "d")], tokenizer, 10, 16, 0)


# files of texts


@pytest.fixture
def corpus(documents: list[Document], tmp_path: Path) -> Path:
    write_documents(documents, tmp_path / "c.parquet")
    return tmp_path / "c.parquet"


def cut_with(folder: Path, corpus: Path, output: Path, split: str = "all") -> None:
    cut_texts(folder, corpus, output, split, {"count": 45, "length": 16}, seed=3, trust_remote_code=False)


def test_texts_that_are_shorter_than_every_length_are_found_as_they_are_cut(tiny, tmp_path):
    """Before a model runs: the key is named, and nothing is written. A text that is long enough is one too many."""
    write_documents([Document("a", "Fog."), Document("b", "Fog over the harbour.")], tmp_path / "c.parquet")
    options: dict[str, Any] = {"split": "all", "texts": {"count": 2, "length": 16}, "seed": 3, "trust_remote_code": False}
    folder, output = tiny("gpt-neox"), tmp_path / "t.h5"
    cut_texts(folder, tmp_path / "c.parquet", output, **options)
    longest = max(read_texts(output).sample.texts.tokens)
    output.unlink()
    for key in ("entropy.lengths", "scaling.primary.length"):
        message = (
            rf"^config: {key}: the longest text of .*c\.parquet has {longest} tokens, fewer than {longest + 1}; set a smaller"
        )
        with pytest.raises(ConfigError, match=message):
            cut_texts(folder, tmp_path / "c.parquet", output, **options, lengths={"other": 2, key: longest + 1})
        assert not output.exists()
    cut_texts(folder, tmp_path / "c.parquet", output, **options, lengths={"entropy.lengths": longest})


def test_a_file_holds_the_texts_and_the_counts(documents, corpus, tiny, tokenizer, tmp_path):
    cut_with(tiny("gpt-neox"), corpus, tmp_path / "t.h5")
    stored = read_texts(tmp_path / "t.h5")
    expected = sample(stored_documents(corpus, "all"), tokenizer, 45, 16, 3)
    np.testing.assert_array_equal(np.stack(stored.sample.ids), np.stack(expected.ids))
    assert stored.sample.texts == expected.texts
    assert stored.sample.prefix == []
    others = [document.text for document in documents if document.name not in expected.texts.document]
    ids = np.concatenate([tokenizer(text)["input_ids"] for text in others])
    np.testing.assert_array_equal(stored.counts, np.bincount(ids, minlength=len(tokenizer)))
    assert stored.attributes["model"] == "gpt-neox"


def test_texts_come_from_the_split_that_was_asked_for(corpus, tiny, tmp_path):
    cut_with(tiny("gpt-neox"), corpus, tmp_path / "t.h5", "train")
    assert {split_of(name) for name in read_texts(tmp_path / "t.h5").sample.texts.document} == {"train"}


def test_equal_tokenizers_have_one_digest_wherever_they_lie(tokenizer, bos_tokenizer, tiny):
    from geomkit.lm.models import load_tokenizer

    assert tokenizer_sha256(load_tokenizer(tiny("gpt2"))) == tokenizer_sha256(load_tokenizer(tiny("llama")))
    assert tokenizer_sha256(tokenizer) != tokenizer_sha256(bos_tokenizer)


def test_a_tokenizer_that_pads_is_the_same_tokenizer(tokenizer, tiny):
    from geomkit.lm.models import load_tokenizer

    padding = load_tokenizer(tiny("gpt2"))
    padding.backend_tokenizer.enable_truncation(8)
    padding.backend_tokenizer.enable_padding(length=8)
    assert tokenizer_sha256(padding) == tokenizer_sha256(tokenizer)


def dump_with(folder: Path, texts: Path, output: Path) -> None:
    dump = {"layers": "all", "sublayers": False, "dtype": "float32", "compression": None}
    compute = {"device": "cpu", "dtype": "float32", "batch_tokens": 4096}
    dump_model(folder, texts, [str(output)], dump, compute, 3, {"source": "local"}, False)


def test_a_dump_runs_the_stored_texts_and_pads_the_counts(corpus, tiny, tmp_path):
    cut_with(tiny("gpt-neox"), corpus, tmp_path / "t.h5")
    output = tmp_path / "m/c/trained.h5"
    dump_with(tiny("llama"), tmp_path / "t.h5", output)
    stored = read_texts(tmp_path / "t.h5")
    with Dump(output) as dump:
        np.testing.assert_array_equal(np.concatenate([dump.ids(text) for text in range(45)]), np.concatenate(stored.sample.ids))
        counts = dump.vocabulary()
        np.testing.assert_array_equal(counts[: len(stored.counts)], stored.counts)
        assert len(counts) == max(300, len(stored.counts))
        assert dump.width(State(0)) == 32


def test_a_model_with_another_tokenizer_is_refused_and_both_are_named(corpus, tiny, bos_tokenizer, tmp_path):
    cut_with(tiny("gpt-neox"), corpus, tmp_path / "t.h5")
    other = tmp_path / "other"
    other.mkdir()
    for file in tiny("gpt2").iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    bos_tokenizer.save_pretrained(other)
    with pytest.raises(
        DataError, match=r"t\.h5: cut by the tokenizer of gpt-neox, which is not that of m; .*models\.\*\.tokenizer"
    ):
        dump_with(other, tmp_path / "t.h5", tmp_path / "m/c/trained.h5")
    assert not (tmp_path / "m").exists()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "t.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"t\.h5: not a readable HDF5 file"):
        read_texts(tmp_path / "t.h5")
