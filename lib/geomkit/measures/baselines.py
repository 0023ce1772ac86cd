"""Losses of simple models on the same tokens, as baselines for a language model."""

import gzip

import numpy as np


def unigram_loss(training: np.ndarray, test: np.ndarray, vocabulary: int) -> float:
    """Compute the loss of token frequencies in nats a token, with one added to each count.

    Limit: ln(vocabulary) without training tokens.
    """
    counts = np.bincount(training, minlength=vocabulary) + 1.0
    return float(-np.log(counts / counts.sum())[test].mean())


def bigram_loss(training: np.ndarray, validation: np.ndarray, test: np.ndarray, vocabulary: int) -> float:
    """Compute the loss of a smoothed bigram model in nats a token; the first token has none.

    The model is p(b | a) = (count(a, b) + k p(b)) / (count(a) + k), p the unigram's.

    k, the weight of the unigram, is the power of two up to 2^14 that is best on validation. Source: MacKay and Peto 1995.
    """
    unigram = np.bincount(training, minlength=vocabulary) + 1.0
    unigram /= unigram.sum()
    pairs = np.bincount(training[:-1] * vocabulary + training[1:], minlength=vocabulary**2).reshape(vocabulary, vocabulary)
    before = pairs.sum(axis=1)

    def loss(tokens: np.ndarray, k: float) -> float:
        first, second = tokens[:-1], tokens[1:]
        return float(-np.log((pairs[first, second] + k * unigram[second]) / (before[first] + k)).mean())

    best = min((2.0**power for power in range(15)), key=lambda k: loss(validation, k))
    return loss(test, best)


def gzip_loss(training: bytes, test: bytes) -> float:
    """Compute the nats a byte that gzip takes for the test text after the training text.

    gzip remembers the last 32 KiB of the training text.
    """
    return (len(gzip.compress(training + test, 9)) - len(gzip.compress(training, 9))) * 8 * float(np.log(2)) / len(test)
