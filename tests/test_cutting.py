"""Texts cut out of documents, counts of tokens elsewhere, and files of texts."""

import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geomkit.core.config import ModelSpec
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.state import State
from geomkit.models import cutting as module
from geomkit.models.cutting import DocumentTokenizer, byte_spans, cut_texts, sample, tokenizer_sha256, vocabulary_counts
from geomkit.models.stream import runs
from geomkit.sources.corpora import Document, split_of, stored_documents, write_documents
from geomkit.states.dumping import dump_states
from geomkit.states.dumps import Dump
from geomkit.states.texts import read_texts


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

    for name in ("is_fast", "unk_token", "unk_token_id", "all_special_tokens", "convert_tokens_to_ids", "backend_tokenizer"):
        setattr(counting, name, getattr(tokenizer, name))
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


def piece(words: Any, text: str) -> list[tuple[str, int, int]]:
    """Each token of a document with its bytes before and up to its end."""
    ids, spans = DocumentTokenizer(words)(text)
    return [(token, *span) for token, span in zip(words.convert_ids_to_tokens(ids.tolist()), spans.tolist(), strict=True)]


def fast(rules: Any, **special: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=rules, **special)


BYTES = {f"<0x{byte:02X}>": -9.0 for byte in range(256)}


def fallback(kind: str) -> Any:
    """Tokenizers with a token for each byte, for letters that have none of their own: Unigram gives all bytes of a run of such
    letters the span of the run, BPE those of a letter its own."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    known = {"<unk>": 0.0, "<s>": 0.0, **BYTES, "▁": -2.0, "a": -3.0, "b": -3.0}
    if kind == "unigram":
        rules = Tokenizer(models.Unigram(list(known.items()), unk_id=0, byte_fallback=True))
        rules.pre_tokenizer = pre_tokenizers.Metaspace()
    else:
        numbered = {token: number for number, token in enumerate(known)}
        rules = Tokenizer(models.BPE(numbered, [], byte_fallback=True, unk_token="<unk>"))
        rules.normalizer = normalizers.Replace(" ", "▁")
    return fast(rules, unk_token="<unk>", bos_token="<s>")


def wordpiece() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    known = ["[UNK]", "[CLS]", "[SEP]", "cafe", "bar", "##s", ",", "end"]
    rules = Tokenizer(models.WordPiece({token: number for number, token in enumerate(known)}, unk_token="[UNK]"))
    rules.normalizer, rules.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    return fast(rules, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_byte_of_a_letter_counts_once(kind):
    """今天 are two letters of three bytes, and each byte is a token: a token ends where the letter ends that it is in."""
    tokens = [span for span in piece(fallback(kind), "ab今天b") if span[0].startswith("<0x")]
    assert [token for token, _, _ in tokens] == [f"<0x{byte:02X}>" for byte in "今天".encode()]
    assert [(before, end) for _, before, end in tokens] == [(2, 5)] * 3 + [(5, 8)] * 3


def test_tokens_that_share_a_letter_of_a_byte_level_vocabulary(tokenizer):
    found = piece(tokenizer, "é今 a")
    assert [end for _, _, end in found][-1] == len("é今 a".encode())
    assert {(before, end) for _, before, end in found} >= {(2, 5)}, "the letter of three bytes has more than one token"
    assert all(before < end for _, before, end in found)


def test_bytes_are_those_of_the_document_whatever_a_tokenizer_makes_of_it():
    """Capitals, accents, unknown words and the spaces between words count as they are written."""
    found = piece(wordpiece(), "Café  bars, 石头 END")
    assert [token for token, _, _ in found] == ["cafe", "bar", "##s", ",", "[UNK]", "[UNK]", "end"]
    assert [(before, end) for _, before, end in found] == [(0, 5), (7, 10), (10, 11), (11, 12), (13, 16), (16, 19), (20, 23)]


def test_spans_without_the_spaces_that_tokens_begin_with_have_them_back(tokenizer):
    from tokenizers import Tokenizer
    from tokenizers.processors import ByteLevel

    rules = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    rules.post_processor = ByteLevel(trim_offsets=True)
    assert piece(fast(rules), "a boat, a  net") == piece(tokenizer, "a boat, a  net")


@pytest.mark.parametrize("text", ["a今天天b", "a<b>\U0001f600\U0001f389 é\n\n  今", "\u200d\u0301", "plain words"])
@pytest.mark.parametrize("kind", ["unigram", "bpe", "byte-level"])
def test_runs_of_tokens_have_the_bytes_of_their_document(kind, text, tokenizer):
    """A document cut into texts anywhere: their bytes sum to its own, and each differs from its tokens' own bytes by less than a
    letter at either end."""
    words = tokenizer if kind == "byte-level" else fallback(kind)
    tokens = DocumentTokenizer(words)(text)
    size = len(text.encode())
    for cut in range(1, len(tokens.ids)):
        assert tokens.covered(0, cut, True) + tokens.covered(cut, len(tokens.ids), True) == size
        assert tokens.covered(cut - 1, len(tokens.ids), False) == tokens.covered(cut, len(tokens.ids), True)
    if kind == "byte-level":
        own = np.array([len(token) for token in words.convert_ids_to_tokens(tokens.ids.tolist())])
        for start, stop in itertools.combinations(range(len(own)), 2):
            assert abs(tokens.covered(start, stop, True) - own[start:stop].sum()) < 4


def test_a_document_without_tokens_has_no_bytes():
    assert DocumentTokenizer(wordpiece())("\u200b").ids.size == 0
    assert byte_spans("a", []).shape == (0, 2)


@pytest.mark.parametrize("spans", [[(0, 0), (0, 0)], [(2, 3), (0, 1)]])
def test_places_that_cannot_be_are_no_places(spans):
    assert byte_spans("abc", spans) is None


def test_a_tokenizer_without_places_leaves_the_loss_per_byte_out_and_says_why(documents):
    from transformers import ByT5Tokenizer

    from geomkit.models import cutting

    found = sample(documents, ByT5Tokenizer(), 4, 16, 0)
    assert found.texts.bytes == [0] * 4
    assert found.facts["no bytes"] == "ByT5Tokenizer: the places of tokens in their document are unknown"
    assert cutting.notes(found) == [f"no loss per byte: {found.facts['no bytes']}"]


# special tokens that are written in documents


WRITTEN = "The log says <|endoftext|> twice: <|endoftext|>, and <odd> once."


@pytest.fixture
def speaking(tokenizer: Any) -> Any:
    """The tokenizer with one added token that is not special."""
    from tokenizers import AddedToken, Tokenizer

    rules = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    rules.add_tokens([AddedToken("<odd>", special=False)])
    return fast(rules, eos_token=tokenizer.eos_token)


def test_written_special_tokens_are_text_unless_they_are_kept(speaking):
    end, odd = speaking.eos_token_id, speaking.convert_tokens_to_ids("<odd>")
    text, kept = (DocumentTokenizer(speaking, special)(WRITTEN) for special in ("split", "keep"))
    assert (text.ids == end).sum() == 0
    assert (kept.ids == end).sum() == 2
    assert (text.ids == odd).sum() == (kept.ids == odd).sum() == 1
    assert speaking.decode(text.ids) == speaking.decode(kept.ids) == WRITTEN
    for found in (text, kept):
        assert found.covered(0, len(found.ids), True) == len(WRITTEN.encode())
    assert DocumentTokenizer(speaking).written(WRITTEN) == {"<|endoftext|>": 2}


@pytest.mark.parametrize(("special_tokens", "control"), [("split", 0), ("keep", 2)])
def test_special_tokens_are_counted_in_the_file_and_the_log(special_tokens, control, speaking, tmp_path, capsys):
    model, corpus = tmp_path / "m", tmp_path / "c.parquet"
    speaking.save_pretrained(model)
    from transformers import LlamaConfig

    LlamaConfig(vocab_size=len(speaking)).save_pretrained(model)
    write_documents([Document("a", WRITTEN), Document("b", "Nothing of the kind."), Document("c", WRITTEN)], corpus)
    cut_texts(model, corpus, tmp_path / "t.h5", "all", {"count": 2, "length": 1000}, 0, ModelSpec(), special_tokens)
    stored = read_texts(tmp_path / "t.h5")
    texts = len([name for name in stored.sample.texts.document if name in "ac"])
    attributes = stored.attributes
    assert attributes["special tokens"] == special_tokens
    assert attributes["special tokens written"] == f"<|endoftext|> {2 * texts}"
    assert attributes["special tokens read"] == control * texts
    assert attributes["added tokens read"] == texts
    as_what = "control tokens" if control else "ordinary text"
    assert (
        f"special tokens are written in the documents, and read as {as_what}: <|endoftext|> {2 * texts}"
        in capsys.readouterr().out
    )
    counted = stored.counts[speaking.eos_token_id]
    assert counted == control * (2 - texts), "documents that are not measured are read in the same way"


def test_a_special_token_that_is_a_word_of_the_vocabulary_is_text_too():
    """Unigram finds `<s>` among its own words, whatever it is asked."""
    words = fallback("unigram")
    rules = words.backend_tokenizer.to_str()
    assert words.bos_token_id in words("a<s>b", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    read = DocumentTokenizer(words)
    found = read("a<s>b 今 a")
    spelt = ["▁", "a", "<0x3C>", "<0x73>", "<0x3E>", "b", "▁", "<0xE4>", "<0xBB>", "<0x8A>", "▁", "a"]
    assert words.convert_ids_to_tokens(found.ids.tolist()) == spelt
    assert found.covered(0, len(found.ids), True) == len("a<s>b 今 a".encode())
    np.testing.assert_array_equal(read("ab 今a").ids, words("ab 今a", add_special_tokens=False)["input_ids"])
    assert words.backend_tokenizer.to_str() == rules, "the tokenizer itself stays as it is"
    assert sample([Document("a", "a<s>b")], words, 1, 8, 0).facts["special tokens read"] == 0
    assert sample([Document("a", "a<s>b")], words, 1, 8, 0, "keep").facts["special tokens read"] == 1


@pytest.mark.parametrize("special_tokens", ["split", "keep"])
def test_an_ordinary_word_that_also_pads_stays_a_word(special_tokens, tokenizer):
    """Some models pad with a word of their vocabulary, which texts have as any other."""
    from tokenizers import Tokenizer

    plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    words = fast(Tokenizer.from_str(plain.to_str()), pad_token="!")
    assert DocumentTokenizer(words, special_tokens)("a boat! a net!!").ids.tolist() == plain.encode("a boat! a net!!").ids


def test_a_special_token_that_is_one_of_a_list_of_words_is_counted():
    from tokenizers import Tokenizer, models, pre_tokenizers

    rules = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "[MASK]": 2, "b": 3}, unk_token="[UNK]"))
    rules.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = fast(rules, unk_token="[UNK]", mask_token="[MASK]")
    assert sample([Document("a", "a [MASK] b")], words, 1, 8, 0).facts["special tokens read"] == 1


def test_a_tokenizer_without_places_keeps_added_tokens_where_no_special_one_is_written():
    from transformers import ByT5Tokenizer

    words = ByT5Tokenizer()
    words.add_tokens(["<odd>"])
    odd = words.convert_tokens_to_ids("<odd>")
    assert odd in DocumentTokenizer(words)("a <odd> b").ids
    assert words.eos_token_id not in DocumentTokenizer(words)("a</s>b").ids
    assert words.eos_token_id in DocumentTokenizer(words, "keep")("a</s>b").ids


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
    cut_texts(folder, corpus, output, split, {"count": 45, "length": 16}, seed=3, spec=ModelSpec())


def test_texts_that_are_shorter_than_every_length_are_found_as_they_are_cut(tiny, tmp_path):
    """Before a model runs: the key is named, and nothing is written. A text that is long enough is one too many."""
    write_documents([Document("a", "Fog."), Document("b", "Fog over the harbour.")], tmp_path / "c.parquet")
    options: dict[str, Any] = {"split": "all", "texts": {"count": 2, "length": 16}, "seed": 3, "spec": ModelSpec()}
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
    from geomkit.models.load import load_tokenizer

    assert tokenizer_sha256(load_tokenizer(tiny("gpt2"))) == tokenizer_sha256(load_tokenizer(tiny("llama")))
    assert tokenizer_sha256(tokenizer) != tokenizer_sha256(bos_tokenizer)


def test_a_tokenizer_that_pads_is_the_same_tokenizer(tokenizer, tiny):
    from geomkit.models.load import load_tokenizer

    padding = load_tokenizer(tiny("gpt2"))
    padding.backend_tokenizer.enable_truncation(8)
    padding.backend_tokenizer.enable_padding(length=8)
    assert tokenizer_sha256(padding) == tokenizer_sha256(tokenizer)


def dump_with(folder: Path, texts: Path, output: Path) -> None:
    states = partial(runs, folder, texts, "m", ModelSpec(device="cpu"), 4096, 3)
    dump_states(states, [output], {"dtype": "float32", "compression": None}, ["trained"])


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
        assert dump.widths[State(0)] == 32


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
