from __future__ import annotations

from itertools import pairwise

import pytest

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.models.vocabulary import (
    TokenizerKind,
    TokenType,
    Vocabulary,
    build_vocabulary,
)
from edgemoe_appliance.models.wordlist import FRAGMENTS, WORDS

BYTE_PAIRS = [TokenizerKind.OLMO, TokenizerKind.LLAMA_BPE, TokenizerKind.QWEN2]
SIZES = [1024, 6288, 50_304]


def encode(word: str, vocabulary: Vocabulary) -> list[str]:
    """Return the tokens of a word by byte-pair encoding: the earliest merge first."""
    ranks = {merge: rank for rank, merge in enumerate(vocabulary.merges)}
    symbols = list(word)
    while len(symbols) > 1:
        pairs = [f"{a} {b}" for a, b in pairwise(symbols)]
        rank, at = min((ranks.get(pair, 10**9), at) for at, pair in enumerate(pairs))
        if rank == 10**9:
            break
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
    return symbols


@pytest.mark.parametrize("kind", TokenizerKind)
@pytest.mark.parametrize("size", SIZES)
def test_vocabularies_are_whole(kind: TokenizerKind, size: int) -> None:
    vocabulary = build_vocabulary(kind, size)
    assert len(vocabulary.tokens) == size
    assert len(set(vocabulary.tokens)) == size  # llama.cpp asserts it
    assert len(vocabulary.types) == size
    assert all(vocabulary.tokens)
    for special in (vocabulary.bos, vocabulary.eos, vocabulary.pad):
        assert vocabulary.types[special] == TokenType.CONTROL
        assert special in vocabulary.silent


@pytest.mark.parametrize("kind", BYTE_PAIRS)
def test_every_merge_joins_tokens_into_a_token(kind: TokenizerKind) -> None:
    vocabulary = build_vocabulary(kind, 6288)
    known = set(vocabulary.tokens)
    for merge in vocabulary.merges:
        left, right = merge.split(" ")
        assert {left, right, left + right} <= known
    assert len(vocabulary.merges) == 6288 - 256 - 3


def test_end_tokens_have_the_texts_that_the_engine_knows() -> None:
    for kind, text in (
        (TokenizerKind.OLMO, "<|endoftext|>"),
        (TokenizerKind.LLAMA_BPE, "<|eot_id|>"),
        (TokenizerKind.QWEN2, "<|im_end|>"),
        (TokenizerKind.SPM, "<eos>"),
    ):
        vocabulary = build_vocabulary(kind, 1024)
        assert vocabulary.tokens[vocabulary.eos] == text


def test_common_words_are_one_token() -> None:
    vocabulary = build_vocabulary(TokenizerKind.OLMO, 50_304)
    for word in ("the", "because", "explain", "river", "bandwidth"):
        assert encode("\u0120" + word, vocabulary) == ["\u0120" + word]


def test_plain_english_takes_about_as_many_tokens_as_in_the_real_models() -> None:
    sentence = "a tired sailor repaired the broken compass before the second storm reached land"
    words = sentence.split()
    for size, most in ((1024, 3.0), (50_304, 2.2)):
        vocabulary = build_vocabulary(TokenizerKind.OLMO, size)
        tokens = sum(len(encode("\u0120" + word, vocabulary)) for word in words)
        assert 1.0 <= tokens / len(words) <= most


def test_sentencepiece_has_bytes_letters_and_falling_scores() -> None:
    vocabulary = build_vocabulary(TokenizerKind.SPM, 1024)
    newline = vocabulary.tokens.index("<0x0A>")
    assert vocabulary.types[newline] == TokenType.BYTE
    assert "e" in vocabulary.tokens
    first = vocabulary.tokens.index("\u2581t")
    assert list(vocabulary.scores[first:]) == [-float(n) for n in range(1024 - first)]
    assert vocabulary.merges == ()


def test_sizes_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"room for 41 pieces, \d+ are needed"):
        build_vocabulary(TokenizerKind.QWEN2, 300)
    with pytest.raises(ConfigError, match=r"room for 1999741 pieces, \d+ can be made"):
        build_vocabulary(TokenizerKind.QWEN2, 2_000_000)


def test_no_word_stands_twice() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert len(set(FRAGMENTS)) == len(FRAGMENTS)
