"""Vocabularies for twins: made up, valid for the pre-tokenizers, and at home in plain English.

Common words are one token each, other words fall into fragments, and the rest of the vocabulary
is filled with compounds, so that a twin's prompts have about as many tokens as the model's.
No vocabulary of a real model is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum
from itertools import product

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.models.wordlist import FRAGMENTS, WORDS


class TokenizerKind(str, Enum):
    """Pre-tokenizers that b4404 knows and that a twin can have."""

    OLMO = "olmo"
    LLAMA_BPE = "llama-bpe"
    QWEN2 = "qwen2"
    SPM = "spm"


class TokenType(IntEnum):
    """Token types of GGUF (`llama_token_type`)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    BYTE = 6


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Tokens by id, with merges (byte-pair encoding) or scores (sentencepiece).

    `silent` are the ids that print nothing readable (control tokens and single bytes): a twin
    never generates them, so that its runs neither end early nor write broken text.
    """

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    scores: tuple[float, ...]
    bos: int
    eos: int
    pad: int
    silent: tuple[int, ...]


_Pieces = list[tuple[str, str]]

# The text of end tokens matters: llama.cpp recognises them by it.
_SPECIALS: dict[TokenizerKind, tuple[str, str, str]] = {
    TokenizerKind.OLMO: ("<|bos|>", "<|endoftext|>", "<|padding|>"),
    TokenizerKind.LLAMA_BPE: ("<|begin_of_text|>", "<|eot_id|>", "<|finetune_right_pad_id|>"),
    TokenizerKind.QWEN2: ("<|bos|>", "<|im_end|>", "<|endoftext|>"),
}
_SPM_SPECIALS = ("<pad>", "<eos>", "<bos>", "<unk>")
_SPM_SPACE = "\u2581"


def build_vocabulary(kind: TokenizerKind, size: int) -> Vocabulary:
    """Return a vocabulary of exactly `size` tokens.

    Raises ConfigError where so few or so many cannot be made.
    """
    return _sentencepiece(size) if kind is TokenizerKind.SPM else _byte_pairs(kind, size)


def _byte_pairs(kind: TokenizerKind, size: int) -> Vocabulary:
    """Return bytes, then pieces, then special tokens, as the real vocabularies have them."""
    letters = _byte_letters()
    specials = _SPECIALS[kind]
    pieces = _pieces(letters[ord(" ")], size - len(letters) - len(specials))
    tokens = (*letters, *(left + right for left, right in pieces), *specials)
    bos, eos, pad = range(size - len(specials), size)
    return Vocabulary(
        tokens=tokens,
        types=(*_repeat(TokenType.NORMAL, size - 3), *_repeat(TokenType.CONTROL, 3)),
        merges=tuple(f"{left} {right}" for left, right in pieces),
        scores=(),
        bos=bos,
        eos=eos,
        pad=pad,
        silent=(*range(len(letters)), bos, eos, pad),
    )


def _sentencepiece(size: int) -> Vocabulary:
    """Return special tokens, bytes, single letters, then pieces; earlier pieces score higher."""
    raw = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = [_SPM_SPACE, *(chr(code) for code in range(33, 127))]
    fixed = (*_SPM_SPECIALS, *raw, *letters)
    pieces = _pieces(_SPM_SPACE, size - len(fixed))
    specials = [TokenType.CONTROL] * 3 + [TokenType.UNKNOWN]
    n_ordinary = size - len(specials) - len(raw)
    return Vocabulary(
        tokens=(*fixed, *(left + right for left, right in pieces)),
        types=(*map(int, specials), *_repeat(TokenType.BYTE, 256), *_repeat(1, n_ordinary)),
        merges=(),
        scores=(*(0.0 for _ in fixed), *(-float(rank) for rank in range(len(pieces)))),
        bos=2,
        eos=1,
        pad=0,
        silent=tuple(range(len(specials) + len(raw))),
    )


def _repeat(token_type: int, count: int) -> Iterator[int]:
    return (int(token_type) for _ in range(count))


def _byte_letters() -> list[str]:
    """Return the printable letter that stands for each byte in byte-level vocabularies.

    Source: the encoding of GPT-2, in llama.cpp `unicode_byte_to_utf8`: bytes that are printable in
    Latin-1 stand for themselves, the others for U+0100 onwards.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    stand_in = {byte: 256 + index for index, byte in enumerate(others)}
    return [chr(stand_in.get(byte, byte)) for byte in range(256)]


def _pieces(space: str, count: int) -> _Pieces:
    """Return `count` merges, most urgent first; each half is a letter or an earlier piece.

    Words come first, letter by letter from their beginning, so that a word of the list ends as one
    token whatever follows; then fragments for what is left of other words; then compounds.
    """
    fragments = _spelled(FRAGMENTS)
    if count < len(fragments) + 100:
        raise ConfigError(
            f"a vocabulary with room for {count} pieces, {len(fragments) + 100} are needed",
            where="models.yaml",
            hint="correct vocab_size",
        )
    words = _spelled(space + word for word in WORDS)[: count - len(fragments)]
    pieces = [*words, *fragments]
    pieces += _compounds(words, fragments, count - len(pieces))
    if len(pieces) < count:
        raise ConfigError(
            f"a vocabulary with room for {count} pieces, {len(pieces)} can be made",
            where="models.yaml",
            hint="correct vocab_size",
        )
    return pieces


def _spelled(words: Iterable[str]) -> _Pieces:
    """Return the merges that build words from their beginning, each once."""
    prefixes = ((word[:end], word[end]) for word in words for end in range(1, len(word)))
    return list(dict.fromkeys(prefixes))


def _compounds(words: _Pieces, fragments: _Pieces, count: int) -> _Pieces:
    heads = ["".join(piece) for piece in words]
    tails = ["".join(piece) for piece in fragments]
    taken = {*heads, *tails}
    compounds: _Pieces = []
    for tail, head in product(tails, heads):
        if len(compounds) == count:
            break
        if head + tail not in taken:
            taken.add(head + tail)
            compounds.append((head, tail))
    return compounds
