"""Cut the texts that all models of one tokenizer read, and count its tokens in the rest of the corpus."""

import copy
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from geomkit.core.config import ModelSpec, tokenizer_folder
from geomkit.core.errors import ConfigError, DataError, RefusalError
from geomkit.core.provenance import digest, file_sha256, rng
from geomkit.models import backends  # noqa: F401  # before what imports torch as it is
from geomkit.models.context import check_texts
from geomkit.models.load import chat_prefix, load_config, load_tokenizer, prefix
from geomkit.sources.corpora import Document, Slice, cut, stored_documents, write_documents
from geomkit.states.texts import Sample, StoredTexts, Texts, read_texts, write_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_LENGTHS: Mapping[str, int] = {}
COUNTED = 2_000_000
"""Tokens of other documents that are counted, at most: more would not tell common tokens from rare ones any better."""
COMPARED, LETTERS = 20, 10_000
"""Documents, and characters at the start of each, whose tokens are compared with those that the tokenizer's file gives."""

CHAT = "chat"
"""The template of a chat before each text."""
SPLIT, KEEP = "split", "keep"
"""Ways to read a special token written in a document: as ordinary text, or as the control token that it names."""


class Tokens(NamedTuple):
    """Token ids (n,) of one document, and its UTF-8 bytes before and up to the end of each token (n, 2); None if unknown."""

    ids: NDArray[np.int32]
    spans: NDArray[np.int32] | None

    def covered(self, start: int, stop: int, first: bool) -> int:
        """Count UTF-8 bytes up to the end of the last of the tokens start..stop-1.

        They begin at the end of the first token, or with `first` where it begins. Bytes that it shares with the token before
        belong to that one.
        """
        assert self.spans is not None
        (before, begun), done = self.spans[start].tolist(), self.spans[start - 1, 1] if start else 0
        return int(self.spans[stop - 1, 1] - (max(before, done) if first else begun))


class DocumentTokenizer:
    """A tokenizer as it reads documents.

    Special tokens written in them are split as any other text, or kept; added tokens that are not special always stay.

    control, added: ids of special tokens, but for that of unknown words, and of the other added tokens.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", special_tokens: str = SPLIT, spans: bool = True):
        self.tokenizer = tokenizer
        self.split, self.spans = special_tokens == SPLIT, spans and tokenizer.is_fast
        self.trimmed = self.spans and b'"trim_offsets":true' in last_step(tokenizer)
        listed = getattr(tokenizer, "added_tokens_decoder", {})
        named = {token: tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens}
        special = {token.content: number for number, token in listed.items() if token.special} | named
        special = {token: number for token, number in special.items() if number not in (None, tokenizer.unk_token_id)}
        self.control = sorted(special.values())
        self.added = sorted(listed.keys() - {*special.values(), tokenizer.unk_token_id})
        longest_first = sorted(filter(None, special), key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        if self.split and tokenizer.is_fast:
            self.tokenizer = without_words(tokenizer, special)

    def written(self, text: str) -> Counter[str]:
        """Count the special tokens written in a document."""
        return Counter(self.pattern.findall(text))

    def __call__(self, text: str) -> Tokens:
        options = {"return_offsets_mapping": True} if self.spans else {}
        # tokenizers in Python would split added tokens too, so they are only asked where they must be
        if self.tokenizer.is_fast or self.pattern.search(text):
            options["split_special_tokens"] = self.split
        encoded = self.tokenizer(text, add_special_tokens=False, verbose=False, **options)
        ids = np.array(encoded["input_ids"], dtype=np.int32)
        return Tokens(ids, byte_spans(text, encoded["offset_mapping"], self.trimmed) if self.spans else None)


def without_words(tokenizer: "PreTrainedTokenizerBase", special: Collection[str]) -> "PreTrainedTokenizerBase":
    """Return a fast tokenizer whose model does not find special tokens among its own words, or the tokenizer itself.

    Only Unigram finds them: they have the score 0, before which every other reading of a text stands back.
    """
    if type(tokenizer.backend_tokenizer.model).__name__ != "Unigram":
        return tokenizer
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    words = rules["model"]["vocab"]
    hidden = {word for word, score in words if word in special and score == 0}
    rules["model"]["vocab"] = [[f"\ufdd0{word}" if word in hidden else word, score] for word, score in words]  # as no text has it
    rules["added_tokens"] = [token for token in rules["added_tokens"] if token["content"] not in hidden]
    copied = copy.copy(tokenizer)
    copied._tokenizer = type(tokenizer.backend_tokenizer).from_str(json.dumps(rules))
    return copied


def last_step(tokenizer: "PreTrainedTokenizerBase") -> bytes:
    """Return the post-processor of a fast tokenizer as JSON."""
    processor = tokenizer.backend_tokenizer.post_processor
    return b"" if processor is None else processor.__getstate__()


def byte_spans(text: str, spans: Sequence[tuple[int, int]], trimmed: bool = False) -> NDArray[np.int32] | None:
    """Compute the UTF-8 bytes of a text before and up to the end of each token (n, 2), from the tokens' spans of characters.

    None for spans that are out of order or empty.

    trimmed: spans lack the spaces that tokens begin with, so that each begins where the one before it ends. A token that begins
    or ends inside a character has all of the character. Tokens that share a span of as many bytes are its bytes: some tokenizers
    give each byte of a run of unknown characters the span of the whole run.
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    place = np.concatenate([[0], np.cumsum(1 + (points > 0x7F) + (points > 0x7FF) + (points > 0xFFFF), dtype=np.int64)])
    begin, end = place[np.array(spans, dtype=np.int64).reshape(-1, 2)].T
    if not len(end):
        return np.zeros((0, 2), dtype=np.int32)
    if (np.diff(end) < 0).any() or not end[-1]:
        return None
    shared = np.cumsum(np.concatenate([[True], (np.diff(begin) != 0) | (np.diff(end) != 0)])) - 1
    sizes = np.bincount(shared)
    nth = np.arange(len(end)) - (np.cumsum(sizes) - sizes)[shared]
    own = (begin + nth).clip(max=place[-1] - 1)
    first, last = place[np.searchsorted(place, own, "right") - 1], place[np.searchsorted(place, own + 1)]
    single = sizes[shared] == end - begin
    end = np.where(single, last, end)
    begin = np.concatenate([[0], end[:-1]]) if trimmed else np.where(single, first, begin)
    return np.stack([begin, end], axis=1).astype(np.int32)


def without_bytes(tokens: Sequence[Tokens], tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Return why the bytes that tokens cover are not known, if so."""
    if all(document.spans is not None for document in tokens):
        return None
    why = "are out of order" if tokenizer.is_fast else "are unknown"
    return f"{type(tokenizer).__name__}: the places of tokens in their document {why}"


def cut_texts(
    folder: Path,
    corpus: Path,
    output: Path,
    split: str,
    texts: Mapping[str, int],
    seed: int,
    spec: ModelSpec,
    special_tokens: str = SPLIT,
    template: str | None = None,
    lengths: Mapping[str, int] = NO_LENGTHS,
) -> None:
    """Write the texts of a corpus in the tokenizer of a model's folder, and how often each token occurs in other documents.

    texts: how many (`count`) of how many tokens (`length`). special_tokens: what becomes of those that are written in documents.
    template: `chat` puts the start of the tokenizer's chat template before each text.
    lengths: by key of the configuration, tokens that the longest text must have. Raises ConfigError where it has fewer, and
    DataError where there is no text.
    """
    spec = spec.at(folder)
    tokenizer = load_tokenizer(spec)
    check_ids(tokenizer, folder, stored_documents(corpus, split))
    try:
        new = sample(stored_documents(corpus, split), tokenizer, texts["count"], texts["length"], seed, special_tokens, template)
    except DataError as error:
        raise DataError(f"{corpus}: {error}") from None
    longest = max(new.texts.tokens)
    for key, length in lengths.items():
        if longest < length:
            raise ConfigError(
                f"config: {key}: the longest text of {corpus} has {longest} tokens, fewer than {length}; set a smaller length, "
                "or take longer documents"
            )
    with suppress(RefusalError):  # of this model alone: others with its tokenizer read these texts, and each is checked again
        check_texts(folder, load_config(spec), new)
    measured = set(new.texts.document)
    sizes = new.texts.tokens
    print(f"{len(sizes)} texts of {len(measured)} documents, {sum(sizes)} tokens, {min(sizes)} to {max(sizes)} each")
    print(*notes(new), sep="\n", end="\n" * bool(notes(new)))
    counts = vocabulary_counts(stored_documents(corpus, "all"), measured, tokenizer, len(tokenizer), seed, special_tokens)
    attributes = {
        **new.facts,
        "model": folder.name,
        "tokenizer sha256": tokenizer_sha256(tokenizer),
        "corpus sha256": file_sha256(corpus),
        "seed": seed,
    }
    write_texts(output, new, counts, attributes)


def check_ids(tokenizer: "PreTrainedTokenizerBase", folder: Path, documents: Sequence[Document]) -> None:
    """Check that a tokenizer gives the start of some documents the same ids as its tokenizer.json; raise DataError otherwise."""
    file = tokenizer_folder(folder) / "tokenizer.json"
    if not file.is_file():
        return
    own = Tokenizer.from_file(str(file))
    own.no_truncation()
    own.no_padding()
    for index in range(0, len(documents), -(-len(documents) // COMPARED)):
        name, text = documents[index].name, documents[index].text[:LETTERS]
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if (backend := getattr(tokenizer, "backend_tokenizer", None)) is not None:
            own.encode_special_tokens = backend.encode_special_tokens
        expected = own.encode(text, add_special_tokens=False)
        if ids != expected.ids:
            first = differing(tokenizer.convert_ids_to_tokens(ids), expected.tokens)
            raise DataError(
                f"{file}: {type(tokenizer).__name__} gives document {name!r} other tokens than this file does ({len(ids)}, but "
                f"{len(expected.ids)}, {first}); tokenizer_config.json, or code that comes with the model, contradicts the file: "
                "save the tokenizer again"
            )


def differing(actual: Sequence[str], expected: Sequence[str]) -> str:
    """Describe the first tokens that two lists do not share."""
    pairs = zip_longest(actual, expected, fillvalue="none")
    return next((f"the first {one!r} for {other!r}" for one, other in pairs if one != other), "of one text")


def tokenizer_sha256(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Hash what a tokenizer does, whatever files it was loaded from.

    That is its rules, its vocabulary, and the tokens that it puts before a text. Settings of padding and truncation, which
    cutting texts does not use, do not count.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        rules: object = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    else:
        rules = {key: value for key, value in json.loads(backend.to_str()).items() if key not in ("truncation", "padding")}
    return digest(json.dumps(rules, sort_keys=True), prefix(tokenizer))


def texts_for(path: Path, spec: ModelSpec, name: str) -> StoredTexts:
    """Open the texts in a file for the model of that name.

    Raises DataError if another tokenizer cut them, or if the model does not take them.
    """
    stored = read_texts(path)
    if tokenizer_sha256(load_tokenizer(spec)) != stored.attributes["tokenizer sha256"]:
        raise DataError(
            f"{path}: cut by the tokenizer of {stored.attributes['model']}, which is not that of {name}; "
            "give one of them a tokenizer of another name (models.*.tokenizer), in an entry of its own if both are in one folder"
        )
    check_texts(name, load_config(spec), stored.sample)
    return stored


class Sliced(NamedTuple):
    """Documents that were read, in random order: names, tokens, special tokens that are written in them; and slices of them."""

    documents: list[Document]
    tokens: list[Tokens]
    written: list[Counter[str]]
    slices: list[Slice]


def sliced(documents: Sequence[Document], read: DocumentTokenizer, count: int, length: int, seed: int) -> Sliced:
    """Slice `count` texts of `length` tokens from documents, as `geomkit.sources.corpora.cut` does.

    Documents are tokenized in random order until there are enough, so a large corpus costs no more than a small one.
    Raises DataError if no document has two tokens.
    """
    own = Sliced([], [], [], [])
    enough = 0
    for index in rng(seed, "documents").permutation(len(documents)).tolist():
        document = Document(*documents[index])
        own.documents.append(document)
        own.tokens.append(read(document.text))
        own.written.append(read.written(document.text))
        enough += len(own.tokens[-1].ids) >= length
        if enough >= max(count, 40):
            break
    own.slices.extend(cut([len(each.ids) for each in own.tokens], count, length, seed))
    if not own.slices:
        raise DataError(f"no text of at least two tokens among {len(documents)} documents")
    return own


def sample(
    documents: Sequence[Document],
    tokenizer: "PreTrainedTokenizerBase",
    count: int,
    length: int,
    seed: int,
    special_tokens: str = SPLIT,
    template: str | None = None,
) -> Sample:
    """Cut `count` texts of `length` tokens from documents (`sliced`).

    template: `chat` puts the start of the tokenizer's chat template before each text, in place of what the tokenizer puts there;
    these tokens are read, and not measured. Raises DataError if no document has two tokens, or without such a template.
    """
    read = DocumentTokenizer(tokenizer, special_tokens)
    own = sliced(documents, read, count, length, seed)
    tokens, slices = own.tokens, own.slices
    ids = [tokens[part.document].ids[part.start : part.stop].copy() for part in slices]
    before = chat_prefix(tokenizer) if template == CHAT else prefix(tokenizer)
    reason = without_bytes(tokens, tokenizer)
    scored = [0 if reason else tokens[part.document].covered(part.start, part.stop, bool(before)) for part in slices]
    total = sum((own.written[document] for document in {part.document for part in slices}), Counter())
    inside = np.concatenate(ids)
    facts = {
        **({"template": template} if template else {}),
        "special tokens": special_tokens,
        "special tokens written": ", ".join(f"{name} {times}" for name, times in total.most_common()),
        "special tokens read": int(np.isin(inside, read.control).sum()),
        "added tokens read": int(np.isin(inside, read.added).sum()),
        "no bytes": reason or "",
    }
    names = [own.documents[part.document].name for part in slices]
    return Sample(ids, before, Texts(names, [len(part) for part in ids], scored), facts)


WHOLE = 1 << 40
"""A number of tokens that no text has: texts of this length are whole documents."""


def passages(
    documents: Sequence[Document],
    tokenizer: "PreTrainedTokenizerBase",
    count: int,
    length: int,
    seed: int,
    special_tokens: str = SPLIT,
) -> list[Document]:
    """Cut the texts of `sample`, and return them as text, under the names of their documents, for models of any tokenizer.

    A character that a border of tokens cuts is whole in it. Raises DataError for a tokenizer that does not say where its tokens
    are.
    """
    own = sliced(documents, DocumentTokenizer(tokenizer, special_tokens), count, length, seed)
    if (reason := without_bytes(own.tokens, tokenizer)) is not None:
        raise DataError(reason)
    found = []
    for part in own.slices:
        spans, (name, text) = own.tokens[part.document].spans, own.documents[part.document]
        assert spans is not None
        piece = text.encode()[spans[part.start, 0] : spans[part.stop - 1, 1]]
        found.append(Document(name, piece.decode()))
    return found


def cut_passages(
    folder: Path,
    corpus: Path,
    output: Path,
    split: str,
    texts: Mapping[str, int],
    seed: int,
    spec: ModelSpec,
    special_tokens: str = SPLIT,
) -> None:
    """Write the texts of a corpus in the tokenizer of a model's folder as documents, for models of any tokenizer."""
    cut_by = load_tokenizer(spec.at(folder))
    with_documents = stored_documents(corpus, split)
    write_documents(passages(with_documents, cut_by, texts["count"], texts["length"], seed, special_tokens), output)


def notes(texts: Sample) -> list[str]:
    """Return lines for the log about special tokens and bytes, if any."""
    facts = texts.facts
    read_as = "ordinary text" if facts["special tokens"] == SPLIT else "control tokens"
    said = {
        f"special tokens are written in the documents, and read as {read_as}": facts["special tokens written"],
        "special tokens in the texts": facts["special tokens read"],
        "added tokens in the texts that are not special": facts["added tokens read"],
        "no loss per byte": facts["no bytes"],
    }
    return [f"{what}: {value}" for what, value in said.items() if value]


def vocabulary_counts(
    documents: Sequence[Document],
    measured: Collection[str],
    tokenizer: "PreTrainedTokenizerBase",
    vocabulary: int,
    seed: int,
    special_tokens: str = SPLIT,
) -> np.ndarray:
    """Count each token id in documents that are not measured, up to COUNTED tokens by chance: (vocabulary,)."""
    counts, read = np.zeros(vocabulary, dtype=np.int64), DocumentTokenizer(tokenizer, special_tokens, spans=False)
    for index in rng(seed, "vocabulary").permutation(len(documents)).tolist():
        document = documents[index]
        if document.name not in measured:
            counts += np.bincount(read(document.text).ids, minlength=vocabulary)
        if counts.sum() >= COUNTED:
            break
    return counts
